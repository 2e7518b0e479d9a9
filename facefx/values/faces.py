"""Facts about faces that travel: what a detector saw, and what was concluded from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ShapeError
from facefx.geometry import Boxes

__all__ = ["Detections", "Face", "FaceSource", "Faces"]


class FaceSource(IntEnum):
    """Where a face's box comes from, surest first."""

    DETECTED = 0  # a detector saw it in this very frame
    TRACKED = 1  # between two looks that agree
    FILLED = 2  # across a gap in which a look saw nothing
    HELD = 3  # before the first or after the last sight of it


_SOURCES = tuple(FaceSource)


def _check(name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    fits = array.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=False)
    )
    if not fits:
        wanted = tuple("any" if part is None else part for part in shape)
        raise ShapeError(f"{name} must be {wanted}, got {array.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector saw: one row a face.

    frame: (m,) int64 position in the batch it was asked about. xyxy: (m, 4) float32, half-open
    pixels of the stored picture. confidence: (m,) float32. keypoints: (m, k, 2) float32, the
    subject's points in the detector's order (k may be 0).
    """

    frame: NDArray[np.int64]
    xyxy: Boxes
    confidence: NDArray[np.float32]
    keypoints: NDArray[np.float32]

    def __post_init__(self) -> None:
        m = len(self.frame)
        _check("frame", self.frame, (m,))
        _check("xyxy", self.xyxy, (m, 4))
        _check("confidence", self.confidence, (m,))
        _check("keypoints", self.keypoints, (m, None, 2))

    def __len__(self) -> int:
        return len(self.frame)

    @staticmethod
    def empty(keypoints: int = 0) -> Detections:
        """No face at all: a normal value."""
        return Detections(
            np.zeros(0, np.int64),
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros((0, keypoints, 2), np.float32),
        )

    def take(self, rows: NDArray[Any]) -> Detections:
        """The rows that an index array or a boolean mask picks."""
        return Detections(self.frame[rows], self.xyxy[rows], self.confidence[rows], self.keypoints[rows])


@dataclass(frozen=True, slots=True)
class Face:
    """One row of Faces: one face in one frame, as an effect sees it.

    xyxy in pixels of the stored picture; pts in the stream's time base; landmarks (p, 3) of the
    topology named, a view that nobody writes to, or None and "" where no mesh was found or asked for.
    """

    pts: int
    track_id: int
    xyxy: tuple[float, float, float, float]
    confidence: float
    source: FaceSource
    landmarks: NDArray[np.float32] | None = None
    topology: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces of a batch: one row = one face in one frame, sorted by frame, then track.

    frame: (m,) int64 position in the batch. source: (m,) uint8 FaceSource. landmarks: (m, p, 3)
    float32 with the topology named, or (m, 0, 3) and "" where none were asked for; x and y in pixels
    of the stored picture, z scaled like x, smaller is nearer; all NaN in a row where no mesh was found.
    They are multiples of 1/64 pixel, so that a table that keeps them gives the same bytes later.

    Raises ShapeError if the parts do not fit each other.
    """

    frame: NDArray[np.int64]
    pts: NDArray[np.int64]
    track_id: NDArray[np.int64]
    xyxy: Boxes
    confidence: NDArray[np.float32]
    source: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    topology: str = ""

    def __post_init__(self) -> None:
        m = len(self.frame)
        for name in ("frame", "pts", "track_id", "confidence", "source"):
            _check(name, getattr(self, name), (m,))
        _check("xyxy", self.xyxy, (m, 4))
        _check("landmarks", self.landmarks, (m, None, 3))
        if m and bool(self.topology) != bool(self.landmarks.shape[1]):
            raise ShapeError(
                f"landmarks and topology come together, got {self.landmarks.shape} and {self.topology!r}"
            )

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def has_landmarks(self) -> NDArray[np.bool_]:
        """(m,) True in the rows that have landmarks."""
        if not self.landmarks.shape[1]:
            return np.zeros(len(self), bool)
        return np.asarray(~np.isnan(self.landmarks[:, 0, 0]))

    def with_landmarks(self, landmarks: NDArray[np.float32], topology: str) -> Faces:
        """The same faces with these (m, p, 3) landmarks; NaN rows where no mesh was found."""
        return replace(self, landmarks=landmarks, topology=topology)

    def take(self, rows: NDArray[Any] | slice) -> Faces:
        """The rows that a slice (as views), an index array or a boolean mask picks."""
        return Faces(
            self.frame[rows],
            self.pts[rows],
            self.track_id[rows],
            self.xyxy[rows],
            self.confidence[rows],
            self.source[rows],
            self.landmarks[rows],
            self.topology,
        )

    @staticmethod
    def join(parts: Sequence[Faces]) -> Faces:
        """Rows one after another; one part at least, and all of the same topology."""
        if len(parts) == 1:
            return parts[0]
        return Faces(
            np.concatenate([part.frame for part in parts]),
            np.concatenate([part.pts for part in parts]),
            np.concatenate([part.track_id for part in parts]),
            np.concatenate([part.xyxy for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.source for part in parts]),
            np.concatenate([part.landmarks for part in parts]),
            parts[-1].topology,
        )

    @staticmethod
    def from_rows(rows: Iterable[tuple[int, Face]]) -> Faces:
        """Gather (frame, Face) rows without landmarks; no rows give an empty table."""
        ordered = sorted(rows, key=lambda row: (row[0], row[1].track_id))
        faces = [face for _, face in ordered]
        n = len(faces)
        return Faces(
            np.array([frame for frame, _ in ordered], np.int64),
            np.array([face.pts for face in faces], np.int64),
            np.array([face.track_id for face in faces], np.int64),
            np.array([face.xyxy for face in faces], np.float32).reshape(n, 4),
            np.array([face.confidence for face in faces], np.float32),
            np.array([face.source for face in faces], np.uint8),
            np.zeros((n, 0, 3), np.float32),
        )

    def row(self, i: int) -> Face:
        """Row i as an effect sees it."""
        x0, y0, x1, y1 = self.xyxy[i].tolist()
        meshed = self.landmarks.shape[1] > 0 and not np.isnan(self.landmarks[i, 0, 0])
        return Face(
            int(self.pts[i]),
            int(self.track_id[i]),
            (x0, y0, x1, y1),
            float(self.confidence[i]),
            FaceSource(int(self.source[i])),
            self.landmarks[i] if meshed else None,
            self.topology if meshed else "",
        )

    def by_frame(self, frames: int) -> list[list[Face]]:
        """What `of_frame` gives for each of so many frames, at a fraction of its cost."""
        found: list[list[Face]] = [[] for _ in range(frames)]
        meshed = self.has_landmarks.tolist()
        columns = zip(
            self.frame.tolist(),
            self.pts.tolist(),
            self.track_id.tolist(),
            self.xyxy.tolist(),
            self.confidence.tolist(),
            self.source.tolist(),
            strict=True,
        )
        for i, (frame, pts, track_id, (x0, y0, x1, y1), confidence, source) in enumerate(columns):
            if 0 <= frame < frames:
                face = Face(pts, track_id, (x0, y0, x1, y1), confidence, _SOURCES[source])
                if meshed[i]:
                    face = replace(face, landmarks=self.landmarks[i], topology=self.topology)
                found[frame].append(face)
        return found

    def of_frame(self, frame: int) -> list[Face]:
        """The faces of one frame of the batch, in track order."""
        return [self.row(int(i)) for i in np.flatnonzero(self.frame == frame)]
