"""What the effects on a small part of a face, eyes or mouth, have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.effect import Effect, Family, Need, Rectangle
from facefx.effects.face_grid import grown, on_squares
from facefx.effects.kernels import separate_planes, window
from facefx.effects.masks import Grid, Mask, Mesh, Points, grid_step
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import add_change, stepwise
from facefx.values import Face, Patch

__all__ = ["FeatureEffect", "FeaturePlace", "Opened", "outline_area", "towards_neutral"]

# A smaller face has no features to see: nothing is done up to the first, and all from the second on.
_NO_SIZE_PX, _FULL_SIZE_PX = 32.0, 56.0
# The grid has squares of pixels, at least so many across a face: an eye is a fifth of that high.
_FACE_SAMPLES = 192


@dataclass(frozen=True, slots=True)
class Opened:
    """An outline within which something shows. openness: 0..1, how much of it is to be done."""

    outline: Points
    openness: float


@dataclass(frozen=True, slots=True)
class FeaturePlace:
    """One face's eyes or mouth. step: luma pixels that a square of the grid is wide. region: xyxy, if any."""

    mesh: Mesh
    opened: list[Opened]
    step: int
    region: Rectangle | None


class FeatureEffect(Effect):
    """Change what lies within some outlines, on a grid that is fine enough for an eye or a mouth."""

    family: ClassVar[Family] = "colour"
    needs: ClassVar[frozenset[Need]] = frozenset({"box", "landmarks"})
    params: StrengthParams

    @abstractmethod
    def opened(self, mesh: Mesh) -> list[Opened]:
        """What it may touch lies within these; [] where nothing is to be done, as in a closed mouth."""

    @abstractmethod
    def retouch(self, part: Patch, place: FeaturePlace, grid: Grid, strength: float) -> None:
        """Change the planes of a part of a patch in place.

        grid: of the part. strength: 0..1, not 0.
        """

    def region(self, face: Face) -> Rectangle | None:
        """The outlines' box, on whole squares of the grid; None where nothing is to be done."""
        if not self.params.strength:
            return None
        return self._place(face).region

    def apply(self, patch: Patch, face: Face) -> None:
        """Change what the outlines hold, as much as the face's size allows."""
        region = self.region(face)
        rectangle = Patch.rectangle(self.format, region) if region else None
        if rectangle is None:
            return
        place, part = self._place(face), window(patch, rectangle)
        strength = self.params.strength * stepwise(place.mesh.size, _NO_SIZE_PX, _FULL_SIZE_PX)
        self.retouch(part, place, Grid.shrunk(part, place.step), strength)

    def _place(self, face: Face) -> FeaturePlace:
        """Where it is done; found once, for apply follows region."""
        return self.shared.get(face, ("place", self.name), lambda: self._found(self.shared.mesh(face)))

    def _found(self, mesh: Mesh) -> FeaturePlace:
        opened = self.opened(mesh) if mesh.size > _NO_SIZE_PX else []
        step = grid_step(mesh.size, _FACE_SAMPLES)
        points = [each.outline for each in opened]
        region = on_squares(np.concatenate(points), step, self.format) if points else None
        return FeaturePlace(mesh, opened, step, region)


def outline_area(points: Points) -> float:
    """Return the area of an outline in pixels squared, whichever way round it runs."""
    # About a corner, so that an area is not a small difference of large numbers.
    x, y = (points - points[0]).T
    return abs(float(x[:-1] @ y[1:] - y[:-1] @ x[1:])) / 2


def towards_neutral(part: Patch, grid: Grid, weight: Mask, shares: tuple[float, float]) -> None:
    """Take colour away where a weight says so, in place: shares of what U and V have, at 255.

    weight: (height, width) of the grid. Nothing is done to a gray patch.
    """
    if part.format.pixels.layout == "gray":
        return
    color = part.format.color
    mask = grown(weight, grid, part, 1)
    with separate_planes(part) as planes:
        for plane, share in zip(planes[1:], shares, strict=True):
            colour: NDArray[np.float32] = cv2.subtract(plane, (float(color.neutral),), dtype=cv2.CV_32F)
            change = cv2.multiply(colour, mask, scale=-share / 255, dtype=cv2.CV_32F)
            add_change(plane, change, color.chroma_range)
