"""circles: softer dark circles below the eyes."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.face_grid import FaceSkin, grown, wide_masks
from facefx.effects.guided import Small, blurred
from facefx.effects.kernels import separate_planes
from facefx.effects.masks import Mesh, Points
from facefx.effects.skin_effect import SkinEffect, StrengthParams
from facefx.effects.tone import add_change, look_up, means_under, ramp
from facefx.values import Face, Patch

__all__ = ["Circles"]

# Lengths in widths of the eye, downwards from the lower lid: where the dark circle begins and ends, and where
# the cheek does that it is compared with.
_LID, _CIRCLE, _CHEEK_TOP, _CHEEK_BOTTOM = 0.08, 0.55, 0.75, 1.25
# Lengths in face diameters: sigma of the fade, and of the tone, without wrinkles and lashes.
_FADE, _TONE = 0.025, 0.02
_NEAR = np.ones((5, 5), np.uint8)
# Of the difference to the cheek this is made up for at full strength: a bag below the eye keeps its shape.
_SHARE = 0.85
# Darker than the cheek by so much of its luma, and it is no circle but a frame or a lash: less is done from
# the first on, and nothing from the second on.
_DEEP, _TOO_DEEP = 0.4, 0.6
# Chroma goes along where luma is darker by so much, in parts of the cheek's.
_DARKER = 0.12

# The corners of both outlines below an eye: how far along the line between its corners; how much of the lower
# lid's depth below, and how many widths more.
_ALONG = np.linspace(0, 1, 9, dtype=np.float32)
_BOW = np.sqrt(1 - (2 * _ALONG - 1) ** 2)
_CORNERS = np.concatenate(
    [
        np.stack([_ALONG, _BOW, _LID + 0 * _BOW], 1),
        np.stack([_ALONG, 0 * _BOW + 1, _CIRCLE * (0.4 + 0.6 * _BOW)], 1)[::-1],
        [(_ALONG[1], 1, _CHEEK_TOP), (_ALONG[-2], 1, _CHEEK_TOP)],
        [(_ALONG[-2], 1, _CHEEK_BOTTOM), (_ALONG[1], 1, _CHEEK_BOTTOM)],
    ]
).astype(np.float32)


class CirclesParams(StrengthParams):
    """Parameters of circles."""

    strength: float = Field(
        0.5, ge=0.0, le=1.0, description="How much dark circles are softened: 0 changes nothing."
    )


class Circles(SkinEffect):
    """Bring what is darker below the eyes towards the tone of the cheek under it, lines and pores kept.

    Nothing is made darker than it is; frames of glasses and lashes are told apart by how dark they are.
    """

    name = "circles"
    Params = CirclesParams

    def retouch(self, patch: Patch, face: Face, skin: FaceSkin, strength: float) -> None:
        """Lighten both sides, each towards its own cheek."""
        mesh = self.shared.mesh(face)
        eyes = mesh.middle("left_eye") + mesh.middle("right_eye")
        down = mesh.middle("lips_outer") - eyes * np.float32(0.5)
        down /= np.float32(max(math.hypot(*down.tolist()), 1.0))
        outlines = [outline for side in ("left", "right") for outline in _outlines(mesh, side, down)]
        around = skin.around(np.concatenate(outlines), _FADE * mesh.size)
        if around is None:
            return
        brightest, luma_change, chroma_changes = self._changes(around, mesh, outlines)
        part, grid, color = around.part, around.grid, self.format.color
        scale = np.float32(strength * _SHARE)
        # A lash is thinner than a square.
        skin_like = look_up(part.planes[0], self._not_too_dark(brightest))
        change = grown(luma_change * scale, grid, part, 0)
        change = cv2.multiply(change, skin_like, scale=1 / 255, dtype=cv2.CV_32F)
        add_change(part.planes[0], change, color.luma_range)
        with separate_planes(part) as planes:
            for plane, change in zip(planes[1:], chroma_changes, strict=True):
                add_change(plane, grown(change * scale, grid, part, 1), color.chroma_range)

    def _changes(
        self, skin: FaceSkin, mesh: Mesh, outlines: list[Points]
    ) -> tuple[float, Small, list[Small]]:
        """The cheeks' luma above black, and what Y, U and V lack to be as they, on the grid."""
        black = np.float32(self.format.color.luma_range[0])
        grid, fade = skin.grid, _FADE * mesh.size
        values = [skin.luma - black, *skin.chroma]
        changes = [np.zeros_like(values[0]) for _ in values]
        masks = wide_masks([[outline] for outline in outlines], grid, fade)
        cheeks = [means_under(values, cheek * skin.weight) for cheek in masks[1::2]]
        brightest = max(luma for luma, *_ in cheeks)
        if brightest <= 1:
            return 1.0, changes[0], changes[1:]
        # Skin ends well before a lid: up to there, and over what is not too dark.
        weight = cv2.dilate(skin.weight, _NEAR)
        bright = ramp(values[0], (1 - _TOO_DEEP) * brightest, (1 - _DEEP) * brightest)
        weight = cv2.multiply(weight, bright, scale=1 / 255, dtype=cv2.CV_32F)
        tones = _weighted_blur(values, weight, _TONE * mesh.size / grid.step_x)
        for circle, (luma, *chroma) in zip(masks[::2], cheeks, strict=True):
            if luma <= 1:
                continue
            darker = np.maximum(1 - tones[0] * np.float32(1 / luma), 0)
            share = weight * circle
            changes[0] += share * darker * np.float32(luma)
            share = cv2.multiply(share, ramp(darker, 0.0, _DARKER), scale=1 / 255, dtype=cv2.CV_32F)
            for change, level, tone in zip(changes[1:], chroma, tones[1:], strict=True):
                change += share * (np.float32(level) - tone)
        return brightest, changes[0], changes[1:]

    def _not_too_dark(self, brightest: float) -> NDArray[Any]:
        """0..255 for each luma code: 0 for what is a frame or a lash beside a cheek of that luma."""
        color = self.format.color
        luma = np.arange(color.peak + 1, dtype=np.float32)[None] - np.float32(color.luma_range[0])
        gate = ramp(luma, (1 - _TOO_DEEP) * brightest, (1 - _DEEP) * brightest)[0]
        return np.asarray(gate if color.depth == 8 else gate.astype(np.uint16))


