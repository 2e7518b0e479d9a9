"""Frames → faces with no look-ahead: what is handed in comes back at once, with its faces.

The result depends on pixels and pts only, never on clocks, queues or how frames were batched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypedDict

import numpy as np

from facefx.errors import ConfigError
from facefx.faces.analyze import FaceAnalyzer
from facefx.faces.detector import Detector
from facefx.faces.live_policy import LivePolicy
from facefx.faces.live_track import Known, LiveRow, LiveTracks, Seen
from facefx.faces.looks import Reason
from facefx.faces.policy import Clock, FacePolicy, Grid
from facefx.faces.signature import LEVEL_S, Signature, Witness, is_cut
from facefx.faces.stats import AnalysisStats
from facefx.values import Faces, FaceSource, FrameBatch, StreamFormat

__all__ = ["Analyzer", "LiveAnalyzer", "make_analyzer"]

_VERSION = 1


class Analyzer(Protocol):
    """Who finds the faces of one stream, whatever the policy."""

    stats: AnalysisStats

    def push(self, batch: FrameBatch) -> list[tuple[FrameBatch, Faces]]:
        """Take the next frames; return the batches whose faces have become certain, in order."""

    def flush(self) -> list[tuple[FrameBatch, Faces]]:
        """Nothing more comes: return all that is left."""


class _More(TypedDict):
    anchor_pts: int | None
    frame_period: Fraction | None
    counted: tuple[int | None, int | None]


def make_analyzer(
    detector: Detector,
    policy: FacePolicy | LivePolicy,
    format: StreamFormat,
    *,
    anchor_pts: int | None = None,
    frame_period: Fraction | None = None,
    counted: tuple[int | None, int | None] = (None, None),
) -> Analyzer:
    """The analyzer that a policy asks for; see FaceAnalyzer and LiveAnalyzer."""
    more: _More = {"anchor_pts": anchor_pts, "frame_period": frame_period, "counted": counted}
    if isinstance(policy, LivePolicy):
        return LiveAnalyzer(detector, policy, format, **more)
    return FaceAnalyzer(detector, policy, format, **more)


@dataclass(slots=True)
class _Before:
    """The faces before a cut, and how the picture was: the cut may be a flash."""

    tracks: LiveTracks
    signature: Signature
    until: int


class LiveAnalyzer:
    """Takes batches of one stream in order and hands each back at once with its faces.

    Where the policy has a look_interval_s, it looks in the first frame of each interval from anchor_pts on
    (the first frame that comes, where none is given) and at cuts, and predicts between. `policy` may be
    set between two frames. The detector stays the caller's to close. counted: lo ≤ pts < hi of the frames
    that `stats` counts.
    """

    def __init__(
        self,
        detector: Detector,
        policy: LivePolicy,
        format: StreamFormat,
        *,
        anchor_pts: int | None = None,
        frame_period: Fraction | None = None,
        counted: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self._detector = detector
        self._format = format
        self._period = frame_period
        self._counted = counted
        self._size = (format.width, format.height)
        self._clock = Clock(format.time_base)
        self._anchor = anchor_pts
        self.stats = AnalysisStats()
        self._policy = policy
        self._cell: int | None = None
        self._begin_run()
        self.policy = policy

    @property
    def policy(self) -> LivePolicy:
        """How it looks; faces that are followed stay when it is changed."""
        return self._policy

    @policy.setter
    def policy(self, policy: LivePolicy) -> None:
        self._policy = policy
        interval = policy.look_interval_s
        # A cell is two intervals wide (see Grid), and here its first frame is the only one looked at.
        self._grid = Grid(interval / 2, self._clock, self._period) if interval else None
        self._cell = None
        self._tracks.adopt(policy)

    def push(self, batch: FrameBatch) -> list[tuple[FrameBatch, Faces]]:
        """Take the next frames; return them with their faces.

        Raises what the detector raises; the frame's faces are not known then, and the next may be pushed.
        """
        rows = [self._frame(batch, position) for position in range(len(batch))]
        return [(batch, _table(batch, rows))]

    def flush(self) -> list[tuple[FrameBatch, Faces]]:
        """Nothing more comes; nothing was kept back."""
        self._begin_run()
        return []

    def export(self) -> dict[str, Any]:
        """The faces that are followed or remembered, as plain values: see `restore`."""
        width, height = self._size
        places = [(t.number, t.last.xyxy) for t in self._tracks.alive]
        places += [(known.number, known.xyxy) for known in self._tracks.known]
        faces = [
            {
                "track_id": number,
                "xyxy": [round(side / of, 5) for side, of in zip(box, (width, height) * 2, strict=True)],
            }
            for number, box in places
        ]
        return {"version": _VERSION, "next": self.stats.tracks, "faces": faces}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the numbers of an analyzer that is gone: faces at their places get theirs back.

        Raises ConfigError for what is no such state.
        """
        try:
            if state["version"] != _VERSION:
                raise ValueError(f"version {state['version']}")
            width, height = self._size
            known = [
                Known(int(face["track_id"]), (x0 * width, y0 * height, x1 * width, y1 * height), None)
                for face in state["faces"]
                for x0, y0, x1, y1 in [tuple(map(float, face["xyxy"]))]
            ]
            following = int(state["next"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"tracks of a live stream cannot be read: expected what an analyzer of version {_VERSION} "
                f"exported, got {type(error).__name__}: {error}; start without them"
            ) from error
        self.stats.tracks = max(self.stats.tracks, following, *(k.number + 1 for k in known), 0)
        self._tracks.known = known

    def _begin_run(self) -> None:
        """Forget all that links to earlier frames."""
        self._witness = Witness(self._format, self._clock.ticks(LEVEL_S))
        self._tracks = self._new_tracks()
        self._before: _Before | None = None
        self._signature: Signature | None = None
        self._newest: int | None = None
        self._cell = None

    def _new_tracks(self) -> LiveTracks:
        return LiveTracks(self._policy, self._clock, self._size, self._number)

    def _number(self) -> int:
        self.stats.tracks += 1
        return self.stats.tracks - 1

    def _frame(self, batch: FrameBatch, position: int) -> list[LiveRow]:
        """The faces of one frame."""
        pts = int(batch.pts[position])
        if self._newest is not None and pts <= self._newest:
            known = self._tracks.known
            self._begin_run()
            self._tracks.known = [k for k in known if k.pts is None]
        self._newest = pts
        cut = self._witnessed(batch, position, pts)
        if self._is_due(pts) or cut:
            self._look(batch, position, pts, Reason.CUT if cut else Reason.GRID)
        rows = self._tracks.rows(pts)
        if self._before is not None:
            rows = sorted(rows + self._before.tracks.hold(pts, self._before.until))
        self._count(pts, rows)
        return rows

    def _witnessed(self, batch: FrameBatch, position: int, pts: int) -> bool:
        """See whether the scene changes here; faces before a cut are held in case it is a flash."""
        before = self._signature
        self._signature, change = self._witness.see(batch.view(position)[0], pts)
        if self._before is not None and pts > self._before.until:
            self._before = None
        if not change.cut or before is None:
            return False
        old = self._before
        returns = old is not None and not is_cut(old.signature, self._signature)
        gone = _Before(self._tracks, before, pts + self._clock.ticks(self._policy.flash_s))
        self._tracks = old.tracks if old is not None and returns else self._new_tracks()
        self._before = gone
        if self._counts(pts):
            self.stats.flashes += returns
            self.stats.cuts += 1 - 2 * returns
        return True

    def _is_due(self, pts: int) -> bool:
        """True in every frame, or in the first of each interval."""
        if self._anchor is None:
            self._anchor = pts
        if self._grid is None:
            return True
        cell = self._grid.cell(pts - self._anchor)
        due, self._cell = cell != self._cell, cell
        return due

    def _look(self, batch: FrameBatch, position: int, pts: int, reason: Reason) -> None:
        """Ask the detector about one frame: one at a time, for a net may round differently in company."""
        found = self._detector.detect(batch, [position])
        self.stats.looks[reason] += 1
        boxes, sure = found.xyxy.tolist(), found.confidence.tolist()
        self._tracks.see(
            pts, [Seen(pts, (b[0], b[1], b[2], b[3]), c) for b, c in zip(boxes, sure, strict=True)]
        )

    def _counts(self, pts: int) -> bool:
        lo, hi = self._counted
        return (lo is None or pts >= lo) and (hi is None or pts < hi)

    def _count(self, pts: int, rows: Sequence[LiveRow]) -> None:
        if not self._counts(pts):
            return
        stats = self.stats
        stats.frames += 1
        stats.faces.update(row.source for row in rows)
        stats.face_frames += bool(rows)
        stats.held_frames += any(row.source is FaceSource.HELD for row in rows)
        stats.unsure_frames += any(row.confidence < self._policy.sure for row in rows)


def _table(batch: FrameBatch, found: Sequence[Sequence[LiveRow]]) -> Faces:
    """Lay the rows of a batch's frames out as arrays; a track comes once a frame."""
    table = []
    for position, rows in enumerate(found):
        once = {row.number: row for row in reversed(rows)}
        table += [(position, once[number]) for number in sorted(once)]
    n = len(table)
    return Faces(
        frame=np.array([position for position, _ in table], np.int64),
        pts=np.array([batch.pts[position] for position, _ in table], np.int64),
        track_id=np.array([row.number for _, row in table], np.int64),
        xyxy=np.array([row.xyxy for _, row in table], np.float32).reshape(n, 4),
        confidence=np.array([row.confidence for _, row in table], np.float32),
        source=np.array([row.source for _, row in table], np.uint8),
        landmarks=np.zeros((n, 0, 3), np.float32),
    )
