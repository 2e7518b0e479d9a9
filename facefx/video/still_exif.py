"""EXIF: which way up a photo is, and all that it says except what could show a face.

What is kept is written anew, tag by tag, so that nothing survives that no tag names: the small picture
in the second directory, the maker's private notes (which hold previews), bytes between the values.
Source of the layout and the tags: CIPA DC-008 (Exif 2.32) §4.6; TIFF 6.0 §2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from facefx.video.still_meta import Removal, holds_picture

__all__ = ["clean_exif", "orientation_exif", "orientation_of", "upright_exif"]

_ORIENTATION = 0x0112
_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
_LINKS = {_EXIF_IFD, _GPS_IFD, _INTEROP_IFD}
_DROPPED = {
    0x927C: "the maker's private note, which may hold a preview",
    0x014A: "further pictures (SubIFDs)",
    0x0111: "picture data",
    0x0117: "picture data",
    0x0144: "picture data",
    0x0145: "picture data",
    0x0201: "a preview",
    0x0202: "a preview",
    0x02BC: "a second copy of XMP",
    0x83BB: "a second copy of IPTC",
    0x8649: "Photoshop resources, which may hold a preview",
    0xC634: "a raw converter's private data",
}
_PADDING = 0xEA1C
# Bytes per value of TIFF's types 1 to 13, and of the UTF-8 that Exif 3.0 added.
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_MAX_ENTRIES = 512
_MAX_DIRECTORIES = 8
_MAX_VALUE = 8192
_SLACK = 64


class _Broken(Exception):
    """The structure contradicts itself."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tag: raw is the value's bytes; link is the directory that it leads to."""

    tag: int
    kind: int
    raw: bytes
    link: tuple[_Entry, ...] | None = None


class _Reader:
    """Walks directories within one block of bytes; each at most once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
        if not self.order or len(data) < 8:
            raise _Broken("it does not begin as TIFF does")
        self.removed: list[Removal] = []
        self.used = 8
        self._seen: set[int] = set()

    def number(self, at: int, letter: str) -> int:
        """Read one number, or say that it lies outside."""
        try:
            return int(struct.unpack_from(self.order + letter, self.data, at)[0])
        except struct.error:
            raise _Broken(f"it ends before byte {at}") from None

    def directory(self, at: int, name: str) -> tuple[tuple[_Entry, ...], int]:
        """Return the entries that are kept, and where the next directory is."""
        count = self.number(at, "H")
        if at in self._seen or count > _MAX_ENTRIES or len(self._seen) >= _MAX_DIRECTORIES:
            raise _Broken(f"its directory at byte {at} comes twice or has {count} entries")
        self._seen.add(at)
        self.used += 6 + 12 * count
        found = [self._entry(at + 2 + 12 * i, name) for i in range(count)]
        end = at + 2 + 12 * count
        following = self.number(end, "I") if end + 4 <= len(self.data) else 0  # some writers leave it out
        return tuple(entry for entry in found if entry), following

    def _entry(self, at: int, name: str) -> _Entry | None:
        tag, kind, count = self.number(at, "H"), self.number(at + 2, "H"), self.number(at + 4, "I")
        if kind not in _WIDTHS:
            raise _Broken(f"tag {tag:#06x} has unknown type {kind}")
        size = _WIDTHS[kind] * count
        start = at + 8 if size <= 4 else self.number(at + 8, "I")
        if start + size > len(self.data):
            raise _Broken(f"tag {tag:#06x} lies outside of it")
        self.used += size + (size & 1) if size > 4 else 0
        if self.used > 2 * len(self.data):
            raise _Broken("its values lie over one another")
        if tag in _LINKS:
            if count != 1 or kind not in (4, 13):
                raise _Broken(f"tag {tag:#06x} leads nowhere")
            return _Entry(tag, 4, b"", self.directory(self.number(at + 8, "I"), f"{tag:#06x}")[0])
        reason = _DROPPED.get(tag)
        if reason is None and size > _MAX_VALUE:
            reason = f"{size} bytes, more than text or numbers need"
        raw = self.data[start : start + min(size, _MAX_VALUE)]
        if reason is None and holds_picture(raw):
            reason = "it holds a picture"
        if reason is not None:
            self.removed.append(Removal(f"EXIF tag {tag:#06x} of {name}", reason))
        return None if reason is not None or tag == _PADDING else _Entry(tag, kind, raw)


def orientation_of(exif: bytes | None) -> int:
    """How a viewer turns the stored picture, 1 to 8; 1 where nothing sensible is said.

    >>> orientation_of(orientation_exif(6)), orientation_of(b"II*"), orientation_of(None)
    (6, 1, 1)
    """
    place = _place_of_orientation(exif) if exif else None
    if exif is None or place is None:
        return 1
    value = int(struct.unpack_from(place[0] + "H", exif, place[1])[0])
    return value if 1 <= value <= 8 else 1


def upright_exif(exif: bytes | None) -> bytes | None:
    """The same EXIF for pixels that were turned already.

    >>> orientation_of(upright_exif(orientation_exif(6)))
    1
    """
    place = _place_of_orientation(exif) if exif else None
    if exif is None or place is None:
        return exif
    return exif[: place[1]] + struct.pack(place[0] + "H", 1) + exif[place[1] + 2 :]


def _place_of_orientation(exif: bytes) -> tuple[str, int] | None:
    """Byte order, and the byte at which the orientation's value stands."""
    try:
        reader = _Reader(exif)
        at = reader.number(4, "I")
        for i in range(min(reader.number(at, "H"), _MAX_ENTRIES)):
            if reader.number(at + 2 + 12 * i, "H") == _ORIENTATION:
                reader.number(at + 10 + 12 * i, "H")
                return reader.order, at + 10 + 12 * i
    except _Broken:
        return None
    return None


