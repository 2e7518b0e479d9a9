"""smooth: softer skin; eyes, brows, lips and all outside the face stay as sharp as they are."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from facefx.effects.effect import Effect, EffectParams, Rectangle
from facefx.effects.face_grid import face_grid, face_skin, fine_texture
from facefx.effects.guided import Small, blurred, correct, plan_smoothing, shrink
from facefx.effects.kernels import window
from facefx.effects.masks import Grid
from facefx.effects.tone import mean_under
from facefx.values import Face, Patch

__all__ = ["Smooth"]

# Lengths below are in face diameters (Mesh.size), which are a little more than a face is wide.

# Shades that differ by so much are smoothed by half: a part of the face's mean luma, because a
# blemish on a dark face, or in dim light, differs by fewer codes; and a part of black to white, for sensors'
# noise and for shine, which do not grow darker with the face. Judged by eye on ten stills.
_CONTRAST_OF_MEAN, _CONTRAST_OF_RANGE = 0.085, 0.02
# In squares: a wider window is put down on wider squares.
_WINDOW = 1.5


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

    def region(self, face: Face) -> Rectangle | None:
        """The face up to the hairline, on the grid of the filter; None where nothing is to be done."""
        if not self.params.strength:
            return None
        place = face_grid(self.shared, face, self.format)
        return place.region if place.presence else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Smooth the luma of the skin."""
        place = face_grid(self.shared, face, self.format)
        step, size, strength = place.step, place.mesh.size, self.params.strength * place.presence
        rectangle = Patch.rectangle(self.format, place.region) if strength else None
        if rectangle is None:
            return
        whole_patch, patch = patch, window(patch, rectangle)
        grid = Grid.shrunk(patch, step)
        # Each field by itself, on lines twice as far apart: one grid serves both.
        fields = 2 if self.format.field_order else 1
        lumas = [patch.planes[0][i::fields] for i in range(fields)]
        codes = [luma.astype(np.float32) for luma in lumas]
        smalls = [shrink(field, step, step // fields, grid.size) for field in codes]
        fine = fine_texture(size, step)
        coarses = [blurred(small, fine) for small in smalls]
        # Without that texture, a thin fold is as dark on any grid, so that a face that grows onto the next
        # one keeps its weights.
        whole = coarses[0] if fields == 1 else (coarses[0] + coarses[1]) * np.float32(0.5)
        skin = face_skin(self.shared, face, whole_patch, whole)
        assert skin is not None
        weight = skin.weight
        sigma, eps = self.params.radius * size / step, self._eps(whole, weight)
        legal = self.format.color.luma_range
        for luma, field, small, coarse in zip(lumas, codes, smalls, coarses, strict=True):
            smoothing = plan_smoothing(
                small,
                coarse,
                weight,
                sigma=sigma,
                eps=eps,
                detail=self.params.detail,
                halvings=max(int(math.log2(sigma / _WINDOW)), 0),
            )
            correct(luma, smoothing, step, step // fields, strength, legal, field)

    def _eps(self, luma: Small, weight: Small) -> float:
        """The variance that is smoothed by half, in codes squared."""
        black, white = self.format.color.luma_range
        mean = mean_under(luma, weight) - black
        contrast = _CONTRAST_OF_MEAN * max(mean, 0) + _CONTRAST_OF_RANGE * (white - black)
        return max(contrast, 1.0) ** 2
