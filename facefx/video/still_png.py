"""A PNG file as chunks: read within bounds and checked, reduced to what may be kept, put together again.

Source: W3C Portable Network Graphics (PNG) Specification, third edition.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from facefx.errors import DamagedError, SourceError, UnsupportedError
from facefx.video.still_exif import clean_exif, orientation_exif, orientation_of
from facefx.video.still_meta import Metadata, MetadataPolicy, Removal, holds_picture
from facefx.video.still_xmp import clean_xmp, is_data

__all__ = ["Chunk", "Png", "check_whole", "read_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IMAGE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
# What the pixels mean. Never metadata, kept by every policy.
_MEANING = {b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"pHYs"}
# True of the stored samples only; a palette or a depth may have changed.
_OF_THE_SAMPLES = {b"sBIT", b"bKGD", b"hIST"}
_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_ANIMATED = {b"acTL", b"fcTL", b"fdAT"}
_XMP = b"XML:com.adobe.xmp"
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Source: §8.1, Adam7: first column and row, then steps.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MAX_CHUNKS, _MAX_TEXTS = 1 << 16, 1024
_MAX_TEXT, _MAX_PROFILE = 1 << 20, 8 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; its checksum was right."""

    kind: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        """As it stands in a file."""
        check = zlib.crc32(self.body, zlib.crc32(self.kind))
        return len(self.body).to_bytes(4, "big") + self.kind + self.body + check.to_bytes(4, "big")

    @property
    def is_image(self) -> bool:
        """True for what the pixels are made from."""
        return self.kind in _IMAGE


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG file; trailer: bytes behind its end; spoilt: chunks left out for a wrong checksum."""

    chunks: tuple[Chunk, ...]
    trailer: bytes = b""
    spoilt: tuple[Removal, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the stored picture."""
        head = self.chunks[0].body
        return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")

    @property
    def depth(self) -> int:
        """Bits per sample, or per palette index."""
        return self.chunks[0].body[8]

    @property
    def indexed(self) -> bool:
        """True where pixels are numbers of a palette."""
        return self.chunks[0].body[9] == 3

    @property
    def clear_grey(self) -> int | None:
        """Which grey of 0 to 255 is transparent, in a picture of fewer bits: decoders get that wrong."""
        mark = self._first(b"tRNS")
        if self.chunks[0].body[9] != 0 or self.depth >= 8 or mark is None or len(mark) != 2:
            return None
        peak = (1 << self.depth) - 1
        return (int.from_bytes(mark, "big") & peak) * 255 // peak

    @property
    def metadata(self) -> Metadata:
        """EXIF, XMP and ICC profile."""
        exif, packed = self._first(b"eXIf"), self._first(b"iCCP")
        icc = _profile(packed) if packed else None
        xmp = next((_text(c)[1] for c in self.chunks if c.kind in _TEXT and _keyword(c) == _XMP), None)
        return Metadata(exif=exif, xmp=xmp, icc=icc)

    @property
    def of_this_kind(self) -> tuple[str, ...]:
        """What is said in ways that only a PNG has."""
        carried = {b"eXIf", b"iCCP"}
        said = [c for c in self.chunks if not c.is_image and c.kind not in carried]
        names = [c.kind.decode("latin-1") for c in said if c.kind not in _TEXT or _keyword(c) != _XMP]
        return tuple(dict.fromkeys(f"chunk {name!r}" for name in names))

    @property
    def of_these_samples(self) -> tuple[str, ...]:
        """What is true of the stored samples only, and is left out when others take their place."""
        names = (c.kind.decode("latin-1") for c in self.chunks if c.kind in _OF_THE_SAMPLES)
        return tuple(dict.fromkeys(f"chunk {name!r}" for name in names))

    def _first(self, kind: bytes) -> bytes | None:
        return next((chunk.body for chunk in self.chunks if chunk.kind == kind), None)

    def cleaned(self, policy: MetadataPolicy) -> tuple[Png, tuple[Removal, ...]]:
        """The same file without what the policy leaves out, and what that was."""
        removed = list(self.spoilt)
        kept = []
        for chunk in self.chunks:
            new, gone = (chunk, ()) if chunk.is_image else _clean(chunk, policy)
            removed += gone
            if new is not None:
                kept.append(new)
        if self.trailer:
            what = "a second picture or a film" if holds_picture(self.trailer) else "bytes"
            removed.append(Removal(f"{len(self.trailer)} bytes behind the photo", f"{what} of any content"))
        return Png(tuple(kept)), tuple(dict.fromkeys(removed))

    def with_image(self, other: Png) -> Png:
        """The same file with another's coded picture."""
        said = [c for c in self.chunks if not c.is_image and c.kind not in _OF_THE_SAMPLES]
        return _ordered(other, said)

    def with_metadata(self, metadata: Metadata) -> Png:
        """The same picture with these and no other metadata."""
        said = []
        if metadata.icc:
            said.append(Chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
        if metadata.exif:
            said.append(Chunk(b"eXIf", metadata.exif))
        if metadata.xmp:
            said.append(Chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + metadata.xmp))
        return _ordered(self, said)

    def image_only(self) -> bytes:
        """The coded picture and nothing else, for a decoder."""
        return Png(tuple(chunk for chunk in self.chunks if chunk.is_image)).to_bytes()

    def to_bytes(self) -> bytes:
        """The file."""
        return SIGNATURE + b"".join(chunk.to_bytes() for chunk in self.chunks) + self.trailer


