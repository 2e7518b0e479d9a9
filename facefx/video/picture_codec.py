"""Coded pictures in memory → frames → pictures of the same kind, fast enough for a stream of them.

A JPEG is edited in its own planes and coded by FFmpeg, in 6 ms for 1280 × 720; the coder of photos, which
keeps every block that no effect touched, takes several times that. PNG, WebP and JPEGs that FFmpeg codes no
second time (grey, RGB, unusual planes) go through that one. What leaves says how it is turned, and its colour
profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import numpy as np
from av.codec.context import Flags

from facefx.errors import SinkError, SourceError, UnsupportedError
from facefx.values import Color, FrameBatch, Patch, PixelFormat, StreamFormat
from facefx.video.frame_codec import CodecRules, Coded, Received
from facefx.video.guard import Limits
from facefx.video.packet_codec import check_bytes, paste
from facefx.video.planes import FrameViews
from facefx.video.still_exif import orientation_exif, orientation_of
from facefx.video.still_jpeg import Jpeg, read_jpeg
from facefx.video.still_kinds import TargetKind, kind_of
from facefx.video.still_meta import Metadata
from facefx.video.still_source import Still, decoded_still, take_container, turn_of
from facefx.video.still_write import written

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["PictureCodec"]

_NAME = Path("picture")  # what messages call it: it has no file
_PLANES = frozenset(("yuvj420p", "yuvj422p", "yuvj444p"))  # what FFmpeg's coder takes
_Size = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class _FastJpeg:
    """A JPEG in the decoder's frame, and what is said about it when it leaves."""

    frame: VideoFrame
    said: Metadata


class PictureCodec:
    """A stream whose frames are JPEG, PNG or WebP files; each may have a size and a kind of its own."""

    def __init__(self, rules: CodecRules, time_base: Fraction) -> None:
        self._rules, self._base = rules, time_base
        self._limits = Limits(max_pixels=rules.max_pixels)
        self._decoder: Any = None
        self._coder: tuple[tuple[_Size, str], Any] | None = None
        self._index = 0

    def decode(self, data: bytes, pts: int) -> Received:
        """See FrameCodec; size in bytes and pixels is checked before a pixel is decoded."""
        check_bytes(data, self._rules.max_bytes)
        kind = kind_of(data[:64])
        if kind is None or kind == "heif":
            raise UnsupportedError(
                f"expected a JPEG, PNG or WebP picture, got {kind or 'bytes of no known kind'}"
            )
        container = take_container(data, kind, _NAME, self._limits)
        if isinstance(container, Jpeg) and len(container.components) == 3 and not container.is_rgb:
            frame = self._jpeg_frame(container)
            if frame.format.name in _PLANES:
                return self._fast(container, frame, pts)
        still = decoded_still(container, kind, _NAME, kind)
        return Received(self._batch(still.format, still.planes, pts), still)

    def encode(self, received: Received, patches: Sequence[Patch], *, key_frame: bool = False) -> Coded:
        """See FrameCodec."""
        source = received.source
        if isinstance(source, _FastJpeg):
            paste(source.frame, received.batch.format, patches)
            return Coded(self._jpeg(source))
        still = cast("Still", source)
        edited = still.with_patches(patches, True) if patches else still
        kind = cast("TargetKind", still.kind)
        return Coded(next(iter(written(edited, kind, "strip"))).data)

    def close(self) -> None:
        """See FrameCodec."""
        self._decoder = self._coder = None

    def _batch(self, format: StreamFormat, planes: Any, pts: int, *native: object) -> FrameBatch:
        index = np.array([self._index], np.int64)
        self._index += 1
        views = planes if native else (planes,)
        return FrameBatch(
            replace(format, time_base=self._base), views, np.array([pts], np.int64), index, native
        )

    def _fast(self, jpeg: Jpeg, frame: VideoFrame, pts: int) -> Received:
        said = jpeg.metadata
        orientation = orientation_of(said.exif)
        rotation, mirrored = turn_of(orientation)
        color = Color("bt601", full_range=True, range_tag=2, space=5)
        pixels = PixelFormat.of(frame.format.name)
        format_ = StreamFormat(pixels, *jpeg.size, self._base, color, rotation, mirrored)
        kept = Metadata(
            exif=orientation_exif(orientation) if orientation != 1 else None, xmp=None, icc=said.icc
        )
        batch = self._batch(format_, FrameViews((frame,), format_, _NAME), pts, frame)
        return Received(batch, _FastJpeg(frame, kept))

    def _jpeg_frame(self, jpeg: Jpeg) -> VideoFrame:
        if self._decoder is None:
            self._decoder = av.CodecContext.create("mjpeg", "r")
            self._decoder.thread_count = 1
            self._decoder.options = {"err_detect": "explode", "max_pixels": str(self._rules.max_pixels)}
        try:
            frames = list(self._decoder.decode(av.Packet(jpeg.image_only())))
        except (av.error.FFmpegError, ValueError) as error:
            self._decoder = None
            raise SourceError(f"{_NAME}: a JPEG that does not decode whole; send it anew") from error
        if len(frames) != 1 or (frames[0].width, frames[0].height) != jpeg.size or frames[0].is_corrupt:
            self._decoder = None
            raise SourceError(f"{_NAME}: a JPEG that does not decode whole; send it anew")
        frame: VideoFrame = frames[0]
        return frame

    def _jpeg(self, source: _FastJpeg) -> bytes:
        frame = source.frame
        coder = self._coder_for((frame.width, frame.height), frame.format.name)
        frame.pts, frame.pict_type = None, 0
        try:
            data = b"".join(bytes(packet) for packet in coder.encode(frame))
        except (av.error.FFmpegError, ValueError) as error:
            raise SinkError(
                f"{_NAME}: {frame.width}x{frame.height} cannot be coded as JPEG: {error}"
            ) from error
        if source.said == Metadata(None, None, None):
            return data
        return read_jpeg(data, _NAME).with_metadata(source.said).to_bytes()

    def _coder_for(self, size: _Size, pixels: str) -> Any:
        if self._coder is None or self._coder[0] != (size, pixels):
            context: Any = av.CodecContext.create("mjpeg", "w")
            context.width, context.height, context.pix_fmt = *size, pixels
            context.time_base, context.thread_count, context.color_range = Fraction(1, 1000), 1, 2
            context.flags |= int(Flags.bitexact)  # else it signs the picture
            quality = str(self._rules.jpeg_quality)
            context.options = {"qmin": quality, "qmax": quality, "huffman": "default"}
            self._coder = (size, pixels), context
        return self._coder[1]
