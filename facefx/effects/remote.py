"""Effects that somebody elsewhere asks for: they may not name files of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from facefx.effects.files import BUILTIN
from facefx.effects.presets import PRESET_SIGN, preset_names
from facefx.effects.registry import effect_class
from facefx.errors import EffectError

__all__ = ["MOST_EFFECTS", "check_remote", "file_params"]

MOST_EFFECTS = 32
"""In one chain that is asked for from elsewhere."""

Entry = str | Mapping[str, Mapping[str, Any] | None]


def check_remote(entries: Sequence[Entry]) -> None:
    """Refuse a chain that would open a file of this machine, before anything of it is read.

    Nothing else is checked: read_chain does that.

    Raises EffectError.

    >>> check_remote(["solid", "@natural", {"image": {"path": "builtin:smile"}}])
    """
    if len(entries) > MOST_EFFECTS:
        raise EffectError(f"{len(entries)} effects are asked for: expected at most {MOST_EFFECTS}")
    for entry in entries:
        if isinstance(entry, str):
            _check_text(entry)
            continue
        for name, params in entry.items():
            _check_params(name, params or {})


def file_params(name: str) -> tuple[str, ...]:
    """Parameters of an effect that may name a file.

    Raises EffectError for an unknown effect.
    """
    schema = effect_class(name).Params.model_json_schema()["properties"]
    return tuple(key for key, said in schema.items() if said.get("format") == "path")


def _check_text(text: str) -> None:
    if text.startswith(PRESET_SIGN):
        name = text.removeprefix(PRESET_SIGN).strip()
        if name not in preset_names():
            raise EffectError(f"unknown preset {name!r}: expected one of {', '.join(preset_names())}")
        return
    name, _, rest = text.strip().partition(":")
    parts = (part.partition("=") for part in re.split(r"(?<!\\),", rest))
    _check_params(name.strip(), {key.strip(): value.strip() for key, _, value in parts})


def _check_params(name: str, params: Mapping[str, Any]) -> None:
    for key in file_params(name):
        if key in params and not str(params[key]).startswith(BUILTIN):
            raise EffectError(
                f"effect {name}: {key} may not name a file of the server: expected {BUILTIN}NAME"
            )
