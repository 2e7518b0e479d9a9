"""Names, parameters and messages; and that a new effect is one file."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest
from effect_makers import face, flat, painted, stream

from facefx.effects import library, reference, registry
from facefx.effects.chain import EffectChain
from facefx.effects.effect import FAMILIES, EffectSpec
from facefx.effects.registry import effect_class, effect_names, make_effect, order_chain, parse_effect
from facefx.errors import EffectError, FacefxError

ROOT = Path(__file__).resolve().parents[2]

NEW_EFFECT = '''
"""negate: a negative."""
from pydantic import Field
from facefx.effects.effect import Effect, EffectParams

class NegateParams(EffectParams):
    """Parameters."""
    strength: float = Field(1.0, ge=0.0, le=1.0, description="How much.")

class Negate(Effect):
    """Turn the box into its negative."""
    name = "negate"
    family = "colour"
    Params = NegateParams

    def region(self, face):
        return face.xyxy

    def apply(self, patch, face):
        patch.planes[0][...] = 251 - patch.planes[0]
'''

_KINDS = {"choice", "number", "whole number", "colour", "path", "text", "true or false"}


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        ("solid", "solid", {"colour": "#000000", "shape": "ellipse", "grow": 1.3, "feather": 0.0}),
        ("pixelate:cells=6,shape=box", "pixelate", {"cells": 6, "shape": "box"}),
        (" blur : strength = 0.3 ", "blur", {"strength": 0.3}),
        ("solid:colour=Red,grow=1", "solid", {"colour": "#ff0000", "grow": 1.0}),
        ("solid:colour=0f8", "solid", {"colour": "#00ff88"}),
    ],
)
def test_an_effect_is_read_from_a_line(text: str, name: str, params: dict[str, object]) -> None:
    spec = parse_effect(text)
    assert spec.name == name
    assert spec.params.items() >= params.items()
    assert set(spec.params) == set(effect_class(name).Params.model_fields)
    assert make_effect(spec).name == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pixlate", "unknown effect 'pixlate', did you mean 'pixelate'?: expected one of "),
        ("", "unknown effect '': expected one of "),
        (
            "blur:strenght=1",
            "unknown parameter 'strenght', did you mean 'strength'?: expected one of shape, ",
        ),
        ("pixelate:cells=40", "parameter 'cells': expected whole number from 2 to 12, got '40'"),
        ("pixelate:cells=many", "parameter 'cells': expected whole number from 2 to 12, got 'many'"),
        ("blur:strength=nan", "parameter 'strength': expected number from 0.02 to 0.5, got 'nan'"),
        ("solid:shape=round", "parameter 'shape': expected one of ellipse, box, oval, frame, got 'round'"),
        ("solid:colour=blurple", "parameter 'colour': expected colour #rrggbb or a name, got 'blurple'"),
        ("solid:colour", "expected NAME:param=value,param=value, got 'colour'"),
        ("solid:", "expected NAME:param=value,param=value, got ''"),
        ("solid:grow=1.1,grow=1.2", "parameter 'grow' is given twice"),
        ("image", "parameter 'path' is missing: expected path"),
        ("image:path=nowhere.png", "nowhere.png cannot be read: No such file or directory"),
    ],
)
def test_a_typo_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(EffectError) as caught:
        parse_effect(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_comma_in_a_path_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(EffectError, match=r"a,b\.png cannot be read"):
        parse_effect(f"image:path={tmp_path}/a\\,b.png,grow=1.2")


def test_a_spec_is_frozen_and_travels() -> None:
    spec = parse_effect("pixelate:cells=5")
    with pytest.raises(FrozenInstanceError):
        spec.name = "solid"  # type: ignore[misc]
    assert EffectSpec.from_json(spec.to_json()) == spec
    assert hash(EffectSpec.from_json(spec.to_json())) == hash(spec)
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert json.loads(json.dumps(asdict(spec)))["params"]["cells"] == 5
    assert EffectSpec.checked("pixelate", {"cells": 5}) == spec


@pytest.mark.parametrize("text", ["", "[]", '{"name": "solid"}', '{"name": "solid", "params": {"x": 1}}'])
def test_a_broken_spec_is_refused(text: str) -> None:
    with pytest.raises(EffectError):
        EffectSpec.from_json(text)


def test_a_spec_of_another_version_is_refused_when_it_is_made() -> None:
    with pytest.raises(EffectError, match="unknown parameter 'glow'"):
        make_effect(EffectSpec("solid", {"glow": 1}))


@pytest.fixture
def new_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the registry searches too; what is put there is found."""
    monkeypatch.setattr(library, "__path__", [*library.__path__, str(tmp_path)])
    registry._classes.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    for name in [name for name in sys.modules if name.startswith(f"{library.__name__}.")]:
        if str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    registry._classes.cache_clear()


def test_a_new_effect_is_one_file(new_effect: Path) -> None:
    (new_effect / "negate.py").write_text(NEW_EFFECT)
    assert "negate" in effect_names()
    specs = order_chain([parse_effect("solid"), parse_effect("negate:strength=0.5")])
    assert [spec.name for spec in specs] == ["negate", "solid"]
    chain = EffectChain([make_effect(parse_effect("negate"))], stream())
    after, _ = painted(chain, flat(chain.format, (100, 128, 128)), [face((20, 20, 60, 60))])
    assert after[0][30, 30] == 151
    assert "## negate" in reference.to_markdown()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "negate"', 'name = "Negate!"', "it needs a name"),
        ('name = "negate"', 'name = "solid"', "defined twice"),
        ('family = "colour"', 'family = "magic"', "its family must be one of"),
        ('"""Turn the box into its negative."""', "", "docstring"),
        ("Params = NegateParams", "Params = dict", "Params must be"),
        (', description="How much."', "", "without a description: strength"),
    ],
)
def test_a_careless_effect_is_named(new_effect: Path, old: str, new: str, said: str) -> None:
    assert old in NEW_EFFECT
    (new_effect / "careless.py").write_text(NEW_EFFECT.replace(old, new))
    with pytest.raises(FacefxError, match=said):
        effect_names()


def test_privacy_is_last_in_any_chain() -> None:
    assert FAMILIES[-1] == "privacy"
    specs = [parse_effect("solid:grow=1.1"), parse_effect("blur"), parse_effect("solid")]
    assert order_chain(specs) == specs


def test_the_effects_page_is_the_effects_own() -> None:
    """`python -m facefx.effects.reference > docs/effects.md` writes it again."""
    page = (ROOT / "docs" / "effects.md").read_text(encoding="utf-8")
    assert page == reference.to_markdown()
    assert page != reference.to_markdown().replace("1.3", "1.4")


def test_every_parameter_is_explained() -> None:
    for info in reference.describe_all():
        assert info.summary
        assert info.needs
        for param in info.params:
            assert param.description
            assert param.type in _KINDS
            assert param.range or param.type in {"path", "text"}