def _ordered(image: Png, said: list[Chunk]) -> Png:
    """What is said about a picture comes between its header and its pixels."""
    chunks = [chunk for chunk in image.chunks if chunk.is_image]
    return replace(image, chunks=(chunks[0], *said, *chunks[1:]), trailer=b"", spoilt=())


def read_png(data: bytes, path: Path) -> Png:
    """Read a PNG file's chunks.

    Raises DamagedError for a file that ends early or is spoilt, SourceError for one that contradicts
    itself, UnsupportedError for an animated one.
    """
    chunks: list[Chunk] = []
    spoilt: list[Removal] = []
    at = len(SIGNATURE)
    while not chunks or chunks[-1].kind != b"IEND":
        size = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 12 + size
        if len(kind) < 4 or end > len(data):
            raise _damaged(path, f"ends early, at byte {at}: it is cut short")
        if kind in _ANIMATED:
            raise UnsupportedError(
                f"{path}: an animated PNG; convert it to a video, or save one picture of it"
            )
        body = data[at + 8 : end - 4]
        if zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
            chunks.append(Chunk(kind, body))
        elif kind[:1].isupper():
            raise _damaged(
                path, f"is spoilt: chunk {kind.decode('latin-1')} at byte {at} has a wrong checksum"
            )
        else:
            spoilt.append(Removal(f"chunk {kind.decode('latin-1')!r}", "its checksum is wrong"))
        at = end
        if len(chunks) + len(spoilt) > _MAX_CHUNKS:
            raise UnsupportedError(f"{path}: more than {_MAX_CHUNKS} chunks; save it anew first")
    png = Png(tuple(chunks), data[at:], tuple(dict.fromkeys(spoilt)))
    _check(png, path)
    return png


