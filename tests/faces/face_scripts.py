"""Clips drawn from a script, and a detector that sees what the script says of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.faces.analyze import FaceAnalyzer, FacePolicy
from facefx.faces.detector import NetUse
from facefx.geometry import Boxes, as_boxes
from facefx.values import Detections, Face, Faces, FaceSource, FrameBatch, PixelFormat, StreamFormat

WIDTH, HEIGHT = 320, 180
TICKS = 600  # per second: whole ticks for 24, 25, 30 and 60 frames a second

Box = tuple[float, float, float, float]
Seen = tuple[Box, float]
Script = Callable[[int], Iterable[Seen]]
Picture = NDArray[np.uint8]

STILL: Picture = np.full((HEIGHT, WIDTH), 90, np.uint8)
_TILES = np.random.default_rng(7).integers(0, 256, (HEIGHT // 12, WIDTH * 4 // 12)).astype(np.uint8)
WALL: Picture = np.kron(_TILES, np.ones((12, 12), np.uint8))
_FACE = np.kron(np.tile(np.array([[40, 200], [220, 60]], np.uint8), (20, 20)), np.ones((7, 7), np.uint8))


def nobody(_: int) -> list[Seen]:
    return []


def steady(box: Box, frames: range, confidence: float = 0.9) -> Script:
    """One face that does not move, seen in these frames."""
    return lambda i: [(box, confidence)] if i in frames else []


class Actor:
    """Sees what its script says of a frame's index; glances see it too unless told otherwise."""

    name = "actor"
    nets: tuple[NetUse, ...] = ()

    def __init__(self, script: Script, glance: Script | None = None) -> None:
        self.script, self.glance_script = script, glance or script
        self.looked: list[int] = []
        self.glanced: list[int] = []

    @property
    def asked(self) -> set[int]:
        return {*self.looked, *self.glanced}

    def detect(self, batch: FrameBatch, frames: Sequence[int]) -> Detections:
        assert len(frames) == 1, "a net may round differently in company"
        at = int(batch.index[frames[0]])
        self.looked.append(at)
        return _table(frames[0], self.script(at))

    def glance(self, batch: FrameBatch, frame: int, expected: Boxes, *, whole: bool) -> Detections:
        at = int(batch.index[frame])
        self.glanced.append(at)
        return _table(frame, self.glance_script(at))

    def inspect(self, batch: FrameBatch, frame: int, regions: Boxes) -> Detections:
        assert len(regions), "something came and went somewhere"
        return self.detect(batch, [frame])

    def close(self) -> None:
        pass


def _table(frame: int, seen: Iterable[Seen]) -> Detections:
    rows = list(seen)
    return Detections(
        np.full(len(rows), frame, np.int64),
        as_boxes([box for box, _ in rows]),
        np.array([confidence for _, confidence in rows], np.float32),
        np.zeros((len(rows), 0, 2), np.float32),
    )


def times(frames: int, fps: float = 30, start: int = 0) -> list[int]:
    return [start + round(i * TICKS / fps) for i in range(frames)]


def batches(
    pts: Sequence[int], draw: Callable[[int], Picture] | None = None, size: int = 16, first: int = 0
) -> list[FrameBatch]:
    """Frames of one clip; draw(i) paints frame i; the index of the first is `first`."""
    pictures = [draw(first + i) if draw else STILL for i in range(len(pts))]
    height, width = pictures[0].shape
    format = StreamFormat(PixelFormat.of("gray"), width, height, Fraction(1, TICKS))
    return [
        FrameBatch(
            format,
            tuple((picture,) for picture in pictures[i : i + size]),
            np.array(pts[i : i + size], np.int64),
            first + np.arange(i, min(i + size, len(pts)), dtype=np.int64),
        )
        for i in range(0, len(pts), size)
    ]


def analyzer(detector: Actor, clip: Sequence[FrameBatch], **options: Any) -> FaceAnalyzer:
    """An analyzer for a clip, at 30 frames a second unless told otherwise."""
    policy = options.pop("policy", FacePolicy(calm_step=0))
    options.setdefault("frame_period", Fraction(1, 30))
    return FaceAnalyzer(detector, policy, clip[0].format, **options)


def through(analyzer: FaceAnalyzer, clip: Iterable[FrameBatch]) -> list[tuple[FrameBatch, Faces]]:
    out: list[tuple[FrameBatch, Faces]] = []
    for batch in clip:
        out += analyzer.push(batch)
    return out + analyzer.flush()


def rows(out: Iterable[tuple[FrameBatch, Faces]]) -> dict[int, list[Face]]:
    """Faces by frame index; a frame without any is not there."""
    table: dict[int, list[Face]] = {}
    for batch, faces in out:
        for i in range(len(batch)):
            if found := faces.of_frame(i):
                table[int(batch.index[i])] = found
    return table


def run(
    detector: Actor, pts: Sequence[int], draw: Callable[[int], Picture] | None = None, **options: Any
) -> dict[int, list[Face]]:
    """Faces by frame index of a clip that is drawn and analysed whole."""
    clip = batches(pts, draw, options.pop("size", 16))
    return rows(through(analyzer(detector, clip, **options), clip))


def plain(table: dict[int, list[Face]]) -> dict[int, list[tuple[Box, float, FaceSource]]]:
    """All but the track numbers, which start anew with each analyzer."""
    return {
        frame: sorted((face.xyxy, face.confidence, face.source) for face in faces)
        for frame, faces in table.items()
    }


def popping(frames: range, box: Box, ground: Picture = STILL) -> Callable[[int], Picture]:
    """Something face-like is there in these frames only."""
    x0, y0, x1, y1 = (int(side) for side in box)

    def draw(i: int) -> Picture:
        if i not in frames:
            return ground
        picture = ground.copy()
        picture[y0:y1, x0:x1] = _FACE[: y1 - y0, : x1 - x0]
        return picture

    return draw


def centre(face: Face) -> tuple[float, float]:
    return (face.xyxy[0] + face.xyxy[2]) / 2, (face.xyxy[1] + face.xyxy[3]) / 2
