"""A close look at the few places where faces are expected: crops side by side in one small picture.

A face seen a moment ago is found again for a tenth of what the whole picture costs, and at the
size that the net likes best, whatever its size in the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.faces.merge import Sightings
from facefx.faces.picture import Upright, colour_planes, shrink_planes
from facefx.geometry import Boxes, area, as_boxes, nms
from facefx.values import Planes

__all__ = ["MOST_PLACES", "TILE", "Mosaic", "places", "tiles"]

# Side of a crop in the mosaic, and how much wider than the face it is: a face of 24 px is found as
# surely as in the whole picture, and one that moved by half still is.
_CELL = 48
_GROW = 2.0
_COLUMNS = 6
# The mosaic's sides are multiples of the net's step.
_STEP = 32
TILE = _CELL / _GROW
"""Side that a place has in its cell: a box that large in pixels is looked at without being shrunk."""

# With more places than this a look at the whole picture is as cheap.
MOST_PLACES = 20


def places(expected: Boxes) -> Boxes:
    """One box for each face that is expected: of boxes that overlap, the largest."""
    return expected[nms(expected, area(expected), 0.3)]


def tiles(regions: Boxes, side: float) -> Boxes:
    """Cut regions into boxes of at most `side` each way, so that no crop of them is shrunk too much.

    >>> tiles(np.array([[0, 0, 50, 20]], np.float32), 30).tolist()
    [[0.0, 0.0, 25.0, 20.0], [25.0, 0.0, 50.0, 20.0]]
    """
    cut = []
    for x0, y0, x1, y1 in regions.tolist():
        columns, rows = max(1, math.ceil((x1 - x0) / side)), max(1, math.ceil((y1 - y0) / side))
        across, down = (x1 - x0) / columns, (y1 - y0) / rows
        cut += [
            (x0 + i * across, y0 + j * down, x0 + (i + 1) * across, y0 + (j + 1) * down)
            for j in range(rows)
            for i in range(columns)
        ]
    return as_boxes(cut)


@dataclass(frozen=True, slots=True)
class _Tile:
    """Where a crop lies in the stored picture (x, y, w, h), and how large it is in its cell, upright."""

    rectangle: tuple[int, int, int, int]
    width: int
    height: int


class Mosaic:
    """Crops of one picture around expected faces, turned upright, in a grid of cells.

    picture: (3, h, w) float32 as a detector wants it; empty parts of cells are black.
    """

    def __init__(self, planes: Planes, upright: Upright, expected: Boxes) -> None:
        self._upright = upright
        self._columns = min(len(expected), _COLUMNS)
        height, width = _stepped(-(-len(expected) // self._columns)), _stepped(self._columns)
        color = upright.format.color
        codes = np.array([color.luma_range[0], color.neutral, color.neutral], planes[0].dtype)
        count = 1 if len(planes) == 1 else 3
        canvas = np.empty((count, height, width), planes[0].dtype)
        canvas[:] = codes[:count, None, None]
        self._tiles = [self._lay(canvas, planes, k, box) for k, box in enumerate(expected.tolist())]
        # One conversion for all crops: a crop of its own would cost as much as three of its size.
        self.picture = colour_planes(tuple(canvas), color)

    def _lay(self, canvas: NDArray[Any], planes: Planes, k: int, box: list[float]) -> _Tile:
        """Cut, shrink and turn one crop into its cell."""
        format, upright, aspect = self._upright.format, self._upright, self._upright.aspect
        side = _GROW * max((box[2] - box[0]) * aspect, box[3] - box[1], 1.0)
        x0, x1 = _span((box[0] + box[2]) / 2, side / aspect, format.width, format.column_step)
        y0, y1 = _span((box[1] + box[3]) / 2, side, format.height, 1 << format.pixels.shift_y)
        shift_x, shift_y = format.pixels.shift_x, format.pixels.shift_y
        chroma = (slice(y0 >> shift_y, -(-y1 >> shift_y)), slice(x0 >> shift_x, -(-x1 >> shift_x)))
        crop = (planes[0][y0:y1, x0:x1], *(plane[chroma] for plane in planes[1:]))
        scale = _CELL / side
        size = _cells((x1 - x0) * aspect * scale), _cells((y1 - y0) * scale)
        planes = shrink_planes(crop, *size)
        small = planes if upright.plain else upright.turn(np.stack(planes))
        height, width = small[0].shape
        top, left = k // self._columns * _CELL, k % self._columns * _CELL
        for layer, part in zip(canvas, small, strict=True):
            layer[top : top + height, left : left + width] = part
        return _Tile((x0, y0, x1 - x0, y1 - y0), width, height)

    def to_stored(self, seen: Sightings) -> Sightings:
        """Map what was seen in the mosaic to the stored picture; what lies in no crop is left out."""
        centre = (seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2
        cell = np.floor(centre / _CELL).astype(np.intp)
        index = cell[:, 1] * self._columns + cell[:, 0]
        inside = (centre >= 0).all(axis=1) & (cell[:, 0] < self._columns) & (index < len(self._tiles))
        kept, index = seen.take(inside), index[inside]
        corners = self._back(kept.xyxy.reshape(-1, 2, 2), index)
        # Corners change places where the picture is turned.
        xyxy = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return Sightings(xyxy, kept.confidence, self._back(kept.keypoints, index))

    def _back(self, points: NDArray[np.float32], index: NDArray[np.intp]) -> NDArray[np.float32]:
        """Map (n, k, 2) points of the mosaic, each row from the cell of its index."""
        format = self._upright.format
        facts = np.array([(*t.rectangle, t.width, t.height) for t in self._tiles], np.float32)[index][:, None]
        corner = np.stack([index % self._columns, index // self._columns], axis=1)[:, None] * _CELL
        whole = self._upright.points_to_stored((points - corner) / facts[..., 4:], 1, 1)
        share = whole / np.array([format.width, format.height], np.float32)
        return np.asarray(share * facts[..., 2:4] + facts[..., :2], np.float32)


def _span(centre: float, length: float, limit: int, step: int) -> tuple[int, int]:
    """A stretch of the picture on the chroma grid, at least one step long."""
    low = min(max(0, math.floor(centre - length / 2)), limit - 1) // step * step
    high = -(-max(math.ceil(centre + length / 2), low + step) // step) * step
    return low, min(limit, high)


def _stepped(cells: int) -> int:
    return -(-cells * _CELL // _STEP) * _STEP


def _cells(length: float) -> int:
    return min(_CELL, max(2, round(length)))
