"""The cells of scramble: nothing stays in its place, nothing comes from outside, the order is a secret."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from effect_makers import (
    NAMES,
    Box,
    channels,
    chroma_under,
    core,
    face,
    mesh_face,
    noise,
    painted,
    run,
    stream,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.library.scramble import Scramble, _following
from facefx.effects.reference import describe
from facefx.values import Face, Patch, Planes, StreamFormat

FORMATS = (*NAMES, "interlaced")
BOX: Box = (40.0, 30.0, 110.0, 100.0)


def hidden(
    effect: Scramble, format: StreamFormat, planes: Planes, someone: Face, seed: bytes = b"seed"
) -> Planes:
    chain = EffectChain([effect], format, seed)
    after, _ = painted(chain, planes, [someone])
    assert not chain.stats.blackouts, chain.stats.first
    return after


def ramps(format: StreamFormat) -> tuple[Planes, Planes]:
    """Two pictures in which each sample of each plane tells its own column, and its own line."""
    across, down = [], []
    for i, shape in enumerate(format.pixels.plane_shapes(format.width, format.height)):
        low = (format.color.chroma_range if i else format.color.luma_range)[0]
        rows, columns = (low + part for part in np.indices(shape[:2]))
        pairs = (*shape[2:], 1)
        across.append(np.stack([columns] * pairs[0], -1).reshape(shape).astype(format.pixels.dtype))
        down.append(np.stack([rows] * pairs[0], -1).reshape(shape).astype(format.pixels.dtype))
    return tuple(across), tuple(down)


def came_from(
    effect: Scramble, format: StreamFormat, someone: Face
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each plane, how far each sample moved: (across, down)."""
    shifts = [
        [
            new.astype(int) - old
            for new, old in zip(
                channels(hidden(effect, format, planes, someone)), channels(planes), strict=True
            )
        ]
        for planes in ramps(format)
    ]
    return list(zip(*shifts, strict=True))


BOXES = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.floats(-60, 150),
    st.floats(-60, 110),
    st.floats(1, 150),
    st.floats(1, 150),
)


