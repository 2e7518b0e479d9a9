"""What effects that hide a face share: shape, growth, fade, and the promise to stay within bounds."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from facefx.effects.effect import Effect, EffectParams, Family, Need, Rectangle
from facefx.effects.kernels import blend, separate_planes, window
from facefx.effects.oval import Oval, face_oval
from facefx.effects.shapes import Outline, Shape, bounded_growth, face_outline, frame_outline, is_empty
from facefx.values import Face, Patch, StreamFormat
from facefx.values.frames import Planes

__all__ = ["PrivacyEffect", "PrivacyParams", "SoftParams"]


class PrivacyParams(EffectParams):
    """Where a face is hidden."""

    shape: Shape = Field(
        "ellipse",
        description="Outline about the face's box: its ellipse, or the box whole; oval: that ellipse and the "
        "face's own outline from its mesh, raised to the hairline (the ellipse alone where no mesh fits); "
        "frame: the whole picture, as long as a face that is meant is in it.",
    )
    grow: float = Field(
        1.3,
        ge=1.0,
        le=1.5,
        description="Width and height of the outline, in face boxes; less where the changed rectangle "
        "would exceed 2.5 boxes.",
    )


class SoftParams(PrivacyParams):
    """The same with a soft edge."""

    feather: float = Field(
        0.0,
        ge=0.0,
        le=0.25,
        description="Width of the soft edge, in longer sides of the box; it lies outside the face only.",
    )


class PrivacyEffect(Effect):
    """Base of all that hides a face: it runs last, is never skipped, and fails closed.

    A subclass implements `cover`; the box and ellipse, and staying within the region, are done here.
    """

    family: ClassVar[Family] = "privacy"
    params: PrivacyParams
    _last: tuple[Face | None, Rectangle | None] = None, None

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Forget what was laid on another grid."""
        super().prepare(format, seed)
        self._last = None, None

    @classmethod
    def wants(cls, params: EffectParams) -> frozenset[Need]:
        """A mesh too where the outline follows it; without one the face is still hidden."""
        oval = isinstance(params, PrivacyParams) and params.shape == "oval"
        return cls.needs | {"landmarks"} if oval else cls.needs

    @property
    def whole_frame(self) -> bool:
        """True for the shape that covers all."""
        return self.params.shape == "frame"

    def region(self, face: Face) -> Rectangle | None:
        """The face's box grown as far as its size and the chroma grid allow.

        Raises ShapeError for a box that is not finite.
        """
        known, region = self._last
        if known is not face:  # a chain asks, and `apply` asks again
            region = self._grown(face)
            self._last = face, region
        return region

    def _grown(self, face: Face) -> Rectangle | None:
        if is_empty(face.xyxy):
            return None
        x0, y0, x1, y1 = face.xyxy
        if self.whole_frame:
            return self._frame_region(face)
        oval = self._oval(face, self.params.grow, 0.0)
        if oval is not None:
            return oval.xyxy
        width, height = x1 - x0, y1 - y0
        more = (bounded_growth(width, height, self.params.grow, self.format) - 1) / 2
        return x0 - width * more, y0 - height * more, x1 + width * more, y1 + height * more

    def _frame_region(self, face: Face) -> Rectangle:
        """The whole picture where the face is in it."""
        x0, y0, x1, y1 = face.xyxy
        if Patch.rectangle(self.format, face.xyxy) is None:
            return face.xyxy
        return min(x0, 0.0), min(y0, 0.0), max(x1, self.format.width), max(y1, self.format.height)

    def outline(self, face: Face, feather: float, grow: float | None = None) -> Outline | Oval:
        """The outline that shape and growth lay about a face; grow: another growth than the parameter."""
        grow = self.params.grow if grow is None else grow
        if self.whole_frame:
            return frame_outline(self.format)
        oval = self._oval(face, grow, feather)
        if oval is not None:
            return oval
        shape: Shape = "box" if self.params.shape == "box" else "ellipse"
        return face_outline(face.xyxy, shape, grow, feather, self.format)

    def _oval(self, face: Face, grow: float, feather: float) -> Oval | None:
        """The oval where it is asked for and a mesh that fits is known."""
        if self.params.shape != "oval" or face.landmarks is None:
            return None
        key, mesh = ("oval", grow, feather), self.shared.mesh
        return self.shared.get(face, key, lambda: face_oval(face, mesh(face), grow, feather, self.format))

    def apply(self, patch: Patch, face: Face) -> None:
        """Cover the face in the part of the patch that the region allows, and nowhere else."""
        region = self.region(face)
        rectangle = Patch.rectangle(self.format, region) if region else None
        if rectangle is not None:
            self.cover(window(patch, rectangle), face)

    @abstractmethod
    def cover(self, patch: Patch, face: Face) -> None:
        """Hide the face; the patch is exactly the region on the chroma grid, within the picture."""

    def blend_planes(self, patch: Patch, outline: Outline | Oval, new: Planes) -> None:
        """Put new planes (Y, U, V apart) into the outline: whole over the face, fading at the edge."""
        with separate_planes(patch) as planes:
            luma, *chroma = outline.masks(patch)
            for plane, part, mask in zip(planes, new, [luma, *chroma * 2], strict=True):
                blend(plane, part, mask)
