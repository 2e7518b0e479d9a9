"""Every effect by name: found in the library's modules and in those of other packages, checked once.

A package has its effects found by an entry point of the group `facefx.effects` that names a module.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import ValidationError

from facefx.effects import library
from facefx.effects.effect import FAMILIES, Effect, EffectParams, EffectSpec, Need
from facefx.effects.who import Who
from facefx.errors import EffectError, FacefxError

__all__ = [
    "GROUP",
    "effect_class",
    "effect_names",
    "make_effect",
    "make_spec",
    "order_chain",
    "parse_effect",
    "wants",
]

GROUP = "facefx.effects"
"""The group of entry points by which other packages name modules with effects."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@cache
def _classes() -> Mapping[str, type[Effect]]:
    """Import every module that may hold effects and gather those that it defines, by name."""
    found: dict[str, type[Effect]] = {}
    for module in (*_shipped(), *_foreign()):
        for effect in _defined(module):
            if effect.name in found:
                raise FacefxError(
                    f"effect {effect.name!r} is defined twice: {found[effect.name]} and {effect}"
                )
            found[effect.name] = effect
    return MappingProxyType(
        dict(sorted(found.items(), key=lambda item: (FAMILIES.index(item[1].family), item[0])))
    )


def _shipped() -> Iterable[ModuleType]:
    """The modules of the library."""
    for info in sorted(pkgutil.iter_modules(library.__path__), key=lambda info: info.name):
        yield importlib.import_module(f"{library.__name__}.{info.name}")


def _foreign() -> Iterable[ModuleType]:
    """Modules of other packages, each once, in the order of their names and not of installation."""
    points = {point.value: point for point in entry_points(group=GROUP)}
    for _, point in sorted(points.items()):
        try:
            module = point.load()
        except Exception as error:
            raise EffectError(
                f"effects of the entry point {point.name} = {point.value}: the module cannot be imported: "
                f"{type(error).__name__}: {error}; mend or uninstall {_package(point)}"
            ) from error
        if not inspect.ismodule(module):
            raise EffectError(
                f"effects of the entry point {point.name} = {point.value}: expected a module, got "
                f"{type(module).__name__}; name the module alone"
            )
        yield module


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "its package"


def _defined(module: ModuleType) -> Iterable[type[Effect]]:
    """The concrete effects of a module, imports left out; each declares what it must."""
    for value in vars(module).values():
        own = inspect.isclass(value) and issubclass(value, Effect) and value.__module__ == module.__name__
        if own and not inspect.isabstract(value):
            problem = _declaration_problem(value)
            if problem:
                raise FacefxError(f"{module.__name__}.{value.__name__} is not an effect: {problem}")
            yield value


def _declaration_problem(effect: type[Effect]) -> str:
    """What an effect's declaration lacks, or nothing."""
    if not _NAME.fullmatch(getattr(effect, "name", "")):
        return "it needs a name in lower case"
    if getattr(effect, "family", "") not in FAMILIES:
        return f"its family must be one of {', '.join(FAMILIES)}"
    if not vars(effect).get("__doc__"):
        return "its docstring, which users read, is missing"
    if "who" in getattr(getattr(effect, "Params", None), "model_fields", ()):
        return "a parameter named who would hide the one that every effect has"
    params = getattr(effect, "Params", None)
    if not (inspect.isclass(params) and issubclass(params, EffectParams)):
        return "its Params must be a subclass of EffectParams"
    bare = [name for name, info in params.model_fields.items() if not info.description]
    return f"parameters without a description: {', '.join(bare)}" if bare else ""


def effect_names() -> tuple[str, ...]:
    """Names of all effects, in chain order, then by name."""
    return tuple(_classes())


def effect_class(name: str) -> type[Effect]:
    """Look an effect up.

    Raises EffectError with what was probably meant, and what there is.
    """
    known = _classes()
    if name in known:
        return known[name]
    raise EffectError(
        f"unknown effect {name!r}{_suggestion(name, known)}: expected one of {', '.join(known)}"
    )


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def parse_effect(text: str, who: str = "all") -> EffectSpec:
    r"""Read NAME or NAME:param=value,param=value; a comma within a value is written \,.

    who: which faces it is for where the text does not say so.

    Raises EffectError.

    >>> parse_effect("pixelate:cells=6,shape=box").params["cells"]
    6
    """
    name, colon, rest = text.strip().partition(":")
    effect_class(name.strip())
    values: dict[str, str] = {}
    parts = re.split(r"(?<!\\),", rest) if colon else []
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise EffectError(f"effect {text!r}: expected NAME:param=value,param=value, got {part.strip()!r}")
        if key in values:
            raise EffectError(f"effect {text!r}: parameter {key!r} is given twice")
        values[key] = value.replace("\\,", ",")
    return make_spec(name.strip(), {"who": who, **values})


def make_spec(name: str, params: Mapping[str, Any]) -> EffectSpec:
    """Check parameters (text is converted), fill in defaults, pin files.

    params: of the effect, and perhaps "who" (see Who.parse), which every effect has.

    Raises EffectError.
    """
    effect = effect_class(name)
    who = str(params.get("who", "all")).strip()
    Who.parse(who)
    checked = effect.pinned(_validated(effect, {key: params[key] for key in params if key != "who"}))
    return EffectSpec(effect.name, checked.model_dump(mode="json"), who)


def make_effect(spec: EffectSpec) -> Effect:
    """Make the effect that a spec describes.

    Raises EffectError where the spec does not fit this version's effects.
    """
    made = effect_class(spec.name)
    effect = made(_validated(made, spec.params))
    effect.who = Who.parse(spec.who)
    return effect


def wants(spec: EffectSpec) -> frozenset[Need]:
    """What an effect makes use of with the parameters that it has.

    Raises EffectError where the spec does not fit this version's effects.
    """
    effect = effect_class(spec.name)
    return effect.wants(_validated(effect, spec.params))


def order_chain(specs: Iterable[EffectSpec]) -> list[EffectSpec]:
    """Sort by family: geometry, colour, overlay, then privacy; within one, the given order stays."""
    return sorted(specs, key=lambda spec: FAMILIES.index(effect_class(spec.name).family))


def _validated(effect: type[Effect], params: Mapping[str, Any]) -> EffectParams:
    known = effect.Params.model_fields
    for key in params:
        if key not in known:
            raise EffectError(
                f"effect {effect.name}: unknown parameter {key!r}{_suggestion(str(key), known)}: "
                f"expected one of {', '.join(known)}"
            )
    try:
        return effect.Params.model_validate(dict(params))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise EffectError(
            _message(effect, first["loc"], first["type"], first["msg"], first["input"])
        ) from error


def _message(effect: type[Effect], loc: tuple[Any, ...], kind: str, text: str, value: Any) -> str:
    from facefx.effects.reference import describe_param

    name = str(loc[0]) if loc else ""
    expected = describe_param(effect, name).expected if name else text
    if kind == "missing":
        return f"effect {effect.name}: parameter {name!r} is missing: expected {expected}"
    return f"effect {effect.name}: parameter {name!r}: expected {expected}, got {value!r}"
