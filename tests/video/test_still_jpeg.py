"""A JPEG that is coded again: what no effect touched comes back, what one hid is gone everywhere."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from still_makers import (
    Pixels,
    jpeg,
    lettering,
    png,
    save,
    scene,
    segment,
    separate_scans,
    webp,
)
from still_readers import bodies, change, cover, jpeg_planes, jpeg_segments, psnr, rgb_of

from facefx.errors import UnsupportedError
from facefx.video.still_source import open_still
from facefx.video.still_write import written

BOX = (20, 9, 30, 21)
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
ADOBE_RGB = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
KINDS = [(s, p, r) for s in ("420", "422", "440", "444") for p, r in ((False, 0), (False, 3), (True, 0))]


def away_from(box: tuple[int, int, int, int], height: int, width: int, block: int) -> Pixels:
    """True for pixels outside of every block that a box reaches."""
    mask = np.ones((height, width), bool)
    x0, y0, x1, y1 = box
    rows = slice(y0 // block * block, -(-y1 // block) * block)
    mask[rows, x0 // block * block : -(-x1 // block) * block] = False
    return mask


def frame_header(data: bytes) -> bytes:
    return next(body for marker, body in jpeg_segments(data) if marker in (0xC0, 0xC1, 0xC2))


def resized(data: bytes, size: tuple[int, int]) -> bytes:
    """The same coded blocks under a header that shows more or fewer of them."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", size[1], size[0]) + data[at + 4 :]


@pytest.mark.parametrize(("sampling", "progressive", "restart"), KINDS)
@pytest.mark.parametrize("size", [(64, 48), (67, 45), (41, 33)], ids=str)
def test_blocks_that_no_effect_touched_come_back_to_the_sample(
    tmp_path: Path, size: tuple[int, int], sampling: str, progressive: bool, restart: int
) -> None:
    source = jpeg(scene(*size), sampling=sampling, quality=75, progressive=progressive, restart=restart)
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", BOX)
    assert choice.how == "JPEG with the source's own tables"
    assert frame_header(choice.data)[1:] == frame_header(source)[1:], "size, planes and sampling are kept"
    assert bodies(choice.data, 0xDD) == []
    for before, after in zip(jpeg_planes(source), jpeg_planes(choice.data), strict=True):
        down, across = -(-size[1] // before.shape[0]), -(-size[0] // before.shape[1])
        area = (BOX[0] // across, BOX[1] // down, -(-BOX[2] // across), -(-BOX[3] // down))
        mask = away_from(area, before.shape[0], before.shape[1], 8)
        assert mask.any()
        assert np.array_equal(before[mask], after[mask])
    mask = away_from(BOX, size[1], size[0], 16)
    mask[:40, :40] = False  # a viewer smooths chroma beyond the block
    assert np.array_equal(rgb_of(source)[mask], rgb_of(choice.data)[mask]), "as another library decodes it"


@pytest.mark.parametrize("progressive", [False, True])
def test_the_effect_is_what_is_written(tmp_path: Path, progressive: bool) -> None:
    source = jpeg(scene(96, 80), sampling="444", progressive=progressive)
    choice, promise = change(save(tmp_path, "in.jpg", source), "jpeg", (16, 16, 48, 48))
    for plane in jpeg_planes(choice.data):
        assert np.abs(plane[16:48, 16:48].astype(int) - 40).max() <= 1
    assert np.array_equal(promise.edited.planes[0][16:48, 16:48], np.full((32, 32), 40))


def test_grey_photo_stays_grey_whatever_factors_its_one_plane_names(tmp_path: Path) -> None:
    source = jpeg(scene(67, 45)[..., 1], quality=75)
    at = source.index(b"\xff\xc0") + 11
    for factors in (b"\x11", b"\x22"):
        named = source[:at] + factors + source[at + 1 :]
        choice, _ = change(save(tmp_path, "in.jpg", named), "jpeg", BOX)
        after = rgb_of(choice.data)
        assert after.ndim == 2
        mask = away_from(BOX, 45, 67, 8)
        assert np.array_equal(rgb_of(source)[mask], after[mask])


def test_finest_tables_cost_one_step_at_most(tmp_path: Path) -> None:
    source = jpeg(scene(96, 80), sampling="444", quality=99)
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (0, 0, 8, 8))
    for before, after in zip(jpeg_planes(source), jpeg_planes(choice.data), strict=True):
        assert np.abs(before[8:].astype(int) - after[8:]).max() <= 1


@pytest.mark.parametrize("quality", [10, 30, 60, 85])
@pytest.mark.parametrize("sampling", ["420", "444"])
def test_black_letters_on_white_do_not_blur(tmp_path: Path, sampling: str, quality: int) -> None:
    source = jpeg(lettering(320, 240), sampling=sampling, quality=quality)
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (0, 208, 64, 240))
    before, after = (jpeg_planes(data)[0][:208] for data in (source, choice.data))
    assert psnr(before, after) > 52
    assert np.abs(before.astype(int) - after).max() <= 40


