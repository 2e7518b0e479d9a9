"""A video file as batches of frames in their own planes; nothing is converted, turned or copied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from facefx.errors import ConfigError, DamagedError, SourceError, UnsupportedError
from facefx.values import FrameBatch, StreamFormat
from facefx.values.frames import MAX_BATCH, frames_in_batch
from facefx.video.damage import Damage, DamageLog
from facefx.video.decode import Decoder
from facefx.video.guard import Limits
from facefx.video.planes import FrameViews
from facefx.video.probe import probe

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from facefx.video.info import MediaInfo

__all__ = ["Damage", "Stretch", "VideoSource", "window_of"]

OnDamage = Literal["fail", "keep"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of what is asked for, lo ≤ pts < hi (None: open), with what is read before and after it.

    before: so many ticks before lo, and the frame that is shown then. after: from hi on to the first frame
    that is so many ticks later, from that on to the first that is so many ticks later, and so forth.
    Damage is counted in the stretch only, and no batch reaches over its ends, or over the end of a step.
    """

    lo: int | None = None
    hi: int | None = None
    before: int = 0
    after: tuple[int, ...] = ()


class VideoSource:
    """Decode the main video stream of a local file.

    from_s, to_s: seconds on a player's clock (0 = the file's start); frames outside are dropped.
    on_damage "fail": a file that does not decode whole raises DamagedError, after the rest was counted;
    "keep": what is readable is given, and `damage` tells what was not. batch_frames: at most so many
    frames a batch (1 or 2 for a live stream). info: what `probe` found, where that is known already.
    stretch: only a part of that range is wanted.

    Raises SourceError, UnsupportedError when made.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        limits: Limits | None = None,
        on_damage: OnDamage = "fail",
        from_s: float | None = None,
        to_s: float | None = None,
        threads: int = 1,
        batch_frames: int = MAX_BATCH,
        info: MediaInfo | None = None,
        stretch: Stretch | None = None,
    ) -> None:
        if on_damage not in ("fail", "keep"):
            raise ConfigError(f"on_damage must be 'fail' or 'keep', got {on_damage!r}")
        if not 1 <= batch_frames <= MAX_BATCH:
            raise ConfigError(f"batch_frames must be 1..{MAX_BATCH}, got {batch_frames}")
        self._limits = limits or Limits()
        self._path, self._batch_frames = path, batch_frames
        self.info = info or probe(path, limits=self._limits)
        self.info.require_supported()
        self._window = window_of(self.info, from_s, to_s)
        self._on_damage = on_damage
        self._stretch = stretch
        ends = () if stretch is None else (stretch.lo, stretch.hi)
        self._edges = [end for end in ends if end is not None]
        counted = self._window if stretch is None else (stretch.lo, stretch.hi)
        self._log = DamageLog(self.info.video, counted, only_inside=stretch is not None)
        self._threads = threads
        self._decoder: Decoder | None = None
        self._iterator: Iterator[FrameBatch] | None = None
        self._closed = False

    @property
    def format(self) -> StreamFormat:
        """What every frame shares."""
        return self.info.video.format

    @property
    def damage(self) -> Damage:
        """What was readable so far; final when the batches have ended."""
        return self._log.summary()

    def batches(self) -> Iterator[FrameBatch]:
        """Give the frames in presentation order, at most 16 or 32 MB at a time; once per source.

        A batch's `native` frames own its pixels. Leaving the loop early is safe.
        Raises SourceError, DamagedError (on_damage "fail") and UnsupportedError (size or pixel format
        change midway).
        """
        if self._iterator is not None or self._closed:
            raise SourceError(f"{self._path}: a source gives its frames once; open it again")
        self._iterator = self._batches()
        return self._iterator

    def close(self) -> None:
        """Let go of the file; safe at any time, from any thread, more than once."""
        self._closed = True
        close = getattr(self._iterator, "close", None)
        if close is not None:
            try:
                close()
            except ValueError:
                return  # it runs in another thread: it sees _closed at its next frame and ends itself
        if self._decoder is not None:
            self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _batches(self) -> Iterator[FrameBatch]:
        size = min(self._batch_frames, frames_in_batch(self.format.frame_bytes))
        count = 0
        held: list[tuple[VideoFrame, int]] = []
        self._decoder = Decoder(self._path, self.info, self._limits, self._threads, self._log)
        try:
            for frame, pts in self._frames(self._decoder):
                if self._closed:
                    return
                if self._failing:
                    held = []  # the output is lost anyway: only count what is readable
                    continue
                if held and self._is_edge(held[-1][1], pts):
                    yield self._batch(held, count)
                    count += len(held)
                    held = []
                held.append((frame, pts))
                if len(held) == size:
                    yield self._batch(held, count)
                    count += len(held)
                    held = []
            if held and not self._failing:
                yield self._batch(held, count)
        finally:
            held = []
            self._decoder.close()
        if self._log.finish() and self._on_damage == "fail":
            summary = self._log.summary()
            raise DamagedError(
                f"{self._path}: {summary}; get a better copy, or save what is readable with --on-damage keep",
                decoded=summary.decoded,
                expected=summary.expected,
            )

    def _frames(self, decoder: Decoder) -> Iterator[tuple[VideoFrame, int]]:
        """What is to be decoded: the range that is asked for, or a stretch of it with its margins."""
        low, high = self._window
        stretch = self._stretch
        if stretch is None:
            yield from decoder.frames(low, high)
            return
        since = self.info.video.start_pts if low is None else low
        start = low if stretch.lo is None else max(stretch.lo - stretch.before, since)
        if stretch.hi is None or not stretch.after:
            stop = high if stretch.hi is None else stretch.hi
            yield from decoder.frames(start, stop, since if stretch.before else None)
            return
        steps = iter(stretch.after)
        goal = stretch.hi + next(steps)
        for frame, pts in decoder.frames(start, high, since if stretch.before else None):
            yield frame, pts
            while pts >= goal:
                step = next(steps, None)
                if step is None:
                    return
                self._edges.append(pts + 1)
                goal = pts + step

    def _is_edge(self, before: int, pts: int) -> bool:
        """True where a stretch begins or ends between two frames, or a step behind it ends."""
        return bool(self._edges) and any(before < edge <= pts for edge in self._edges)

    @property
    def _failing(self) -> bool:
        return self._on_damage == "fail" and self._log.damaged

    def _batch(self, held: list[tuple[VideoFrame, int]], start: int) -> FrameBatch:
        frames = tuple(frame for frame, _ in held)
        for frame in frames:
            self._check(frame)
        return FrameBatch(
            format=self.format,
            planes=FrameViews(frames, self.format, self._path),
            pts=np.array([pts for _, pts in held], np.int64),
            index=np.arange(start, start + len(held), dtype=np.int64),
            native=frames,
        )

    def _check(self, frame: VideoFrame) -> None:
        format_ = self.format
        if (frame.width, frame.height) != (format_.width, format_.height) or (
            frame.format.name != format_.pixels.name
        ):
            raise UnsupportedError(
                f"{self._path}: the picture changes at {float((frame.pts or 0) * format_.time_base):.3f} s: "
                f"expected {format_.width}x{format_.height} {format_.pixels.name} throughout, got "
                f"{frame.width}x{frame.height} {frame.format.name}; split the file there"
            )


def window_of(info: MediaInfo, from_s: float | None, to_s: float | None) -> tuple[int | None, int | None]:
    """Turn seconds on a player's clock into pts of the video stream: first wanted, first unwanted.

    Raises ConfigError for a range that holds nothing.
    """
    for name, value in (("from", from_s), ("to", to_s)):
        if value is not None and (not math.isfinite(value) or value < 0):
            raise ConfigError(f"--{name} must be 0 or more seconds, got {value}")
    if from_s is not None and to_s is not None and from_s >= to_s:
        raise ConfigError(f"--from must be before --to, got {from_s} and {to_s}")
    video, base = info.video, info.video.format.time_base
    low = None if from_s is None else math.ceil((info.start + _as_written(from_s)) / base)
    high = None if to_s is None else math.ceil((info.start + _as_written(to_s)) / base)
    if low is not None and low >= video.end_pts:
        length = float(video.end_pts * base - info.start)
        raise ConfigError(f"{info.path}: --from {from_s} lies behind the end of the video at {length:.3f} s")
    return low, high


def _as_written(seconds: float) -> Fraction:
    """A user's 0.2 is two tenths and 0.6666666666666666 two thirds, not the nearest binary fraction."""
    return Fraction(seconds).limit_denominator(1_000_000)
