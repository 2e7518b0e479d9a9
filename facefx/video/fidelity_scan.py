"""One pass over a file for the fidelity contract: every packet, one decoded picture.

This is a reader of its own, on purpose: it shares no code with probe, source or sink beyond the
guarded open, so that a mistake in one of them cannot hide itself.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from numpy.typing import NDArray

from facefx.errors import SourceError
from facefx.video.fidelity_facts import (
    DIGEST_BYTES,
    UNPACKETED,
    ChapterFacts,
    FileFacts,
    PictureFacts,
    StreamFacts,
    Tags,
    VideoHeader,
)
from facefx.video.guard import Limits, foreign_errors, open_source, prepare_decoder

__all__ = ["packets", "picture_facts", "scan"]

_FIRST_PICTURE_PACKETS = 64  # a decoder that shows nothing by then will not
_STILLS = int(Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image)
_STILL_CODECS = frozenset({"png", "bmp", "gif", "webp", "tiff"})
_HIDDEN, _CORRUPT, _KEYFRAME = 1, 2, 4
_RATIONAL = struct.Struct("=ii")


class _Tape:
    """Collects the packets of one stream, in flat arrays: a film of two hours has a million of them."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.codec = _codec_name(stream)
        self.hashed = stream.type in ("audio", "subtitle")
        self.pts, self.duration = array("q"), array("q")
        self.flags = bytearray()
        self.digests = bytearray()
        self.whole = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self.packets = 0
        self.skip = 0

    def add(self, packet: Any) -> None:
        """Note one packet."""
        self.packets += 1
        if self.hashed:
            payload = _payload(self.codec, packet)
            if payload is None:
                return
            self.digests += hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
            if self.codec.startswith(UNPACKETED):
                self.whole.update(payload)
            if not self.pts and packet.has_sidedata("skip_samples"):
                self.skip = struct.unpack_from("<I", packet.get_sidedata("skip_samples"))[0]
        elif self.codec == "vp8" and not _vp8_shown(packet):
            return
        # AVI tells no pts at all; its dts lie on the same grid.
        time = packet.dts if packet.pts is None else packet.pts
        self.pts.append(0 if time is None else time)
        self.duration.append(packet.duration or 0)
        self.flags.append(
            _HIDDEN * packet.is_discard | _CORRUPT * packet.is_corrupt | _KEYFRAME * packet.is_keyframe
        )

    def flagged(self, flag: int) -> NDArray[np.bool_]:
        """(n,) True for the packets with this flag."""
        return (np.frombuffer(self.flags, np.uint8) & flag).astype(np.bool_)


def scan(path: str | Path, limits: Limits | None = None) -> FileFacts:
    """Read every packet of a file once, and decode its first picture.

    Raises SourceError if the file cannot be opened or holds no video.
    """
    limits = limits or Limits()
    with foreign_errors(path, "reading"), open_source(path, limits) as container:
        main = _main_video(container)
        if main is None:
            raise SourceError(
                f"{path}: expected a video stream, got {_kinds(container)}; there is nothing to verify"
            )
        tapes = [_Tape(stream) for stream in container.streams]
        shot = _FirstPicture(container.streams[main], limits)
        error = ""
        try:
            for packet in packets(container):
                shot.offer(packet)
                tapes[packet.stream_index].add(packet)
        except (FFmpegError, OSError) as failure:
            error = f"reading stopped: {failure}"
        shot.finish()
        return FileFacts(
            path=Path(path),
            container=container.format.name,
            streams=tuple(_stream_facts(tape) for tape in tapes),
            main=main,
            picture=shot.facts,
            chapters=tuple(_chapter(raw) for raw in container.chapters()),
            metadata=dict(container.metadata),
            duration_s=Fraction(container.duration or 0, 1_000_000),
            error=error or shot.error,
        )


def packets(container: Any) -> Iterator[Any]:
    """Yield real packets; demux ends with one empty packet a stream, which only flushes decoders."""
    for packet in container.demux():
        if packet.size or packet.dts is not None:
            yield packet


def _main_video(container: Any) -> int | None:
    """Index of the film: no still, flagged default before others, then the largest, then the first."""
    films = [
        stream
        for stream in container.streams.video
        if not int(stream.disposition) & _STILLS and _codec_name(stream) not in _STILL_CODECS
    ]
    if not films:
        return None
    return int(min(films, key=lambda one: (not int(one.disposition) & 1, -_area(one), one.index)).index)


def _area(stream: Any) -> int:
    context = stream.codec_context
    return int(context.width * context.height) if context is not None else 0


def _kinds(container: Any) -> str:
    return ", ".join(stream.type for stream in container.streams) or "no stream"


def _codec_name(stream: Any) -> str:
    """The codec's own name, whichever decoder reads it (libdav1d is av1)."""
    context = stream.codec_context
    if context is not None:
        return str(context.codec.canonical_name)
    name = getattr(stream, "name", None)
    return str(name or stream.type)


def _payload(codec: str, packet: Any) -> memoryview | None:
    """A packet's payload as every container has it; None for filler that only some write."""
    view = memoryview(packet)
    if codec == "aac" and len(view) > 7 and view[0] == 0xFF and view[1] & 0xF6 == 0xF0:
        # Source: ISO/IEC 13818-7 §6.2, ADTS header: 13 bits of frame length, CRC if bit 0 is clear.
        length = (view[3] & 3) << 11 | view[4] << 3 | view[5] >> 5
        if length == len(view):
            return view[7 if view[1] & 1 else 9 :]
    if codec == "mov_text" and not any(view[:2]):
        return None  # MP4 fills the time between two subtitles with empty ones
    return view


