"""Boxes for the frames in which nobody looked, or looked and saw nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from facefx.faces.drift import drift
from facefx.faces.moment import Box, Moment, Row, Sighting, Track
from facefx.faces.motion import Inward, backwards, forwards, grown, lerp, shifted, velocity
from facefx.faces.policy import Clock, FacePolicy
from facefx.faces.signature import LUMA_STEP, Plane
from facefx.values import FaceSource

__all__ = ["Filler"]

# A gap's boxes grow to its middle, where the guess is worst; held ones the longer the more.
_FILL_GROWTH = 0.15
_HOLD_GROWTH_PER_S = 0.5
# Where the picture does not tell how a face that is out of sight moves, it slows down from frame to frame.
_SLOWDOWN = 0.9
# Of a face that is more than this far out of the picture too little is left to tell: it goes on as it went.
_HALF_GONE = 0.5
# A face is held for at most this, and as long again as it was seen.
_HOLD_BASE_S = 0.1
# A face that was seen this shortly and whose place changed at once is gone, not hidden.
_BRIEF_S = 0.25
_ABRUPT_SHARE = 0.4
_CORE = 0.6


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

        It moves with the picture around it. Where the picture's edge cuts it, it is on its way out,
        and held longer, until it is outside.
        """
        seen_s = self._seen_s(s, inward)
        brief = seen_s <= _BRIEF_S
        speed = velocity(s, inward, self._clock, (self._width, self._height))
        moment, box = s.moment, s.xyxy
        # The change at a frame leads to it from the frame before.
        while not (brief and self._abrupt(s, moment.at + max(step, 0))):
            before, after = moment, self._moment(moment.at + step)
            if after is None or after.scene != s.moment.scene:
                return
            moment = after
            passed_s = abs(self._clock.seconds(moment.pts - s.pts))
            since_s = self._clock.seconds(moment.pts - before.pts)
            visible = self._visible(box)
            moved = drift(before.signature, moment.signature, box) if visible > _HALF_GONE else None
            if moved is not None:
                speed = (moved[0] / since_s, moved[1] / since_s)
            elif visible == 1:
                speed = (speed[0] * _SLOWDOWN, speed[1] * _SLOWDOWN)
            box = shifted(box, speed, since_s)
            visible = self._visible(box)
            limit_s = self._edge_pad if visible < 1 else self._pads[step]
            if passed_s > min(limit_s, _HOLD_BASE_S + seen_s) or visible == 0:
                return
            shown = box if visible < 1 else grown(box, 1 + _HOLD_GROWTH_PER_S * passed_s)
            moment.rows.append(Row(_track(s), shown, s.confidence, FaceSource.HELD))

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

    def _visible(self, box: Box) -> float:
        """Share of a box that lies within the picture."""
        width = min(box[2], self._width) - max(box[0], 0)
        height = min(box[3], self._height) - max(box[1], 0)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


def _track(s: Sighting) -> Track:
    assert s.track is not None, "a sighting that counts has a track"
    return s.track
