"""The pixel arithmetic of effects on host planes: OpenCV and NumPy, 8 and 10 bit, in place.

Effects say what to do with which plane; only this file says how, so that a device can offer the
same functions for its own arrays. A plane is (h, w), uint8 or uint16, rows perhaps strided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.shapes import Outline
from facefx.values import Patch, PixelFormat

__all__ = [
    "KERNEL_ERROR",
    "blend",
    "blur",
    "cell_means",
    "fill_ellipse",
    "fill_mask",
    "separate_planes",
    "spread_cells",
    "use_one_thread",
    "window",
]

Plane = NDArray[Any]
Mask = NDArray[np.uint8]

KERNEL_ERROR: type[Exception] = cv2.error
"""What the arithmetic raises where an array does not fit."""

# Sub-pixel bits of OpenCV's drawing functions.
_SHIFT = 4
# Below this radius OpenCV draws an ellipse as a polygon of few corners, so we give it our own; above,
# its 72 corners lie less than 0.1 % inside.
_MIN_ELLIPSE_RADIUS_PX = 16.0
_POLYGON_SLACK = 1.001
# Below this radius a sixteenth of a pixel, the drawing's step, begins to show.
_MIN_DRAWN_RADIUS_PX = 3.0
_CORNERS = 48
_ANGLES = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
# Corners of a polygon whose sides touch the unit circle from outside.
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) / np.cos(np.pi / _CORNERS)
# OpenCV's coordinates are 32-bit fixed point with 16 bits of fraction inside.
_MAX_DRAWN_PX = 16000.0
# A blur shrinks until its sigma is below this: about where the shrunk samples begin to show.
_SMALL_SIGMA_PX = 3.0


def use_one_thread() -> None:
    """Keep OpenCV on one core, for the whole process.

    A face is too small to gain from two threads, and many lanes share a machine. Called once
    where a process starts its work: a stage's setup, an actor's __init__, a test session.
    """
    cv2.setNumThreads(1)


def window(patch: Patch, rectangle: tuple[int, int, int, int]) -> Patch:
    """Return views of the part of a patch that lies in an aligned rectangle: writing changes the patch.

    rectangle: x0, y0, x1, y1 from Patch.rectangle, within the patch.
    """
    x0, y0, x1, y1 = rectangle
    if (x0, y0) == (patch.x, patch.y) and (x1 - x0, y1 - y0) == (patch.width, patch.height):
        return patch
    pixels = patch.format.pixels
    views = []
    for i, plane in enumerate(patch.planes):
        sx, sy = (pixels.shift_x, pixels.shift_y) if i else (0, 0)
        top, left = (y0 - patch.y) >> sy, (x0 - patch.x) >> sx
        views.append(plane[top : top - (-(y1 - y0) >> sy), left : left - (-(x1 - x0) >> sx)])
    return Patch(patch.format, patch.frame, x0, y0, tuple(views))


@contextmanager
def separate_planes(patch: Patch) -> Iterator[tuple[Plane, ...]]:
    """Give Y, U and V (or Y alone) one by one, to be changed in place, whatever the layout.

    nv12's pairs are separated for the time and put back at the end.
    """
    if patch.format.pixels.layout != "semiplanar":
        yield patch.planes
        return
    luma, pairs = patch.planes
    u, v = np.ascontiguousarray(pairs[..., 0]), np.ascontiguousarray(pairs[..., 1])
    yield luma, u, v
    pairs[..., 0], pairs[..., 1] = u, v


def fill_ellipse(patch: Patch, outline: Outline, values: tuple[int, int, int]) -> bool:
    """Fill an outline's ellipse with one colour by drawing it into each plane; the quickest way.

    Luma gets a smooth edge, chroma a hard one. Returns False, nothing done, where the ellipse is
    too small or too large to be drawn exactly: use masks there.
    """
    pixels = patch.format.pixels
    half_x, half_y = outline.outer
    centre_x, centre_y = outline.centre[0] - patch.x, outline.centre[1] - patch.y
    reach = max(abs(centre_x), abs(centre_y)) + max(half_x, half_y)
    smallest = min(half_x / (1 << pixels.shift_x), half_y / (1 << pixels.shift_y))
    if smallest < _MIN_DRAWN_RADIUS_PX or reach > _MAX_DRAWN_PX:
        return False
    # Half a pixel in, so that the smooth edge ends where the outline does.
    half_x, half_y = half_x - 0.5, half_y - 0.5
    _draw_smooth(patch.planes[0], (centre_x, centre_y), (half_x, half_y), values[0])
    if pixels.layout == "gray":
        return True
    step_x, step_y = 1 << pixels.shift_x, 1 << pixels.shift_y
    margin = _chroma_margin(pixels, bool(patch.format.field_order))
    centre = centre_x / step_x, centre_y / step_y
    half = (half_x + margin) / step_x, (half_y + margin) / step_y
    if pixels.layout == "semiplanar":
        _draw((patch.planes[1],), centre, half, ((values[1], values[2]),))
    elif step_x == step_y == 1:
        for plane, value in zip(patch.planes[1:], values[1:], strict=True):
            _draw_smooth(plane, centre, half, value)
    else:
        _draw(patch.planes[1:], centre, half, values[1:])
    return True


def _chroma_margin(pixels: PixelFormat, interlaced: bool) -> float:
    """Luma pixels by which an ellipse grows so that it holds each chroma sample that it touches."""
    reach_x = ((1 << pixels.shift_x) - 1) / 2
    reach_y = ((1 << pixels.shift_y) - 1) / 2 + (2 if interlaced and pixels.shift_y else 0)
    # An ellipse widened by the half diagonal of a sample's pixels holds them but for a sliver.
    return math.hypot(reach_x, reach_y) * 1.1 + 0.25 if reach_x or reach_y else 0.0


def _draw(
    planes: Sequence[Plane],
    centre: tuple[float, float],
    half: tuple[float, float],
    values: Sequence[int | tuple[int, int]],
    style: int = cv2.LINE_8,
) -> None:
    """Draw in planes whose sample i covers i to i + 1; OpenCV's samples have their middle at i."""
    scale = 1 << _SHIFT
    x, y = (centre[0] - 0.5) * scale, (centre[1] - 0.5) * scale
    if min(half) < _MIN_ELLIPSE_RADIUS_PX:
        corners = _CIRCLE * np.array((half[0] * scale, half[1] * scale))
        corners += np.array((x, y))
        points = np.rint(corners, out=corners).astype(np.int32)
        for plane, value in zip(planes, values, strict=True):
            cv2.fillConvexPoly(plane, points, value, style, _SHIFT)
        return
    where = round(x), round(y)
    axes = math.ceil(half[0] * _POLYGON_SLACK * scale), math.ceil(half[1] * _POLYGON_SLACK * scale)
    for plane, value in zip(planes, values, strict=True):
        cv2.ellipse(plane, where, axes, 0, 0, 360, value, -1, style, _SHIFT)


