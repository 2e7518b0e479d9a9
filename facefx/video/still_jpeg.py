"""A JPEG file as segments: read within bounds, reduced to what may be kept, put together again.

Source: ITU-T T.81 annex B; JFIF 1.02; ICC.1:2022 annex B.4; CIPA DC-007 (multi-picture format).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from facefx.errors import SourceError, UnsupportedError
from facefx.video.still_exif import clean_exif, orientation_exif, orientation_of
from facefx.video.still_kinds import cut_short
from facefx.video.still_meta import Metadata, MetadataPolicy, Removal, holds_picture
from facefx.video.still_xmp import clean_photoshop, clean_xmp

__all__ = ["Component", "Jpeg", "Segment", "read_jpeg"]

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
_DHT, _SOS, _DQT, _DNL, _DRI, _COM = 0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_IMAGE = {_DHT, _SOS, _DQT, _DRI}
_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
_NOT_READ = {
    0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical",
    0xC9: "arithmetic-coded", 0xCA: "arithmetic-coded", 0xCB: "arithmetic-coded", 0xCD: "arithmetic-coded",
    0xCE: "arithmetic-coded", 0xCF: "arithmetic-coded",
}  # fmt: skip
_EXIF, _XMP, _EXTENDED = (
    b"Exif\0\0",
    b"http://ns.adobe.com/xap/1.0/\0",
    b"http://ns.adobe.com/xmp/extension/\0",
)
_ICC, _PHOTOSHOP, _ADOBE = b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"Adobe"
_NAMES = {_EXIF: "EXIF", _XMP: "XMP", _PHOTOSHOP: "IPTC"}
_KNOWN = (
    (b"MPF\0", "multi-picture index", "it names further pictures behind this one"),
    (b"JFXX\0", "JFIF thumbnail", "a small copy of the photo shows its faces"),
    (b"FPXR\0", "FlashPix data", "it may hold a preview"),
    (b"urn:iso:std:iso:ts:21496", "gain map description", "it belongs to a second picture"),
    (b"JP", "content credentials or other boxes (JUMBF)", "they may hold a thumbnail"),
)
# The end of coded data: a marker that is neither a stuffed 0 nor a restart.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_MAX_SEGMENTS, _MAX_SCANS = 4096, 256
_MAX_BODY = 65533


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment; coded: the entropy-coded data behind a scan's header."""

    marker: int
    body: bytes
    coded: bytes = b""

    def to_bytes(self) -> bytes:
        """As it stands in a file."""
        size = (len(self.body) + 2).to_bytes(2, "big")
        return bytes((0xFF, self.marker)) + size + self.body + self.coded

    @property
    def is_image(self) -> bool:
        """True for what the pixels are made from, not what is said about them."""
        return self.marker in _IMAGE or self.marker in _FRAMES


