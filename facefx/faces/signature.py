"""A frame's luma in miniature, and what changed between two of them: what asks for another look.

A sample has *appeared* where its value lies outside all that its neighbourhood held one frame
earlier, and is *lost* the other way round. Ordinary motion moves values about and lights nothing
up; what pops up or is gone does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.values import StreamFormat

__all__ = ["QUIET", "Change", "Signature", "Witness", "differs", "is_calm", "is_cut"]

Plane = NDArray[np.uint8]

# Long side of the miniature, about: a face of 1/50 of the picture's width still has three samples.
_LONG_SIDE = 160
# Luma steps by which a 3 × 3 patch of samples must leave the range of its neighbourhood. Measured: at 12
# every face ≥ 40 px pasted into the face-free test clips is noticed, at 16 one in twenty of 24 px is not.
LUMA_STEP = 12
# Share of samples that may appear before the motion is taken for a camera's, and a wider
# neighbourhood (up to _WIDEST samples each way) must explain it.
_CAMERA_SHARE = 0.03
_WIDEST = 3
# Share of samples that leave even the widest neighbourhood at a cut. Measured: cuts 0.58–0.74; the fastest
# pans and hand-held shakes of the test clips ≤ 0.11.
_CUT_SHARE = 0.35
# The local motion level: what the previous frames stirred up around a sample.
_LEVEL_FRAMES = 3
LEVEL_S = 0.12


class Signature:
    """A miniature of a frame's luma in 8 bits, with the range of values around each sample.

    step: pixels from sample to sample.
    """

    __slots__ = ("_ranges", "small", "step")

    def __init__(self, small: Plane, step: int = 1) -> None:
        self.small = small
        self.step = step
        self._ranges: list[tuple[Plane, Plane]] = [(small, small)]

    @staticmethod
    def of(luma: NDArray[Any], depth: int) -> Signature:
        """Sample a luma plane of any depth."""
        step = -(-max(luma.shape) // _LONG_SIDE)
        # Every so-manieth sample: a third of the cost of an average, and measured to notice as much.
        small = luma[step // 2 :: step, step // 2 :: step]
        if depth > 8:
            small = small >> (depth - 8)
        return Signature(np.ascontiguousarray(small, np.uint8), step)

    def range(self, reach: int) -> tuple[Plane, Plane]:
        """Least and greatest value within `reach` samples each way; made once."""
        while len(self._ranges) <= reach:
            low, high = self._ranges[-1]
            self._ranges.append((cv2.erode(low, None), cv2.dilate(high, None)))
        return self._ranges[reach]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What one frame did to the one before; None where nothing passed the threshold.

    appeared, lost: by how much, averaged over 3 × 3 samples. level: what was already stirring there.
    """

    appeared: Plane | None = None
    lost: Plane | None = None
    level: Plane | None = None
    cut: bool = False


QUIET = Change()


def _outside(small: Plane, bounds: tuple[Plane, Plane]) -> Plane:
    low, high = bounds
    out: Plane = cv2.max(cv2.subtract(small, high), cv2.subtract(low, small))
    return out


def _smooth(plane: Plane) -> Plane:
    out: Plane = cv2.boxFilter(plane, -1, (3, 3))
    return out


def _share(plane: Plane) -> float:
    return float(cv2.countNonZero(cv2.compare(plane, LUMA_STEP, cv2.CMP_GT))) / plane.size


def is_cut(before: Signature, after: Signature) -> bool:
    """True where too much of either frame cannot be found anywhere near in the other."""
    appeared = _outside(after.small, before.range(_WIDEST))
    lost = _outside(before.small, after.range(_WIDEST))
    return max(_share(appeared), _share(lost)) > _CUT_SHARE


def differs(moment: Signature, first: Signature, second: Signature, reach: int = _WIDEST) -> Plane:
    """How far each sample lies outside what either of two other frames holds within `reach` of it."""
    from_first = _outside(moment.small, first.range(reach))
    from_second = _outside(moment.small, second.range(reach))
    return _smooth(cv2.min(from_first, from_second))


def is_calm(moment: Signature, first: Signature, second: Signature, step: float) -> bool:
    """True where all of a frame is found in either of two others, less than `step` off, a sample away."""
    return bool(cv2.norm(differs(moment, first, second, 1), cv2.NORM_INF) < step)


class Witness:
    """Signs frame after frame of one run and says what changed; remembers three frames, no more."""

    def __init__(self, format: StreamFormat, level_ticks: int) -> None:
        self._depth = format.pixels.depth
        self._level_ticks = level_ticks
        self._last: Signature | None = None
        self._stirred: deque[tuple[int, Plane | None]] = deque(maxlen=_LEVEL_FRAMES)

    def see(self, luma: NDArray[Any], pts: int) -> tuple[Signature, Change]:
        """Sign the next frame."""
        signature = Signature.of(luma, self._depth)
        change = self._compare(self._last, signature, pts) if self._last else QUIET
        self._last = signature
        return signature, change

    def _compare(self, before: Signature, after: Signature, pts: int) -> Change:
        if cv2.norm(before.small, after.small, cv2.NORM_INF) <= LUMA_STEP:
            # No sample left its own value by more, so none left its neighbourhood's range.
            self._stirred.append((pts, None))
            return QUIET
        appeared = _outside(after.small, before.range(1))
        lost = _outside(before.small, after.range(1))
        if cv2.norm(cv2.max(appeared, lost), cv2.NORM_INF) <= LUMA_STEP:
            self._stirred.append((pts, None))
            return QUIET
        appeared, lost = _smooth(appeared), _smooth(lost)
        cut = False
        for reach in range(2, _WIDEST + 1):
            if max(_share(appeared), _share(lost)) <= _CAMERA_SHARE:
                break
            cut = reach == _WIDEST and is_cut(before, after)
            appeared = _smooth(_outside(after.small, before.range(reach)))
            lost = _smooth(_outside(before.small, after.range(reach)))
        level = self._level(pts)
        self._stirred.append((pts, cv2.dilate(appeared, None, iterations=2)))
        return Change(appeared, lost, level, cut)

    def _level(self, pts: int) -> Plane | None:
        level: Plane | None = None
        for at, stirred in self._stirred:
            if stirred is not None and pts - at <= self._level_ticks:
                level = stirred if level is None else cv2.max(level, stirred)
        return level
