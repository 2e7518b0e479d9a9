"""image: a picture over the face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, WithJsonSchema

from facefx.effects.colour import codes, parse_colour
from facefx.effects.effect import EffectParams, Rectangle
from facefx.effects.emoji import PICTURES
from facefx.effects.files import pinned_path
from facefx.effects.kernels import blend, separate_planes
from facefx.effects.library.solid import cover_solid
from facefx.effects.picture import make_sticker, place, place_alpha, read_picture, sha256_of
from facefx.effects.privacy import PrivacyEffect, PrivacyParams
from facefx.effects.shapes import MAX_AREA_RATIO, bounded_growth, is_empty
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Image"]

# The cover beneath is held back so that it does not show around a round picture.
_UNDER_GROW = 1.1
_FIT_STEPS = 16
# The picture that the samples show: a round smiling face, so many pixels wide.
_SMILEY_PX = 256


def _under(text: str) -> str:
    return text if text == "auto" else parse_colour(text)


class ImageParams(PrivacyParams):
    """Parameters of image."""

    grow: float = Field(
        1.3,
        ge=1.0,
        le=1.5,
        description="Size of the picture: it covers the face's box grown so much; less where it "
        "would exceed 2.5 boxes.",
    )
    path: Annotated[str, WithJsonSchema({"type": "string", "format": "path"})] = Field(
        min_length=1,
        description="A PNG (with alpha) or JPEG file, upright as viewers see it; or a built-in face, "
        "builtin: and " + ", ".join(PICTURES) + ".",
    )
    sha256: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="Of that file; filled in when the plan is made, so that a changed picture is an error.",
    )
    under: Annotated[str, AfterValidator(_under), WithJsonSchema({"type": "string", "format": "colour"})] = (
        Field(
            "auto",
            description="Colour beneath, which hides the face where the picture is transparent; "
            "auto is the picture's own mean.",
        )
    )


class Image(PrivacyEffect):
    """Lay a picture over the face, upright, its proportions kept. The face beneath is replaced too.

    The picture is as large as it takes to cover the grown box, within 2.5 boxes. With shape=frame it lies
    in the middle of a picture that is covered whole.
    """

    name = "image"
    samples = ({"grow": 1.0}, {}, {"shape": "box", "under": "#20304a"})
    Params = ImageParams
    params: ImageParams

    @classmethod
    def sample_files(cls, folder: Path) -> Mapping[str, Any]:
        """Draw a smiling face."""
        path = folder / "smiley.png"
        cv2.imwrite(str(path), _smiley())
        return {"path": str(path)}

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Fix the picture by its sha256 and its absolute path.

        Raises EffectError where it cannot be used.
        """
        assert isinstance(params, ImageParams)
        path = pinned_path(params.path)
        sha256 = params.sha256 or sha256_of(path, cls.name)
        read_picture(path, cls.name, sha256)
        return params.model_copy(update={"path": path, "sha256": sha256})

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Read the picture and convert it for the stream.

        Raises EffectError where it is not the one that was pinned.
        """
        super().prepare(format, seed)
        rgba = read_picture(self.params.path, self.name, self.params.sha256 or None)
        self._sticker = make_sticker(rgba, format)
        under = self.params.under
        self._under = self._sticker.mean if under == "auto" else codes(under, format.color)

    def region(self, face: Face) -> Rectangle | None:
        """The box, or what else is covered beneath, and the picture over it.

        Raises ShapeError for a box that is not finite.
        """
        if is_empty(face.xyxy):
            return None
        if self.whole_frame:
            return self._frame_region(face)
        x0, y0, x1, y1 = self._place(face)
        oval = self._oval(face, self._under_grow, 0.0)
        left, top, right, bottom = oval.xyxy if oval is not None else face.xyxy
        return min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)

    @property
    def _under_grow(self) -> float:
        return min(self.params.grow, _UNDER_GROW)

    def cover(self, patch: Patch, face: Face) -> None:
        """Hide the face, then lay the picture over it."""
        format = self.format
        cover_solid(patch, self.outline(face, 0.0, self._under_grow), self._under)
        x0, y0, x1, y1 = self._place(face)
        box = x0 - patch.x, y0 - patch.y, x1 - patch.x, y1 - patch.y
        pictures, alpha = self._sticker.level(x1 - x0)
        with separate_planes(patch) as planes:
            blend(
                planes[0], place(pictures[0], box, planes[0].shape), place_alpha(alpha, box, planes[0].shape)
            )
            if len(planes) == 1:
                return
            step_x, step_y = 1 << format.pixels.shift_x, 1 << format.pixels.shift_y
            box = box[0] / step_x, box[1] / step_y, box[2] / step_x, box[3] / step_y
            pictures, alpha = self._sticker.level((x1 - x0) / step_x)
            mask = place_alpha(alpha, box, planes[1].shape)
            for plane, picture in zip(planes[1:], pictures[1:], strict=True):
                blend(plane, place(picture, box, plane.shape), mask)

    def _place(self, face: Face) -> Rectangle:
        """Where the picture goes: about the box's middle, its proportions kept."""
        if self.whole_frame:
            return self._place_in_frame()
        left, top, right, bottom = face.xyxy
        width, height = right - left, bottom - top
        grow = bounded_growth(width, height, self.params.grow, self.format)
        aspect = self._sticker.aspect
        wide = max(width * grow, height * grow * aspect)
        high = wide / aspect
        centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
        beneath, oval = (width, height), self._oval(face, self._under_grow, 0.0)
        if oval is not None:
            # It counts as far as it reaches from the box's middle to either side.
            x0, y0, x1, y1 = oval.xyxy
            beneath = 2 * max(centre_x - x0, x1 - centre_x), 2 * max(centre_y - y0, y1 - centre_y)
        fit = self._fit(width * height, beneath, wide, high)
        half_x, half_y = wide * fit / 2, high * fit / 2
        return centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y

    def _place_in_frame(self) -> Rectangle:
        """In the middle of the picture, as large as it fits: it must not show where the face is."""
        width, height, aspect = self.format.width, self.format.height, self._sticker.aspect
        wide = min(width, height * aspect)
        half_x, half_y = wide / 2, wide / aspect / 2
        return width / 2 - half_x, height / 2 - half_y, width / 2 + half_x, height / 2 + half_y

    def _fit(self, area: float, beneath: tuple[float, float], wide: float, high: float) -> float:
        """The largest part of a picture's size that keeps it and what is beneath within the area allowed."""
        add_x, add_y = 2 * self.format.column_step, 2 * self.format.line_step
        width, height = beneath

        def within(fit: float) -> bool:
            taken = (max(width, wide * fit) + add_x) * (max(height, high * fit) + add_y)
            return taken <= MAX_AREA_RATIO * area

        if within(1.0):
            return 1.0
        low, top = 0.0, 1.0
        for _ in range(_FIT_STEPS):
            middle = (low + top) / 2
            low, top = (middle, top) if within(middle) else (low, middle)
        return low or min(width / wide, height / high)


def _smiley() -> NDArray[np.uint8]:
    """(h, w, 4) blue, green, red, alpha."""
    picture = np.zeros((_SMILEY_PX, _SMILEY_PX, 4), np.uint8)
    unit, shift = _SMILEY_PX / 32, 4

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * unit * (1 << shift)), round(y * unit * (1 << shift))

    yellow, dark = (60, 200, 250, 255), (40, 50, 60, 255)
    cv2.ellipse(picture, at(16, 16), at(15, 15), 0, 0, 360, yellow, -1, cv2.LINE_AA, shift)
    for x in (10.5, 21.5):
        cv2.ellipse(picture, at(x, 12.5), at(1.8, 2.8), 0, 0, 360, dark, -1, cv2.LINE_AA, shift)
    cv2.ellipse(picture, at(16, 17), at(8.5, 7), 0, 20, 160, dark, round(1.4 * unit), cv2.LINE_AA, shift)
    return picture
