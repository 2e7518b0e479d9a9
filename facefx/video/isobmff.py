"""Edit lists of MP4 and MOV files, read from the boxes: FFmpeg applies them but tells nobody how many."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Track", "read_tracks"]

_MAX_MOOV = 256 << 20
_FOLDERS = (b"trak", b"edts", b"mdia", b"minf", b"stbl")
# A sample entry's own fields before its child boxes: ISO/IEC 14496-12 §12.1.3 (visual), 8 for the header.
_VISUAL_ENTRY = 8 + 78


@dataclass(frozen=True, slots=True)
class Track:
    """One track: its handler ("vide", "soun", …), its edits and the names of its sample entry's boxes.

    edits: (segment_duration, media_time, rate) with media_time −1 for an empty edit.
    """

    handler: str
    entry: str
    boxes: tuple[str, ...]
    edits: tuple[tuple[int, int, float], ...]

    @property
    def several_edits(self) -> bool:
        """True where playing it takes more than a delay and one cut at normal speed."""
        real = [edit for edit in self.edits if edit[1] >= 0]
        empty_late = any(edit[1] < 0 for edit in self.edits[1:])
        return len(real) > 1 or empty_late or any(rate != 1.0 for _, _, rate in real)


def read_tracks(path: str | Path) -> tuple[Track, ...]:
    """Read the tracks of an MP4 or MOV in file order; () where the file has no readable moov box."""
    with Path(path).open("rb") as handle:
        moov = _find_moov(handle)
    return tuple(_track(body) for kind, body in _boxes(moov) if kind == b"trak")


def _find_moov(handle: BinaryIO) -> bytes:
    """Walk the top level by sizes alone; nothing but the moov box is read."""
    while True:
        start = handle.tell()
        head = handle.read(16)
        if len(head) < 8:
            return b""
        size, kind = struct.unpack(">I4s", head[:8])
        body = 8
        if size == 1 and len(head) == 16:
            size, body = struct.unpack(">Q", head[8:])[0], 16
        if kind == b"moov":
            handle.seek(start + body)
            return handle.read(min(size - body, _MAX_MOOV) if size else _MAX_MOOV)
        if size < body:
            return b""
        handle.seek(start + size)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Child boxes of a box's body; stops quietly at the first one whose size is not true."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = 8
        if size == 1 and at + 16 <= len(data):
            size, body = struct.unpack_from(">Q", data, at + 8)[0], 16
        if size == 0:
            size = len(data) - at
        if size < body or at + size > len(data):
            return
        yield kind, data[at + body : at + size]
        at += size


def _leaves(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, body in _boxes(data):
        if kind in _FOLDERS:
            yield from _leaves(body)
        else:
            yield kind, body


def _track(data: bytes) -> Track:
    handler, entry, boxes, edits = "", "", (), ()  # type: str, str, tuple[str, ...], tuple[tuple[int, int, float], ...]
    for kind, body in _leaves(data):
        if kind == b"hdlr" and len(body) >= 12 and not handler:
            handler = body[8:12].decode("latin-1")
        elif kind == b"elst":
            edits = tuple(_edits(body))
        elif kind == b"stsd" and len(body) >= 16:
            entry = body[12:16].decode("latin-1")
            if handler == "vide":
                boxes = tuple(name.decode("latin-1") for name, _ in _boxes(body[8 + _VISUAL_ENTRY :]))
    return Track(handler, entry, boxes, edits)


def _edits(body: bytes) -> Iterator[tuple[int, int, float]]:
    """Source: ISO/IEC 14496-12 §8.6.6."""
    if len(body) < 8:
        return
    version, count = body[0], struct.unpack_from(">I", body, 4)[0]
    layout = struct.Struct(">QqhH" if version == 1 else ">IihH")
    for number in range(min(count, (len(body) - 8) // layout.size)):
        duration, media_time, whole, part = layout.unpack_from(body, 8 + number * layout.size)
        yield duration, media_time, whole + part / 65536
