"""pixelate: a mosaic that is laid over the face's own box, in few levels, with noise of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.cells import PLACES, Cells, lay_cells
from facefx.effects.colour import rgb_matrix
from facefx.effects.kernels import separate_planes, spread_cells
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.values import Color, Face, Patch, StreamFormat

__all__ = ["Pixelate"]

_MIN_CELL_PX = 4
_TRACKS_KEPT = 256
_PARTS = Color("bt709", full_range=True)

Affine = tuple[NDArray[np.float64], NDArray[np.float64]]


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
    levels: int = Field(
        16,
        ge=0,
        le=64,
        description="Levels of brightness from black to white, and twice as many of colour; which "
        "they are belongs to the person. A cell keeps its level from frame to frame until its face has "
        "changed by about a level. 0: as many as the stream has.",
    )


class Pixelate(PrivacyEffect):
    """Replace the face by a coarse mosaic with noise, in few levels. Weaker than solid.

    Grid, noise and levels stay with the person, and a frame is made without knowing others. Frames of a
    face at rest give one and the same mosaic, so that their average tells no more than one of them;
    of a face that moves, each frame tells at most a level a cell. The noise is added before the levels
    are chosen: after, the distance from a level would give it away.
    """

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
        self._noises: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._to_parts, self._to_codes = _parts_of(format.color)
        levels = max(self.params.levels, 1)
        self._steps = np.array((1 / levels, 0.5 / levels, 0.5 / levels)).reshape(3, 1, 1)

    def cover(self, patch: Patch, face: Face) -> None:
        """Give each cell its mean, moved by the person's noise, on the nearest of the person's levels."""
        format = self.format
        cells = lay_cells(patch, face.xyxy, self.params.cells, _MIN_CELL_PX)
        with separate_planes(patch) as planes:
            means = cells.means(planes[:1], format, 0)
            if len(planes) > 1:
                means = np.concatenate((means, cells.means(planes[1:], format, 1)))
            codes = self._coarse(means, cells, face.track_id)
            edges = [cells.edges(format, i) for i in range(min(len(planes), 2))]
            new = tuple(spread_cells(part, *edges[min(i, 1)]) for i, part in enumerate(codes))
        self.blend_planes(patch, self.outline(face, self.params.feather), new)

    def _coarse(self, means: NDArray[np.float64], cells: Cells, track_id: int) -> list[NDArray[Any]]:
        """(rows, columns) codes of each plane: what is shown of the means."""
        color, count = self.format.color, len(means)
        noise, starts = self._noise(track_id)
        parts = _turned(self._to_parts, means)
        parts += cells.of(noise[:count])
        if self.params.levels:
            _to_levels(parts, starts[:count], self._steps[:count])
        codes = np.rint(_turned(self._to_codes, parts))
        legal = (color.luma_range, color.chroma_range, color.chroma_range)
        dtype = self.format.pixels.dtype
        return [part.clip(*ends).astype(dtype) for part, ends in zip(codes, legal, strict=False)]

    def _noise(self, track_id: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(3, 64, 64) offsets by a cell's place, and (3, 1, 1) where levels start, in parts of a step."""
        known = self._noises.get(track_id)
        if known is None:
            if len(self._noises) >= _TRACKS_KEPT:
                self._noises.clear()  # made again from the seed when needed: only time is lost
            known = self._noises[track_id] = self._draw_noise(track_id)
        return known

    def _draw_noise(self, track_id: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        generator = np.random.Generator(np.random.PCG64(self.track_seed(track_id)))
        draw = generator.uniform(-1, 1, (3, PLACES, PLACES))
        draw *= np.array((1, 0.25, 0.25)).reshape(3, 1, 1) * self.params.noise
        return draw, generator.uniform(0, 1, (3, 1, 1))


def _parts_of(color: Color) -> tuple[Affine, Affine]:
    """From a stream's codes to what noise and levels are laid on, and back.

    That is Y, U, V as BT.709 has them, Y from 0 to 1, U and V from -½ to ½: levels of the stream's own would
    look another in each matrix.
    """
    to_rgb, back = rgb_matrix(color), rgb_matrix(_PARTS)
    # One step of parts is so many codes of the matrix that is known.
    black, white = _PARTS.luma_range
    unit = np.array((white - black, _PARTS.peak, _PARTS.peak), np.float64)
    zero = np.array((black, _PARTS.neutral, _PARTS.neutral), np.float64)
    whole = np.linalg.inv(back[:, :3])
    matrix = (whole @ to_rgb[:, :3]) / unit[:, None]
    offset = (whole @ (to_rgb[:, 3] - back[:, 3]) - zero) / unit
    inverse = np.linalg.inv(matrix).astype(np.float64)
    return (matrix, offset), (inverse, -inverse @ offset)


def _turned(way: Affine, planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (n, h, w) colours, n being 3, or 1 for gray, which has no chroma."""
    matrix, offset = way
    count = len(planes)
    flat = matrix[:count, :count] @ planes.reshape(count, -1)
    flat += offset[:count, None]
    return flat.reshape(planes.shape)


def _to_levels(parts: NDArray[np.float64], starts: NDArray[np.float64], steps: NDArray[np.float64]) -> None:
    """Move each part to the middle of its step, in place; starts: where steps begin, in parts of one."""
    parts /= steps
    parts -= starts
    np.floor(parts, out=parts)
    parts += starts + 0.5
    parts *= steps
