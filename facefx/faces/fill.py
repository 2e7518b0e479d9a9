"""Boxes for the frames in which nobody looked, or looked and saw nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from facefx.faces.moment import Box, Moment, Row, Sighting, Track
from facefx.faces.motion import Inward, Speed, backwards, forwards, grown, lerp, mean_size, shifted, velocity
from facefx.faces.policy import Clock, FacePolicy
from facefx.faces.signature import LUMA_STEP, Plane
from facefx.values import FaceSource

__all__ = ["Filler"]

# A gap's boxes grow to its middle, where the guess is worst; held ones the longer the more.
_FILL_GROWTH = 0.15
_HOLD_GROWTH_PER_S = 0.5
# Within the picture a face that is out of sight slows down; one that leaves it does not, and its
# box, larger than what is left of it, need not grow.
_SLOWDOWN_S = 0.3
# A face is held for at most this, and as long again as it was seen.
_HOLD_BASE_S = 0.1
# A face that was seen this shortly and whose place changed at once is gone, not hidden.
_BRIEF_S = 0.25
_ABRUPT_SHARE = 0.4
_CORE = 0.6
# A face that moves less than this, in its own sizes, during the pad does not leave the picture.
_LEAST_MOTION = 0.1


class Filler:
    """Writes the boxes of spans, gaps and pads into the frames between and around sightings.

    moment(at): the frame at that position of the run, or None where it was let go or is not yet there.
    """

    def __init__(
        self,
        policy: FacePolicy,
        clock: Clock,
        size: tuple[int, int],
        moment: Callable[[int], Moment | None],
    ) -> None:
        self._clock = clock
        self._width, self._height = size
        self._moment = moment
        self._pads = {1: policy.exit_pad_s, -1: policy.entry_pad_s}
        self._edge_pad = policy.edge_pad_s
        self.longest_gap_s = 0.0

    def sight(self, s: Sighting) -> None:
        """A look saw it in this very frame."""
        s.moment.rows.append(Row(_track(s), s.xyxy, s.confidence, FaceSource.DETECTED))

    def span(self, a: Sighting, b: Sighting) -> None:
        """Between two looks that agree it moves in a straight line."""
        self._between(a, b, FaceSource.TRACKED, 0.0)

    def gap(self, a: Sighting, b: Sighting) -> None:
        """Across a gap too, growing a little to the middle."""
        self.longest_gap_s = max(self.longest_gap_s, self._clock.seconds(b.pts - a.pts))
        self._between(a, b, FaceSource.FILLED, _FILL_GROWTH)

    def start(self, s: Sighting) -> None:
        """Before its first sight it is held for a short while, backwards."""
        self._hold(s, -1, forwards)

    def end(self, s: Sighting) -> None:
        """After its last sight it is held, moving on."""
        self._hold(s, 1, backwards)

    def _between(self, a: Sighting, b: Sighting, source: FaceSource, growth: float) -> None:
        confidence = min(a.confidence, b.confidence)
        for at in range(a.moment.at + 1, b.moment.at):
            moment = self._moment(at)
            assert moment is not None, "frames are kept until their faces are final"
            t = (moment.pts - a.pts) / (b.pts - a.pts)
            box = lerp(a.xyxy, b.xyxy, t)
            if growth:
                box = grown(box, 1 + growth * 4 * t * (1 - t))
            moment.rows.append(Row(_track(a), box, confidence, source))

    def _hold(self, s: Sighting, step: int, inward: Inward) -> None:
        """Hold it outwards in time, as long as it was seen and a little, at most for the pad.

        Where it is on its way out of the picture it is held longer, until it is outside.
        """
        seen_s = self._seen_s(s, inward)
        brief = seen_s <= _BRIEF_S
        speed = velocity(s, inward, self._clock, (self._width, self._height))
        limit_s = self._pads[step]
        leaving = self._leaves(s.xyxy, speed, step * limit_s)
        limit_s = min(self._edge_pad if leaving else limit_s, _HOLD_BASE_S + seen_s)
        at = s.moment.at
        # Change `at` leads from the frame before to frame `at`.
        while not (brief and self._abrupt(s, at if step < 0 else at + 1)):
            at += step
            moment = self._moment(at)
            if moment is None or moment.scene != s.moment.scene:
                return
            passed_s = self._clock.seconds(moment.pts - s.pts)
            box = shifted(s.xyxy, speed, passed_s if leaving else _slowed(passed_s))
            if abs(passed_s) > limit_s or self._is_outside(box):
                return
            if not leaving:
                box = grown(box, 1 + _HOLD_GROWTH_PER_S * abs(passed_s))
            moment.rows.append(Row(_track(s), box, s.confidence, FaceSource.HELD))

    def _seen_s(self, s: Sighting, inward: Inward) -> float:
        """How long it was seen before it went, or after it came; no further back than matters."""
        other = s
        while self._clock.seconds(abs(other.pts - s.pts)) < self._edge_pad:
            further = inward(other)
            if further is None or not further.kept:
                break
            other = further
        return self._clock.seconds(abs(other.pts - s.pts))

    def _abrupt(self, s: Sighting, at: int) -> bool:
        """True where most of its place changed at once on the way to frame `at`, beyond mere motion."""
        moment = self._moment(at)
        if moment is None or moment.change.appeared is None:
            return False
        change = moment.change
        assert change.appeared is not None
        assert change.lost is not None
        height, width = change.appeared.shape
        x0, y0, x1, y1 = grown(s.xyxy, _CORE)
        scale_x, scale_y = width / self._width, height / self._height
        rows = slice(max(0, int(y0 * scale_y)), max(0, math.ceil(y1 * scale_y)))
        columns = slice(max(0, int(x0 * scale_x)), max(0, math.ceil(x1 * scale_x)))
        part: Plane = np.maximum(change.appeared[rows, columns], change.lost[rows, columns])
        return part.size > 0 and float(np.mean(part > LUMA_STEP)) > _ABRUPT_SHARE

    def _leaves(self, box: Box, speed: Speed, after_s: float) -> bool:
        """True where it will cross the edge that it is moving towards."""
        dx, dy = speed[0] * after_s, speed[1] * after_s
        least = _LEAST_MOTION * mean_size(box)
        x0, y0, x1, y1 = shifted(box, speed, after_s)
        return (
            (dx < -least and x0 < 0)
            or (dx > least and x1 > self._width)
            or (dy < -least and y0 < 0)
            or (dy > least and y1 > self._height)
        )

    def _is_outside(self, box: Box) -> bool:
        return box[2] <= 0 or box[3] <= 0 or box[0] >= self._width or box[1] >= self._height


def _track(s: Sighting) -> Track:
    assert s.track is not None, "a sighting that counts has a track"
    return s.track


def _slowed(passed_s: float) -> float:
    return math.copysign(_SLOWDOWN_S * -math.expm1(-abs(passed_s) / _SLOWDOWN_S), passed_s)
