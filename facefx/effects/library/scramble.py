"""scramble: the cells of a face change places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.cells import PLACES, Edges, lay_cells
from facefx.effects.kernels import separate_planes
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Scramble"]

_MIN_CELL_PX = 4
_TRACKS_KEPT = 256

Plane = NDArray[Any]


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
        cells = lay_cells(patch, face.xyxy, self.params.cells, _MIN_CELL_PX)
        source = _following(cells.of(self._rank(face.track_id)))
        lines = 2 if self.format.field_order else 1
        with separate_planes(patch) as planes:
            if len(source) > 1:
                luma, chroma = (cells.edges(self.format, plane) for plane in (0, 1))
                new = [*_moved(planes[:1], luma, source, lines), *_moved(planes[1:], chroma, source, lines)]
            else:  # a cell alone has nowhere to go
                new = [np.full_like(plane, self.format.color.neutral) for plane in planes]
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


def _following(ranks: NDArray[np.int64]) -> list[int]:
    """For each cell, row by row, the one that comes next in the order of ranks; the first follows the last.

    One round through all: no cell follows itself, whichever cells there are.
    """
    order = np.argsort(ranks, axis=None, kind="stable")
    following = np.empty_like(order)
    following[order] = np.roll(order, -1)
    return list(following.tolist())


def _moved(planes: Sequence[Plane], edges: tuple[Edges, Edges], source: list[int], lines: int) -> list[Plane]:
    """Planes of one size in which each cell holds what was at its source; shifts down: multiples of lines."""
    new = [np.empty_like(plane) for plane in planes]
    if not new:
        return new
    tops, lefts = edges[0].tolist(), edges[1].tolist()
    rows, columns = list(pairwise(tops)), list(pairwise(lefts))
    downs = [[_taken(row, other, tops[-1], lines) for other in rows] for row in rows]
    acrosses = [[_taken(column, other, lefts[-1], 1) for other in columns] for column in columns]
    count = len(columns)
    for cell, place in enumerate(source):
        (i, j), (from_i, from_j) = divmod(cell, count), divmod(place, count)
        here = (slice(*rows[i]), slice(*columns[j]))
        there = (downs[i][from_i], acrosses[j][from_j])
        for target, plane in zip(new, planes, strict=True):
            target[here] = plane[there]
    return new


def _taken(target: tuple[int, int], source: tuple[int, int], size: int, lines: int) -> slice:
    """What of an axis is taken for a cell, as much as the cell has: from where its source begins.

    Cells at both ends are cut by the patch. So that what they give does not move with its edge, the first
    one gives, and gets, from its end backwards. What lies beyond the patch is made up for on the other
    side: by less than the source is wide, so that nothing stays in its place.
    """
    length = target[1] - target[0]
    begin = source[1] - length if 0 in (target[0], source[0]) else source[0]
    begin = max(min(begin, size - length), 0) // lines * lines
    return slice(begin, begin + length)
