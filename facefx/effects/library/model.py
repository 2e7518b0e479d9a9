"""model: glasses or a hat, worn by the head."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.animation import Animation
from facefx.effects.assets import AssetEffect, AssetParams, ramp
from facefx.effects.effect import EffectParams, Rectangle
from facefx.effects.kernels import window
from facefx.effects.overlay import Artwork, bounds, draw_quad
from facefx.effects.pose import Pose
from facefx.effects.raster import fill_triangles
from facefx.effects.sidecar import with_sidecar
from facefx.effects.uv import face_skin, layout
from facefx.faces.anchors import anchors
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Model"]

Points = NDArray[np.float64]
Mask = NDArray[np.float32]

# Lengths are in face diameters, in the head's own axes (see uv.UvLayout).

# Glasses: how far their front stands off the root of the nose, and where temples end, behind the ears.
_STAND_OFF, _TEMPLE_END = 0.045, 0.06
# A temple's height at the front and at the ear, parts of its length, and where on the front it is hinged.
_TEMPLE_HIGH, _TEMPLE_HINGE = 0.085, 0.27
# A temple is seen from outside only: parts of its normal that point to the viewer.
_TEMPLE_HIDDEN, _TEMPLE_SEEN = 0.03, 0.2
# A hat sits on a ring about the middle of the skull, so far behind the forehead.
_HAT_BEHIND = 0.42
# What of the face is nearer than the asset by the second hides it, up to the first not at all; samples
# across a face to find that out.
_FREE, _COVERED, _SAMPLES = 0.05, 0.09, 110
# A sheet seen from its edge: less than so many pixels in all.
_MIN_SHEET_PX2 = 1.0


class ModelParams(AssetParams):
    """Parameters of model."""

    kind: Literal["glasses", "hat"] = Field(
        "glasses",
        description="glasses sit on the nose, turn with the head, have temples; a hat sits on the forehead, "
        "is round, and shows the same front from all sides.",
    )
    width: float = Field(
        0.0, ge=0.0, le=4.0, description="Width in face diameters; 0 is what the kind usually has."
    )
    anchor_x: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="The point of the picture that sits on the face, from its left edge: 0 to 1.",
    )
    anchor_y: float = Field(
        -1.0, ge=-1.0, le=1.0, description="The same from its top: 0 to 1; -1 is what the kind usually has."
    )
    dy: float = Field(0.0, ge=-1.0, le=1.0, description="Moved so far down the face, in face diameters.")
    pitch: float = Field(0.0, ge=-60.0, le=60.0, description="Tilted by so many degrees, its top backwards.")
    temples: bool = Field(True, description="Whether glasses get temples, in the colour of their sides.")


# Per kind: width in face diameters, how far down the picture its anchor is, degrees of tilt.
_USUAL = {"glasses": (0.86, 0.38, -4.0), "hat": (1.5, 0.86, 0.0)}


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One flat part. corners: (4, 2) stored pixels from the upper left on. depth: (4,), smaller is nearer."""

    artwork: Artwork
    corners: Points
    depth: Points
    opacity: float
    scale: float


