"""HEIC and AVIF photos, read only: the items of the file, and the main picture from its tiles.

Source: ISO/IEC 14496-12 §8.11 (items), ISO/IEC 23008-12 §6 (pictures, grids, properties), AV1 Image File
Format 1.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from facefx.errors import DamagedError, SourceError, UnsupportedError
from facefx.video.still_exif import clean_exif, upright_exif
from facefx.video.still_heif_boxes import Item, Items, read_items
from facefx.video.still_meta import Metadata, MetadataPolicy, Removal
from facefx.video.still_xmp import clean_xmp

__all__ = ["Heif", "read_heif"]

_DECODERS = {b"hvc1": ("hevc", b"hvcC"), b"av01": ("libdav1d", b"av1C")}
_TURNED = {b"irot", b"imir"}
_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
_MAX_TILES = 1024
_SEQUENCES = (b"avis", b"msf1", b"hevc", b"hevx")
# Colours that a viewer assumes where none are named, and those of ordinary television.
_USUAL_PRIMARIES, _USUAL_TRANSFERS = (1, 2, 5, 6), (1, 2, 6, 8, 13, 14, 15)
_EXIF = b"Exif\0\0"
_SLACK = 1 << 20  # pixels: what a coded picture may have beyond the visible one


@dataclass(frozen=True, slots=True)
class Heif:
    """A HEIC or AVIF file. metadata: as kept; its EXIF orientation is 1, since the pixels are turned here."""

    items: Items
    metadata: Metadata

    @property
    def main(self) -> Item:
        """The picture that a viewer shows."""
        return self.items.table[self.items.primary]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as a viewer shows it."""
        width, height = _extent(self.main)
        turns = sum(body[0] & 3 for name, body in self.main.properties if name == b"irot" and body)
        return (height, width) if turns % 2 else (width, height)

    def cleaned(self, policy: MetadataPolicy) -> tuple[Heif, tuple[Removal, ...]]:
        """The same photo without what the policy leaves out, and what that was."""
        removed = list(dict.fromkeys((*_beside(self.items), *_colours(self.main))))
        exif, xmp = self.metadata.exif, self.metadata.xmp
        if policy == "strip":
            removed += [Removal(what, "metadata are stripped") for what in ("EXIF",) if exif]
            removed += [Removal(what, "metadata are stripped") for what in ("XMP",) if xmp]
            return replace(self, metadata=Metadata(icc=self.metadata.icc)), tuple(removed)
        if exif:
            exif, gone = clean_exif(exif)
            removed += gone
        if xmp:
            xmp, gone = clean_xmp(xmp)
            removed += gone
        return replace(self, metadata=Metadata(exif, xmp, self.metadata.icc)), tuple(removed)

    def decode(self, path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """(h, w, 3) red, green, blue as a viewer shows it: uint8, or uint16 for more than 8 bits; no alpha.

        Raises DamagedError, UnsupportedError.
        """
        main = self.main
        pixels = self._grid(main, path) if main.kind == b"grid" else _decode_item(main, main, path)
        width, height = _extent(main)
        pixels = pixels[:height, :width]
        if pixels.shape[:2] != (height, width):
            raise _spoilt(
                path, f"its tiles cover {pixels.shape[1]}x{pixels.shape[0]} of {width}x{height} pixels"
            )
        for name, body in main.properties:
            if name == b"irot":
                pixels = np.rot90(pixels, body[0] & 3)
            elif name == b"imir":
                pixels = pixels[:, ::-1] if body[0] & 1 else pixels[::-1]
        return np.ascontiguousarray(pixels), None

    def _grid(self, main: Item, path: Path) -> NDArray[Any]:
        rows, columns = _grid_shape(main, path)
        tiles = self.items.references.get((b"dimg", main.number), ())
        if len(tiles) != rows * columns or not set(tiles) <= set(self.items.table):
            raise _spoilt(path, f"{len(tiles)} tiles of {rows * columns} are there")
        _check_tiles([self.items.table[tile] for tile in tiles], main, path)
        lines = []
        for row in range(rows):
            parts = tiles[row * columns : (row + 1) * columns]
            lines.append([_decode_item(self.items.table[tile], main, path) for tile in parts])
        if len({part.shape for line in lines for part in line}) != 1:
            raise _spoilt(path, "its tiles differ in size")
        return np.concatenate([np.concatenate(line, axis=1) for line in lines], axis=0)


def read_heif(data: bytes, path: Path) -> Heif:
    """Read a HEIC or AVIF file's items.

    Raises SourceError for a file that contradicts itself, UnsupportedError by name for what is not carried.
    """
    if data[8:12] in _SEQUENCES:
        raise UnsupportedError(
            f"{path}: an animated HEIC or AVIF; convert it to a video, or save one picture of it"
        )
    items = read_items(data, path)
    main = items.table.get(items.primary)
    if main is None:
        raise SourceError(f"{path}: its main picture is missing; get a better copy")
    if main.kind != b"grid" and main.kind not in _DECODERS:
        kind = main.kind.decode("latin-1")
        raise UnsupportedError(f"{path}: a picture of kind {kind!r}; expected HEVC, AV1 or a grid of such")
    _extent(main, path)
    if any(name in _TURNED and not body for name, body in main.properties):
        raise SourceError(f"{path}: how its picture is turned is missing; get a better copy")
    cropped = [name for name, _ in main.properties if name == b"clap"]
    if cropped:
        raise UnsupportedError(f"{path}: a photo with a crop mark (clap); export it as JPEG or PNG first")
    if any(_is_alpha(items, item) for item in items.table.values()):
        raise UnsupportedError(f"{path}: a transparent HEIC or AVIF; export it as PNG first")
    exif = next((item.data for item in items.table.values() if item.kind == b"Exif"), None)
    xmp = next((item.data for item in items.table.values() if item.content == b"application/rdf+xml"), None)
    return Heif(items, Metadata(upright_exif(_tiff(exif)), xmp, _profile(main)))


def _tiff(exif: bytes | None) -> bytes | None:
    """EXIF from its TIFF header on: the item begins with where that is."""
    if not exif or len(exif) < 12:
        return None
    return exif[4 + int.from_bytes(exif[:4], "big") :].removeprefix(_EXIF) or None


def _profile(item: Item) -> bytes | None:
    for name, body in item.properties:
        if name == b"colr" and body[:4] in (b"prof", b"rICC"):
            return body[4:]
    return None


def _extent(item: Item, path: Path | None = None) -> tuple[int, int]:
    for name, body in item.properties:
        if name == b"ispe" and len(body) >= 12:
            return int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")
    raise SourceError(f"{path}: its main picture has no size; get a better copy")


def _grid_shape(main: Item, path: Path) -> tuple[int, int]:
    if len(main.data) < 8:
        raise _spoilt(path, "its grid is damaged")
    rows, columns = main.data[2] + 1, main.data[3] + 1
    if rows * columns > _MAX_TILES:
        raise UnsupportedError(f"{path}: {rows * columns} tiles, at most {_MAX_TILES} are decoded")
    return rows, columns


def _check_tiles(tiles: list[Item], main: Item, path: Path) -> None:
    """Refuse tiles that are much more than the picture, before one of them is decoded."""
    picture, total = math.prod(_extent(main, path)), sum(math.prod(_extent(tile, path)) for tile in tiles)
    if total > 4 * picture + _SLACK:
        raise SourceError(f"{path}: {total} pixels in tiles of a picture of {picture}; get a better copy")


def _spoilt(path: Path, what: str) -> DamagedError:
    return DamagedError(f"{path}: the photo is damaged: {what}; get a better copy", decoded=0, expected=1)


def _decode_item(item: Item, main: Item, path: Path) -> NDArray[Any]:
    """Decode one coded picture to (h, w, 3)."""
    codec, setup = _DECODERS.get(item.kind, ("", b""))
    config = next((body for name, body in item.properties if name == setup), None)
    if not codec or config is None:
        raise _spoilt(path, f"a tile of kind {item.kind.decode('latin-1')!r} cannot be decoded")
    width, height = _extent(item, path)
    context: Any = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    context.extradata = config
    context.options = {"err_detect": "explode", "max_pixels": str(width * height + _SLACK)}
    try:
        frames = [*context.decode(av.Packet(item.data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise _spoilt(path, "a picture in it does not decode") from error
    if len(frames) != 1 or frames[0].is_corrupt:
        raise _spoilt(path, f"{len(frames)} pictures decode where one must")
    return _rgb(frames[0], item, main)


def _rgb(frame: Any, item: Item, main: Item) -> NDArray[Any]:
    """Convert by the file's own colour tags; the coded picture's hold where it has none."""
    deep = frame.format.components[0].bits > 8
    tags = [body for one in (item, main) for name, body in one.properties if name == b"colr"]
    nclx = next((body for body in tags if body[:4] == b"nclx" and len(body) >= 11), None)
    matrix = int.from_bytes(nclx[8:10], "big") if nclx else int(frame.colorspace)
    full = bool(nclx[10] & 0x80) if nclx else int(frame.color_range) == 2
    frame.colorspace = {1: 1, 9: 9, 10: 9}.get(matrix, 5)
    frame.color_range = 2 if full else 1
    turned = frame.reformat(format="rgb48le" if deep else "rgb24", src_color_range=2 if full else 1)
    kind = "<u2" if deep else "u1"
    plane = turned.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    raw = lines[: turned.height, : turned.width * (6 if deep else 3)].copy()
    return raw.view(kind).reshape(turned.height, turned.width, 3)


def _is_alpha(items: Items, item: Item) -> bool:
    """True for the transparency of the main picture."""
    aux = next((body for name, body in item.properties if name == b"auxC"), b"")
    return aux[4:].startswith(_ALPHA) and items.primary in items.references.get((b"auxl", item.number), ())


def _beside(items: Items) -> list[Removal]:
    """Every picture in the file that is not the main one or a tile of it."""
    used = {items.primary, *items.references.get((b"dimg", items.primary), ())}
    found = []
    for number, item in items.table.items():
        if number in used or item.kind in (b"Exif", b"mime"):
            continue
        aux = next((body[4:].rstrip(b"\0") for name, body in item.properties if name == b"auxC"), b"")
        if (b"thmb", number) in items.references:
            found.append(Removal("thumbnail", "a small copy of the photo shows its faces"))
        elif aux:
            found.append(Removal(f"auxiliary picture {aux.decode('latin-1')}", "it shows the same faces"))
        else:
            found.append(Removal("another picture", "only the main picture is carried"))
    names = (name.decode("latin-1") for name in items.foreign)
    found += [Removal(f"box {name!r}", "it is no part of the photo; it may hold a film") for name in names]
    return found


def _colours(main: Item) -> list[Removal]:
    """Colour tags beyond the usual: other kinds of file say such things in a profile only."""
    tags = [body for name, body in main.properties if name == b"colr" and body[:4] == b"nclx"]
    if not tags or len(tags[0]) < 11 or _profile(main) is not None:
        return []
    primaries, transfer = (int.from_bytes(tags[0][at : at + 2], "big") for at in (4, 6))
    if primaries in _USUAL_PRIMARIES and transfer in _USUAL_TRANSFERS:
        return []
    what = f"colour tags (primaries {primaries}, transfer {transfer})"
    return [Removal(what, "only a colour profile is carried: colours will look different")]
