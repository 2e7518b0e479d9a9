"""scramble: the cells of a face change places."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.cells import PLACES, Cells, Edges, lay_cells
from facefx.effects.kernels import separate_planes
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Scramble"]

_MIN_CELL_PX = 4
_TRACKS_KEPT = 256

Plane = NDArray[Any]
Moves = NDArray[np.intp]


class ScrambleParams(SoftParams):
    """Parameters of scramble."""

    cells: int = Field(
        8,
        ge=2,
        le=24,
        description="Most cells across the longer side of the face's box; a cell is at least 4 px.",
    )


class Scramble(PrivacyEffect):
    """Move every cell of the face to another cell's place. For the look of it: a puzzle can be solved.

    The order is drawn from the seed for each person and stays with the person. No sample stays in its
    place; all come from the changed rectangle. It cannot be undone exactly: cells are cut at the
    picture's edges, and the encoder has its own losses.
    """

    name = "scramble"
    caution = (
        "Weak: all pieces of the face are still there, and programs put such puzzles together again "
        "(doi 10.1587/transinf.2017MUP0001). To hide who somebody is, use solid."
    )
    Params = ScrambleParams
    params: ScrambleParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Start without any person's order."""
        super().prepare(format, seed)
        self._ranks: dict[int, NDArray[np.int64]] = {}

    def cover(self, patch: Patch, face: Face) -> None:
        """Give each cell what was in the cell that follows it in the person's order."""
        format = self.format
        cells = lay_cells(patch, face.xyxy, self.params.cells, _MIN_CELL_PX)
        ranks = cells.of(self._rank(face.track_id))
        with separate_planes(patch) as planes:
            if ranks.size > 1:
                moves = _moves(ranks, cells.side, format)
                new = [_moved(planes[0], cells, moves, format, 0)]
                if len(planes) > 1:
                    # U and V as one number: most of the time goes into calls.
                    kind = np.uint16 if planes[1].dtype == np.uint8 else np.uint32
                    pairs = cv2.merge(planes[1:]).view(kind)[..., 0]
                    pairs = _moved(pairs, cells, moves, format, 1)[..., None]
                    new += cv2.split(pairs.view(planes[1].dtype))
            else:  # a cell alone has nowhere to go
                new = [np.full_like(plane, format.color.neutral) for plane in planes]
        self.blend_planes(patch, self.outline(face, self.params.feather), tuple(new))

    def _rank(self, track_id: int) -> NDArray[np.int64]:
        """(64, 64): the order of all places of a person."""
        known = self._ranks.get(track_id)
        if known is None:
            if len(self._ranks) >= _TRACKS_KEPT:
                self._ranks.clear()  # made again from the seed when needed: only time is lost
            generator = np.random.Generator(np.random.PCG64(self.track_seed(track_id)))
            known = self._ranks[track_id] = generator.permutation(PLACES**2).reshape(PLACES, PLACES)
        return known


def _moves(ranks: NDArray[np.int64], side: float, format: StreamFormat) -> tuple[Moves, Moves]:
    """For each cell how far away lies the one that it is filled from: (down, across), (rows, columns) each.

    Whole steps of the chroma grid, the nearest: luma moves as chroma can, so that both stay together.
    """
    rows, columns = ranks.shape
    from_row, from_column = np.divmod(_following(ranks), columns)
    down = (from_row - np.arange(rows)[:, None]) * (side / format.line_step)
    across = (from_column - np.arange(columns)) * (side / format.column_step)
    return np.rint(down).astype(np.intp), np.rint(across).astype(np.intp)


def _following(ranks: NDArray[np.int64]) -> Moves:
    """For each cell of (rows, columns) the one that comes next in the order of ranks, counted row by row.

    The first follows the last: one round through all, so that no cell follows itself, whichever there are.
    """
    order = np.argsort(ranks, axis=None, kind="stable")
    following = np.empty_like(order)
    following[order[:-1]] = order[1:]
    following[order[-1:]] = order[:1]
    return following.reshape(ranks.shape)


def _moved(
    plane: Plane, cells: Cells, moves: tuple[Moves, Moves], format: StreamFormat, number: int
) -> Plane:
    """A plane in which each cell holds what was at its source. number: 0 is luma."""
    rows, columns = cells.edges(format, number)
    step_x, step_y = (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if number else (1, 1)
    lines = 2 if format.field_order else 1
    tops = _taken(rows[:, None], moves[0] * (format.line_step // step_y), lines).tolist()
    lefts = _taken(columns, moves[1] * (format.column_step // step_x), 1).tolist()
    new, across = np.empty_like(plane), [slice(*ends) for ends in pairwise(columns.tolist())]
    widths = (columns[1:] - columns[:-1]).tolist()
    for (top, bottom), from_top, from_left in zip(pairwise(rows.tolist()), tops, lefts, strict=True):
        band, height = new[top:bottom], bottom - top
        for there, width, y, x in zip(across, widths, from_top, from_left, strict=True):
            band[:, there] = plane[y : y + height, x : x + width]
    return new


def _taken(edges: Edges, move: Moves, lines: int) -> Moves:
    """Where along an axis begins what each cell takes, as much as the cell has. edges: of cells, in samples.

    What lies beyond the patch is made up for on the other side, by less than the source is wide, so that
    nothing stays in its place. Moves are, and stay, multiples of so many lines.
    """
    first, most = edges[:-1], edges[-1] - edges[1:]
    least = -first
    if lines > 1:
        least, most = -(-least // lines) * lines, most // lines * lines
    return np.asarray(first + np.minimum(np.maximum(move, least), most))
