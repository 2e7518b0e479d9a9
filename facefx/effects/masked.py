"""What effects share that paint a whole patch anew and show it through a soft outline of the face."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.effect import Effect, EffectParams, Rectangle
from facefx.effects.kernels import blend, separate_planes, window
from facefx.effects.shapes import Outline, Shape, face_outline, is_empty
from facefx.values import Face, Patch

__all__ = ["MaskedEffect", "MaskedParams", "Planes3"]

Plane = NDArray[Any]
Planes3 = Sequence[Plane]
"""Y, U and V apart, or Y alone."""


class MaskedParams(EffectParams):
    """How much is shown, and where."""

    strength: float = Field(
        1.0, ge=0.0, le=1.0, description="How much of the new picture is mixed in: 0 changes nothing."
    )
    shape: Shape = Field(
        "ellipse", description="Outline about the face's box: its ellipse, or the box whole."
    )
    grow: float = Field(1.3, ge=1.0, le=1.5, description="Width and height of the outline, in face boxes.")
    feather: float = Field(
        0.15, ge=0.0, le=0.25, description="Width of the soft edge, in longer sides of the box."
    )


class MaskedEffect(Effect):
    """Base of effects that need a face's box only. A subclass implements `paint`.

    Outside the outline every sample keeps its bits; within it lies in the legal range.
    """

    params: MaskedParams

    def region(self, face: Face) -> Rectangle | None:
        """The outline's box; None where nothing is to be done.

        Raises ShapeError for a box that is not finite.
        """
        if not self.params.strength or is_empty(face.xyxy):
            return None
        return self.outline(face).xyxy

    def outline(self, face: Face) -> Outline:
        """Where the new picture is seen."""
        params = self.params
        return face_outline(face.xyxy, params.shape, params.grow, params.feather, self.format)

    def apply(self, patch: Patch, face: Face) -> None:
        """Paint the part that the region allows, and mix it in."""
        region = self.region(face)
        rectangle = Patch.rectangle(self.format, region) if region else None
        if rectangle is None:
            return
        patch = window(patch, rectangle)
        outline = self.outline(face)
        with separate_planes(patch) as planes:
            masks = [self._weight(outline.luma_mask(patch))]
            if len(planes) > 1:
                masks += [self._weight(outline.chroma_mask(patch))] * 2
            for i, part in enumerate(self.paint(planes, patch, face)):
                if part is not None:
                    blend(planes[i], self._legal(part, i), masks[i])

    @abstractmethod
    def paint(self, planes: Planes3, patch: Patch, face: Face) -> Sequence[Plane | None]:
        """Return the new picture of exactly the region, plane by plane; None for one that stays.

        planes: Y, U, V of the patch (or Y alone), only read.
        """

    def _weight(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        strength = self.params.strength
        return mask if strength == 1 else np.asarray(cv2.convertScaleAbs(mask, alpha=strength))

    def _legal(self, plane: Plane, i: int) -> Plane:
        low, high = self.format.color.chroma_range if i else self.format.color.luma_range
        return plane if self.format.color.full_range and plane.dtype == np.uint8 else plane.clip(low, high)
