"""One fair effect, and one careless effect for each way in which an effect can be wrong."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import Field

from facefx.effects.effect import Effect, EffectParams, Family, Rectangle
from facefx.values import Face, Patch


class FairParams(EffectParams):
    """Parameters."""

    strength: float = Field(0.5, ge=0.0, le=1.0, description="How much.")


class Fair(Effect):
    """Darken the ellipse of the box: it passes every check."""

    name: ClassVar[str] = "fair"
    family: ClassVar[Family] = "colour"
    Params = FairParams
    params: FairParams

    def region(self, face: Face) -> Rectangle | None:
        return face.xyxy if self.params.strength else None

    def apply(self, patch: Patch, face: Face) -> None:
        luma = patch.planes[0]
        black, white = self.format.color.luma_range
        luma[...] = np.rint(luma - self.much(face) * self.weight(patch, face)).clip(black, white)

    def much(self, face: Face) -> float:
        """Codes in the middle."""
        black, white = self.format.color.luma_range
        return self.params.strength * 0.12 * (white - black)

    def weight(self, patch: Patch, face: Face) -> Any:
        x0, y0, x1, y1 = face.xyxy
        rows, columns = patch.planes[0].shape
        across = ((2 * (np.arange(columns) + patch.x + 0.5) - x0 - x1) / (x1 - x0)) ** 2
        down = ((2 * (np.arange(rows) + patch.y + 0.5) - y0 - y1) / (y1 - y0)) ** 2
        return (1 - across - down[:, None]).clip(0, 1)


class Spills(Fair):
    """One column too far."""

    def region(self, face: Face) -> Rectangle | None:
        region = super().region(face)
        return (region[0] + 20, *region[1:]) if region else None


class Overflows(Fair):
    """Forgets black."""

    def apply(self, patch: Patch, face: Face) -> None:
        patch.planes[0][...] -= np.uint8(200)


class OverflowsAtTenBits(Fair):
    """Trusts uint8 to end at 255."""

    def apply(self, patch: Patch, face: Face) -> None:
        luma = patch.planes[0]
        black, white = self.format.color.luma_range if luma.dtype == np.uint8 else (0, 1 << 16)
        luma[...] = np.rint(luma + 6 * self.much(face) * self.weight(patch, face)).clip(black, white)


class KnowsItsPatch(Fair):
    """Takes the patch for the face."""

    def weight(self, patch: Patch, face: Face) -> Any:
        columns = patch.width
        return super().weight(patch, face) * (np.arange(columns) < columns / 2)


class NeverRests(Fair):
    """Cuts and pastes at strength 0."""

    def region(self, face: Face) -> Rectangle | None:
        return face.xyxy


class StirsAtRest(Fair):
    """Rounds at strength 0."""

    def much(self, face: Face) -> float:
        return super().much(face) + 1


class Invisible(Fair):
    """A hundredth of what is promised."""

    def much(self, face: Face) -> float:
        return super().much(face) / 20


class TurnsBack(Fair):
    """Most in the middle of its range."""

    def much(self, face: Face) -> float:
        return super().much(face) * (1 - 0.8 * self.params.strength)


class EightBits(Fair):
    """Codes of 8 bits, whatever the depth."""

    def much(self, face: Face) -> float:
        return 40 * self.params.strength


class OneMatrix(Fair):
    """A chroma that is right in BT.709 alone."""

    def apply(self, patch: Patch, face: Face) -> None:
        super().apply(patch, face)
        u, v = patch.planes[-1][..., 0], patch.planes[-1][..., 1]
        if patch.format.pixels.layout == "planar":
            u, v = patch.planes[1:]
        unit = 1 << (patch.format.pixels.depth - 8)
        u[...], v[...] = 102 * unit, 240 * unit


class Pixels(Fair):
    """A blur of so many pixels at any resolution."""

    def apply(self, patch: Patch, face: Face) -> None:
        luma = patch.planes[0]
        soft = cv2.blur(luma, (15, 15))
        luma[...] = np.rint(
            luma + (soft.astype(np.float32) - luma) * self.params.strength * self.weight(patch, face)
        )


class Whole(Fair):
    """Expects the whole face in the patch."""

    def apply(self, patch: Patch, face: Face) -> None:
        x0, y0, x1, y1 = (int(value) for value in face.xyxy)
        patch.planes[0][y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x] -= np.zeros(
            (y1 - y0, x1 - x0), patch.planes[0].dtype
        )
        super().apply(patch, face)


class Divides(Fair):
    """By a number of whole pixels."""

    def much(self, face: Face) -> float:
        return super().much(face) + 1 // int((face.xyxy[2] - face.xyxy[0]) / 8)


class Huge(Fair):
    """Memory for the face, not for the part of it that is there."""

    def apply(self, patch: Patch, face: Face) -> None:
        np.zeros((int(face.xyxy[3] - face.xyxy[1]), int(face.xyxy[2] - face.xyxy[0])), np.uint8)
        super().apply(patch, face)


class OnlyTheFirst(Fair):
    """Keeps the place of the first face that it sees."""

    first: Face | None = None

    def weight(self, patch: Patch, face: Face) -> Any:
        self.first = self.first or face
        return super().weight(patch, self.first)


class Counts(Fair):
    """More with every call."""

    calls: int = 0

    def much(self, face: Face) -> float:
        self.calls += 1
        return super().much(face) * (1 + 0.1 * self.calls)


class DrawsAgain(Fair):
    """Draws the last face once more with the next."""

    last: Face | None = None

    def region(self, face: Face) -> Rectangle | None:
        """The next face's and the last one's."""
        boxes = [face.xyxy, *([self.last.xyxy] if self.last else [])]
        left, top, right, bottom = zip(*boxes, strict=True)
        return min(left), min(top), max(right), max(bottom)

    def apply(self, patch: Patch, face: Face) -> None:
        """Both."""
        super().apply(patch, face)
        if self.last is not None:
            super().apply(patch, self.last)
        self.last = face


class Trembles(Fair):
    """A face's place at whole pixels, this way and that."""

    def much(self, face: Face) -> float:
        return super().much(face) * (1 + 0.2 * (int(face.pts) // 1000 % 2))
