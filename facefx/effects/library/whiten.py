"""whiten: brighter skin, along a curve that burns out no highlight."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from facefx.effects.face_grid import FaceSkin, skin_mask
from facefx.effects.skin_effect import SkinEffect, StrengthParams
from facefx.effects.tone import curve_table, lift
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Whiten"]

# What a middle grey gains at full strength is a quarter of this, of black to white. The curve stays
# steep enough (1 − this, at white) that the modelling of a face survives.
_GAIN = 0.34


class WhitenParams(StrengthParams):
    """Parameters of whiten."""

    strength: float = Field(
        0.4, ge=0.0, le=1.0, description="How much brighter skin becomes: 0 changes nothing."
    )


class Whiten(SkinEffect):
    """Brighten the skin by a luma curve; shadows stay black and highlights do not burn out.

    Eyes, brows, lips, hair and all outside the face keep their codes bit for bit, and so does chroma.
    """

    name = "whiten"
    Params = WhitenParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Make the curve for the stream's codes."""
        super().prepare(format, seed)
        black, white = format.color.luma_range
        level = np.clip((np.arange(format.color.peak + 1) - black) / (white - black), 0, 1)
        self._table = curve_table(format.color, _GAIN * level * (1 - level))

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Brighten the luma of the skin."""
        lift(skin.part.planes[0], self._table, skin_mask(self.shared, face, patch, skin, 0), strength)
