"""What a run promised, and the pair of files that is held against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

from facefx.errors import ConfigError
from facefx.video.fidelity_facts import FileFacts, StreamFacts, Times
from facefx.video.fidelity_time import Clock, Shift, common_shift, first_shift

__all__ = ["Clause", "Contract", "DecodeLevel", "Pair"]

DecodeLevel = Literal["none", "sample", "full"]


@dataclass(frozen=True, slots=True)
class Contract:
    """What was asked of a run, where that is more than "the same again".

    from_s, to_s: the excerpt, from_s ≤ t < to_s on a player's clock, which begins with the file.
    removed: indexes of source streams that were to be left out. codec: the output's, by FFmpeg's
    codec name ("h264"), None for any. pixels: the pixel format asked for, None for the source's.
    readable: how many pictures of a damaged source could be decoded; None with on_damage "keep":
    verify decodes the source to count them. written: how many the sink encoded, if it says so.

    Raises ConfigError for an excerpt that holds nothing.
    """

    audio: Literal["keep", "drop"] = "keep"
    metadata: Literal["keep", "strip"] = "keep"
    from_s: float | None = None
    to_s: float | None = None
    removed: frozenset[int] = frozenset()
    codec: str | None = None
    pixels: str | None = None
    on_damage: Literal["fail", "keep"] = "fail"
    readable: int | None = None
    written: int | None = None

    def __post_init__(self) -> None:
        if self.from_s is not None and self.to_s is not None and self.to_s <= self.from_s:
            raise ConfigError(f"contract: to_s must be after from_s, got {self.from_s} and {self.to_s}")

    def range_of(self, source: FileFacts) -> tuple[Fraction | None, Fraction | None]:
        """from_s and to_s on a source's own clock; exact to the microsecond, as people write them."""
        low, high = (
            None if value is None else source.zero_s + Fraction(value).limit_denominator(1_000_000)
            for value in (self.from_s, self.to_s)
        )
        return low, high

    @property
    def excerpt(self) -> bool:
        """True if only a part of the source was asked for."""
        return self.from_s is not None or self.to_s is not None


@dataclass(frozen=True, slots=True)
class Clause:
    """One promise: held (ok) or broken, with what was expected and what was found."""

    name: str
    ok: bool
    expected: str
    got: str


@dataclass(frozen=True)
class Pair:
    """Source and output side by side, with the pictures that the output must show.

    wanted: pts of those pictures, in order, in the source's time base. exact: every one of them must
    be there; False for a damaged source, of which only `count` were readable, nobody says which.
    """

    source: FileFacts
    output: FileFacts
    contract: Contract
    wanted: Times
    count: int
    exact: bool = True
    shown: Times = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", self.output.video.presented)

    @property
    def source_clock(self) -> Clock:
        """The pictures asked for, with their time base."""
        return Clock(self.wanted, self.source.video.time_base)

    @property
    def output_clock(self) -> Clock:
        """The pictures found, with their time base."""
        return Clock(self.shown, self.output.video.time_base)

    @cached_property
    def shift(self) -> Shift | None:
        """By how much the whole file may have moved in time, told by its pictures; None without any."""
        if not len(self.wanted) or not len(self.shown):
            return None
        if self.exact and len(self.wanted) == len(self.shown):
            fits = common_shift(self.source_clock, self.output_clock)
            if fits is not None:
                return fits
        return first_shift(self.source_clock, self.output_clock)

    @property
    def first_s(self) -> Fraction:
        """When the first picture asked for is shown, on the source's clock."""
        return int(self.wanted[0]) * self.source.video.time_base if len(self.wanted) else Fraction(0)

    @property
    def asked(self) -> tuple[Fraction | None, Fraction | None]:
        """The excerpt as it was asked for, on the source's clock; None where it is open."""
        return self.contract.range_of(self.source)

    @property
    def filled(self) -> tuple[Fraction | None, Fraction | None]:
        """The part of the excerpt from its first picture to the end of its last; None where it is open."""
        low, high = self.asked
        if not len(self.wanted):
            return low, high
        end = int(self.wanted[-1]) * self.source.video.time_base + self.source.last_duration_of(self.wanted)
        return None if low is None else self.first_s, None if high is None else min(end, high)

    def kept(self, kind: str) -> tuple[StreamFacts, ...]:
        """Streams of one kind that the output must hold, in order."""
        if kind == "audio" and self.contract.audio == "drop":
            return ()
        streams = self.source.of_kind(kind)
        return tuple(stream for stream in streams if stream.index not in self.contract.removed)
