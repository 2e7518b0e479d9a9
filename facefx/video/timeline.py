"""How the output's clock lies against the source's: one shift for every stream, exact for the picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from facefx.video.info import Chapter, MediaInfo

if TYPE_CHECKING:
    import av.container.core

__all__ = ["Timeline", "chapters_on", "timeline_of"]

# Containers that keep a late start by themselves, each in its own family.
_FAMILIES = {"mp4": "iso", "mov": "iso", "mkv": "matroska", "webm": "matroska", "ts": "ts", "flv": "flv"}
_MS = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Timeline:
    """shift: seconds that the source's clock is put back; low, high: seconds of it that are wanted."""

    shift: Fraction = Fraction(0)
    low: Fraction | None = None
    high: Fraction | None = None

    def ticks(self, time_base: Fraction) -> int:
        """How far a clock of that base is put back, to the nearest tick."""
        return round(self.shift / time_base)

    def move(self, pts: int, time_base: Fraction) -> int:
        """A source pts on the output's clock, to the nearest tick."""
        return pts - self.ticks(time_base)

    def wants(self, pts: int, duration: int, time_base: Fraction, *, overlap: bool) -> bool:
        """True for a packet inside the range; overlap: also for one that only reaches into it."""
        if self.low is None and self.high is None:
            return True
        start = pts * time_base
        if self.high is not None and start >= self.high:
            return False
        if self.low is None:
            return True
        return start + duration * time_base > self.low if overlap else start >= self.low


def timeline_of(
    info: MediaInfo, container: str, first_pts: int, low: int | None, high: int | None
) -> Timeline:
    """Lay the clocks: an excerpt starts at 0; a whole file keeps its own clock where its container can.

    MPEG-TS starts anywhere (at an hour, after a day); in another kind of file that would be an hour of
    nothing, so there the earliest stream is put to 0. low, high: pts of the video; first_pts: of the
    first frame that is written.
    """
    base = info.video.format.time_base
    wanted = (None if low is None else low * base, None if high is None else high * base)
    if low is not None and low > info.video.start_pts:
        return Timeline(first_pts * base, *wanted)
    if _FAMILIES.get(info.container) == _FAMILIES.get(container):
        return Timeline(Fraction(0), *wanted)
    ticks = max(0, int(info.start / base))
    return Timeline(ticks * base, *wanted)


def chapters_on(chapters: Iterable[Chapter], timeline: Timeline) -> list[av.container.core.Chapter]:
    """The chapters that the range touches, on the output's clock, as PyAV takes them."""
    kept = []
    for chapter in chapters:
        start, end = chapter.start * chapter.time_base, chapter.end * chapter.time_base
        if timeline.high is not None:
            end = min(end, timeline.high)
        if timeline.low is not None:
            start = max(start, timeline.low)
        if end > start or (timeline.low is None and timeline.high is None):
            kept.append((start - timeline.shift, end - timeline.shift, chapter.title))
    return [
        {
            "id": number,
            "start": max(0, round(start / _MS)),
            "end": max(0, round(end / _MS)),
            "time_base": _MS,
            "metadata": {} if title is None else {"title": title},
        }
        for number, (start, end, title) in enumerate(kept)
    ]
