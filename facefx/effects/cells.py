"""A grid of cells laid over a face: it moves with the face, and each cell keeps its place in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facefx.effects.effect import Rectangle
from facefx.values import Patch, StreamFormat

__all__ = ["PLACES", "Cells", "Edges", "lay_cells"]

Edges = NDArray[np.intp]
# A side that is larger than whole steps by less than this, from rounding, is not made a step larger.
_TREMBLE = 1e-6
T = TypeVar("T", bound=np.generic)

PLACES = 64
"""Cells along either axis after which places repeat: far more than a face has."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells over a patch.

    rows, columns: edges in luma pixels of the patch, on the chroma grid, from 0 to its size. down, across:
    place of each row and column, 0..63, counted from the face's middle: the same in every frame.
    """

    rows: Edges
    columns: Edges
    down: Edges
    across: Edges

    def of(self, table: NDArray[T]) -> NDArray[T]:
        """Of a (…, 64, 64) table by place, the entries of these cells."""
        return np.asarray(table[..., self.down[:, None], self.across])

    def edges(self, format: StreamFormat, plane: int) -> tuple[Edges, Edges]:
        """(rows, columns) in samples of a plane; the picture's own edge may lie off the grid: rounded up."""
        if not plane:
            return self.rows, self.columns
        pixels = format.pixels
        return -(-self.rows >> pixels.shift_y), -(-self.columns >> pixels.shift_x)


def lay_cells(patch: Patch, box: Rectangle, cells: int, least_px: float) -> Cells:
    """Lay square cells over a patch, so many at most along the longer side of a face's box.

    Sides are whole steps of the chroma grid: a box that trembles by less moves no edge, and one that moves
    moves all of them together. least_px: side of the smallest cell, whatever the number.
    """
    x0, y0, x1, y1 = box
    step = max(patch.format.column_step, patch.format.line_step)
    side = math.ceil(max(max(x1 - x0, y1 - y0) / cells, least_px) / step - _TREMBLE) * step
    # An odd number of cells across the face puts a cell's middle, not its edge, on the face's.
    phase = side / 2 if cells % 2 else 0.0
    format = patch.format
    columns, across = _axis((x0 + x1) / 2 + phase - patch.x, side, patch.width, format.column_step)
    rows, down = _axis((y0 + y1) / 2 + phase - patch.y, side, patch.height, format.line_step)
    return Cells(rows, columns, down, across)


def _axis(anchor: float, side: int, size: int, step: int) -> tuple[Edges, Edges]:
    """Edges from 0 to size so that one falls near the anchor, on the chroma grid, and the places between.

    A sliver under half a cell at either end belongs to its neighbour: it would show finer detail.
    """
    anchor = round(anchor / step) * step
    first = math.ceil((side / 2 - anchor) / side)
    last = math.floor((size - side / 2 - anchor) / side)
    edges = [0]
    for k in range(first, last + 1):
        edge = anchor + side * k
        if edges[-1] < edge < size:
            edges.append(edge)
    places = (first + PLACES // 2 + np.arange(len(edges))) % PLACES
    return np.array([*edges, size], np.intp), places.astype(np.intp)
