"""eyes: brighter eyes, within the lids."""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.face_grid import grown, luma_on
from facefx.effects.feature_effect import FeatureEffect, outline_area, towards_neutral
from facefx.effects.masks import Grid, Mask, Mesh, Points, soft_masks
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import curve_table, lift, mean_under, stepwise
from facefx.values import Patch

__all__ = ["Eyes"]

_EYES = ("left_eye", "right_eye")
# Sigma of the fade within the lids, in face diameters.
_FADE = 0.0035
# How far an eye is open: its area by the square of its width. Nothing is done up to the first.
_SHUT, _OPEN = 0.09, 0.15
# Luma as a part of the eyes' mean: pupils and lashes lie below the first, the white above the last. An
# iris lies between, and gets what is due to it in proportion.
_PUPIL, _IRIS, _WHITE, _BRIGHT = 0.35, 0.9, 0.9, 1.3
# What a middle grey gains at full strength is a quarter of this, of black to white.
_GAIN = 0.6
# Of the colour (redness, yellowness) of the white, this is taken away at full strength.
_CLEARED = 0.45


class EyesParams(StrengthParams):
    """Parameters of eyes."""

    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much brighter eyes become: 0 changes nothing."
    )


class Eyes(FeatureEffect):
    """Brighten the white and the iris; pupils, lashes and lids stay as they are, and so do shut eyes.

    The white loses some of its redness too.
    """

    name = "eyes"
    Params = EyesParams

    def outlines(self, mesh: Mesh) -> list[Points]:
        """The eyes that are open."""
        return [mesh.outline(name) for name in _EYES if _openness(mesh, name)]

    def retouch(self, part: Patch, mesh: Mesh, grid: Grid, strength: float) -> None:
        """Brighten what is not dark, and clear what is bright."""
        mask = _within(mesh, grid)
        black, white = self.format.color.luma_range
        luma = luma_on(part, grid) - np.float32(black)
        mean = mean_under(luma, mask)
        if mean <= 1:
            return
        level = np.clip((np.arange(self.format.color.peak + 1) - black) / (white - black), 0, 1)
        due = stepwise(level * (white - black) / mean, _PUPIL, _IRIS)
        table = curve_table(self.format.color, _GAIN * due * level * (1 - level))
        bright = stepwise(luma, _WHITE * mean, _BRIGHT * mean)
        lift(part.planes[0], table, grown(mask, grid, part, 0), strength)
        weight = cv2.multiply(mask, bright, dtype=cv2.CV_8U)
        towards_neutral(part, grid, weight, (strength * _CLEARED, strength * _CLEARED))


def _openness(mesh: Mesh, name: str) -> float:
    outer, inner = mesh.point(f"{name}_outer"), mesh.point(f"{name}_inner")
    width = (outer[0] - inner[0]) ** 2 + (outer[1] - inner[1]) ** 2
    return float(stepwise(outline_area(mesh.outline(name)) / max(width, 1.0), _SHUT, _OPEN))


def _within(mesh: Mesh, grid: Grid) -> Mask:
    """Both eyes within their lids, each as much as it is open."""
    fade = max(_FADE * mesh.size, 0.3 * grid.step_x)
    left, right = soft_masks([([mesh.outline(name)], "inside") for name in _EYES], grid, fade)
    return np.asarray(cv2.addWeighted(left, _openness(mesh, _EYES[0]), right, _openness(mesh, _EYES[1]), 0))