def _vp8_shown(packet: Any) -> bool:
    """False for VP8's hidden reference frames, which have packets of their own (RFC 6386 §9.1)."""
    view = memoryview(packet)
    return len(view) == 0 or bool(view[0] & 0x10)


class _FirstPicture:
    """Decodes until one picture comes out."""

    def __init__(self, stream: Any, limits: Limits) -> None:
        self.stream = stream
        self.left = _FIRST_PICTURE_PACKETS if stream.codec_context is not None else 0
        self.facts: PictureFacts | None = None
        self.error = "" if self.left else "no decoder for this codec"
        if self.left:
            prepare_decoder(stream, limits, threads=1)

    def offer(self, packet: Any) -> None:
        """Decode the packet if it is the stream's and no picture has come yet."""
        if self.left and packet.stream_index == self.stream.index:
            self.left -= 1
            self._decode(packet)

    def finish(self) -> None:
        """Ask a decoder that still holds its only picture."""
        if self.left and self.facts is None:
            self.left = 0
            self._decode(None)

    def _decode(self, packet: Any) -> None:
        try:
            frames = self.stream.codec_context.decode(packet)
        except FFmpegError as failure:
            self.error = f"a packet at the start does not decode: {failure}"
            return
        if frames:
            self.left = 0
            self.error = ""
            self.facts = picture_facts(frames[0])


def picture_facts(frame: Any) -> PictureFacts:
    """What one decoded picture says of itself."""
    # A frame and its own side_data hold each other: the picture would stay until Python looks for cycles.
    side = {item.type.name: bytes(item) for item in SideDataContainer(frame)}  # type: ignore[call-arg]
    return PictureFacts(
        width=frame.width,
        height=frame.height,
        pixels=frame.format.name,
        interlaced=bool(frame.interlaced_frame),
        turn=_turn(side.get("DISPLAYMATRIX")),
        color=Tags(
            int(frame.color_range),
            int(frame.colorspace),
            int(frame.color_primaries),
            int(frame.color_trc),
        ),
        mastering=_mastering(side.get("MASTERING_DISPLAY_METADATA")),
        light=_light(side.get("CONTENT_LIGHT_LEVEL")),
    )


def _turn(raw: bytes | None) -> tuple[int, int, int, int]:
    """The turning part of a display matrix, free of its scale."""
    if raw is None or len(raw) < 36:
        return (1000, 0, 0, 1000)
    matrix = np.frombuffer(raw, "=i4", 9)
    part = matrix[[0, 1, 3, 4]].astype(np.float64)
    largest = float(np.abs(part).max()) or 1.0
    a, b, c, d = (round(1000 * float(value) / largest) for value in part)
    return (a, b, c, d)


def _mastering(raw: bytes | None) -> tuple[Fraction, ...] | None:
    """Ten rationals and two flags, AVMasteringDisplayMetadata; parts without their flag are left out."""
    if raw is None or len(raw) < 88:
        return None
    values = [Fraction(num, den or 1) for num, den in _RATIONAL.iter_unpack(raw[:80])]
    has_primaries, has_luminance = _RATIONAL.unpack(raw[80:88])
    known = (values[:8] if has_primaries else []) + (values[8:] if has_luminance else [])
    return tuple(known) or None


def _light(raw: bytes | None) -> tuple[int, int] | None:
    """(MaxCLL, MaxFALL); both 0 say "unknown" (CTA-861.3), the same as no record."""
    if raw is None or len(raw) < 8:
        return None
    most, average = struct.unpack("=II", raw[:8])
    return (most, average) if most or average else None


def _chapter(raw: Any) -> ChapterFacts:
    base = raw["time_base"] or Fraction(1, 1_000_000)
    return ChapterFacts(raw["start"] * base, raw["end"] * base, dict(raw["metadata"]))


def _stream_facts(tape: _Tape) -> StreamFacts:
    stream, context = tape.stream, tape.stream.codec_context
    entries = stream.index_entries
    video = stream if context is not None and stream.type == "video" else None
    audio = context if context is not None and stream.type == "audio" else None
    return StreamFacts(
        index=stream.index,
        kind=stream.type,
        codec=tape.codec,
        time_base=stream.time_base or Fraction(1, 1_000_000),
        start=stream.start_time,
        pts=np.frombuffer(tape.pts, np.int64),
        duration=np.frombuffer(tape.duration, np.int64),
        shown=~tape.flagged(_HIDDEN),
        keyframes=tape.flagged(_KEYFRAME),
        corrupt=tape.flagged(_CORRUPT),
        digests=np.frombuffer(tape.digests, np.uint64).reshape(-1, DIGEST_BYTES // 8),
        whole=tape.whole.digest(),
        packets=tape.packets,
        indexed=len(entries),
        shown_indexed=sum(not entry.is_discard for entry in entries),
        index_times=tuple(entry.timestamp for entry in entries) if stream.type == "data" else (),
        skip=tape.skip,
        rate=int(audio.sample_rate) if audio else 0,
        channels=int(audio.layout.nb_channels) if audio else 0,
        language=str(stream.metadata.get("language", "und")),
        disposition=int(stream.disposition),
        still=bool(int(stream.disposition) & _STILLS) or tape.codec in _STILL_CODECS,
        metadata=dict(stream.metadata),
        header=_header(video) if video else None,
    )


def _header(stream: Any) -> VideoHeader:
    context = stream.codec_context
    return VideoHeader(
        width=int(context.width),
        height=int(context.height),
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        field_order=int(context.field_order),
        color=Tags(
            int(context.color_range),
            int(context.colorspace),
            int(context.color_primaries),
            int(context.color_trc),
        ),
    )
