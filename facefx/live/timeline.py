"""One time for what comes out, however often the source begins anew."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

__all__ = ["Timeline"]


class Timeline:
    """Maps the source's times to the output's, which never run backwards.

    Within one connection the source's own spacing is kept, and the first connection's times are kept as
    they are. After a break the output goes on as much later as the break lasted by the clock; pictures and
    sound are moved alike. time_base: of the pictures. period: seconds from frame to frame.
    """

    def __init__(self, time_base: Fraction, period: Fraction) -> None:
        self._base = time_base
        self._period = max(period, time_base)
        self._offset: int | None = 0
        self._last: int | None = None
        self._arrived_s = 0.0
        self._sound: int | None = None

    def restart(self) -> None:
        """The source begins anew, at whatever time it likes."""
        if self._last is not None:
            self._offset = None

    def picture(self, pts: int, arrived_s: float) -> int:
        """The output's pts of a frame, in the time base of the pictures."""
        out = pts + self._moved_by(pts * self._base, arrived_s)
        if self._last is not None and out <= self._last:  # it ran backwards within a connection
            self._offset = self._last + self._ticks(self._period) - pts
            out = pts + self._offset
        self._last, self._arrived_s = out, arrived_s
        return out

    def sound(self, packet: Any, arrived_s: float) -> Any | None:
        """The packet at its time in the output; None where it would run backwards.

        packet: a dataclass with pts, dts and time_base.
        """
        base: Fraction = packet.time_base
        moved = round(self._moved_by(packet.pts * base, arrived_s) * self._base / base)
        if self._sound is not None and packet.dts + moved <= self._sound:
            return None
        self._sound = packet.dts + moved
        return replace(packet, pts=packet.pts + moved, dts=packet.dts + moved)

    def _moved_by(self, seconds: Fraction, arrived_s: float) -> int:
        """Ticks to add; found anew at the first picture or packet after a break."""
        if self._offset is None:
            assert self._last is not None
            passed = max(self._period, Fraction(arrived_s - self._arrived_s).limit_denominator(1000))
            self._offset = self._last + self._ticks(passed) - self._ticks(seconds)
        return self._offset

    def _ticks(self, seconds: Fraction) -> int:
        return round(seconds / self._base)
