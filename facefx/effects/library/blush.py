"""blush: colour on the cheeks, fading towards nose, jaw and temples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from facefx.effects.colour import Colour
from facefx.effects.makeup import PaintedMakeup, PaintParams, Spot, skin_of
from facefx.effects.masks import Grid, Mesh, Points
from facefx.effects.paint import Weight
from facefx.effects.places import SIDES, Ellipse, Side, blobs, cheek_frame, side_seen
from facefx.effects.skin import skin_outline
from facefx.effects.tone import stepwise
from facefx.values import Face, Patch

__all__ = ["Blush"]

# Half axes in parts of a cheek's own vectors (see cheek_frame).
_ALONG, _DOWN = 0.78, 0.56
# How much of a cheek must be seen for some and for all of its colour.
_HIDDEN, _SEEN = 0.12, 0.4


class BlushParams(PaintParams):
    """Parameters of blush."""

    colour: Colour = Field("#d9606f", description="Of the middle of the cheeks at full strength.")
    strength: float = Field(
        0.3, ge=0.0, le=1.0, description="How much it covers: 0 changes nothing, 1 is a doll's cheek."
    )


class Blush(PaintedMakeup):
    """Paint the cheeks with soft ellipses on the skin: never lighter than the skin is, and on no hair.

    The cheek of a turned head that is hardly seen is left out, little by little.
    """

    name = "blush"
    squares: ClassVar[int] = 48
    lightens: ClassVar[float] = 1.0
    Params = BlushParams
    params: BlushParams

    def outlines(self, mesh: Mesh) -> Sequence[Points]:
        """The whole skin, of which a chain knows what is hair."""
        return [skin_outline(mesh)]

    def weight(self, patch: Patch, face: Face, spot: Spot, grid: Grid) -> Weight:
        """Two ellipses on the skin."""
        drawn = blobs([_spot(spot.mesh, side) for side in SIDES], grid)
        return np.asarray(drawn * skin_of(self, patch, face, spot.mesh, grid))


def _spot(mesh: Mesh, side: Side) -> Ellipse:
    middle, along, down = cheek_frame(mesh, side)
    seen = side_seen(mesh, side)
    # The near cheek of a turned head fills more of the picture than its colour should.
    narrow = 1 / max(seen, 1.0) ** 0.5
    return Ellipse(middle, _ALONG * narrow * along, _DOWN * down, stepwise(seen, _HIDDEN, _SEEN))
