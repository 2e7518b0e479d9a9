"""A close look at the few places where faces are expected: crops side by side in one small picture.

A face seen a moment ago is found again for a tenth of what the whole picture costs, and at the
size that the net likes best, whatever its size in the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefx.faces.merge import Sightings
from facefx.faces.picture import Upright, colour_planes, shrink_planes
from facefx.geometry import Boxes, area, nms
from facefx.values import Planes

__all__ = ["MOST_PLACES", "Mosaic", "places"]

# Side of a crop in the mosaic, a multiple of the net's step; and how much wider than the face it is:
# a face of 32 px is found as surely as in the whole picture, and one that moved by half still is.
_CELL = 64
_GROW = 2.0
_COLUMNS = 5
# With more places than this a look at the whole picture is as cheap.
MOST_PLACES = 20


def places(expected: Boxes) -> Boxes:
    """One box for each face that is expected: of boxes that overlap, the largest."""
    return expected[nms(expected, area(expected), 0.3)]


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
        rows = -(-len(expected) // self._columns)
        self.picture = np.zeros((3, rows * _CELL, self._columns * _CELL), np.float32)
        self._tiles = [self._lay(planes, k, box) for k, box in enumerate(expected.tolist())]

    def _lay(self, planes: Planes, k: int, box: list[float]) -> _Tile:
        """Cut, shrink and turn one crop into its cell."""
        format, upright = self._upright.format, self._upright
        aspect = float(format.sample_aspect) or 1.0
        side = _GROW * max((box[2] - box[0]) * aspect, box[3] - box[1], 1.0)
        x0, x1 = _span((box[0] + box[2]) / 2, side / aspect, format.width, format.column_step)
        y0, y1 = _span((box[1] + box[3]) / 2, side, format.height, 1 << format.pixels.shift_y)
        shift_x, shift_y = format.pixels.shift_x, format.pixels.shift_y
        chroma = (slice(y0 >> shift_y, -(-y1 >> shift_y)), slice(x0 >> shift_x, -(-x1 >> shift_x)))
        crop = (planes[0][y0:y1, x0:x1], *(plane[chroma] for plane in planes[1:]))
        scale = _CELL / side
        size = _cells((x1 - x0) * aspect * scale), _cells((y1 - y0) * scale)
        small = upright.turn(colour_planes(shrink_planes(crop, *size), format.color))
        height, width = small.shape[1:]
        top, left = k // self._columns * _CELL, k % self._columns * _CELL
        self.picture[:, top : top + height, left : left + width] = small
        return _Tile((x0, y0, x1 - x0, y1 - y0), width, height)

    def to_stored(self, seen: Sightings) -> Sightings:
        """Map what was seen in the mosaic to the stored picture; what lies in no crop is left out."""
        if not len(seen):
            return seen
        centre = (seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2
        cells = np.floor(centre / _CELL).astype(np.intp)
        inside = (centre >= 0).all(axis=1) & (cells[:, 0] < self._columns)
        index = cells[:, 1] * self._columns + cells[:, 0]
        rows = np.flatnonzero(inside & (index < len(self._tiles)))
        xyxy = np.stack([self._back(seen.xyxy[row].reshape(1, 2, 2), index[row]) for row in rows] or [_NONE])
        points = [self._back(seen.keypoints[row][None], index[row]) for row in rows]
        kept = seen.take(rows)
        if not len(kept):
            return kept
        return Sightings(_ordered(xyxy.reshape(-1, 4)), kept.confidence, np.concatenate(points))

    def _back(self, points: NDArray[np.float32], k: int) -> NDArray[np.float32]:
        """Map (1, n, 2) points of the mosaic that belong to cell k."""
        tile, format = self._tiles[k], self._upright.format
        corner = np.array([k % self._columns * _CELL, k // self._columns * _CELL], np.float32)
        whole = self._upright.points_to_stored(points - corner, tile.width, tile.height)
        x, y, width, height = tile.rectangle
        share = np.array([width / format.width, height / format.height], np.float32)
        return np.asarray(whole * share + np.array([x, y], np.float32), np.float32)


_NONE = np.zeros((1, 2, 2), np.float32)


def _ordered(xyxy: NDArray[np.float32]) -> Boxes:
    """Corners may have changed places where the picture was turned."""
    low, high = np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])
    return np.concatenate([low, high], axis=1)


def _span(centre: float, length: float, limit: int, step: int) -> tuple[int, int]:
    """A stretch of the picture on the chroma grid, at least one step long."""
    low = min(max(0, math.floor(centre - length / 2)), limit - 1) // step * step
    high = -(-max(math.ceil(centre + length / 2), low + step) // step) * step
    return low, min(limit, high)


def _cells(length: float) -> int:
    return min(_CELL, max(2, round(length)))
