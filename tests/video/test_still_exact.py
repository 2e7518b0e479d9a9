"""PNG and WebP: samples that no effect touched are the same samples, at every depth and with every alpha."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from still_makers import Pixels, jpeg, png, png_chunk, save, scene, webp
from still_readers import change, cover, png_chunks, psnr, rgb_of, webp_chunks

from facefx.errors import UnsupportedError
from facefx.values import Patch, StreamFormat
from facefx.video.still_fidelity import Promise, verify_still
from facefx.video.still_kinds import TargetKind
from facefx.video.still_pixels import pasted_samples, planes_of
from facefx.video.still_source import open_still
from facefx.video.still_write import untouched, written

BOX = (8, 8, 24, 24)
SIZE = (45, 67)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [
    (0, 1),
    (0, 2),
    (0, 4),
    (0, 8),
    (0, 16),
    (2, 8),
    (2, 16),
    (3, 1),
    (3, 2),
    (3, 4),
    (3, 8),
    (4, 8),
    (4, 16),
    (6, 8),
    (6, 16),
]


def stored(colour: int, depth: int) -> Pixels:
    """Samples of every code at random."""
    rng = np.random.default_rng(colour * 20 + depth)
    return rng.integers(0, 1 << depth, (*SIZE, CHANNELS[colour]))


def palette(depth: int) -> bytes:
    return np.random.default_rng(depth).integers(0, 256, 3 << depth, np.uint8).tobytes()


def shown(samples: Pixels, colour: int, depth: int, clear: bytes = b"") -> Pixels:
    """What a PNG means by its samples: (h, w, 1 to 4) at 8 or 16 bits. Source: PNG 3rd edition §13.12."""
    peak = (1 << depth) - 1
    if colour == 3:
        table = np.frombuffer(palette(depth), np.uint8).reshape(-1, 3)
        opaque = np.frombuffer(clear.ljust(len(table), b"\xff"), np.uint8)[: len(table), None]
        full = np.concatenate([table, opaque], axis=1) if clear else table
        return np.asarray(full[samples[..., 0]])
    top = 65535 if depth == 16 else 255
    scaled = samples * top // peak
    if clear:
        key = np.frombuffer(clear, ">u2")
        scaled = np.dstack([scaled, np.where((samples == key).all(axis=2), 0, top)])
    return np.asarray(scaled, np.uint16 if depth == 16 else np.uint8)


def away(picture: Pixels) -> Pixels:
    mask = np.ones(picture.shape[:2], bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = False
    return picture[mask]


def decoded(data: bytes, channels: int) -> Pixels:
    """By OpenCV, which shows grey with alpha as colours."""
    seen = rgb_of(data)
    seen = seen[..., None] if seen.ndim == 2 else seen
    return seen[..., [0, 3]] if channels == 2 else seen


@pytest.mark.parametrize(("colour", "depth"), KINDS)
@pytest.mark.parametrize("adam7", [False, True], ids=["rows", "adam7"])
def test_no_sample_of_a_png_changes_outside_the_patch(
    tmp_path: Path, colour: int, depth: int, adam7: bool
) -> None:
    samples = stored(colour, depth)
    before = [png_chunk(b"PLTE", palette(depth))] if colour == 3 else []
    path = save(tmp_path, "in.png", png(samples, colour, depth, before=before, adam7=adam7))
    choice, _ = change(path, "png", BOX)
    wanted = shown(samples, colour, depth)
    seen = decoded(choice.data, wanted.shape[2])
    assert (seen.shape, seen.dtype) == (wanted.shape, wanted.dtype)
    assert np.array_equal(away(seen), away(wanted))
    x0, y0, x1, y1 = BOX
    if wanted.shape[2] in (2, 4):
        assert np.array_equal(seen[..., -1], wanted[..., -1]), "alpha is kept under the patch too"
    colours = seen[y0:y1, x0:x1, : 1 if wanted.shape[2] < 3 else 3]
    assert len(np.unique(colours.reshape(-1, colours.shape[2]), axis=0)) == 1, "the patch hides all there was"


@pytest.mark.parametrize(
    ("colour", "depth", "clear"),
    [
        (0, 1, b"\0\1"),
        (0, 1, b"\0\0"),
        (0, 2, b"\0\2"),
        (0, 4, b"\0\3"),
        (0, 8, b"\0\x40"),
        (0, 16, b"\x12\x34"),
        (2, 8, b"\0\1\0\2\0\3"),
        (2, 16, b"\1\2\3\4\5\6"),
        (3, 2, b"\0\x80"),
        (3, 8, bytes(range(99))),
    ],
)
def test_transparent_pixels_do_not_become_opaque(
    tmp_path: Path, colour: int, depth: int, clear: bytes
) -> None:
    samples = stored(colour, depth)
    if colour != 3:
        samples[30:34] = np.frombuffer(clear, ">u2")
    before = [png_chunk(b"PLTE", palette(depth))] if colour == 3 else []
    path = save(tmp_path, "in.png", png(samples, colour, depth, before=[*before, png_chunk(b"tRNS", clear)]))
    choice, _ = change(path, "png", BOX)
    wanted = shown(samples, colour, depth, clear)
    seen = decoded(choice.data, wanted.shape[2])
    assert seen.shape == wanted.shape
    assert np.array_equal(away(seen), away(wanted))
    assert b"tRNS" not in dict(png_chunks(choice.data)), "it is an alpha of its own now"


def test_every_colour_of_eight_bits_survives_the_way_to_ycbcr_and_back() -> None:
    codes = np.arange(256, dtype=np.uint8)
    for red in range(0, 256, 15):
        cube = np.stack(np.meshgrid([red], codes, codes, indexing="ij"), axis=-1)[0].astype(np.uint8)
        pixels, color, planes = planes_of(cube)
        format = StreamFormat(pixels, 256, 256, Fraction(1), color)
        unchanged = Patch.cut(format, 0, planes, (0, 0, 256, 256))
        assert unchanged is not None
        assert np.array_equal(pasted_samples(cube, planes, [unchanged], True), cube)


def test_pixel_that_an_effect_left_as_it_was_keeps_its_lowest_bits(tmp_path: Path) -> None:
    path = save(tmp_path, "in.png", png(stored(2, 16), 2, 16))
    still = open_still(path, "png")
    patch = cover(still, BOX)
    for plane, own in zip(patch.planes, still.planes, strict=True):
        plane[:, :4] = own[8:24, 8:12]
    partly = still.with_patches([patch], False).samples
    whole = still.with_patches([patch], True).samples
    assert still.samples is not None
    assert partly is not None
    assert whole is not None
    assert np.array_equal(partly[8:24, 8:12], still.samples[8:24, 8:12])
    assert not np.array_equal(whole[8:24, 8:12], still.samples[8:24, 8:12]), (
        "nothing finer than ten bits is left"
    )


@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_webp_keeps_every_sample(tmp_path: Path, alpha: bool) -> None:
    picture = scene(67, 45)
    if alpha:
        picture = np.dstack([picture, np.random.default_rng(2).integers(1, 256, SIZE, np.uint8)])
    choice, _ = change(save(tmp_path, "in.webp", webp(picture, 101)), "webp", BOX)
    assert choice.how == "lossless WebP"
    assert b"VP8L" in dict(webp_chunks(choice.data))
    assert np.array_equal(away(rgb_of(choice.data)), away(picture))


@pytest.mark.parametrize("target", ["png", "webp"])
@pytest.mark.parametrize("source", ["jpeg", "png", "webp"])
def test_lossless_target_shows_just_what_a_viewer_saw(
    tmp_path: Path, source: str, target: TargetKind
) -> None:
    picture = scene(67, 45)
    data = {"jpeg": jpeg(picture), "png": png(picture, 2), "webp": webp(picture, 101)}[source]
    choice, _ = change(save(tmp_path, f"in.{source}", data), target, BOX)
    assert choice.exact
    assert np.array_equal(away(rgb_of(choice.data)), away(rgb_of(data)))


def test_lossy_webp_asked_to_be_lossless_is(tmp_path: Path) -> None:
    data = webp(scene(67, 45), 70)
    still = open_still(save(tmp_path, "in.webp", data), "webp", lossless=True)
    (choice,) = written(still, "webp", "keep", lossless=True)
    assert choice.exact
    assert np.array_equal(rgb_of(choice.data), rgb_of(data))


@pytest.mark.parametrize("size", [(64, 48), (67, 45), (1, 1)], ids=str)
@pytest.mark.parametrize("quality", [40, 90])
def test_lossy_webp_stays_lossy_and_close(tmp_path: Path, size: tuple[int, int], quality: int) -> None:
    data = webp(scene(*size), quality)
    box = (0, 0, min(16, size[0]), min(16, size[1]))
    choice, _ = change(save(tmp_path, "in.webp", data), "webp", box)
    assert choice.how.startswith("WebP of quality ")
    assert dict(webp_chunks(choice.data)).keys() & {b"VP8 ", b"VP8L"} == {b"VP8 "}
    before, after = rgb_of(data), rgb_of(choice.data)
    assert before.shape == after.shape
    if size != (1, 1):
        assert psnr(before[32:, 32:], after[32:, 32:]) > 34


def test_lossy_webp_keeps_its_alpha_exactly(tmp_path: Path) -> None:
    alpha = np.random.default_rng(2).integers(0, 256, SIZE, np.uint8)
    data = webp(np.dstack([scene(67, 45), alpha]), 90)
    choice, _ = change(save(tmp_path, "in.webp", data), "webp", BOX)
    assert np.array_equal(rgb_of(choice.data)[..., 3], rgb_of(data)[..., 3])


@pytest.mark.parametrize("quality", [70, 101])
def test_transparent_webp_without_a_face_is_passed_on_and_verified(tmp_path: Path, quality: int) -> None:
    data = webp(np.dstack([scene(67, 45), scene(67, 45)[..., 0]]), quality)
    still = open_still(save(tmp_path, "in.webp", data), "webp")
    choice = untouched(still, "keep")
    promise = Promise(still, still, (), "webp", "keep", choice.metadata, choice.exact)
    assert choice.data == data
    assert verify_still(promise, save(tmp_path, "out.webp", choice.data)).ok
    other = webp(np.dstack([scene(67, 45, seed=4), scene(67, 45)[..., 0]]), quality)
    assert not verify_still(promise, save(tmp_path, "out.webp", other)).ok


def test_sixteen_bits_are_not_quietly_cut_to_eight(tmp_path: Path) -> None:
    still = open_still(save(tmp_path, "in.png", png(stored(2, 16), 2, 16)), "webp")
    with pytest.raises(UnsupportedError, match=r"in\.png: has 16 bits a sample, a WebP has 8; write a \.png"):
        next(written(still, "webp", "keep"))


def test_picture_wider_than_a_webp_can_be_is_refused(tmp_path: Path) -> None:
    still = open_still(save(tmp_path, "in.png", png(np.zeros((1, 16384, 1), np.uint8), 0)), "webp")
    with pytest.raises(UnsupportedError, match="a WebP has at most 16383 pixels a side"):
        next(written(still, "webp", "keep"))


def test_chunks_true_of_old_samples_only_do_not_outlive_them(tmp_path: Path) -> None:
    said = [png_chunk(b"sBIT", b"\4"), png_chunk(b"gAMA", b"\0\0\xb1\x8f"), png_chunk(b"bKGD", b"\0\3")]
    path = save(tmp_path, "in.png", png(stored(0, 4), 0, 4, before=said))
    choice, _ = change(path, "png", BOX)
    assert [kind for kind, _ in png_chunks(choice.data)] == [b"IHDR", b"gAMA", b"IDAT", b"IEND"]
    assert [removal.what for removal in choice.removed] == ["chunk 'sBIT'", "chunk 'bKGD'"]
