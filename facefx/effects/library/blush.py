"""blush: colour on the cheeks, fading towards nose, jaw and temples."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from facefx.effects.colour import Colour
from facefx.effects.face_grid import FaceSkin
from facefx.effects.makeup import PaintParams
from facefx.effects.masks import Mesh
from facefx.effects.paint import Pigment, grown, tint
from facefx.effects.places import SIDES, Ellipse, Side, blobs, cheek_frame, side_seen
from facefx.effects.skin_effect import SkinEffect
from facefx.effects.tone import stepwise
from facefx.values import Face, Patch, StreamFormat

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


class Blush(SkinEffect):
    """Paint the cheeks with soft ellipses on the skin: never lighter than the skin is, and on no hair.

    The cheek of a turned head that is hardly seen is left out, little by little.
    """

    name = "blush"
    Params = BlushParams
    params: BlushParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Convert the colour."""
        super().prepare(format, seed)
        self.pigment = Pigment.of(self.params.colour, format.color, lightens=1.0)

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Tint two ellipses of the skin."""
        mesh = self.shared.mesh(face)
        weight = blobs([_spot(mesh, side) for side in SIDES], skin.grid)
        weight *= skin.weight
        weight *= np.float32(strength)
        part = grown(skin.part, weight, int(skin.grid.step_x))
        if part is not None:
            tint(*part, self.pigment)


def _spot(mesh: Mesh, side: Side) -> Ellipse:
    middle, along, down = cheek_frame(mesh, side)
    seen = side_seen(mesh, side)
    # The near cheek of a turned head fills more of the picture than its colour should.
    narrow = 1 / max(seen, 1.0) ** 0.5
    return Ellipse(middle, _ALONG * narrow * along, _DOWN * down, stepwise(seen, _HIDDEN, _SEEN))
