"""What a file holds: its main picture, every other stream, and what cannot be carried unharmed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import av.error

from facefx.errors import SourceError, UnsupportedError
from facefx.values import FieldOrder, PixelFormat, StreamFormat
from facefx.video.color import color_of
from facefx.video.describe import StreamNotes, describe
from facefx.video.extras import find_extras, find_unsupported, is_picture_beside
from facefx.video.guard import Limits, foreign_errors, open_source, prepare_decoder
from facefx.video.info import Chapter, Extra, Hdr, MediaInfo, StreamInfo, VideoInfo, to_json
from facefx.video.isobmff import read_tracks
from facefx.video.scan import StreamScan, count_packets
from facefx.video.sidedata import FrameFacts, frame_facts

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = [
    "Chapter", "Extra", "Hdr", "MediaInfo", "StreamInfo", "VideoInfo", "main_video", "probe", "to_json",
    "video_info",
]  # fmt: skip

# libavcodec/defs.h, enum AVFieldOrder: TT, BB, TB (bottom shown first), BT (top shown first).
_FIELD_ORDERS = {
    2: FieldOrder.TOP_FIRST,
    3: FieldOrder.BOTTOM_FIRST,
    4: FieldOrder.BOTTOM_FIRST,
    5: FieldOrder.TOP_FIRST,
}
_PROBE_PACKETS = 600


def probe(path: str | Path, *, limits: Limits | None = None) -> MediaInfo:
    """Read everything about a file that does not need its pixels; the first picture is decoded.

    Raises SourceError where nothing can be decoded, UnsupportedError for a pixel format that no stage
    can edit (12-bit, alpha, RGB), by name. What else cannot be carried is in `unsupported`.
    """
    limits = limits or Limits()
    container = open_source(path, limits)
    try:
        with foreign_errors(path, "probing"):
            return _probe(path, container, limits)
    finally:
        container.close()


def main_video(path: str | Path, container: InputContainer) -> VideoStream:
    """Choose the picture that a player shows: flagged default, else the largest, else the first.

    Raises SourceError if the file has no video stream.
    """
    real = [stream for stream in container.streams.video if not is_picture_beside(stream)]
    if not real:
        held = ", ".join(sorted({stream.type for stream in container.streams})) or "no stream at all"
        raise SourceError(f"{path}: holds no video, only {held}; name a file with a picture")
    return max(
        real, key=lambda s: ("default" in flags_of(s), s.width * s.height if s.codec_context else 0, -s.index)
    )


def flags_of(stream: Stream) -> tuple[str, ...]:
    """Names of a stream's disposition flags."""
    return tuple(flag.name for flag in stream.disposition if flag.name)


def _probe(path: str | Path, container: InputContainer, limits: Limits) -> MediaInfo:
    main = main_video(path, container)
    family = container_family(container.format.name, path)
    notes = describe(container)
    tracks = read_tracks(path) if family in ("mp4", "mov") else ()
    chapters = tuple(
        Chapter(c["start"], c["end"], c["time_base"] or Fraction(1, 1000), c["metadata"].get("title"))
        for c in container.chapters()
    )
    metadata = dict(container.metadata)
    frame = _first_frame(path, container, main, limits)
    scans = count_packets(path, container, limits, main.index, frame.pts)
    streams = tuple(_stream_info(stream, scans[stream.index]) for stream in container.streams)
    facts = frame_facts(frame)
    note = notes.get(main.index, StreamNotes())
    video = video_info(path, main, frame, facts, note, scans[main.index])
    played = [s for s in streams if s.kind in ("video", "audio")]
    start = min((s.start for s in played if s.start is not None), default=Fraction(0))
    ends = [s.end_pts * s.time_base for s in played if s.end_pts is not None]
    return MediaInfo(
        path=str(path),
        container=family,
        size_bytes=Path(path).stat().st_size,
        start=start,
        duration_s=float(max(ends, default=start) - start),
        video=video,
        streams=streams,
        chapters=chapters,
        metadata=metadata,
        extras=find_extras(streams, video, chapters, notes),
        unsupported=find_unsupported(streams, video, tracks),
    )


def container_family(demuxer: str, path: str | Path) -> str:
    """Name the container as a file's suffix does: mp4, mov, mkv, webm, ts, flv, avi."""
    suffix = Path(path).suffix.lower().lstrip(".")
    names = demuxer.split(",")
    if "mov" in names:
        return "mov" if suffix in ("mov", "qt") else "mp4"
    if "matroska" in names:
        return "webm" if suffix == "webm" else "mkv"
    return {"mpegts": "ts", "mpeg": "mpg"}.get(names[0], names[0])


