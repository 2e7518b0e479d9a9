"""Which way up a photo is: kept in the file, seen by effects, and never applied twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from still_makers import (
    Pixels,
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
from still_readers import change, exif_of, png_chunks, rgb_of, tags, webp_chunks

from facefx.video.still_exif import orientation_exif, orientation_of, upright_exif
from facefx.video.still_kinds import TargetKind
from facefx.video.still_meta import MetadataPolicy
from facefx.video.still_source import open_still

ORIENTATIONS = range(1, 9)
KINDS: tuple[TargetKind, ...] = ("jpeg", "png", "webp")


def photo(kind: TargetKind, exif: bytes) -> bytes:
    """A photo of 48 × 32 with that EXIF."""
    picture = scene(48, 32)
    if kind == "jpeg":
        return with_segments(jpeg(picture, sampling="444", quality=95), segment(0xE1, b"Exif\0\0" + exif))
    if kind == "png":
        return png(picture, 2, before=[png_chunk(b"eXIf", exif)])
    (image,) = webp_chunks(webp(picture, 101))
    return riff([vp8x((48, 32), 0x08), image, (b"EXIF", exif)])


def exif_in(data: bytes, kind: TargetKind) -> bytes:
    if kind == "jpeg":
        return exif_of(data)
    chunks = dict(png_chunks(data) if kind == "png" else webp_chunks(data))
    return chunks[b"eXIf" if kind == "png" else b"EXIF"]


def turned(stored: Pixels, rotation: int, mirrored: bool) -> Pixels:
    """The display matrix's two steps, as its definition words them."""
    flipped = stored[::-1] if mirrored else stored
    return np.rot90(flipped, rotation // 90)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_effects_see_the_photo_turned_as_a_viewer_turns_it(tmp_path: Path, orientation: int) -> None:
    data = photo("jpeg", turned_exif(orientation))
    still = open_still(save(tmp_path, "in.jpg", data), "png")
    viewed: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # turns by EXIF
    assert still.samples is not None
    assert still.size == (48, 32), "the stored size"
    upright = turned(still.samples, still.format.rotation, still.format.mirrored)
    assert np.array_equal(upright, viewed[..., ::-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["keep", "strip"])
@pytest.mark.parametrize("order", [">", "<"])
def test_photo_does_not_come_out_lying_on_its_side(
    tmp_path: Path, kind: TargetKind, policy: MetadataPolicy, order: str
) -> None:
    for orientation in ORIENTATIONS:
        path = save(tmp_path, f"in.{kind}", photo(kind, turned_exif(orientation, order=order)))
        choice, _ = change(path, kind, policy=policy)
        if policy == "strip" and orientation == 1:
            assert choice.metadata.exif is None
            continue
        block = exif_in(choice.data, kind)
        assert tags(block)[0x0112] == orientation.to_bytes(2, "big" if block[:2] == b"MM" else "little")
        assert (0x0110 in tags(block)) == (policy == "keep")
        assert rgb_of(choice.data).shape[:2] == (32, 48), "what is stored is not turned"


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_orientation_goes_along_into_another_kind_of_file(
    tmp_path: Path, source: TargetKind, target: TargetKind
) -> None:
    path = save(tmp_path, f"in.{source}", photo(source, turned_exif(6)))
    choice, _ = change(path, target)
    assert tags(exif_in(choice.data, target))[0x0112] == b"\0\6"


def test_first_exif_decides_where_a_file_has_two(tmp_path: Path) -> None:
    two = with_segments(photo("jpeg", turned_exif(3)), segment(0xE1, b"Exif\0\0" + turned_exif(8)))
    still = open_still(save(tmp_path, "in.jpg", two), "jpeg")
    viewed: Any = cv2.imdecode(np.frombuffer(two, np.uint8), cv2.IMREAD_COLOR)
    assert (still.format.rotation == 180) == (viewed.shape[:2] == (32, 48))


def test_mark_in_front_of_a_webps_exif_does_not_hide_its_orientation(tmp_path: Path) -> None:
    (image,) = webp_chunks(webp(scene(48, 32), 101))
    data = riff([vp8x((48, 32), 0x08), image, (b"EXIF", b"Exif\0\0" + turned_exif(8))])
    still = open_still(save(tmp_path, "in.webp", data), "webp")
    assert still.format.rotation == 90
    assert tags(exif_in(change(still.path, "webp")[0].data, "webp"))[0x0112] == b"\0\x08"


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_without_a_meaning_leaves_the_photo_as_it_is_stored(tmp_path: Path, value: int) -> None:
    still = open_still(save(tmp_path, "in.jpg", photo("jpeg", turned_exif(value))), "jpeg")
    assert (still.format.rotation, still.format.mirrored) == (0, False)


@pytest.mark.parametrize("cut", range(2, 40, 3))
def test_cut_exif_is_no_reason_to_fail_or_to_turn(cut: int) -> None:
    block = turned_exif(6)[:cut]
    assert orientation_of(block) in (1, 6)
    assert upright_exif(block) is not None


def test_pixels_that_are_turned_already_are_not_turned_again() -> None:
    for order in "<>":
        block = upright_exif(turned_exif(6, order=order))
        assert block is not None
        assert tags(block)[0x0112] == (b"\0\1" if order == ">" else b"\1\0")
        assert tags(block)[0x0110] == b"Camera 1\0"


def test_orientation_alone_says_nothing_else() -> None:
    assert {n: tags(orientation_exif(n)) for n in ORIENTATIONS} == {
        n: {0x0112: bytes((0, n))} for n in ORIENTATIONS
    }
