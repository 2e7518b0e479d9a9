"""Frames → faces: looks where it must, concludes for all frames between, hands them on when certain.

The result depends on pixels and pts only, never on how frames were batched, and no fact reaches
further than two seconds: cut a video anywhere, start two seconds early, and the boxes are the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from facefx.faces.detector import Detector
from facefx.faces.fill import Filler
from facefx.faces.looks import Looker, Reason
from facefx.faces.moment import Box, Moment, Row, Sighting
from facefx.faces.policy import Clock, FacePolicy, Grid
from facefx.faces.signature import LEVEL_S, Witness, is_cut
from facefx.faces.stats import AnalysisStats
from facefx.faces.track import Tracker
from facefx.geometry import as_boxes
from facefx.values import Detections, Faces, FaceSource, FrameBatch, StreamFormat

__all__ = ["AnalysisStats", "FaceAnalyzer", "FacePolicy"]


class FaceAnalyzer:
    """Takes batches of one stream in order and hands the same batches back, each with its faces.

    anchor_pts: pts of the video's first frame, where the look grid starts; a worker that begins
    elsewhere must name it, otherwise the first frame that comes is the anchor. frame_period: seconds
    from frame to frame, where the rate is constant and known: the grid is then fitted to it. The
    detector stays the caller's to close. Frames are kept by reference for the policy's look_ahead_s
    and one batch, no longer. counted: lo ≤ pts < hi of the frames that `stats` counts faces and cuts of.
    """

    def __init__(
        self,
        detector: Detector,
        policy: FacePolicy,
        format: StreamFormat,
        *,
        anchor_pts: int | None = None,
        frame_period: Fraction | None = None,
        counted: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self._counted = counted
        size = (format.width, format.height)
        self._detector = detector
        self._policy = policy
        self._format = format
        self._clock = Clock(format.time_base)
        self._grid = Grid(policy.look_interval_s, self._clock, frame_period)
        self._anchor = anchor_pts
        self._flash = self._clock.ticks(policy.flash_s)
        self._filler = Filler(policy, self._clock, size, self._moment)
        self._tracker = Tracker(policy, self._clock, size, self._filler)
        self._looker = Looker(self._look, self._glance, self._inspect, policy, format)
        self._pending: deque[tuple[FrameBatch, list[Moment]]] = deque()
        self.stats = AnalysisStats()
        self._begin_run()

    def push(self, batch: FrameBatch) -> list[tuple[FrameBatch, Faces]]:
        """Take the next frames; return the batches whose faces have become certain, in order.

        Raises what the detector raises.
        """
        moments = [self._admit(batch, position) for position in range(len(batch))]
        self._pending.append((batch, moments))
        return self._emit()

    def flush(self) -> list[tuple[FrameBatch, Faces]]:
        """Nothing more comes: conclude, and return all that is left."""
        self._end_run()
        self._begin_run()
        return self._emit()

    def _begin_run(self) -> None:
        """Forget all that links to earlier frames."""
        self._witness = Witness(self._format, self._clock.ticks(LEVEL_S))
        self._moments: deque[Moment] = deque()
        self._settled: Moment | None = None
        self._marks: deque[Moment] = deque()
        self._scene = 0

    def _end_run(self) -> None:
        """Settle what is open; every frame that came is final then."""
        if not self._moments:
            return
        last = self._moments[-1]
        if not self._marks or self._marks[-1] is not last:
            self._marks.append(last)
        while self._marks:
            self._settle(self._marks.popleft())
        self._tracker.finish()
        for moment in self._moments:
            moment.final = True

    def _admit(self, batch: FrameBatch, position: int) -> Moment:
        """Sign a frame, put it on the grid, and settle the interval that it completes."""
        pts = int(batch.pts[position])
        if self._moments and pts <= self._moments[-1].pts:
            # Time went backwards: the stream starts anew, and nothing may link across that.
            self._end_run()
            self._begin_run()
        if self._anchor is None:
            self._anchor = pts
        signature, change = self._witness.see(batch.view(position)[0], pts)
        cell = self._grid.cell(pts - self._anchor)
        previous = self._moments[-1] if self._moments else None
        at = previous.at + 1 if previous else 0
        moment = Moment(at, pts, batch, position, signature, change, cell)
        self._moments.append(moment)
        if previous is None or cell != previous.cell:
            self._marks.append(moment)
        while self._marks and pts - self._marks[0].pts >= self._flash:
            self._settle(self._marks.popleft())
        return moment

    def _settle(self, end: Moment) -> None:
        """Look at one interval of the grid, up to `end`, and tell the tracker."""
        start = end if self._settled is None else self._settled
        first = self._moments[0].at
        stretch = [self._moments[at - first] for at in range(start.at, end.at + 1)]
        for moment in stretch if start is end else stretch[1:]:
            if moment.change.cut:
                counts = self._counts(moment)
                if self._is_flash(moment):
                    self.stats.flashes += counts
                else:
                    self.stats.cuts += counts
                    self._scene += 1
            moment.scene = self._scene
        self._settled = end
        self._tracker.add(self._looker.settle(stretch))
        self.stats.longest_gap_s = self._filler.longest_gap_s

    def _is_flash(self, moment: Moment) -> bool:
        """True at either edge of a flash: shortly before or after, the same picture is there again."""
        for near in self._moments:
            if near is moment or not near.change.cut or abs(near.pts - moment.pts) > self._flash:
                continue
            first, second = (near, moment) if near.at < moment.at else (moment, near)
            before = self._moment(first.at - 1)
            if before is not None and not is_cut(before.signature, second.signature):
                return True
        return False

    def _moment(self, at: int) -> Moment | None:
        first = self._moments[0].at
        inside = 0 <= at - first < len(self._moments)
        return self._moments[at - first] if inside else None

    def _look(self, moment: Moment, reason: Reason) -> None:
        """Ask the detector about one frame.

        One at a time: a net may round differently in company, and the company depends on batching.
        """
        assert moment.batch is not None, "frames are kept until their faces are final"
        moment.whole = True
        self._note(moment, reason, self._detector.detect(moment.batch, [moment.position]))

    def _glance(self, moment: Moment, reason: Reason, expected: Sequence[Box], whole: bool) -> None:
        """Ask the detector about a frame between two looks, which tell where faces are to be expected."""
        assert moment.batch is not None, "frames are kept until their faces are final"
        seen = self._detector.glance(moment.batch, moment.position, as_boxes(expected), whole=whole)
        self.stats.glances += 1
        self._note(moment, reason, seen)

    def _inspect(self, moment: Moment, reason: Reason, regions: Sequence[Box]) -> None:
        """Ask the detector what came and went: as good as a whole look, everything else being known."""
        assert moment.batch is not None, "frames are kept until their faces are final"
        moment.whole = True
        self._note(moment, reason, self._detector.inspect(moment.batch, moment.position, as_boxes(regions)))

    def _note(self, moment: Moment, reason: Reason, seen: Detections) -> None:
        self.stats.looks[reason] += 1
        moment.sightings = [
            Sighting(moment, (box[0], box[1], box[2], box[3]), confidence, confidence >= self._policy.high)
            for box, confidence in zip(seen.xyxy.tolist(), seen.confidence.tolist(), strict=True)
            if confidence >= self._policy.low
        ]

    def _emit(self) -> list[tuple[FrameBatch, Faces]]:
        """The pending batches of which every frame is final."""
        ready: list[tuple[FrameBatch, Faces]] = []
        while self._pending and all(self._is_final(m) for m in self._pending[0][1]):
            batch, moments = self._pending.popleft()
            ready.append((batch, self._faces(moments)))
            for moment in moments:
                moment.batch = None
            while self._moments and self._moments[0].batch is None and self._moments[0] is not self._settled:
                self._moments.popleft()
        return ready

    def _is_final(self, moment: Moment) -> bool:
        until = self._tracker.certain_until
        return moment.final or (until is not None and moment.pts <= until)

    def _faces(self, moments: Sequence[Moment]) -> Faces:
        """Number the tracks in order of appearance and lay the rows out as arrays."""
        table: list[tuple[int, int, int, Row]] = []
        for position, moment in enumerate(moments):
            for row in sorted(moment.rows, key=lambda row: row.xyxy):
                if row.track.number is None:
                    row.track.number = self.stats.tracks
                    self.stats.tracks += 1
                table.append((position, row.track.number, moment.pts, row))
            if self._counts(moment):
                self._count(moment.rows)
            moment.rows = []
        table.sort(key=lambda entry: entry[:2])
        n = len(table)
        return Faces(
            frame=np.array([entry[0] for entry in table], np.int64),
            pts=np.array([entry[2] for entry in table], np.int64),
            track_id=np.array([entry[1] for entry in table], np.int64),
            xyxy=np.array([entry[3].xyxy for entry in table], np.float32).reshape(n, 4),
            confidence=np.array([entry[3].confidence for entry in table], np.float32),
            source=np.array([entry[3].source for entry in table], np.uint8),
            landmarks=np.zeros((n, 0, 3), np.float32),
        )

    def _counts(self, moment: Moment) -> bool:
        lo, hi = self._counted
        return (lo is None or moment.pts >= lo) and (hi is None or moment.pts < hi)

    def _count(self, rows: Sequence[Row]) -> None:
        stats = self.stats
        stats.frames += 1
        if not rows:
            return
        sources = {row.source for row in rows}
        stats.faces.update(row.source for row in rows)
        stats.face_frames += 1
        stats.filled_frames += FaceSource.FILLED in sources
        stats.held_frames += FaceSource.HELD in sources
        stats.unsure_frames += min(row.confidence for row in rows) < self._policy.high
