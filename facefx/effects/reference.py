"""Every effect described, from the classes themselves: for the terminal, for JSON and for the docs.

`python -m facefx.effects.reference` writes docs/effects.md again.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from facefx.effects.effect import FAMILIES, Effect
from facefx.effects.presets import preset, preset_names
from facefx.effects.registry import effect_class, effect_names

__all__ = ["EffectInfo", "ParamInfo", "describe", "describe_all", "describe_param", "to_json", "to_markdown"]


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """One parameter as people read it."""

    name: str
    type: str
    range: str
    default: Any
    required: bool
    description: str

    @property
    def expected(self) -> str:
        """What a value must be, in words: "number 1.0..1.5"."""
        return f"{self.type} {self.range}".strip() if self.type != "choice" else f"one of {self.range}"


@dataclass(frozen=True, slots=True)
class EffectInfo:
    """One effect as people read it."""

    name: str
    family: str
    needs: tuple[str, ...]
    summary: str
    caution: str
    params: tuple[ParamInfo, ...]


def describe_all() -> tuple[EffectInfo, ...]:
    """Describe every effect, in chain order."""
    return tuple(describe(effect_class(name)) for name in effect_names())


def describe(effect: type[Effect]) -> EffectInfo:
    """Describe one effect from its declaration."""
    params = tuple(describe_param(effect, name) for name in effect.Params.model_fields)
    summary = (inspect.getdoc(effect) or "").split("\n\n")[0].replace("\n", " ")
    return EffectInfo(
        effect.name, effect.family, tuple(sorted(effect.needs)), summary, effect.caution, params
    )


def describe_param(effect: type[Effect], name: str) -> ParamInfo:
    """Describe one parameter from its schema."""
    field = effect.Params.model_fields[name]
    schema = effect.Params.model_json_schema()["properties"][name]
    kind, allowed = _kind(schema)
    default = None if field.is_required() else field.default
    return ParamInfo(name, kind, allowed, default, field.is_required(), field.description or "")


def _kind(schema: dict[str, Any]) -> tuple[str, str]:
    """(type, range) of a parameter in words."""
    if "enum" in schema:
        return "choice", ", ".join(map(str, schema["enum"]))
    kinds = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
    kind = schema.get("format") or kinds.get(schema.get("type", ""), "value")
    if kind == "colour":
        return kind, "#rrggbb or a name"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return kind, ""
    return kind, " ".join(
        [*(["from", str(low)] if low is not None else []), *(["to", str(high)] if high is not None else [])]
    )


def to_json(infos: Iterable[EffectInfo]) -> str:
    """Descriptions as a JSON list."""
    return json.dumps([asdict(info) for info in infos], indent=2)


_HEAD = """\
# Effects

<!-- Made by `python -m facefx.effects.reference > docs/effects.md`; a test compares them. -->

An effect is asked for as `NAME` or `NAME:param=value,param=value`; write `\\,` for a comma within a
value. Several make a chain, which always runs in this order: {families}. Lengths are
fractions of the face's box, so that a face looks the same at any resolution.

Every effect also takes `who`, the faces that it is for; `--select WHO` says it for all that do not:
`all`, `largest[:N]`, `leftmost[:N]`, `rightmost[:N]` (in the picture as it is shown), `track:N[/N…]`
(numbers from `facefx analyze`), `area:x0/y0/x1/y1` in parts of the picture; several joined by `+`; `not:` in
front for everyone else: `solid:who=not:largest`. Each frame is judged by itself.

`@NAME` instead of an effect is a preset, a chain that comes with the package; `@mine.yaml` one of your own,
a file with `about:` and a list `effects:`. There are:

{presets}

An effect that hides a face replaces the face whole; soft edges lie outside it. It changes no
rectangle larger than 2.5 times the face's box, unless `shape=frame` asks for the whole picture.
Where it fails, the frame is blacked out; where any other effect fails, it is left out for that
frame; both are counted in the report.
"""


def to_markdown() -> str:
    """The reference page."""
    presets = "\n".join(f"- `@{name}`: {preset(name).about}" for name in preset_names())
    parts = [_HEAD.format(families=", ".join(FAMILIES), presets=presets)]
    for info in describe_all():
        parts.append(f"\n## {info.name}\n\n{info.summary}\n")
        parts.append(f"\nFamily: {info.family}. Needs: {', '.join(info.needs)}.\n")
        if info.caution:
            parts.append(f"\n> **Caution.** {info.caution}\n")
        parts.append("\n| parameter | type | range | default | meaning |\n|---|---|---|---|---|\n")
        for param in info.params:
            default = "required" if param.required else f"`{param.default}`" if param.default != "" else ""
            parts.append(
                f"| `{param.name}` | {param.type} | {param.range} | {default} | {param.description} |\n"
            )
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(to_markdown())
