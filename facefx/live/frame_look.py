"""Where the faces of a live frame are: every frame is looked at, a face that is not seen is held a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from facefx.faces.analysis import Analysis
from facefx.faces.detector import Detector
from facefx.faces.motion import cost, grown
from facefx.faces.policy import Clock, FacePolicy
from facefx.pipeline.nets import Nets
from facefx.values import Face, Faces, FaceSource, FrameBatch, StreamFormat

__all__ = ["EveryFrame", "Finder", "make_finder"]

Box = tuple[float, float, float, float]

# In face sizes and as a ratio of sizes, from one frame to the next: as between two looks of an archive.
_DISTANCE, _RATIO = 0.9, 1.8
# A face that is held may have moved: so much larger is its box when it is let go.
_GROWTH = 0.5


class Finder(Protocol):
    """Says at once where the faces of each frame are; remembers tracks from frame to frame."""

    def look(self, batch: FrameBatch) -> Faces:
        """The faces of a batch of one frame; frames come in order.

        Raises what the detector raises; the tracks are as they were then.
        """


def make_finder(analysis: Analysis, format: StreamFormat, nets: Nets) -> Finder:
    """The one place that says how a live frame is looked at."""
    return EveryFrame(nets.detector(analysis.detector), analysis.policy, format)


@dataclass(slots=True)
class _Track:
    number: int
    xyxy: Box
    confidence: float
    seen_pts: int


class EveryFrame:
    """Asks the detector about every frame; links by place and size, and holds what is lost, ever larger.

    A detection above the policy's `high` starts a face, one above `low` continues it; exit_pad_s is how long
    a face is held. The detector stays the caller's.
    """

    def __init__(self, detector: Detector, policy: FacePolicy, format: StreamFormat) -> None:
        self._detector, self._policy = detector, policy
        self._hold = Clock(format.time_base).ticks(policy.exit_pad_s)
        self._tracks: list[_Track] = []
        self._next = 0

    def look(self, batch: FrameBatch) -> Faces:
        """See Finder."""
        seen = self._detector.detect(batch, [0])
        pts = int(batch.pts[0])
        found: list[tuple[Box, float]] = [
            ((box[0], box[1], box[2], box[3]), confidence)
            for box, confidence in zip(seen.xyxy.tolist(), seen.confidence.tolist(), strict=True)
            if confidence >= self._policy.low
        ]
        left = self._link(found, pts)
        for i in sorted(left):
            box, confidence = found[i]
            if confidence >= self._policy.high:
                self._tracks.append(_Track(self._next, box, confidence, pts))
                self._next += 1
        self._tracks = [track for track in self._tracks if pts - track.seen_pts <= self._hold]
        return Faces.from_rows((0, self._row(track, pts)) for track in self._tracks)

    def _link(self, found: list[tuple[Box, float]], pts: int) -> set[int]:
        """Move tracks to what was found nearest, best pair first; return what no track took."""
        pairs = sorted(
            (badness, at, i)
            for at, track in enumerate(self._tracks)
            for i, (box, _) in enumerate(found)
            if (badness := cost(track.xyxy, box, _DISTANCE, _RATIO)) is not None
        )
        tracks, boxes = set(range(len(self._tracks))), set(range(len(found)))
        for _, at, i in pairs:
            if at in tracks and i in boxes:
                tracks.remove(at)
                boxes.remove(i)
                track = self._tracks[at]
                (track.xyxy, track.confidence), track.seen_pts = found[i], pts
        return boxes

    def _row(self, track: _Track, pts: int) -> Face:
        lost = pts - track.seen_pts
        box = grown(track.xyxy, 1 + _GROWTH * lost / self._hold) if lost else track.xyxy
        source = FaceSource.HELD if lost else FaceSource.DETECTED
        return Face(pts, track.number, box, track.confidence, source)
