"""Settings to show: each can be made, each differs, and an effect that declares none still has some."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from careless_effects import Fair
from pydantic import Field

from facefx.effects.effect import Effect, EffectParams
from facefx.effects.registry import effect_class, effect_names, make_effect, make_spec, parse_effect
from facefx.effects.samples import Params, lacking, sample_files, samples_of, slider, sliders, text_of


class Warp(Fair):
    """Several sliders that rest at 0."""

    class Params(EffectParams):
        """Parameters."""

        slim: float = Field(0.0, ge=0.0, le=1.0, description="One way.")
        chin: float = Field(0.0, ge=-1.0, le=1.0, description="Both ways.")


class Sized(Fair):
    """A size about its default; a switch, and a number without an end, show nothing."""

    class Params(EffectParams):
        """Parameters."""

        on: bool = Field(True, description="A switch.")
        turn: float = Field(0.0, description="No end.")
        width: float = Field(0.3, gt=0.0, le=0.4, description="A size.")


class Plain(Fair):
    """Nothing to set."""

    class Params(EffectParams):
        """Parameters."""


class Declared(Fair):
    """Knows best."""

    samples: ClassVar[tuple[Params, ...]] = ({"strength": 0.1}, {"strength": 0.9})


@pytest.mark.parametrize(
    ("effect", "shown"),
    [
        (Fair, ({"strength": 0.25}, {"strength": 0.5}, {"strength": 1.0})),
        (Warp, ({"slim": 1.0}, {"chin": 1.0})),
        (Sized, ({"width": 0.15}, {"width": 0.3}, {"width": 0.4})),
        (Plain, ({},)),
        (Declared, ({"strength": 0.1}, {"strength": 0.9})),
    ],
)
def test_settings_are_derived_from_the_parameters(effect: type[Effect], shown: tuple[Params, ...]) -> None:
    assert samples_of(effect) == shown


def test_a_part_of_a_slider_is_taken_of_what_lies_above_0() -> None:
    assert [slider(Warp, "chin", part) for part in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]
    assert slider(effect_class("blur"), "strength", 0.0) == 0.02
    assert (sliders(Fair), sliders(Warp), sliders(Sized)) == (("strength",), ("slim", "chin"), ())


@pytest.mark.parametrize("name", effect_names())
def test_every_sample_can_be_made_and_says_its_command(name: str, tmp_path: Path) -> None:
    effect = effect_class(name)
    files = sample_files(effect, tmp_path)
    for sample in samples_of(effect):
        if lacking(effect, {**files, **sample}):
            continue
        spec = make_spec(name, {**files, **sample})
        assert make_effect(spec).name == name
        assert parse_effect(text_of(name, {**files, **sample})) == spec


@pytest.mark.parametrize("name", effect_names())
def test_sample_files_are_the_same_each_time(name: str, tmp_path: Path) -> None:
    made = []
    for part in ("one", "two"):
        sample_files(effect_class(name), tmp_path / part)
        made.append({path.name: path.read_bytes() for path in (tmp_path / part).glob("*")})
    assert made[0] == made[1]
