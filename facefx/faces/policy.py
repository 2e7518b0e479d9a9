"""How faces are looked for in time: how often, what counts, and how far a conclusion reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from types import MappingProxyType

from facefx.errors import ConfigError

__all__ = ["REACH_S", "SURE", "Clock", "FacePolicy", "Grid"]

REACH_S = 2.0
"""No fact depends on anything further from its frame than this."""

# What each detector's confidence is worth. Measured on clips and stills: at these, every truth box is
# covered and nothing on the face-free clips is; YuNet at 0.6 also takes the back of a coat, a hand and a
# wall for faces (stills: 1 false at 0.65, 0 at 0.7, nobody missed); BlazeFace at 0.7 loses a sixth of the
# faces that it sees at 0.6.
SURE = MappingProxyType({"yunet": 0.7, "blazeface": 0.6, "blazeface-short": 0.6})


# Luma steps between two looks. Measured: talking and nodding heads 0–7, a head that turns 14 and more,
# walking people 18 and more.
_LOUD_STEP = 12


@dataclass(frozen=True, slots=True)
class FacePolicy:
    """The archive policy: it looks ahead, fills from both sides and pads entries and exits.

    look_interval_s: longest time between two looks (plus one frame where the rate is not known); twice that
    where looks agree and no luma sample between them leaves what they hold by calm_step or more (0: never).
    high: a detection this sure starts a face; low: one this sure continues it, back_s after and
    ahead_s before a high one. gap_s: longest time without a sight that is filled. jump_frac: a face
    that moved this share of its size between two looks is looked at in between. exit_pad_s,
    entry_pad_s: how long a face is held after its last and before its first sight; edge_pad_s
    replaces them while it crosses the picture's edge. flash_s: longest flash that is not a cut.

    Raises ConfigError if a value is out of range or a fact would reach further than REACH_S.
    """

    look_interval_s: float = 0.25
    high: float = 0.7
    low: float = 0.3
    gap_s: float = 0.7
    back_s: float = 0.5
    ahead_s: float = 0.25
    jump_frac: float = 0.8
    exit_pad_s: float = 0.4
    entry_pad_s: float = 0.2
    edge_pad_s: float = 0.5
    flash_s: float = 0.1
    calm_step: float = 8

    def __post_init__(self) -> None:
        if not 0 <= self.calm_step <= _LOUD_STEP:
            raise ConfigError(
                f"face policy: calm_step must be within 0..{_LOUD_STEP}, got {self.calm_step:g}"
            )
        for field in fields(self):
            if field.name == "calm_step":
                continue
            value = getattr(self, field.name)
            if not 0 <= value <= REACH_S:
                raise ConfigError(f"face policy: {field.name} must be within 0..{REACH_S:g}, got {value}")
        if not 0 < self.look_interval_s <= 0.5:
            raise ConfigError(
                f"face policy: look_interval_s must be within 0..0.5, got {self.look_interval_s}"
            )
        if not self.low <= self.high <= 1:
            raise ConfigError(f"face policy: expected low ≤ high ≤ 1, got {self.low} and {self.high}")
        longest = max(self.exit_pad_s, self.entry_pad_s, self.edge_pad_s, self.ahead_s)
        if longest > self.gap_s:
            raise ConfigError(
                f"face policy: pads and ahead_s must not exceed gap_s {self.gap_s}, got {longest}"
            )
        if self.reach_s > REACH_S:
            raise ConfigError(
                f"face policy: a fact would reach {self.reach_s:.2f} s back, at most {REACH_S:g} s; "
                "shorten gap_s, back_s or look_interval_s"
            )

    @classmethod
    def for_detector(cls, name: str, **changes: float) -> FacePolicy:
        """The policy whose `high` fits a detector, with changes.

        >>> FacePolicy.for_detector("blazeface", gap_s=0.5).high
        0.6
        """
        return cls(**{"high": SURE.get(name, SURE["yunet"]), **changes})

    @property
    def reach_s(self) -> float:
        """How far back a fact may depend on looks: a filled gap, whose end was supported, once looked for.

        Source: frame ← gap_s ← sight at the gap's edge ← back_s ← high sight ← its cell ← motion level.
        """
        return self.gap_s + self.back_s + 2 * self.look_interval_s + self.flash_s + 0.12

    @property
    def look_ahead_s(self) -> float:
        """How much later than a frame the newest one must be for its faces to be final."""
        return self.gap_s + self.ahead_s + 2 * self.look_interval_s + self.flash_s


class Clock:
    """Seconds to ticks of one stream, exactly: time is compared in whole ticks only."""

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self._tick = time_base.as_integer_ratio()
        self._ticks: dict[float, int] = {}

    def ticks(self, seconds: float) -> int:
        """The ticks that fit into so many seconds; the same few lengths are asked for again and again."""
        if seconds not in self._ticks:
            self._ticks[seconds] = int(_exact(seconds) / self.time_base)
        return self._ticks[seconds]

    def seconds(self, ticks: int) -> float:
        """What so many ticks last."""
        return ticks * self._tick[0] / self._tick[1]


class Grid:
    """Cells of time, from the video's first frame on: the first frame of each is looked at whole.

    A cell is two look intervals wide: in its middle a glance is enough. Where the frame period
    (seconds) is known, an interval is a whole number of frames, so that successive looks are never
    further apart; without it, by at most one frame.
    """

    def __init__(self, interval_s: float, clock: Clock, period_s: Fraction | None) -> None:
        interval = _exact(interval_s)
        period = period_s if period_s and period_s <= interval else None
        width = 2 * (interval // period * period if period else interval) / clock.time_base
        # Half a frame early, so that pts rounded by a coarse time base stay on their side of the line.
        early = period / clock.time_base / 2 if period else Fraction(0)
        scale = math.lcm(width.denominator, early.denominator)
        self._width, self._early, self._scale = int(width * scale), int(early * scale), scale

    def cell(self, ticks: int) -> int:
        """The cell of a frame so many ticks after the first."""
        return (ticks * self._scale + self._early) // self._width


def _exact(seconds: float) -> Fraction:
    return Fraction(seconds).limit_denominator(1_000_000)
