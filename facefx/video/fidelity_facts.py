"""What one file says of itself, packet by packet, for the fidelity contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DIGEST_BYTES",
    "UNPACKETED",
    "ChapterFacts",
    "FileFacts",
    "PictureFacts",
    "StreamFacts",
    "Tags",
    "Times",
    "VideoHeader",
]

Times = NDArray[np.int64]

DIGEST_BYTES = 16
# Codecs whose packets a container cuts as it likes; only the bytes in a row are the same everywhere.
UNPACKETED = ("pcm_", "hdmv_pgs")


class Tags(NamedTuple):
    """Colour tags as ITU-T H.273 numbers them (2 = unspecified); range: 0 unsaid, 1 limited, 2 full."""

    range: int
    matrix: int
    primaries: int
    transfer: int


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """What a video stream's header says before anything is decoded.

    field_order: FFmpeg's AVFieldOrder: 0 unknown, 1 progressive, 2 and 5 top first, 3 and 4 bottom
    first on display.
    """

    width: int
    height: int
    sample_aspect: Fraction
    field_order: int
    color: Tags


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The first decoded picture: what a player is told about every one of them.

    turn: the display matrix's 2 × 2 part, scaled to its largest entry and rounded to 1/1000.
    mastering: primaries, white point, least and most luminance; light: (MaxCLL, MaxFALL).
    """

    width: int
    height: int
    pixels: str
    interlaced: bool
    turn: tuple[int, int, int, int]
    color: Tags
    mastering: tuple[Fraction, ...] | None
    light: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream: its header and, in the order of the file, every packet of it.

    pts, duration: (n,) int64 in time_base; start: pts at which the header says that it begins.
    shown: (n,) bool, False where an edit list hides the packet. digests: (n, 2), of each payload
    without its container's framing (sound and subtitles only); whole: of all payloads in a row
    (UNPACKETED codecs only). packets: how many there are, filler included; indexed, shown_indexed:
    how many the container's own index lists. skip: samples that a decoder throws away at the start.
    """

    index: int
    kind: str
    codec: str
    time_base: Fraction
    start: int | None
    pts: Times
    duration: Times
    shown: NDArray[np.bool_]
    keyframes: NDArray[np.bool_]
    corrupt: NDArray[np.bool_]
    digests: NDArray[np.uint64]
    whole: bytes
    packets: int
    indexed: int
    shown_indexed: int
    index_times: tuple[int, ...]
    skip: int
    rate: int
    channels: int
    language: str
    disposition: int
    still: bool
    metadata: dict[str, str] = field(default_factory=dict)
    header: VideoHeader | None = None

    @property
    def reordered(self) -> bool:
        """True if packets lie in another order than pictures are shown."""
        return bool((np.diff(self.pts) < 0).any())

    @property
    def presented(self) -> Times:
        """Pts of the packets that a player shows, in order of time."""
        times = self.pts[self.shown]
        times.sort()
        return times


@dataclass(frozen=True, slots=True)
class ChapterFacts:
    """One chapter, in seconds of the file's own clock."""

    start_s: Fraction
    end_s: Fraction
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Everything that the clauses compare.

    main: position of the film in streams. duration_s: as the header says, 0 if it does not. error: why
    the packets could not be read to the end.
    """

    path: Path
    container: str
    streams: tuple[StreamFacts, ...]
    main: int
    picture: PictureFacts | None
    chapters: tuple[ChapterFacts, ...]
    metadata: dict[str, str]
    duration_s: Fraction = Fraction(0)
    error: str = ""

    @property
    def video(self) -> StreamFacts:
        """The stream that everyone looks at."""
        return self.streams[self.main]

    def of_kind(self, kind: str) -> tuple[StreamFacts, ...]:
        """Streams of one kind, in the order of the file."""
        return tuple(stream for stream in self.streams if stream.kind == kind)

    @property
    def family(self) -> str:
        """The container without its brands: "mov", "matroska", "mpegts" or another of FFmpeg's names."""
        return self.container.split(",")[0]

    @property
    def zero_s(self) -> Fraction:
        """Where a player's clock begins: the earliest start of a picture or sound stream, in seconds."""
        heard = [one for one in self.streams if one.kind in ("video", "audio") and not one.still]
        starts = [one.start * one.time_base for one in heard if one.start is not None]
        return min(starts, default=Fraction(0))

    def last_duration_of(self, shown: Times) -> Fraction:
        """Seconds that the last of these pictures (pts of the video) stays; 0 where the file is silent."""
        if not len(shown):
            return Fraction(0)
        at = np.flatnonzero(self.video.pts == shown[-1])
        return int(self.video.duration[at[-1]]) * self.video.time_base
