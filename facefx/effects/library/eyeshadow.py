"""eyeshadow: colour on the upper lids, fading towards the brows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.colour import Colour
from facefx.effects.guided import blurred
from facefx.effects.makeup import PaintedMakeup, PaintParams, Spot
from facefx.effects.masks import Fade, Grid, Mesh, Points, soft_masks
from facefx.effects.paint import Weight, closed
from facefx.effects.places import (
    BROW_POINTS,
    LID_POINTS,
    SIDES,
    Side,
    between,
    brow_edges,
    eye_lids,
    eye_seen,
)
from facefx.values import Face, Patch

__all__ = ["Eyeshadow"]

# Parts of the way from the lashes to where the colour ends: it loses its weight in so many steps, which are
# blurred into one slope.
_LEVELS = (0.4, 0.8)
# In face diameters: sigma of that blur, and of the eye's edge.
_BLUR, _EDGE = 0.014, 0.005
# The shadow goes on beyond the outer corner by so much of the eye's width.
_BEYOND = 0.16
# Outwards more and more, so that the shadow ends in a soft point beyond the corner.
_AWAY = _BEYOND * np.linspace(0, 1, LID_POINTS, dtype=np.float32)[:, None] ** 4
# The point of a brow's edge above each point of a lash line.
_ON_BROW = np.linspace(0, BROW_POINTS - 1, LID_POINTS).round().astype(np.intp)


class EyeshadowParams(PaintParams):
    """Parameters of eyeshadow."""

    colour: Colour = Field("#75493f", description="At the lashes, at full strength.")
    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much it covers: 0 changes nothing, 1 gives the lid the colour."
    )
    height: float = Field(
        0.7, ge=0.2, le=1.0, description="Where it ends: part of the way from the lashes to the brow."
    )


class Eyeshadow(PaintedMakeup):
    """Paint the upper lids from the lash line towards the brow; the eye itself stays."""

    name = "eyeshadow"
    fade: ClassVar[float] = 2.5 * _BLUR
    squares: ClassVar[int] = 128
    lightens: ClassVar[float] = 1.5
    Params = EyeshadowParams
    params: EyeshadowParams

    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """Of each eye that is seen: its steps, the lowest first, and the eye itself."""
        found: list[Points] = []
        for side in SIDES:
            seen = eye_seen(mesh, side)
            if seen:
                found += _steps(mesh, side, self.params.height * seen)
        return found

    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """Steps, blurred into a slope; the eye is cut out."""
        count, size = len(_LEVELS) + 1, spot.mesh.size
        # All drawn in one go with the eye's narrow edge; the wider blur of the steps comes on top.
        regions: list[tuple[Sequence[Points], Fade]] = [
            (spot.outlines[i::count], "across") for i in range(count)
        ]
        *steps, eyes = soft_masks(regions, grid, _EDGE * size)
        total = np.add.reduce(steps, dtype=np.float32)
        total = blurred(total, math.sqrt(_BLUR**2 - _EDGE**2) * size / spot.step)
        scale = 1 / (255 * 255 * len(steps))
        return np.asarray(cv2.multiply(total, cv2.bitwise_not(closed(eyes)), scale=scale, dtype=cv2.CV_32F))


def _steps(mesh: Mesh, side: Side, height: float) -> list[Points]:
    """Outlines from the middle of the eye to each level, and the eye's own."""
    upper, lower = eye_lids(mesh, side)
    way = brow_edges(mesh, side)[1][_ON_BROW] - upper
    away = (upper[-1] - upper[0]) * _AWAY
    base = between(upper, lower)
    found = [np.concatenate((base, (upper + (way * height + away) * level)[::-1])) for level in _LEVELS]
    return [*found, np.concatenate((upper, lower[::-1]))]