def orientation_exif(orientation: int) -> bytes:
    """EXIF that says which way up, and nothing else."""
    return _write(">", (_Entry(_ORIENTATION, 3, struct.pack(">H", orientation)),))


def clean_exif(exif: bytes) -> tuple[bytes | None, tuple[Removal, ...]]:
    """Return EXIF without what could show a face, and what was left out; the same bytes if nothing was.

    What cannot be read whole is reduced to the orientation.
    """
    try:
        reader = _Reader(exif)
        entries, following = reader.directory(reader.number(4, "I"), "IFD0")
    except _Broken as broken:
        orientation = orientation_of(exif)
        kept = orientation_exif(orientation) if orientation != 1 else None
        return kept, (Removal("EXIF", f"damaged: {broken}"),)
    removed = list(reader.removed)
    if following:
        removed.append(Removal("EXIF thumbnail", "a small copy of the photo shows its faces"))
    elif not removed and len(exif) > reader.used + _SLACK:
        removed.append(Removal("EXIF padding", f"{len(exif) - reader.used} bytes that no tag names"))
    return (_write(reader.order, entries) if removed else exif), tuple(removed)


def _write(order: str, entries: tuple[_Entry, ...]) -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + _directory(order, entries, 8)


def _directory(order: str, entries: tuple[_Entry, ...], at: int) -> bytes:
    """Lay one directory out at a byte, its values and further directories behind it."""
    table, values = struct.pack(order + "H", len(entries)), b""
    behind = at + 6 + 12 * len(entries)
    for entry in sorted(entries, key=lambda entry: entry.tag):
        where = struct.pack(order + "I", behind + len(values))
        if entry.link is not None:
            values += _even(_directory(order, entry.link, behind + len(values)))
            table += struct.pack(order + "HHI", entry.tag, 4, 1) + where
            continue
        short = len(entry.raw) <= 4
        table += struct.pack(order + "HHI", entry.tag, entry.kind, len(entry.raw) // _WIDTHS[entry.kind])
        table += entry.raw.ljust(4, b"\0") if short else where
        values += b"" if short else _even(entry.raw)
    return table + bytes(4) + values


def _even(raw: bytes) -> bytes:
    return raw + bytes(len(raw) & 1)
