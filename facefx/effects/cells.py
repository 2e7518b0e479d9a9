"""A grid of cells laid over a face: it moves with the face, and each cell keeps its place in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.effect import Rectangle
from facefx.values import Patch, StreamFormat

__all__ = ["PLACES", "Cells", "Edges", "Places", "lay_cells"]

Edges = NDArray[np.intp]
Places = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)

PLACES = 64
"""Cells along either axis after which places repeat: far more than a face has."""

# Sides follow each other by this ratio. A size that drifts changes none for long, where it would move every
# edge in every frame.
_RATIO = 2 ** (1 / 8)
# A side that is larger than a step by less than this part of one, from rounding, is not made a step larger.
_TREMBLE = 1e-6
# Codes whose sums OpenCV counts exactly in 32 bits.
_SUMS_32 = (1 << 31) // 255


@dataclass(frozen=True, slots=True)
class Cells:
    """Square cells over a patch, at parts of a pixel: the same in every pixel format and at every size.

    rows, columns: edges in luma pixels of the patch, from 0 to its size. side: of a cell that nothing cuts.
    down, across: place of each row and column, 0..63, counted from the face's middle: the same in every
    frame.
    """

    rows: Places
    columns: Places
    side: float
    down: Edges
    across: Edges

    def of(self, table: NDArray[T]) -> NDArray[T]:
        """Of a (…, 64, 64) table by place, the entries of these cells."""
        return np.asarray(table[..., self.down[:, None], self.across])

    def edges(self, format: StreamFormat, plane: int) -> tuple[Edges, Edges]:
        """(rows, columns) in whole samples of a plane, the nearest; strictly rising.

        Rows of an interlaced picture begin with a line of its first field.
        """
        step_x, step_y = _steps(format, plane)
        return (
            _whole(self.rows / step_y, 2 if format.field_order else 1),
            _whole(self.columns / step_x, 1),
        )

    def means(self, planes: Sequence[NDArray[Any]], format: StreamFormat, first: int) -> NDArray[np.float64]:
        """Return (planes, rows, columns) means of the cells; samples on an edge count in part.

        planes: of one size. first: number of the first of them, 0 is luma.
        """
        (height, width), (step_x, step_y) = planes[0].shape, _steps(format, first)
        down, across = _around(self.rows / step_y, height), _around(self.columns / step_x, width)
        small = planes[0].dtype == np.uint8 and planes[0].size < _SUMS_32
        depth, where = cv2.CV_32S if small else cv2.CV_64F, (down.whole[:, None], across.whole)
        sums = np.array([cv2.integral(plane, sdepth=depth)[where] for plane in planes])
        rows, columns = len(down.part), len(across.part)
        # Between two whole samples a sum grows evenly: what lies between two edges is exact.
        sums = sums[:, :rows] + (sums[:, rows:] - sums[:, :rows]) * down.part[:, None]
        sums = sums[..., :columns] + (sums[..., columns:] - sums[..., :columns]) * across.part
        bands = sums[:, 1:] - sums[:, :-1]
        return np.asarray((bands[..., 1:] - bands[..., :-1]) / (down.sizes[:, None] * across.sizes))


def lay_cells(patch: Patch, box: Rectangle, cells: int, least_px: float) -> Cells:
    """Lay square cells over a patch, so many at most along the longer side of a face's box.

    Edges follow the box by any part of a pixel. Sides are steps of the picture's height: cells of one
    picture are the same at any resolution.

    least_px: side of the smallest cell, whatever the number; larger where chroma's samples are.
    """
    x0, y0, x1, y1 = box
    format = patch.format
    # Half a cell, which an end of the patch may leave, has a sample of its own in every plane.
    least = max(least_px, 2 * format.column_step, 2 * format.line_step)
    side = max(_steady(max(x1 - x0, y1 - y0) / cells, format.height), least)
    # An odd number of cells across the face puts a cell's middle, not its edge, on the face's.
    phase = side / 2 if cells % 2 else 0.0
    columns, across = _axis((x0 + x1) / 2 + phase - patch.x, side, patch.width)
    rows, down = _axis((y0 + y1) / 2 + phase - patch.y, side, patch.height)
    return Cells(rows, columns, side, down, across)


def _steady(side: float, height: int) -> float:
    """The next larger of the sides that there are: the picture's height, and from there in equal ratios."""
    return height * _RATIO ** math.ceil(math.log(side / height, _RATIO) - _TREMBLE)


def _axis(anchor: float, side: float, size: int) -> tuple[Places, Edges]:
    """Edges from 0 to size so that one falls on the anchor, and the places between them.

    A sliver under half a cell at either end belongs to its neighbour: it would show finer detail.
    """
    first = math.ceil((side / 2 - anchor) / side)
    last = math.floor((size - side / 2 - anchor) / side)
    # Numbers cost less than arrays of ten.
    edges = [0.0, *(anchor + side * k for k in range(first, last + 1)), float(size)]
    places = [(first + PLACES // 2 + i) % PLACES for i in range(len(edges) - 1)]
    return np.array(edges), np.array(places, np.intp)


def _steps(format: StreamFormat, plane: int) -> tuple[int, int]:
    """Luma pixels from one sample of a plane to the next."""
    return (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if plane else (1, 1)


def _whole(edges: Places, lines: int) -> Edges:
    """The nearest multiples of so many lines; the last edge, which may lie off them, is rounded up."""
    # Halves upwards, all of them: to even ones, two edges might fall together.
    whole = [math.floor(edge / lines + 0.5) * lines for edge in edges.tolist()]
    whole[-1] = math.ceil(edges[-1])
    return np.array(whole, np.intp)


@dataclass(frozen=True, slots=True)
class _Around:
    """Edges among whole samples.

    whole: below each edge, then above each. part: how far it is from the first to the second. sizes: of what
    lies between edges.
    """

    whole: Edges
    part: Places
    sizes: Places


def _around(edges: Places, size: int) -> _Around:
    """edges: in samples; the last is the end of so many."""
    edges[-1] = size
    below = edges.astype(np.intp)
    whole = np.concatenate((below, below + 1))
    whole[-1] = size
    return _Around(whole, edges - below, edges[1:] - edges[:-1])
