"""Every clause of a photo's contract, broken on purpose in a good file: none holds by accident."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from still_makers import (
    SMALL_JPEG,
    XMP_MARK,
    Pixels,
    jpeg,
    png,
    png_chunk,
    save,
    scene,
    segment,
    turned_exif,
    webp,
    with_segments,
)
from still_readers import cover

from facefx.errors import FidelityError
from facefx.values import Patch
from facefx.video.fidelity import FidelityReport
from facefx.video.still_fidelity import Promise, closeness, verify_still
from facefx.video.still_kinds import TargetKind
from facefx.video.still_source import Still, open_still
from facefx.video.still_write import written

BOX = (32, 32, 96, 96)
SIZE = (640, 480)
XMP = b"<x>words</x>"
PROFILE = b"a profile of colours"


@dataclass(frozen=True)
class Good:
    """A photo that was changed as it should be, with all that was promised of it."""

    promise: Promise
    data: bytes
    folder: Path

    def report(self, data: bytes) -> FidelityReport:
        return verify_still(self.promise, save(self.folder, "out", data))

    def again(self, change: Callable[[Still], Still], target: TargetKind = "jpeg") -> bytes:
        """The file as it would be had other pixels been written."""
        return next(written(change(self.promise.edited), target, "keep")).data


def make(folder: Path, source: bytes, target: TargetKind, box: Sequence[int] = BOX) -> Good:
    still = open_still(save(folder, "in", source), target)
    patches: list[Patch] = [cover(still, (box[0], box[1], box[2], box[3]))]
    edited = still.with_patches(patches, False)
    for choice in written(edited, target, "keep"):
        promise = Promise(still, edited, patches, target, "keep", choice.metadata, choice.exact)
        good = Good(promise, choice.data, folder)
        if good.report(good.data).ok:
            break
    return good


def said() -> list[bytes]:
    return [
        segment(0xE1, b"Exif\0\0" + turned_exif(6)),
        segment(0xE1, XMP_MARK + XMP),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE),
    ]


@pytest.fixture(scope="module")
def in_jpeg(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return make(tmp_path_factory.mktemp("jpeg"), with_segments(jpeg(scene(*SIZE)), *said()), "jpeg")


@pytest.fixture(scope="module")
def in_png(tmp_path_factory: pytest.TempPathFactory) -> Good:
    deep = np.dstack([scene(64, 48), np.full((48, 64), 200)]).astype(np.uint16) * 257
    profile = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE))
    return make(tmp_path_factory.mktemp("png"), png(deep, 6, 16, before=[profile]), "png", (8, 8, 24, 24))


def moved(still: Still, x: int, y: int, size: int, by: int, plane: int = 0) -> Still:
    """A square of one plane made lighter."""
    grid = [one.copy() for one in still.grid]
    grid[plane][y : y + size, x : x + size] += by
    return replace(still, grid=tuple(grid))


def sampled(still: Still, change: Callable[[Pixels], None]) -> Still:
    assert still.samples is not None
    samples = still.samples.copy()
    change(samples)
    return replace(still, samples=samples)


def see_through(still: Still) -> Still:
    assert still.alpha is not None
    alpha = still.alpha.copy()
    alpha[40, 60] -= 1
    return replace(still, alpha=alpha)


def _nudge(samples: Pixels) -> None:
    samples[40, 60, 1] ^= 1


def _nudge_face(samples: Pixels) -> None:
    samples[10, 10, 1] ^= 1


Broken = tuple[str, Callable[[Good], bytes]]
IN_JPEG: dict[str, Broken] = {
    "cut short": ("readable", lambda good: good.data[:-40]),
    "no photo": ("readable", lambda good: b"hello"),
    "of another kind": ("kind", lambda good: png(scene(*SIZE), 2)),
    "smaller": ("size", lambda good: jpeg(scene(SIZE[0], SIZE[1] - 16))),
    "turned": ("orientation", lambda good: good.data.replace(turned_exif(6), turned_exif(3))),
    "without EXIF": ("EXIF", lambda good: good.data.replace(said()[0], b"")),
    "another camera": ("EXIF", lambda good: good.data.replace(b"Camera 1", b"Camera 2")),
    "without XMP": ("XMP", lambda good: good.data.replace(said()[1], b"")),
    "another word": ("XMP", lambda good: good.data.replace(b"words", b"wards")),
    "without a profile": ("ICC profile", lambda good: good.data.replace(said()[2], b"")),
    "another profile": ("ICC profile", lambda good: good.data.replace(PROFILE, PROFILE[::-1])),
    "a second picture behind": ("nothing left that may show a face", lambda good: good.data + SMALL_JPEG),
    "a thumbnail left": (
        "nothing left that may show a face",
        lambda good: with_segments(good.data, segment(0xE2, b"MPF\0" + bytes(20))),
    ),
    "chroma of another size": ("planes", lambda good: jpeg(scene(*SIZE), sampling="444")),
    "grey": ("planes", lambda good: jpeg(scene(*SIZE)[..., 0])),
    "coded again": (
        "pixels that no effect touched",
        lambda good: with_segments(jpeg(scene(*SIZE, seed=4)), *said()),
    ),
    "all a little lighter": (
        "pixels that no effect touched",
        lambda good: good.again(lambda still: moved(still, 0, 0, 640, 3)),
    ),
    "a small face painted over": (
        "each 16x16 pixels that no effect touched",
        lambda good: good.again(lambda still: moved(still, 400, 200, 8, 60)),
    ),
    "a spot of other colour": (
        "each 16x16 pixels that no effect touched",
        lambda good: good.again(lambda still: moved(still, 200, 100, 8, 60, plane=2)),
    ),
    "the effect left out": (
        "pixels of the effects",
        lambda good: next(written(good.promise.source, "jpeg", "keep")).data,
    ),
}
IN_PNG: dict[str, Broken] = {
    "eight bits": ("depth", lambda good: png(scene(64, 48), 2)),
    "a pixel less opaque": ("alpha", lambda good: good.again(see_through, "png")),
    "no alpha": ("alpha", lambda good: good.again(lambda still: replace(still, alpha=None), "png")),
    "one sample off by one": (
        "pixels that no effect touched",
        lambda good: good.again(lambda still: sampled(still, _nudge), "png"),
    ),
    "one sample of the effect off by one": (
        "pixels of the effects",
        lambda good: good.again(lambda still: sampled(still, _nudge_face), "png"),
    ),
    "a preview left": (
        "nothing left that may show a face",
        lambda good: good.data.replace(
            png_chunk(b"IEND", b""), png_chunk(b"prVw", SMALL_JPEG) + png_chunk(b"IEND", b"")
        ),
    ),
}


@pytest.mark.parametrize("breach", IN_JPEG)
def test_breach_in_a_jpeg_is_seen(in_jpeg: Good, breach: str) -> None:
    name, broken = IN_JPEG[breach]
    _assert_seen(in_jpeg, name, broken(in_jpeg))


@pytest.mark.parametrize("breach", IN_PNG)
def test_breach_in_a_png_is_seen(in_png: Good, breach: str) -> None:
    name, broken = IN_PNG[breach]
    _assert_seen(in_png, name, broken(in_png))


def _assert_seen(good: Good, name: str, data: bytes) -> None:
    assert data != good.data
    report = good.report(data)
    assert name in [clause.name for clause in report.broken], [clause.name for clause in report.broken]
    (clause,) = [one for one in report.broken if one.name == name]
    assert clause.expected != clause.got
    with pytest.raises(FidelityError, match=f"differs from .*{name}: expected "):
        report.raise_if_broken()


def test_good_file_keeps_every_clause(in_jpeg: Good, in_png: Good) -> None:
    for good in (in_jpeg, in_png):
        assert good.report(good.data).ok


def test_every_clause_there_is_was_broken_above(in_jpeg: Good, in_png: Good) -> None:
    broken = {name for name, _ in (*IN_JPEG.values(), *IN_PNG.values())}
    known = {clause.name for good in (in_jpeg, in_png) for clause in good.report(good.data).clauses}
    assert broken == known | {"readable"}


@pytest.mark.parametrize("breach", ["a small face painted over", "a spot of other colour"])
def test_spot_too_small_for_the_whole_to_notice_is_seen_alone(in_jpeg: Good, breach: str) -> None:
    report = in_jpeg.report(IN_JPEG[breach][1](in_jpeg))
    assert [clause.name for clause in report.broken] == ["each 16x16 pixels that no effect touched"]


def test_patch_is_judged_by_whole_blocks_of_what_is_coded(tmp_path: Path) -> None:
    good = make(tmp_path, jpeg(scene(64, 48)), "jpeg", (18, 18, 30, 30))
    nearby = good.again(lambda still: moved(still, 16, 16, 2, 60))
    assert good.report(nearby).ok, "a block that a patch reaches belongs to it"
    beyond = good.again(lambda still: moved(still, 40, 32, 8, 60))
    assert not good.report(beyond).ok


def test_colour_under_a_pixel_that_does_not_show_may_change_in_a_webp_only(tmp_path: Path) -> None:
    rgba = np.dstack([scene(64, 48), np.full((48, 64), 255, np.uint8)])
    rgba[30:, :, 3] = 0
    for target, source in (("webp", webp(rgba, 101)), ("png", png(rgba, 6))):
        kind: TargetKind = "webp" if target == "webp" else "png"
        good = make(tmp_path, source, kind, (8, 8, 24, 24))
        assert good.report(good.data).ok
        shown = good.again(lambda still: sampled(still, lambda s: s.__setitem__((slice(25, 28), 5), 0)), kind)
        assert not good.report(shown).ok
    hidden = good.again(lambda still: sampled(still, lambda s: s.__setitem__((slice(40, 44), 5), 0)), "png")
    assert not good.report(hidden).ok, "a png keeps that too"


def test_closeness_of_nothing_and_of_everything() -> None:
    plane = np.zeros((4, 4), np.uint8)
    mask = np.ones((4, 4), bool)
    assert closeness((plane,), (plane,), [mask]) == np.inf
    assert closeness((plane,), (plane + 255,), [~mask]) == np.inf
    assert closeness((plane,), (plane + 255,), [mask]) == 0
    assert closeness((plane.astype(np.uint16),), ((plane + 255).astype(np.uint16),), [mask]) > 48


def test_missing_output_is_a_breach_and_not_a_crash(in_jpeg: Good, tmp_path: Path) -> None:
    report = verify_still(in_jpeg.promise, tmp_path / "none.jpg")
    assert [clause.name for clause in report.broken] == ["readable"]
