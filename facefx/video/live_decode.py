"""Packets of a live container, stamped as they come; pictures decoded, sound as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av.error
from av.codec.context import Flags
from av.stream import Discard

from facefx.errors import SourceError
from facefx.video.damage import Damage
from facefx.video.guard import Limits, prepare_decoder
from facefx.video.live_values import CodedUnit

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from facefx.video.info import VideoInfo

__all__ = ["LiveDecoder", "Read"]

_MOST_BAD = 300  # packets in a row that cannot be read or decoded: the stream is lost, not a frame
_MOST_PENDING = 64
_MOST_BACK_S = 1.0


@dataclass(frozen=True, slots=True)
class Read:
    """A decoded frame with its pts, or a packet of sound; at: when its packet came."""

    at: float
    frame: VideoFrame | None = None
    pts: int = 0
    unit: CodedUnit | None = None


class LiveDecoder:
    """Reads an open container, in one thread."""

    def __init__(
        self,
        label: str,
        container: InputContainer,
        video: VideoStream,
        sound: AudioStream | None,
        limits: Limits,
        threads: int,
    ) -> None:
        self._label, self._container, self._video, self._sound = label, container, video, sound
        self.info: VideoInfo | None = None
        self._base = video.time_base or Fraction(1, 1000)
        prepare_decoder(video, limits, threads)
        video.codec_context.flags |= int(Flags.low_delay)
        for other in container.streams:
            if other not in (video, sound):
                other.discard = Discard.all
        self._came: dict[int, float] = {}
        self._last: int | None = None
        self._seen = self._decoded = self._bad = self._broken = self._late = self._row = 0
        self._first_bad: int | None = None

    @property
    def damage(self) -> Damage:
        """What was readable so far; a frame that the decoder still holds counts as not yet."""
        first = None if self._first_bad is None else float(self._first_bad * self._base)
        expected = self._decoded + self._bad + self._late
        return Damage(self._decoded, expected, self._bad, self._broken, self._late, first)

    def reads(self, release: Callable[[float], float]) -> Iterator[Read]:
        """Read to the end. release: given a packet's time in seconds, waits and says when it came."""
        for packet in self._packets():
            if packet.dts is None and packet.pts is None:
                if packet.stream is self._video:
                    yield from self._decode(packet)  # the end: what the decoder still holds
                continue
            moment = packet.dts if packet.dts is not None else packet.pts
            assert moment is not None
            at = release(float(moment * (packet.time_base or self._base)))
            if packet.stream is self._sound:
                yield Read(at, unit=_unit(packet))
            else:
                self._note(packet, at)
                yield from self._decode(packet)

    def _packets(self) -> Iterator[Packet[Any]]:
        """Demux, on past what the format cannot read."""
        streams = [self._video] if self._sound is None else [self._video, self._sound]
        while True:
            try:
                yield from self._container.demux(*streams)
                return
            except av.error.InvalidDataError:
                self._failed(None)

    def _note(self, packet: Packet[Any], at: float) -> None:
        pts = packet.pts if packet.pts is not None else packet.dts
        self._seen += 1
        if pts is not None:
            self._came[pts] = at
            if len(self._came) > _MOST_PENDING:
                del self._came[min(self._came)]

    def _decode(self, packet: Packet[Any]) -> Iterator[Read]:
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self._failed(packet.pts)
            return
        if packet.is_corrupt:
            self._failed(packet.pts)
        for frame in frames:
            self._check(frame)
            pts = self._pts(frame)
            at = self._came.pop(pts, None)
            if self._last is not None and pts <= self._last:
                self._is_late(pts)
                continue
            self._last, self._row = pts, 0
            self._decoded += 1
            self._broken += frame.is_corrupt
            yield Read(time.monotonic() if at is None else at, frame=frame, pts=pts)

    def _check(self, frame: VideoFrame) -> None:
        """Every picture is as the first one was; info: of it."""
        if self.info is None:
            return
        format_ = self.info.format
        was = f"{format_.width}x{format_.height} {format_.pixels.name}"
        now = f"{frame.width}x{frame.height} {frame.format.name}"
        if now != was:
            raise SourceError(f"{self._label}: the picture changes from {was} to {now}; open it again")

    def _is_late(self, pts: int) -> None:
        """Count a frame whose time does not follow; a clock that began anew is more than that."""
        assert self._last is not None
        back_s = float((self._last - pts) * self._base)
        if back_s > _MOST_BACK_S:
            raise SourceError(f"{self._label}: the clock goes back by {back_s:.1f} s; open it again")
        self._late += 1

    def _failed(self, pts: int | None) -> None:
        """Count a packet that gave no frame; so many in a row are more than that."""
        self._bad += 1
        self._row += 1
        if self._first_bad is None:
            self._first_bad = pts
        if self._row > _MOST_BAD:
            raise SourceError(f"{self._label}: {self._row} packets in a row cannot be decoded; open it again")

    def _pts(self, frame: VideoFrame) -> int:
        """A frame's time; one that has none follows the last at the usual rate."""
        if frame.pts is None:
            rate = (self.info.average_rate if self.info else None) or Fraction(30)
            step = max(1, round(1 / (rate * self._base)))
            frame.pts = step + (self._last if self._last is not None else -step)
        return frame.pts


def _unit(packet: Packet[Any]) -> CodedUnit:
    """Copy a packet of sound out of the demuxer's memory."""
    dts = packet.dts if packet.dts is not None else packet.pts
    pts = packet.pts if packet.pts is not None else dts
    assert dts is not None
    assert pts is not None
    assert packet.time_base is not None
    return CodedUnit("audio", bytes(packet), pts, dts, packet.duration or 0, packet.time_base, True)