def _draw_smooth(plane: Plane, centre: tuple[float, float], half: tuple[float, float], value: int) -> None:
    """Draw with a smooth edge, which OpenCV has for 8 bit only.

    10-bit codes are drawn without their last two bits, taken where that changed something, and
    then filled exactly up to the edge: only the edge itself has lost those bits.
    """
    if plane.dtype == np.uint8:
        _draw((plane,), centre, half, (value,), cv2.LINE_AA)
        return
    before = np.right_shift(plane, 2).astype(np.uint8)
    after = before.copy()
    _draw((after,), centre, half, (value >> 2,), cv2.LINE_AA)
    edge = cv2.compare(before, after, cv2.CMP_NE)
    codes = np.left_shift(after, 2, dtype=plane.dtype)
    cv2.copyTo(codes, edge, plane)
    _draw((plane,), centre, (half[0] - 0.75, half[1] - 0.75), (value,))


def blend(plane: Plane, new: Plane, mask: Mask) -> None:
    """Mix `new` into a plane, in place: 255 takes it whole, 0 leaves the old codes bit for bit."""
    if plane.size == 0:
        return
    weight = mask if plane.dtype == np.uint8 else mask.astype(plane.dtype)
    kept = cv2.multiply(plane, 255 - weight, scale=1 / 255)
    cv2.add(kept, cv2.multiply(new, weight, scale=1 / 255), dst=kept)
    plane[...] = kept


def fill_mask(plane: Plane, value: int, mask: Mask) -> None:
    """Mix one code into a plane through a mask, in place."""
    if plane.size == 0:
        return
    weight = mask if plane.dtype == np.uint8 else mask.astype(plane.dtype)
    kept = cv2.multiply(plane, 255 - weight, scale=1 / 255)
    plane[...] = cv2.add(kept, cv2.multiply(weight, np.full_like(weight, value), scale=1 / 255))


def cell_means(plane: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return (len(rows) − 1, len(columns) − 1) means of the cells between edges that strictly rise."""
    # Both accumulators are exact: float holds whole numbers to 2^24, 16,000 rows of 10-bit codes.
    exact = cv2.CV_32S if plane.dtype == np.uint8 else cv2.CV_32F
    sums = [
        cv2.reduce(plane[top:bottom, columns[0] : columns[-1]], 0, cv2.REDUCE_SUM, dtype=exact)[0]
        for top, bottom in pairwise(rows.tolist())
    ]
    totals = np.add.reduceat(np.array(sums), columns[:-1] - columns[0], axis=1)
    return np.asarray(totals / ((rows[1:] - rows[:-1])[:, None] * (columns[1:] - columns[:-1])), np.float32)


def spread_cells(cells: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Plane:
    """Give each cell's value to all pixels between its edges."""
    wide = np.repeat(cells, columns[1:] - columns[:-1], axis=1)
    return np.repeat(wide, rows[1:] - rows[:-1], axis=0)


def blur(plane: Plane, sigma_x: float, sigma_y: float) -> Plane:
    """Return a blurred copy: halved until the sigma is small, blurred there, and grown again.

    A direct Gaussian of that sigma costs 100 times as much and looks the same.
    """
    height, width = plane.shape
    small, times = plane, 1
    while min(sigma_x, sigma_y) >= _SMALL_SIGMA_PX and min(small.shape) > 2:
        small, sigma_x, sigma_y, times = _halved(small), sigma_x / 2, sigma_y / 2, times * 2
    # Averaging squares and growing linearly blur too: by variances of 1/12 and 1/6 of a small sample.
    done = (1 - 1 / times**2) / 4
    sigma_x, sigma_y = math.sqrt(sigma_x**2 - done), math.sqrt(sigma_y**2 - done)
    soft = cv2.GaussianBlur(
        small.astype(np.float32), (0, 0), sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REPLICATE
    )
    # Grown from whole samples, then cut: the halves of an odd size reach beyond it.
    size = soft.shape[1] * times, soft.shape[0] * times
    codes = np.rint(soft).astype(plane.dtype)
    return np.asarray(cv2.resize(codes, size, interpolation=cv2.INTER_LINEAR)[:height, :width])


def _halved(plane: Plane) -> Plane:
    """Average squares of four; an odd last row or column pairs with itself."""
    rows, columns = plane.shape
    if rows % 2 or columns % 2:
        plane = cv2.copyMakeBorder(plane, 0, rows % 2, 0, columns % 2, cv2.BORDER_REPLICATE)
    # Both axes at once: OpenCV's path for one axis alone is fifty times slower.
    return np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
