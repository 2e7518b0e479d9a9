"""blemish: small spots of the skin softened; moles stay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.face_grid import FaceSkin, chroma_on, grown, luma_on
from facefx.effects.guided import Small, blurred
from facefx.effects.kernels import separate_planes
from facefx.effects.masks import Grid, Mask
from facefx.effects.skin_effect import SkinEffect, StrengthParams
from facefx.effects.tone import add_change, mean_under, ramp
from facefx.values import Face, Patch

__all__ = ["Blemish"]

# Squares across a face at least: a spot of a fiftieth of a face is two of them wide.
_FACE_SAMPLES = 128
# In face diameters: sigma that takes grain and pores off.
_GRAIN = 0.003
# How much darker than around it a spot is, in parts of the skin's mean luma: texture up to the first, a spot
# from the second; a mole, which is kept as it is, from the third to the fourth.
_TEXTURE, _SPOT, _MOLE, _SURE_MOLE = 0.015, 0.04, 0.24, 0.34
# How much redder, in codes of 8 bits at a middle luma.
_BLUSH, _RED = 1.0, 3.0
# Of a spot's depth and redness this goes at full strength: a little is left, as of powder.
_SHARE = 0.9


class BlemishParams(StrengthParams):
    """Parameters of blemish."""

    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much spots are softened: 0 changes nothing."
    )
    size: float = Field(
        0.025, ge=0.01, le=0.05, description="Width of the largest spot that is softened, in face diameters."
    )


@dataclass(frozen=True, slots=True)
class _Spots:
    """What luma, and U and V, lack to be as what is around them, on the grid.

    share: 0..255, how much of each square is a spot.
    """

    grid: Grid
    share: Mask
    changes: list[Small]


class Blemish(SkinEffect):
    """Soften dark and red spots up to a size: what differs from the skin on all sides of it.

    Folds, edges and shades differ from two sides only, and stay; so do moles, whole, for half a mole would
    look odder than one; and texture finer than a spot.
    """

    name = "blemish"
    Params = BlemishParams
    params: BlemishParams

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Fill the spots."""
        part, color = skin.part, self.format.color
        spots = self._spots(skin, self.shared.mesh(face).size)
        luma, *chroma = [
            cv2.multiply(change, spots.share, scale=strength * _SHARE / 255, dtype=cv2.CV_32F)
            for change in spots.changes
        ]
        add_change(part.planes[0], grown(luma, spots.grid, part, 0), color.luma_range)
        with separate_planes(part) as planes:
            for plane, change in zip(planes[1:], chroma, strict=True):
                add_change(plane, grown(change, spots.grid, part, 1), color.chroma_range)

    def _spots(self, skin: FaceSkin, size: float) -> _Spots:
        part, step = skin.part, max(int(skin.grid.step_x) // 2, 1)
        grid, weight = Grid.shrunk(part, step), skin.weight
        if step < skin.grid.step_x:
            double = 2 * skin.grid.width, 2 * skin.grid.height
            weight = cv2.resize(weight, double, interpolation=cv2.INTER_LINEAR)[: grid.height, : grid.width]
        color, reach = self.format.color, max(round(self.params.size * size / step), 1)
        black, white = color.luma_range
        mean = max(mean_under(skin.luma, skin.weight) - black, 1.0)
        values = [luma_on(part, grid), *chroma_on(part, grid)]
        depth, *chroma = [unlike_around(blurred(plane, _GRAIN * size / step), reach) for plane in values]
        cv2.threshold(depth, 0, 0, cv2.THRESH_TOZERO, dst=depth)
        spot = ramp(depth, _TEXTURE * mean, _SPOT * mean)
        if chroma:
            # Redness is a part of the light, as depth is.
            unit = 2 * mean / (white - black) * (1 << (color.depth - 8))
            spot = cv2.max(spot, ramp(chroma[1], -_BLUSH * unit, -_RED * unit))
        share = cv2.multiply(weight, spot, dtype=cv2.CV_8U)
        if cv2.minMaxLoc(depth, share)[1] > _MOLE * mean:
            moles = _moles(ramp(depth, _MOLE * mean, _SURE_MOLE * mean), reach)
            share = cv2.multiply(share, cv2.bitwise_not(moles), scale=1 / 255)
        return _Spots(grid, np.asarray(share), [depth, *chroma])


def unlike_around(values: Small, reach: int) -> Small:
    """Return what each value lacks to be as those on all sides of it; 0 where it is like those on two.

    values: codes of up to 10 bits. reach: how far away the others are, in samples. Each is compared with
    the means of eight opposite pairs, and the least difference counts: a slope, an edge and a line have none.

    >>> spot, line = np.pad(np.float32([[1]]), 2), np.eye(5, dtype=np.float32)
    >>> float(unlike_around(spot, 1)[2, 2]), float(unlike_around(line, 1)[2, 2])
    (-1.0, 0.0)
    """
    rows, columns = values.shape
    # Sums of two, in 16ths of a code, fit 16 bits, which costs half of what floats do.
    fixed = cv2.addWeighted(values, 16, values, 0, 0, dtype=cv2.CV_16U)
    wide = cv2.copyMakeBorder(fixed, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    lowest = highest = None
    for down, right in _ways(reach):
        ahead = wide[reach + down :, reach + right :][:rows, :columns]
        behind = wide[reach - down :, reach - right :][:rows, :columns]
        both = cv2.add(ahead, behind)
        lowest = both if lowest is None else cv2.min(lowest, both)
        highest = both if highest is None else cv2.max(highest, both)
    twice = cv2.add(fixed, fixed)
    # The nearest of the means, where all lie on one side.
    nearest = cv2.min(cv2.max(twice, lowest), highest)
    return np.asarray(cv2.addWeighted(nearest, 1 / 32, twice, -1 / 32, 0, dtype=cv2.CV_32F))


@cache
def _ways(reach: int) -> tuple[tuple[int, int], ...]:
    """Half a circle of steps of that length, down and right: a line lies along one of them."""
    angles = [i * math.pi / 8 for i in range(8)]
    ways = {(round(reach * math.sin(angle)), round(reach * math.cos(angle))) for angle in angles}
    return tuple(sorted(ways))


def _moles(sure: Mask, reach: int) -> Mask:
    """Spread what is a mole over the whole of it and a rim, softly."""
    side = 2 * reach + 1
    spread = cv2.dilate(sure, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray(cv2.blur(spread, (3, 3), borderType=cv2.BORDER_REPLICATE), np.uint8)
