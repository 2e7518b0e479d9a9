"""What a file's index or header says of it, without decoding and without reading the rest of the file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol

import av
import av.error

from facefx.video.guard import FORMATS, Limits, foreign_errors
from facefx.video.probe import main_video

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["IndexFacts", "Readable", "read_index"]

# FFmpeg reads a little of what follows a header to know the streams; so much of it at most.
_PROBE_BYTES = 500_000
_MICROSECONDS = 1_000_000


class Readable(Protocol):
    """A file opened for reading in places; only what is read is fetched."""

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place and say where that is."""

    def tell(self) -> int:
        """Say where it is."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """A video as its index tells it. source "index": every frame is listed; "header": only the length is,
    and frames are that times the rate.

    keyframes_s: times of keyframes, empty where no index lists them. bytes_read: what telling it took.
    """

    codec: str
    width: int
    height: int
    frames: int
    duration_s: float
    source: Literal["index", "header"]
    keyframes_s: tuple[float, ...]
    bytes_read: int


def read_index(file: Readable, name: str, most_bytes: int, limits: Limits | None = None) -> IndexFacts | None:
    """Read what a video's index says; None where nothing tells its length within so many bytes.

    The caller closes the file.

    Raises SourceError where it is no video, or cannot be read.
    """
    limits = limits or Limits()
    counted = _Counted(file, most_bytes)
    options = {
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams),
        "probesize": str(_PROBE_BYTES),
    }
    with foreign_errors(name, "reading the index"):
        try:
            with closing(av.open(counted, "r", options=options, metadata_errors="replace")) as container:
                return _facts(container, main_video(name, container), counted.count)
        except (av.error.FFmpegError, OSError):
            if counted.exhausted:
                return None
            raise


def _facts(container: InputContainer, stream: VideoStream, bytes_read: int) -> IndexFacts | None:
    base = stream.time_base or Fraction(1, 1000)
    entries = stream.index_entries
    whole = bool(stream.frames) and len(entries) == stream.frames
    length = _length(container, stream, base)
    if not length:
        return None
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    context = stream.codec_context
    return IndexFacts(
        codec=context.codec.canonical_name if context is not None else "",
        width=stream.width if context is not None else 0,
        height=stream.height if context is not None else 0,
        frames=stream.frames if whole else max(1, round(length * rate)),
        duration_s=float(length),
        source="index" if whole else "header",
        keyframes_s=tuple(float(entry.timestamp * base) for entry in entries if entry.is_keyframe)
        if whole
        else (),
        bytes_read=bytes_read,
    )


def _length(container: InputContainer, stream: VideoStream, base: Fraction) -> Fraction | None:
    if stream.duration:
        return stream.duration * base
    return Fraction(container.duration, _MICROSECONDS) if container.duration else None


class _Counted:
    """Passes reads on, counts them, and ends them at a limit.

    What FFmpeg reads has no name here, so that nothing else can be opened through it.
    """

    def __init__(self, file: Readable, most: int) -> None:
        self._file, self._most = file, most
        self.count = 0

    @property
    def exhausted(self) -> bool:
        """True once more was wanted than may be read."""
        return self.count > self._most

    def read(self, size: int) -> bytes:
        """Give the next bytes, or none."""
        if self.exhausted:
            return b""
        data = self._file.read(size)
        self.count += len(data)
        return b"" if self.exhausted else data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say where it is."""
        return self._file.tell()
