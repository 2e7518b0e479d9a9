"""A chain that somebody else asks for, over a network: nothing of this machine is opened by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from facefx.effects.effect import EffectSpec
from facefx.effects.files import BUILTIN
from facefx.effects.presets import PRESET_SIGN, preset_names, read_chain
from facefx.effects.registry import effect_class
from facefx.errors import EffectError

__all__ = ["MOST_EFFECTS", "read_remote_chain"]

MOST_EFFECTS = 32

Entry = str | Mapping[str, Mapping[str, Any] | None]


def read_remote_chain(entries: Sequence[Entry], who: str = "all") -> tuple[EffectSpec, ...]:
    """Read a chain as read_chain does, but refuse whatever names a file: only what ships may be named.

    Raises EffectError.

    >>> read_remote_chain(["image:path=/etc/passwd"])
    Traceback (most recent call last):
        ...
    facefx.errors.EffectError: effect image: path may only name what ships, as builtin:NAME; got a file
    """
    if len(entries) > MOST_EFFECTS:
        raise EffectError(f"{len(entries)} effects in one chain, at most {MOST_EFFECTS}")
    for entry in entries:
        if isinstance(entry, str):
            _check_text(entry)
        elif isinstance(entry, Mapping):
            for name, params in entry.items():
                _check_params(str(name), params)
        else:
            raise EffectError(f"expected `name:param=value` or {{name: {{param: value}}}}, got {entry!r}")
    return read_chain(entries, who)


def _check_text(entry: str) -> None:
    if entry.startswith(PRESET_SIGN):
        name = entry.removeprefix(PRESET_SIGN).strip()
        if name not in preset_names():
            raise EffectError(f"unknown preset: expected one of {', '.join(preset_names())}")
        return
    name, _, rest = entry.strip().partition(":")
    pairs = (part.partition("=") for part in re.split(r"(?<!\\),", rest))
    _check_params(name.strip(), {key.strip(): value.strip() for key, _, value in pairs})


def _check_params(name: str, params: Mapping[str, Any] | None) -> None:
    if params is not None and not isinstance(params, Mapping):
        raise EffectError(f"effect {name}: expected parameters by name, got {type(params).__name__}")
    fields = effect_class(name).Params.model_json_schema().get("properties", {})
    for key, value in (params or {}).items():
        names_file = fields.get(key, {}).get("format") == "path"
        if names_file and not str(value).startswith(BUILTIN):
            raise EffectError(f"effect {name}: {key} may only name what ships, as builtin:NAME; got a file")
