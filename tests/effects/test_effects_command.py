"""`facefx effects` tells everything that a user needs to write a chain."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from facefx.cli.effects import register
from facefx.effects.registry import effect_class, effect_names
from facefx.errors import EffectError


def said(*arguments: str) -> str:
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["effects", *arguments], env={"COLUMNS": "200"})
    if isinstance(result.exception, EffectError):
        raise result.exception
    assert result.exit_code == 0
    return result.output


def test_every_effect_and_parameter_is_listed() -> None:
    text = said()
    for name in effect_names():
        assert f"{name}  {effect_class(name).family}, needs box" in text
        for param in effect_class(name).Params.model_fields:
            assert param in text
    assert "from 2 to 12" in text


def test_one_effect_can_be_asked_for() -> None:
    text = said("pixelate")
    assert "cells" in text
    assert "strength" not in text


def test_an_unknown_effect_is_an_error() -> None:
    with pytest.raises(EffectError, match="did you mean 'pixelate'"):
        said("pixlate")


def test_machines_can_read_it() -> None:
    effects = {effect["name"]: effect for effect in json.loads(said("--json"))}
    assert set(effects) == set(effect_names())
    cells = next(param for param in effects["pixelate"]["params"] if param["name"] == "cells")
    assert (cells["type"], cells["range"], cells["default"]) == ("whole number", "from 2 to 12", 8)
    assert effects["blur"]["caution"]
