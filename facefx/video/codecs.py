"""Which encoder writes which video into which container: one table, and the rule that reads it.

"auto" follows the source: the same codec again, at a quality that eyes do not tell from it. Where the
container or the encoder cannot hold the picture, the next encoder that can is taken, and the reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from av.codec import Codec
from av.codec.codec import UnknownCodecError

from facefx.errors import ConfigError, UnsupportedError
from facefx.video.info import MediaInfo, VideoInfo

__all__ = [
    "CARRIED", "CONTAINERS", "ENCODERS", "Container", "EncodeSettings", "Encoder", "ResolvedEncode",
    "available_encoders", "container_of", "resolve",
]  # fmt: skip

_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
         "placebo")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Encoder:
    """What one encoder can do.

    quality: its default (crf, or the quantiser's scale), None where it has none.
    """

    name: str
    codec: str
    quality: float | None
    quality_range: tuple[float, float] = (0, 63)
    preset: str | None = None
    presets: tuple[str, ...] = ()
    lossless: bool = False
    interlaced: bool = False
    odd_chroma: bool = True  # takes odd sizes of 4:2:0
    hdr: bool = False  # writes static HDR data into its own bits
    captions: bool = False  # writes closed captions (ATSC A/53) into its own bits
    own_clock: bool = False  # its time base must be the frame rate


@dataclass(frozen=True, slots=True)
class Container:
    """What one kind of file can hold.

    options: for the muxer, so that the same input gives the same bytes. carries: it has places of its own
    for rotation, HDR, spherical and stereo data.
    """

    suffix: str
    muxer: str
    codecs: frozenset[str]
    default: str
    options: tuple[tuple[str, str], ...] = ()
    carries: bool = True


_BITEXACT = ("fflags", "+bitexact")
_LIST = (
    Encoder(
        "libx264", "h264", 18, (0, 51), "medium", _X26X, True, True, odd_chroma=False, hdr=True, captions=True
    ),
    Encoder("libx265", "hevc", 20, (0, 51), "medium", _X26X, True, odd_chroma=False, hdr=True, captions=True),
    Encoder("libsvtav1", "av1", 24, (1, 63), "8", tuple(str(i) for i in range(14)), hdr=True),
    Encoder("libvpx-vp9", "vp9", 24, (0, 63), "4", tuple(str(i) for i in range(9)), True),
    Encoder("libvpx", "vp8", 8, (4, 63), "4", tuple(str(i) for i in range(17))),
    Encoder("prores_ks", "prores", None, interlaced=True),
    Encoder("mpeg2video", "mpeg2video", 2, (1, 31), interlaced=True, own_clock=True, captions=True),
    Encoder("mpeg4", "mpeg4", 2, (1, 31), own_clock=True),
    Encoder("mjpeg", "mjpeg", 2, (1, 31)),
    Encoder("ffv1", "ffv1", None, lossless=True, interlaced=True),
)
ENCODERS = {encoder.name: encoder for encoder in _LIST}
_AUTO = {encoder.codec: encoder.name for encoder in _LIST}
_FALLBACKS = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1")

_ISO = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg"})
_QT = frozenset({"h264", "hevc", "prores", "mjpeg", "mpeg4", "mpeg2video"})
_LENIENT = (("strict", "unofficial"),)
_MOV = (("movflags", "+faststart"), _BITEXACT)
_TS = (("mpegts_copyts", "1"), _BITEXACT)
_FLV = (_BITEXACT,)
_CONTAINERS = (
    Container("mp4", "mp4", _ISO, "libx264", _MOV),
    Container("m4v", "mp4", _ISO, "libx264", _MOV),
    Container("mov", "mov", _QT, "libx264", _MOV),
    Container("mkv", "matroska", frozenset(_AUTO), "libx264", (_BITEXACT,)),
    Container("webm", "webm", frozenset({"vp8", "vp9", "av1"}), "libvpx-vp9", (_BITEXACT,)),
    Container("ts", "mpegts", frozenset({"h264", "hevc", "mpeg2video"}), "libx264", _TS, False),
    Container("flv", "flv", frozenset({"h264"}), "libx264", _FLV, False),
)  # fmt: skip
CONTAINERS = {container.suffix: container for container in _CONTAINERS}
_SUFFIXES = {"qt": "mov", "m2ts": "ts", "mts": "ts", "mk3d": "mkv", "mpegts": "ts", "m4v": "mp4"}


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """What a user may choose about the output; "auto" and None are settled by `resolve`.

    crf: the encoder's quality scale, lower is better. threads: of the encoder; the bytes depend on it.
    extra_video "drop": lose a second video stream instead of refusing the file.
    lossless: every pixel that no effect touched comes back bit-exact.
    """

    codec: str = "auto"
    crf: float | None = None
    preset: str | None = None
    threads: int = 1
    audio: Literal["keep", "drop"] = "keep"
    subtitles: Literal["keep", "drop"] = "keep"
    metadata: Literal["keep", "strip"] = "keep"
    extra_video: Literal["refuse", "drop"] = "refuse"
    lossless: bool = False

    def __post_init__(self) -> None:
        if self.codec != "auto" and self.codec not in ENCODERS:
            raise ConfigError(f"unknown codec {self.codec!r}: expected auto or one of {', '.join(ENCODERS)}")
        if self.threads < 1:
            raise ConfigError(f"threads must be 1 or more, got {self.threads}: the output depends on it")
        choices = {"audio": ("keep", "drop"), "subtitles": ("keep", "drop"), "metadata": ("keep", "strip"),
                   "extra_video": ("refuse", "drop")}  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class ResolvedEncode:
    """What will be written, nothing left open; part of a plan. reason: why this encoder."""

    encoder: str
    codec: str
    crf: float | None
    preset: str | None
    threads: int
    pixel_format: str
    container: str
    muxer: str
    lossless: bool
    reason: str
    profile: str | None = None
    muxer_options: tuple[tuple[str, str], ...] = field(default=())


def container_of(output: str | Path) -> Container:
    """Look a container up by the output's name.

    Raises UnsupportedError for a suffix that is not in the table.
    """
    suffix = Path(output).suffix.lower().lstrip(".")
    try:
        return CONTAINERS[_SUFFIXES.get(suffix, suffix)]
    except KeyError:
        known = ", ".join(f".{name}" for name in CONTAINERS)
        raise UnsupportedError(
            f"{output}: cannot write {('.' + suffix) if suffix else 'a file without suffix'}: "
            f"expected one of {known}"
        ) from None


def resolve(settings: EncodeSettings, info: MediaInfo, output: str | Path | None = None) -> ResolvedEncode:
    """Settle every "auto"; output: its name decides the container, by default the source's own.

    Raises UnsupportedError where no encoder, or not the one asked for, can hold this picture;
    ConfigError for a crf or preset that the encoder does not know.
    """
    container = container_of(output if output is not None else f"output.{info.container}")
    encoder, reason = _choose(settings, info.video, container)
    preset = settings.preset or encoder.preset
    if settings.preset and settings.preset not in encoder.presets:
        known = ", ".join(encoder.presets) or "none at all"
        raise ConfigError(f"{encoder.name} has no preset {settings.preset!r}: expected one of {known}")
    crf = None if settings.lossless else settings.crf if settings.crf is not None else encoder.quality
    if crf is not None:
        low, high = encoder.quality_range
        if encoder.quality is None:
            raise ConfigError(f"{encoder.name} has no crf: leave it out, or choose another codec")
        if not low <= crf <= high:
            raise ConfigError(f"crf of {encoder.name} must be {low:g}..{high:g}, got {crf:g}")
    return ResolvedEncode(
        encoder=encoder.name,
        codec=encoder.codec,
        crf=crf,
        preset=preset,
        threads=settings.threads,
        pixel_format=info.video.format.pixels.name,
        container=container.suffix,
        muxer=container.muxer,
        lossless=settings.lossless,
        reason=reason,
        profile=info.video.profile if encoder.codec == info.video.codec == "prores" else None,
        muxer_options=container.options + (_LENIENT if _UNOFFICIAL & set(info.video.side_data) else ()),
    )


def _choose(settings: EncodeSettings, video: VideoInfo, container: Container) -> tuple[Encoder, str]:
    if settings.codec != "auto":
        encoder = ENCODERS[settings.codec]
        wrong = _objection(encoder, video, container, settings.lossless)
        if wrong:
            raise UnsupportedError(f"--codec {encoder.name}: {wrong}; choose another codec or container")
        return encoder, "asked for"
    objections: list[str] = []
    for name, reason in _candidates(video, container):
        wrong = _objection(ENCODERS[name], video, container, settings.lossless)
        if not wrong:
            return ENCODERS[name], "; ".join([reason, *objections[:1]])
        objections.append(f"{name}: {wrong}")
    raise UnsupportedError(
        f"no encoder can write this video into .{container.suffix}: {'; '.join(objections[:2])}; "
        "write .mkv instead"
    )


def _candidates(video: VideoInfo, container: Container) -> Iterator[tuple[str, str]]:
    seen = set()
    if video.codec in _AUTO:
        seen.add(_AUTO[video.codec])
        yield _AUTO[video.codec], f"same codec as the source ({video.codec})"
    if container.default not in seen:
        seen.add(container.default)
        yield container.default, f"default of .{container.suffix}"
    for name in _FALLBACKS:
        if name not in seen:
            yield name, "first that can hold this picture"


# What only the container says about a picture; it travels when source and output have the same codec.
CARRIED = frozenset(
    {"Stereo 3D", "Spherical Mapping", "Frame Cropping", "ICC Profile", "Mastering display metadata",
     "Content light level metadata", "Ambient viewing environment"}
)  # fmt: skip
_HDR = frozenset({"Mastering display metadata", "Content light level metadata"})
# FFmpeg writes these boxes into an MP4 only where it may leave the letter of the standard.
_UNOFFICIAL = frozenset({"Stereo 3D", "Spherical Mapping"})


def _objection(encoder: Encoder, video: VideoInfo, container: Container, lossless: bool) -> str:
    """Say why an encoder cannot write this video unharmed; "" if it can."""
    format_ = video.format
    names = {item.name for item in Codec(encoder.name, "w").video_formats or ()}
    if encoder.codec not in container.codecs:
        return f".{container.suffix} cannot hold {encoder.codec}"
    if format_.pixels.name not in names:
        return f"it cannot write {format_.pixels.name}"
    if lossless and not encoder.lossless:
        return "it has no lossless mode"
    if format_.field_order and not encoder.interlaced:
        return "it cannot write interlaced video"
    odd = format_.width % (1 << format_.pixels.shift_x) or format_.height % (1 << format_.pixels.shift_y)
    if odd and not encoder.odd_chroma:
        return f"it cannot write the odd size {format_.width}x{format_.height} in {format_.pixels.name}"
    same = encoder.codec == video.codec and container.carries
    held = (CARRIED - _HDR) & set(video.side_data)
    if held and not same:
        return f"{', '.join(sorted(held))} can only be carried by {video.codec} in .mp4, .mov or .mkv"
    if video.hdr and not (encoder.hdr or same):
        return "it cannot write static HDR data"
    if "a53_cc" in video.side_data and not encoder.captions:
        return "it cannot write closed captions"
    if video.display_matrix is not None and not container.carries:
        return f".{container.suffix} cannot hold a rotation"
    if encoder.own_clock and video.variable_rate:
        return "it cannot write a variable frame rate"
    return ""


def available_encoders() -> tuple[str, ...]:
    """The encoders of the table that this build of FFmpeg has."""
    found = []
    for name in ENCODERS:
        try:
            Codec(name, "w")
        except UnknownCodecError:
            continue
        found.append(name)
    return tuple(found)