def test_glaring_colours_come_back_as_they_were(tmp_path: Path) -> None:
    cells = np.random.default_rng(1).integers(0, 2, (30, 40, 3), np.uint8) * 255
    source = jpeg(cells.repeat(8, 0).repeat(8, 1)[3:235, 5:317], sampling="444", quality=50)
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (0, 200, 64, 232))
    for before, after in zip(jpeg_planes(source), jpeg_planes(choice.data), strict=True):
        assert psnr(before[:200], after[:200]) > 60


@pytest.mark.parametrize("size", [(67, 45), (65, 49), (72, 56)], ids=str)
def test_scan_for_each_plane_is_no_damage(tmp_path: Path, size: tuple[int, int]) -> None:
    planes = jpeg_planes(jpeg(scene(*size)))
    source = separate_scans(planes, (0x22, 0x11, 0x11), JFIF)
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (0, 0, 16, 16))
    assert psnr(rgb_of(source)[24:], rgb_of(choice.data)[24:]) > 45


@pytest.mark.parametrize(("said", "ids"), [((ADOBE_RGB,), b"\1\2\3"), ((), b"RGB")], ids=["Adobe", "ids"])
def test_planes_of_red_green_and_blue_are_not_taken_for_luma(
    tmp_path: Path, said: tuple[bytes, ...], ids: bytes
) -> None:
    picture = scene(64, 48)
    source = separate_scans(
        [np.ascontiguousarray(picture[..., i]) for i in range(3)], (0x11,) * 3, *said, ids=ids
    )
    path = save(tmp_path, "in.jpg", source)
    assert psnr(np.asarray(open_still(path, "jpeg").samples), picture) > 35
    choice, _ = change(path, "jpeg", (0, 0, 16, 16))
    assert psnr(rgb_of(source)[16:], rgb_of(choice.data)[16:]) > 50
    assert psnr(rgb_of(choice.data)[16:], picture[16:]) > 35


def test_jfif_header_overrules_a_marker_that_says_rgb_as_viewers_do(tmp_path: Path) -> None:
    planes = jpeg_planes(jpeg(scene(64, 48), sampling="444"))
    path = save(tmp_path, "in.jpg", separate_scans(planes, (0x11,) * 3, JFIF, ADOBE_RGB))
    seen = open_still(path, "png").samples
    assert seen is not None
    assert np.array_equal(seen, rgb_of(path.read_bytes()))
    assert psnr(seen, scene(64, 48)) > 30
    assert open_still(path, "jpeg").format.pixels.name == "yuvj444p"
    assert open_still(path, "jpeg").samples is None


def test_face_does_not_survive_in_the_blocks_beyond_the_edge(tmp_path: Path) -> None:
    whole = scene(80, 64)
    source = resized(jpeg(whole, quality=85), (67, 53))  # the rest of the last blocks holds real picture
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (48, 32, 67, 53))
    shown = jpeg_planes(resized(choice.data, (80, 64)))
    kept = jpeg_planes(resized(source, (80, 64)))
    for number, (before, after) in enumerate(zip(kept, shown, strict=True)):
        y, x = (32, 48) if number == 0 else (16, 24)
        assert np.abs(after[y:, x:].astype(int) - 40).max() <= 2, "beyond the edge it shows the cover"
        assert np.array_equal(before[: y - 16, : x - 16], after[: y - 16, : x - 16])


