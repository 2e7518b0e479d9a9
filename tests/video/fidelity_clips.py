"""Small videos made to order, so that a test can spoil one property of a good one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.packet import Packet

AnyPacket: TypeAlias = "Packet[Any]"

TICK = Fraction(1, 12800)
STEP = 512  # 25 pictures a second
RATE = 48000

X265_HDR = (
    "hdr10=1:repeat-headers=1:max-cll={light}:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L({peak},1)"
)


@dataclass(frozen=True)
class Sound:
    """One audio track of AAC noise."""

    seed: int = 1
    language: str = "eng"
    title: str = ""
    frames: int = 30
    delay: int = 0
    disposition: int = 1


@dataclass(frozen=True)
class Clip:
    """What a file holds; times in TICK."""

    codec: str = "libx264"
    size: tuple[int, int] = (64, 48)
    pixels: str = "yuv420p"
    pts: Sequence[int] = tuple(range(0, 15 * STEP, STEP))
    last_duration: int = STEP
    picture_seed: int = 0
    options: dict[str, str] = field(default_factory=dict)
    rotation: int = 0
    hflip: bool = False
    aspect: Fraction = Fraction(1)
    color: tuple[int, int, int, int] = (1, 1, 1, 1)
    sounds: tuple[Sound, ...] = (Sound(),)
    subtitles: tuple[tuple[int, str], ...] = ()
    subtitle_language: str = "fra"
    chapters: tuple[tuple[int, str], ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    video_tags: dict[str, str] = field(default_factory=dict)
    cover: bool = False
    second_video: bool = False
    attachment: str = ""
    muxer: dict[str, str] = field(default_factory=dict)


# Called with (kind, number of the stream among its kind, number of the packet, packet).
Edit = Callable[[str, int, int, "AnyPacket"], "AnyPacket | None"]


def write(path: Path, clip: Clip, edit: Edit | None = None) -> Path:
    """Make a file."""
    with av.open(str(path), "w", options={"fflags": "+bitexact", **clip.muxer}) as out:
        out.metadata.update(clip.tags)
        video = _add_video(out, clip, clip.options)
        video.metadata.update(clip.video_tags)
        sounds = [_add_sound(out, sound) for sound in clip.sounds]
        texts = _add_subtitles(out, clip, path.suffix) if clip.subtitles else None
        second = _add_video(out, clip, {}) if clip.second_video else None
        cover = _add_cover(out) if clip.cover else None
        if clip.attachment:
            out.add_attachment("face.jpg", clip.attachment, b"\xff\xd8\xff" * 20)
        if clip.chapters:
            out.set_chapters(_chapters(clip))
        packets = list(_numbered("video", 0, _pictures(video, clip)))
        for number, (stream, sound) in enumerate(zip(sounds, clip.sounds, strict=True)):
            packets += _numbered("audio", number, _noise(stream, sound))
        if texts is not None:
            packets += _numbered("subtitle", 0, _texts(texts, clip, path.suffix))
        if second is not None:
            packets += _numbered("video", 1, _pictures(second, clip))
        if cover is not None:
            out.mux(cover[1])
        for key, packet in packets:
            kept = edit(*key, packet) if edit else packet
            if kept is not None:
                out.mux(kept)
    return path


def _numbered(
    kind: str, number: int, packets: list[AnyPacket]
) -> list[tuple[tuple[str, int, int], AnyPacket]]:
    return [((kind, number, at), packet) for at, packet in enumerate(packets)]


def _add_video(out: Any, clip: Clip, options: dict[str, str]) -> Any:
    base = {"preset": "ultrafast", "bf": "2"} if clip.codec.startswith("libx26") else {}
    if clip.codec == "libx265":
        base |= {"x265-params": "log-level=none:pools=none"}
    stream = out.add_stream(clip.codec, rate=25, options=base | options)
    stream.width, stream.height = clip.size
    stream.pix_fmt = clip.pixels
    stream.time_base = TICK
    context = stream.codec_context
    context.time_base = TICK
    context.thread_count = 1
    context.sample_aspect_ratio = clip.aspect
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = clip.color
    if clip.rotation or clip.hflip:
        stream.set_display_rotation(clip.rotation, hflip=clip.hflip)
    return stream


def _pictures(stream: Any, clip: Clip) -> list[AnyPacket]:
    rng = np.random.default_rng(clip.picture_seed)
    packets: list[AnyPacket] = []
    for at, pts in enumerate(clip.pts):
        frame = av.VideoFrame(*clip.size, clip.pixels)
        for plane in frame.planes:
            wide = "10" in clip.pixels
            raw = np.frombuffer(memoryview(plane), "<u2" if wide else "u1")
            raw[:] = rng.integers(64, 900 if wide else 220, raw.shape)
        frame.pts, frame.time_base = pts, TICK
        following = clip.pts[at + 1] if at + 1 < len(clip.pts) else pts + clip.last_duration
        frame.duration = following - pts
        packets += stream.encode(frame)
    packets += stream.encode()
    durations = dict(zip(clip.pts, [*np.diff(clip.pts).tolist(), clip.last_duration], strict=True))
    for packet in packets:
        packet.duration = durations[packet.pts or 0]
    return packets


def _add_sound(out: Any, sound: Sound) -> Any:
    stream = out.add_stream("aac", rate=RATE)
    stream.metadata["language"] = sound.language
    if sound.title:
        stream.metadata["title"] = sound.title
    stream.disposition = sound.disposition
    return stream


def _noise(stream: Any, sound: Sound) -> list[AnyPacket]:
    rng = np.random.default_rng(sound.seed)
    packets = []
    for at in range(sound.frames):
        samples = rng.normal(0, 0.1, (2, 1024)).astype("f4")
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = RATE, at * 1024 + sound.delay, Fraction(1, RATE)
        packets += stream.encode(frame)
    return packets + list(stream.encode())


def _add_subtitles(out: Any, clip: Clip, suffix: str) -> Any:
    stream = out.add_mux_stream("subrip" if suffix == ".mkv" else "mov_text")
    stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = clip.subtitle_language
    return stream


def _texts(stream: Any, clip: Clip, suffix: str) -> list[AnyPacket]:
    packets = []
    for start_ms, text in clip.subtitles:
        raw = text.encode()
        packet: AnyPacket = Packet(raw if suffix == ".mkv" else len(raw).to_bytes(2, "big") + raw)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = start_ms
        packet.duration = 50
        packets.append(packet)
    return packets


def _chapters(clip: Clip) -> list[Any]:
    starts = [start for start, _ in clip.chapters] + [clip.chapters[-1][0] + 350]
    base = Fraction(1, 1000)
    return [
        {"id": at, "start": start, "end": starts[at + 1], "time_base": base, "metadata": {"title": name}}
        for at, (start, name) in enumerate(clip.chapters)
    ]


def _add_cover(out: Any) -> tuple[Any, AnyPacket]:
    stream = out.add_stream("mjpeg", rate=25)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.disposition = int(av.stream.Disposition.attached_pic)
    picture = av.VideoFrame(32, 32, "yuvj420p")
    picture.pts = 0
    packets: list[AnyPacket] = stream.encode(picture) + stream.encode()
    return stream, packets[0]


def copy_streams(into: Any, out: Any) -> dict[int, Any]:
    """Streams of the same kind and name in the output, by their number in the input."""
    copies: dict[int, Any] = {}
    for stream in into.streams:
        if stream.type in ("video", "audio", "subtitle"):
            copy = out.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
            copies[stream.index] = copy
    return copies


def remux(source: Path, target: Path) -> Path:
    """Copy every packet of every stream that both containers know: the film, sound, text and chapters."""
    with av.open(str(source)) as into, av.open(str(target), "w", options={"fflags": "+bitexact"}) as out:
        copies = copy_streams(into, out)
        out.metadata.update(into.metadata)
        if into.chapters():
            out.set_chapters(into.chapters())
        for packet in into.demux():
            if packet.stream_index in copies and (packet.size or packet.dts is not None):
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    return target
