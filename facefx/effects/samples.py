"""Settings of an effect that are worth looking at: declared by it, or derived from its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from facefx.effects.effect import Effect, EffectParams

__all__ = ["STRENGTHS", "Params", "lacking", "sample_files", "samples_of", "slider", "sliders", "text_of"]

Params = Mapping[str, Any]

STRENGTHS = (0.25, 0.5, 1.0)
"""Parts of the range of a `strength` at which an effect is shown."""

_NUMBERS = ("number", "integer")
_PARTS_OF_DEFAULT = (0.5, 1.0, 1.5)


def samples_of(effect: type[Effect]) -> tuple[dict[str, Any], ...]:
    """Settings to show, weakest first; files that they need are not among them (see sample_files).

    What the effect declares; else its strength at a quarter, half and all of its range; else, where
    several numbers rest at 0, each of them alone at its highest; else its own first number around
    its default.

    >>> from facefx.effects.registry import effect_class
    >>> samples_of(effect_class("smooth"))
    ({'strength': 0.25}, {'strength': 0.5}, {'strength': 1.0})
    >>> samples_of(effect_class("pixelate"))
    ({'cells': 4}, {'cells': 8}, {'cells': 12})
    """
    if effect.samples:
        return tuple(dict(sample) for sample in effect.samples)
    names = sliders(effect)
    if names == ("strength",):
        return tuple({"strength": slider(effect, "strength", part)} for part in STRENGTHS)
    if names:
        return tuple({name: slider(effect, name, 1.0)} for name in names)
    for name in _numbers(effect.Params):
        return _around(effect.Params, name)
    return ({},)


def sliders(effect: type[Effect]) -> tuple[str, ...]:
    """The numbers that say how much is done: its strength, or several that all rest at 0; perhaps none."""
    numbers = _numbers(effect.Params)
    if "strength" in numbers:
        return ("strength",)
    resting = all(effect.Params.model_fields[name].default == 0 for name in numbers)
    return numbers if resting and len(numbers) > 1 else ()


def slider(effect: type[Effect], name: str, part: float) -> float:
    """The value of a number at a part, 0..1, of its range, or of what lies above 0 where it goes below."""
    low, high = _bounds(effect.Params, name)
    start = max(low, 0.0)
    return round(start + part * (high - start), 4)


def sample_files(effect: type[Effect], folder: Path) -> dict[str, Any]:
    """Have the files of an effect's samples made in a folder; return the parameters that name them.

    The folder is made where there is any file.
    """
    if effect.sample_files.__func__ is Effect.sample_files.__func__:  # type: ignore[attr-defined]
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    return dict(effect.sample_files(folder))


def lacking(effect: type[Effect], params: Params) -> tuple[str, ...]:
    """Names of the parameters without which the effect cannot be made, and that are not given."""
    fields = effect.Params.model_fields
    return tuple(name for name, field in fields.items() if field.is_required() and name not in params)


def text_of(name: str, params: Params) -> str:
    r"""The effect as a command line asks for it.

    >>> text_of("solid", {}), text_of("image", {"path": "a,b.png", "grow": 1.0})
    ('solid', 'image:path=a\\,b.png,grow=1')
    """
    parts = [f"{key}={_said(value)}" for key, value in params.items()]
    return f"{name}:{','.join(parts)}" if parts else name


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (f"{value:g}" if isinstance(value, float) else str(value)).replace(",", "\\,")


@cache
def _numbers(params: type[EffectParams]) -> tuple[str, ...]:
    """Names of optional numbers with two bounds, the class's own before those that it inherits."""
    schema = params.model_json_schema()["properties"]
    own = vars(params).get("__annotations__", {})
    found = [
        name
        for name, said in schema.items()
        if said.get("type") in _NUMBERS
        and not params.model_fields[name].is_required()
        and _bound(said, "minimum", "exclusiveMinimum") is not None
        and _bound(said, "maximum", "exclusiveMaximum") is not None
    ]
    return tuple(sorted(found, key=lambda name: name not in own))


def _bounds(params: type[EffectParams], name: str) -> tuple[float, float]:
    said = params.model_json_schema()["properties"][name]
    low = _bound(said, "minimum", "exclusiveMinimum")
    high = _bound(said, "maximum", "exclusiveMaximum")
    assert low is not None
    assert high is not None
    return low, high


def _bound(said: Mapping[str, Any], *names: str) -> float | None:
    return next((float(said[name]) for name in names if name in said), None)


def _around(params: type[EffectParams], name: str) -> tuple[dict[str, Any], ...]:
    """A number at half, once and one and a half times its default, within its bounds; each only once."""
    default = params.model_fields[name].default
    low, high = _bounds(params, name)
    if not default:
        values = [low + part * (high - low) for part in STRENGTHS]
    else:
        values = [min(max(default * part, low), high) for part in _PARTS_OF_DEFAULT]
    whole = isinstance(default, int)
    kept = dict.fromkeys(round(value) if whole else round(value, 4) for value in values)
    return tuple({name: value} for value in kept)
