"""HEIC and AVIF: the picture that a viewer shows, turned as it turns it, and nothing of the others."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from still_makers import SMALL_JPEG, HeifMaker, Pixels, box, full, ispe, save, scene, turned_exif
from still_readers import change, exif_of, psnr, rgb_of, tags

from facefx.errors import DamagedError, FacefxError, SourceError, TooLargeError, UnsupportedError
from facefx.video.still_source import open_still

BRANDS = [b"avif", b"heic"]
PICTURE = scene(96, 64)
ALPHA = full(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
DEPTH = full(b"auxC", b"urn:mpeg:hevc:2015:auxid:2\0")
NCLX = b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80)
Turn = Callable[[Pixels], Pixels]


def samples_of(folder: Path, data: bytes) -> Pixels:
    still = open_still(save(folder, "in.heic", data), "jpeg")
    assert still.samples is not None
    assert still.alpha is None
    return still.samples


def grid(rows: int, columns: int, size: tuple[int, int]) -> bytes:
    return bytes((0, 0, rows - 1, columns - 1)) + struct.pack(">HH", *size)


@pytest.mark.parametrize("brand", BRANDS)
def test_picture_is_the_one_that_was_stored(tmp_path: Path, brand: bytes) -> None:
    maker = HeifMaker(brand)
    maker.picture(PICTURE)
    data = maker.build()
    assert psnr(samples_of(tmp_path, data), PICTURE) > 30
    if brand == b"avif":
        assert psnr(samples_of(tmp_path, data), rgb_of(data)) > 38, "another library sees the same"


@pytest.mark.parametrize(
    ("properties", "turn"),
    [
        ([b"irot\1"], lambda p: np.rot90(p)),
        ([b"irot\2"], lambda p: np.rot90(p, 2)),
        ([b"irot\3"], lambda p: np.rot90(p, 3)),
        ([b"imir\0"], lambda p: p[::-1]),
        ([b"imir\1"], lambda p: p[:, ::-1]),
        ([b"irot\1", b"imir\1"], lambda p: np.rot90(p)[:, ::-1]),
    ],
)
@pytest.mark.parametrize("brand", BRANDS)
def test_picture_is_turned_by_its_properties_and_only_once(
    tmp_path: Path, brand: bytes, properties: list[bytes], turn: Turn
) -> None:
    maker = HeifMaker(brand)
    maker.picture(PICTURE, *(box(prop[:4], prop[4:]) for prop in properties))
    maker.link(b"cdsc", maker.add(b"Exif", bytes(4) + turned_exif(6)), 1)
    path = save(tmp_path, "in.heic", maker.build())
    still = open_still(path, "jpeg")
    wanted = turn(PICTURE)
    assert (still.format.rotation, still.format.mirrored) == (0, False), (
        "EXIF's own turn does not come on top"
    )
    assert still.size == wanted.shape[1::-1]
    assert still.samples is not None
    assert psnr(still.samples, wanted) > 30
    choice, _ = change(path, "jpeg")
    assert tags(exif_of(choice.data))[0x0112] == b"\0\1"
    assert psnr(rgb_of(choice.data)[24:], wanted[24:]) > 29


@pytest.mark.parametrize("brand", BRANDS)
def test_tiles_are_laid_side_by_side_and_cut_to_size(tmp_path: Path, brand: bytes) -> None:
    maker = HeifMaker(brand)
    tiles = [maker.picture(PICTURE[y : y + 32, x : x + 32]) for y in (0, 32) for x in (0, 32, 64)]
    main = maker.add(b"grid", grid(2, 3, (90, 60)), ispe(90, 60))
    maker.link(b"dimg", main, *tiles)
    assert psnr(samples_of(tmp_path, maker.build(main)), PICTURE[:60, :90]) > 30


@pytest.mark.parametrize("brand", BRANDS)
def test_ten_bits_are_kept_until_the_target_asks_for_eight(tmp_path: Path, brand: bytes) -> None:
    maker = HeifMaker(brand)
    maker.picture(PICTURE, deep=True)
    seen = samples_of(tmp_path, maker.build())
    assert seen.dtype == np.uint16
    assert psnr((seen >> 8).astype(np.uint8), PICTURE) > 30
    choice, _ = change(tmp_path / "in.heic", "png")
    assert rgb_of(choice.data).dtype == np.uint16
    choice, _ = change(tmp_path / "in.heic", "jpeg")
    assert psnr(rgb_of(choice.data)[24:], PICTURE[24:]) > 29


def test_profile_exif_and_xmp_come_along(tmp_path: Path) -> None:
    maker = HeifMaker()
    maker.picture(PICTURE, box(b"colr", b"prof" + b"a profile"))
    maker.link(b"cdsc", maker.add(b"Exif", b"\0\0\0\6Exif\0\0" + turned_exif(3)), 1)
    maker.link(b"cdsc", maker.add(b"mime", b"<x>words</x>", content=b"application/rdf+xml"), 1)
    choice, _ = change(save(tmp_path, "in.avif", maker.build()), "jpeg")
    assert (choice.metadata.icc, choice.metadata.xmp) == (b"a profile", b"<x>words</x>")
    assert choice.metadata.exif == turned_exif(1)
    assert choice.removed == ()
    choice, _ = change(save(tmp_path, "in.avif", maker.build()), "jpeg", policy="strip")
    assert (choice.metadata.icc, choice.metadata.exif, choice.metadata.xmp) == (b"a profile", None, None)
    assert {removal.what for removal in choice.removed} == {"EXIF", "XMP"}


def test_every_other_picture_of_the_file_is_left_out_and_named(tmp_path: Path) -> None:
    maker = HeifMaker()
    maker.picture(PICTURE)
    maker.link(b"thmb", maker.picture(PICTURE[:32, :32]), 1)
    maker.link(b"auxl", maker.picture(PICTURE[:32, :32], DEPTH), 1)
    maker.picture(PICTURE[:32, :32])
    maker.link(b"cdsc", maker.add(b"Exif", bytes(4) + turned_exif(1, thumbnail=SMALL_JPEG)), 1)
    film = box(b"mpvd", box(b"ftyp", b"mp42" + bytes(30)))
    choice, _ = change(save(tmp_path, "in.avif", maker.build(behind=film)), "jpeg")
    assert [removal.what for removal in choice.removed] == [
        "thumbnail",
        "auxiliary picture urn:mpeg:hevc:2015:auxid:2",
        "another picture",
        "box 'mpvd'",
        "EXIF thumbnail",
    ]
    assert b"a small face" not in choice.data


def test_colours_that_only_a_tag_tells_of_are_not_lost_in_silence(tmp_path: Path) -> None:
    wide = b"nclx" + struct.pack(">HHHB", 9, 16, 9, 0x80)
    for tag, named in ((NCLX, []), (wide, ["colour tags (primaries 9, transfer 16)"])):
        maker = HeifMaker()
        maker.picture(PICTURE, box(b"colr", tag))
        choice, _ = change(save(tmp_path, "in.avif", maker.build()), "jpeg")
        assert [removal.what for removal in choice.removed] == named


def animation() -> bytes:
    """Two pictures, as the usual muxer writes them."""
    target: Any = io.BytesIO()
    with av.open(target, "w", format="avif") as output:
        stream: Any = output.add_stream(
            "libsvtav1", rate=1, options={"preset": "12", "svtav1-params": "lp=1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return bytes(target.getvalue())


def test_animation_is_refused_rather_than_cut_to_its_first_picture(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"in\.avif: an animated HEIC or AVIF; convert it to a video"):
        open_still(save(tmp_path, "in.avif", animation()), "jpeg")


def maker_of(*properties: bytes) -> HeifMaker:
    maker = HeifMaker()
    maker.picture(PICTURE[:32, :32], *properties)
    return maker


def with_alpha() -> bytes:
    maker = maker_of()
    maker.link(b"auxl", maker.picture(PICTURE[:32, :32], ALPHA), 1)
    return maker.build()


def tiled(tiles: int, size: tuple[int, int], *shapes: bytes) -> bytes:
    """A grid of 2 × 1 with that many tiles; shapes: what the tiles say of their size."""
    maker = HeifMaker()
    numbers = [maker.picture(PICTURE[:32, :32]) for _ in range(tiles)]
    for number, shape in zip(numbers, shapes, strict=False):
        maker.items[number - 1][2][2] = shape
    main = maker.add(b"grid", grid(1, 2, size), ispe(*size))
    maker.link(b"dimg", main, *numbers)
    return maker.build(main)


def many_items() -> bytes:
    """A small file whose items all claim the whole of it: gigabytes, if one believed them."""
    maker = HeifMaker()
    for _ in range(4000):
        maker.add(b"mime", b"")
    data = bytearray(maker.build())
    start = data.index(b"iloc") + 12
    for number in range(4000):
        struct.pack_into(">II", data, start + number * 14 + 6, 0, len(data))
    return bytes(data)


def many_pieces() -> bytes:
    """Items of 65535 pieces each, that take no room to list."""
    pieces = struct.pack(">IHH", 0, 0, 2) + b"".join(struct.pack(">HHH", n, 0, 65535) for n in (1, 2))
    data = maker_of().build()
    start, size = data.index(b"iloc") - 4, int.from_bytes(data[data.index(b"iloc") - 4 :][:4], "big")
    return data[:start] + box(b"iloc", pieces + bytes(size - 8 - len(pieces))) + data[start + size :]


def many_properties() -> bytes:
    data = bytearray(maker_of().build())
    struct.pack_into(">I", data, data.index(b"ipma") + 8, 1 << 30)
    return bytes(data)


BAD: dict[str, tuple[Callable[[], bytes], type[FacefxError], str]] = {
    "alpha": (with_alpha, UnsupportedError, "a transparent HEIC or AVIF; export it as PNG first"),
    "crop": (maker_of(box(b"clap", bytes(32))).build, UnsupportedError, "a crop mark"),
    "kind": (lambda: maker_of().build().replace(b"av01", b"jpeg"), UnsupportedError, "of kind 'jpeg'"),
    "main": (lambda: maker_of().build(7), SourceError, "its main picture is missing"),
    "size": (lambda: maker_of().build().replace(b"ispe", b"ISPE"), SourceError, "picture has no size"),
    "turn": (maker_of(box(b"irot", b"")).build, SourceError, "how its picture is turned is missing"),
    "flip": (maker_of(box(b"imir", b"")).build, SourceError, "how its picture is turned is missing"),
    "set-up": (lambda: maker_of().build().replace(b"av1C", b"AV1C"), DamagedError, "cannot be decoded"),
    "items": (lambda: maker_of().build().replace(b"iinf", b"IINF"), SourceError, "no photo can be read"),
    "cut": (lambda: maker_of().build()[:-9], DamagedError, "cut short"),
    "tiles": (lambda: tiled(1, (64, 32)), DamagedError, "1 tiles of 2 are there"),
    "cover": (lambda: tiled(2, (70, 32)), DamagedError, "its tiles cover 64x32 of 70x32 pixels"),
    "huge": (lambda: tiled(2, (64, 32), ispe(30000, 30000)), SourceError, "in tiles of a picture of 2048"),
    "huge picture": (lambda: tiled(2, (30000, 30000)), TooLargeError, "30000x30000 = 900000000 pixels"),
    "pieces": (many_pieces, SourceError, "its items have more than 65536 pieces"),
    "properties": (many_properties, SourceError, "1073741824 items have properties"),
    "claims": (many_items, SourceError, "its items are larger than the file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    make, error, words = BAD[name]
    with pytest.raises(error, match=words) as caught:
        open_still(save(tmp_path, "in.heic", make()), "jpeg")
    assert type(caught.value) is error
    assert str(caught.value).startswith(str(tmp_path / "in.heic"))