def test_rest_beyond_the_edge_is_left_alone_where_no_patch_reaches_it(tmp_path: Path) -> None:
    source = resized(jpeg(scene(80, 64), quality=75), (67, 53))
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (0, 0, 16, 16))
    before, after = (jpeg_planes(resized(data, (80, 64)))[0] for data in (source, choice.data))
    assert np.array_equal(before[16:], after[16:])


def test_planes_of_unusual_sizes_are_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, "in.jpg", jpeg(scene(64, 48), sampling="411"))
    with pytest.raises(
        UnsupportedError, match=r"in\.jpg: a JPEG with planes of unusual sizes \(yuvj411p\); save"
    ):
        open_still(path, "jpeg")
    assert open_still(path, "png").size == (64, 48)


def test_transparent_photo_does_not_turn_black_in_a_jpeg(tmp_path: Path) -> None:
    rgba = np.dstack([scene(40, 30), np.full((30, 40), 255, np.uint8)])
    opaque = open_still(save(tmp_path, "opaque.png", png(rgba, 6)), "jpeg")
    assert next(written(opaque, "jpeg", "keep")).data[:2] == b"\xff\xd8"
    rgba[3, 4, 3] = 254
    still = open_still(save(tmp_path, "clear.png", png(rgba, 6)), "jpeg")
    with pytest.raises(
        UnsupportedError, match=r"clear\.png: is transparent, which a JPEG cannot be; write a \.png"
    ):
        next(written(still, "jpeg", "keep"))


def test_lossless_jpeg_is_refused_rather_than_quietly_lossy(tmp_path: Path) -> None:
    still = open_still(save(tmp_path, "in.jpg", jpeg(scene(40, 30))), "jpeg", lossless=True)
    with pytest.raises(UnsupportedError, match="a JPEG cannot be lossless"):
        next(written(still, "jpeg", "keep", lossless=True))


@pytest.mark.parametrize("kind", ["png", "grey", "deep", "webp"])
def test_jpeg_from_another_kind_of_file_looks_the_same(tmp_path: Path, kind: str) -> None:
    picture = scene(67, 45)
    data = {
        "png": png(picture, 2),
        "grey": png(picture[..., :1], 0),
        "deep": png(picture.astype(np.uint16) * 257, 2, 16),
        "webp": webp(picture, 101),
    }[kind]
    choice, _ = change(save(tmp_path, f"in.{kind}", data), "jpeg", (0, 0, 8, 8))
    seen = rgb_of(choice.data)
    wanted = picture[..., 0] if kind == "grey" else picture
    assert seen.shape == wanted.shape
    assert psnr(seen[8:], wanted[8:]) > 36
    assert jpeg_segments(choice.data)[0] == (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    assert set(frame_header(choice.data)[7::3]) == {0x11}, "chroma at full size"


@pytest.mark.parametrize(
    "name", ["hopper_1.jpg", "yoga_profile_far.jpg", "helmet_profile_1.jpg", "group_6.jpg"]
)
def test_real_photos_lose_next_to_nothing_far_from_the_face(media: Path, tmp_path: Path, name: str) -> None:
    source = (media / "stills" / name).read_bytes()
    choice, _ = change(save(tmp_path, "in.jpg", source), "jpeg", (160, 160, 256, 256))
    before, after = jpeg_planes(source), jpeg_planes(choice.data)
    assert psnr(before[0][272:], after[0][272:]) > 65
    assert 0.8 < len(choice.data) / len(source) < 1.2


def test_same_photo_gives_the_same_bytes(tmp_path: Path) -> None:
    path = save(tmp_path, "in.jpg", jpeg(lettering(160, 90), quality=60))
    assert change(path, "jpeg")[0].data == change(path, "jpeg")[0].data


def test_a_photo_keeps_its_own_memory_when_it_is_edited(tmp_path: Path) -> None:
    still = open_still(save(tmp_path, "in.jpg", jpeg(scene(67, 45))), "jpeg")
    before = [plane.copy() for plane in still.planes]
    still.with_patches([cover(still, BOX)], False)
    assert all(np.array_equal(one, other) for one, other in zip(before, still.planes, strict=True))