def _weighted_blur(values: list[Small], weight: Small, sigma: float) -> list[Small]:
    """Blur without what has no weight: lashes do not darken the skin beside them."""
    sums = cv2.split(blurred(cv2.merge([weight, *(value * weight for value in values)]), sigma))
    share = 1 / np.maximum(sums[0], np.float32(1e-3))
    return [total * share for total in sums[1:]]


def _outlines(mesh: Mesh, side: str, down: Points) -> tuple[Points, Points]:
    """Where a dark circle may be below an eye, and the cheek under it.

    down: the way from the eyes to the mouth, of length 1.
    """
    outer, inner = mesh.point(f"{side}_eye_outer"), mesh.point(f"{side}_eye_inner")
    lid = mesh.point(f"{side}_eye_bottom")
    (right, below), (x, y) = down.tolist(), (inner[0] - outer[0], inner[1] - outer[1])
    width = max(math.hypot(x, y), 1.0)
    # How deep the lower lid hangs below the line between the corners, seen along the way down.
    turn = right * y - below * x
    hangs = (x * (outer[1] - lid[1]) - y * (outer[0] - lid[0])) / turn if abs(turn) > width / 4 else 0.0
    lower = np.float32(max(hangs, 0.0)) * _CORNERS[:, 1] + np.float32(width) * _CORNERS[:, 2]
    along = np.array(outer, np.float32) + _CORNERS[:, :1] * np.array((x, y), np.float32)
    corners = np.asarray(along + lower[:, None] * down, np.float32)
    return corners[:-4], corners[-4:]
