"""Where a head is and how it is turned: six degrees of freedom and a size, solved from its mesh.

All of it is in the picture as it is shown: upright, not mirrored, square pixels. Assets are drawn for
viewers, and only there does a face have its left on one side whatever the stored picture is like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from facefx.effects.shared import Shared
from facefx.effects.uv import layout
from facefx.errors import EffectError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology
from facefx.values import Face, StreamFormat

__all__ = ["Pose", "View", "pose_of", "solve_pose"]

Points = NDArray[np.float64]

# A camera whose picture's longer side is as long as it is far away sees 53°, as a phone's does.
_FOCAL_PARTS = 1.0
# Nearer than so many face diameters no face is seen whole.
_NEAREST = 2.0
# Below this size in pixels there is no turn to be seen.
_MIN_SIZE_PX = 2.0


@dataclass(frozen=True, slots=True)
class View:
    """The way from the stored picture to the one that is shown, about the same origin.

    matrix: (2, 2); points of the stored picture times its transpose are shown points. depth: what z,
    which is scaled like x of the stored picture, is multiplied by. focal: distance of the camera in
    shown pixels, assumed.
    """

    matrix: Points
    inverse: Points
    depth: float
    focal: float

    @classmethod
    def of(cls, format: StreamFormat) -> View:
        """As a player shows it: square pixels, flipped where mirrored, then turned anticlockwise."""
        aspect = float(format.sample_aspect) or 1.0
        matrix = np.diag((aspect, -1.0 if format.mirrored else 1.0))
        for _ in range(round(format.rotation / 90) % 4):
            matrix = np.array(((0.0, 1.0), (-1.0, 0.0))) @ matrix
        focal = _FOCAL_PARTS * max(format.width * aspect, format.height)
        return cls(matrix, np.linalg.inv(matrix), aspect, focal)

    def landmarks(self, face: Face) -> Points:
        """The first 468 landmarks as shown, (468, 3).

        Raises EffectError for a face without landmarks, or of a topology that has other points.
        """
        if face.landmarks is None:
            raise EffectError(f"face {face.track_id} at pts {face.pts}: expected landmarks, got none")
        anchors(face.topology)  # raises where the points mean something else
        shown = face.landmarks[: len(layout().shape)].astype(np.float64)
        shown[:, :2] = shown[:, :2] @ self.matrix.T
        shown[:, 2] *= self.depth
        return shown

    def to_stored(self, points: Points) -> Points:
        """Map (n, 2) shown points to the stored picture."""
        return np.asarray(points @ self.inverse.T)


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A head in the shown picture.

    rotation: (3, 3), its columns are the head's own axes: to its left, down, backwards. size: of
    the face's diameter in pixels. origin: (3,) of the head's middle (see UvLayout.shape), in pixels.
    distance: of the camera in face diameters.
    """

    rotation: Points
    size: float
    origin: Points
    distance: float

    def place(self, points: Points, about: Points | None = None) -> Points:
        """Map (n, 3) points of the head, in face diameters, to the shown picture: x, y and z in pixels.

        What is nearer than `about` (3,) appears larger, what is behind it smaller; itself it lies where
        landmarks do that are there, which know no perspective. By default it is the head's middle.
        """
        turned = points @ self.rotation.T
        centre = np.zeros(3) if about is None else self.rotation @ about
        placed = turned - centre
        placed[:, :2] *= self.distance / np.maximum(self.distance + placed[:, 2:], 0.5)
        return np.asarray((placed + centre) * self.size + self.origin)

    def of_head(self, points: Points) -> Points:
        """Map (n, 3) points of the shown picture to the head's own axes, in face diameters."""
        return np.asarray((points - self.origin) @ self.rotation / self.size)

    @property
    def up(self) -> tuple[float, float]:
        """The direction of the head's top in the shown picture, a unit vector."""
        x, y = -self.rotation[0, 1], -self.rotation[1, 1]
        length = math.hypot(x, y)
        return (float(x / length), float(y / length)) if length > 1e-6 else (0.0, -1.0)

    @property
    def angles(self) -> tuple[float, float, float]:
        """(pitch, yaw, roll) in degrees: chin up, to the subject's left, clockwise as shown are positive."""
        up_x, up_y = self.up
        roll = math.degrees(math.atan2(up_x, -up_y))
        level = turn_about_view(-math.radians(roll)) @ self.rotation
        pitch = math.degrees(math.atan2(-level[2, 1], level[1, 1]))
        yaw = math.degrees(math.atan2(-level[0, 2], level[0, 0]))
        return pitch, yaw, roll


def turn_about_view(angle: float) -> Points:
    """(3, 3): a turn by an angle in radians, clockwise as shown."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array(((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)))


def pose_of(face: Face, view: View, shared: Shared) -> Pose | None:
    """The pose of a face, found out once a frame; None for a face that is too small to have one.

    Raises EffectError, as View.landmarks does.
    """
    return shared.get(face, "pose", lambda: solve_pose(view.landmarks(face), view.focal))


def solve_pose(landmarks: Points, focal: float) -> Pose | None:
    """Solve a pose from (468, 3) shown landmarks; None where they lie in less than two pixels.

    The turn, size and place that take the mean face nearest to the mesh: its points that neither speech,
    blinks nor brows move. Source: Umeyama 1991, "Least-squares estimation of transformation parameters
    between two point patterns", IEEE PAMI 13(4).
    """
    rows, shape, middle, spread = _still()
    seen = landmarks[rows]
    centre = np.add.reduce(seen) / len(rows)
    left, lengths, right = np.linalg.svd((seen - centre).T @ shape)
    flip = 1.0 if np.linalg.det(left) * np.linalg.det(right) > 0 else -1.0
    signs = np.array((1.0, 1.0, flip))
    size = float(lengths @ signs) / spread
    if not size >= _MIN_SIZE_PX:
        return None
    rotation = (left * signs) @ right
    origin = centre - size * (rotation @ middle)
    return Pose(rotation, size, origin, max(focal / size, _NEAREST))


@cache
def _still() -> tuple[NDArray[np.intp], Points, Points, float]:
    """The points that keep still: their rows, places about their middle, the middle, and their spread."""
    shape, names = layout().shape, anchors("mediapipe-468")
    regions = topology("mediapipe-468").regions
    moving = {i for name in ("left_brow", "right_brow", "left_eye", "right_eye") for i in regions[name]}
    moving -= {names[f"{side}_eye_{end}"] for side in ("left", "right") for end in ("inner", "outer")}
    lowest = shape[names["nose_base"], 1]
    rows = np.array([i for i in range(len(shape)) if shape[i, 1] <= lowest and i not in moving], np.intp)
    middle = shape[rows].mean(axis=0)
    centred = shape[rows] - middle
    return rows, centred, middle, float((centred**2).sum())
