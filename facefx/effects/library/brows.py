"""brows: fuller and darker brows, or brows of another colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from facefx.effects.colour import Colour
from facefx.effects.guided import blurred
from facefx.effects.makeup import PaintedMakeup, PaintParams, Spot
from facefx.effects.masks import Grid, Mesh, Points, soft_mask
from facefx.effects.paint import Weight, tint
from facefx.effects.places import SIDES, brow_edges, eye_seen
from facefx.values import Face, Patch

__all__ = ["Brows"]

# In face diameters: sigma of the edge, which hairs cross, and of the grain that is no hair.
_EDGE, _FINE = 0.01, 0.004
# What skin between the hairs gets; hair gets all. Skin and hair are so many standard deviations above and
# below the region's mean luma; a brow that varies less than so much of its mean has no hair to see.
_FILL, _APART, _PLAIN = 0.25, 0.6, 0.06


class BrowsParams(PaintParams):
    """Parameters of brows."""

    colour: Colour = Field("#3a2a22", description="Of the hairs at full strength.")
    strength: float = Field(
        0.45,
        ge=0.0,
        le=1.0,
        description="How much it covers: 0 changes nothing, 1 gives hairs the colour.",
    )


class Brows(PaintedMakeup):
    """Paint the brows: hairs, which are darker, take more of the colour than the skin between them."""

    name = "brows"
    fade: ClassVar[float] = 2.5 * _EDGE
    lightens: ClassVar[float] = 1.6
    Params = BrowsParams
    params: BrowsParams

    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """Both brows; that of the far side grows thin as the head turns away."""
        found: list[Points] = []
        for side in SIDES:
            seen = eye_seen(mesh, side)
            upper, lower = brow_edges(mesh, side)
            if seen:
                found.append(np.concatenate((upper, (upper + (lower - upper) * seen)[::-1])))
        return found

    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """The brows, with a soft edge."""
        return np.asarray(soft_mask(spot.outlines, grid, _EDGE * spot.mesh.size) * (1 / 255))

    def paint(self, patch: Patch, weight: Weight, spot: Spot) -> None:
        """Tint hairs, and what lies between them a little."""
        fields = 2 if self.format.field_order else 1
        for i in range(fields):
            luma = patch.planes[0][i::fields].astype(np.float32) - self.format.color.luma_range[0]
            hair = _hair(blurred(luma, _FINE * spot.mesh.size), weight[i::fields])
            weight[i::fields] *= _FILL + (1 - _FILL) * hair
        tint(patch, weight, self.pigment)


def _hair(luma: Weight, weight: Weight) -> Weight:
    """0 for skin to 1 for hair, by how dark a sample is for its brow."""
    total = max(float(weight.sum()), 1e-3)
    mean = max(float(np.vdot(luma, weight)) / total, 1.0)
    level = luma - mean
    spread = math.sqrt(float(np.vdot(level * level, weight)) / total)
    reach = _APART * max(spread, _PLAIN * mean)
    return np.asarray(np.clip(0.5 - level * (0.5 / reach), 0, 1))
