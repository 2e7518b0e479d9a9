"""What a picture's first bytes say: its kind and its size, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

__all__ = ["Kind", "picture_kind", "picture_size"]

Kind = Literal["still", "moving", ""]

_PNG, _JPEG, _GIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", (b"GIF87a", b"GIF89a")


def picture_kind(data: bytes) -> Kind:
    """Tell whether bytes begin as a still or as a file that may hold several frames; "" for neither.

    >>> picture_kind(b"GIF89a"), picture_kind(b"hello")
    ('moving', '')
    """
    if data.startswith(_GIF) or _is_webp(data):
        return "moving"
    if data.startswith(_PNG):
        return "moving" if any(name == b"acTL" for name, _ in _png_chunks(data)) else "still"
    return "still" if data.startswith(_JPEG) else ""


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a PNG, JPEG, GIF or WebP as its header says, None where it says nothing.

    Sources: PNG (W3C) §11.2.1, GIF89a §18, RFC 9649 §2.5–2.7, ITU-T T.81 §B.2.2.
    """
    if data.startswith(_PNG):
        found = _big(data, 16, 4), _big(data, 20, 4)
    elif data.startswith(_GIF):
        found = _little(data, 6, 2), _little(data, 8, 2)
    elif _is_webp(data):
        found = _webp_size(data)
    else:
        found = _jpeg_size(data)
    return found if min(found) > 0 else None


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        bits = _little(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    return 0, 0


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header, which is any SOF: C0 to CF but for C4, C8 and CC."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(data, at + 7, 2), _big(data, at + 5, 2)
        at += 2 + _big(data, at + 2, 2)
    return 0, 0


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Names and lengths of a PNG's chunks up to its first picture data."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length, name = _big(data, at, 4), data[at + 4 : at + 8]
        if name == b"IDAT":
            return
        yield name, length
        at += 12 + length


def _big(data: bytes, at: int, count: int) -> int:
    return int.from_bytes(data[at : at + count], "big")


def _little(data: bytes, at: int, count: int) -> int:
    return int.from_bytes(data[at : at + count], "little")
