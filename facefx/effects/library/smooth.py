"""smooth: softer skin; eyes, brows, lips and all outside the face stay as sharp as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from facefx.effects.effect import Effect, EffectParams, Rectangle
from facefx.effects.guided import Small, blurred, correct, plan_smoothing, shrink
from facefx.effects.kernels import window
from facefx.effects.masks import Grid, Mesh, Points
from facefx.effects.skin import skin_outline, skin_weight
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Smooth"]

# Lengths below are in face diameters (Mesh.size), which are a little more than a face is wide.

# The filter works on squares of pixels, at least so many across a face.
_FACE_SAMPLES = 64
# A smaller face has no skin to see: nothing is done up to the first, and all from the second on.
_NO_SIZE_PX, _FULL_SIZE_PX = 24.0, 40.0
# Fade at the edges of the skin: so long, and so many of the filter's squares at least, so that a
# square that is grown again reaches no pixel of the other side.
_FADE, _FADE_SQUARES = 0.02, 1.25
# Texture below about this size is pores and grain, which `detail` keeps.
_FINE = 0.01
# Shades that differ by so much are smoothed by half: a part of the face's mean luma, because a
# blemish on a dark face, or in dim light, differs by fewer codes; and a part of black to white, for sensors'
# noise and for shine, which do not grow darker with the face. Judged by eye on ten stills.
_CONTRAST_OF_MEAN, _CONTRAST_OF_RANGE = 0.085, 0.02


class SmoothParams(EffectParams):
    """Parameters of smooth."""

    strength: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="How much is smoothed: 0 changes nothing, 1 leaves folds and edges only.",
    )
    detail: float = Field(
        0.3,
        ge=0.0,
        le=1.0,
        description="Part of the finest texture (pores, grain) that stays, so that skin does not look like "
        "plastic.",
    )
    radius: float = Field(
        0.05,
        ge=0.01,
        le=0.15,
        description="Size of the largest blemish that is smoothed, in face diameters.",
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """One face's part in one frame."""

    mesh: Mesh
    outline: Points
    step: int
    strength: float
    region: Rectangle


class Smooth(Effect):
    """Soften the skin: an edge-preserving filter on luma, under a mask of the face without its features.

    Eyes, brows, lips and all outside the face keep their codes bit for bit; hair, frames and beards
    are told apart by colour, and their edges stay. Lines of the two fields of an interlaced picture
    are never mixed. Source: He, Sun, "Fast Guided Filter", arXiv 1505.00996.
    """

    name = "smooth"
    family = "colour"
    needs = frozenset({"box", "landmarks"})
    Params = SmoothParams
    params: SmoothParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Start without a face."""
        super().prepare(format, seed)
        self._last: tuple[Face, _Place] | None = None

    def region(self, face: Face) -> Rectangle | None:
        """The face up to the hairline, on the grid of the filter; None where nothing is to be done."""
        if not self.params.strength:
            return None
        place = self._place(face)
        return place.region if place.strength else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Smooth the luma of the skin."""
        place = self._place(face)
        step, size = place.step, place.mesh.size
        rectangle = Patch.rectangle(self.format, place.region) if place.strength else None
        if rectangle is None:
            return
        patch = window(patch, rectangle)
        grid = Grid.shrunk(patch, step)
        # Each field by itself, on lines twice as far apart: one grid serves both.
        fields = 2 if self.format.field_order else 1
        lumas = [patch.planes[0][i::fields] for i in range(fields)]
        codes = [luma.astype(np.float32) for luma in lumas]
        smalls = [shrink(field, step, step // fields, grid.size) for field in codes]
        # Shrinking and growing have taken half a square's worth of the finest texture already.
        fine = math.sqrt(max((_FINE * size / step) ** 2 - 0.25, 0))
        coarses = [blurred(small, fine) for small in smalls]
        # Without that texture, a thin fold is as dark on any grid, so that a face that grows onto the next
        # one keeps its weights.
        whole = coarses[0] if fields == 1 else (coarses[0] + coarses[1]) * np.float32(0.5)
        fade = max(_FADE * size, _FADE_SQUARES * step)
        weight = skin_weight(place.mesh, place.outline, patch, whole, grid, fade)
        sigma, eps = self.params.radius * size / step, self._eps(whole, weight)
        legal = self.format.color.luma_range
        for luma, field, small, coarse in zip(lumas, codes, smalls, coarses, strict=True):
            smoothing = plan_smoothing(small, coarse, weight, sigma=sigma, eps=eps, detail=self.params.detail)
            correct(luma, smoothing, step, step // fields, place.strength, legal, field)

    def _place(self, face: Face) -> _Place:
        """Where a face is smoothed, and how much; the last answer is kept, for apply follows region."""
        if self._last is None or self._last[0] is not face:
            mesh = Mesh(face)
            outline = skin_outline(mesh)
            # A power of two fits every chroma grid.
            step = 2 if self.format.field_order else 1
            while mesh.size >= 2 * step * _FACE_SAMPLES:
                step *= 2
            part = (mesh.size - _NO_SIZE_PX) / (_FULL_SIZE_PX - _NO_SIZE_PX)
            strength = self.params.strength * min(max(part, 0.0), 1.0)
            self._last = face, _Place(mesh, outline, step, strength, self._region(outline, step))
        return self._last[1]

    def _region(self, outline: Points, step: int) -> Rectangle:
        """The outline's box, its edges on squares that are fixed to the picture, so that none shimmers."""
        step_x, step_y = max(step, self.format.column_step), max(step, self.format.line_step)
        left, top = np.minimum.reduce(outline).tolist()
        right, bottom = np.maximum.reduce(outline).tolist()
        return (
            left // step_x * step_x,
            top // step_y * step_y,
            -(-right // step_x) * step_x,
            -(-bottom // step_y) * step_y,
        )

    def _eps(self, luma: Small, weight: Small) -> float:
        """The variance that is smoothed by half, in codes squared."""
        black, white = self.format.color.luma_range
        mean = float(np.vdot(luma, weight)) / max(float(weight.sum()), 1.0) - black
        contrast = _CONTRAST_OF_MEAN * max(mean, 0) + _CONTRAST_OF_RANGE * (white - black)
        return max(contrast, 1.0) ** 2