@dataclass(frozen=True, slots=True)
class Component:
    """One plane: its id, sampling factors (h, v) and quantisation table."""

    id: int
    h: int
    v: int
    table: int


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file; trailer: bytes behind its end."""

    segments: tuple[Segment, ...]
    trailer: bytes = b""

    @property
    def frame(self) -> Segment:
        """The frame header."""
        return next(segment for segment in self.segments if segment.marker in _FRAMES)

    @property
    def progressive(self) -> bool:
        """True where the scans refine one another."""
        return self.frame.marker == 0xC2

    @property
    def separate(self) -> bool:
        """True where a scan holds a single plane, not all of them in turn."""
        return any(segment.marker == _SOS and segment.body[:1] == b"\1" for segment in self.segments)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the stored picture."""
        body = self.frame.body
        return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")

    @property
    def components(self) -> tuple[Component, ...]:
        """The planes, in order."""
        body = self.frame.body
        return tuple(
            Component(body[at], body[at + 1] >> 4, body[at + 1] & 15, body[at + 2])
            for at in range(6, 6 + 3 * body[5], 3)
        )

    @property
    def is_jfif(self) -> bool:
        """True where JFIF's header says what the planes are."""
        return any(_is_jfif(segment) for segment in self.segments)

    @property
    def is_rgb(self) -> bool:
        """True where the three planes are red, green and blue: Adobe's marker says so, or their ids do.

        JFIF's header, which is for luma and chroma only, overrules both, as it does for libjpeg.
        """
        if self.is_jfif:
            return False
        adobe = [segment.body[11] for segment in self.segments if _is_adobe(segment)]
        ids = bytes(part.id for part in self.components)
        return len(ids) == 3 and (adobe[0] == 0 if adobe else ids == b"RGB")

    def tables(self, path: Path) -> dict[int, tuple[int, ...]]:
        """The quantisation tables: 64 values in zigzag order by number.

        Raises SourceError where one is damaged or missing, UnsupportedError where one changes midway.
        """
        found: dict[int, tuple[int, ...]] = {}
        for number, values in _iter_tables(self, path):
            if found.setdefault(number, values) != values:
                raise UnsupportedError(f"{path}: a JPEG whose tables change midway; save it anew first")
        if not {part.table for part in self.components} <= set(found):
            raise SourceError(f"{path}: a quantisation table is missing; get a better copy")
        return found

    @property
    def metadata(self) -> Metadata:
        """EXIF, XMP and ICC profile as they stand in the file."""
        chunks = sorted((s.body[12], s.body[14:]) for s in self.segments if _is_icc(s))
        return Metadata(
            exif=self._first(_EXIF),
            xmp=self._first(_XMP),
            icc=b"".join(part for _, part in chunks) or None,
        )

    @property
    def of_this_kind(self) -> tuple[str, ...]:
        """What is said in ways that only a JPEG has."""
        names = {_COM: "comment", _APP13: "IPTC"}
        return tuple(dict.fromkeys(names[s.marker] for s in self.segments if s.marker in names))

    def _first(self, name: bytes) -> bytes | None:
        for segment in self.segments:
            if segment.marker == _APP1 and segment.body.startswith(name):
                return segment.body[len(name) :]
        return None

    def cleaned(self, policy: MetadataPolicy) -> tuple[Jpeg, tuple[Removal, ...]]:
        """The same file without what the policy leaves out, and what that was."""
        removed: list[Removal] = []
        kept: list[Segment] = []
        for segment in self.segments:
            new, gone = (segment, ()) if segment.is_image else _clean(segment, policy)
            removed += gone
            if new is not None:
                kept.append(new)
        if self.trailer:
            what = "a second picture or a film" if holds_picture(self.trailer) else "bytes"
            removed.append(Removal(f"{len(self.trailer)} bytes behind the photo", f"{what} of any content"))
        return Jpeg(tuple(kept)), tuple(dict.fromkeys(removed))

    def with_image(self, other: Jpeg) -> Jpeg:
        """The same file with another's coded picture."""
        said = tuple(segment for segment in self.segments if not segment.is_image)
        image = tuple(segment for segment in other.segments if segment.is_image)
        return Jpeg(said + image)

    def with_metadata(self, metadata: Metadata) -> Jpeg:
        """The same picture with these and no other metadata."""
        said = [segment for segment in self.segments if segment.marker in (_APP0, _APP14)]
        if metadata.exif and len(metadata.exif) <= 65000:
            said.append(Segment(_APP1, _EXIF + metadata.exif))
        if metadata.xmp and len(metadata.xmp) <= 65000:
            said.append(Segment(_APP1, _XMP + metadata.xmp))
        icc = metadata.icc or b""
        chunks = [icc[at : at + 65000] for at in range(0, len(icc), 65000)]
        for number, chunk in enumerate(chunks, 1):
            said.append(Segment(_APP2, _ICC + bytes((number, len(chunks))) + chunk))
        return replace(self, segments=(*said, *(s for s in self.segments if s.is_image)))

    def image_only(self, size: tuple[int, int] | None = None) -> bytes:
        """The coded picture and nothing else, for a decoder; size: another one for its header."""
        tells_colours = _is_jfif if self.is_jfif else _is_adobe
        kept = [s for s in self.segments if s.is_image or tells_colours(s)]
        if size is not None:
            body = self.frame.body
            sized = body[:1] + size[1].to_bytes(2, "big") + size[0].to_bytes(2, "big") + body[5:]
            kept = [replace(s, body=sized) if s.marker in _FRAMES else s for s in kept]
        return SOI + b"".join(segment.to_bytes() for segment in kept) + EOI

    def to_bytes(self) -> bytes:
        """The file."""
        return SOI + b"".join(segment.to_bytes() for segment in self.segments) + EOI + self.trailer


