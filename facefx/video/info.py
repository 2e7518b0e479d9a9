"""What is known of a media file before a pixel is changed: plain, frozen, JSON-able."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Literal

from facefx.errors import UnsupportedError
from facefx.values import StreamFormat

__all__ = ["Chapter", "Extra", "Hdr", "MediaInfo", "Remedy", "StreamInfo", "VideoInfo", "to_json"]

Kind = Literal["video", "audio", "subtitle", "data", "attachment", "unknown"]
Remedy = Literal["removed", "refused", "rewritten"]


@dataclass(frozen=True, slots=True)
class Hdr:
    """Static HDR data of a stream.

    primaries: x, y of red, green, blue and white in steps of 1/50000; luminance: lowest and highest
    in steps of 1/10000 cd/m² (SMPTE ST 2086); light_level: MaxCLL and MaxFALL in cd/m² (CTA-861.3).
    """

    primaries: tuple[int, ...] | None = None
    luminance: tuple[int, int] | None = None
    light_level: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The main video stream.

    frames_expected: packets not flagged discard. start_pts, end_pts: first frame's pts and the end
    of the last one, in format.time_base. display_matrix: FFmpeg's nine integers, None for upright.
    side_data: names of what the container and the first frame carry beside the picture.
    """

    index: int
    codec: str
    profile: str | None
    format: StreamFormat
    frames_expected: int
    average_rate: Fraction | None
    variable_rate: bool
    start_pts: int
    end_pts: int
    hdr: Hdr | None = None
    display_matrix: tuple[int, ...] | None = None
    side_data: tuple[str, ...] = ()
    bit_rate: int | None = None
    counted_by: Literal["index", "scan"] = "scan"

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame's start to the last one's end."""
        return float((self.end_pts - self.start_pts) * self.format.time_base)


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of the file, whatever it is; pts in time_base, None where the file does not say."""

    index: int
    kind: Kind
    codec: str | None
    profile: str | None
    time_base: Fraction
    start_pts: int | None
    end_pts: int | None
    packets: int | None
    language: str | None = None
    title: str | None = None
    disposition: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    sample_rate: int = 0
    channels: int = 0

    @property
    def start(self) -> Fraction | None:
        """Seconds, exact."""
        return None if self.start_pts is None else self.start_pts * self.time_base


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter, start and end in time_base."""

    start: int
    end: int
    time_base: Fraction
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """Something beside the main picture that could show a face or tell of a person, and its fate."""

    stream: int | None
    kind: str
    remedy: Remedy
    reason: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file.

    start: seconds (exact) of the earliest video or audio stream: the zero of a player's clock.
    unsupported: why it cannot be processed unharmed, in words; empty for a file that can.
    """

    path: str
    container: str
    size_bytes: int
    start: Fraction
    duration_s: float
    video: VideoInfo
    streams: tuple[StreamInfo, ...]
    chapters: tuple[Chapter, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[Extra, ...] = ()
    unsupported: tuple[str, ...] = ()

    @property
    def start_s(self) -> float:
        """Seconds of the earliest video or audio stream."""
        return float(self.start)

    def of_kind(self, kind: Kind) -> tuple[StreamInfo, ...]:
        """The streams of one kind, in file order."""
        return tuple(stream for stream in self.streams if stream.kind == kind)

    def require_supported(self) -> None:
        """Raise UnsupportedError, naming everything that cannot be carried."""
        if self.unsupported:
            raise UnsupportedError(f"{self.path}: {'; '.join(self.unsupported)}")

    def to_json(self) -> dict[str, object]:
        """Only dicts, lists, strings, numbers; fractions as "n/d"."""
        value = to_json(self)
        assert isinstance(value, dict)
        return value


def to_json(value: object) -> object:
    """Turn a value of this room into plain JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_json(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value
