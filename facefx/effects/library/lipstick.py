"""lipstick: colour on the lips, matte or glossy; teeth and skin stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from facefx.effects.colour import Colour
from facefx.effects.makeup import PaintedMakeup, PaintParams, Spot
from facefx.effects.masks import Grid, Mesh, Points, soft_masks
from facefx.effects.paint import Pigment, Weight, closed, tint
from facefx.effects.places import lip_outlines
from facefx.values import Color, Face, Patch

__all__ = ["Lipstick"]

# In face diameters: sigma of the edge, and of the grain that is no highlight.
_EDGE, _GRAIN = 0.006, 0.006
# So many times as light as the lips are, at most: lipstick in the shade stays in the shade.
_LIGHTENS = 1.5
# Part of its height by which a highlight grows or shrinks.
_SHINE = {"matte": -0.4, "gloss": 0.9}


class LipstickParams(PaintParams):
    """Parameters of lipstick."""

    colour: Colour = Field("#b3283f", description="Of the lips at full strength.")
    strength: float = Field(
        0.6, ge=0.0, le=1.0, description="How much it covers: 0 changes nothing, 1 gives the lips the colour."
    )
    finish: Literal["matte", "gloss"] = Field(
        "matte", description="Whether the highlights that the lips have shrink or grow."
    )


class Lipstick(PaintedMakeup):
    """Paint the lips: their shades stay, their means move to the colour; what lies between them stays.

    gloss lifts the highlights that are there, matte lowers them; none is added.
    """

    name = "lipstick"
    fade: ClassVar[float] = 2.5 * _EDGE
    lightens: ClassVar[float] = _LIGHTENS
    Params = LipstickParams
    params: LipstickParams

    def mixed(self, color: Color) -> Pigment:
        """The colour in a stream's codes, with the finish."""
        shine = _SHINE[self.params.finish]
        return Pigment.of(self.params.colour, color, lightens=self.lightens, shine=shine)

    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """The outer outline and the inner one."""
        return lip_outlines(mesh)

    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """Within the outer outline and not within the inner one."""
        outer, inner = self.shared.get(face, ("lips", grid), lambda: _masks(spot, grid))
        return np.asarray(outer * (1 - inner))

    def paint(self, patch: Patch, weight: Weight, spot: Spot) -> None:
        """Tint."""
        tint(patch, weight, self.pigment, _GRAIN * spot.mesh.size)


def _masks(spot: Spot, grid: Grid) -> tuple[Weight, Weight]:
    outer, inner = spot.outlines
    masks = soft_masks([((outer,), "across"), ((inner,), "across")], grid, _EDGE * spot.mesh.size)
    lips, between = (closed(mask) * np.float32(1 / 255) for mask in masks)
    return lips, between