def read_jpeg(data: bytes, path: Path) -> Jpeg:
    """Read a JPEG file's segments.

    Raises DamagedError for a file that ends early, SourceError for one that contradicts itself,
    UnsupportedError by name for a way of coding that is not carried.
    """
    segments: list[Segment] = []
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1  # fill bytes, which may stand before any marker
        if len(data) < at + 2:
            raise cut_short(path, at)
        if data[at] != 0xFF or data[at + 1] in (0, 1) or 0xD0 <= data[at + 1] <= 0xD8:
            raise SourceError(f"{path}: no JPEG segment at byte {at}, where one must be; get a better copy")
        marker, at = data[at + 1], at + 2
        if marker == EOI[1]:
            break
        size = int.from_bytes(data[at : at + 2], "big")
        end = at + size
        if size < 2 or end > len(data):
            raise cut_short(path, at)
        body, at = data[at + 2 : end], end
        coded = b""
        if marker == _SOS:
            found = _MARKER.search(data, at)
            if found is None:
                raise cut_short(path, len(data))
            coded, at = data[at : found.end() - 2], found.end() - 2
        segments.append(Segment(marker, body, coded))
        if len(segments) > _MAX_SEGMENTS:
            raise UnsupportedError(f"{path}: more than {_MAX_SEGMENTS} segments; save it anew first")
    jpeg = Jpeg(tuple(segments), data[at:])
    _check(jpeg, path)
    return jpeg


def _check(jpeg: Jpeg, path: Path) -> None:
    """Refuse what cannot be decoded and coded again as it was."""
    for segment in jpeg.segments:
        if segment.marker in _NOT_READ:
            raise UnsupportedError(f"{path}: a {_NOT_READ[segment.marker]} JPEG; save it as baseline first")
        if segment.marker == _DNL:
            raise UnsupportedError(f"{path}: a JPEG that tells its height late; save it anew first")
    frames = [segment for segment in jpeg.segments if segment.marker in _FRAMES]
    scans = sum(segment.marker == _SOS for segment in jpeg.segments)
    if len(frames) != 1 or not 1 <= scans <= _MAX_SCANS:
        raise SourceError(f"{path}: {len(frames)} frame headers and {scans} scans; expected one photo")
    body = frames[0].body
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise SourceError(f"{path}: its frame header is damaged; get a better copy")
    if body[0] != 8:
        raise UnsupportedError(f"{path}: a {body[0]}-bit JPEG; save it with 8 bits first")
    if len(jpeg.components) == 4:
        raise UnsupportedError(f"{path}: a CMYK photo, made for print; convert it to RGB first")
    if not all(1 <= one.h <= 4 and 1 <= one.v <= 4 for one in jpeg.components):
        raise SourceError(f"{path}: its frame header is damaged; get a better copy")
    if len(jpeg.components) not in (1, 3):
        raise UnsupportedError(f"{path}: {len(jpeg.components)} colour components; convert it to RGB first")


def _is_icc(segment: Segment) -> bool:
    return segment.marker == _APP2 and segment.body.startswith(_ICC) and len(segment.body) >= 14


def _is_jfif(segment: Segment) -> bool:
    return segment.marker == _APP0 and segment.body.startswith(b"JFIF\0") and len(segment.body) >= 14


def _is_adobe(segment: Segment) -> bool:
    """Adobe's marker tells how colours are meant; it is part of the picture rather than about it."""
    body = segment.body
    return segment.marker == _APP14 and body.startswith(_ADOBE) and 12 <= len(body) <= 64


