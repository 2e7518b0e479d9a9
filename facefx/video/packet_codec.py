"""H.264 packets in memory → frames → H.264 packets: one in, one out, nothing kept back on either side."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import numpy as np
from av.codec.context import Flags

from facefx.errors import ConfigError, SinkError, SourceError, UnsupportedError
from facefx.values import FrameBatch, Patch, PixelFormat, StreamFormat
from facefx.video.color import color_of
from facefx.video.frame_codec import CodecRules, Coded, Received
from facefx.video.nal import IDR, is_picture, kinds_of, lengths_to_kinds, make_avcc, to_lengths
from facefx.video.planes import FrameViews, write_views

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["H264Codec", "H264Decoder", "H264Encoder", "check_bytes", "paste"]

_INTRA, _ANY = 1, 0  # libavutil: AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE
_WHERE = "packet"
_USUAL_RATE = 30


def check_bytes(data: bytes, most: int) -> None:
    """Refuse a coded frame that is empty or too large, before anything looks into it.

    Raises SourceError.
    """
    if not 0 < len(data) <= most:
        raise SourceError(f"frame of {len(data)} bytes: expected 1 to {most}")


def paste(frame: VideoFrame, format: StreamFormat, patches: Sequence[Patch]) -> None:
    """Paste patches into a decoder's frame, which gets memory of its own before."""
    if not patches:
        return
    frame.make_writable()
    planes = write_views(frame, format)
    for patch in patches:
        patch.paste(planes)


class H264Decoder:
    """Packets of one stream → frames, each with its packet.

    A stream that reorders its pictures (B-frames) is refused: its frames could not leave as they come. After
    a packet that cannot be decoded, packets are refused up to the next key frame.
    """

    def __init__(
        self, rules: CodecRules, time_base: Fraction, *, avcc: bool, config: bytes, rotation: int
    ) -> None:
        self._rules, self._base, self._rotation = rules, time_base, rotation
        self._avcc, self._config = avcc, config
        self._apart = b""  # parameter sets that came in a packet of their own
        self._index = 0
        if avcc and config[:1] != b"\1":
            raise SourceError(
                "an avcc stream needs its parameter sets (avcC) as config; send them, or use h264"
            )
        context: Any = av.CodecContext.create("h264", "r")
        context.thread_count = 1
        context.flags |= int(Flags.low_delay)
        context.options = {"max_pixels": str(self._rules.max_pixels)}
        if self._config:
            context.extradata = self._config
        self._context = context
        self._waits = True

    def _begin_anew(self) -> None:
        """Forget pictures, and keep parameter sets."""
        self._context.flush_buffers()
        self._waits = True

    def decode(self, data: bytes, pts: int) -> VideoFrame | None:
        """The packet's frame; None where it holds parameter sets alone.

        Raises SourceError, UnsupportedError.
        """
        check_bytes(data, self._rules.max_bytes)
        kinds = lengths_to_kinds(data, self._config) if self._avcc else kinds_of(data)
        if not kinds:
            raise SourceError("no H.264 in Annex B: no start code in a packet")
        if not any(is_picture(kind) for kind in kinds):
            self._keep(data)
            return None
        if self._waits and IDR not in kinds:
            raise SourceError("no key frame has come yet, or not since a packet that could not be decoded")
        data, self._apart = self._apart + data, b""
        frames = self._decoded(data, pts)
        if len(frames) != 1:
            self._begin_anew()
            raise UnsupportedError(
                f"a packet gave {len(frames)} pictures, expected 1: send one picture a packet, without "
                "B-frames (x264: tune zerolatency)"
            )
        self._waits = False
        return frames[0]

    def _keep(self, data: bytes) -> None:
        """Keep parameter sets for the next packet."""
        if self._avcc:
            return
        self._apart += data
        if len(self._apart) > self._rules.max_bytes:
            self._apart = b""
            raise SourceError("parameter sets without end and no picture; send pictures")

    def _decoded(self, data: bytes, pts: int) -> list[VideoFrame]:
        packet = av.Packet(data)
        packet.pts = packet.dts = pts
        packet.time_base = self._base
        try:
            return list(self._context.decode(packet))
        except (av.error.FFmpegError, ValueError) as error:
            self._begin_anew()
            raise SourceError(
                f"{_WHERE} at pts {pts} cannot be decoded: it is damaged, no H.264, or of more than "
                f"{self._rules.max_pixels} pixels; go on with a key frame"
            ) from error

    def batch(self, frame: VideoFrame, pts: int) -> FrameBatch:
        """A batch of the frame alone.

        Raises UnsupportedError for a pixel format that cannot be edited, and for interlaced pictures.
        """
        if frame.interlaced_frame:
            raise UnsupportedError("interlaced pictures are not taken live; deinterlace them before")
        format_ = self._format(frame)
        index = np.array([self._index], np.int64)
        self._index += 1
        views = FrameViews((frame,), format_, _WHERE)
        return FrameBatch(format_, views, np.array([pts], np.int64), index, (frame,))

    def _format(self, frame: VideoFrame) -> StreamFormat:
        pixels = PixelFormat.of(frame.format.name)
        aspect = self._context.sample_aspect_ratio
        return StreamFormat(
            pixels=pixels,
            width=frame.width,
            height=frame.height,
            time_base=self._base,
            color=color_of(
                space=int(frame.colorspace),
                primaries=int(frame.color_primaries),
                transfer=int(frame.color_trc),
                range_tag=int(frame.color_range),
                chroma_location=0,
                pixels=pixels.name,
                depth=pixels.depth,
                height=frame.height,
            ),
            rotation=(frame.rotation or self._rotation) % 360,
            sample_aspect=Fraction(aspect) if aspect else Fraction(0, 1),
        )

    def close(self) -> None:
        """Let the decoder go."""
        self._context = None


