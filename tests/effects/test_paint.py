"""Pigment: means must reach the colour, texture must stay, and nothing may leave the legal range."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from effect_makers import NAMES, channels, noise, stream
from makeup_makers import picture_of

from facefx.effects.colour import codes
from facefx.effects.paint import Pigment, grown, shade, tint
from facefx.values import Patch, Planes, StreamFormat

FORMATS = [*NAMES, "interlaced"]


def whole(format: StreamFormat, planes: Planes) -> Patch:
    """The picture as one patch."""
    patch = Patch.cut(format, 0, planes, (0, 0, format.width, format.height))
    assert patch is not None
    return patch


@pytest.mark.parametrize("name", FORMATS)
def test_means_become_the_colour_and_texture_stays(name: str) -> None:
    format = stream(name)
    unit = 1 << (format.pixels.depth - 8)
    patch = whole(format, picture_of(format, (140, 112, 152), texture=6))
    before = [plane.astype(np.float64) for plane in channels(patch.planes)]
    tint(patch, np.ones((121, 161), np.float32), Pigment.of("#a04048", format.color))
    after = [plane.astype(np.float64) for plane in channels(patch.planes)]
    wanted = codes("#a04048", format.color)
    for plane, code in zip(after, wanted, strict=False):
        assert abs(plane.mean() - code) < unit
    assert np.corrcoef(before[0].ravel(), after[0].ravel())[0, 1] > 0.99
    assert after[0].std() > 0.5 * before[0].std()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("colour", ["#ff0040", "#00ffe0", "black", "white"])
def test_noise_stays_legal_and_unpainted_samples_stay_as_they_are(name: str, colour: str) -> None:
    format = stream(name)
    planes = noise(format, 3)
    patch = whole(format, planes)
    weight = np.zeros((121, 161), np.float32)
    weight[40:80, 60:120] = 1
    tint(patch, weight, Pigment.of(colour, format.color, shine=1.0), grain_px=1)
    shade(patch, -weight)
    for i, (old, new) in enumerate(zip(channels(planes), channels(patch.planes), strict=True)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        assert new.min() >= low
        assert new.max() <= high
        step = old.shape[0] * 8 // 121, old.shape[1] * 8 // 161
        corner = old[: 4 * step[0], : 6 * step[1]], new[: 4 * step[0], : 6 * step[1]]
        assert np.array_equal(*corner)
    outside = weight == 0
    assert (planes[0] != patch.planes[0]).any()
    assert np.array_equal(planes[0][outside], patch.planes[0][outside])


def test_codes_beyond_the_range_stay_where_nothing_is_painted_and_come_in_where_it_is() -> None:
    format = stream("gray")
    planes = (np.full((121, 161), 250, np.uint8),)
    patch = whole(format, planes)
    weight = np.zeros((121, 161), np.float32)
    weight[:50] = 1
    tint(patch, weight, Pigment(200, 0, 0))
    assert (patch.planes[0][:50] == 200).all()
    assert (patch.planes[0][50:] == 250).all()


def test_shade_keeps_black_white_and_the_order_of_codes() -> None:
    format = stream("gray", 220, 3)
    ramp = np.tile(np.arange(16, 236, dtype=np.uint8), (3, 1))
    for amount in (-1.0, -0.4, 0.4, 1.0):
        patch = whole(format, (ramp,))
        shade(patch, np.full((3, 220), amount, np.float32))
        line = patch.planes[0][1].astype(int)
        assert (line[0], line[-1]) == (16, 235)
        assert (np.diff(line) >= 0).all()
        assert line[110] - ramp[0, 110] == pytest.approx(amount * 219 / 4, abs=1)


def test_a_bright_colour_in_the_dark_is_held_back_and_black_and_white_film_stays_so() -> None:
    format = stream("yuv444p")
    pigment = Pigment.of("#f04060", format.color, lightens=1.5)
    dark = whole(format, picture_of(format, (36, 118, 144)))
    tint(dark, np.ones((121, 161), np.float32), pigment)
    assert dark.planes[0].mean() == pytest.approx(16 + 1.5 * 20, abs=0.5)
    assert 144 < dark.planes[2].mean() < pigment.v
    grey = whole(format, picture_of(format, (110, 128, 128)))
    tint(grey, np.ones((121, 161), np.float32), pigment)
    assert all((plane == 128).all() for plane in grey.planes[1:])


def test_more_weight_paints_more() -> None:
    format = stream("yuv420p")
    planes = picture_of(format, (120, 110, 150), texture=10)
    steps = []
    for weight in (0.0, 0.2, 0.5, 0.8, 1.0):
        patch = whole(format, planes)
        tint(patch, np.full((121, 161), weight, np.float32), Pigment.of("#402030", format.color))
        steps.append(np.abs(patch.planes[0].astype(int) - planes[0]))
    assert not steps[0].any()
    assert all((more >= less).all() for less, more in pairwise(steps))


def test_fields_are_painted_each_by_its_own_mean() -> None:
    format = stream("interlaced", 64, 64)
    planes = picture_of(format, (120, 110, 150), texture=5)
    other = tuple(plane.copy() for plane in planes)
    for plane in other:
        plane[1::2] -= 30
    done = []
    for each in (planes, other):
        patch = whole(format, each)
        tint(patch, np.ones((64, 64), np.float32), Pigment.of("#803040", format.color, shine=0.5), grain_px=2)
        done.append(patch.planes)
    for one, two in zip(*done, strict=True):
        assert np.array_equal(one[::2], two[::2])
    assert not np.array_equal(done[0][0][1::2], done[1][0][1::2])


@pytest.mark.parametrize("step", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["yuv420p", "yuv411p", "interlaced", "gray"])
def test_a_window_holds_all_weight_and_lies_on_the_chroma_grid(name: str, step: int) -> None:
    format = stream(name)
    patch = whole(format, noise(format, 1))
    rows, columns = -(-121 // step), -(-161 // step)
    small = np.zeros((rows, columns), np.float32)
    assert grown(patch, small, step) is None
    for row, column in ((0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)):
        small[...] = 0
        small[row, column] = 1
        part = grown(patch, small, step)
        assert part is not None
        cut, weight = part
        assert weight.shape == (cut.height, cut.width)
        full = np.zeros((rows * step, columns * step), np.float32)
        full[cut.y : cut.y + cut.height, cut.x : cut.x + cut.width] = weight
        # One square among empty ones keeps so much of its weight in its middle.
        square = full[row * step : (row + 1) * step, column * step : (column + 1) * step]
        assert square.max() > 0.3
        if step == 1:
            assert full.sum() == 1