@given(box=BOXES, cells=st.integers(2, 24), track=st.integers(1, 9), at=st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_no_sample_of_the_face_stays_in_its_place(box: Box, cells: int, track: int, at: int) -> None:
    format = stream(FORMATS[at])
    someone = face(box, track)
    luma = core(format, box)
    masks = [luma, *[chroma_under(format, luma)] * 2]
    neutral = format.color.neutral
    grey = hidden(Scramble.of(cells=cells), format, noise(format, 1), someone)
    for (across, down), mask, plane in zip(
        came_from(Scramble.of(cells=cells), format, someone), masks, channels(grey), strict=False
    ):
        stayed = (across == 0) & (down == 0) & mask
        assert not stayed.any() or (plane[mask] == neutral).all()


@pytest.mark.parametrize("name", FORMATS)
def test_a_cell_moves_as_a_whole_and_stays_within_the_region(name: str) -> None:
    format = stream(name)
    effect = Scramble.of(shape="box", cells=5)
    someone = face(BOX)
    effect.prepare(format, b"")
    region = effect.region(someone)
    assert region is not None
    rectangle = Patch.rectangle(format, region)
    assert rectangle is not None
    across, down = came_from(effect, format, someone)[0]
    rows, columns = np.indices(across.shape)
    inside = (slice(30, 100), slice(40, 110))
    assert (rows + down)[inside].min() >= rectangle[1]
    assert (rows + down)[inside].max() < rectangle[3]
    assert (columns + across)[inside].min() >= rectangle[0]
    assert (columns + across)[inside].max() < rectangle[2]
    # Of neighbours, most move alike: one step in a cell of 14 pixels does not.
    alike = np.diff(across[inside], axis=1) == 0
    assert alike.mean() > 0.9
    assert len(np.unique(np.stack([across[inside], down[inside]], -1).reshape(-1, 2), axis=0)) > 15


@pytest.mark.parametrize("name", FORMATS)
def test_chroma_goes_where_its_luma_goes(name: str) -> None:
    format = stream(name)
    shifts = came_from(Scramble.of(cells=5, shape="box"), format, face(BOX))
    if format.pixels.layout == "gray":
        assert len(shifts) == 1
        return
    sx, sy = format.pixels.shift_x, format.pixels.shift_y
    luma_x, luma_y = (shift[:: 1 << sy, :: 1 << sx] for shift in shifts[0])
    cx, cy = shifts[1]
    middle = (slice(40 >> sy, 90 >> sy), slice(50 >> sx, 100 >> sx))
    off = np.abs(luma_x - (cx << sx))[middle] + np.abs(luma_y - (cy << sy))[middle]
    # A sample of chroma under the edge between two cells can go with one of them only.
    assert (off <= 8).mean() > 0.75
    assert (off == 0).mean() > 0.5


@given(box=BOXES, cells=st.integers(2, 24), track=st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_fields_are_not_mixed(box: Box, cells: int, track: int) -> None:
    format = stream("interlaced")
    effect, someone, luma = Scramble.of(shape="box", cells=cells), face(box, track), core(format, box, "box")
    masks = [luma, *[chroma_under(format, luma)] * 2]
    for plane, mask in zip(channels(hidden(effect, format, noise(format, 1), someone)), masks, strict=True):
        if not mask.any() or (plane[mask] == format.color.neutral).all():
            return  # a cell alone
    for (_, down), mask in zip(came_from(effect, format, someone), masks, strict=True):
        assert (down[mask] % 2 == 0).all()


def test_the_order_stays_with_a_person_and_is_a_secret() -> None:
    format = stream("yuv444p")
    planes = noise(format, 1)

    def seen(someone: Face, seed: bytes) -> NDArray[np.uint8]:
        return hidden(Scramble.of(), format, planes, someone, seed)[0]

    someone = face(BOX)
    assert np.array_equal(seen(someone, b"a"), seen(replace(someone, pts=99), b"a"))
    assert not np.array_equal(seen(someone, b"a"), seen(someone, b"b"))
    assert not np.array_equal(seen(someone, b"a"), seen(replace(someone, track_id=2), b"a"))


def test_the_cells_move_with_the_face() -> None:
    format = stream("yuv444p", 400, 300)
    planes = noise(format, 3)
    moved = tuple(np.roll(plane, (10, 7), axis=(0, 1)) for plane in planes)
    box = (100.0, 60.0, 260.0, 220.0)
    before = run(Scramble.of(), format, planes, box)
    after = run(Scramble.of(), format, moved, (box[0] + 7, box[1] + 10, box[2] + 7, box[3] + 10))
    assert np.array_equal(before[0][60:220, 100:260], after[0][70:230, 107:267])


def test_a_cell_alone_is_grey() -> None:
    format = stream("yuv444p")
    someone = face((-40.0, -40.0, 1.0, 1.0))
    after = hidden(Scramble.of(cells=2, shape="box"), format, noise(format, 1), someone)
    assert all((plane[0, 0] == 128).all() for plane in after)


@given(ranks=st.lists(st.integers(0, 99), min_size=2, max_size=50))
def test_no_cell_follows_itself(ranks: list[int]) -> None:
    following = _following(np.array(ranks)[:, None])
    assert sorted(following) == list(range(len(ranks)))
    assert all(i != place for i, place in enumerate(following))


def test_the_cover_may_follow_a_mesh_or_hold_the_whole_picture() -> None:
    format = stream("yuv444p")
    planes = noise(format, 1)
    whole = hidden(Scramble.of(shape="frame"), format, planes, face(BOX))
    assert (whole[0] != planes[0]).mean() > 0.98
    someone = mesh_face((80, 60), 70, 30)
    oval = hidden(Scramble.of(shape="oval"), format, planes, someone)
    assert (oval[0] != planes[0])[core(format, someone.xyxy)].mean() > 0.98


def test_it_says_that_it_is_weak() -> None:
    assert "10.1587" in describe(Scramble).caution
