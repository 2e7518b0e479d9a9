"""GET /v1/effects: what may be asked for, with the range of every parameter: a page makes sliders of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter

from facefx.effects.effect import Effect
from facefx.effects.files import BUILTIN
from facefx.effects.presets import PRESET_SIGN, preset, preset_names
from facefx.effects.reference import describe
from facefx.effects.registry import effect_class, effect_names

__all__ = ["effect_routes", "effects_json"]

_KEPT = ("type", "format", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_OURS = "sha256"  # filled in when a plan is made; nobody sets it by hand


def effect_routes() -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["effects"])

    @routes.get("/v1/effects")
    def list_effects() -> dict[str, Any]:
        """Every effect and preset: what it does, and each parameter with type, range and default."""
        return effects_json()

    return routes


@cache
def effects_json() -> dict[str, Any]:
    """Effects in the order in which a chain runs, then presets, as plain values."""
    presets = (preset(name) for name in preset_names())
    return {
        "effects": [_effect(effect_class(name)) for name in effect_names()],
        "presets": [
            {"name": PRESET_SIGN + one.name, "about": one.about, "effects": list(one.effects)}
            for one in presets
        ],
    }


def _effect(effect: type[Effect]) -> dict[str, Any]:
    told = describe(effect)
    schema = effect.Params.model_json_schema()["properties"]
    own = vars(effect.Params).get("__annotations__", {})
    samples = [dict(sample) for sample in effect.samples]
    return {
        "name": told.name,
        "family": told.family,
        "needs": list(told.needs),
        "summary": told.summary,
        "caution": told.caution,
        # What makes the effect comes first, then what it has in common with others.
        "params": [
            _param(effect, name, schema[name], samples)
            for name in sorted(schema, key=lambda name: name not in own)
            if name != _OURS
        ],
    }


def _param(
    effect: type[Effect], name: str, said: dict[str, Any], samples: list[dict[str, Any]]
) -> dict[str, Any]:
    """One parameter; of one that names a file, what may be named from elsewhere: what ships."""
    field = effect.Params.model_fields[name]
    param: dict[str, Any] = {"name": name, "description": field.description or ""}
    param |= {key: said[key] for key in _KEPT if key in said}
    param["required"] = field.is_required()
    if not field.is_required():
        param["default"] = said.get("default")
    if said.get("format") == "path":
        shipped = (str(sample.get(name, "")) for sample in samples)
        param["enum"] = list(dict.fromkeys(path for path in shipped if path.startswith(BUILTIN)))
    return param
