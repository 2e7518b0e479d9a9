"""Where a mesh net looks: a turned square around a face, and the maps between it and the picture.

The rules are MediaPipe's, and so is the convention of its CPU path: sample i of a crop is taken at
`origin + i · side / S` in the picture's rows and columns, and point c of the net's answer lies at
`origin + c · side / S`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.values import StreamFormat

__all__ = ["LEFT_EYE_OUTER", "RIGHT_EYE_OUTER", "Placement", "Roi", "bounds"]

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]

# Outer corners of the eyes in both topologies: their line says how far a face is tilted.
# Source: mediapipe/modules/face_landmark/face_landmark_landmarks_to_roi.pbtxt, 0.10.21.
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
# Source: the same, and face_detection_front_detection_to_roi.pbtxt.
_MARGIN = 1.5
# The grid of squares: steps of a side for each doubling, of a place for each side, of a roll for each radian.
_SIDES, _PLACES, _ROLLS = 128, 512, 256


@dataclass(frozen=True, slots=True)
class Roi:
    """A turned square: centre and side in pixels of the upright picture, roll in radians, clockwise."""

    x: float
    y: float
    side: float
    roll: float = 0.0

    @staticmethod
    def around(box: tuple[float, float, float, float], roll: float = 0.0) -> Roi:
        """The net's square for a face's box: as wide as its longer side and half as much again.

        >>> Roi.around((10, 20, 30, 60))
        Roi(x=20.0, y=40.0, side=60.0, roll=0.0)
        """
        x0, y0, x1, y1 = box
        return Roi((x0 + x1) / 2, (y0 + y1) / 2, _MARGIN * max(x1 - x0, y1 - y0), roll)

    @staticmethod
    def of_detection(
        box: tuple[float, float, float, float], right_eye: NDArray[Any], left_eye: NDArray[Any]
    ) -> Roi:
        """The square for a detector's box and the subject's eyes (the right one is left in the picture)."""
        return Roi.around(box, roll_of(right_eye, left_eye))

    @staticmethod
    def of_landmarks(points: Points, box: tuple[float, float, float, float] | None = None) -> Roi:
        """The square for the next frame: around all of these (p, ≥ 2) landmarks, turned with the eyes.

        box: theirs, where it is known already.
        """
        return Roi.around(box or bounds(points), roll_of(points[RIGHT_EYE_OUTER], points[LEFT_EYE_OUTER]))

    def snapped(self) -> Roi:
        """The nearest square on a grid, finer than a sample of a crop.

        Where a net looks depends on what it saw before. Two workers that begin at different frames come
        close soon, but rounding keeps them from ever meeting; on a grid they meet, and are one from
        then on. A face at rest is looked at in one and the same place.
        """
        side = 2 ** (round(math.log2(max(self.side, 1.0)) * _SIDES) / _SIDES)
        step = side / _PLACES
        return Roi(
            round(self.x / step) * step,
            round(self.y / step) * step,
            side,
            round(self.roll * _ROLLS) / _ROLLS,
        )

    def is_near(self, other: Roi, share: float) -> bool:
        """True where centre, side and corners differ by no more than about this share of the side."""
        apart = max(abs(self.x - other.x), abs(self.y - other.y), abs(self.side - other.side))
        turned = abs(math.remainder(self.roll - other.roll, 2 * math.pi))
        return apart <= share * self.side and turned <= 2 * share

    def matrix(self, size: int) -> Matrix:
        """(3, 3) map from a crop of size × size to the upright picture."""
        scale = self.side / size
        cos, sin = math.cos(self.roll) * scale, math.sin(self.roll) * scale
        half = size / 2
        return np.array(
            [
                [cos, -sin, self.x - half * (cos - sin)],
                [sin, cos, self.y - half * (sin + cos)],
                [0.0, 0.0, 1.0],
            ]
        )

    def to_picture(self, landmarks: NDArray[np.float32], size: int) -> Points:
        """Map (p, 3) points of a crop to the upright picture, column by column; z is scaled, not turned."""
        matrix = self.matrix(size)
        offset = matrix[:, 2] * (1, 1, 0)
        matrix[:, 2] = (0, 0, self.side / size)
        # All that follows works on columns: on rows of two or three numbers it takes several times as long.
        return np.asfortranarray(landmarks.astype(np.float64) @ matrix.T + offset)


def bounds(points: Points) -> tuple[float, float, float, float]:
    """The smallest box around (p, ≥ 2) points."""
    # One column after the other: a reduction over the rows of a narrow array costs five times as much.
    x, y = points[:, 0], points[:, 1]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def roll_of(right_eye: NDArray[Any], left_eye: NDArray[Any]) -> float:
    """The angle of the line from eye to eye, radians, clockwise on screen."""
    return math.atan2(float(left_eye[1] - right_eye[1]), float(left_eye[0] - right_eye[0]))


class Placement:
    """How the upright picture with square pixels lies in one stream's stored pictures, as matrices.

    to_stored: (3, 3), from upright to stored pixels. identity: they are the same.
    """

    def __init__(self, format: StreamFormat) -> None:
        self.to_upright = _to_upright(format)
        self.to_stored = np.asarray(np.linalg.inv(self.to_upright), np.float64)
        self.identity = bool(np.array_equal(self.to_upright, np.eye(3)))
        # z is scaled like x: as much as a step along the stored picture's rows is stretched.
        self._depth = float(np.hypot(self.to_upright[0, 0], self.to_upright[1, 0]))

    def sampling(self, shift_x: int, shift_y: int) -> Matrix:
        """(3, 3) map from rows and columns of the upright picture to those of a plane.

        shift_x, shift_y: log2 of how coarse the plane is. Its samples are taken as centred on the
        pixels they stand for.
        """
        whole, half = _offset(0.5), _offset(-0.5)
        coarse = np.diag([0.5**shift_x, 0.5**shift_y, 1.0])
        return np.asarray(half @ coarse @ self.to_stored @ whole)

    def points_to_stored(self, points: Points) -> Points:
        """Map (p, 3) landmarks of the upright picture to the stored one."""
        if self.identity:
            return points
        stored = np.empty_like(points)
        np.matmul(points[:, :2], self.to_stored[:2, :2].T, out=stored[:, :2])
        stored[:, :2] += self.to_stored[:2, 2]
        np.divide(points[:, 2], self._depth, out=stored[:, 2])
        return stored

    def box_to_upright(self, xyxy: tuple[float, ...]) -> tuple[float, float, float, float]:
        """Map one box of the stored picture to the upright one."""
        if self.identity:
            return xyxy[0], xyxy[1], xyxy[2], xyxy[3]
        corners = self.to_upright @ np.array([[xyxy[0], xyxy[2]], [xyxy[1], xyxy[3]], [1.0, 1.0]])
        (x0, x1), (y0, y1) = np.sort(corners[:2], axis=1).tolist()
        return x0, y0, x1, y1


def _offset(amount: float) -> Matrix:
    return np.array([[1.0, 0.0, amount], [0.0, 1.0, amount], [0.0, 0.0, 1.0]])


def _to_upright(format: StreamFormat) -> Matrix:
    """Stretch to square pixels, flip where the display matrix mirrors, turn: as Upright does."""
    aspect = float(format.sample_aspect) or 1.0
    width, height = format.width * aspect, float(format.height)
    matrix = np.diag([aspect, 1.0, 1.0])
    if format.mirrored:
        matrix = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height], [0.0, 0.0, 1.0]]) @ matrix
    for _ in range(round(format.rotation / 90) % 4):
        matrix = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width], [0.0, 0.0, 1.0]]) @ matrix
        width, height = height, width
    return matrix
