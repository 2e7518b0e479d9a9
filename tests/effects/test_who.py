"""Whom an effect is for: chosen by what is seen, as the viewer sees it; a mistake is said at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from effect_makers import Box, Brighten, Reshape, core, face, flat, stream

from facefx.effects.chain import EffectChain
from facefx.effects.effect import EffectSpec
from facefx.effects.library.solid import Solid
from facefx.effects.registry import make_effect, parse_effect
from facefx.effects.who import EVERYONE, Who
from facefx.errors import EffectError
from facefx.values import Face, StreamFormat

FORMAT = stream(width=200, height=100)
SMALL: Box = (10.0, 10.0, 30.0, 30.0)  # upper left
LARGE: Box = (140.0, 50.0, 190.0, 95.0)  # lower right
MIDDLE: Box = (90.0, 20.0, 120.0, 55.0)
FACES = [face(SMALL, 1), face(LARGE, 2), face(MIDDLE, 3)]


def tracks(who: str, format: StreamFormat = FORMAT, faces: list[Face] = FACES) -> set[int]:
    return {faces[i].track_id for i in Who.parse(who).choose(faces, format)}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("all", {1, 2, 3}),
        ("largest", {2}),
        ("largest:2", {2, 3}),
        ("largest:9", {1, 2, 3}),
        ("leftmost", {1}),
        ("rightmost:2", {2, 3}),
        ("track:3", {3}),
        ("track:1/3/7", {1, 3}),
        ("area:0/0/0.5/0.5", {1}),
        ("area:0/0/1/0.5", {1, 3}),
        ("leftmost+rightmost", {1, 2}),
        ("not:largest", {1, 3}),
        ("not:leftmost+track:3", {2}),
        ("not:all", set()),
    ],
)
def test_each_way_to_choose(who: str, expected: set[int]) -> None:
    assert tracks(who) == expected
    assert Who.parse(who).everyone == (who == "all")


def test_nobody_is_chosen_among_nobody() -> None:
    assert tracks("largest", faces=[]) == set()


def test_equals_are_told_apart_by_their_track_so_that_the_order_of_faces_does_not_matter() -> None:
    twins = [face(SMALL, 8), face((110.0, 10.0, 130.0, 30.0), 5)]
    assert tracks("largest", faces=twins) == tracks("largest", faces=twins[::-1]) == {5}


# A player turns the stored picture anticlockwise: what is stored at the right is then shown at the top.
@pytest.mark.parametrize(
    ("rotation", "mirrored", "leftmost", "upper"),
    [
        (0, False, 1, {1, 3}),
        (90, False, 1, {2}),
        (180, False, 2, {2}),
        (270, False, 2, {1}),
        (0, True, 1, {2}),
    ],
)
def test_left_and_area_are_as_the_picture_is_shown(
    rotation: int, mirrored: bool, leftmost: int, upper: set[int]
) -> None:
    shown = replace(FORMAT, rotation=rotation, mirrored=mirrored)
    assert tracks("leftmost", shown) == {leftmost}
    assert tracks("area:0/0/1/0.45", shown) == upper


@pytest.mark.parametrize(
    "who",
    [
        "",
        "everyone",
        "largest:0",
        "largest:1.5",
        "track",
        "track:",
        "area:0/0/1",
        "area:0.5/0/0.2/1",
        "all:2",
        "not:",
    ],
)
def test_what_cannot_be_meant_is_an_error_that_says_what_can(who: str) -> None:
    with pytest.raises(EffectError, match=r"largest\[:N\]"):
        Who.parse(who)


def test_a_mistake_is_found_when_the_effect_is_named_not_in_the_first_frame() -> None:
    with pytest.raises(EffectError, match="who 'nobody'"):
        parse_effect("solid:who=nobody")


def test_who_is_part_of_a_spec_and_leaves_no_trace_where_it_is_everyone() -> None:
    assert parse_effect("solid").to_json() == EffectSpec.checked("solid").to_json()
    assert "who" not in parse_effect("solid").to_json()
    chosen = parse_effect("solid:who=not:largest")
    assert EffectSpec.from_json(chosen.to_json()) == chosen
    assert EffectSpec.checked("solid", {**chosen.params, "who": chosen.who}) == chosen
    assert make_effect(chosen).who == Who.parse("not:largest")
    assert make_effect(parse_effect("solid")).who == EVERYONE


def test_the_effects_own_choice_wins_over_the_one_for_all() -> None:
    assert parse_effect("solid", who="largest").who == "largest"
    assert parse_effect("solid:who=all", who="largest").who == "all"


def test_a_chain_changes_the_chosen_faces_only() -> None:
    planes = flat(FORMAT, (90, 128, 128))
    chain = EffectChain([make_effect(parse_effect("solid:who=largest"))], FORMAT)
    patches = chain.frame(0, planes, FACES)
    assert len(patches) == 1
    assert patches[0].x >= 120


def test_each_effect_of_a_chain_has_faces_of_its_own() -> None:
    planes = flat(FORMAT, (90, 128, 128))
    bright, solid = Brighten.of(), Solid.of(colour="#000000")
    bright.who, solid.who = Who.parse("leftmost"), Who.parse("rightmost")
    shown = [plane.copy() for plane in planes]
    for patch in EffectChain([solid, bright], FORMAT).frame(0, planes, FACES):
        patch.paste(tuple(shown))
    luma = shown[0]
    assert luma[core(FORMAT, SMALL)].min() > 90
    assert luma[core(FORMAT, LARGE)].max() == 16
    assert np.all(luma[core(FORMAT, MIDDLE)] == 90)


class _Shove(Reshape):
    """Moves the face to the right by its width."""

    name = "shove"

    def moved(self, face: Face) -> Face:
        x0, y0, x1, y1 = face.xyxy
        return replace(face, xyxy=(x0 + 20, y0, x1 + 20, y1))


class _Lost(_Shove):
    """Does not know where it has moved a face to."""

    name = "lost"

    def moved(self, face: Face) -> Face:
        raise ZeroDivisionError("nowhere")


def test_a_warp_that_loses_the_face_is_left_out_and_the_face_is_hidden_all_the_same() -> None:
    planes = flat(FORMAT, (90, 128, 128))
    shown = [plane.copy() for plane in planes]
    chain = EffectChain([Solid.of(shape="box"), _Lost.of()], FORMAT)
    for patch in chain.frame(0, planes, [face(SMALL)]):
        patch.paste(tuple(shown))
    assert chain.stats.skipped == {"lost: ZeroDivisionError": 1}
    assert shown[0][10:30, 10:30].max() == 16


def test_a_face_that_was_moved_is_hidden_where_it_was_and_where_it_is() -> None:
    planes = flat(FORMAT, (90, 128, 128))
    shown = [plane.copy() for plane in planes]
    for patch in EffectChain([Solid.of(shape="box"), _Shove.of()], FORMAT).frame(0, planes, [face(SMALL)]):
        patch.paste(tuple(shown))
    assert shown[0][10:30, 10:50].max() == 16
