"""The pixels by which a face is known to rest: the same ones of every frame, however it is stored."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facefx.faces.crop import Cropper
from facefx.values import PixelFormat, StreamFormat

SIZE = (320, 240)


def cropper(pixels: str = "yuv420p", **format: Any) -> Cropper:
    return Cropper(StreamFormat(PixelFormat.of(pixels), *SIZE, Fraction(1, 25), **format), 192)


def spotted(at: tuple[int, int], side: int = 16) -> NDArray[np.uint8]:
    """A dark luma plane with a bright square whose corner is at x, y."""
    luma = np.full(SIZE[::-1], 20, np.uint8)
    luma[at[1] : at[1] + side, at[0] : at[0] + side] = 220
    return luma


def test_a_glimpse_is_the_mean_of_what_lies_within_the_box() -> None:
    luma = np.random.default_rng(1).integers(0, 255, SIZE[::-1], dtype=np.uint8)
    glimpse = cropper().glimpse(luma, (40.0, 24.0, 40.0 + 128, 24.0 + 96))
    expected = luma[24:120, 40:168].reshape(24, 4, 32, 4).mean((1, 3))
    assert glimpse.shape == expected.shape
    assert np.abs(glimpse - expected).max() <= 1.5  # halved twice, each time rounded


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_box_of_a_turned_picture_is_found_where_it_is_stored(rotation: int, mirrored: bool) -> None:
    turned = cropper(rotation=rotation, mirrored=mirrored)
    stored = np.array([[100.0, 60.0, 1.0], [132.0, 92.0, 1.0]])
    corners = (turned.placement.to_upright @ stored.T)[:2]
    (x0, x1), (y0, y1) = np.sort(corners, axis=1).tolist()
    assert turned.glimpse(spotted((100, 60), 32), (x0, y0, x1, y1)).min() == 220


def test_ten_bits_are_compared_as_eight() -> None:
    luma = spotted((100, 60)).astype(np.uint16) << 2
    box = (90.0, 50.0, 130.0, 90.0)
    deep = cropper("yuv420p10le").glimpse(luma, box)
    assert np.array_equal(deep, cropper().glimpse(spotted((100, 60)), box))


def test_a_box_that_leaves_the_picture_keeps_what_is_within_while_that_is_half() -> None:
    """A few columns at the edge must not vouch for a whole face."""
    assert cropper().glimpse(spotted((0, 0)), (-8.0, 0.0, 24.0, 32.0)).shape == (16, 12)
    assert cropper().glimpse(spotted((0, 0)), (-20.0, 0.0, 12.0, 32.0)).size == 0
    assert cropper().glimpse(spotted((0, 0)), (-90.0, -90.0, -50.0, -50.0)).size == 0


def test_a_glimpse_outlives_its_frame() -> None:
    """A frame may be changed in place once its faces are known."""
    luma = spotted((100, 60))
    glimpse = cropper().glimpse(luma, (96.0, 56.0, 126.0, 86.0))
    before = glimpse.copy()
    luma[:] = 0
    assert np.array_equal(glimpse, before)
