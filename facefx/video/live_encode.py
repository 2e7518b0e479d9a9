"""Frames and patches into one coded stream, at once: no picture waits for the next."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.error

from facefx.errors import ConfigError, SinkError
from facefx.values import FrameBatch, Patch
from facefx.video.codecs import EncodeSettings, ResolvedEncode, resolve
from facefx.video.encoder import VideoEncoder
from facefx.video.feed import Feed
from facefx.video.info import MediaInfo, VideoInfo
from facefx.video.live_values import CodedUnit

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["LiveEncode", "LiveEncoder"]

_INTRA = 1  # libavutil/avutil.h: AV_PICTURE_TYPE_I
_USUAL_RATE = Fraction(30)


@dataclass(frozen=True, slots=True)
class LiveEncode:
    """How a live stream is coded: H.264 without B-frames and without looking ahead.

    crf: quality, lower is better; bitrate: bits a second instead, held within one second. gop_s: seconds from
    key frame to key frame, which is how long a viewer who joins may wait. segment_s, window: of HLS, the
    least seconds of a segment and how many the playlist holds.
    """

    codec: str = "libx264"
    preset: str = "superfast"
    crf: float | None = None
    bitrate: int | None = None
    gop_s: float = 1.0
    threads: int = 1
    segment_s: float = 2.0
    window: int = 6

    def __post_init__(self) -> None:
        if self.codec != "libx264":
            raise ConfigError(f"live output is coded by libx264, got {self.codec!r}: RTMP carries H.264")
        if not 0.1 <= self.gop_s <= 10:
            raise ConfigError(f"gop_s must be 0.1..10 seconds, got {self.gop_s}")
        if not 0.2 <= self.segment_s <= 30 or not 3 <= self.window <= 100:
            raise ConfigError(
                f"HLS needs segment_s of 0.2..30 and a window of 3..100, got {self.segment_s}, {self.window}"
            )
        if self.crf is not None and self.bitrate is not None:
            raise ConfigError("give crf or bitrate, not both")
        if self.bitrate is not None and not 10_000 <= self.bitrate <= 200_000_000:
            raise ConfigError(f"bitrate must be 10000..200000000 bits a second, got {self.bitrate}")


class LiveEncoder:
    """One encoder, for one thread. stream: for muxers to copy; it lives as long as this."""

    def __init__(self, settings: LiveEncode, video: VideoInfo) -> None:
        video = replace(video, side_data=(), average_rate=video.average_rate or _USUAL_RATE)
        resolved = _resolved(settings, video)
        self._holder = av.open(_Nowhere(), "w", format="matroska")
        try:
            self._encoder = _Keyed(self._holder, resolved, video, settings)
            self._holder.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            raise SinkError(f"the encoder {settings.codec} refuses this video: {error}") from error
        self._feed = Feed(self._encoder)

    @property
    def stream(self) -> VideoStream:
        """The coded stream's description."""
        return self._encoder.stream

    @property
    def extradata(self) -> bytes:
        """SPS and PPS, behind start codes."""
        return self._encoder.extradata

    def force_keyframe(self) -> None:
        """Make the next frame a key frame; from any thread."""
        self._encoder.forced.set()

    def encode(self, batch: FrameBatch, patches: Sequence[Patch]) -> list[CodedUnit]:
        """Paste and encode; what comes out is whole. Changes the batch's native frames; see Feed.write.

        Raises SinkError, ShapeError.
        """
        try:
            return [_unit(packet) for packet in self._feed.write(batch, patches)]
        except (av.error.FFmpegError, ValueError) as error:
            raise SinkError(f"encoding a frame failed: {error}") from error

    def flush(self) -> list[CodedUnit]:
        """What the encoder still holds; nothing, as it holds nothing back."""
        return [_unit(packet) for packet in self._feed.flush()]


class _Keyed(VideoEncoder):
    """The encoder with key frames at times, not only at counts: a live source loses frames."""

    def __init__(
        self, output: OutputContainer, resolved: ResolvedEncode, video: VideoInfo, settings: LiveEncode
    ) -> None:
        self.forced = threading.Event()
        self._gop = settings.gop_s / float(video.format.time_base)
        self._key: int | None = None
        super().__init__(output, resolved, video, None, _options(settings, video))

    def prepare(self, frame: VideoFrame, pts: int) -> None:
        """Give the next frame its time, and its type where a key frame is due."""
        super().prepare(frame, pts)
        # Half a tick early: a rate such as 29.97 never hits the second.
        if self._key is None or pts - self._key >= self._gop - 0.5 or self.forced.is_set():
            self.forced.clear()
            self._key = pts
            frame.pict_type = _INTRA

    def _describe(self, context: VideoCodecContext, resolved: ResolvedEncode, rate: Fraction) -> None:
        super()._describe(context, resolved, rate)
        # Several threads share a picture; a picture each would keep one back for every thread.
        context.thread_type = "SLICE"


class _Nowhere:
    """A file that takes everything and keeps nothing."""

    def write(self, data: bytes) -> int:
        """Take it."""
        return len(data)


def _resolved(settings: LiveEncode, video: VideoInfo) -> ResolvedEncode:
    """Ask the one table of encoders whether this picture can be written."""
    info = MediaInfo(
        path="live stream", container="mkv", size_bytes=0, start=Fraction(0), duration_s=0.0, video=video,
        streams=(),
    )  # fmt: skip
    chosen = EncodeSettings(
        codec=settings.codec,
        crf=23.0 if settings.crf is None else settings.crf,
        preset=settings.preset,
        threads=settings.threads,
    )
    resolved = resolve(chosen, info, "live.mkv")
    return resolved if settings.bitrate is None else replace(resolved, crf=None)


def _options(settings: LiveEncode, video: VideoInfo) -> dict[str, str]:
    rate = video.average_rate or _USUAL_RATE
    options = {
        "tune": "zerolatency",
        "forced-idr": "1",
        "bf": "0",
        "sc_threshold": "0",
        # Twice what the clock asks for: this counts only where the clock does not.
        "g": str(max(2, math.ceil(2 * settings.gop_s * rate))),
    }
    if settings.bitrate is not None:
        options |= {"b": str(settings.bitrate), "maxrate": str(settings.bitrate)}
        options["bufsize"] = str(settings.bitrate)
    return options


def _unit(packet: Packet[VideoStream]) -> CodedUnit:
    pts, dts, base = packet.pts, packet.dts, packet.time_base
    assert pts is not None
    assert dts is not None
    assert base is not None
    return CodedUnit("video", bytes(packet), pts, dts, packet.duration or 0, base, packet.is_keyframe)
