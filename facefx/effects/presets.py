"""Chains of effects under one name: shipped as YAML, or a user's own file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from facefx.effects.effect import EffectSpec
from facefx.effects.registry import make_spec, order_chain, parse_effect
from facefx.errors import EffectError

__all__ = ["PRESET_SIGN", "Preset", "preset", "preset_names", "read_chain"]

PRESET_SIGN = "@"
"""In front of a preset's name, or of the path of a user's own, where an effect's name could stand."""

Entry = str | Mapping[str, Mapping[str, Any] | None]
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Preset:
    """A named chain. about: one sentence for people. effects: as in a settings file."""

    name: str
    about: str
    effects: tuple[Entry, ...]


@cache
def preset_names() -> tuple[str, ...]:
    """Names of the presets that come with the package."""
    folder = files("facefx.effects").joinpath("presets")
    return tuple(
        sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
    )


def preset(name: str) -> Preset:
    """Read a shipped preset by its name, or a user's own by its path, which ends in .yaml.

    Raises EffectError.
    """
    if name.endswith(_SUFFIXES):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EffectError(f"preset {name}: cannot be read: {error}") from error
    elif name in preset_names():
        text = files("facefx.effects").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    else:
        known = ", ".join(preset_names())
        raise EffectError(f"unknown preset {name!r}: expected one of {known}, or a path that ends in .yaml")
    return _checked(name, text)


def _checked(name: str, text: str) -> Preset:
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise EffectError(f"preset {name}: is not YAML: {' '.join(str(error).split())}") from error
    if (
        not isinstance(said, dict)
        or set(said) - {"about", "effects"}
        or not isinstance(said.get("effects"), list)
    ):
        raise EffectError(f"preset {name}: expected `about: …` and `effects:` with a list, and nothing else")
    for entry in said["effects"]:
        if isinstance(entry, str) and entry.startswith(PRESET_SIGN):
            raise EffectError(f"preset {name}: holds the preset {entry!r}: expected effects only")
        if not isinstance(entry, str | dict):
            raise EffectError(f"preset {name}: expected `name:param=value` or `name: {{…}}`, got {entry!r}")
    return Preset(name, str(said.get("about", "")), tuple(said["effects"]))


def read_chain(entries: Sequence[Entry], who: str = "all") -> tuple[EffectSpec, ...]:
    """Read what a user asks for, presets laid out, parameters checked, in the order in which it runs.

    who: which faces, for effects that do not say so themselves.

    Raises EffectError.

    >>> [spec.name for spec in read_chain(["solid", {"smooth": {"strength": 0.3}}])]
    ['smooth', 'solid']
    """
    specs: list[EffectSpec] = []
    for entry in entries:
        if isinstance(entry, str) and entry.startswith(PRESET_SIGN):
            specs += read_chain(preset(entry.removeprefix(PRESET_SIGN).strip()).effects, who)
        elif isinstance(entry, str):
            specs.append(parse_effect(entry, who))
        else:
            specs += [make_spec(name, {"who": who, **(params or {})}) for name, params in entry.items()]
    return tuple(order_chain(specs))
