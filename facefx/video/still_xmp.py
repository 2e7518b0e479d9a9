"""XMP and IPTC without what could show a face: thumbnails, depth maps, the second picture of HDR photos."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from facefx.video.still_meta import Removal, holds_picture

__all__ = ["clean_iptc", "clean_photoshop", "clean_xmp", "is_data"]

# Source: Adobe XMP specification part 2 §1.2.2.4 (thumbnails); Google's Depth Map, Dynamic Depth and
# Motion Photo formats; Adobe's and Apple's gain maps.
_PICTURE_SPACES = (
    "http://ns.adobe.com/xap/1.0/g/img/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/dd/1.0/",
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.apple.com/pixeldatainfo/1.0/",
    "http://ns.apple.com/depthData/1.0/",
)
_NOTE_SPACE = "http://ns.adobe.com/xmp/note/"  # names the extended packet, which is left out
_MAX_XMP = 1 << 20
_MAX_DEPTH, _MAX_REMOVED = 64, 512
# Nobody writes words this long: it is data.
_DATA = re.compile(r"\S{1024,}")

_8BIM = b"8BIM"
_IPTC_RESOURCE = 0x0404
_MAX_RESOURCES = 512
# Source: IPTC-NAA IIM 4.2: 2:200 to 2:202 object data preview; record 7 to 9 the object itself.
_PREVIEW_RECORDS = (7, 8, 9)


def clean_xmp(xmp: bytes) -> tuple[bytes | None, tuple[Removal, ...]]:
    """Return a packet without pictures, and what was left out; the same bytes if nothing was.

    A packet that cannot be read, or that declares entities, is left out whole.
    """
    if len(xmp) > _MAX_XMP:
        return None, (Removal("XMP", f"{len(xmp)} bytes, at most {_MAX_XMP} are looked through"),)
    if b"<!DOCTYPE" in xmp or b"<!ENTITY" in xmp:
        return None, (Removal("XMP", "it declares entities"),)
    try:
        document = minidom.parseString(xmp.rstrip(b"\0 \r\n\t"))
        found = list(islice(_prune(document, 0), _MAX_REMOVED))
        if len(found) == _MAX_REMOVED:
            raise ValueError(f"it holds more than {_MAX_REMOVED} pictures or parts of them")
    except (ExpatError, ValueError, LookupError) as error:
        return None, (Removal("XMP", f"damaged: {error}"),)
    if not found:
        return xmp, ()
    removed = tuple(dict.fromkeys(found))
    # Node by node: the document as a whole would begin with a declaration, which a packet has not.
    return b"".join(node.toxml("utf-8") for node in document.childNodes), removed


def _prune(node: minidom.Document | minidom.Element, depth: int) -> Iterator[Removal]:
    """Take out, in place, whatever is or could be a picture."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for child in list(node.childNodes):
        if isinstance(child, minidom.Comment | minidom.ProcessingInstruction):
            reason = _data_reason(child.data)
        elif isinstance(child, minidom.Element):
            reason = _element_reason(child)
            if reason is None:
                yield from _prune_attributes(child)
                yield from _prune(child, depth + 1)
        else:
            continue
        if reason is not None:
            yield Removal(f"XMP {child.nodeName}", reason)
            node.removeChild(child)
            child.unlink()


def _prune_attributes(element: minidom.Element) -> Iterator[Removal]:
    for name, attribute in list(element.attributes.items()):
        held = element.getAttributeNode(name)
        space = held.namespaceURI if held is not None else None
        reason = _space_reason(space) or _data_reason(attribute)
        if reason is not None:
            yield Removal(f"XMP {name}", reason)
            element.removeAttribute(name)


def _element_reason(element: minidom.Element) -> str | None:
    text = "".join(
        child.data for child in element.childNodes if isinstance(child, minidom.Text | minidom.CDATASection)
    )
    return _space_reason(element.namespaceURI) or _data_reason(text)


def _space_reason(space: str | None) -> str | None:
    if space and space.startswith(_PICTURE_SPACES):
        return "it holds or describes a second picture"
    return "it names a packet that is left out" if space == _NOTE_SPACE else None


def _data_reason(text: str) -> str | None:
    if _DATA.search(text) or holds_picture(text.encode("utf-8", "replace")):
        return "data that may be a picture"
    return None


def is_data(text: bytes) -> bool:
    """True for what is written as text and is none: words that nobody writes, pictures in base64."""
    return _data_reason(text.decode("utf-8", "replace")) is not None


def clean_iptc(iptc: bytes) -> tuple[bytes | None, tuple[Removal, ...]]:
    """Return IPTC-IIM datasets without previews, and what was left out; the same bytes if nothing was."""
    kept, removed, at = b"", [], 0
    while at < len(iptc):
        if iptc[at] == 0 and not iptc[at:].strip(b"\0"):
            break
        if iptc[at] != 0x1C or at + 5 > len(iptc):
            return None, (Removal("IPTC", f"damaged at byte {at}"),)
        record, dataset = iptc[at + 1], iptc[at + 2]
        size = int.from_bytes(iptc[at + 3 : at + 5], "big")
        end = at + 5 + size
        if size & 0x8000 or end > len(iptc):
            return None, (Removal("IPTC", f"damaged at byte {at}"),)
        preview = record in _PREVIEW_RECORDS or (record == 2 and 200 <= dataset <= 202)
        if preview or holds_picture(iptc[at:end]):
            removed.append(Removal(f"IPTC {record}:{dataset:03d}", "a preview of the photo"))
        else:
            kept += iptc[at:end]
        at = end
    return (kept if removed else iptc), tuple(removed)


def clean_photoshop(resources: bytes) -> tuple[bytes | None, tuple[Removal, ...]]:
    """Return Photoshop's image resources reduced to IPTC, and what was left out.

    Source: Adobe Photoshop file formats specification, "Image Resource Blocks".
    """
    kept: list[bytes] = []
    removed: list[Removal] = []
    try:
        for number, raw, body in _resources(resources):
            if number != _IPTC_RESOURCE:
                removed.append(_resource_removal(number))
                continue
            clean, gone = clean_iptc(body)
            removed += gone
            if clean is body:
                kept.append(raw)
            elif clean:
                head = _8BIM + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(clean))
                kept.append(head + clean + bytes(len(clean) & 1))
    except (struct.error, ValueError) as error:
        return None, (Removal("Photoshop resources", f"damaged: {error}"),)
    if not removed:
        return resources, ()
    return b"".join(kept) or None, tuple(dict.fromkeys(removed))


def _resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (number, the whole block, its data) for each resource."""
    at, count = 0, 0
    while at < len(data.rstrip(b"\0")):
        number, name = struct.unpack_from(">HB", data, at + 4)
        start = at + 6 + (name + 2) // 2 * 2
        (size,) = struct.unpack_from(">I", data, start)
        end = start + 4 + size
        count += 1
        if data[at : at + 4] != _8BIM or end > len(data) or count > _MAX_RESOURCES:
            raise ValueError(f"no resource at byte {at}")
        yield number, data[at : end + (size & 1)], data[start + 4 : end]
        at = end + (size & 1)


def _resource_removal(number: int) -> Removal:
    if number in (0x0409, 0x040C):
        return Removal("Photoshop thumbnail", "a small copy of the photo shows its faces")
    return Removal("Photoshop resources", "private to a program; they may hold layers, paths or previews")
