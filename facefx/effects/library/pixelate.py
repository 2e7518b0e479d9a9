"""pixelate: a mosaic that is laid over the face's own box, in few levels, with noise of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.cells import PLACES, lay_cells
from facefx.effects.kernels import cell_means, separate_planes, spread_cells
from facefx.effects.privacy import PrivacyEffect, SoftParams
from facefx.values import Color, Face, Patch, StreamFormat

__all__ = ["Pixelate"]

_MIN_CELL_PX = 4
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
        self._noises: dict[int, tuple[NDArray[np.float32], NDArray[np.float64]]] = {}

    def cover(self, patch: Patch, face: Face) -> None:
        """Give each cell its mean, moved by the person's noise, on the nearest of the person's levels."""
        color = self.format.color
        cells = lay_cells(patch, face.xyxy, self.params.cells, _MIN_CELL_PX)
        noise, starts = self._noise(face.track_id)
        noise = cells.of(noise)
        new = []
        with separate_planes(patch) as planes:
            for i, plane in enumerate(planes):
                rows, columns = cells.edges(self.format, i)
                means = cell_means(plane, rows, columns)
                means += noise[i]
                if self.params.levels:
                    _to_levels(means, float(starts[i]), self._steps[i])
                low, high = color.chroma_range if i else color.luma_range
                codes = np.rint(means).clip(low, high).astype(plane.dtype)
                new.append(spread_cells(codes, rows, columns))
        self.blend_planes(patch, self.outline(face, self.params.feather), tuple(new))

    @property
    def _steps(self) -> tuple[float, float, float]:
        """Codes from level to level, a plane each."""
        (black, white), (low, high) = self.format.color.luma_range, self.format.color.chroma_range
        levels = max(self.params.levels, 1)
        chroma = (high - low) / (2 * levels)
        return (white - black) / levels, chroma, chroma

    def _noise(self, track_id: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """(3, 64, 64) offsets in codes by a cell's place, and (3,) where levels start, in parts of a step."""
        known = self._noises.get(track_id)
        if known is None:
            if len(self._noises) >= _TRACKS_KEPT:
                self._noises.clear()  # made again from the seed when needed: only time is lost
            known = self._noises[track_id] = self._draw_noise(track_id, self.format.color)
        return known

    def _draw_noise(self, track_id: int, color: Color) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        generator = np.random.Generator(np.random.PCG64(self.track_seed(track_id)))
        (black, white), (low, high) = color.luma_range, color.chroma_range
        span = np.array([white - black, (high - low) / 4, (high - low) / 4]) * self.params.noise
        draw = generator.uniform(-1, 1, (3, PLACES, PLACES))
        return np.asarray(draw * span[:, None, None], np.float32), generator.uniform(0, 1, 3)


def _to_levels(means: NDArray[np.float32], start: float, step: float) -> None:
    """Move each mean to the middle of its step, in place; start: where steps begin, in parts of one."""
    np.floor(means / np.float32(step) - np.float32(start), out=means)
    means += np.float32(start + 0.5)
    means *= np.float32(step)
