"""Faces of a live stream from look to look: which sight is whose, what starts one, how one is held."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from facefx.faces.live_policy import LivePolicy
from facefx.faces.moment import Box
from facefx.faces.motion import Speed, cost, grown, mean_size, moved, shifted, side_motion
from facefx.faces.policy import Clock
from facefx.values import FaceSource

__all__ = ["Known", "LiveRow", "LiveTrack", "LiveTracks", "Seen"]

# In face sizes: as far as a face may be from where it is expected at the next look, and how much further
# for each second out of sight; an unsure sight must be where the face was.
_DISTANCE, _DISTANCE_PER_S, _UNSURE_DISTANCE = 0.9, 1.0, 0.5
_RATIO, _HELD_RATIO = 1.8, 2.0
# Somebody who runs past the camera, in face sizes per second: the only one left over is taken for them.
_RUN_PER_S, _RUN_RATIO, _FARTHEST_RUN = 10.0, 1.3, 2.5
# A speed is taken over at least this time; boxes of adjacent frames jitter more than they move.
_SPEED_BASE_S = 0.12
# What is out of sight slows down: after this time it has gone as far as it will.
_SLOWDOWN_S = 0.25
# A held box reaches no further than so many of its sizes from where the face was seen.
_FARTHEST = 1.0


class Seen(NamedTuple):
    """One sight of a face."""

    pts: int
    xyxy: Box
    confidence: float


class LiveRow(NamedTuple):
    """One box that a frame gets."""

    number: int
    xyxy: Box
    confidence: float
    source: FaceSource


class Known(NamedTuple):
    """A face that is remembered by its place. pts: when it was seen last; None: at the next frame."""

    number: int
    xyxy: Box
    pts: int | None


@dataclass(slots=True, eq=False)
class LiveTrack:
    """One face that is there or held. since: pts of its first sight. sure: it was seen for sure once."""

    number: int
    since: int
    sights: deque[Seen] = field(default_factory=deque)
    speed: Speed = (0.0, 0.0)
    sure: bool = False

    @property
    def last(self) -> Seen:
        """Its newest sight."""
        return self.sights[-1]


class LiveTracks:
    """The faces of one scene; the same sights at the same pts give the same boxes.

    number(): the next number that no face has had.
    """

    def __init__(
        self, policy: LivePolicy, clock: Clock, size: tuple[int, int], number: Callable[[], int]
    ) -> None:
        self._policy, self._clock, self._size, self._number = policy, clock, size, number
        self.alive: list[LiveTrack] = []
        self.known: list[Known] = []
        self._doubtful: list[Seen] = []

    def adopt(self, policy: LivePolicy) -> None:
        """Go on by another policy."""
        self._policy = policy

    def see(self, pts: int, sights: Sequence[Seen]) -> None:
        """Take what a look saw: continue faces, and start those that are sure enough."""
        self._expire(pts)
        left = self._continue(pts, [s for s in sights if s.confidence >= self._policy.low])
        began = [s for s in left if self._starts(s)]
        self._doubtful += [s for s in left if s not in began and s.confidence >= self._policy.again]
        for sight in sorted(began, key=lambda s: s.xyxy):
            self.alive.append(self._begin(sight))

    def rows(self, pts: int) -> list[LiveRow]:
        """The boxes of a frame, by track number."""
        self._expire(pts)
        return sorted(self._row(track, pts) for track in self.alive)

    def hold(self, pts: int, until: int) -> list[LiveRow]:
        """The boxes of faces that nobody looks for any more; none after a time."""
        self._expire(pts)
        return [] if pts > until else sorted(self._row(track, pts) for track in self.alive)

    def _row(self, track: LiveTrack, pts: int) -> LiveRow:
        last = track.last
        if last.pts == pts:
            return LiveRow(track.number, last.xyxy, last.confidence, FaceSource.DETECTED)
        passed_s = self._clock.seconds(pts - last.pts)
        if passed_s <= self._policy.look_interval_s:
            box = shifted(last.xyxy, track.speed, passed_s)
            return LiveRow(track.number, box, last.confidence, FaceSource.TRACKED)
        return LiveRow(track.number, self._held(track, passed_s), last.confidence, FaceSource.HELD)

    def _held(self, track: LiveTrack, passed_s: float) -> Box:
        """Where a face may be that is out of sight: where it was, where it went, and a little around."""
        box = track.last.xyxy
        there = self._expected(track, passed_s)
        both = min(box[0], there[0]), min(box[1], there[1]), max(box[2], there[2]), max(box[3], there[3])
        return grown(both, 1 + self._policy.growth_per_s * passed_s)

    def _expected(self, track: LiveTrack, passed_s: float) -> Box:
        """Where it goes, ever slower, and not further than its own size."""
        run_s = _SLOWDOWN_S * (1 - math.exp(-passed_s / _SLOWDOWN_S))
        size = mean_size(track.last.xyxy)
        far = math.hypot(*track.speed) * run_s / size
        run_s *= min(1.0, _FARTHEST / far) if far else 1.0
        return shifted(track.last.xyxy, track.speed, run_s)

    def _expire(self, pts: int) -> None:
        """End what was held long enough, or lies outside the picture; forget what is long gone."""
        ended = [track for track in self.alive if self._is_over(track, pts)]
        if ended:
            self.alive = [track for track in self.alive if track not in ended]
            self.known += [Known(track.number, track.last.xyxy, track.last.pts) for track in ended]
        memory, again = self._clock.ticks(self._policy.memory_s), self._clock.ticks(self._policy.again_s)
        self.known = [
            Known(k.number, k.xyxy, pts if k.pts is None else k.pts)
            for k in self.known
            if k.pts is None or pts - k.pts <= memory
        ]
        self._doubtful = [s for s in self._doubtful if pts - s.pts <= again]

    def _is_over(self, track: LiveTrack, pts: int) -> bool:
        passed = pts - track.last.pts
        policy, limit_s = self._policy, self._policy.hold_s
        if not track.sure:
            limit_s = min(limit_s, policy.brief_s + self._clock.seconds(track.last.pts - track.since))
        if passed > self._clock.ticks(limit_s + policy.look_interval_s):
            return True
        x0, y0, x1, y1 = self._expected(track, self._clock.seconds(passed))
        return passed > 0 and (x1 <= 0 or y1 <= 0 or x0 >= self._size[0] or y0 >= self._size[1])

    def _continue(self, pts: int, sights: Sequence[Seen]) -> list[Seen]:
        """Match sights to faces, sure ones first, cheapest first; return those that are left."""
        pairs = []
        for i, track in enumerate(self.alive):
            for j, sight in enumerate(sights):
                badness = self._badness(track, sight)
                if badness is not None:
                    pairs.append((sight.confidence < self._policy.high, badness, i, j))
        tracks, left = set(range(len(self.alive))), set(range(len(sights)))
        for _, _, i, j in sorted(pairs):
            if i in tracks and j in left:
                tracks.remove(i)
                left.remove(j)
                self._take(self.alive[i], sights[j])
        for i, runner in self._runners(pts, tracks, [sights[j] for j in sorted(left)]):
            self._take(self.alive[i], runner)
            left = {j for j in left if sights[j] is not runner}
        return [sights[j] for j in sorted(left)]

    def _badness(self, track: LiveTrack, sight: Seen) -> float | None:
        """How badly a sight fits a face, where it was or where it goes; None beyond the limits."""
        gap_s = self._clock.seconds(sight.pts - track.last.pts)
        limit, ratio = _DISTANCE + _DISTANCE_PER_S * gap_s, _RATIO if gap_s < 0.1 else _HELD_RATIO
        if sight.confidence < self._policy.high:
            limit = _UNSURE_DISTANCE
        places = (track.last.xyxy, self._expected(track, gap_s))
        costs = [c for place in places if (c := cost(place, sight.xyxy, limit, ratio)) is not None]
        return min(costs, default=None)

    def _runners(self, pts: int, tracks: Iterable[int], sights: Sequence[Seen]) -> list[tuple[int, Seen]]:
        """The sure pairs within a run's distance that have no rival on either side."""
        near = []
        for i in sorted(tracks):
            reach = min(_FARTHEST_RUN, _RUN_PER_S * self._clock.seconds(pts - self.alive[i].last.pts))
            for sight in sights:
                distance, ratio = moved(self.alive[i].last.xyxy, sight.xyxy)
                if sight.confidence >= self._policy.sure and distance <= reach and ratio <= _RUN_RATIO:
                    near.append((i, sight))
        return [
            (i, s) for i, s in near if sum(a == i for a, _ in near) == 1 and sum(b is s for _, b in near) == 1
        ]

    def _take(self, track: LiveTrack, sight: Seen) -> None:
        """Continue a face; its speed is taken from as many sights as the base needs."""
        base = self._clock.ticks(_SPEED_BASE_S)
        while len(track.sights) > 1 and sight.pts - track.sights[1].pts >= base:
            track.sights.popleft()
        first = track.sights[0]
        passed_s = self._clock.seconds(sight.pts - first.pts)
        if passed_s > 0:
            a, b = first.xyxy, sight.xyxy
            across = side_motion(a[0], a[2], b[0], b[2], self._size[0])
            down = side_motion(a[1], a[3], b[1], b[3], self._size[1])
            track.speed = across / passed_s, down / passed_s
        track.sights.append(sight)
        track.sure = track.sure or sight.confidence >= self._policy.sure

    def _starts(self, sight: Seen) -> bool:
        """True for a sure sight, and for an unsure one where another was a moment ago."""
        if sight.confidence >= self._policy.high:
            return True
        return sight.confidence >= self._policy.again and any(
            other.pts < sight.pts and cost(other.xyxy, sight.xyxy, _UNSURE_DISTANCE, _RATIO) is not None
            for other in self._doubtful
        )

    def _begin(self, sight: Seen) -> LiveTrack:
        """A face comes: one that is remembered near there, else a new one."""
        known = min(
            ((c, k) for k in self.known if (c := self._return_cost(k, sight)) is not None),
            key=lambda pair: pair[0],
            default=None,
        )
        if known is not None:
            self.known.remove(known[1])
        number = self._number() if known is None else known[1].number
        sure = sight.confidence >= self._policy.sure
        return LiveTrack(number, sight.pts, deque([sight]), sure=sure)

    def _return_cost(self, known: Known, sight: Seen) -> float | None:
        gap_s = 0.0 if known.pts is None else self._clock.seconds(sight.pts - known.pts)
        return cost(known.xyxy, sight.xyxy, _DISTANCE + _DISTANCE_PER_S * gap_s, _HELD_RATIO)
