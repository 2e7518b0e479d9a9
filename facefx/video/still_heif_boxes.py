"""The boxes of a HEIC or AVIF file: which items it holds, their bytes and properties.

Source: ISO/IEC 14496-12 §8.11: pitm, iloc, iinf, iprp, iref, idat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facefx.errors import DamagedError, SourceError

__all__ = ["Item", "Items", "read_items"]

_MAX_BOXES, _MAX_ITEMS, _MAX_PIECES = 4096, 4096, 1 << 16
# Boxes beside the items in which no picture can be.
_PLAIN = frozenset((b"ftyp", b"meta", b"mdat", b"free", b"skip", b"wide", b"pdin", b"styp"))
Property = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Item:
    """One item: kind (four letters), content type where it has one, bytes, (name, body) properties."""

    number: int
    kind: bytes
    content: bytes
    data: bytes
    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """All items by number. references: (kind, from) → the items it leads to. foreign: other boxes' names."""

    primary: int
    table: dict[int, Item]
    references: dict[tuple[bytes, int], tuple[int, ...]]
    foreign: tuple[bytes, ...] = ()


class _Cursor:
    """Reads numbers of a box one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes.

        Raises ValueError where there are none.
        """
        part = self.data[self.at : self.at + size]
        if len(part) != size:
            raise ValueError("a box ends early")
        self.at += size
        return part

    def number(self, size: int) -> int:
        """The next big-endian number of so many bytes; 0 bytes mean 0."""
        return int.from_bytes(self.take(size), "big")

    def version(self) -> int:
        """The version that a full box begins with; its flags are left in place by `flags`."""
        version = self.number(1)
        self.flags = self.number(3)
        return version


def read_items(data: bytes, path: Path) -> Items:
    """Read the items of a file.

    Raises DamagedError where it ends before its items do, SourceError where it contradicts itself.
    """
    try:
        outer = list(_boxes(data))
        meta = dict(outer).get(b"meta")
        if meta is None:
            raise ValueError("it holds no items")
        inner = dict(_boxes(meta[4:]))
        kinds = _kinds(inner.get(b"iinf", b""))
        places = _places(inner.get(b"iloc", b""))
        properties = _properties(inner.get(b"iprp", b""))
        references = _references(inner.get(b"iref", b""))
        primary = _Cursor(inner.get(b"pitm", b""))
        number = primary.number(2 if primary.version() == 0 else 4)
    except (ValueError, IndexError) as error:
        raise SourceError(f"{path}: no photo can be read from it: {error}; get a better copy") from error
    table = {}
    left = len(data)
    for item, (kind, content) in kinds.items():
        body = _bytes_of(data, inner.get(b"idat", b""), places.get(item, []), left, path)
        left -= len(body)
        table[item] = Item(item, kind, content, body, properties.get(item, ()))
    foreign = tuple(dict.fromkeys(name for name, _ in outer if name not in _PLAIN))
    return Items(number, table, references, foreign)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, body) of the boxes that stand one behind the other; a cut last one ends early."""
    at, count = 0, 0
    while at + 8 <= len(data) and count < _MAX_BOXES:
        size, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            raise ValueError(f"box {name.decode('latin-1')!r} is damaged")
        yield name, data[at + head : end]
        at, count = end, count + 1


def _kinds(iinf: bytes) -> dict[int, tuple[bytes, bytes]]:
    cursor = _Cursor(iinf)
    count = cursor.number(2 if cursor.version() == 0 else 4)
    found: dict[int, tuple[bytes, bytes]] = {}
    for name, body in _boxes(iinf[cursor.at :]):
        entry = _Cursor(body)
        version = entry.version()
        if name != b"infe" or version not in (2, 3):
            raise ValueError("its list of items is of an old kind")
        number = entry.number(2 if version == 2 else 4)
        entry.number(2)
        kind = entry.take(4)
        texts = body[entry.at :].split(b"\0")
        found[number] = kind, texts[1] if kind == b"mime" and len(texts) > 1 else b""
    if len(found) != count or count > _MAX_ITEMS:
        raise ValueError(f"{len(found)} of {count} items are listed")
    return found


def _places(iloc: bytes) -> dict[int, list[tuple[int, int, int]]]:
    """Item → (method, offset, length) of its pieces: method 0 the file, 1 the idat box."""
    cursor = _Cursor(iloc)
    version = cursor.version()
    sizes = cursor.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    found, total = {}, 0
    for _ in range(cursor.number(2 if version < 2 else 4)):
        number = cursor.number(2 if version < 2 else 4)
        method = cursor.number(2) & 15 if version else 0
        cursor.number(2)
        base = cursor.number(base_size)
        pieces = []
        count = cursor.number(2)
        total += count
        if total > _MAX_PIECES:
            raise ValueError(f"its items have more than {_MAX_PIECES} pieces")
        for _ in range(count):
            cursor.number(index_size)
            offset = base + cursor.number(offset_size)
            pieces.append((method, offset, cursor.number(length_size)))
        found[number] = pieces
    return found


def _properties(iprp: bytes) -> dict[int, tuple[Property, ...]]:
    """Item → its properties, in the order in which they apply."""
    parts = list(_boxes(iprp))
    shared = [prop for name, body in parts if name == b"ipco" for prop in _boxes(body)]
    found: dict[int, tuple[Property, ...]] = {}
    for name, body in parts:
        if name != b"ipma":
            continue
        cursor = _Cursor(body)
        version = cursor.version()
        wide = cursor.flags & 1
        count = cursor.number(4)
        if count > _MAX_ITEMS:
            raise ValueError(f"{count} items have properties")
        for _ in range(count):
            number = cursor.number(4 if version else 2)
            chosen = []
            for _ in range(cursor.number(1)):
                index = cursor.number(2) & 0x7FFF if wide else cursor.number(1) & 0x7F
                if index:
                    chosen.append(shared[index - 1])
            found[number] = tuple(chosen)
    return found


def _references(iref: bytes) -> dict[tuple[bytes, int], tuple[int, ...]]:
    if not iref:
        return {}
    cursor = _Cursor(iref)
    size = 4 if cursor.version() else 2
    found = {}
    for name, body in _boxes(iref[cursor.at :]):
        entry = _Cursor(body)
        start = entry.number(size)
        found[name, start] = tuple(entry.number(size) for _ in range(entry.number(2)))
    return found


def _bytes_of(data: bytes, idat: bytes, pieces: list[tuple[int, int, int]], most: int, path: Path) -> bytes:
    """Gather an item's pieces, at most so many bytes of them; a length of 0 means up to the end."""
    parts: list[bytes] = []
    for method, offset, length in pieces:
        if method not in (0, 1):
            raise SourceError(f"{path}: an item is made from other items; export it as JPEG first")
        source = idat if method else data
        end = offset + length if length else max(offset, len(source))
        if end > len(source):
            raise DamagedError(
                f"{path}: the photo ends early: it is cut short; get a better copy", decoded=0, expected=1
            )
        most -= end - offset
        if most < 0:
            raise SourceError(f"{path}: its items are larger than the file; get a better copy")
        parts.append(source[offset:end])
    return b"".join(parts)