def check_whole(png: Png, path: Path) -> None:
    """Unpack the pixels' bytes, no more than the header promises, and see that all are there.

    Raises DamagedError.
    """
    (width, height), body = png.size, png.chunks[0].body
    bits = body[8] * _CHANNELS[body[9]]
    passes = _PASSES if body[12] else ((0, 0, 1, 1),)
    expected = 0
    for x, y, step_x, step_y in passes:
        columns, rows = max(0, -(-(width - x) // step_x)), max(0, -(-(height - y) // step_y))
        expected += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    unpacker, got = zlib.decompressobj(), 0
    try:
        for chunk in png.chunks:
            rest = chunk.body if chunk.kind == b"IDAT" else b""
            while rest and got < expected:
                got += len(unpacker.decompress(rest, 1 << 20))
                rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise _damaged(path, f"is spoilt: its pixels cannot be unpacked ({error})") from error
    if got < expected:
        raise _damaged(path, f"holds {got} of {expected} bytes of pixels")


def _damaged(path: Path, what: str) -> DamagedError:
    return DamagedError(f"{path}: the photo {what}; get a better copy", decoded=0, expected=1)


def _check(png: Png, path: Path) -> None:
    head = png.chunks[0]
    if head.kind != b"IHDR" or len(head.body) != 13:
        raise SourceError(f"{path}: does not begin with a PNG header; get a better copy")
    depth, colour = head.body[8], head.body[9]
    known = depth in _DEPTHS.get(colour, ()) and head.body[12] <= 1
    kinds = [chunk.kind for chunk in png.chunks]
    if not known or kinds.count(b"IHDR") != 1 or b"IDAT" not in kinds:
        raise SourceError(f"{path}: its PNG header or pixels are missing or unknown; get a better copy")
    if sum(kind in _TEXT for kind in kinds) > _MAX_TEXTS:
        raise UnsupportedError(f"{path}: more than {_MAX_TEXTS} chunks of text; save it anew first")
    foreign = [kind for kind in kinds if kind[:1].isupper() and kind not in _IMAGE]
    if foreign:
        raise UnsupportedError(f"{path}: holds the unknown critical chunk {foreign[0].decode('latin-1')!r}")


def _clean(chunk: Chunk, policy: MetadataPolicy) -> tuple[Chunk | None, tuple[Removal, ...]]:
    """What of a chunk that speaks about the picture may be kept, by kind."""
    name = chunk.kind.decode("latin-1")
    if chunk.kind == b"iCCP" and _profile(chunk.body) is None:
        return None, (Removal("ICC profile", "it cannot be unpacked, or is larger than any profile"),)
    if chunk.kind in _MEANING or (chunk.kind in _OF_THE_SAMPLES and len(chunk.body) <= 512):
        return chunk, ()
    if chunk.kind == b"eXIf":
        return _clean_exif(chunk, policy)
    if chunk.kind != b"tIME" and chunk.kind not in _TEXT:
        return None, (Removal(f"chunk {name!r}", "of a kind that is not known; it may hold a preview"),)
    if policy == "strip":
        return None, (Removal(f"chunk {name!r}", "metadata are stripped"),)
    return _clean_text(chunk) if chunk.kind in _TEXT else (chunk, ())


def _clean_exif(chunk: Chunk, policy: MetadataPolicy) -> tuple[Chunk | None, tuple[Removal, ...]]:
    removed: tuple[Removal, ...]
    if policy == "keep":
        kept, removed = clean_exif(chunk.body)
    else:
        orientation = orientation_of(chunk.body)
        kept = orientation_exif(orientation) if orientation != 1 else None
        removed = () if kept == chunk.body else (Removal("EXIF", "metadata are stripped"),)
    return Chunk(chunk.kind, kept) if kept else None, removed


def _clean_text(chunk: Chunk) -> tuple[Chunk | None, tuple[Removal, ...]]:
    """Text is kept as long as it is text: programs also write whole EXIF blocks and pictures there."""
    key, text = _text(chunk)
    if key == _XMP:
        kept, removed = clean_xmp(text)
        if not removed:
            return chunk, ()
        return Chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + kept) if kept else None, removed
    name = f"text {key.decode('latin-1')!r}"
    if key.startswith(b"Raw profile type"):
        return None, (Removal(name, "a block of another format, which may hold a preview"),)
    if is_data(text) or len(text) >= _MAX_TEXT:
        return None, (Removal(name, "data that may be a picture"),)
    return chunk, ()


def _keyword(chunk: Chunk) -> bytes:
    return chunk.body.partition(b"\0")[0]


def _text(chunk: Chunk) -> tuple[bytes, bytes]:
    """Keyword and text of a text chunk, unpacked as far as _MAX_TEXT."""
    key, _, rest = chunk.body.partition(b"\0")
    if chunk.kind == b"tEXt":
        return key, rest
    if chunk.kind == b"zTXt":
        return key, _inflated(rest[1:], _MAX_TEXT) or b""
    packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return key, (_inflated(rest, _MAX_TEXT) or b"") if packed else rest


def _profile(body: bytes) -> bytes | None:
    """The ICC profile of an iCCP chunk; None for what is none whole."""
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(body.partition(b"\0")[2][1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if unpacker.eof else None


def _inflated(packed: bytes, most: int) -> bytes | None:
    """Unpack at most so many bytes; None for what cannot be unpacked."""
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return None
