"""A hidden face must not look out of a thumbnail, a preview, a second picture or what lies behind."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from still_makers import (
    SMALL_JPEG,
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
from still_readers import bodies, change, exif_of, png_chunks, tags, webp_chunks

from facefx.video.still_exif import clean_exif, orientation_exif
from facefx.video.still_kinds import TargetKind
from facefx.video.still_source import open_still, read_container
from facefx.video.still_write import untouched
from facefx.video.still_xmp import clean_iptc, clean_xmp

PRIVATE = b"a small face" * 20
BASE64 = base64.b64encode(SMALL_JPEG).decode()
RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:g="http://ns.google.com/photos/1.0/camera/" xmlns:i="http://ns.adobe.com/xap/1.0/g/img/"{0}>'
    "<dc:title>A title</dc:title>{1}</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def resource(number: int, body: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(body)) + body + bytes(len(body) & 1)


def dataset(record: int, number: int, body: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(body)) + body


def exif_segment(block: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + block)


def photoshop(*resources: bytes) -> bytes:
    return segment(0xED, b"Photoshop 3.0\0" + b"".join(resources))


def xmp_segment(attributes: str = "", elements: str = "") -> bytes:
    return segment(0xE1, XMP_MARK + RDF.format(attributes, elements).encode())


MAKER_NOTE = exif({0x8769: (4, 1, struct.pack(">I", 26))})
MAKER_NOTE += struct.pack(">HHHII", 1, 0x927C, 7, len(PRIVATE), 44) + bytes(4) + PRIVATE
SUB_PICTURE = exif({0x014A: (4, 1, b"\0\0\0\x08"), 0x0110: (2, 4, b"Cam\0")})
IN_JPEG = {
    "EXIF thumbnail": exif_segment(turned_exif(1, thumbnail=SMALL_JPEG)),
    "EXIF tag 0x927c of 0x8769": exif_segment(MAKER_NOTE),
    "EXIF tag 0x014a of IFD0": exif_segment(SUB_PICTURE),
    "EXIF tag 0x9286 of IFD0": exif_segment(exif({0x9286: (7, len(SMALL_JPEG), SMALL_JPEG)})),
    "EXIF tag 0xc4a5 of IFD0": exif_segment(exif({0xC4A5: (7, 9000, PRIVATE.ljust(9000))})),
    "EXIF padding": exif_segment(turned_exif(1, tail=PRIVATE)),
    "EXIF": exif_segment(b"MM\0*\0\0\xff\0" + PRIVATE),
    "JFIF thumbnail": segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\4\4" + PRIVATE[:48]),
    "JFIF thumbnail (JFXX)": segment(0xE0, b"JFXX\0\x10" + SMALL_JPEG),
    "multi-picture index": segment(0xE2, b"MPF\0" + PRIVATE),
    "FlashPix data": segment(0xE2, b"FPXR\0" + PRIVATE),
    "gain map description": segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + PRIVATE),
    "content credentials or other boxes (JUMBF)": segment(0xEB, b"JP\0\1\0\0\0\1" + PRIVATE),
    "segment 0xe5": segment(0xE5, b"a maker's own preview" + PRIVATE),
    "comment": segment(0xFE, b"see " + SMALL_JPEG),
    "Photoshop thumbnail": photoshop(resource(0x040C, bytes(28) + SMALL_JPEG)),
    "Photoshop resources": photoshop(resource(0x0BB7, PRIVATE)),
    "IPTC 2:202": photoshop(resource(0x0404, dataset(2, 120, b"A caption") + dataset(2, 202, PRIVATE))),
    "IPTC 8:010": photoshop(resource(0x0404, dataset(8, 10, PRIVATE))),
    "extended XMP": segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + PRIVATE),
    "XMP xmp:Thumbnails": xmp_segment("", f"<xmp:Thumbnails>{BASE64}</xmp:Thumbnails>"),
    "XMP i:image": xmp_segment("", f"<i:image>{PRIVATE.decode()}</i:image>"),
    "XMP g:MicroVideo": xmp_segment(f' g:MicroVideo="{PRIVATE.decode()}"'),
    "XMP dc:source": xmp_segment(f' dc:source="{"A" * 2000}{PRIVATE.decode()}"'),
    "XMP preview": xmp_segment("", f"<?preview {BASE64}?>"),
    "XMP #comment": xmp_segment("", f"<!-- {BASE64} -->"),
}


@pytest.mark.parametrize("what", IN_JPEG)
def test_preview_in_a_jpeg_is_removed_and_named(tmp_path: Path, what: str) -> None:
    data = with_segments(jpeg(scene(48, 32)), IN_JPEG[what])
    assert PRIVATE[:40] in data or BASE64[:80].encode() in data or what.endswith("0x014a of IFD0")
    choice, _ = change(save(tmp_path, "in.jpg", data), "jpeg")
    named = [removal.what for removal in choice.removed]
    assert [one for one in named if one.startswith(what.removesuffix(" (JFXX)"))], f"{what} in {named}"
    assert all(removal.reason for removal in choice.removed)
    for secret in (PRIVATE[:40], BASE64[:80].encode(), b"\0\0\0\x08\0\0\0\0\0\0\0\x08"):
        assert secret not in choice.data


@pytest.mark.parametrize("tail", [SMALL_JPEG, b"ftypmp42" + bytes(99), b"\0" * 40, b"x"], ids=len)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_second_picture_or_film_behind_the_photo_is_removed(
    tmp_path: Path, kind: TargetKind, tail: bytes
) -> None:
    picture = scene(48, 32)
    data = {"jpeg": jpeg(picture), "png": png(picture, 2), "webp": webp(picture, 101)}[kind]
    choice, _ = change(save(tmp_path, f"in.{kind}", data + tail), kind)
    (removal,) = choice.removed
    assert removal.what == f"{len(tail)} bytes behind the photo"
    assert ("a second picture or a film" in removal.reason) == (len(tail) > 40)
    clean, _ = read_container(save(tmp_path, "out", choice.data))
    assert clean.cleaned("keep")[1] == ()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_photo_in_which_no_face_was_found_loses_its_previews_all_the_same(
    tmp_path: Path, kind: TargetKind
) -> None:
    picture, block = scene(48, 32), turned_exif(6, thumbnail=SMALL_JPEG)
    (image,) = webp_chunks(webp(picture, 101))
    data = {
        "jpeg": with_segments(jpeg(picture), exif_segment(block), IN_JPEG["multi-picture index"]),
        "png": png(picture, 2, before=[png_chunk(b"eXIf", block), png_chunk(b"prVw", PRIVATE)]),
        "webp": riff([vp8x((48, 32), 8), image, (b"EXIF", block), (b"prev", PRIVATE)]),
    }[kind]
    choice = untouched(open_still(save(tmp_path, f"in.{kind}", data + SMALL_JPEG), kind), "keep")
    assert len(choice.removed) == 3
    assert PRIVATE[:40] not in choice.data
    assert read_container(save(tmp_path, "out", choice.data))[0].cleaned("keep")[1] == ()


IN_PNG: dict[str, tuple[bytes, bytes]] = {
    "EXIF thumbnail": (b"eXIf", turned_exif(1, thumbnail=SMALL_JPEG)),
    "chunk 'caBX'": (b"caBX", PRIVATE),
    "chunk 'prVw'": (b"prVw", SMALL_JPEG),
    "text 'Raw profile type exif'": (
        b"zTXt",
        b"Raw profile type exif\0\0" + zlib.compress(PRIVATE.hex().encode()),
    ),
    "text 'Comment'": (b"tEXt", b"Comment\0" + BASE64.encode()),
    "text 'Data'": (b"zTXt", b"Data\0\0" + zlib.compress(b"f" * 5000)),
    "text 'Photo'": (b"iTXt", b"Photo\0\1\0en\0\0" + zlib.compress(BASE64.encode())),
    "XMP i:image": (
        b"iTXt",
        b"XML:com.adobe.xmp\0\0\0\0\0" + RDF.format("", f"<i:image>{PRIVATE.decode()}</i:image>").encode(),
    ),
}


@pytest.mark.parametrize("what", IN_PNG)
def test_preview_in_a_png_is_removed_and_named(tmp_path: Path, what: str) -> None:
    kind, body = IN_PNG[what]
    source = png(scene(48, 32), 2, before=[png_chunk(kind, body)])
    choice, _ = change(save(tmp_path, "in.png", source), "png")
    assert [removal.what for removal in choice.removed] == [what]
    left = dict(png_chunks(choice.data))
    assert kind not in left or PRIVATE not in left[kind]
    assert (b"A title" in choice.data) == (kind == b"iTXt" and what.startswith("XMP")), "the rest of it stays"


@pytest.mark.parametrize(
    ("chunk", "what"),
    [
        ((b"EXIF", turned_exif(1, thumbnail=SMALL_JPEG)), "EXIF thumbnail"),
        ((b"EXIF", b"Exif\0\0" + turned_exif(1, thumbnail=SMALL_JPEG)), "EXIF thumbnail"),
        ((b"XMP ", RDF.format("", f"<i:image>{PRIVATE.decode()}</i:image>").encode()), "XMP i:image"),
        ((b"prev", SMALL_JPEG), "chunk 'prev'"),
    ],
)
@pytest.mark.parametrize("quality", [80, 101])
def test_preview_in_a_webp_is_removed_and_named(
    tmp_path: Path, chunk: tuple[bytes, bytes], what: str, quality: int
) -> None:
    (image,) = webp_chunks(webp(scene(48, 32), quality))
    data = riff([vp8x((48, 32), 0x0C), image, chunk])
    choice, _ = change(save(tmp_path, "in.webp", data), "webp")
    assert [removal.what for removal in choice.removed] == [what]
    assert PRIVATE[:40] not in choice.data
    header = dict(webp_chunks(choice.data)).get(b"VP8X", b"\0")
    names = [name for name, _ in webp_chunks(choice.data)]
    assert bool(header[0] & 0x08) == (b"EXIF" in names), "the header says what is there"
    assert bool(header[0] & 0x04) == (b"XMP " in names)


def test_what_is_removed_leaves_the_rest_of_the_exif(tmp_path: Path) -> None:
    data = with_segments(jpeg(scene(48, 32)), IN_JPEG["EXIF thumbnail"])
    block = exif_of(change(save(tmp_path, "in.jpg", data), "jpeg")[0].data)
    assert tags(block) == {0x0110: b"Camera 1\0", 0x0112: b"\0\1"}


def test_caption_stays_where_its_preview_goes(tmp_path: Path) -> None:
    data = with_segments(jpeg(scene(48, 32)), IN_JPEG["IPTC 2:202"])
    (block,) = bodies(change(save(tmp_path, "in.jpg", data), "jpeg")[0].data, 0xED, b"Photoshop 3.0\0")
    assert block == resource(0x0404, dataset(2, 120, b"A caption"))


@pytest.mark.parametrize("clean", [clean_exif, clean_iptc, clean_xmp], ids=lambda one: one.__name__)
def test_cleaning_twice_changes_nothing_more(clean: Callable[[bytes], tuple[bytes | None, object]]) -> None:
    source = {
        clean_exif: turned_exif(6, thumbnail=SMALL_JPEG),
        clean_iptc: dataset(2, 120, b"A caption") + dataset(2, 202, PRIVATE),
        clean_xmp: RDF.format("", f"<i:image>{BASE64}</i:image>").encode(),
    }[clean]  # type: ignore[index]
    once, removed = clean(source)
    assert removed
    assert once is not None
    assert clean(once) == (once, ())


def test_text_of_exif_3_does_not_cost_the_whole_block() -> None:
    block = exif({0x010E: (129, 6, "Zoë!\0".encode())})
    assert clean_exif(block) == (block, ())


def test_values_over_one_another_cannot_make_a_small_block_large() -> None:
    entries = b"".join(struct.pack(">HHII", 0x9000 + i, 7, 8000, 7000) for i in range(500))
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", 500) + entries + bytes(4)
    kept, removed = clean_exif(block.ljust(16000, b"\1"))
    assert kept is None
    assert removed[0].what == "EXIF"
    assert "over one another" in removed[0].reason


def test_value_outside_of_the_block_costs_the_block_and_not_the_photo() -> None:
    block = turned_exif(6)
    kept, removed = clean_exif(block[:-4])
    assert kept == orientation_exif(6)
    assert [(one.what, one.reason) for one in removed] == [("EXIF", "damaged: tag 0x0110 lies outside of it")]


def test_xmp_of_countless_pictures_is_left_out_whole_and_at_once() -> None:
    kept, removed = clean_xmp(RDF.format("", "<i:image>a</i:image>" * 600).encode())
    assert kept is None
    assert removed[0].reason == "damaged: it holds more than 512 pictures or parts of them"


def test_xmp_that_declares_entities_is_left_out_whole() -> None:
    kept, removed = clean_xmp(b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>')
    assert kept is None
    assert removed[0].reason == "it declares entities"


def test_xmp_that_grows_as_it_is_cleaned_is_left_out_with_its_reason(tmp_path: Path) -> None:
    text = "<dc:rights>" + "> " * 20000 + "</dc:rights>"
    data = with_segments(jpeg(scene(48, 32)), xmp_segment("", text + f"<i:image>{BASE64}</i:image>"))
    choice, _ = change(save(tmp_path, "in.jpg", data), "jpeg")
    assert ("XMP", "too large for a segment once it is cleaned") in [
        (r.what, r.reason) for r in choice.removed
    ]
    assert bodies(choice.data, 0xE1) == []


def test_photo_without_previews_has_nothing_removed(tmp_path: Path) -> None:
    data = with_segments(
        jpeg(scene(48, 32)), exif_segment(turned_exif(6)), xmp_segment(), segment(0xFE, b"hello")
    )
    assert change(save(tmp_path, "in.jpg", data), "jpeg")[0].removed == ()