def _first_frame(
    path: str | Path, container: InputContainer, stream: VideoStream, limits: Limits
) -> VideoFrame:
    """Decode up to the first picture: rotation, HDR data and the true pixel format are only on it."""
    if stream.codec_context is None:
        raise UnsupportedError(f"{path}: stream {stream.index}: no decoder for this codec; convert it first")
    prepare_decoder(stream, limits, threads=1)
    last: av.error.FFmpegError | None = None
    for number, packet in enumerate(container.demux(stream)):
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            last = error
            continue
        if frames:
            return frames[0]
        if number > _PROBE_PACKETS:
            break
    reason = f" ({last.strerror})" if last else ""
    raise SourceError(f"{path}: stream {stream.index} ({stream.name}): no picture could be decoded{reason}")


def video_info(
    path: str | Path,
    stream: VideoStream,
    frame: VideoFrame,
    facts: FrameFacts,
    note: StreamNotes,
    scan: StreamScan,
) -> VideoInfo:
    """Put together what a stream, its first picture and a count of its packets say.

    Raises UnsupportedError for a pixel format that no stage can edit, by name.
    """
    pixels = _pixel_format(path, stream, frame)
    start = frame.pts if frame.pts is not None else scan.start_pts or 0
    context = stream.codec_context
    aspect = stream.sample_aspect_ratio
    format_ = StreamFormat(
        pixels=pixels,
        width=frame.width,
        height=frame.height,
        time_base=stream.time_base or Fraction(1, 1000),
        color=color_of(
            space=frame.colorspace,
            primaries=frame.color_primaries,
            transfer=frame.color_trc,
            range_tag=frame.color_range,
            chroma_location=note.chroma_location,
            pixels=pixels.name,
            depth=pixels.depth,
            height=frame.height,
        ),
        rotation=facts.rotation,
        mirrored=facts.mirrored,
        sample_aspect=Fraction(aspect) if aspect else Fraction(0, 1),
        field_order=_field_order(context.field_order, frame, stream.name),
    )
    counted: Literal["index", "scan"] = "index" if scan.from_index else "scan"
    return VideoInfo(
        index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        profile=stream.profile,
        format=format_,
        frames_expected=scan.packets,
        average_rate=stream.average_rate or stream.guessed_rate or None,
        variable_rate=scan.variable_rate,
        start_pts=start,
        end_pts=max(scan.end_pts or 0, start + 1),
        hdr=facts.hdr,
        display_matrix=facts.display_matrix,
        side_data=tuple(dict.fromkeys((*note.side_data, *facts.names))),
        bit_rate=stream.bit_rate or None,
        counted_by=counted,
    )


def _pixel_format(path: str | Path, stream: VideoStream, frame: VideoFrame) -> PixelFormat:
    """Look the format up, and say in words what is wrong with one that is not carried."""
    name = frame.format.name
    parts = frame.format.components
    wrong = (
        "RGB" if frame.format.is_rgb
        else "an alpha channel" if any(part.is_alpha for part in parts)
        else f"{parts[0].bits}-bit" if parts and parts[0].bits > 10
        else ""
    )  # fmt: skip
    if wrong:
        raise UnsupportedError(
            f"{path}: stream {stream.index}: {wrong} video ({name}) is not supported: expected YUV of 8 or "
            "10 bit without alpha; convert it first"
        )
    try:
        return PixelFormat.of(name)
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: stream {stream.index}: {error}") from error


def _field_order(tag: int, frame: VideoFrame, codec: str | None) -> FieldOrder:
    """Trust the stream's tag; where it says nothing, the first picture's own flag."""
    if tag in _FIELD_ORDERS:
        return _FIELD_ORDERS[tag]
    if not frame.interlaced_frame:
        return FieldOrder.PROGRESSIVE
    return FieldOrder.BOTTOM_FIRST if codec == "dvvideo" else FieldOrder.TOP_FIRST


def _stream_info(stream: Stream, scan: StreamScan) -> StreamInfo:
    context = stream.codec_context
    kind = stream.type if stream.type in ("video", "audio", "subtitle", "data", "attachment") else "unknown"
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=context.codec.canonical_name if context is not None else stream.name,
        profile=stream.profile if context is not None else None,
        time_base=stream.time_base or Fraction(1, 1000),
        start_pts=scan.start_pts,
        end_pts=scan.end_pts,
        packets=scan.packets,
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        disposition=flags_of(stream),
        metadata=dict(stream.metadata),
        width=getattr(context, "width", 0) or 0,
        height=getattr(context, "height", 0) or 0,
        sample_rate=getattr(context, "sample_rate", 0) or 0,
        channels=getattr(context, "channels", 0) or 0,
    )
