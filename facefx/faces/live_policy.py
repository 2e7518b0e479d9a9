"""How faces are looked for in a live stream: no frame waits for a later one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal

from facefx.errors import ConfigError
from facefx.faces.policy import REACH_S, SURE

__all__ = ["BEAUTY_INTERVAL_S", "START", "LivePolicy"]

# A sight this sure starts a face at once: nothing later can confirm it. Measured with YuNet at every frame:
# the lowest sure sight of a truth box of foreman, pair and signer is 0.66, the surest of anything else on all
# eight clips 0.63 (once), on the face-free clips nothing is 0.3. Archives, which look ahead, ask for 0.7.
START = MappingProxyType({"yunet": 0.5, "blazeface": 0.55, "blazeface-short": 0.55})

_AGAIN, _LOW = 0.4, 0.3

BEAUTY_INTERVAL_S = 0.1
"""How often a chain that hides nobody looks: a mesh follows each face in between."""


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """The live policy: every frame's faces are concluded from it and from earlier ones.

    look: its name in settings. look_interval_s: time between two looks; 0: every frame is looked at, which
    hiding needs. high: a detection this sure starts a face; again: two this sure at one place within
    again_s start one; low: one this sure continues a face; sure: one this sure is no mistake. hold_s: how
    long a face is held after its last sight; one that never was sure for brief_s and as long as it was
    seen. growth_per_s: share by which a held box grows. memory_s: how long after its end a face that comes
    back at its place gets its number back. flash_s: longest flash that is not a cut.

    Raises ConfigError if a value is out of range.
    """

    look: Literal["live"] = "live"
    look_interval_s: float = 0.0
    high: float = 0.5
    again: float = _AGAIN
    again_s: float = 0.2
    low: float = _LOW
    sure: float = 0.7
    hold_s: float = 0.5
    brief_s: float = 0.2
    growth_per_s: float = 0.6
    memory_s: float = 2.0
    flash_s: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "look" and not 0 <= value <= REACH_S:
                raise ConfigError(
                    f"live face policy: {field.name} must be within 0..{REACH_S:g}, got {value}"
                )
        if not self.low <= self.again <= self.high <= self.sure <= 1:
            raise ConfigError(
                "live face policy: expected low ≤ again ≤ high ≤ sure ≤ 1, got "
                f"{self.low}, {self.again}, {self.high}, {self.sure}"
            )
        if self.look_interval_s > self.hold_s:
            raise ConfigError(
                f"live face policy: look_interval_s must not exceed hold_s {self.hold_s}, "
                f"got {self.look_interval_s}"
            )

    @classmethod
    def for_detector(cls, name: str, **changes: float) -> LivePolicy:
        """The policy whose thresholds fit a detector, with changes.

        >>> LivePolicy.for_detector("yunet", hold_s=0.4).high
        0.5
        """
        high = changes.get("high", START.get(name, START["yunet"]))
        low = changes.get("low", _LOW)
        again, sure = max(low, min(_AGAIN, high)), max(SURE.get(name, SURE["yunet"]), high)
        fitting = {"low": low, "high": high, "again": again, "sure": sure}
        return cls(**{**fitting, **changes})  # type: ignore[arg-type]

    @property
    def look_ahead_s(self) -> float:
        """How much later than a frame the newest one must be for its faces to be final: not at all."""
        return 0.0
