"""A detector that answers from a table, and films whose pixels really change where it sees a face."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import cycle
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.faces.analyze import AnalysisStats, FaceAnalyzer, FacePolicy
from facefx.faces.detector import NetUse
from facefx.geometry import Boxes, as_boxes, iou
from facefx.values import Detections, Face, Faces, FaceSource, FrameBatch, PixelFormat, StreamFormat

Box = tuple[float, float, float, float]
Seen = tuple[float, float, float, float, float]
Table = Mapping[int, Sequence[Seen]]
Luma = NDArray[np.uint8]

SIZE = (160, 96)
SURE = 0.9
FPS30 = Fraction(1, 30)


class Scripted:
    """Sees what the table holds for a frame; remembers which frames it was asked about, and how.

    A glance sees what overlaps an expected box and, when whole, what is at least coarse_px wide.
    """

    name = "scripted"
    nets: tuple[NetUse, ...] = ()

    def __init__(self, table: Table, coarse_px: float = 16.0) -> None:
        self._table = table
        self._coarse_px = coarse_px
        self.looks: list[int] = []
        self.glances: list[int] = []
        self.closed = 0

    @property
    def asked(self) -> list[int]:
        """All frames that were looked at in any way, in order."""
        return sorted({*self.looks, *self.glances})

    def detect(self, batch: FrameBatch, frames: Sequence[int]) -> Detections:
        parts = [(frame, self._rows(batch, frame)) for frame in frames]
        self.looks += [int(batch.index[frame]) for frame in frames]
        return _detections(parts)

    def glance(self, batch: FrameBatch, frame: int, expected: Boxes, *, whole: bool) -> Detections:
        self.glances.append(int(batch.index[frame]))
        rows = self._rows(batch, frame)
        overlap = iou(as_boxes([row[:4] for row in rows]), expected)
        near = [bool((overlap[i] > 0).any()) for i in range(len(rows))]
        wide = [whole and row[2] - row[0] >= self._coarse_px for row in rows]
        kept = [row for row, a, b in zip(rows, near, wide, strict=True) if a or b]
        return _detections([(frame, kept)])

    def inspect(self, batch: FrameBatch, frame: int, regions: Boxes) -> Detections:
        assert len(regions), "something came and went somewhere"
        return self.detect(batch, [frame])

    def close(self) -> None:
        self.closed += 1

    def _rows(self, batch: FrameBatch, frame: int) -> Sequence[Seen]:
        return self._table.get(int(batch.index[frame]), ())


def _detections(parts: Sequence[tuple[int, Sequence[Seen]]]) -> Detections:
    rows = [(frame, *row) for frame, seen in parts for row in seen]
    return Detections(
        np.array([row[0] for row in rows], np.int64),
        as_boxes([row[1:5] for row in rows]),
        np.array([row[5] for row in rows], np.float32),
        np.zeros((len(rows), 0, 2), np.float32),
    )


def square(x: float, y: float, side: float = 30.0) -> Box:
    """A box by its centre."""
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def seen(box: Box, frames: Iterable[int], confidence: float = SURE) -> dict[int, list[Seen]]:
    """One face that does not move."""
    return {frame: [(*box, confidence)] for frame in frames}


def merged(*tables: Table) -> dict[int, list[Seen]]:
    """All that several tables hold."""
    return {f: [row for t in tables for row in t.get(f, ())] for f in sorted({f for t in tables for f in t})}


def texture(seed: int, low: int = 40, high: int = 130, size: tuple[int, int] = SIZE) -> Luma:
    """Soft noise: something to recognise a place by, as in a real picture."""
    noise = np.random.default_rng(seed).random((size[1], size[0])).astype(np.float32)
    soft = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0), 2.0)[size[1] : 2 * size[1], size[0] : 2 * size[0]]
    return np.asarray(cv2.normalize(soft, None, low, high, cv2.NORM_MINMAX), np.uint8)


@dataclass
class Film:
    """Frames to come: time, background by scene, and a bright patch wherever `painted` has a box.

    pts in time_base. cuts: frames at which the background is another one. drift_px: how far the
    background moves in a frame.
    """

    pts: Sequence[int]
    time_base: Fraction = Fraction(1, 90000)
    painted: Table = field(default_factory=dict)
    cuts: Sequence[int] = ()
    drift_px: float = 0.0
    pixels: str = "gray"
    seed: int = 1

    @staticmethod
    def steady(
        count: int, period: Fraction = FPS30, base: Fraction = Fraction(1, 90000), **more: Any
    ) -> Film:
        """A constant rate, pts rounded to the time base as a muxer does, not starting at zero."""
        return Film([1000 + round(i * period / base) for i in range(count)], base, **more)

    @property
    def format(self) -> StreamFormat:
        return StreamFormat(PixelFormat.of(self.pixels), *SIZE, self.time_base)

    def frame(self, i: int) -> tuple[Luma, ...]:
        """The planes of frame i, made anew."""
        scene = sum(cut <= i for cut in self.cuts)
        ground = _background(self.seed + scene)
        luma = np.roll(ground, round(i * self.drift_px), axis=1)
        for x0, y0, x1, y1, _ in self.painted.get(i, ()):
            _paste(luma, (round(x0), round(y0), round(x1), round(y1)))
        luma.flags.writeable = False
        shapes = self.format.pixels.plane_shapes(*SIZE)
        return (luma, *(np.full(shape, 128, np.uint8) for shape in shapes[1:]))

    def batches(
        self, sizes: Sequence[int] = (4,), start: int = 0, stop: int | None = None
    ) -> list[FrameBatch]:
        """The frames start..stop in batches of these sizes, over and over."""
        stop = len(self.pts) if stop is None else stop
        out: list[FrameBatch] = []
        for size in cycle(sizes):
            if start >= stop:
                return out
            frames = range(start, min(start + size, stop))
            out.append(
                FrameBatch(
                    self.format,
                    tuple(self.frame(i) for i in frames),
                    np.array([self.pts[i] for i in frames], np.int64),
                    np.array(frames, np.int64),
                )
            )
            start += size
        raise AssertionError("no sizes given")


_GROUNDS: dict[int, Luma] = {}


def _background(seed: int) -> Luma:
    if seed not in _GROUNDS:
        # Every other scene is brighter, as another room would be.
        low, high = ((40, 110), (130, 220))[seed % 2]
        _GROUNDS[seed] = texture(seed, low, high)
    return _GROUNDS[seed]


_PATCH = texture(7, 150, 255, (64, 64))


def _paste(luma: Luma, box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box
    face = cv2.resize(_PATCH, (max(1, x1 - x0), max(1, y1 - y0)))
    # Light on dark and dark on light: a face that looks like its wall is nobody's to see.
    if luma.mean() > 128:
        face = 255 - face
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(luma.shape[1], x1), min(luma.shape[0], y1)
    if left < right and top < bottom:
        luma[top:bottom, left:right] = face[top - y0 : bottom - y0, left - x0 : right - x0]


@dataclass
class Outcome:
    """What an analysis handed out, by frame."""

    faces: dict[int, list[Face]]
    order: list[int]
    tables: list[tuple[FrameBatch, Faces]]
    detector: Scripted
    stats: AnalysisStats

    def covered(self, i: int, box: Box) -> bool:
        """True where one box, grown as an effect grows it, holds the core of a true one."""
        core = _inside(_grown(box, 0.6))
        return any(_share(core, _grown(face.xyxy, 1.3)) > 0.999 for face in self.faces[i])

    def uncovered(self, truth: Table) -> list[int]:
        """The frames in which a true face is not covered."""
        return [i for i, rows in truth.items() if any(not self.covered(i, row[:4]) for row in rows)]

    def frames(self, *sources: FaceSource) -> list[int]:
        """The frames that have a box from one of these sources; without any named, a box at all."""
        return [
            i for i, faces in self.faces.items() if any(not sources or f.source in sources for f in faces)
        ]

    def ids(self) -> set[int]:
        return {face.track_id for faces in self.faces.values() for face in faces}

    def facts(self, *, ids: bool = True) -> dict[int, list[tuple[object, ...]]]:
        """Everything that was concluded, to compare bit by bit."""
        return {
            i: sorted(
                (f.pts, f.xyxy, f.confidence, int(f.source), *((f.track_id,) if ids else ())) for f in faces
            )
            for i, faces in self.faces.items()
        }


def _inside(box: Box) -> Box:
    return max(0.0, box[0]), max(0.0, box[1]), min(SIZE[0], box[2]), min(SIZE[1], box[3])


def _grown(box: Box, scale: float) -> Box:
    half_x, half_y = (box[2] - box[0]) * scale / 2, (box[3] - box[1]) * scale / 2
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def _share(truth: Box, box: Box) -> float:
    width = min(truth[2], box[2]) - max(truth[0], box[0])
    height = min(truth[3], box[3]) - max(truth[1], box[1])
    whole = (truth[2] - truth[0]) * (truth[3] - truth[1])
    return max(0.0, width) * max(0.0, height) / whole if whole > 0 else 1.0


def analyze(
    film: Film,
    table: Table,
    *,
    sizes: Sequence[int] = (4,),
    policy: FacePolicy | None = None,
    frame_period: Fraction | None = FPS30,
    start: int = 0,
    stop: int | None = None,
    coarse_px: float = 16.0,
) -> Outcome:
    """Run frames start..stop of a film through an analyzer, anchored at the film's first frame."""
    detector = Scripted(table, coarse_px)
    analyzer = FaceAnalyzer(
        detector,
        policy or FacePolicy(calm_step=0),  # such films stand still, and most tests are of the grid
        film.format,
        anchor_pts=film.pts[0],
        frame_period=frame_period,
    )
    tables: list[tuple[FrameBatch, Faces]] = []
    for batch in film.batches(sizes, start, stop):
        tables += analyzer.push(batch)
    tables += analyzer.flush()
    faces = {int(b.index[i]): f.of_frame(i) for b, f in tables for i in range(len(b))}
    order = [int(i) for b, _ in tables for i in b.index]
    return Outcome(faces, order, tables, detector, analyzer.stats)


def moving(path: Mapping[int, tuple[float, float]], side: float = 30.0) -> dict[int, list[Seen]]:
    """One face along a path of centres."""
    return {i: [(*square(x, y, side), SURE)] for i, (x, y) in path.items()}


def circle(frames: Iterable[int], radius: float, period: float) -> dict[int, tuple[float, float]]:
    """Round and round about the middle of the picture; period in frames."""
    return {
        i: (
            SIZE[0] / 2 + radius * math.cos(2 * math.pi * i / period),
            SIZE[1] / 2 + radius * math.sin(2 * math.pi * i / period),
        )
        for i in frames
    }
