"""teeth: whiter teeth, in an open mouth."""

from __future__ import annotations

import math

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.face_grid import chroma_on, grown, luma_on
from facefx.effects.feature_effect import FeatureEffect, FeaturePlace, Opened, towards_neutral
from facefx.effects.guided import blurred
from facefx.effects.masks import Grid, Mask, Mesh, soft_masks
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import curve_table, lift, mean_under, ramp, stepwise
from facefx.values import Patch, StreamFormat

__all__ = ["Teeth"]

# In face diameters: sigma of the fade within the lips; how far apart these are where nothing is done, and
# from where on all is; sigma that takes grain off what tells teeth from gums.
_LEAST_FADE = 0.3  # in squares of the grid
_FADE, _SHUT, _OPEN, _GRAIN = 0.004, 0.012, 0.03, 0.004
# Redness for its luma, as a part of the lips': teeth below the first; gums, tongue and lips above the second.
# Lips of less redness than the third, in codes of 8 bits, say nothing: the picture is black and white.
_TOOTH, _GUM, _PALE = 0.62, 0.86, 4.0
# Luma as a part of the lips': the depth of the mouth below the first, teeth above the second; and where
# there is no colour to go by.
_DEPTH, _BRIGHT = 0.7, 1.05
_GRAY_DEPTH, _GRAY_BRIGHT = 1.1, 1.5
# What a middle grey gains at full strength is a quarter of this, of black to white.
_GAIN = 0.4
# Of their colour teeth lose these shares at full strength: yellow goes, a little warmth stays.
_LESS_YELLOW, _LESS_RED = 0.6, 0.4


class TeethParams(StrengthParams):
    """Parameters of teeth."""

    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much whiter teeth become: 0 changes nothing."
    )


class Teeth(FeatureEffect):
    """Whiten what is teeth between the lips: bright, and less red than the lips are.

    Lips, gums, tongue and the depth of the mouth stay as they are; a closed mouth keeps its bits.
    """

    name = "teeth"
    Params = TeethParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Make the curve for the stream's codes."""
        super().prepare(format, seed)
        black, white = format.color.luma_range
        level = np.clip((np.arange(format.color.peak + 1) - black) / (white - black), 0, 1)
        self._table = curve_table(format.color, _GAIN * level * (1 - level))

    def opened(self, mesh: Mesh) -> list[Opened]:
        """The lips of an open mouth: their colour tells what is not teeth."""
        top, bottom = mesh.point("mouth_top"), mesh.point("mouth_bottom")
        openness = stepwise(math.dist(top, bottom) / mesh.size, _SHUT, _OPEN)
        return [Opened(mesh.outline("lips_outer"), openness)] if openness else []

    def retouch(self, part: Patch, place: FeaturePlace, grid: Grid, strength: float) -> None:
        """Brighten the teeth, and take their yellow away."""
        mask = self._teeth(part, place.mesh, grid)
        strength *= place.opened[0].openness
        lift(part.planes[0], self._table, grown(mask, grid, part, 0), strength)
        towards_neutral(part, grid, mask, (strength * _LESS_YELLOW, strength * _LESS_RED))

    def _teeth(self, part: Patch, mesh: Mesh, grid: Grid) -> Mask:
        """How much of each sample is a tooth."""
        fade = max(_FADE * mesh.size, _LEAST_FADE * grid.step_x)
        inner, outer = [mesh.outline("lips_inner")], [mesh.outline("lips_outer")]
        within, not_lips, mouth = soft_masks(
            [(inner, "inside"), (inner, "outside"), (outer, "inside")], grid, fade, exactly=False
        )
        lips = cv2.min(mouth, cv2.bitwise_not(not_lips))
        color, sigma = self.format.color, _GRAIN * mesh.size / grid.step_x
        luma = blurred(luma_on(part, grid), sigma) - np.float32(color.luma_range[0])
        luma_of_lips = max(mean_under(luma, lips), 1.0)
        chroma = chroma_on(part, grid)
        redness = blurred(chroma[1], sigma) - np.float32(color.neutral) if chroma else np.zeros_like(luma)
        red_of_lips = mean_under(redness, lips)
        if red_of_lips < _PALE * (1 << (color.depth - 8)):
            tooth = ramp(luma, _GRAY_DEPTH * luma_of_lips, _GRAY_BRIGHT * luma_of_lips)
        else:
            red = redness * np.float32(luma_of_lips / red_of_lips) / cv2.max(luma, 1.0)
            bright = ramp(luma, _DEPTH * luma_of_lips, _BRIGHT * luma_of_lips)
            tooth = cv2.multiply(ramp(red, _GUM, _TOOTH), bright, scale=1 / 255)
        return np.asarray(cv2.multiply(within, tooth, scale=1 / 255), np.uint8)
