"""What a table of faces holds, in numbers, and what of it a person should look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from heapq import heappush, heappushpop
from typing import Any, Literal

import numpy as np

from facefx.values import Faces, FaceSource

__all__ = ["FacesCount", "FacesCounter", "Passage", "summed"]

# A face that was covered unseen for longer than this may have been elsewhere.
LONG_FILL_S = 0.5
# Unsure moments of one face no further apart than this are one passage.
_SAME_PASSAGE_S = 1.0
_MOST_PASSAGES = 100


@dataclass(frozen=True, slots=True)
class Passage:
    """What a person should look at, in seconds of a player's clock.

    value: the lowest confidence of a "low_confidence", the seconds out of sight of a "long_fill".
    """

    kind: Literal["low_confidence", "long_fill"]
    from_s: float
    to_s: float
    track: int
    value: float


@dataclass(frozen=True, slots=True)
class FacesCount:
    """Counts over a whole table. filled_gaps: times that a face was out of sight and covered all the same.

    Frames are counted once, however many faces they show: held before or after all sight, filled across a
    gap, unsure where a box has low confidence.
    """

    tracks: int = 0
    face_frames: int = 0
    filled_gaps: int = 0
    longest_gap_s: float = 0.0
    held_frames: int = 0
    filled_frames: int = 0
    unsure_frames: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(slots=True)
class _Track:
    """Where one face is in its story; times in pts."""

    last: int
    gap_from: int | None = None
    unsure_from: int | None = None
    unsure_to: int = 0
    lowest: float = 1.0


class FacesCounter:
    """Counts rows as they come, whole frames at a time, tracks numbered throughout.

    sure: confidence below which a box is unsure. start: seconds of the file's clock at which a player's
    begins. count, review (the worst passages, worst first) and review_more (how many it leaves out) are
    there once `finish` was called.
    """

    def __init__(self, sure: float, time_base: Fraction, start: Fraction) -> None:
        self._sure, self._base, self._start = sure, float(time_base), float(start)
        self._tracks: dict[int, _Track] = {}
        self._seen: set[int] = set()
        self._frames = dict.fromkeys(("face", "held", "filled", "unsure"), 0)
        self.sources = dict.fromkeys(FaceSource, 0)
        self._gaps, self._longest_gap_s = 0, 0.0
        self._worst: list[tuple[float, int, Passage]] = []
        self._passages = 0
        self.count = FacesCount()
        self.review: tuple[Passage, ...] = ()
        self.review_more = 0

    def add(self, rows: Faces) -> None:
        """Count rows, sorted by frame; no frame of an earlier call comes again."""
        if not len(rows):
            return
        flags = {
            "face": np.ones(len(rows), bool),
            "held": rows.source == FaceSource.HELD,
            "filled": rows.source == FaceSource.FILLED,
            "unsure": rows.confidence < self._sure,
        }
        for name, chosen in flags.items():
            self._frames[name] += len(np.unique(rows.frame[chosen]))
        for source in FaceSource:
            self.sources[source] += int((rows.source == source).sum())
        for row in zip(
            rows.track_id.tolist(),
            rows.pts.tolist(),
            rows.confidence.tolist(),
            flags["filled"].tolist(),
            strict=True,
        ):
            self._follow(*row)
        self._forget(int(rows.pts[-1]))

    def finish(self) -> None:
        """Nothing more comes."""
        for number, track in self._tracks.items():
            self._end_unsure(number, track)
        self.review = tuple(
            passage for _, _, passage in sorted(self._worst, key=lambda one: (-one[0], -one[1]))
        )
        self.review_more = self._passages - len(self.review)
        self.count = FacesCount(
            tracks=len(self._seen),
            face_frames=self._frames["face"],
            filled_gaps=self._gaps,
            longest_gap_s=round(self._longest_gap_s, 3),
            held_frames=self._frames["held"],
            filled_frames=self._frames["filled"],
            unsure_frames=self._frames["unsure"],
        )

    def _follow(self, number: int, pts: int, confidence: float, filled: bool) -> None:
        """Take a track's next row."""
        self._seen.add(number)
        track = self._tracks.setdefault(number, _Track(pts))
        if filled and track.gap_from is None:
            track.gap_from = track.last
        elif not filled and track.gap_from is not None:
            self._end_gap(number, track, pts)
        if confidence < self._sure:
            if track.unsure_from is not None and self._seconds(pts - track.unsure_to) > _SAME_PASSAGE_S:
                self._end_unsure(number, track)
            track.unsure_from = pts if track.unsure_from is None else track.unsure_from
            track.unsure_to, track.lowest = pts, min(track.lowest, confidence)
        track.last = pts

    def _end_gap(self, number: int, track: _Track, pts: int) -> None:
        assert track.gap_from is not None
        gap_s = self._seconds(pts - track.gap_from)
        self._gaps += 1
        self._longest_gap_s = max(self._longest_gap_s, gap_s)
        if gap_s >= LONG_FILL_S:
            # As bad as a confidence of nothing from a second on.
            self._note(min(gap_s, 1.0), "long_fill", track.gap_from, pts, number, gap_s)
        track.gap_from = None

    def _end_unsure(self, number: int, track: _Track) -> None:
        if track.unsure_from is not None:
            doubt = 1 - track.lowest
            self._note(doubt, "low_confidence", track.unsure_from, track.unsure_to, number, track.lowest)
        track.unsure_from, track.lowest = None, 1.0

    def _note(self, badness: float, kind: Any, start: int, end: int, track: int, value: float) -> None:
        self._passages += 1
        passage = Passage(kind, self._clock(start), self._clock(end), track, round(value, 3))
        entry = (badness, -self._passages, passage)
        if len(self._worst) < _MOST_PASSAGES:
            heappush(self._worst, entry)
        else:
            heappushpop(self._worst, entry)

    def _forget(self, pts: int) -> None:
        """Let go of tracks that have ended: memory does not grow with the video."""
        ended = [
            number
            for number, track in self._tracks.items()
            if self._seconds(pts - track.last) > _SAME_PASSAGE_S
        ]
        for number in ended:
            self._end_unsure(number, self._tracks.pop(number))

    def _seconds(self, ticks: int) -> float:
        return ticks * self._base

    def _clock(self, pts: int) -> float:
        return round(pts * self._base - self._start, 3)


def summed(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accounts of the same shape as one, key by key: numbers added, of what is no number the first one kept.

    >>> summed([{"a": 1, "b": {"x": 2}, "why": "dark"}, {"a": 3, "b": {"y": 1}, "why": "small"}])
    {'a': 4, 'b': {'x': 2, 'y': 1}, 'why': 'dark'}
    """
    total: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if isinstance(value, Mapping):
                total[key] = summed([total.get(key, {}), value])
            elif isinstance(value, int | float) and not isinstance(value, bool):
                total[key] = total.get(key, 0) + value
            else:
                total.setdefault(key, value)
    return total
