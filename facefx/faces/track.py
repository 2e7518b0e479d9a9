"""Which sightings are the same face, which of them count, and which gaps are one face's absence.

Two thresholds as in ByteTrack: a sure detection starts a face, an unsure one only continues it.
Every rule looks at a bounded stretch of time, so a worker that starts two seconds early
concludes the same.

Source: Zhang et al. 2022, ByteTrack, arXiv 2110.06864 §3 (association of low-score detections).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from facefx.faces.moment import Moment, Sighting, Track
from facefx.faces.motion import Speed, backwards, cost, fit, forwards, shifted, velocity
from facefx.faces.policy import REACH_S, Clock, FacePolicy

__all__ = ["Outcomes", "Tracker", "pair_up"]

# A face moves less than this, in its own sizes, from look to look, or it is looked at in between.
_LINK_DISTANCE = 0.9
_LINK_RATIO = 1.8
# An unsure sighting must be where the face was, or clutter beside it keeps a face alive that went.
_UNSURE_DISTANCE = 0.5
# Somebody who runs past the camera: face sizes per second.
_RUN_PER_S = 10.0
_RUN_RATIO = 1.3
# A gap is longer, and prediction makes up for part of it.
_GAP_DISTANCE = 0.75
_GAP_DISTANCE_PER_S = 1.0
_GAP_RATIO = 2.0


def pair_up(
    before: Sequence[Sighting], after: Sequence[Sighting], passed_s: float
) -> list[tuple[Sighting, Sighting]]:
    """Match the sightings of two looks one to one: cheapest pair first, sure ones before unsure ones.

    A sure face that is left over may have run: the only one left over near enough is taken for it.
    """
    pairs: list[tuple[bool, float, int, int]] = []
    for i, a in enumerate(before):
        x, size = a.centre[0], a.size
        for j, b in enumerate(after):
            if abs(x - b.centre[0]) <= _LINK_DISTANCE * (size + b.size) / 2:
                sure = a.high and b.high
                badness = fit(a, b, _LINK_DISTANCE if sure else _UNSURE_DISTANCE, _LINK_RATIO)
                if badness is not None:
                    pairs.append((not sure, badness, i, j))
    pairs.sort()
    left_a, left_b = set(range(len(before))), set(range(len(after)))
    matched = []
    for _, _, i, j in pairs:
        if i in left_a and j in left_b:
            left_a.remove(i)
            left_b.remove(j)
            matched.append((before[i], after[j]))
    runaways = [before[i] for i in sorted(left_a) if before[i].high]
    arrivals = [after[j] for j in sorted(left_b) if after[j].high]
    return matched + _runners(runaways, arrivals, _RUN_PER_S * passed_s)


def _runners(
    before: Sequence[Sighting], after: Sequence[Sighting], distance: float
) -> list[tuple[Sighting, Sighting]]:
    """The pairs within a distance that have no rival on either side."""
    near = [(a, b) for a in before for b in after if fit(a, b, distance, _RUN_RATIO) is not None]
    return [
        (a, b) for a, b in near if sum(a is x for x, _ in near) == 1 and sum(b is y for _, y in near) == 1
    ]


class Outcomes(Protocol):
    """Who hears what is certain: `a` and `b` are sightings of one face."""

    def sight(self, s: Sighting) -> None:
        """It counts."""

    def span(self, a: Sighting, b: Sighting) -> None:
        """One face at two successive looks."""

    def gap(self, a: Sighting, b: Sighting) -> None:
        """One face on both sides of a gap."""

    def start(self, s: Sighting) -> None:
        """Its first sight."""

    def end(self, s: Sighting) -> None:
        """Its last sight."""


class Tracker:
    """Links looks, decides what counts, and says where faces start, go on, and end.

    Keeps what the rules reach back to, no more.
    """

    def __init__(self, policy: FacePolicy, clock: Clock, size: tuple[int, int], outcomes: Outcomes) -> None:
        self._clock = clock
        self._size = size
        self._outcomes = outcomes
        self._gap = clock.ticks(policy.gap_s)
        self._back = clock.ticks(policy.back_s)
        self._ahead = clock.ticks(policy.ahead_s)
        self._memory = clock.ticks(policy.look_ahead_s + REACH_S)
        self._started = False
        self._undecided: deque[Moment] = deque()
        self._chained: deque[Moment] = deque()
        self._recent: deque[Sighting] = deque()
        self._open: deque[Sighting] = deque()
        self.certain_until: int | None = None

    def add(self, looks: Sequence[Moment]) -> None:
        """Take the next looks of a run; the first is the last of the call before, if there was one."""
        for before, after in pairwise(looks):
            if before.scene == after.scene and after.pts - before.pts <= self._gap:
                passed_s = self._clock.seconds(after.pts - before.pts)
                for a, b in pair_up(before.sightings or (), after.sightings or (), passed_s):
                    a.next, b.previous = b, a
        new = looks[1:] if self._started else looks
        for look in new:
            for sighting in look.sightings or ():
                self._support(sighting)
        self._undecided.extend(new)
        self._chained.extend(new)
        self._started = True
        self._decide(looks[-1].pts - self._ahead)
        self._unchain(looks[-1].pts - self._memory)

    def finish(self) -> None:
        """No more looks: everything is certain now."""
        self._decide(None)
        for sighting in self._open:
            self._end(sighting)
        self._open.clear()
        self._recent.clear()
        self._unchain(None)
        self._started = False
        self.certain_until = None

    def _support(self, sighting: Sighting) -> None:
        """A sure sighting counts, and so do the unsure ones shortly before and after it on its chain."""
        if sighting.high:
            sighting.last_high = sighting.pts
            sighting.kept = True
            earlier = sighting.previous
            while earlier is not None and not earlier.kept and sighting.pts - earlier.pts <= self._ahead:
                earlier.kept = True
                earlier = earlier.previous
        elif sighting.previous is not None and sighting.previous.last_high is not None:
            sighting.last_high = sighting.previous.last_high
            sighting.kept = sighting.pts - sighting.last_high <= self._back

    def _decide(self, until: int | None) -> None:
        """Go through the looks whose sightings are all known to count or not."""
        while self._undecided and (until is None or self._undecided[0].pts <= until):
            look = self._undecided.popleft()
            self._close_before(look.pts - self._gap)
            kept = [s for s in look.sightings or () if s.kept]
            starts = [s for s in kept if s.is_start]
            if starts:
                self._begin(starts)
            for sighting in kept:
                if not sighting.is_start and sighting.previous is not None:
                    sighting.track = sighting.previous.track
                    self._outcomes.span(sighting.previous, sighting)
                self._outcomes.sight(sighting)
                self._recent.append(sighting)
                self._open.append(sighting)
        if until is not None:
            self._close_before(until - self._gap)
            self.certain_until = until - self._gap

    def _close_before(self, pts: int) -> None:
        while self._open and self._open[0].pts < pts:
            self._end(self._open.popleft())
        while self._recent and self._recent[0].pts < pts:
            self._recent.popleft()

    def _unchain(self, before: int | None) -> None:
        """Let go of what nobody walks back to: a chain must not keep the whole video in memory.

        A look and its sightings hold each other, so they part here: Python's collector of cycles comes
        seldom, and would find tens of megabytes of signatures.
        """
        while self._chained and (before is None or self._chained[0].pts < before):
            look = self._chained.popleft()
            for sighting in look.sightings or ():
                sighting.previous = None
            look.sightings = []

    def _end(self, sighting: Sighting) -> None:
        if sighting.is_end and not sighting.paired:
            self._outcomes.end(sighting)

    def _begin(self, starts: Sequence[Sighting]) -> None:
        """Pair the faces that start at one look with ends before it, or let them be new.

        A start wants the latest end that leads to it, an end the earliest start that it leads to:
        both are known now, whatever comes later.
        """
        here = starts[0].moment
        ends = [e for e in self._recent if e.is_end and e.moment.scene == here.scene]
        arriving = [velocity(s, forwards, self._clock, self._size) for s in starts]
        wanted: dict[int, tuple[int, float, Sighting]] = {}
        offers: dict[int, tuple[float, int]] = {}
        for i, end in enumerate(ends):
            leaving = velocity(end, backwards, self._clock, self._size)
            costs = [
                (c, j)
                for j, s in enumerate(starts)
                if (c := self._gap_cost(end, leaving, s, arriving[j])) is not None
            ]
            for c, j in costs:
                if j not in wanted or (-end.pts, c) < wanted[j][:2]:
                    wanted[j] = (-end.pts, c, end)
            if costs and not end.answered:
                end.answered = True
                offers[i] = min(costs)
        chosen = {id(end): offers[i][1] for i, end in enumerate(ends) if i in offers}
        for j, start in enumerate(starts):
            if j in wanted and chosen.get(id(wanted[j][2])) == j:
                end = wanted[j][2]
                end.paired = True
                start.track = end.track
                self._outcomes.gap(end, start)
            else:
                start.track = Track()
                self._outcomes.start(start)

    def _gap_cost(self, end: Sighting, forward: Speed, start: Sighting, backward: Speed) -> float | None:
        """How badly an end and a start fit, each predicted to the middle of the gap between them."""
        gap_s = self._clock.seconds(start.pts - end.pts)
        limit = _GAP_DISTANCE + _GAP_DISTANCE_PER_S * gap_s
        predicted = cost(
            shifted(end.xyxy, forward, gap_s / 2),
            shifted(start.xyxy, backward, -gap_s / 2),
            limit,
            _GAP_RATIO,
        )
        still = fit(end, start, limit, _GAP_RATIO)
        costs = [c for c in (predicted, still) if c is not None]
        return min(costs) if costs else None
