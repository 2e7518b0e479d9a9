"""A puppet's face that a net of a few lines can see, painted into films; no weights are needed.

The puppet has a red right eye, a blue left eye and a green mouth on a grey ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from detector_makers import batch_of
from numpy.typing import NDArray

from facefx.faces.landmarker import FaceLandmarker, LandmarkerSpec
from facefx.values import Face, Faces, FaceSource, FrameBatch

MOUTH = 152
SPEC = LandmarkerSpec("puppet", "puppet", "", "mediapipe-468", smoothing=None)
# Right eye, left eye and mouth in eye distances from the face's middle.
_SPOTS = np.array([[-0.5, -0.4], [0.5, -0.4], [0.0, 0.6]])
_RADIUS = 0.9


def _shares() -> NDArray[np.float64]:
    """Of which shares of eyes and mouth each point of the mesh consists: a disc around the three."""
    rng = np.random.default_rng(4)
    angle, radius = rng.uniform(0, 2 * np.pi, 468), _RADIUS * np.sqrt(rng.uniform(0, 1, 468))
    radius[:100], angle[:100] = _RADIUS, np.arange(100) * np.pi / 50
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    points[[33, 263, MOUTH]] = _SPOTS
    corners = np.vstack([_SPOTS.T, np.ones(3)])
    return np.asarray(np.linalg.solve(corners, np.vstack([points.T, np.ones(468)])).T)


_SHARES = _shares()


@dataclass(frozen=True)
class Puppet:
    """Where it is: its middle, the distance of its eyes in pixels, tilt in degrees."""

    x: float
    y: float
    size: float = 40.0
    tilt: float = 0.0

    @property
    def spots(self) -> NDArray[np.float64]:
        """Right eye, left eye and mouth, (3, 2)."""
        plain = _SPOTS * self.size
        angle = math.radians(self.tilt)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        return np.asarray(plain @ turn + [self.x, self.y])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Around its mesh."""
        half = self.size * _RADIUS
        return self.x - half, self.y - half, self.x + half, self.y + half


def paint(puppets: Sequence[Puppet], size: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """A BGR picture, its colours with soft edges."""
    picture = np.full((size[1], size[0], 3), 110, np.uint8)
    for puppet in puppets:
        radius = max(2, round(puppet.size * 0.2 * 16))
        for (x, y), colour in zip(puppet.spots, ((0, 0, 230), (230, 0, 0), (0, 210, 0)), strict=True):
            at = (round((x - 0.5) * 16), round((y - 0.5) * 16))
            cv2.circle(picture, at, radius, colour, -1, cv2.LINE_AA, 4)
    return picture


class PuppetNet:
    """Sees a puppet that stands upright in its crop, more or less; as sure of it as `score`."""

    size = 192

    def __init__(self) -> None:
        self.looks = 0
        self.closed = 0
        self.score = 1.0

    def look(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        seen = [self._see(crop.astype(float)) for crop in crops]
        self.looks += len(crops)
        return np.stack([points for points, _ in seen]), np.array([score for _, score in seen], np.float32)

    def close(self) -> None:
        self.closed += 1

    def _see(self, crop: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
        nothing = np.zeros((468, 3), np.float32), 0.1
        red, green, blue = crop[..., 0], crop[..., 1], crop[..., 2]
        spots = []
        for mass in (
            red - np.maximum(green, blue),
            blue - np.maximum(green, red),
            green - np.maximum(red, blue),
        ):
            mass = np.clip(mass - 20, 0, None)
            if mass.sum() < 4000:
                return nothing
            rows, columns = np.arange(self.size)[:, None], np.arange(self.size)
            spots.append([(mass * columns).sum() / mass.sum(), (mass * rows).sum() / mass.sum(), 0])
        right, left, mouth = np.array(spots)
        down = mouth - (right + left) / 2
        if down[1] < abs(down[0]) or left[0] < right[0]:
            return nothing
        return np.asarray(_SHARES @ np.array(spots), np.float32), self.score


def film(*frames: Sequence[Puppet], period: int = 1, **format: Any) -> FrameBatch:
    """Up to 16 frames as a batch at 25 ticks a second; pts step by `period`."""
    batch = batch_of(*(paint(puppets) for puppets in frames), **format)
    return FrameBatch(batch.format, batch.planes, batch.pts * period, batch.index)


def faces_of(
    frames: Sequence[Sequence[tuple[int, tuple[float, float, float, float]]]], pts: NDArray[np.int64]
) -> Faces:
    """(track, box) rows of each frame."""
    return Faces.from_rows(
        (at, Face(int(pts[at]), track, box, 0.9, FaceSource.DETECTED))
        for at, rows in enumerate(frames)
        for track, box in rows
    )


def run(
    frames: Sequence[Sequence[Puppet]],
    boxes: Sequence[Sequence[tuple[int, tuple[float, float, float, float]]]] | None = None,
    *,
    spec: LandmarkerSpec = SPEC,
    **format: Any,
) -> tuple[Faces, FaceLandmarker, PuppetNet]:
    """One batch through a new landmarker; without boxes each puppet's own, numbered in their order."""
    batch = film(*frames, **format)
    rows = boxes or [[(i, puppet.box) for i, puppet in enumerate(puppets)] for puppets in frames]
    net = PuppetNet()
    landmarker = FaceLandmarker(spec, batch.format, net=net)
    return landmarker.process(batch, faces_of(rows, batch.pts)), landmarker, net
