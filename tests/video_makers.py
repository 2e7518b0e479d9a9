"""Small videos with one property each, made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from facefx.values import FrameBatch, Patch
from facefx.video.codecs import EncodeSettings, resolve
from facefx.video.sink import SinkReport, VideoSink
from facefx.video.source import VideoSource

BASE = Fraction(1, 12800)
STEP = 512


def frames(
    count: int, width: int, height: int, pixels: str, base: Fraction = BASE, step: int = STEP
) -> Iterator[av.VideoFrame]:
    """Noise that moves, so that every frame and every motion vector differs; the same at every call."""
    rng = np.random.default_rng(7)
    noise = rng.integers(30, 220, (height + 24, width * 2 + 50), np.uint8)
    for number in range(count):
        at = number % 24
        frame = av.VideoFrame(width, height, pixels)
        for k, plane in enumerate(frame.planes):
            deep = pixels.endswith("10le")
            data = noise[at : at + plane.height, 2 * at + k : 2 * at + k + plane.width]
            rows = np.zeros((plane.height, plane.line_size // (2 if deep else 1)), "<u2" if deep else "u1")
            rows[:, : plane.width] = data.astype(rows.dtype) * (4 if deep else 1) + (
                number % 3 if deep else 0
            )
            plane.update(rows.tobytes())
        frame.pts, frame.time_base, frame.duration = number * step, base, step
        yield frame


def make_video(
    path: Path,
    *,
    count: int = 12,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    container: Mapping[str, str] | None = None,
    base: Fraction = BASE,
    step: int = STEP,
    pts: Sequence[int] | None = None,
    rate: int = 25,
    before: Callable[[Any, Any], None] | None = None,
    during: Callable[[Any, Any, int], None] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a short clip; before(output, video) adds streams, during(output, video, number) their packets."""
    quick = {"libx264": {"preset": "ultrafast", "g": "6"}, "libx265": {"preset": "ultrafast"}}
    if codec == "libx265":
        quick["libx265"]["x265-params"] = "log-level=none:pools=none:frame-threads=1"
    with av.open(str(path), "w", container_options=dict(container or {})) as output:
        output.metadata.update(metadata or {})
        video: Any = output.add_stream(codec, rate=rate, options={**quick.get(codec, {}), **(options or {})})
        video.width, video.height, video.pix_fmt = *size, pixels
        video.codec_context.time_base = base
        for name, value in (context or {}).items():
            setattr(video.codec_context, name, value)
        if before:
            before(output, video)
        output.start_encoding()
        for number, frame in enumerate(frames(count, *size, pixels, base, step)):
            if pts is not None:
                frame.pts = pts[number]
            if during:
                during(output, video, number)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


def data_packet(stream: Any, data: bytes, pts: int, base: Fraction, duration: int = 0) -> Packet[Any]:
    """A ready-made packet for a stream."""
    packet = Packet(data)
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, pts, pts, base
    packet.duration, packet.is_keyframe = duration, True
    return packet


def still(codec: str = "png", size: tuple[int, int] = (32, 32)) -> bytes:
    """An encoded picture."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.time_base = *size, Fraction(1, 25)
    context.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
    frame = av.VideoFrame(*size, context.pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def box(kind: bytes, body: bytes) -> bytes:
    """An ISO base media box."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def edit_mp4(path: Path, change: Callable[[bytes, bytes], bytes | None]) -> Path:
    """Rewrite boxes of an MP4 whose moov box comes last; change(kind, body) gives the new body."""
    data = path.read_bytes()
    at = 0
    while data[at + 4 : at + 8] != b"moov":
        at += struct.unpack_from(">I", data, at)[0]
    path.write_bytes(data[:at] + box(b"moov", _edit(data[at + 8 :], change)))
    return path


def _edit(body: bytes, change: Callable[[bytes, bytes], bytes | None]) -> bytes:
    out, at = b"", 0
    while at < len(body):
        size, kind = struct.unpack_from(">I4s", body, at)
        inner = body[at + 8 : at + size]
        new = change(kind, inner)
        if new is None:
            new = _edit(inner, change) if kind in (b"trak", b"edts", b"mdia", b"minf", b"stbl") else inner
        out += box(kind, new)
        at += size
    return out


def add_to_sample_entry(path: Path, entry: bytes, *extra: bytes) -> Path:
    """Append boxes to the first sample entry of that kind."""

    def change(kind: bytes, body: bytes) -> bytes | None:
        if kind != b"stsd" or body[12:16] != entry:
            return None
        size = struct.unpack_from(">I", body, 8)[0]
        return body[:8] + box(entry, body[16 : 8 + size] + b"".join(extra)) + body[8 + size :]

    return edit_mp4(path, change)


QUICK = {
    "libx264": "ultrafast",
    "libx265": "ultrafast",
    "libsvtav1": "12",
    "libvpx-vp9": "8",
    "libvpx": "16",
}


def transcode(
    source: Path,
    target: Path,
    *,
    patches: Callable[[FrameBatch], list[Patch]] | None = None,
    from_s: float | None = None,
    to_s: float | None = None,
    on_damage: Literal["fail", "keep"] = "fail",
    **settings: Any,
) -> SinkReport:
    """Decode and encode, quickly."""
    with VideoSource(source, from_s=from_s, to_s=to_s, on_damage=on_damage) as frames_in:
        encoder = resolve(EncodeSettings(**settings), frames_in.info, target).encoder
        if encoder in QUICK:
            settings.setdefault("preset", QUICK[encoder])
        with VideoSink(target, frames_in.info, EncodeSettings(**settings), from_s, to_s) as sink:
            for batch in frames_in.batches():
                sink.write(batch, patches(batch) if patches else ())
            return sink.finish()


def pictures(path: Path, **options: Any) -> tuple[list[Fraction], list[tuple[NDArray[Any], ...]]]:
    """Times in seconds and planes of every frame."""
    times, planes = [], []
    with VideoSource(path, **options) as source:
        for batch in source.batches():
            times += [int(pts) * batch.format.time_base for pts in batch.pts]
            planes += list(batch.planes)
    return times, planes


def sounds(path: Path, kind: str = "audio") -> list[list[tuple[Fraction, bytes]]]:
    """(seconds, payload) of every packet, stream by stream."""
    with av.open(str(path)) as container:
        found: dict[int, list[tuple[Fraction, bytes]]] = {
            s.index: [] for s in container.streams if s.type == kind
        }
        for packet in container.demux():
            if packet.size and packet.stream.index in found and packet.pts is not None:
                found[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(found.values())


def same(one: tuple[NDArray[Any], ...], other: tuple[NDArray[Any], ...]) -> bool:
    """True if all planes are equal."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
