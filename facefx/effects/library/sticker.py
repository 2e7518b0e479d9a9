"""sticker: a picture hung on a point of the face."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from facefx.effects.assets import AssetEffect, AssetParams, ramp
from facefx.effects.effect import Rectangle
from facefx.effects.overlay import Artwork, bounds, draw_affine
from facefx.effects.uv import layout
from facefx.faces.anchors import anchors
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Sticker"]

# Middles of two points that have a name of their own.
_MIDDLES = {
    "left_eye": ("left_eye_outer", "left_eye_inner"),
    "right_eye": ("right_eye_outer", "right_eye_inner"),
    "eyes": ("left_eye_outer", "right_eye_outer"),
    "mouth": ("mouth_top", "mouth_bottom"),
    "upper_lip": ("nose_base", "lip_top"),
    "face": ("left_ear", "right_ear"),
}
# A point whose skin looks away from the viewer by more than the first is hidden with what hangs on it, from
# the second on it is seen: parts of its normal that point to the viewer.
_HIDDEN, _SEEN = -0.55, -0.2


def _anchor(text: str) -> str:
    known = anchors("mediapipe-468")
    for name in _MIDDLES.get(text, tuple(text.split("+"))):
        if name not in known:
            raise ValueError(f"no point is named {name!r}")
    if text.count("+") > 1:
        raise ValueError("at most two points")
    return text


_POINTS = ", ".join(
    (*_MIDDLES, *(name for name in anchors("mediapipe-468") if not name.startswith("right_")))
)


class StickerParams(AssetParams):
    """Parameters of sticker."""

    anchor: Annotated[str, AfterValidator(_anchor)] = Field(
        "nose_tip",
        description="The point that the middle of the picture hangs on, or the middle of two, as NAME+NAME: "
        f"{_POINTS}; and right_… for each left_… (the subject's).",
    )
    width: float = Field(0.3, gt=0.0, le=5.0, description="Width of the picture, in face diameters.")
    dx: float = Field(
        0.0, ge=-3.0, le=3.0, description="Moved so far to the right as viewers see it, in face diameters."
    )
    dy: float = Field(
        0.0, ge=-3.0, le=3.0, description="Moved so far down, towards the chin, in face diameters."
    )
    turn: float = Field(0.0, ge=-360.0, le=360.0, description="Turned by so many degrees clockwise.")
    roll: bool = Field(True, description="Whether it turns with the face; else it stays upright.")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the picture's upper left, upper right and lower left corner go, (3, 2) stored pixels."""

    corners: NDArray[np.float64]
    opacity: float
    scale: float


class Sticker(AssetEffect):
    """Hang a picture or an animation on a named point of the face; it follows size and roll.

    It is flat, as if glued to the screen: `texture` follows the skin, `model` the head. Where the point
    turns away from the viewer, it fades.
    """

    name = "sticker"
    samples = (
        {"path": "builtin:hearts", "anchor": "forehead", "width": 0.7, "dy": -0.3},
        {"path": "builtin:moustache", "dy": 0.1},
        {"path": "builtin:sparkle", "width": 0.4, "dx": 0.35, "dy": -0.1},
    )
    Params = StickerParams
    params: StickerParams

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Read the picture and convert it for the stream.

        Raises EffectError where it is not the one that was pinned.
        """
        super().prepare(format, seed)
        self._artwork = Artwork(self.read(), format, mirror=self.params.mirror)
        names, anchor = anchors("mediapipe-468"), self.params.anchor
        self._rows = [names[name] for name in _MIDDLES.get(anchor, tuple(anchor.split("+")))]

    def region(self, face: Face) -> Rectangle | None:
        """The box around the picture; None where nothing is to be seen."""
        place = self._place(face) if self.params.opacity else None
        if place is None:
            return None
        return bounds(
            np.concatenate((place.corners, (place.corners[1] + place.corners[2] - place.corners[0])[None]))
        )

    def apply(self, patch: Patch, face: Face) -> None:
        """Lay the picture over the patch."""
        place = self._place(face) if self.params.opacity else None
        if place is not None:
            draw_affine(patch, self._artwork.layer(face.pts, place.scale), place.corners, place.opacity)

    def _place(self, face: Face) -> _Place | None:
        return self.shared.get(face, (self, "place"), lambda: self._find_place(face))

    def _find_place(self, face: Face) -> _Place | None:
        pose, params = self.pose(face), self.params
        if pose is None:
            return None
        looks = float(-(layout().normals[self._rows] @ pose.rotation[2]).mean())
        opacity = params.opacity * ramp(looks, _HIDDEN, _SEEN)
        if not opacity:
            return None
        up_x, up_y = pose.up if params.roll else (0.0, -1.0)
        down = np.array((-up_x, -up_y)) * pose.size
        right = np.array((-up_y, up_x)) * pose.size
        middle = self.view.landmarks(face)[self._rows, :2].mean(axis=0) + params.dx * right + params.dy * down
        cos, sin = math.cos(math.radians(params.turn)), math.sin(math.radians(params.turn))
        wide, high = self._artwork.size
        across = (cos * right + sin * down) * params.width
        along = (cos * down - sin * right) * (params.width * high / wide)
        corner = middle - (across + along) / 2
        corners = self.view.to_stored(np.stack((corner, corner + across, corner + along)))
        scale = max(
            np.linalg.norm(corners[1] - corners[0]) / wide, np.linalg.norm(corners[2] - corners[0]) / high
        )
        return _Place(corners, opacity, float(scale))
