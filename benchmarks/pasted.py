"""A face that is there for one to three frames only, at every phase of the look grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.cover import TruthBox, is_covered
from benchmarks.in_memory import analyzed, hidden_lumas, still
from facefx.faces.analyze import FaceAnalyzer, FacePolicy
from facefx.faces.detector import Detector
from facefx.values import FrameBatch, Planes
from facefx.video.source import VideoSource

__all__ = ["Clip", "FaceCrop", "Outcome", "Paste", "find_face", "pastes", "try_paste"]

# Frames before and after the paste: more than any conclusion reaches.
_AROUND_S = 1.2


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face cut out of a still with what is around it: planes in 4:2:0, and where in it the face is."""

    bgr: NDArray[np.uint8]
    xyxy: tuple[float, float, float, float]

    def planes(self, face_px: int) -> tuple[Planes, TruthBox]:
        """Scaled so that the face is so many pixels wide; even in size."""
        scale = face_px / (self.xyxy[2] - self.xyxy[0])
        height, width = self.bgr.shape[:2]
        size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
        small = cv2.resize(self.bgr, size, interpolation=cv2.INTER_AREA)
        packed = cv2.cvtColor(small, cv2.COLOR_BGR2YUV_I420).ravel()
        luma, chroma = size[0] * size[1], size[0] * size[1] // 4
        shape = (size[1] // 2, size[0] // 2)
        x0, y0, x1, y1 = (side * scale for side in self.xyxy)
        parts = (packed[:luma].reshape(size[::-1]), packed[luma : luma + chroma].reshape(shape))
        return (*parts, packed[luma + chroma :].reshape(shape)), TruthBox(x0, y0, x1, y1)


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of a clip without faces, in memory, and the seconds from one to the next."""

    frames: Sequence[FrameBatch]
    period: Fraction | None

    @staticmethod
    def read(path: Path) -> Clip:
        """Decode all of it, a frame a batch."""
        with VideoSource(path) as source:
            rate = source.info.video.average_rate
            frames = [b.select(i, i + 1) for b in source.batches() for i in range(len(b))]
            return Clip(frames, 1 / rate if rate else None)


@dataclass(frozen=True, slots=True)
class Paste:
    """A face of a size, at a place (0..1 of the room there is), from a frame on, for so many frames."""

    face_px: int
    frame: int
    frames: int
    place: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """covered of the frames that show the face; others: frames around them that were changed too."""

    paste: Paste
    covered: int
    others: int


def find_face(path: Path, detector: Detector) -> FaceCrop:
    """Cut the surest face out of a still, a quarter of its size of surroundings on each side.

    Raises SystemExit where the picture cannot be read or shows none.
    """
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise SystemExit(f"{path}: not a picture")
    seen = detector.detect(still(np.asarray(bgr, np.uint8)), [0])
    if not len(seen):
        raise SystemExit(f"{path}: {detector.name} sees no face in it")
    x0, y0, x1, y1 = seen.xyxy[int(np.argmax(seen.confidence))].tolist()
    left, top = int(max(0, x0 - (x1 - x0) / 4)), int(max(0, y0 - (y1 - y0) / 4))
    crop = bgr[top : int(y1 + (y1 - y0) / 4), left : int(x1 + (x1 - x0) / 4)]
    return FaceCrop(np.asarray(crop, np.uint8), (x0 - left, y0 - top, x1 - left, y1 - top))


def pastes(clip: Clip, sizes: Sequence[int], seed: int = 0) -> Iterator[Paste]:
    """One to three frames of each size, starting at every frame of one grid interval somewhere."""
    rng = np.random.default_rng(seed)
    format = clip.frames[0].format
    times_s = [float(b.pts[0] * format.time_base) for b in clip.frames]
    around = sum(t - times_s[0] < _AROUND_S for t in times_s)
    phases = sum(t - times_s[0] < FacePolicy().look_interval_s * 2 for t in times_s)
    for size in sizes:
        for frames in (1, 2, 3):
            first = int(rng.integers(around, len(times_s) - around - phases - 3))
            for phase in range(phases):
                x, y = rng.random(2).tolist()
                yield Paste(size, first + phase, frames, (x, y))


def try_paste(clip: Clip, face: FaceCrop, paste: Paste, detector: Detector) -> Outcome:
    """Analyse the clip around the paste, hide what was found, and judge every frame's pixels."""
    planes, box = face.planes(paste.face_px)
    format = clip.frames[0].format
    pasted = range(paste.frame, paste.frame + paste.frames)
    there_s = float(clip.frames[paste.frame].pts[0] * format.time_base)
    window = [
        _with(frame, planes, paste.place) if i in pasted else frame
        for i, frame in enumerate(clip.frames)
        if abs(float(frame.pts[0] * format.time_base) - there_s) <= _AROUND_S
    ]
    left, top = _corner(format.width, format.height, planes, paste.place)
    truth = TruthBox(box.x0 + left, box.y0 + top, box.x1 + left, box.y1 + top)
    start = int(clip.frames[0].pts[0])
    analyzer = FaceAnalyzer(detector, FacePolicy(), format, anchor_pts=start, frame_period=clip.period)
    covered = others = 0
    for source, (before, after) in zip(window, hidden_lumas(analyzed(analyzer, window)), strict=True):
        if source.index[0] in pasted:
            covered += is_covered(before, after, truth)
        else:
            others += not np.array_equal(before, after)
    return Outcome(paste, covered, others)


def _corner(width: int, height: int, planes: Planes, place: tuple[float, float]) -> tuple[int, int]:
    rows, columns = planes[0].shape
    return int((width - columns) * place[0]) // 2 * 2, int((height - rows) * place[1]) // 2 * 2


def _with(frame: FrameBatch, planes: Planes, place: tuple[float, float]) -> FrameBatch:
    """A copy of a 4:2:0 frame with the planes laid over it."""
    left, top = _corner(frame.format.width, frame.format.height, planes, place)
    copy = tuple(plane.copy() for plane in frame.view(0))
    for i, (target, part) in enumerate(zip(copy, planes, strict=True)):
        y, x = (top, left) if i == 0 else (top // 2, left // 2)
        target[y : y + part.shape[0], x : x + part.shape[1]] = part
    return FrameBatch(frame.format, (copy,), frame.pts, frame.index)
