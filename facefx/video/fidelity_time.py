"""Times of two files against each other, exactly: no float, no frame rate.

A container rounds every time to its own tick, and may move the whole file by a constant. So a copy
is faithful if one shift exists for which every time lies within half a tick of where it belongs:
exactly then do the differences spread over less than one tick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.video.fidelity_facts import Times

__all__ = ["Clock", "Shift", "common_shift", "first_shift", "off_grid", "seconds", "worst"]

_LEAD = 64  # pictures that may be missing at the start while the rest is still recognised
_HEAD = 512  # pictures that are enough to recognise it by
_BIG = 1 << 62
_PIECE = 1 << 16  # times compared at once: a long film's differences need no memory of their own


@dataclass(frozen=True, slots=True)
class Clock:
    """Times of one stream: pts (n,) int64 and the time base that gives them meaning."""

    pts: Times
    time_base: Fraction


@dataclass(frozen=True, slots=True)
class Shift:
    """Seconds by which a file moved: every value from low to high explains what was seen."""

    low: Fraction
    high: Fraction

    def meets(self, other: Shift, slack: Fraction) -> bool:
        """True if both may be the same shift, seen with up to slack of further rounding."""
        return self.low - slack <= other.high and other.low - slack <= self.high


def _common(source: Clock, output: Clock) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Both in whole parts of a second, small enough for int64, else as Python's own integers."""
    scale = lcm(source.time_base.denominator, output.time_base.denominator)
    parts = []
    for clock in (source, output):
        factor = int(clock.time_base * scale)
        largest = int(np.abs(clock.pts).max(initial=0))
        wide: Any = object if largest * factor >= _BIG else np.int64
        parts.append(clock.pts.astype(wide) * factor)
    return parts[0], parts[1], scale


def common_shift(source: Clock, output: Clock, tick: Fraction | None = None) -> Shift | None:
    """The shift that explains all pairs of times (equally many on both sides), or None.

    tick: how coarsely the output tells time, if that is more than its time base.
    """
    if not len(source.pts) or len(source.pts) != len(output.pts):
        return None
    moved = [_moved(*pieces) for pieces in _pieces(source, output)]
    low, high = min(least for least, _ in moved), max(most for _, most in moved)
    tick = tick or output.time_base
    if high - low >= tick:
        return None
    return Shift(high - tick / 2, low + tick / 2)


def _pieces(source: Clock, output: Clock) -> Iterator[tuple[Clock, Clock]]:
    """Both clocks (equally long) side by side, some times after others."""
    for at in range(0, len(source.pts), _PIECE):
        part = slice(at, at + _PIECE)
        yield Clock(source.pts[part], source.time_base), Clock(output.pts[part], output.time_base)


def _moved(source: Clock, output: Clock) -> tuple[Fraction, Fraction]:
    """Seconds from the source's times to the output's: the least and the most."""
    a, b, scale = _common(source, output)
    moved = b - a
    return Fraction(int(moved.min()), scale), Fraction(int(moved.max()), scale)


def first_shift(source: Clock, output: Clock) -> Shift:
    """The shift between two streams of which one may lack members: the one with the fewest strays."""
    lead = _best_lead(source, output)
    moved = int(output.pts[0]) * output.time_base - int(source.pts[lead]) * source.time_base
    return Shift(moved - output.time_base / 2, moved + output.time_base / 2)


def _best_lead(source: Clock, output: Clock) -> int:
    """Which source time the first output time is: the one that leaves the fewest strays."""
    head = Clock(output.pts[:_HEAD], output.time_base)
    best, fewest = 0, len(head.pts) + 1
    for lead in range(min(_LEAD, len(source.pts))):
        strays = int(off_grid(source, head, lead).sum())
        if strays < fewest:
            best, fewest = lead, strays
        if not fewest:
            break
    return best


def off_grid(source: Clock, output: Clock, lead: int | None = None) -> NDArray[np.bool_]:
    """(n,) True for each output time that is no source time, or repeats one.

    lead: which source time the first output time is; None finds it.
    """
    if lead is None:
        lead = _best_lead(source, output)
    a, b, scale = _common(source, output)
    a, b = a - a[lead], b - b[0]
    at = np.clip(np.searchsorted(a, b), 1, max(len(a) - 1, 1))
    before = at - 1
    at = np.minimum(at, len(a) - 1)
    nearest = np.where(np.abs(b - a[before]) <= np.abs(a[at] - b), before, at)
    tick = output.time_base * scale
    away = np.abs(b - a[nearest]) * tick.denominator >= tick.numerator
    repeated = np.zeros(len(b), np.bool_)
    repeated[1:] = nearest[1:] <= nearest[:-1]
    stray: NDArray[np.bool_] = away.astype(np.bool_) | repeated
    return stray


def worst(source: Clock, output: Clock) -> tuple[int, Fraction, Fraction]:
    """(position, expected seconds, got seconds) of the time furthest from where most others say."""
    a, b, scale = _common(source, output)
    n = min(len(a), len(b))
    moved = b[:n] - a[:n]
    usual = sorted(moved.tolist())[n // 2]
    at = int(np.argmax(np.abs(moved - usual)))
    return at, Fraction(int(a[at]) + usual, scale), Fraction(int(b[at]), scale)


def seconds(value: Fraction) -> str:
    """Seconds for a person: microseconds, no trailing zeros.

    >>> seconds(Fraction(1, 3)), seconds(Fraction(2))
    ('0.333333 s', '2 s')
    """
    text = f"{float(value):.6f}".rstrip("0").rstrip(".")
    return f"{text if text not in ('-0', '') else '0'} s"
