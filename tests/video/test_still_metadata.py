"""What is said about a photo: carried by `keep`, gone with `strip`, and colours always as they were."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from still_makers import (
    XMP_MARK,
    exif,
    jpeg,
    png,
    png_chunk,
    riff,
    save,
    scene,
    segment,
    turned_exif,
    vp8x,
    webp,
    with_segments,
)
from still_readers import bodies, change, exif_of, jpeg_segments, png_chunks, tags, webp_chunks

from facefx.video.still_fidelity import Promise, verify_still
from facefx.video.still_kinds import TargetKind
from facefx.video.still_source import open_still
from facefx.video.still_write import untouched

KINDS: tuple[TargetKind, ...] = ("jpeg", "png", "webp")
PROFILE = np.random.default_rng(5).integers(0, 256, 3000, np.uint8).tobytes()
LARGE = PROFILE * 50  # more than a JPEG's segment holds
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a b="c">words</a></x:xmpmeta>'
IPTC = b"8BIM\x04\x04\0\0\0\0\0\x0e" + struct.pack(">BBBH", 0x1C, 2, 120, 9) + b"A caption"


def icc_segments(profile: bytes) -> list[bytes]:
    parts = [profile[at : at + 60000] for at in range(0, len(profile), 60000)]
    marks = [b"ICC_PROFILE\0" + bytes((n, len(parts))) for n in range(1, len(parts) + 1)]
    return [segment(0xE2, mark + part) for mark, part in zip(marks, parts, strict=True)]


def photo(kind: TargetKind, profile: bytes = PROFILE) -> bytes:
    """A photo with EXIF, XMP, a colour profile, and what only its kind has."""
    picture = scene(48, 32)
    block = turned_exif(6)
    if kind == "jpeg":
        said = [segment(0xE1, b"Exif\0\0" + block), segment(0xE1, XMP_MARK + XMP), *icc_segments(profile)]
        said += [segment(0xED, b"Photoshop 3.0\0" + IPTC), segment(0xFE, b"a comment")]
        return with_segments(jpeg(picture), *said)
    if kind == "png":
        said = [png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)), png_chunk(b"eXIf", block)]
        said += [png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), png_chunk(b"tEXt", b"Author\0Zoe")]
        said += [png_chunk(b"pHYs", struct.pack(">IIB", 3000, 3000, 1)), png_chunk(b"tIME", bytes(7))]
        return png(picture, 2, before=said)
    (image,) = webp_chunks(webp(picture, 101))
    return riff([vp8x((48, 32), 0x2C), (b"ICCP", profile), image, (b"EXIF", block), (b"XMP ", XMP)])


def icc_of(data: bytes, kind: TargetKind) -> bytes:
    if kind == "jpeg":
        parts = bodies(data, 0xE2, b"ICC_PROFILE\0")
        assert [part[:2] for part in parts] == [bytes((n, len(parts))) for n in range(1, len(parts) + 1)]
        return b"".join(part[2:] for part in parts)
    if kind == "png":
        return zlib.decompress(dict(png_chunks(data))[b"iCCP"].partition(b"\0")[2][1:])
    return dict(webp_chunks(data))[b"ICCP"]


@pytest.mark.parametrize("policy", ["keep", "strip"])
@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_colours_do_not_shift_for_want_of_their_profile(
    tmp_path: Path, source: TargetKind, target: TargetKind, policy: str
) -> None:
    for profile in (PROFILE, LARGE):
        path = save(tmp_path, f"in.{source}", photo(source, profile))
        choice, _ = change(path, target, policy="keep" if policy == "keep" else "strip")
        assert icc_of(choice.data, target) == profile


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_keep_carries_exif_and_xmp_into_every_kind(
    tmp_path: Path, source: TargetKind, target: TargetKind
) -> None:
    data = change(save(tmp_path, f"in.{source}", photo(source)), target)[0].data
    if target == "jpeg":
        block, (packet,) = exif_of(data), bodies(data, 0xE1, XMP_MARK)
    else:
        chunks = dict(png_chunks(data) if target == "png" else webp_chunks(data))
        block = chunks[b"eXIf" if target == "png" else b"EXIF"]
        held = chunks[b"XMP " if target == "webp" else b"iTXt"]
        packet = held.removeprefix(b"XML:com.adobe.xmp\0\0\0\0\0")
    assert (block, packet) == (turned_exif(6), XMP)


@pytest.mark.parametrize("kind", KINDS)
def test_strip_leaves_orientation_and_profile_and_nothing_that_tells_of_a_person(
    tmp_path: Path, kind: TargetKind
) -> None:
    choice, _ = change(save(tmp_path, f"in.{kind}", photo(kind)), kind, policy="strip")
    for told in (b"Camera 1", b"words", b"A caption", b"a comment", b"Zoe"):
        assert told not in choice.data
    named = {removal.what for removal in choice.removed}
    if kind == "jpeg":
        assert named == {"EXIF", "XMP", "IPTC", "comment"}
        assert tags(exif_of(choice.data)) == {0x0112: b"\0\6"}
        assert {marker for marker, _ in jpeg_segments(choice.data)} <= {
            0xE0,
            0xE1,
            0xE2,
            0xDB,
            0xC0,
            0xC4,
            0xDA,
            0,
        }
    elif kind == "png":
        assert named == {"EXIF", "chunk 'iTXt'", "chunk 'tEXt'", "chunk 'tIME'"}
        assert {name for name, _ in png_chunks(choice.data)} == {
            b"IHDR",
            b"iCCP",
            b"eXIf",
            b"pHYs",
            b"IDAT",
            b"IEND",
        }
    else:
        assert named == {"EXIF", "XMP"}
        assert [name for name, _ in webp_chunks(choice.data)] == [b"VP8X", b"ICCP", b"VP8L", b"EXIF"]


@pytest.mark.parametrize("kind", KINDS)
def test_keep_loses_nothing_that_a_file_of_the_same_kind_can_say(tmp_path: Path, kind: TargetKind) -> None:
    source = photo(kind)
    choice, _ = change(save(tmp_path, f"in.{kind}", source), kind)
    assert choice.removed == ()
    if kind == "jpeg":
        said = [[s for s in jpeg_segments(data) if s[0] >= 0xE0] for data in (source, choice.data)]
        assert said[0] == said[1]
    elif kind == "png":
        said_too = [[c for c in png_chunks(data) if c[0] != b"IDAT"] for data in (source, choice.data)]
        assert said_too[0] == said_too[1]
    else:
        assert dict(webp_chunks(source)).keys() == dict(webp_chunks(choice.data)).keys()


@pytest.mark.parametrize(
    ("source", "target", "lost"),
    [
        ("jpeg", "png", {"IPTC", "comment"}),
        ("jpeg", "webp", {"IPTC", "comment"}),
        ("webp", "jpeg", set()),
        ("png", "jpeg", {"chunk 'tEXt'", "chunk 'pHYs'", "chunk 'tIME'"}),
    ],
)
def test_what_another_kind_has_no_place_for_is_named(
    tmp_path: Path, source: TargetKind, target: TargetKind, lost: set[str]
) -> None:
    choice, _ = change(save(tmp_path, f"in.{source}", photo(source)), target)
    assert {removal.what for removal in choice.removed} == lost
    assert all(f"a {target} file has no place for it" == removal.reason for removal in choice.removed)


def test_blocks_too_large_for_a_jpeg_are_named_rather_than_cut(tmp_path: Path) -> None:
    entries = {0x9000 + i: (2, 8000, b"t" * 8000) for i in range(9)}
    said = [
        png_chunk(b"eXIf", exif(entries)),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x>" + b"a " * 40000 + b"</x>"),
    ]
    choice, _ = change(save(tmp_path, "in.png", png(scene(48, 32), 2, before=said)), "jpeg")
    assert {(r.what, r.reason) for r in choice.removed} >= {
        (n, "too large for a jpeg file") for n in ("EXIF", "XMP")
    }
    assert bodies(choice.data, 0xE1) == []


@pytest.mark.parametrize("packed", [b"no zlib", zlib.compress(PROFILE)[:-30], zlib.compress(bytes(9 << 20))])
def test_profile_that_cannot_be_carried_whole_is_named_in_every_target(tmp_path: Path, packed: bytes) -> None:
    path = save(tmp_path, "in.png", png(scene(48, 32), 2, before=[png_chunk(b"iCCP", b"name\0\0" + packed)]))
    for target in KINDS:
        choice, _ = change(path, target)
        assert "ICC profile" in [removal.what for removal in choice.removed]
        assert choice.metadata.icc is None


def test_profile_too_large_for_a_jpeg_is_named_rather_than_cut(tmp_path: Path) -> None:
    source = photo("webp", bytes(255 * 65000 + 1))
    choice, _ = change(save(tmp_path, "in.webp", source), "jpeg")
    assert [(r.what, r.reason) for r in choice.removed] == [("ICC profile", "too large for a jpeg file")]
    assert len(choice.data) < 20000


def test_profile_of_a_grey_photo_does_not_colour_a_webp(tmp_path: Path) -> None:
    said = [png_chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE))]
    choice, _ = change(save(tmp_path, "in.png", png(scene(48, 32)[..., :1], 0, before=said)), "webp")
    assert [removal.what for removal in choice.removed] == ["ICC profile"]
    assert b"ICCP" not in dict(webp_chunks(choice.data))


@pytest.mark.parametrize("kind", KINDS)
def test_photo_without_a_face_is_the_same_file_byte_for_byte(tmp_path: Path, kind: TargetKind) -> None:
    for number, source in enumerate((photo(kind), _left_open(kind))):
        still = open_still(save(tmp_path, f"{number}.{kind}", source), kind)
        choice = untouched(still, "keep")
        assert choice.how == "the source's own bytes"
        assert choice.data == source


def _left_open(kind: TargetKind) -> bytes:
    """A file with something in it that its format does not fix."""
    data = photo(kind)
    if kind == "jpeg":
        at = data.index(b"\xff\xdb")
        return data[:at] + b"\xff\xff\xff" + data[at:]
    if kind == "png":
        return data
    (image,) = webp_chunks(webp(scene(48, 32), 101))
    return riff([vp8x((48, 32), 0x00), image])


@pytest.mark.parametrize("kind", KINDS)
def test_photo_without_a_face_keeps_its_coded_picture_when_it_is_stripped(
    tmp_path: Path, kind: TargetKind
) -> None:
    still = open_still(save(tmp_path, f"in.{kind}", photo(kind)), kind)
    choice = untouched(still, "strip")
    assert choice.how == "the source's own coded picture"
    out = save(tmp_path, f"out.{kind}", choice.data)
    again = open_still(out, kind)
    assert all(np.array_equal(a, b) for a, b in zip(still.planes, again.planes, strict=True))
    assert verify_still(Promise(still, still, (), kind, "strip", choice.metadata, choice.exact), out).ok
