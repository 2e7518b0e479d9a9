"""A WebP file as chunks: read within bounds, reduced to what may be kept, put together again.

Source: Google, WebP Container Specification (RFC 9649 §2); RFC 6386 §9.1 (VP8's own size).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from facefx.errors import SourceError, UnsupportedError
from facefx.video.still_exif import clean_exif, orientation_exif, orientation_of
from facefx.video.still_kinds import cut_short
from facefx.video.still_meta import Metadata, MetadataPolicy, Removal, holds_picture
from facefx.video.still_xmp import clean_xmp

__all__ = ["WebP", "read_webp"]

_IMAGE = {b"VP8 ", b"VP8L", b"ALPH"}
_HEADER, _ICC, _EXIF, _XMP = b"VP8X", b"ICCP", b"EXIF", b"XMP "
_ANIMATED = {b"ANIM", b"ANMF"}
_FLAGS = {_ICC: 0x20, _EXIF: 0x08, _XMP: 0x04}
_ALPHA_FLAG, _ANIMATION_FLAG = 0x10, 0x02
_MAX_CHUNKS = 4096
_EXIF_MARK = b"Exif\0\0"  # some writers put JPEG's own mark in front

Chunk = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class WebP:
    """A WebP file: (name, body) of each chunk; trailer: bytes behind its end."""

    chunks: tuple[Chunk, ...]
    trailer: bytes = b""

    @property
    def lossless(self) -> bool:
        """True where every sample is kept exactly."""
        return self._first(b"VP8L") is not None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the stored picture."""
        lossy, lossless = self._first(b"VP8 "), self._first(b"VP8L")
        if lossless is not None:
            bits = int.from_bytes(lossless[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        head = lossy or b""
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF

    @property
    def has_alpha(self) -> bool:
        """True where pixels may be transparent."""
        lossless = self._first(b"VP8L")
        if lossless is not None:
            return bool(lossless[4] & 0x10)
        return self._first(b"ALPH") is not None

    @property
    def metadata(self) -> Metadata:
        """EXIF, XMP and ICC profile."""
        exif = self._first(_EXIF)
        return Metadata(
            exif=exif.removeprefix(_EXIF_MARK) if exif else None, xmp=self._first(_XMP), icc=self._first(_ICC)
        )

    @property
    def of_this_kind(self) -> tuple[str, ...]:
        """What is said in ways that only a WebP has: nothing."""
        return ()

    def _first(self, name: bytes) -> bytes | None:
        return next((body for kind, body in self.chunks if kind == name), None)

    def cleaned(self, policy: MetadataPolicy) -> tuple[WebP, tuple[Removal, ...]]:
        """The same file without what the policy leaves out, and what that was."""
        kept: list[Chunk] = []
        removed: list[Removal] = []
        for name, body in self.chunks:
            new, gone = _clean(name, body, policy)
            removed += gone
            if new is not None:
                kept.append((name, new))
        if self.trailer:
            what = "a second picture or a film" if holds_picture(self.trailer) else "bytes"
            removed.append(Removal(f"{len(self.trailer)} bytes behind the photo", f"{what} of any content"))
        return _flagged(WebP(tuple(kept))), tuple(dict.fromkeys(removed))

    def with_image(self, other: WebP) -> WebP:
        """The same file with another's coded picture."""
        return other.with_metadata(self.metadata)

    def with_metadata(self, metadata: Metadata) -> WebP:
        """The same picture with these and no other metadata, in the order that the format asks for."""
        said = [(_EXIF, metadata.exif), (_XMP, metadata.xmp)]
        width, height = self.size
        head = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks: list[Chunk] = [(_HEADER, head)]
        chunks += [(_ICC, metadata.icc)] if metadata.icc else []
        chunks += [chunk for chunk in self.chunks if chunk[0] in _IMAGE]
        chunks += [(name, body) for name, body in said if body]
        return _flagged(WebP(tuple(chunks)))

    def image_only(self) -> bytes:
        """The coded picture and nothing else, for a decoder."""
        kept = tuple(chunk for chunk in self.chunks if chunk[0] in _IMAGE or chunk[0] == _HEADER)
        return _flagged(WebP(kept)).to_bytes()

    def to_bytes(self) -> bytes:
        """The file."""
        parts = [
            name + len(body).to_bytes(4, "little") + body + bytes(len(body) & 1) for name, body in self.chunks
        ]
        body = b"WEBP" + b"".join(parts)
        return b"RIFF" + len(body).to_bytes(4, "little") + body + self.trailer


def _flagged(webp: WebP) -> WebP:
    """Have the header say what is there; a file with nothing beside its pixels needs none."""
    names = {name for name, _ in webp.chunks}
    flags = sum(flag for name, flag in _FLAGS.items() if name in names)
    chunks = []
    for name, body in webp.chunks:
        if name == _HEADER:
            alpha = body[0] & _ALPHA_FLAG | (_ALPHA_FLAG if webp.has_alpha else 0)
            if not flags and b"ALPH" not in names and not alpha and not body[0]:
                continue
            body = bytes((flags | alpha,)) + body[1:]
        chunks.append((name, body))
    return replace(webp, chunks=tuple(chunks))


def read_webp(data: bytes, path: Path) -> WebP:
    """Read a WebP file's chunks.

    Raises DamagedError for a file that ends early, SourceError for one that contradicts itself,
    UnsupportedError for an animated one.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise cut_short(path, len(data))
    chunks: list[Chunk] = []
    at = 12
    while at < end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > end or len(name) < 4:
            raise cut_short(path, at)
        chunks.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size + (size & 1)
        if len(chunks) > _MAX_CHUNKS:
            raise UnsupportedError(f"{path}: more than {_MAX_CHUNKS} chunks; save it anew first")
    webp = WebP(tuple(chunks), data[max(at, end) :])
    _check(webp, path)
    return webp


def _check(webp: WebP, path: Path) -> None:
    names = [name for name, _ in webp.chunks]
    header = next((body for name, body in webp.chunks if name == _HEADER), bytes(10))
    if _ANIMATED & set(names) or (header[:1] and header[0] & _ANIMATION_FLAG):
        raise UnsupportedError(f"{path}: an animated WebP; convert it to a video, or save one picture of it")
    pictures = [body for name, body in webp.chunks if name in (b"VP8 ", b"VP8L")]
    if len(pictures) != 1 or len(header) != 10 or len(pictures[0]) < 10:
        raise SourceError(
            f"{path}: {len(pictures)} coded pictures in a WebP, expected one; get a better copy"
        )
    canvas = tuple(1 + int.from_bytes(header[at : at + 3], "little") for at in (4, 7))
    if _HEADER in names and canvas != webp.size:
        raise SourceError(f"{path}: its header says {canvas}, its picture is {webp.size}; get a better copy")


def _clean(name: bytes, body: bytes, policy: MetadataPolicy) -> tuple[bytes | None, tuple[Removal, ...]]:
    """What of a chunk may be kept, by name."""
    if name in _IMAGE or name in (_HEADER, _ICC):
        return body, ()
    if name == _EXIF:
        if policy == "keep":
            kept, removed = clean_exif(body.removeprefix(_EXIF_MARK))
            return (kept if removed else body), removed
        orientation = orientation_of(body.removeprefix(_EXIF_MARK))
        kept = orientation_exif(orientation) if orientation != 1 else None
        return kept, () if kept == body else (Removal("EXIF", "metadata are stripped"),)
    if name == _XMP:
        return (None, (Removal("XMP", "metadata are stripped"),)) if policy == "strip" else clean_xmp(body)
    said = name.decode("latin-1")
    return None, (Removal(f"chunk {said!r}", "of a kind that is not known; it may hold a preview"),)
