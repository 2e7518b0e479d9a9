"""circles: softer dark circles below the eyes."""

from __future__ import annotations

import math

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.face_grid import FaceSkin, chroma_on, grown, small_luma
from facefx.effects.guided import Small, blurred
from facefx.effects.kernels import separate_planes
from facefx.effects.masks import Mesh, Points, middle, soft_masks
from facefx.effects.skin_effect import SkinEffect, StrengthParams
from facefx.effects.tone import add_change, mean_under, stepwise
from facefx.values import Face, Patch

__all__ = ["Circles"]

# Lengths in widths of the eye, downwards from the lower lid: where the dark circle ends, and where the cheek
# that it is compared with begins and ends.
_CIRCLE, _CHEEK_TOP, _CHEEK_BOTTOM = 0.55, 0.75, 1.25
# Lengths in face diameters: sigma of the fade, and of the tone, without wrinkles and lashes.
_FADE, _TONE = 0.03, 0.02
# Of the difference to the cheek this is made up for at full strength: a bag below the eye keeps its shape.
_SHARE = 0.85
# Darker than the cheek by so much of its luma, and it is no circle but a frame or a lash: from the first on,
# less is done, and nothing from the second on.
_DEEP, _TOO_DEEP = 0.35, 0.6
# Chroma goes along where luma is darker by so much, in parts of the cheek's.
_DARKER = 0.12

# Places along the line between the corners of an eye, at which the outlines below it are drawn.
_ALONG = np.linspace(0, 1, 9, dtype=np.float32)[:, None]


class CirclesParams(StrengthParams):
    """Parameters of circles."""

    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much dark circles are softened: 0 changes nothing."
    )


class Circles(SkinEffect):
    """Bring what is darker below the eyes towards the tone of the cheek under it, lines and pores kept.

    Nothing is made darker than it is; frames of glasses, lashes and eyes keep their codes bit for bit.
    """

    name = "circles"
    Params = CirclesParams

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Lighten both sides, each towards its own cheek."""
        mesh = self.shared.mesh(face)
        outlines = [outline for side in ("left", "right") for outline in _outlines(mesh, side)]
        around = skin.around(np.concatenate(outlines), _FADE * mesh.size)
        if around is None:
            return
        luma_change, chroma_changes = self._changes(around, mesh, outlines)
        part, grid, color = around.part, around.grid, self.format.color
        scale = np.float32(strength * _SHARE)
        add_change(part.planes[0], grown(luma_change * scale, grid, part, 0), color.luma_range)
        with separate_planes(part) as planes:
            for plane, change in zip(planes[1:], chroma_changes, strict=True):
                add_change(plane, grown(change * scale, grid, part, 1), color.chroma_range)

    def _changes(self, skin: FaceSkin, mesh: Mesh, outlines: list[Points]) -> tuple[Small, list[Small]]:
        """What luma, and U and V, lack to be as the cheek, on the grid; 0 where there is no circle."""
        black = np.float32(self.format.color.luma_range[0])
        weight, grid = skin.weight, skin.grid
        values = [small_luma(skin.part, grid, mesh.size) - black, *chroma_on(skin.part, grid)]
        tones = _weighted_blur(values, weight, _TONE * mesh.size / grid.step_x)
        changes = [np.zeros_like(weight) for _ in values]
        masks = soft_masks([([outline], "across") for outline in outlines], grid, _FADE * mesh.size)
        for circle, cheek in zip(masks[::2], masks[1::2], strict=True):
            cheek_weight = cheek * weight
            luma, *chroma = (mean_under(value, cheek_weight) for value in values)
            if luma <= 1:
                continue
            darker = np.maximum(1 - tones[0] * np.float32(1 / luma), 0)
            share = cv2.multiply(weight, circle, scale=1 / 255, dtype=cv2.CV_32F)
            share *= stepwise(darker, _TOO_DEEP, _DEEP)
            changes[0] += share * darker * np.float32(luma)
            share *= stepwise(darker, 0.0, _DARKER)
            for change, level, tone in zip(changes[1:], chroma, tones[1:], strict=True):
                change += share * (np.float32(level) - tone)
        return changes[0], changes[1:]


def _weighted_blur(values: list[Small], weight: Small, sigma: float) -> list[Small]:
    """Blur without what has no weight: lashes do not darken the skin beside them."""
    sums = cv2.split(blurred(cv2.merge([weight, *(value * weight for value in values)]), sigma))
    share = 1 / np.maximum(sums[0], np.float32(1e-3))
    return [total * share for total in sums[1:]]


def _outlines(mesh: Mesh, side: str) -> tuple[Points, Points]:
    """Where a dark circle may be below an eye, and the cheek under it."""
    outer, inner = (np.array(mesh.point(f"{side}_eye_{end}"), np.float32) for end in ("outer", "inner"))
    across = inner - outer
    width = max(math.hypot(*across.tolist()), 1.0)
    eyes = middle(mesh.outline("left_eye")) + middle(mesh.outline("right_eye"))
    down = middle(mesh.outline("lips_outer")) - eyes / 2
    down = down * np.float32(width / max(math.hypot(*down.tolist()), 1.0))
    # How deep the lower lid hangs below the line between the corners, seen along the way down.
    from_line = (mesh.outline(f"{side}_eye") - outer) / np.float32(width)
    slope = float(across @ down) / width**2
    hangs = from_line @ down - slope * (from_line @ across)
    level = max(float(hangs.max()) / width, 0.0)
    bow = np.sqrt(1 - (2 * _ALONG - 1) ** 2)
    lid = outer + _ALONG * across
    top, bottom = lid + level * bow * down, lid + (level + _CIRCLE * (0.4 + 0.6 * bow)) * down
    cheek_top, cheek_bottom = (
        lid[1:-1] + (level + _CHEEK_TOP) * down,
        lid[1:-1] + (level + _CHEEK_BOTTOM) * down,
    )
    return np.concatenate([top, bottom[::-1]]), np.concatenate([cheek_top, cheek_bottom[::-1]])
