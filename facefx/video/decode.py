"""Packets in, frames out, one at a time, so that a bad packet costs a frame and not the file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from av.stream import Discard

from facefx.errors import SourceError
from facefx.video.damage import DamageLog
from facefx.video.guard import Limits, foreign_errors, open_source, prepare_decoder
from facefx.video.packets import read_packets
from facefx.video.scan import is_shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from facefx.video.info import MediaInfo

__all__ = ["NUMBERED", "Decoder"]

# A seek can land behind the wanted picture where a format has no index; look further back each time.
_BACK_S = (0, 2, 10)
# AVI has no presentation times: FFmpeg numbers packets as they are decoded, wrong for reordered pictures.
NUMBERED = frozenset({("avi", "h264"), ("avi", "hevc")})


class Decoder:
    """The main video stream of an open file, decoded in presentation order."""

    def __init__(
        self, path: str | Path, info: MediaInfo, limits: Limits, threads: int, log: DamageLog
    ) -> None:
        self._path, self._info, self._limits, self._threads, self._log = path, info, limits, threads, log
        self._container: InputContainer | None = None
        self._last: int | None = None
        self._numbered = (info.container, info.video.codec) in NUMBERED
        self._slots: list[int] = []

    def close(self) -> None:
        """Close the file; frames that were given out stay valid."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def frames(
        self, low: int | None, high: int | None, since: int | None = None
    ) -> Iterator[tuple[VideoFrame, int]]:
        """Give (frame, pts) for low ≤ pts < high; with `since` ≤ low, also the frame that is shown at low.

        That frame's own pts is below low, but not below since.
        """
        shown: tuple[VideoFrame, int] | None = None
        for frame in self._from(low):
            if self._numbered and self._slots:
                frame.pts = heappop(self._slots)  # pictures come in order, so each takes the earliest time
            pts = self._pts(frame)
            if high is not None and pts >= high:
                return
            if low is not None and pts < low:
                shown = (frame, pts) if since is not None and pts >= since else None
                continue
            if shown is not None and shown[1] < pts:
                self._last = shown[1]
                yield shown
            shown = None
            if self._last is not None and pts <= self._last:
                self._log.late(pts)
                continue
            self._last = pts
            self._log.frame(pts, corrupt=frame.is_corrupt)
            yield frame, pts

    def _from(self, low: int | None) -> Iterator[VideoFrame]:
        """Decode from a point at or before `low`; from the start where no seek gets there."""
        video = self._info.video
        # Numbered pictures are only put in order by counting from the start.
        if low is not None and low > video.start_pts and not self._numbered:
            for back_s in _BACK_S:
                target = low - int(back_s / video.format.time_base)
                if target <= video.start_pts:
                    break
                frames = self._decode(self._open(target))
                first = next(frames, None)
                if first is not None and self._pts(first) <= low:
                    yield first
                    yield from frames
                    return
                frames.close()
        yield from self._decode(self._open(None))

    def _open(self, target: int | None) -> VideoStream:
        self.close()
        self._log.restart()
        container = open_source(self._path, self._limits)
        self._container = container
        for stream in container.streams:
            if stream.index != self._info.video.index:
                stream.discard = Discard.all
        stream = next(s for s in container.streams.video if s.index == self._info.video.index)
        prepare_decoder(stream, self._limits, self._threads)
        if target is not None:
            with foreign_errors(self._path, "seeking"):
                container.seek(target, stream=stream)
        return stream

    def _decode(self, stream: VideoStream) -> Generator[VideoFrame]:
        hidden = stream.name == "vp8"
        assert self._container is not None
        packets = read_packets(self._path, self._container, [stream], lambda: self._log.bad_packet(None))
        for packet in packets:
            if packet.size:
                self._log.packet(
                    packet.pts if packet.pts is not None else packet.dts,
                    keyframe=packet.is_keyframe,
                    discard=packet.is_discard,
                    shown=not hidden or is_shown(packet),
                )
            if packet.is_corrupt:
                self._log.bad_packet(packet.pts)
            try:
                if self._numbered and packet.size and packet.pts is not None:
                    heappush(self._slots, packet.pts)
                frames = packet.decode()
            except av.error.FFmpegError:
                self._slots = [slot for slot in self._slots if slot != packet.pts]
                if not packet.is_corrupt:
                    self._log.bad_packet(packet.pts)
                continue
            yield from frames

    def _pts(self, frame: VideoFrame) -> int:
        """A frame's time; one that has none gets its decoding time, or follows the last at the usual rate."""
        if frame.pts is not None:
            return frame.pts
        video = self._info.video
        if frame.dts is not None and (self._last is None or frame.dts > self._last):
            pts = frame.dts
        elif video.average_rate:
            step = max(1, round(1 / (video.average_rate * video.format.time_base)))
            pts = video.start_pts if self._last is None else self._last + step
        else:
            raise SourceError(
                f"{self._path}: a frame has no timestamp and the file names no frame rate; "
                "remux it to .mkv first"
            )
        frame.pts = pts
        return pts
