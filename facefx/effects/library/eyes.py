"""eyes: brighter eyes, within the lids."""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.face_grid import grown, luma_on
from facefx.effects.feature_effect import FeatureEffect, FeaturePlace, Opened, outline_area, towards_neutral
from facefx.effects.masks import Grid, Mask, Mesh, soft_masks
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import curve_table, lift, mean_under, ramp, stepwise
from facefx.values import Patch

__all__ = ["Eyes"]

_EYES = ("left_eye", "right_eye")
# Sigma of the fade within the lids, in face diameters, and in squares of the grid at least.
_FADE, _LEAST_FADE = 0.005, 0.5
# How far an eye is open: its area by the square of its width. Nothing is done up to the first.
_SHUT, _OPEN = 0.1, 0.2
# Luma as a part of the eyes' mean: pupils and lashes lie below the first, the white above the last. An
# iris lies between, and gets what is due to it in proportion.
_PUPIL, _IRIS, _WHITE, _BRIGHT = 0.35, 1.1, 0.9, 1.3
# What a middle grey gains at full strength is a quarter of this, of black to white.
_GAIN = 0.5
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

    def opened(self, mesh: Mesh) -> list[Opened]:
        """The eyes that are open."""
        eyes = [Opened(mesh.outline(name), _openness(mesh, name)) for name in _EYES]
        return [eye for eye in eyes if eye.openness]

    def retouch(self, part: Patch, place: FeaturePlace, grid: Grid, strength: float) -> None:
        """Brighten what is not dark, and clear what is bright."""
        mask = _within(place, grid)
        black, white = self.format.color.luma_range
        luma = luma_on(part, grid) - np.float32(black)
        mean = mean_under(luma, mask)
        if mean <= 1:
            return
        level = np.clip((np.arange(self.format.color.peak + 1) - black) / (white - black), 0, 1)
        due = np.clip((level * (white - black) / mean - _PUPIL) / (_IRIS - _PUPIL), 0, 1)
        table = curve_table(self.format.color, _GAIN * due * level * (1 - level))
        bright = ramp(luma, _WHITE * mean, _BRIGHT * mean)
        lift(part.planes[0], table, grown(mask, grid, part, 0), strength)
        weight = cv2.multiply(mask, bright, scale=1 / 255)
        towards_neutral(part, grid, weight, (strength * _CLEARED, strength * _CLEARED))


def _openness(mesh: Mesh, name: str) -> float:
    outer, inner = mesh.point(f"{name}_outer"), mesh.point(f"{name}_inner")
    width = (outer[0] - inner[0]) ** 2 + (outer[1] - inner[1]) ** 2
    return float(stepwise(outline_area(mesh.outline(name)) / max(width, 1.0), _SHUT, _OPEN))


def _within(place: FeaturePlace, grid: Grid) -> Mask:
    """The eyes within their lids, each as much as it is open."""
    fade = max(_FADE * place.mesh.size, _LEAST_FADE * grid.step_x)
    masks = soft_masks([([eye.outline], "inside") for eye in place.opened], grid, fade, exactly=False)
    openness = [eye.openness for eye in place.opened]
    # Two eyes do not overlap.
    second, share = (masks[1], openness[1]) if len(masks) > 1 else (masks[0], 0.0)
    return np.asarray(cv2.addWeighted(masks[0], openness[0], second, share, 0), np.uint8)
