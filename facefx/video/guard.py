"""The one way a source is opened: a local file, of a known format, of a sane size, within a time.

Everything that av or the operating system raises leaves this room as one line of ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error

from facefx.errors import ConfigError, FacefxError, SourceError, UnsupportedError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["FORMATS", "Limits", "foreign_errors", "open_source", "prepare_decoder"]

# Demuxers that read one file and follow no reference out of it. Playlists (hls, dash, concat, sdp,
# image2) are left out on purpose: a list named .mp4 would otherwise open other files of this machine.
FORMATS = (
    "mov", "matroska", "webm", "mpegts", "mpeg", "avi", "flv", "mxf", "asf", "ogg", "ivf",
)  # fmt: skip

_REFUSED_PREFIXES = {b"ffconcat": "an ffconcat list", b"#EXTM3U": "an HLS playlist", b"v=0": "an SDP file"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a source may ask of this machine.

    max_pixels: of one stored picture (default 8192 × 4320). Times: for opening, and for each read.
    """

    max_pixels: int = 8192 * 4320
    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    max_streams: int = 64

    def __post_init__(self) -> None:
        for name in ("max_pixels", "open_timeout_s", "read_timeout_s", "max_streams"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"limits: {name} must be above 0, got {getattr(self, name)}")


@contextmanager
def foreign_errors(path: str | Path, doing: str) -> Iterator[None]:
    """Turn what av and the operating system raise into a SourceError that says where."""
    try:
        yield
    except FacefxError:
        raise
    except (av.error.TimeoutError, av.error.ExitError) as error:
        raise SourceError(
            f"{path}: {doing} took too long: the storage does not answer; copy the file to a local disk"
        ) from error
    except (av.error.FFmpegError, OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path}: {doing} failed: {reason}") from error


def open_source(path: str | Path, limits: Limits | None = None) -> InputContainer:
    """Open a local file for reading; the caller closes the container.

    Raises SourceError for whatever cannot be opened, UnsupportedError for pictures above the limit.
    """
    limits = limits or Limits()
    file = _local_file(path)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams),
    }
    timeout = (limits.open_timeout_s, limits.read_timeout_s)
    with foreign_errors(path, "opening"):
        try:
            container = av.open(
                f"file:{file}", "r", options=options, timeout=timeout, metadata_errors="replace"
            )
        except (av.error.InvalidDataError, av.error.ArgumentError) as error:
            raise SourceError(
                f"{path}: not a video that can be read: expected one of {', '.join(FORMATS)}, "
                f"got {_sniff(file)}"
            ) from error
    try:
        for stream in container.streams.video:
            _check_size(path, stream, limits)
    except UnsupportedError:
        container.close()
        raise
    return container


def prepare_decoder(stream: VideoStream, limits: Limits, threads: int) -> None:
    """Set the decoder's own pixel limit and its threads; before the first packet.

    The limit given at opening covers only the probing: the decoder that is used later has its own.
    """
    context = stream.codec_context
    context.options = {"max_pixels": str(limits.max_pixels)}
    context.thread_count = threads
    context.thread_type = "AUTO" if threads > 1 else "NONE"


def _local_file(path: str | Path) -> Path:
    """Check what the operating system can tell, so that its errors read like ours."""
    text = os.fspath(path)
    if not text:
        raise SourceError("no path given: expected the name of a video file")
    file = Path(text)
    with foreign_errors(path, "opening"):
        if not file.exists():
            remote = "; a URL must be staged to a local file first" if "://" in text else ""
            raise SourceError(f"{path}: does not exist; check the path{remote}")
        if file.is_dir():
            raise SourceError(f"{path}: is a folder, expected a video file; name one file in it")
        if not file.is_file():
            raise SourceError(f"{path}: expected a regular file, got a device, pipe or socket; copy it first")
        if not os.access(file, os.R_OK):
            raise SourceError(f"{path}: permission to read is missing; check owner and mode (chmod u+r)")
        if file.stat().st_size == 0:
            raise SourceError(f"{path}: is empty (0 bytes), expected a video; export it again")
        return file.resolve()


def _check_size(path: str | Path, stream: VideoStream, limits: Limits) -> None:
    """Refuse a picture above the limit before a byte of it is decoded."""
    width, height = (stream.width, stream.height) if stream.codec_context else (0, 0)
    if width * height > limits.max_pixels:
        raise UnsupportedError(
            f"{path}: stream {stream.index}: pictures of {width}x{height} = {width * height} pixels, "
            f"limit {limits.max_pixels}; raise max_pixels if this file is to be trusted"
        )


def _sniff(file: Path) -> str:
    """Say in words what a file that no demuxer wanted looks like."""
    try:
        with file.open("rb") as handle:
            head = handle.read(512)
    except OSError:
        return "bytes of no known kind"
    for prefix, name in _REFUSED_PREFIXES.items():
        if head.startswith(prefix):
            return f"{name}, which names other files and is never followed"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return "a photo, which only facefx run and facefx.faces take"
    if head[4:8] in (b"ftyp", b"mdat", b"free", b"wide", b"skip"):
        return "an MP4 whose index (moov) is missing: it was cut short, or its recorder never finished"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "a Matroska file whose header is damaged"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes of no known kind"
    return "text" if b"\0" not in head else "bytes of no known kind"
