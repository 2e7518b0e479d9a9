"""The picture over a face: upright, whole, in the right colours, and the one that was planned."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from effect_makers import channels, core, face, flat, run, stream, write_png
from numpy.typing import NDArray

from facefx.effects.effect import EffectSpec
from facefx.effects.emoji import PICTURES
from facefx.effects.library.image import Image
from facefx.effects.picture import make_sticker, place, place_alpha, read_picture, to_stored
from facefx.effects.registry import make_effect, parse_effect
from facefx.errors import EffectError
from facefx.values import Color, StreamFormat

# One grey level a corner, as viewers see it: top left, top right, bottom left, bottom right.
CORNERS = {(0, 0): 60, (0, 1): 110, (1, 0): 160, (1, 1): 210}


def corners(size: tuple[int, int] = (80, 80)) -> NDArray[np.uint8]:
    height, width = size
    rgba = np.full((height, width, 4), 255, np.uint8)
    for (row, column), level in CORNERS.items():
        down, across = slice(row * height // 2, None), slice(column * width // 2, None)
        rgba[down, across, :3] = level
    return rgba


@pytest.fixture
def picture(tmp_path: Path) -> str:
    return write_png(str(tmp_path / "corners.png"), corners())


def played(luma: NDArray[np.uint8], format: StreamFormat) -> NDArray[np.uint8]:
    """What a player shows: flipped top to bottom where mirrored, then turned anticlockwise."""
    upright = luma[::-1] if format.mirrored else luma
    return np.rot90(upright, format.rotation // 90)


def seen_corners(luma: NDArray[np.uint8]) -> dict[tuple[int, int], int]:
    """Grey levels around the middle of a square picture."""
    middle = luma.shape[0] // 2
    return {
        (row, column): int(luma[middle + (20 if row else -20), middle + (20 if column else -20)])
        for row in (0, 1)
        for column in (0, 1)
    }


@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90, 270])
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le"])
def test_a_picture_is_upright_on_a_turned_stream(
    name: str, rotation: int, mirrored: bool, picture: str
) -> None:
    plain = stream(name, 200, 200, color=Color("bt709", True, 8 if name == "yuv420p" else 10))
    format = stream(name, 200, 200, color=plain.color, rotation=rotation, mirrored=mirrored)
    effect = Image.of(path=picture)
    shift = format.pixels.depth - 8
    after = run(effect, format, flat(format, (0, 128 << shift, 128 << shift)), (50, 50, 150, 150))
    seen = seen_corners((played(after[0], format) >> shift).astype(np.uint8))
    assert seen == pytest.approx(CORNERS, abs=1)
    wrong = run(
        Image.of(path=picture), plain, flat(plain, (0, 128 << shift, 128 << shift)), (50, 50, 150, 150)
    )
    turned = seen_corners((played(wrong[0], format) >> shift).astype(np.uint8)) == pytest.approx(
        CORNERS, abs=1
    )
    assert turned == (rotation == 0 and not mirrored)


def test_a_round_picture_is_round_on_wide_pixels(tmp_path: Path) -> None:
    rgba = np.zeros((100, 100, 4), np.uint8)
    cv2.circle(rgba, (50, 50), 49, (255, 255, 255, 255), -1)
    path = write_png(str(tmp_path / "disc.png"), rgba)
    format = stream("yuv444p", 400, 300, sample_aspect=Fraction(3, 2))
    after = run(Image.of(path=path, grow=1.0), format, flat(format, (16, 128, 128)), (150, 100, 230, 200))
    rows, columns = np.nonzero(after[0] > 200)
    shape = (np.ptp(columns) + 1) * 1.5 / (np.ptp(rows) + 1)
    assert shape == pytest.approx(1.0, abs=0.04)


def test_transparent_rims_are_cut_off_before_the_picture_is_fitted(tmp_path: Path) -> None:
    rgba = np.zeros((200, 200, 4), np.uint8)
    rgba[90:110, 60:140] = 255
    assert read_picture(write_png(str(tmp_path / "small.png"), rgba), "image").shape == (20, 80, 4)


@pytest.mark.parametrize("suffix", ["gray.png", "rgb.png", "deep.png", "photo.jpg"])
def test_every_kind_of_png_and_jpeg_is_read(suffix: str, tmp_path: Path) -> None:
    pixels: NDArray[np.uint8] | NDArray[np.uint16] = np.full((20, 30, 3), (30, 60, 200), np.uint8)
    if suffix == "gray.png":
        pixels = pixels[..., 0]
    if suffix == "deep.png":
        pixels = pixels.astype(np.uint16) * 257
    path = str(tmp_path / suffix)
    assert cv2.imwrite(path, pixels)
    rgba = read_picture(path, "image")
    assert rgba.shape == (20, 30, 4)
    expected = (30, 30, 30) if suffix == "gray.png" else (200, 60, 30)
    assert rgba[10, 10] * 255 == pytest.approx((*expected, 255), abs=3)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("text.png", b"hello", "is not a picture: expected a PNG or JPEG file"),
        ("cut.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "cannot be decoded"),
        ("cut.jpg", b"\xff\xd8\xff" + b"\0" * 40, "cannot be decoded"),
        ("empty.png", b"", "is not a picture"),
        (
            "bomb.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0",
            "60000 × 60000 px: expected at most 16384",
        ),
    ],
)
def test_a_broken_picture_is_refused_when_the_plan_is_made(
    name: str, data: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EffectError, match=said) as caught:
        parse_effect(f"image:path={tmp_path / name}")
    assert "\n" not in str(caught.value)


def test_an_invisible_picture_is_refused(tmp_path: Path) -> None:
    path = write_png(str(tmp_path / "clear.png"), np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(EffectError, match="every pixel is transparent"):
        parse_effect(f"image:path={path}")


def test_a_picture_that_changed_since_the_plan_is_an_error(picture: str) -> None:
    spec = parse_effect(f"image:path={picture}")
    assert len(spec.params["sha256"]) == 64
    make_effect(spec).prepare(stream(), b"")
    write_png(picture, corners((40, 40)))
    with pytest.raises(EffectError, match="changed since the plan was made"):
        make_effect(spec).prepare(stream(), b"")
    with pytest.raises(EffectError, match="changed since the plan was made"):
        EffectSpec.from_json(spec.to_json())


def test_a_relative_path_is_pinned_as_an_absolute_one(picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(picture).parent)
    assert parse_effect("image:path=corners.png").params["path"] == picture


def test_no_rim_of_another_colour_around_a_picture(tmp_path: Path) -> None:
    """What lies under transparent pixels, often black, must not show where the picture is resized."""
    rgba = np.zeros((301, 301, 4), np.uint8)
    cv2.circle(rgba, (150, 150), 149, (255, 255, 255, 255), -1, cv2.LINE_AA)
    rgba[rgba[..., 3] > 0, :3] = 255
    format = stream("yuv444p", 200, 200, color=Color(full_range=True))
    sticker = make_sticker(read_picture(write_png(str(tmp_path / "disc.png"), rgba), "image"), format)
    for (y, _, _), alpha in sticker.levels:
        assert y[alpha > 2].min() >= 253
    (y, _, _), alpha = sticker.level(100)
    assert alpha.shape[1] >= 100
    box = (-30.3, -20.2, 80.0, 90.0)
    cut, mask = place(y, box, (120, 120)), place_alpha(alpha, box, (120, 120))
    assert mask[60, 30] == 255
    assert mask[100:].max() == 0
    assert cut[mask > 2].min() >= 253


def test_what_is_beneath_takes_the_colour_of_the_picture(picture: str) -> None:
    format = stream("yuv444p", 200, 200, color=Color(full_range=True))
    effect = Image.of(path=picture)
    effect.prepare(format, b"")
    assert effect._under == pytest.approx((135, 128, 128), abs=1)
    black = Image.of(path=picture, under="black")
    black.prepare(format, b"")
    assert black._under == (0, 128, 128)


def test_a_wide_banner_still_hides_the_whole_face(tmp_path: Path) -> None:
    path = write_png(str(tmp_path / "banner.png"), np.full((20, 400, 4), 255, np.uint8))
    format = stream("yuv420p", 400, 300)
    box = (150.0, 80.0, 230.0, 190.0)
    one, other = (
        run(Image.of(path=path), format, flat(format, codes), box)
        for codes in ((30, 90, 90), (200, 160, 160))
    )
    assert all(
        np.array_equal(a[mask], b[mask])
        for a, b, mask in zip(channels(one)[:1], channels(other)[:1], [core(format, box)], strict=True)
    )


def test_a_turn_and_back_is_nothing() -> None:
    picture = corners((30, 50))
    assert np.array_equal(to_stored(picture, stream()), picture)
    quarter = to_stored(picture, stream(rotation=90))
    assert np.array_equal(np.rot90(quarter), picture)


def test_a_face_at_the_edge_gets_the_part_of_the_picture_that_shows(picture: str) -> None:
    format = stream("yuv444p", 200, 200, color=Color(full_range=True))
    whole = run(Image.of(path=picture), format, flat(format, (0, 128, 128)), (60, 60, 140, 140))
    cut = run(Image.of(path=picture), format, flat(format, (0, 128, 128)), (-40, 60, 40, 140))
    assert int(cut[0][80, 20]) == int(whole[0][80, 120]) == 110
    assert face((0, 0, 1, 1)).track_id == 1


@pytest.mark.parametrize("name", PICTURES)
def test_a_built_in_picture_needs_no_file_and_hides_the_face(name: str) -> None:
    spec = parse_effect(f"image:path=builtin:{name}")
    assert spec.params["path"] == f"builtin:{name}"
    assert EffectSpec.from_json(spec.to_json()) == spec
    format = stream("yuv420p", 200, 200)
    box = (60.0, 50.0, 130.0, 140.0)
    dark, light = (
        run(make_effect(spec), format, flat(format, (level, 128, 128)), box) for level in (20, 220)
    )
    assert (dark[0] == light[0])[core(format, box)].all()
    # It is mostly of its yellow, and has a mouth or eyes.
    assert np.median(dark[0][core(format, box)]) > 140
    assert (dark[0] < 90)[core(format, box)].sum() > 100


def test_built_in_pictures_differ_and_an_unknown_one_is_one_clear_line() -> None:
    assert len({parse_effect(f"image:path=builtin:{name}").params["sha256"] for name in PICTURES}) == len(
        PICTURES
    )
    with pytest.raises(EffectError, match="builtin:frown is unknown: expected one of builtin:smile"):
        parse_effect("image:path=builtin:frown")


def test_a_built_in_picture_that_was_drawn_anew_is_not_the_one_that_was_planned() -> None:
    with pytest.raises(EffectError, match="changed since the plan"):
        EffectSpec.checked("image", {"path": "builtin:smile", "sha256": "0" * 64})