class H264Encoder:
    """Frames of one format → packets; no look-ahead, no B-frames, a key frame whenever it is asked for.

    The first packet, and each that holds a key frame, can be decoded without any before it.

    Raises SinkError where the encoder cannot be had.
    """

    def __init__(self, format: StreamFormat, rules: CodecRules, *, avcc: bool) -> None:
        self._avcc = avcc
        context: Any = av.CodecContext.create("libx264", "w")
        color = format.color
        context.width, context.height, context.pix_fmt = format.width, format.height, format.pixels.name
        context.time_base, context.framerate = format.time_base, Fraction(_USUAL_RATE)
        context.color_range, context.color_primaries = color.range_tag, color.primaries
        context.color_trc, context.colorspace = color.transfer, color.space
        if format.sample_aspect:
            context.sample_aspect_ratio = format.sample_aspect
        context.thread_count = 1
        context.flags |= int(Flags.bitexact) | (int(Flags.global_header) if avcc else 0)
        context.options = {
            "preset": rules.preset,
            "tune": "zerolatency",
            "bf": "0",
            "crf": f"{rules.crf:g}",
            "g": str(rules.key_every),
        }
        try:
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise SinkError(
                f"{format.width}x{format.height} {format.pixels.name} cannot be coded as H.264: {error}"
            ) from error
        self._context = context
        self._config = make_avcc(bytes(context.extradata or b"")) if avcc else b""

    def encode(self, frame: VideoFrame, pts: int, *, key_frame: bool) -> Coded:
        """Code one frame.

        Raises SinkError.
        """
        frame.pict_type = _INTRA if key_frame else _ANY
        frame.pts, frame.time_base = pts, self._context.time_base
        try:
            packets = list(self._context.encode(frame))
        except (av.error.FFmpegError, ValueError) as error:
            raise SinkError(f"frame at pts {pts} cannot be coded as H.264: {error}") from error
        if len(packets) != 1:
            raise SinkError(
                f"frame at pts {pts} gave {len(packets)} packets, expected 1 of a zero-latency coder"
            )
        data, key = bytes(packets[0]), bool(packets[0].is_keyframe)
        if self._avcc:
            return Coded(to_lengths(data), key, self._config if key else b"")
        return Coded(data, key)

    def close(self) -> None:
        """Let the encoder go."""
        self._context = None


class H264Codec:
    """A stream of H.264 packets; where the pictures' format changes, so does that of those that leave."""

    def __init__(
        self, rules: CodecRules, time_base: Fraction, *, avcc: bool, config: bytes = b"", rotation: int = 0
    ) -> None:
        if rotation % 90:
            raise ConfigError(f"rotation must be a multiple of 90, got {rotation}")
        self._rules, self._avcc = rules, avcc
        self._decoder = H264Decoder(rules, time_base, avcc=avcc, config=config, rotation=rotation)
        self._encoder: H264Encoder | None = None
        self._format: StreamFormat | None = None

    def decode(self, data: bytes, pts: int) -> Received | None:
        """See FrameCodec."""
        frame = self._decoder.decode(data, pts)
        return None if frame is None else Received(self._decoder.batch(frame, pts), frame)

    def encode(self, received: Received, patches: Sequence[Patch], *, key_frame: bool = False) -> Coded:
        """See FrameCodec."""
        batch, frame = received.batch, cast("VideoFrame", received.source)
        if self._encoder is None or batch.format != self._format:
            self._encoder = H264Encoder(batch.format, self._rules, avcc=self._avcc)
            self._format = batch.format
        paste(frame, batch.format, patches)
        return self._encoder.encode(frame, int(batch.pts[0]), key_frame=key_frame)

    def close(self) -> None:
        """See FrameCodec."""
        self._decoder.close()
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
