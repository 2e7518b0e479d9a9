"""Small upright pictures from native planes: colour, size, turn."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
from detector_makers import batch_of

from facefx.faces.picture import Upright, colour_planes, shrink, shrink_planes
from facefx.geometry import as_boxes
from facefx.values import PixelFormat, StreamFormat

COLOURS = np.array([[[0, 0, 0], [255, 255, 255], [40, 90, 200], [200, 60, 30], [90, 160, 220]]], np.uint8)


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "nv12", "yuv411p"]
)
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_no_format_reaches_the_net_in_wrong_colours(
    pixels: str, matrix: Literal["bt601", "bt709", "bt2020"], full_range: bool
) -> None:
    patches = np.repeat(np.repeat(COLOURS, 32, axis=0), 32, axis=1)
    batch = batch_of(patches, pixels=pixels, matrix=matrix, full_range=full_range)
    small = shrink_planes(batch.view(0), patches.shape[1], patches.shape[0])
    got = colour_planes(small, batch.format.color)[:, 16, 16::32].T
    assert np.abs(got - COLOURS[0]).max() <= 2.5


def test_the_wrong_matrix_is_noticed() -> None:
    patches = np.repeat(np.repeat(COLOURS, 32, axis=0), 32, axis=1)
    right, wrong = batch_of(patches, matrix="bt709"), batch_of(patches, matrix="bt601")
    small = shrink_planes(right.view(0), patches.shape[1], patches.shape[0])
    got = colour_planes(small, wrong.format.color)[:, 16, 16::32].T
    assert np.abs(got - COLOURS[0]).max() > 8


@pytest.mark.parametrize("pixels", ["gray", "gray10le"])
def test_gray_becomes_three_equal_channels(pixels: str) -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(32, axis=0)
    batch = batch_of(ramp, pixels=pixels)
    got = colour_planes(batch.view(0), batch.format.color)
    assert np.array_equal(got[0], got[1])
    assert np.array_equal(got[0], got[2])
    assert np.abs(got[0] - ramp[..., 0]).max() <= 1


def test_a_buffer_is_filled_and_returned() -> None:
    batch = batch_of(np.full((70, 64, 3), 90, np.uint8))
    small = shrink_planes(batch.view(0), 64, 70)
    buffer = np.zeros((3, 70, 64), np.float32)
    assert colour_planes(small, batch.format.color, buffer) is buffer
    assert np.array_equal(buffer, colour_planes(small, batch.format.color))


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ((1280, 720), (512, 288)),
        ((1280, 720), (640, 352)),
        ((1920, 1080), (768, 448)),
        ((641, 359), (512, 288)),
        ((480, 270), (480, 256)),
        ((320, 180), (640, 352)),
        ((720, 1280), (288, 512)),
        ((64, 36), (64, 32)),
    ],
)
def test_shrinking_moves_nothing(have: tuple[int, int], want: tuple[int, int]) -> None:
    width, height = have
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    for cx, cy in ((0.25, 0.3), (0.8, 0.75)):
        spread = ((x + 0.5) / width - cx) ** 2 / 0.01 + ((y + 0.5) / height - cy) ** 2 / 0.01
        small = shrink(np.asarray(np.rint(250 * np.exp(-spread)), np.uint8), *want).astype(float)
        assert small.shape == want[::-1]
        total = small.sum()
        got_x = (small.sum(axis=0) * (np.arange(want[0]) + 0.5)).sum() / total
        got_y = (small.sum(axis=1) * (np.arange(want[1]) + 0.5)).sum() / total
        assert abs(got_x - cx * want[0]) < 0.6
        assert abs(got_y - cy * want[1]) < 0.6


def test_shrinking_skips_no_pixel() -> None:
    lines = np.zeros((720, 1280), np.uint8)
    lines[:, ::4] = 255  # one column in four is white: a mean of 64, and 0 or 255 where pixels are skipped
    assert abs(shrink(lines, 320, 180).astype(float).mean() - 63.75) < 1
    assert np.ptp(shrink(lines, 320, 180)[:, 2:-2]) <= 2


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, -180])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_box_in_the_upright_picture_comes_back_to_its_pixels(rotation: int, mirrored: bool) -> None:
    format = StreamFormat(
        PixelFormat.of("gray"), 64, 40, Fraction(1, 25), rotation=rotation, mirrored=mirrored
    )
    stored = np.zeros((1, 40, 64), np.uint8)
    stored[0, 5:11, 20:33] = 1
    upright = Upright(format)
    turned = upright.turn(stored)[0]
    assert turned.shape == (upright.height, upright.width)
    rows, columns = np.flatnonzero(turned.any(axis=1)), np.flatnonzero(turned.any(axis=0))
    box = as_boxes([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]])
    back = upright.boxes_to_stored(box, upright.width, upright.height)
    assert np.allclose(back, [[20, 5, 33, 11]], atol=1e-3)
    point = upright.points_to_stored(box[:, None, :2], upright.width, upright.height)
    assert point.shape == (1, 1, 2)
    assert any(
        np.allclose(point[0, 0], corner, atol=1e-3) for corner in ((20, 5), (33, 5), (20, 11), (33, 11))
    )


def test_rotation_is_anticlockwise_as_a_player_turns() -> None:
    format = StreamFormat(PixelFormat.of("gray"), 3, 2, Fraction(1, 25), rotation=90)
    stored = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert Upright(format).turn(stored)[0].tolist() == [[2, 5], [1, 4], [0, 3]]


def test_a_wide_sample_aspect_widens_the_upright_picture() -> None:
    format = StreamFormat(PixelFormat.of("gray"), 720, 576, Fraction(1, 25), sample_aspect=Fraction(64, 45))
    upright = Upright(format)
    assert (upright.width, upright.height) == (1024, 576)
    back = upright.boxes_to_stored(as_boxes([[512, 288, 1024, 576]]), 1024, 576)
    assert np.allclose(back, [[360, 288, 720, 576]])
