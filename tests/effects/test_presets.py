"""Presets: every shipped one can be made; one's own is read from a file; mistakes are said at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefx.effects.presets import preset, preset_names, read_chain
from facefx.effects.registry import effect_class, make_effect
from facefx.errors import EffectError


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_says_what_it_is_for_and_can_be_made(name: str) -> None:
    assert preset(name).about.endswith(".")
    chain = read_chain([f"@{name}"])
    assert chain
    for spec in chain:
        make_effect(spec)


def test_there_is_a_preset_for_each_kind_of_user() -> None:
    assert {"privacy-strict", "newsroom", "natural", "glam"} <= set(preset_names())


@pytest.mark.parametrize("name", ["privacy-strict", "newsroom"])
def test_a_preset_that_hides_faces_holds_nothing_that_can_be_undone(name: str) -> None:
    families = [effect_class(spec.name).family for spec in read_chain([f"@{name}"])]
    assert families[-1] == "privacy"
    assert not [spec for spec in read_chain([f"@{name}"]) if effect_class(spec.name).caution]


def test_a_preset_and_effects_beside_it_make_one_chain_in_the_fixed_order() -> None:
    names = [spec.name for spec in read_chain(["solid", "@natural"])]
    assert names[-1] == "solid"
    assert "smooth" in names


def test_whom_a_preset_is_for_can_be_said_for_all_of_it() -> None:
    assert {spec.who for spec in read_chain(["@natural"], "largest")} == {"largest"}


def test_a_preset_of_ones_own_is_read_from_its_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("about: Mine.\neffects:\n  - pixelate: {cells: 6, who: 'not:largest'}\n  - solid\n")
    first, second = read_chain([f"@{mine}"])
    assert (first.name, first.params["cells"], first.who) == ("pixelate", 6, "not:largest")
    assert second.name == "solid"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("effects: solid", "with a list"),
        ("effects: [solid]\nmore: 1", "nothing else"),
        ("- solid", "with a list"),
        ("effects: ['@glam']", "holds the preset"),
        ("effects: [3]", "got 3"),
        ("effects: [solid", "is not YAML"),
        ("effects: [soild]", "did you mean 'solid'"),
        ("effects: [{solid: {grow: 9}}]", "grow"),
    ],
)
def test_a_broken_preset_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    with pytest.raises(EffectError, match=words) as raised:
        read_chain([f"@{mine}"])
    assert "\n" not in str(raised.value)


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(EffectError, match="privacy-strict"):
        read_chain(["@glamour"])
    with pytest.raises(EffectError, match="cannot be read"):
        read_chain(["@missing.yaml"])
