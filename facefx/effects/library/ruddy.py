"""ruddy: the redness of healthy skin."""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.colour import image_codes
from facefx.effects.face_grid import FaceSkin, grown, soft_skin
from facefx.effects.kernels import separate_planes
from facefx.effects.skin_effect import SkinEffect, StrengthParams
from facefx.effects.tone import ramp, shift
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Ruddy"]

# A pale skin and the same one flushed, sRGB: the difference is what full strength adds. Judged by eye.
_PALE, _FLUSHED = (0xC8, 0x98, 0x82), (0xCF, 0x94, 0x82)
# A mask's 255 stands for so many times the change at the pale skin's luma; brighter skin gets no more.
_MOST = 1.25


class RuddyParams(StrengthParams):
    """Parameters of ruddy."""

    strength: float = Field(
        0.4, ge=0.0, le=1.0, description="How much redder skin becomes: 0 changes nothing."
    )


class Ruddy(SkinEffect):
    """Give the skin a healthy redness; luma keeps its codes bit for bit.

    In proportion to how bright the skin is, so that dark skin and shade keep their depth of colour. A
    gray stream has no redness to give.
    """

    name = "ruddy"
    Params = RuddyParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Find the change of chroma in the stream's codes."""
        super().prepare(format, seed)
        pale, flushed = image_codes(np.array([[_PALE, _FLUSHED]]) / 255, format.color)[0]
        self._change = (flushed - pale)[1:].tolist()
        black = format.color.luma_range[0]
        self._luma = (black, black + _MOST * float(pale[0] - black))

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Move the chroma of the skin."""
        if self.format.pixels.layout == "gray":
            return
        weight = soft_skin(self.shared, face, patch, skin)
        weight = cv2.multiply(ramp(skin.luma, *self._luma), weight, dtype=cv2.CV_8U)
        mask = grown(weight, skin.grid, skin.part, 1)
        with separate_planes(skin.part) as planes:
            for plane, change in zip(planes[1:], self._change, strict=True):
                shift(plane, mask, strength * _MOST * change, self.format.color.chroma_range)
