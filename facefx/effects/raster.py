"""Triangles filled by whole arrays: values given at corners, for every sample of a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_triangles", "signed_areas"]

Points = NDArray[np.float64]


def signed_areas(points: Points, triangles: NDArray[np.intp]) -> NDArray[np.float64]:
    """Twice the area of each triangle, positive where it is wound clockwise as seen (y down)."""
    (ax, ay), (bx, by), (cx, cy) = (points[triangles[:, i]].T for i in range(3))
    return np.asarray((bx - ax) * (cy - ay) - (cx - ax) * (by - ay))


def fill_triangles(
    points: Points, triangles: NDArray[np.intp], values: NDArray[Any], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return (height, width, k) float32: values of corners interpolated, 0 where there is no triangle.

    points: (n, 2), sample i has its middle at i. triangles: (m, 3) rows of points, none without area;
    a later one covers an earlier one. values: (n, k). size: (width, height).

    Each sample on an edge that two triangles share belongs to one of them. No loop over triangles: they
    are cut into the lines that they cross, the lines into samples.
    """
    width, height = size
    out = np.zeros((height * width, values.shape[1]), np.float32)
    if not len(triangles) or not out.size:
        return out.reshape(height, width, -1)
    corners = points.take(triangles, axis=0)
    index, line, first, last = _spans(corners, width, height)
    across, down, start = _planes(corners, values.take(triangles, axis=0))
    count = last - first
    at_left = start.take(index, axis=0) + down.take(index, axis=0) * line[:, None]
    column = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count - first, count)
    drawn = np.repeat(across.take(index, axis=0).astype(np.float32), count, axis=0)
    drawn *= column.astype(np.float32)[:, None]
    drawn += np.repeat(at_left.astype(np.float32), count, axis=0)
    # NumPy's rule for an index that occurs twice: the last one stays.
    out[np.repeat(line * width, count) + column] = drawn
    return out.reshape(height, width, -1)


def _spans(corners: Points, width: int, height: int) -> tuple[NDArray[np.intp], ...]:
    """Where lines of the grid cross triangles: triangle, line, first column, column after the last.

    A triangle is two halves, above and below its middle corner. Each lies between its longest side and
    another one; a side is computed from its upper end, whichever triangle it belongs to.
    """
    order = np.argsort(corners[..., 1], axis=1, kind="stable")
    x, y = (np.take_along_axis(corners[..., i], order, axis=1) for i in range(2))
    long_base, long_slope = _side(x[:, :1], y[:, :1], x[:, 2:], y[:, 2:])
    short_base, short_slope = _side(x[:, :2], y[:, :2], x[:, 1:], y[:, 1:])
    bounds = np.clip(np.ceil(y), 0, height).astype(np.intp)
    low = bounds[:, :2].ravel()
    count = bounds[:, 1:].ravel() - low
    # Both halves of a triangle after each other, so that later triangles still cover earlier ones.
    sides = np.stack(np.broadcast_arrays(long_base, long_slope, short_base, short_slope), axis=-1)
    sides = np.repeat(sides.reshape(-1, 4), count, axis=0)
    line = np.arange(len(sides)) - np.repeat(np.cumsum(count) - count - low, count)
    ends = sides[:, ::2] + sides[:, 1::2] * line[:, None]
    columns = np.clip(np.ceil(ends), 0, width).astype(np.intp)
    first, last = np.minimum(columns[:, 0], columns[:, 1]), np.maximum(columns[:, 0], columns[:, 1])
    return np.repeat(np.arange(len(low)) // 2, count), line, first, last


def _side(x: Points, y: Points, end_x: Points, end_y: Points) -> tuple[Points, Points]:
    """The line x = base + slope · y through two points; any slope where they lie level."""
    slope = np.divide(end_x - x, end_y - y, out=np.zeros_like(x), where=end_y > y)
    return x - y * slope, slope


def _planes(corners: Points, values: NDArray[Any]) -> tuple[Points, Points, Points]:
    """What values of (m, 3, k) corners rise by across and down, and what they are at the origin: (m, k)."""
    side_a, side_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (side_a[:, 0] * side_b[:, 1] - side_b[:, 0] * side_a[:, 1])[:, None]
    rise_a, rise_b = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    across = (rise_a * side_b[:, 1:] - rise_b * side_a[:, 1:]) / area
    down = (rise_b * side_a[:, :1] - rise_a * side_b[:, :1]) / area
    start = values[:, 0] - across * corners[:, 0, :1] - down * corners[:, 0, 1:]
    return across, down, start
