"""pixelate: a mosaic that is laid over the face's own box, with noise of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.kernels import cell_means, separate_planes, spread_cells
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.values import Color, Face, Patch, StreamFormat

__all__ = ["Pixelate"]

Edges = NDArray[np.intp]

_MIN_CELL_PX = 4
_NOISE_SIDE = 64
_TRACKS_KEPT = 256


class PixelateParams(SoftParams):
    """Parameters of pixelate."""

    cells: int = Field(
        8,
        ge=2,
        le=12,
        description="Most cells across the longer side of the face's box; a cell is at least 4 px.",
    )
    noise: float = Field(
        0.06,
        ge=0.0,
        le=0.5,
        description="Largest change of a cell's brightness by noise that stays with the person, as a "
        "fraction of black to white; a quarter as much for its colour.",
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cell edges along one axis, in luma pixels of the patch, and the first cell's place in the noise."""

    edges: Edges
    first: int


class Pixelate(PrivacyEffect):
    """Replace the face by a coarse mosaic with noise. Weaker than solid."""

    name = "pixelate"
    caution = (
        "Weaker than solid: mosaics of faces have been recognised by machines "
        "(arXiv 1609.00408); keep cells low and noise on."
    )
    Params = PixelateParams
    params: PixelateParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Start without any person's noise."""
        super().prepare(format, seed)
        self._noises: dict[int, NDArray[np.float32]] = {}

    def cover(self, patch: Patch, face: Face) -> None:
        """Give each cell its mean, moved by the person's noise."""
        x0, y0, x1, y1 = face.xyxy
        cells, format = self.params.cells, self.format
        side = max(max(x1 - x0, y1 - y0) / cells, _MIN_CELL_PX)
        # An odd number of cells across the face puts a cell's middle, not its edge, on the face's.
        phase = side / 2 if cells % 2 else 0.0
        across = _grid((x0 + x1) / 2 + phase - patch.x, side, patch.width, format.column_step)
        down = _grid((y0 + y1) / 2 + phase - patch.y, side, patch.height, format.line_step)
        noise = self._noise(face.track_id)[:, down.first :, across.first :]
        new = []
        with separate_planes(patch) as planes:
            for i, plane in enumerate(planes):
                rows = _scaled(down.edges, format.pixels.shift_y if i else 0)
                columns = _scaled(across.edges, format.pixels.shift_x if i else 0)
                means = cell_means(plane, rows, columns)
                means += noise[i, : means.shape[0], : means.shape[1]]
                low, high = format.color.chroma_range if i else format.color.luma_range
                codes = np.rint(means).clip(low, high).astype(plane.dtype)
                new.append(spread_cells(codes, rows, columns))
        self.blend_planes(patch, self.outline(face, self.params.feather), tuple(new))

    def _noise(self, track_id: int) -> NDArray[np.float32]:
        """(3, 64, 64) offsets in codes: a cell of the grid has the same in every frame."""
        known = self._noises.get(track_id)
        if known is None:
            if len(self._noises) >= _TRACKS_KEPT:
                self._noises.clear()  # made again from the seed when needed: only time is lost
            known = self._noises[track_id] = self._draw_noise(track_id, self.format.color)
        return known

    def _draw_noise(self, track_id: int, color: Color) -> NDArray[np.float32]:
        generator = np.random.Generator(np.random.PCG64(self.track_seed(track_id)))
        (black, white), (low, high) = color.luma_range, color.chroma_range
        span = np.array([white - black, (high - low) / 4, (high - low) / 4]) * self.params.noise
        draw = generator.uniform(-1, 1, (3, _NOISE_SIDE, _NOISE_SIDE))
        return np.asarray(draw * span[:, None, None], np.float32)


def _grid(anchor: float, side: float, size: int, step: int) -> _Grid:
    """Lay cells of a size over 0..size so that an edge falls on the anchor, edges on the chroma grid.

    A sliver under half a cell at either end belongs to its neighbour: it would show finer detail.
    """
    first = math.ceil((side / 2 - anchor) / side)
    last = math.floor((size - side / 2 - anchor) / side)
    edges = [0]
    for k in range(first, last + 1):
        edge = round((anchor + side * k) / step) * step
        if edges[-1] < edge < size:
            edges.append(edge)
    place = min(max(first + _NOISE_SIDE // 2, 0), _NOISE_SIDE // 2)
    return _Grid(np.array([*edges, size], np.intp), place)


def _scaled(edges: Edges, shift: int) -> Edges:
    """Edges in samples of a plane; the picture's own edge may lie off the grid and rounds up."""
    return np.asarray(-(-edges >> shift), np.intp)
