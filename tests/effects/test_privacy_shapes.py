"""The oval that follows a mesh, and the cover of the whole picture: what they promise, and where they end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from effect_makers import (
    NAMES,
    Box,
    Brighten,
    channels,
    chroma_under,
    core,
    face,
    mesh_face,
    noise,
    painted,
    stream,
    within,
    write_png,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect, EffectSpec
from facefx.effects.library.blur import Blur
from facefx.effects.library.image import Image
from facefx.effects.library.pixelate import Pixelate
from facefx.effects.library.solid import Solid
from facefx.effects.masks import Mesh
from facefx.effects.registry import effect_names, parse_effect, wants
from facefx.effects.shapes import MAX_AREA_RATIO
from facefx.effects.skin import skin_outline
from facefx.effects.who import Who
from facefx.pipeline.plan import needs_landmarks
from facefx.values import Face, Patch, Planes, StreamFormat

FORMATS = (*NAMES, "interlaced")


def hidden(effect: Effect, format: StreamFormat, planes: Planes, *faces: Face) -> Planes:
    chain = EffectChain([effect], format, b"seed")
    after, _ = painted(chain, planes, faces)
    assert not chain.stats.blackouts, chain.stats.first
    return after


def differing(effect: Effect, format: StreamFormat, someone: Face) -> list[NDArray[np.bool_]]:
    """Where two different pictures are still different under the cover, a plane each."""
    one, other = (hidden(effect, format, noise(format, seed), someone) for seed in (1, 2))
    return [a != b for a, b in zip(channels(one), channels(other), strict=True)]


def _region(effect: Effect, someone: Face) -> Box:
    region = effect.region(someone)
    assert region is not None
    return region


def leaks(effect: Effect, format: StreamFormat, someone: Face, luma: NDArray[np.bool_]) -> int:
    masks = [luma, *[chroma_under(format, luma)] * 2]
    return sum(
        int(differ[mask].sum())
        for differ, mask in zip(differing(effect, format, someone), masks, strict=False)
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("turned", [0, 35, 90])
def test_an_oval_hides_the_ellipse_of_the_box_and_the_mesh_up_to_the_hairline(
    name: str, turned: float
) -> None:
    format = stream(name)
    someone = mesh_face((81, 63), 72, turned)
    oval = within(format, skin_outline(Mesh(someone)))
    for effect in (
        Solid.of(shape="oval"),
        Solid.of(shape="oval", feather=0.2),
        Solid.of(shape="oval", grow=1.0),
    ):
        assert leaks(effect, format, someone, core(format, someone.xyxy) | oval) == 0


@given(
    offset=st.tuples(st.floats(-400, 400), st.floats(-400, 400)),
    size=st.floats(1, 900),
    turned=st.floats(0, 360),
    at=st.integers(0, 12),
    feather=st.sampled_from([0.0, 0.25]),
)
@settings(max_examples=60, deadline=None)
def test_a_mesh_that_is_wrong_uncovers_nothing_of_the_box(
    offset: tuple[float, float], size: float, turned: float, at: int, feather: float
) -> None:
    format = stream(FORMATS[at])
    astray = mesh_face((80 + offset[0], 60 + offset[1]), size, turned)
    someone = replace(astray, xyxy=(45.3, 30.2, 101.7, 99.5))
    assert leaks(Solid.of(shape="oval", feather=feather), format, someone, core(format, someone.xyxy)) == 0


def test_without_a_mesh_the_oval_is_the_ellipse() -> None:
    format = stream()
    someone = face((40, 30, 100, 100))
    planes = noise(format, 1)
    oval = hidden(Solid.of(shape="oval"), format, planes, someone)
    ellipse = hidden(Solid.of(), format, planes, someone)
    assert all(np.array_equal(a, b) for a, b in zip(oval, ellipse, strict=True))


def test_a_tilted_face_is_followed() -> None:
    """The oval of a tilted head reaches where the ellipse of its box does not, and leaves out its corners."""
    format = stream("yuv444p", 400, 400)
    someone = mesh_face((200, 200), 200, 40)
    oval = ~differing(Solid.of(shape="oval"), format, someone)[0]
    box = ~differing(Solid.of(shape="box", grow=1.0), format, someone)[0]
    assert (oval & ~box).any()
    assert (box & ~oval).any()


@given(
    size=st.floats(4, 200),
    turned=st.floats(0, 360),
    grow=st.floats(1, 1.5),
    shift=st.floats(-0.6, 0.6),
    at=st.integers(0, 12),
)
@settings(max_examples=150, deadline=None)
def test_no_oval_is_larger_than_two_and_a_half_boxes(
    size: float, turned: float, grow: float, shift: float, at: int
) -> None:
    format = stream(FORMATS[at], 4000, 4000)
    meshed = mesh_face((1000, 1000), size, turned)
    x0, y0, x1, y1 = meshed.xyxy
    someone = replace(meshed, xyxy=(x0 + shift * size, y0, x1 + shift * size, y1))
    for effect in (Solid.of(shape="oval", grow=grow), Solid.of(shape="oval", grow=grow, feather=0.25)):
        effect.prepare(format, b"")
        patch, least = (Patch.rectangle(format, box) for box in (_region(effect, someone), someone.xyxy))
        assert patch is not None
        assert least is not None
        area = (x1 - x0) * (y1 - y0)
        taken, needed = ((r[2] - r[0]) * (r[3] - r[1]) / area for r in (patch, least))
        assert taken <= max(MAX_AREA_RATIO, needed)


@pytest.mark.parametrize("name", FORMATS)
def test_an_oval_leaves_what_lies_outside_its_region(name: str) -> None:
    format = stream(name)
    before = noise(format, 3)
    for someone in (mesh_face((81, 63), 60, 20), mesh_face((5, 118), 90), mesh_face((60, 60), 9)):
        for effect in (
            Solid.of(shape="oval", feather=0.25),
            Pixelate.of(shape="oval"),
            Blur.of(shape="oval"),
        ):
            after = hidden(effect, format, before, someone)
            region = effect.region(someone)
            assert region is not None
            x0, y0, x1, y1 = Patch.rectangle(format, region) or (0, 0, 0, 0)
            inside = np.zeros((format.height, format.width), bool)
            inside[y0:y1, x0:x1] = True
            masks = [inside, *[chroma_under(format, inside)] * 2]
            for old, new, mask in zip(channels(before), channels(after), masks, strict=False):
                assert (old == new)[~mask].all()
                assert (old != new)[mask].any()


def test_an_oval_is_asked_for_with_landmarks_and_others_are_not() -> None:
    assert needs_landmarks([parse_effect("solid:shape=oval")])
    assert not needs_landmarks([parse_effect("solid"), parse_effect("pixelate:shape=frame")])
    assert wants(EffectSpec("blur", {"shape": "oval"})) == {"box", "landmarks"}
    assert Solid.needs == {"box"}
    assert "smooth" in effect_names()
    assert needs_landmarks([parse_effect("smooth")])


@pytest.mark.parametrize("name", FORMATS)
def test_the_whole_picture_is_covered_while_a_face_is_in_it(name: str) -> None:
    format = stream(name)
    for box in ((20.0, 20.0, 30.0, 30.0), (-20.0, -20.0, 3.0, 3.0), (150.5, 110.0, 400.0, 500.0)):
        everything = np.ones((format.height, format.width), bool)
        assert leaks(Solid.of(shape="frame"), format, face(box), everything) == 0
        assert leaks(Solid.of(shape="frame", feather=0.2), format, face(box), everything) == 0


@pytest.mark.parametrize(
    "box", [(-50.0, -50.0, -10.0, -10.0), (30.0, 30.0, 30.0, 60.0)], ids=["beyond", "empty"]
)
def test_a_face_that_is_not_in_the_picture_covers_nothing(box: Box) -> None:
    format = stream()
    chain = EffectChain([Solid.of(shape="frame")], format)
    assert chain.frame(0, noise(format, 1), [face(box)]) == []
    assert not chain.stats.blackouts


def test_many_faces_make_one_cover_of_the_largest_that_is_meant() -> None:
    format = stream()
    planes = noise(format, 1)
    faces = [face((10, 10, 20, 20), 1), face((30, 30, 100, 100), 2), face((90, 90, 110, 110), 3)]
    whole = Pixelate.of(shape="frame")
    after, patches = painted(EffectChain([whole], format, b"s"), planes, faces)
    assert len(patches) == 1
    alone, _ = painted(EffectChain([whole], format, b"s"), planes, faces[1:2])
    assert all(np.array_equal(a, b) for a, b in zip(after, alone, strict=True))
    whole.who = Who.parse("track:9")
    assert EffectChain([whole], format).frame(0, planes, faces) == []
    whole.who = Who.parse("track:3")
    assert len(EffectChain([whole], format).frame(0, planes, faces)) == 1


def test_a_box_that_is_not_finite_blacks_the_picture_out() -> None:
    format = stream()
    chain = EffectChain([Solid.of(shape="frame", colour="white")], format)
    patches = chain.frame(0, noise(format, 1), [face((10, 10, 40, 40), 1), face((float("nan"), 0, 1, 1), 2)])
    assert chain.stats.blackouts.total() == 1
    assert (patches[0].planes[0] == format.color.luma_range[0]).all()


def test_what_else_is_done_to_other_faces_does_not_come_back_over_the_cover() -> None:
    format = stream("yuv444p")
    faces = [face((10, 10, 60, 60), 1), face((80, 40, 120, 80), 2)]
    chain = EffectChain([Brighten.of(), Solid.of(shape="frame", colour="white")], format)
    after, _ = painted(chain, noise(format, 1), faces)
    assert (after[0] == format.color.luma_range[1]).all()


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "nv12", "gray", "interlaced"])
def test_every_cover_of_the_whole_picture_works_and_shows_no_edge_of_it(name: str, tmp_path: object) -> None:
    rgba = np.full((40, 30, 4), 255, np.uint8)
    path = write_png(f"{tmp_path}/white.png", rgba)
    format = stream(name)
    unit = 1 << (format.pixels.depth - 8)
    planes = noise(format, 1)
    someone = face((50, 40, 80, 76))
    for effect in (
        Blur.of(shape="frame"),
        Pixelate.of(shape="frame"),
        Image.of(path=path, shape="frame", under="red"),
    ):
        after = hidden(effect, format, planes, someone)
        # Each row and column is changed up to the picture's edge.
        changed = after[0] != planes[0]
        assert changed.mean(axis=0).min() > 0.8
        assert changed.mean(axis=1).min() > 0.8
        assert float(np.abs(np.diff(after[0].astype(float), axis=1)).mean()) < 12 * unit


def test_a_picture_on_a_whole_cover_does_not_tell_where_the_face_is(tmp_path: object) -> None:
    path = write_png(f"{tmp_path}/white.png", np.full((40, 30, 4), 255, np.uint8))
    format = stream()
    planes = noise(format, 1)
    here, there = (
        hidden(Image.of(path=path, shape="frame"), format, planes, face(box))
        for box in ((10, 10, 30, 30), (100, 70, 140, 110))
    )
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_picture_over_an_oval_stays_within_the_area_allowed(tmp_path: object) -> None:
    path = write_png(f"{tmp_path}/wide.png", np.full((40, 90, 4), 255, np.uint8))
    format = stream("yuv420p", 600, 600)
    for turned in (0, 30, 60, 90):
        someone = mesh_face((300, 300), 160, turned)
        effect = Image.of(path=path, shape="oval", grow=1.5)
        effect.prepare(format, b"")
        x0, y0, x1, y1 = effect.region(someone) or (0, 0, 0, 0)
        left, top, right, bottom = someone.xyxy
        assert (x1 - x0) * (y1 - y0) <= MAX_AREA_RATIO * (right - left) * (bottom - top)
        assert leaks(effect, format, someone, core(format, someone.xyxy)) == 0
