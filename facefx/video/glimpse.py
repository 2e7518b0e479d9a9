"""A few frames spread over a video, found by seeking: the rest of it is not decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error
from av.stream import Discard

from facefx.errors import SourceError
from facefx.values import Planes
from facefx.video.guard import Limits, foreign_errors, open_source, prepare_decoder
from facefx.video.packets import read_packets
from facefx.video.planes import read_views

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from facefx.video.info import MediaInfo

__all__ = ["Glimpse", "glimpses"]

# A video of so few pixels (10 s of 720p) is decoded whole: it may have no more than one keyframe.
_SHORT_PIXELS = 300 * 1280 * 720
# Packets of one seek, where a format lands far before the next keyframe.
_MOST_PACKETS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Glimpse:
    """One frame: its pts, its time in seconds on a player's clock, and views of its planes, read only."""

    pts: int
    time_s: float
    planes: Planes


def glimpses(
    path: str | Path, info: MediaInfo, count: int, limits: Limits | None = None
) -> Iterator[Glimpse]:
    """Give up to `count` frames in the order of time, spread evenly: the keyframe before each moment.

    Where a long video has fewer keyframes than that, fewer are given.

    Raises SourceError where none can be decoded.
    """
    video = info.video
    length = max(video.end_pts - video.start_pts, 1)
    moments = [video.start_pts + length * (2 * i + 1) // (2 * count) for i in range(count)]
    short = video.frames_expected * video.format.width * video.format.height <= _SHORT_PIXELS
    found = 0
    container = open_source(path, limits)
    try:
        stream = _prepared(container, info, limits or Limits())
        frames = (
            _walked(path, container, stream, moments) if short else _sought(path, container, stream, moments)
        )
        for frame, pts in frames:
            with foreign_errors(path, "reading a picture"):
                planes = _views(frame, info)
            if planes is None:
                continue
            found += 1
            yield Glimpse(pts, float(pts * video.format.time_base - info.start), planes)
    finally:
        container.close()
    if not found:
        raise SourceError(f"{path}: no picture of it can be decoded")


def _prepared(container: InputContainer, info: MediaInfo, limits: Limits) -> VideoStream:
    for stream in container.streams:
        if stream.index != info.video.index:
            stream.discard = Discard.all
    stream = next(stream for stream in container.streams.video if stream.index == info.video.index)
    prepare_decoder(stream, limits, threads=1)
    return stream


def _views(frame: VideoFrame, info: MediaInfo) -> Planes | None:
    """The planes, or None for a picture of another size or kind than the first."""
    format = info.video.format
    if (frame.width, frame.height, frame.format.name) != (format.width, format.height, format.pixels.name):
        return None
    return read_views(frame, format)


def _walked(
    path: str | Path, container: InputContainer, stream: VideoStream, moments: list[int]
) -> Iterator[tuple[VideoFrame, int]]:
    """The frame shown at each moment, by decoding all of them."""
    left, last = list(moments), None  # type: list[int], VideoFrame | None
    for packet in read_packets(path, container, [stream], lambda: None):
        for frame in _decoded(packet):
            if frame.pts is None:
                continue
            if last is not None and left and frame.pts > left[0]:
                yield last, last.pts or 0
                while left and frame.pts > left[0]:
                    left.pop(0)
            last = frame
    if last is not None and left:
        yield last, last.pts or 0


def _sought(
    path: str | Path, container: InputContainer, stream: VideoStream, moments: list[int]
) -> Iterator[tuple[VideoFrame, int]]:
    """The keyframe at or before each moment, once each."""
    last: int | None = None
    for moment in moments:
        try:
            container.seek(moment, stream=stream)
        except av.error.FFmpegError:
            continue
        frame = _keyframe(path, container, stream)
        if frame is None or frame.pts is None or (last is not None and frame.pts <= last):
            continue
        last = frame.pts
        yield frame, frame.pts


def _keyframe(path: str | Path, container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """Decode the next keyframe alone; None where there is none."""
    for number, packet in enumerate(read_packets(path, container, [stream], lambda: None)):
        if number > _MOST_PACKETS or not packet.size:
            return None
        if packet.is_keyframe and not packet.is_discard:
            for frame in _decoded(packet) or _flushed(stream):
                return frame
    return None


def _decoded(packet: Any) -> list[VideoFrame]:
    try:
        return list(packet.decode())
    except av.error.FFmpegError:
        return []


def _flushed(stream: VideoStream) -> list[VideoFrame]:
    """What a decoder that waits for more holds back; the next seek makes it ready again."""
    try:
        return list(stream.codec_context.decode(None))
    except av.error.FFmpegError:
        return []
