"""An encoder in an output file, told everything about the picture that is not in its pixels."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags

from facefx.errors import UnsupportedError
from facefx.values import FieldOrder
from facefx.video.codecs import CARRIED, ENCODERS, ResolvedEncode
from facefx.video.info import VideoInfo
from facefx.video.recipes import encoder_options

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["VideoEncoder"]

_TAGS = {"hevc": "hvc1"}  # what Apple's players want; FFmpeg would write hev1
_ISO = frozenset({"mp4", "mov"})
_UNKNOWN_LEVEL = -99
_MAX_DELAY = 1000  # pictures; no encoder reorders a tenth of it
# libavcodec/defs.h, enum AVFieldOrder: PROGRESSIVE, TT, BB.
_FIELD_ORDERS = {FieldOrder.PROGRESSIVE: 1, FieldOrder.TOP_FIRST: 2, FieldOrder.BOTTOM_FIRST: 3}


class VideoEncoder:
    """The main picture's output stream.

    Packets come back with the pts of the source's frames, in the source's time base. template: the source's
    stream, None where it has nothing to carry. extra: options of the encoder beside those of its recipe.
    """

    def __init__(
        self,
        output: OutputContainer,
        resolved: ResolvedEncode,
        video: VideoInfo,
        template: VideoStream | None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self._video = video
        self._base = video.format.time_base
        self._own_clock = ENCODERS[resolved.encoder].own_clock
        self._durations: dict[int, int] = {}
        self._times: deque[int] = deque()
        self._sent = 0
        self._earliest_dts = 0
        self._rate = rate = video.average_rate or Fraction(25)
        try:
            options = encoder_options(resolved, video) | dict(extra or {})
            self.stream = cast("VideoStream", output.add_stream(resolved.encoder, rate=rate, options=options))
        except ValueError as error:  # PyAV asks the container whether it knows the codec
            raise UnsupportedError(
                f".{resolved.container} cannot hold {resolved.codec}; write .mkv"
            ) from error
        context = self.stream.codec_context
        if template is not None and resolved.codec == video.codec and CARRIED & set(video.side_data):
            self._carry(template, context)
        self._describe(context, resolved, rate)
        if video.display_matrix is not None:
            self.stream.set_display_matrix(video.display_matrix)
        context.open()  # now, so that what an encoder refuses is known before the first frame

    @property
    def extradata(self) -> bytes:
        """The stream's header, b"" where its packets carry it."""
        return self.stream.codec_context.extradata or b""

    def prepare(self, frame: VideoFrame, pts: int) -> None:
        """Give the next frame its time; its type is the encoder's own choice, not the source's."""
        frame.pict_type = 0
        if not self._sent:
            step = max(frame.duration, round(1 / (self._rate * self._base)), 1)
            self._earliest_dts = pts - _MAX_DELAY * step
        self._sent += 1
        duration = frame.duration
        if duration:
            self._durations[pts] = duration
        if self._own_clock:
            self._times.append(pts)
            frame.pts, frame.time_base = self._sent - 1, self.stream.codec_context.time_base
        else:
            frame.pts, frame.time_base = pts, self._base

    def encode(self, frame: VideoFrame | None) -> list[Packet[VideoStream]]:
        """Encode a prepared frame, None to end; the packets are to be `timed`, in this order."""
        return self.stream.encode(frame)

    def timed(self, packet: Packet[VideoStream]) -> Packet[VideoStream]:
        """Give a packet the time of its frame."""
        if self._own_clock:
            # Without B-frames packets leave in the order in which frames came, and pts is dts.
            packet.pts = packet.dts = self._times.popleft()
            packet.time_base = self._base
        pts, dts = packet.pts, packet.dts
        if pts is None:
            return packet
        duration = self._durations.pop(pts, None)
        if duration is not None:
            packet.duration = duration
        if dts is None or not self._earliest_dts <= dts <= pts:
            # x265 leaves it unset where the whole video is shorter than its reordering delay.
            packet.dts = pts
        return packet

    def _carry(self, template: VideoStream, context: VideoCodecContext) -> None:
        """Copy the source stream's parameters with all side data, for which PyAV has no setter.

        Everything of it that belongs to the old bits is set back; `_describe` sets the rest anew.
        """
        BitStreamFilterContext("null", in_stream=template, out_stream=self.stream)
        context.extradata = None
        context.bit_rate = 0
        context.level = _UNKNOWN_LEVEL
        context.codec_tag = "\0\0\0\0"

    def _describe(self, context: VideoCodecContext, resolved: ResolvedEncode, rate: Fraction) -> None:
        format_ = self._video.format
        context.width, context.height = format_.width, format_.height
        context.pix_fmt = format_.pixels.name
        context.framerate = rate
        context.time_base = 1 / rate if self._own_clock else self._base
        self.stream.time_base = self._base
        context.thread_count = resolved.threads
        context.thread_type = "FRAME" if resolved.encoder == "libx264" else "AUTO"
        context.color_range = format_.color.range_tag
        context.color_primaries = format_.color.primaries
        context.color_trc = format_.color.transfer
        context.colorspace = format_.color.space
        if format_.sample_aspect:
            context.sample_aspect_ratio = format_.sample_aspect
        context.flags |= int(Flags.bitexact)
        if not self._own_clock:
            context.flags |= int(Flags.frame_duration)
        context.field_order = _FIELD_ORDERS[format_.field_order]
        if format_.field_order:
            context.flags |= int(Flags.interlaced_dct) | int(Flags.interlaced_me)
        if resolved.container in _ISO and resolved.codec in _TAGS:
            context.codec_tag = _TAGS[resolved.codec]
        if resolved.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # it writes its greeting to stderr, past every log
