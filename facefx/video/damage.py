"""What of a file could not be decoded: counted as it happens, never guessed from a header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facefx.video.info import VideoInfo

__all__ = ["Damage", "DamageLog"]

# Packets whose picture has not come: more than any decoder holds back, so what is older than so many is lost.
_MOST_WAITING = 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """decoded of expected frames were readable; the rest says why the others were not.

    corrupt_packets: the decoder refused them, or the demuxer flagged them. corrupt_frames: decoded,
    but the decoder had to invent part of the picture. out_of_order: frames dropped because their time
    does not follow the last one's.
    """

    decoded: int
    expected: int
    corrupt_packets: int = 0
    corrupt_frames: int = 0
    out_of_order: int = 0
    first_at_s: float | None = None

    def __bool__(self) -> bool:
        """True where anything is wrong."""
        return bool(
            self.decoded < self.expected or self.corrupt_packets or self.corrupt_frames or self.out_of_order
        )

    def __str__(self) -> str:
        parts = [f"{self.decoded} of {self.expected} frames are readable"]
        for count, name in (
            (self.corrupt_packets, "corrupt packets"),
            (self.corrupt_frames, "frames with errors"),
            (self.out_of_order, "frames out of order"),
        ):
            if count:
                parts.append(f"{count} {name}")
        if self.first_at_s is not None:
            parts.append(f"first at {self.first_at_s:.2f} s")
        return ("damaged: " if self else "") + ", ".join(parts)


class DamageLog:
    """Match what went into the decoder against what came out, by pts.

    Pictures that no decoder can show are not missed: those before the first keyframe of a recording
    that starts midway, and the leading pictures of its first group, all before info.start_pts.
    only_inside: what is wrong with packets outside the window is somebody else's to count.
    """

    def __init__(
        self, video: VideoInfo, window: tuple[int | None, int | None], *, only_inside: bool = False
    ) -> None:
        self._video = video
        self._only_inside = only_inside
        self._low, self._high = window
        self._whole = self._low is None and self._high is None
        self.restart()

    def restart(self) -> None:
        """Forget everything: the file is read again from another place."""
        self._waiting: set[int] = set()
        self._lost: int = 0
        self._lost_first: int | None = None
        self._seen_packets = 0
        self._decoded = 0
        self._unmatched = 0
        self._corrupt_packets = 0
        self._corrupt_frames = 0
        self._out_of_order = 0
        self._first: int | None = None
        self._ended = False
        self._started = False

    @property
    def damaged(self) -> bool:
        """True as soon as something went wrong."""
        return bool(self._corrupt_packets or self._corrupt_frames or self._out_of_order)

    def inside(self, pts: int) -> bool:
        """True for a pts within the wanted range."""
        return (self._low is None or pts >= self._low) and (self._high is None or pts < self._high)

    def packet(self, pts: int | None, *, keyframe: bool, discard: bool, shown: bool = True) -> None:
        """Note a packet that goes into the decoder."""
        self._started = self._started or keyframe
        if discard or not shown or (pts is not None and not self.inside(pts)):
            return
        if not self._started and (pts is None or pts < self._video.start_pts):
            return
        self._seen_packets += 1
        if pts is not None:
            self._waiting.add(pts)
            if len(self._waiting) > _MOST_WAITING:
                self._give_up(sorted(self._waiting)[: _MOST_WAITING // 2])

    def bad_packet(self, pts: int | None) -> None:
        """Note a packet that the decoder refused."""
        if self._only_inside and pts is not None and not self.inside(pts):
            return
        self._corrupt_packets += 1
        self._at(pts)

    def frame(self, pts: int, *, corrupt: bool) -> None:
        """Note a frame that came out; one outside the wanted range is not counted."""
        if not self.inside(pts):
            return
        self._decoded += 1
        if pts in self._waiting:
            self._waiting.discard(pts)
        else:
            self._unmatched += 1
        if corrupt:
            self._corrupt_frames += 1
            self._at(pts)

    def late(self, pts: int) -> None:
        """Note a frame whose time does not follow the last one's."""
        if not self.inside(pts):
            return
        self._out_of_order += 1
        self._waiting.discard(pts)
        self._at(pts)

    def finish(self) -> bool:
        """End the account; True if the file is damaged."""
        self._ended = True
        self._give_up(sorted(self._waiting))
        if self._missing:
            self._at(self._lost_first)
        return bool(self.summary())

    def summary(self) -> Damage:
        """The account so far; `expected` is the file's own count, or of the range what it holds."""
        expected = self._video.frames_expected if self._whole else self._seen_packets
        if self._ended:
            expected = max(expected if self._whole else 0, self._decoded + self._missing)
        at = None if self._first is None else float(self._first * self._video.format.time_base)
        return Damage(
            self._decoded, expected, self._corrupt_packets, self._corrupt_frames, self._out_of_order, at
        )

    @property
    def _missing(self) -> int:
        """Pictures that never came; one without a packet of its time stands for one that had one."""
        return max(0, self._lost - self._unmatched)

    def _give_up(self, times: Sequence[int]) -> None:
        """Count packets, in order of time, whose picture will not come: a number, not a growing list."""
        self._waiting.difference_update(times)
        missed = [pts for pts in times if pts >= self._video.start_pts]
        self._lost += len(missed)
        if missed and (self._lost_first is None or missed[0] < self._lost_first):
            self._lost_first = missed[0]

    def _at(self, pts: int | None) -> None:
        if pts is not None and (self._first is None or pts < self._first):
            self._first = pts
