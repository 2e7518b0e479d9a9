"""Where to look: on the grid, on both sides of a cut, wherever two looks disagree, and at whatever
came and went between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np

from facefx.faces.moment import Box, Moment, Sighting
from facefx.faces.motion import apart, lerp, moved
from facefx.faces.policy import Clock, FacePolicy
from facefx.faces.signature import LUMA_STEP, Plane, differs, is_calm
from facefx.faces.track import pair_up
from facefx.values import StreamFormat

__all__ = ["Looker", "Reason"]

# Looks nearer than this are near enough: pads cover a frame in between, and end where its place changes.
NEAR_S = 0.14
# A face that grew or shrank by more between two looks is looked at in between.
_JUMP_RATIO = 1.4
# A face this near, in its own sizes, to the straight line between two looks moves along it.
_IN_LINE = 0.3
# What covers no square of 3 × 3 samples is too small for a face.
_SPECK = np.ones((3, 3), np.uint8)


class Reason(StrEnum):
    """Why a frame was looked at."""

    GRID = "grid"
    CUT = "cut"
    DISAGREE = "disagree"
    TRANSIENT = "transient"


Look = Callable[[Moment, Reason], None]
# A moment, the reason, and where something came and went.
Inspect = Callable[[Moment, Reason, list[Box]], None]
# A moment, the reason, where faces are expected, and whether the rest of the picture is looked at.
Glance = Callable[[Moment, Reason, list[Box], bool], None]


class Looker:
    """Settles one interval of the look grid after another; keeps nothing between them."""

    def __init__(
        self, look: Look, glance: Glance, inspect: Inspect, policy: FacePolicy, format: StreamFormat
    ) -> None:
        self._look = look
        self._glance = glance
        self._inspect = inspect
        self._jump = policy.jump_frac
        self._calm_step = policy.calm_step
        self._clock = Clock(format.time_base)
        self._near = self._clock.ticks(NEAR_S)
        self._interval = self._clock.ticks(policy.look_interval_s)
        self._size = (format.width, format.height)
        self._paired: dict[tuple[int, int], list[tuple[Sighting, Sighting]]] = {}

    def settle(self, moments: Sequence[Moment]) -> list[Moment]:
        """Look at the first and last of these frames and between them until nothing is in doubt.

        moments: from one grid look to the next, both included, with glances between them. Returns
        those that were looked at.
        """
        self._paired.clear()
        self._at(moments[0], Reason.GRID)
        self._at(moments[-1], Reason.GRID)
        for part in _scenes(moments):
            self._at(part[0], Reason.CUT)
            self._at(part[-1], Reason.CUT)
            self._spread(part)
            if self._look_at_transients(part):
                for a, b in _between_looks(part):
                    self._bisect(part[a : b + 1])
        return [m for m in moments if m.sightings is not None]

    def _at(self, moment: Moment, reason: Reason) -> None:
        if moment.sightings is None:
            self._look(moment, reason)

    def _spread(self, part: Sequence[Moment]) -> None:
        """Glance between two looks that are further apart than the interval, then settle each half.

        Where pixels show that a glance would tell nothing new, there is none.
        """
        first = part[0].pts
        reach = sum(moment.pts - first <= self._interval for moment in part) - 1
        if len(part) <= 2 or reach == len(part) - 1:
            self._bisect(part)
            return
        middle = max(reach, 1)
        if self._is_calm(part[0], part[middle], part[-1]):
            return
        if part[middle].sightings is None:
            self._glance(part[middle], Reason.GRID, self._expected(part[0], part[middle], part[-1]), True)
            if self._is_news(part[0], part[middle], part[-1]):
                self._look(part[middle], Reason.DISAGREE)
                self._paired.clear()  # what the glance saw is no longer part of any pair
        self._bisect(part[: middle + 1])
        self._spread(part[middle:])

    def _is_calm(self, before: Moment, middle: Moment, after: Moment) -> bool:
        """The two looks tell the same, everybody stays, and the pixels between show that nothing is new."""
        return (
            middle.sightings is None
            and self._agree(before, after)
            and not self._at_edge(before, after)
            and all(apart(a, b)[0] <= _IN_LINE for a, b in self._pairs(before, after))
            and is_calm(middle.signature, before.signature, after.signature, self._calm_step)
        )

    def _bisect(self, part: Sequence[Moment]) -> None:
        """Look at the middle for as long as the two ends tell different stories."""
        first, last = part[0], part[-1]
        if len(part) <= 2 or self._agree(first, last):
            return
        if last.pts - first.pts <= self._near and not self._at_edge(first, last):
            return
        middle = (len(part) - 1) // 2
        if part[middle].sightings is None and self._at_edge(first, last):
            self._look(part[middle], Reason.DISAGREE)
        elif part[middle].sightings is None:
            self._glance(part[middle], Reason.DISAGREE, self._expected(first, part[middle], last), False)
        if not self._in_line(first, part[middle], last):
            self._bisect(part[: middle + 1])
            self._bisect(part[middle:])

    def _is_news(self, before: Moment, middle: Moment, after: Moment) -> bool:
        """A glance saw a sure face that neither look did: coarsely, so a look has to confirm it."""
        known = {id(s) for pair in self._pairs(before, middle) + self._pairs(middle, after) for s in pair}
        return any(s.high and id(s) not in known for s in middle.sightings or ())

    def _agree(self, before: Moment, after: Moment) -> bool:
        """No sure face came, went, or moved too far to be drawn along a straight line unseen."""
        pairs = self._pairs(before, after)
        for a, b in pairs:
            if a.high or b.high:
                distance, ratio = apart(a, b)
                if distance > self._jump or ratio > _JUMP_RATIO:
                    return False
        matched = {id(s) for pair in pairs for s in pair}
        return all(id(s) in matched or not s.high for s in _seen(before, after))

    def _at_edge(self, *moments: Moment) -> bool:
        """A sure face is cut by the picture's edge: there every frame changes what is left of it."""
        width, height = self._size
        return any(
            s.high and (s.xyxy[0] <= 0 or s.xyxy[1] <= 0 or s.xyxy[2] >= width or s.xyxy[3] >= height)
            for s in _seen(*moments)
        )

    def _in_line(self, before: Moment, middle: Moment, after: Moment) -> bool:
        """Every sure face of the three looks is where a straight line has it in the middle."""
        pairs = self._pairs(before, after)
        t = (middle.pts - before.pts) / (after.pts - before.pts)
        explained = {id(s) for pair in pairs for s in pair}
        for a, b in pairs:
            line = lerp(a.xyxy, b.xyxy, t)
            near = [s for s in middle.sightings or () if moved(line, s.xyxy)[0] <= _IN_LINE]
            explained.update(id(s) for s in near)
            if not near and (a.high or b.high):
                return False
        return all(id(s) in explained or not s.high for s in _seen(before, middle, after))

    def _expected(self, before: Moment, middle: Moment, after: Moment) -> list[Box]:
        """Where a glance between two looks should find faces: on the line between two sights of one face,
        and wherever only one of the looks saw one for sure. A single doubtful sight starts nothing.
        """
        pairs = self._pairs(before, after)
        t = (middle.pts - before.pts) / (after.pts - before.pts)
        known = {id(s) for pair in pairs for s in pair}
        lone = [s.xyxy for s in _seen(before, after) if s.high and id(s) not in known]
        return [lerp(a.xyxy, b.xyxy, t) for a, b in pairs] + lone

    def _pairs(self, before: Moment, after: Moment) -> list[tuple[Sighting, Sighting]]:
        """The same face at two looks; asked again and again within an interval."""
        key = (before.at, after.at)
        if key not in self._paired:
            passed_s = self._clock.seconds(after.pts - before.pts)
            self._paired[key] = pair_up(before.sightings or (), after.sightings or (), passed_s)
        return self._paired[key]

    def _look_at_transients(self, part: Sequence[Moment]) -> bool:
        """Look at what came and went between two whole looks: a glance may not have seen it."""
        found = False
        for a, b in _between_looks(part, whole=True):
            for at, regions in self._transients(part[a : b + 1]):
                self._inspect(part[a + at], Reason.TRANSIENT, regions)
                found = True
        if found:
            self._paired.clear()  # nor is what a glance saw of those frames
        return found

    def _transients(self, part: Sequence[Moment]) -> list[tuple[int, list[Box]]]:
        """The fewest frames that show everything that both came and went between two looks.

        What appeared is remembered until it is lost; just before that, at the latest, somebody has
        to look, at all that has appeared by then. Only what neither of the two looks saw anything
        like, outside the faces that both of them saw, counts. Also gives where it is.
        """
        changes = [m.change for m in part[1:]]
        if not any(c.appeared is not None for c in changes[:-1]):
            return []
        first, last = part[0], part[-1]
        looks: list[tuple[int, list[Box]]] = []
        there: Plane | None = None
        for at, change in enumerate(changes):  # the change from part[at] to part[at + 1]
            if change.appeared is None or change.lost is None:
                continue
            if there is not None:
                gone = cv2.bitwise_and(there, cv2.compare(change.lost, LUMA_STEP, cv2.CMP_GT))
                if cv2.countNonZero(gone) and self._matters(gone, part[at], first, last):
                    looks.append((at, self._regions(there, first, last)))
                    there = None
            new = cv2.compare(change.appeared, LUMA_STEP, cv2.CMP_GT)
            if change.level is not None:
                new = cv2.bitwise_and(new, cv2.compare(change.appeared, change.level, cv2.CMP_GT))
            there = new if there is None else cv2.bitwise_or(there, new)
        return looks

    def _matters(self, gone: Plane, moment: Moment, first: Moment, last: Moment) -> bool:
        """True where what is gone was large enough for a face, and new to both looks."""
        gone = cv2.subtract(gone, self._known(first, last))
        if not cv2.countNonZero(cv2.erode(gone, None)):
            return False
        odd = differs(moment.signature, first.signature, last.signature)
        return bool(cv2.countNonZero(cv2.bitwise_and(gone, cv2.compare(odd, LUMA_STEP, cv2.CMP_GT))))

    def _regions(self, there: Plane, first: Moment, last: Moment) -> list[Box]:
        """Boxes, in pixels, of what is large enough for a face and no known one."""
        solid = cv2.morphologyEx(cv2.subtract(there, self._known(first, last)), cv2.MORPH_OPEN, _SPECK)
        step = first.signature.step
        _, _, stats, _ = cv2.connectedComponentsWithStats(solid)
        return [
            (float(x * step), float(y * step), float((x + w) * step), float((y + h) * step))
            for x, y, w, h, _ in stats[1:].tolist()  # the first is all the rest
        ]

    def _known(self, first: Moment, last: Moment) -> Plane:
        """255 where a face that both looks saw will be drawn anyway."""
        height, width = first.signature.small.shape
        known = np.zeros((height, width), np.uint8)
        scale_x, scale_y = width / self._size[0], height / self._size[1]
        for a, b in self._pairs(first, last):
            if not (a.high and b.high):
                continue
            x0, x1 = min(a.xyxy[0], b.xyxy[0]) * scale_x, max(a.xyxy[2], b.xyxy[2]) * scale_x
            y0, y1 = min(a.xyxy[1], b.xyxy[1]) * scale_y, max(a.xyxy[3], b.xyxy[3]) * scale_y
            known[max(0, int(y0)) : max(0, round(y1)), max(0, int(x0)) : max(0, round(x1))] = 255
        return known


def _scenes(moments: Sequence[Moment]) -> list[Sequence[Moment]]:
    """The stretches without a cut inside."""
    edges = [
        0,
        *(i for i in range(1, len(moments)) if moments[i].scene != moments[i - 1].scene),
        len(moments),
    ]
    return [moments[a:b] for a, b in pairwise(edges)]


def _between_looks(part: Sequence[Moment], *, whole: bool = False) -> list[tuple[int, int]]:
    """Positions of successive looks, or whole looks, that are not neighbours."""
    looks = [i for i, m in enumerate(part) if m.whole or (m.sightings is not None and not whole)]
    return [(a, b) for a, b in pairwise(looks) if b - a > 1]


def _seen(*moments: Moment) -> list[Sighting]:
    return [s for m in moments for s in m.sightings or ()]
