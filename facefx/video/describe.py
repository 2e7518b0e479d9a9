"""What PyAV has no attribute for, read from FFmpeg's own description of an open container.

Stream side data (Dolby Vision, spherical, stereo, cropping) and the chroma siting are nowhere in PyAV 18;
`av_dump_format` prints them. It speaks through the log, which is raised for the call and put back.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import av.logging

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["StreamNotes", "describe"]

# libavutil/pixfmt.h: enum AVChromaLocation.
_SITINGS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
_STREAM = re.compile(r"^  Stream #0:(\d+)")
_LOG = threading.Lock()


@dataclass(frozen=True, slots=True)
class StreamNotes:
    """Names of a stream's side data, and its chroma siting (FFmpeg's number, 0 = unspecified)."""

    side_data: tuple[str, ...] = ()
    chroma_location: int = 0


def describe(container: InputContainer) -> dict[int, StreamNotes]:
    """Read the notes of every stream, by stream index; streams without any are left out."""
    return _parse(_dump(container))


def _dump(container: InputContainer) -> str:
    with _LOG:
        before = av.logging.get_level()
        try:
            av.logging.set_libav_level(av.logging.VERBOSE)
            av.logging.set_level(av.logging.VERBOSE)
            text: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stub
        finally:
            av.logging.set_level(before)
            av.logging.set_libav_level(av.logging.INFO)
    return text


def _parse(text: str) -> dict[int, StreamNotes]:
    """Side data names stand under "Side data:", one a line, indented deeper than it."""
    notes: dict[int, StreamNotes] = {}
    names: list[str] = []
    current, siting, listing = -1, 0, False
    for line in [*text.splitlines(), "  Stream #0:-1"]:
        head = _STREAM.match(line)
        if head or line.startswith("  Stream #0:-1"):
            if current >= 0 and (names or siting):
                notes[current] = StreamNotes(tuple(names), siting)
            current = int(head.group(1)) if head else -1
            names, listing = [], False
            siting = _siting(line)
        elif line.strip() == "Side data:":
            listing = True
        elif listing and line.startswith("      "):
            names.append(line.strip().split(":")[0].split(",")[0])
        else:
            listing = False
    return notes


def _siting(line: str) -> int:
    """The siting is the last word in the brackets after the pixel format."""
    for group in re.findall(r"\(([^()]*)\)", line):
        last = group.split(",")[-1].strip()
        if last in _SITINGS[1:]:
            return _SITINGS.index(last)
    return 0