class Model(AssetEffect):
    """Put glasses or a hat on the head: a flat picture in the head's own space, seen in perspective.

    The head's turn, place and size are solved from the mesh. What the nose or the cheek covers of the
    glasses is hidden, and so is the far temple. A file NAME.yaml beside NAME.png may hold any of these
    parameters; those that are given with the effect go before them.
    """

    name = "model"
    samples = (
        {"path": "builtin:glasses"},
        {"path": "builtin:sunglasses"},
        {"path": "builtin:hat", "kind": "hat"},
    )
    Params = ModelParams
    params: ModelParams

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Fix the asset and what the file beside it says.

        Raises EffectError where either cannot be used.
        """
        assert isinstance(params, ModelParams)
        return super().pinned(with_sidecar(params, cls.name))

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Read the picture and convert it for the stream.

        Raises EffectError where it is not the one that was pinned.
        """
        super().prepare(format, seed)
        animation = self.read()
        self._front = Artwork(animation, format, mirror=self.params.mirror)
        self._temple = Artwork(_temple(animation), format)

    def region(self, face: Face) -> Rectangle | None:
        """The box around all parts; None where nothing is to be seen."""
        sheets = self._sheets(face) if self.params.opacity else ()
        return bounds(np.concatenate([sheet.corners for sheet in sheets])) if sheets else None

    def apply(self, patch: Patch, face: Face) -> None:
        """Draw the parts, those behind first."""
        sheets = self._sheets(face) if self.params.opacity else ()
        region = self.region(face)
        rectangle = Patch.rectangle(self.format, region) if region else None
        if rectangle is None:
            return
        patch = window(patch, rectangle)
        surface = self._surface(patch, face) if self.params.kind == "glasses" else None
        for sheet in sheets:
            opacity = (
                sheet.opacity
                if surface is None
                else surface.uncovered(patch, sheet) * np.float32(sheet.opacity)
            )
            draw_quad(patch, sheet.artwork.layer(face.pts, sheet.scale), sheet.corners, opacity)

    def _sheets(self, face: Face) -> tuple[_Sheet, ...]:
        return self.shared.get(face, (self, "sheets"), lambda: tuple(self._find_sheets(face)))

    def _find_sheets(self, face: Face) -> Iterator[_Sheet]:
        pose = self.pose(face)
        if pose is None:
            return
        params, own = self.params, pose.of_head(self.view.landmarks(face))
        if params.kind == "hat":
            at = _hat_anchor(own)
            yield from self._sheet(self._front, _level(pose), at, self._flat(at), params.opacity)
            return
        at = _glasses_anchor(own)
        front = self._flat(at)
        for side, normal in _temples(front, own) if params.temples else ():
            looks = float(-(pose.rotation[2] @ normal))
            opacity = params.opacity * ramp(looks, _TEMPLE_HIDDEN, _TEMPLE_SEEN)
            if opacity:
                yield from self._sheet(self._temple, pose, at, side, opacity)
        yield from self._sheet(self._front, pose, at, front, params.opacity)

    def _sheet(
        self, artwork: Artwork, pose: Pose, at: Points, corners: Points, opacity: float
    ) -> Iterator[_Sheet]:
        """A sheet, unless it shows its edge or its back. at: the point of the head that the asset sits on."""
        shown = pose.place(corners, at)
        stored = self.view.to_stored(shown[:, :2])
        area = _area(stored)
        visible = artwork is self._temple or _area(shown) > 0
        if abs(area) >= _MIN_SHEET_PX2 and visible:
            wide, high = artwork.size
            yield _Sheet(artwork, stored, shown[:, 2], opacity, float(np.sqrt(abs(area) / (wide * high))))

    def _flat(self, at: Points) -> Points:
        """Corners of the picture where its anchor is at a point of the head."""
        params = self.params
        usual_width, usual_anchor, usual_pitch = _USUAL[params.kind]
        width = params.width or usual_width
        anchor_y = usual_anchor if params.anchor_y < 0 else params.anchor_y
        wide, high = self._front.size
        height = width * high / wide
        left, top = -params.anchor_x * width, -anchor_y * height
        x = np.array((left, left + width, left + width, left))
        y = np.array((top, top, top + height, top + height))
        tilt = np.radians(usual_pitch + params.pitch)
        return np.asarray(at + np.stack((x, y * np.cos(tilt) + params.dy, -y * np.sin(tilt)), axis=1))

    def _surface(self, patch: Patch, face: Face) -> _Surface | None:
        pose = self.pose(face)
        if pose is None:
            return None
        skin = face_skin()
        shown = skin.points(self.view.landmarks(face))
        step = max(1.0, pose.size / _SAMPLES)
        # One more sample on each side, so that an edge of the picture does not change what is near it.
        size = math.ceil(patch.width / step) + 2, math.ceil(patch.height / step) + 2
        triangles = skin.triangles[skin.facing(shown)]
        points = (self.view.to_stored(shown[:, :2]) - (patch.x, patch.y)) / step + 0.5
        # Beside the depth a value that is 0 only where there is no face.
        values = np.stack((shown[:, 2] - pose.origin[2], np.ones(len(shown))), axis=1) / pose.size
        depth = fill_triangles(points, triangles, values, size)
        return _Surface(depth, step, float(pose.origin[2]), pose.size)


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """How near the skin is, on a coarse grid: (h, w, 2) depth in face diameters, and 1 / size where it is."""

    depth: NDArray[np.float32]
    step: float
    origin: float
    size: float

    def uncovered(self, patch: Patch, sheet: _Sheet) -> Mask:
        """(h, w) of the patch: 1 where no skin is nearer than the sheet, 0 where it is by far."""
        height, width = self.depth.shape[:2]
        corners = (sheet.corners - (patch.x, patch.y)) / self.step + 0.5
        plane = np.linalg.lstsq(
            np.column_stack((corners, np.ones(4))), (sheet.depth - self.origin) / self.size, rcond=None
        )[0]
        own = plane[0] * np.arange(width)[None] + plane[1] * np.arange(height)[:, None] + plane[2]
        nearer = np.where(self.depth[..., 1] > 0, own - self.depth[..., 0], -1)
        free = np.clip((_COVERED - nearer) / (_COVERED - _FREE), 0, 1).astype(np.float32)
        # A nose ends between two samples: without this its edge would be a stair.
        free = cv2.blur(free, (3, 3), borderType=cv2.BORDER_REPLICATE)
        offset = -(self.step + 1) / 2
        matrix = np.array(((self.step, 0, offset), (0, self.step, offset)))
        return np.asarray(
            cv2.warpAffine(
                free,
                matrix,
                (patch.width, patch.height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )


def _glasses_anchor(own: Points) -> Points:
    """Upright in front of the root of the nose, as high as the eyes. own: landmarks in the head's axes."""
    names = anchors("mediapipe-468")
    eyes = own[[names[f"{side}_eye_{end}"] for side in ("left", "right") for end in ("inner", "outer")]]
    return np.array((0.0, eyes[:, 1].mean(), layout().shape[names["nose_root"], 2] - _STAND_OFF))


def _hat_anchor(own: Points) -> Points:
    """As high as the upper end of the forehead, in the middle of the skull."""
    forehead = anchors("mediapipe-468")["forehead"]
    return np.array((0.0, own[forehead, 1], layout().shape[forehead, 2] + _HAT_BEHIND))


def _area(corners: Points) -> float:
    """The area within (4, ≥ 2) corners, positive where they go round clockwise as shown."""
    (ax, ay), (bx, by) = (
        (corners[2, :2] - corners[0, :2]).tolist(),
        (corners[3, :2] - corners[1, :2]).tolist(),
    )
    return float(ax * by - ay * bx) / 2


def _level(pose: Pose) -> Pose:
    """The same head without its turn to a side: what is round looks the same."""
    up_x, up_y = pose.up
    across = np.array((-up_y, up_x, 0.0))
    down = pose.rotation[:, 1]
    return Pose(
        np.stack((across, down, np.cross(across, down)), axis=1), pose.size, pose.origin, pose.distance
    )


def _temples(front: Points, own: Points) -> Iterator[tuple[Points, Points]]:
    """Both temples' corners, hinge first as seen from outside, and the way that they look: outwards."""
    names = anchors("mediapipe-468")
    left, right = front[[0, 3]], front[[1, 2]]
    for edge, ear, sign in ((left, own[names["right_ear"]], -1.0), (right, own[names["left_ear"]], 1.0)):
        hinge = edge[0] + (edge[1] - edge[0]) * (_TEMPLE_HINGE - 0.5 * 0.2)
        end = np.array((ear[0] * 1.02, hinge[1] + 0.02, ear[2] + _TEMPLE_END))
        high = np.array((0.0, _TEMPLE_HIGH * abs(end[2] - hinge[2]), 0.0))
        yield (
            np.stack((hinge - high / 2, end - high / 2, end + high / 2, hinge + high / 2)),
            np.array((sign, 0.0, 0.0)),
        )


def _temple(animation: Animation) -> Animation:
    """A bar in the colour that the glasses have at their sides."""
    rgba: NDArray[Any] = animation.frames[0].astype(np.float64)
    edge = max(1, rgba.shape[1] // 25)
    sides = np.concatenate((rgba[:, :edge], rgba[:, -edge:]), axis=1).reshape(-1, 4)
    weight = sides[:, 3:]
    colour = (sides[:, :3] * weight).sum(axis=0) / max(float(weight.sum()), 1.0)
    bar = np.empty((16, 128, 4), np.uint8)
    bar[..., :3], bar[..., 3] = np.rint(colour), 255 if weight.any() else 0
    return Animation((bar,), (100,))