def _clean(segment: Segment, policy: MetadataPolicy) -> tuple[Segment | None, tuple[Removal, ...]]:
    """What of a segment that speaks about the picture may be kept, by kind."""
    marker, body = segment.marker, segment.body
    if _is_jfif(segment):
        return _clean_jfif(segment)
    if _is_icc(segment) or _is_adobe(segment):
        return segment, ()
    if marker == _APP1 and body.startswith(_EXIF):
        return _clean_exif(segment, policy)
    if marker == _APP1 and body.startswith(_XMP):
        return _rest(segment, _XMP, *_stripped(policy, "XMP") or clean_xmp(body[len(_XMP) :]))
    if marker == _APP13 and body.startswith(_PHOTOSHOP):
        resources = body[len(_PHOTOSHOP) :]
        return _rest(segment, _PHOTOSHOP, *_stripped(policy, "IPTC") or clean_photoshop(resources))
    if marker == _COM and not holds_picture(body):
        return (segment, ()) if policy == "keep" else (None, (Removal("comment", "metadata are stripped"),))
    return None, (_removal(segment),)


def _stripped(policy: MetadataPolicy, what: str) -> tuple[None, tuple[Removal, ...]] | None:
    return (None, (Removal(what, "metadata are stripped"),)) if policy == "strip" else None


def _rest(
    segment: Segment, name: bytes, kept: bytes | None, removed: tuple[Removal, ...]
) -> tuple[Segment | None, tuple[Removal, ...]]:
    if kept is None:
        return None, removed
    if len(name) + len(kept) > _MAX_BODY:  # what is written anew may take more room than it did
        return None, (*removed, Removal(_NAMES[name], "too large for a segment once it is cleaned"))
    return (replace(segment, body=name + kept) if removed else segment), removed


def _clean_exif(segment: Segment, policy: MetadataPolicy) -> tuple[Segment | None, tuple[Removal, ...]]:
    exif = segment.body[len(_EXIF) :]
    if policy == "keep":
        return _rest(segment, _EXIF, *clean_exif(exif))
    orientation = orientation_of(exif)
    kept = orientation_exif(orientation) if orientation != 1 else None
    if kept == exif:
        return segment, ()
    return _rest(segment, _EXIF, kept, (Removal("EXIF", "metadata are stripped"),))


def _clean_jfif(segment: Segment) -> tuple[Segment, tuple[Removal, ...]]:
    """Keep version and density; the header may be followed by a small picture."""
    if len(segment.body) == 14:
        return segment, ()
    small = Removal("JFIF thumbnail", "a small copy of the photo shows its faces")
    return replace(segment, body=segment.body[:12] + b"\0\0"), (small,)


def _removal(segment: Segment) -> Removal:
    if segment.marker == _APP1 and segment.body.startswith(_EXTENDED):
        return Removal("extended XMP", "depth maps and second pictures are kept there")
    for name, what, reason in _KNOWN:
        if segment.body.startswith(name):
            return Removal(what, reason)
    if segment.marker == _COM:
        return Removal("comment", "it holds a picture")
    return Removal(f"segment {segment.marker:#04x}", "of a kind that is not known; it may hold a preview")


def _iter_tables(jpeg: Jpeg, path: Path) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield (number, 64 values in zigzag order) for each quantisation table.

    Raises SourceError where one is damaged.
    """
    for segment in jpeg.segments:
        at = 0
        while segment.marker == _DQT and at < len(segment.body):
            wide, number = segment.body[at] >> 4, segment.body[at] & 15
            raw = segment.body[at + 1 : at + 1 + (128 if wide else 64)]
            values = (
                tuple(raw)
                if not wide
                else tuple(int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2))
            )
            if wide > 1 or len(values) != 64 or min(values) < 1:
                raise SourceError(f"{path}: a quantisation table is damaged; get a better copy")
            yield number, values
            at += 1 + len(raw)
