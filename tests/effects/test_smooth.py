"""What softening skin must never do: touch what is no skin, shimmer, leave a seam, or look like plastic."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import effect_makers
import numpy as np
import pytest
from effect_makers import (
    NAMES,
    face,
    mesh_face,
    noise,
    painted,
    real_face,
    skin,
    stream,
    within,
)
from numpy.typing import NDArray

from facefx.effects import shared
from facefx.effects.chain import EffectChain
from facefx.effects.library.smooth import Smooth
from facefx.effects.masks import Mesh
from facefx.effects.skin import skin_outline
from facefx.errors import EffectError
from facefx.values import Color, Face, FieldOrder, Patch, Planes, StreamFormat

FORMATS = (*NAMES, "interlaced")
FEATURES = ("left_eye", "right_eye", "left_brow", "right_brow", "lips_outer")
STILLS = ("portrait_1.jpg", "glasses_1.jpg", "man_sofa_1.jpg")


def after(format: StreamFormat, planes: Planes, *faces: Face, **params: Any) -> Planes:
    return effect_makers.after(format, planes, Smooth.of(**params), *faces)


def change(before: Planes, done: Planes) -> NDArray[np.int64]:
    return done[0].astype(np.int64) - before[0]


def cheeks(format: StreamFormat, face: Face) -> NDArray[np.bool_]:
    """Skin well within the face: its oval without the surroundings of the features."""
    mesh = Mesh(face)
    oval = mesh.outline("face_oval")
    inner = within(format, oval.mean(axis=0) + 0.8 * (oval - oval.mean(axis=0)))
    for name in FEATURES:
        near = mesh.outline(name)
        inner &= ~within(format, near.mean(axis=0) + 1.9 * (near - near.mean(axis=0)))
    return inner


def texture(luma: NDArray[Any], fine: float, coarse: float, where: NDArray[np.bool_]) -> float:
    """How much texture there is between two sizes: the median, which folds and edges do not sway."""
    values = luma.astype(np.float32)
    parts = cv2.GaussianBlur(values, (0, 0), fine) - cv2.GaussianBlur(values, (0, 0), coarse)
    return float(np.median(np.abs(parts[where])))


@pytest.mark.parametrize("name", FORMATS)
def test_no_strength_means_no_work_and_the_same_bits(name: str) -> None:
    format = stream(name)
    effect, someone = Smooth.of(strength=0), mesh_face((80, 62), 100)
    chain = EffectChain([effect], format)
    assert chain.frame(0, noise(format, 1), [someone]) == []
    assert effect.region(replace(someone, landmarks=None)) is None  # it does not even look at the mesh
    patch = Patch.cut(format, 0, noise(format, 1), (0, 0, 161, 121))
    assert patch is not None
    effect.apply(patch, someone)
    assert not patch.changed(noise(format, 1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [30, 60, 110])
def test_eyes_brows_lips_chroma_and_all_outside_keep_their_bits(name: str, size: int) -> None:
    format = stream(name)
    before, someone = skin(format, size, contrast=12), mesh_face((80.3, 60.6), size, turned=8)
    done = after(format, before, someone, strength=1.0)
    mesh, moved = Mesh(someone), change(before, done) != 0
    assert moved[cheeks(format, someone)].mean() > 0.15
    assert not moved[~within(format, skin_outline(mesh))].any()
    for region in FEATURES:
        assert not moved[within(format, mesh.outline(region))].any(), region
    for old, new in zip(before[1:], done[1:], strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("size", [140, 300, 600])
@pytest.mark.parametrize("fields", list(FieldOrder))
def test_large_faces_on_coarse_grids_keep_them_too(size: int, fields: FieldOrder) -> None:
    format = stream("gray", 700, 760, field_order=fields)
    before, someone = skin(format, contrast=12), mesh_face((351.7, 402.2), size, turned=-20)
    moved = change(before, after(format, before, someone, strength=1.0)) != 0
    mesh = Mesh(someone)
    assert not moved[~within(format, skin_outline(mesh))].any()
    for region in FEATURES:
        assert not moved[within(format, mesh.outline(region))].any(), region


@pytest.mark.parametrize("still", [*STILLS, "astronaut_1.png", "group_6.jpg"])
def test_real_faces_keep_them_too(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    moved = change(before, after(format, before, someone, strength=1.0)) != 0
    mesh = Mesh(someone)
    assert not moved[~within(format, skin_outline(mesh))].any()
    for region in FEATURES:
        assert not moved[within(format, mesh.outline(region))].any(), region


@pytest.mark.parametrize(
    ("still", "most"),
    [("portrait_1.jpg", 0.88), ("astronaut_1.png", 0.85), ("man_sofa_1.jpg", 0.95), ("glasses_1.jpg", 0.96)],
)
def test_half_strength_is_seen_but_pores_stay(media: Path, models_dir: Path, still: str, most: float) -> None:
    format, before, someone = real_face(media, models_dir, still)
    where, size = cheeks(format, someone), Mesh(someone).size
    left = {}
    for strength in (0.5, 1.0):
        luma = after(format, before, someone, strength=strength)[0]
        left[strength] = [
            texture(luma, fine * size, coarse * size, where)
            / texture(before[0], fine * size, coarse * size, where)
            for fine, coarse in ((0.001, 0.008), (0.005, 0.025))
        ]
    (pores, blotches), (whole_pores, whole_blotches) = left[0.5], left[1.0]
    assert blotches < most
    assert whole_blotches < blotches - 0.5 * (1 - most)
    assert pores > 0.8
    assert whole_pores > 0.6


def test_an_edge_across_the_skin_stays_as_steep() -> None:
    format = stream("gray", 200, 200)
    planes = skin(format, contrast=3)
    planes[0][:, 121:] -= 60
    luma = after(format, planes, mesh_face((100, 100), 120), strength=1.0)[0].astype(np.float64)
    rows = slice(100, 112)
    jump = planes[0][rows, 118:121].mean() - planes[0][rows, 121:124].mean()
    assert luma[rows, 118:121].mean() - luma[rows, 121:124].mean() > 0.75 * jump
    assert luma[rows, 70:80].std() < 0.8 * planes[0][rows, 70:80].std()


def test_more_strength_changes_more_and_none_of_it_twice() -> None:
    format, someone = stream("yuv420p"), mesh_face((80, 62), 100)
    before = skin(format)
    steps = [
        np.abs(change(before, after(format, before, someone, strength=s)))
        for s in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert all((b >= a).all() for a, b in pairwise(steps))
    assert np.all(np.diff([step.sum() for step in steps]) > 0)


def test_the_same_frame_gives_the_same_bytes_whatever_came_before() -> None:
    format = stream("nv12")
    first, second = mesh_face((80, 62), 100), mesh_face((70, 55), 80, track_id=2)
    chain = EffectChain([Smooth.of()], format)
    fresh = painted(EffectChain([Smooth.of()], format), skin(format, 2), [first])[0]
    painted(chain, skin(format, 1), [second, first])
    again = painted(chain, skin(format, 2), [replace(first, pts=9)])[0]
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))


@pytest.mark.parametrize("size", [70, 127, 130, 250, 262])
def test_the_border_of_the_patch_leaves_no_seam(size: int) -> None:
    format = stream("yuv444p", 400, 420)
    before, someone = skin(format, contrast=12), mesh_face((201.3, 220.8), size)
    patches = EffectChain([Smooth.of(strength=1.0)], format).frame(0, before, [someone])
    moved = (
        patches[0].planes[0]
        != before[0][patches[0].y :, patches[0].x :][: patches[0].height, : patches[0].width]
    )
    assert moved.any()
    for line in (moved[0], moved[-1], moved[:, 0], moved[:, -1]):
        assert not line.any()


def test_no_halo_grows_along_the_outline_beside_a_bright_wall() -> None:
    format = stream("gray", 240, 240)
    someone = mesh_face((120, 125), 150)
    before = skin(format, contrast=2)
    before[0][~within(format, skin_outline(Mesh(someone)))] = 230
    assert np.abs(change(before, after(format, before, someone, strength=1.0))).max() <= 12
    rim = within(format, skin_outline(Mesh(someone)))
    rim &= ~cheeks(format, someone)
    assert abs(change(before, after(format, before, someone, strength=1.0))[rim].mean()) < 0.5


def test_frames_shimmer_less_after_than_before(media: Path, models_dir: Path) -> None:
    format, planes, someone = real_face(media, models_dir, "portrait_1.jpg", 0.8)
    generator = np.random.default_rng(5)
    old, new = [], []
    for _ in range(6):
        grain = generator.normal(0, 2, planes[0].shape)
        frame = (np.clip(planes[0] + grain, 0, 255).astype(np.uint8), *planes[1:])
        assert someone.landmarks is not None
        jitter = generator.normal(0, 0.05, (1, 3)).astype(np.float32)  # what One-Euro leaves
        moved = replace(someone, landmarks=someone.landmarks + jitter)
        old.append(frame[0].astype(np.int64))
        new.append(after(format, frame, moved, strength=1.0)[0].astype(np.int64))
    where = cheeks(format, someone)
    for i in range(5):
        assert np.abs(new[i + 1] - new[i])[where].mean() < 0.9 * np.abs(old[i + 1] - old[i])[where].mean()


@pytest.mark.parametrize("size", [128, 256])
def test_a_face_that_grows_onto_the_next_grid_does_not_pop(media: Path, models_dir: Path, size: int) -> None:
    _, _, large = real_face(media, models_dir, "portrait_1.jpg")
    scale = size / Mesh(large).size
    format, planes, someone = real_face(media, models_dir, "portrait_1.jpg", scale)
    assert someone.landmarks is not None
    middle = someone.landmarks.mean(axis=0)
    done = []
    for grown in (0.998, 1.002):
        points = (middle + grown * size / Mesh(someone).size * (someone.landmarks - middle)).astype(
            np.float32
        )
        done.append(change(planes, after(format, planes, replace(someone, landmarks=points), strength=1.0)))
    apart = np.abs(done[1] - done[0])[cheeks(format, someone)]
    assert np.abs(done[0])[cheeks(format, someone)].mean() > 2
    assert apart.max() <= 12
    assert apart.mean() < 0.8


@pytest.mark.parametrize("name", FORMATS)
def test_a_spark_on_a_darker_spot_is_not_lifted_beyond_white(name: str) -> None:
    format = stream(name)
    unit, white = 1 << (format.pixels.depth - 8), format.color.luma_range[1]
    planes = skin(format, contrast=1)
    planes[0][...] = white - 10 * unit
    planes[0][66:74, 50:60] = white - 26 * unit
    planes[0][70:72, 55] = white
    done = after(format, planes, mesh_face((80, 62), 100), strength=1.0, detail=1.0)
    assert (done[0] > planes[0])[66:74, 50:60].mean() > 0.5
    assert done[0].max() == white


def test_a_face_looks_the_same_at_half_the_resolution(media: Path, models_dir: Path) -> None:
    format, before, someone = real_face(media, models_dir, "portrait_1.jpg")
    large = change(before, after(format, before, someone, strength=1.0, detail=1.0)).astype(np.float32)
    halved = cv2.resize(large, (410, 512), interpolation=cv2.INTER_AREA)
    format, before, someone = real_face(media, models_dir, "portrait_1.jpg", 0.5)
    where, small = (
        cheeks(format, someone),
        change(before, after(format, before, someone, strength=1.0, detail=1.0)),
    )
    assert np.abs(small - halved)[where].mean() < 0.08 * np.abs(small)[where].mean()


def test_a_face_looks_the_same_at_ten_bits_and_in_full_range() -> None:
    eight, ten = stream("yuv420p"), stream("yuv420p10le")
    someone = mesh_face((80, 62), 100)
    before = skin(eight)
    fine = tuple((plane.astype(np.uint16) * 4) for plane in before)
    narrow = change(before, after(eight, before, someone, strength=1.0))
    wide = change(fine, after(ten, fine, someone, strength=1.0)) / 4
    assert np.abs(wide - narrow).max() <= 1
    full = replace(eight, color=Color("bt709", full_range=True))
    spread = (np.rint((before[0] - 16.0) * 255 / 219).astype(np.uint8), *before[1:])
    wide = change(spread, after(full, spread, someone, strength=1.0)) * 219 / 255
    assert np.abs(wide - narrow).max() <= 2


def test_lines_of_two_fields_are_never_mixed() -> None:
    format = stream("interlaced", 200, 200)
    before = skin(format)
    other = tuple(plane.copy() for plane in before)
    other[0][1::2] += (np.arange(200) // 12 % 2 * 20).astype(np.uint8)
    other[0][1::2] -= 10
    someone = mesh_face((100, 100), 140)
    one, two = (after(format, planes, someone, strength=1.0)[0] for planes in (before, other))
    # Only the weights look at both: they may differ by a little, the picture of one field by no more.
    assert np.abs(one[::2].astype(int) - two[::2]).max() <= 1
    assert (one[1::2] != two[1::2]).any()


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv411p", "interlaced", "yuv422p10le"])
@pytest.mark.parametrize("centre", [(5, 5), (158, 118), (80, -30), (-300, 60), (161, 60)])
def test_a_face_across_the_edge_of_the_picture_is_smoothed_as_far_as_it_is_there(
    name: str, centre: tuple[int, int]
) -> None:
    format, someone = stream(name), mesh_face(centre, 100)
    before = skin(format)
    moved = change(before, after(format, before, someone, strength=1.0)) != 0
    there = cheeks(format, someone)
    assert moved.any() == there.any()
    assert not moved[~within(format, skin_outline(Mesh(someone)))].any()
    if there.sum() > 200:
        assert moved[there].mean() > 0.4


def test_a_face_too_small_for_skin_is_left_alone_and_comes_in_gently() -> None:
    format = stream("yuv420p")
    sizes = {}
    for size in (4, 23, 26, 30, 39, 42):
        before = skin(format)
        done = change(before, after(format, before, mesh_face((80, 60), size), strength=1.0))
        sizes[size] = float(np.abs(done)[cheeks(format, mesh_face((80, 60), size))].mean())
    assert sizes[4] != sizes[4] or sizes[4] == 0  # no pixel at all, or none that changed
    assert sizes[23] == 0
    assert sizes[26] < sizes[30] < sizes[39] <= sizes[42] * 1.2


def test_a_face_that_fills_a_large_picture_is_smoothed() -> None:
    format = stream("yuv420p", 1400, 1500)
    before, someone = skin(format, contrast=10), mesh_face((700, 760), 1300)
    done = after(format, before, someone, strength=1.0)
    where = cheeks(format, someone)
    assert done[0][where].std() < 0.6 * before[0][where].std()


def test_two_faces_that_overlap_are_both_smoothed_and_nothing_is_brought_back() -> None:
    format = stream("yuv420p", 240, 160)
    before = skin(format, contrast=8)
    left, right = mesh_face((90, 80), 100, track_id=1), mesh_face((150, 85), 100, track_id=2)
    both = after(format, before, left, right, strength=1.0)
    alone = [after(format, before, one, strength=1.0) for one in (left, right)]
    only_left = within(format, skin_outline(Mesh(left))) & ~within(format, skin_outline(Mesh(right)))
    assert np.array_equal(both[0][only_left], alone[0][0][only_left])
    assert (change(before, both) != 0)[cheeks(format, right)].mean() > 0.5


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_picture_gets_the_same_face(rotation: int) -> None:
    format = stream("gray", 160, 160, rotation=rotation)
    before = skin(format)
    upright = change(before, after(format, before, mesh_face((80, 80), 120), strength=1.0))
    turned = tuple(np.ascontiguousarray(np.rot90(plane, -rotation // 90)) for plane in before)
    done = change(turned, after(format, turned, mesh_face((80, 80), 120, turned=rotation), strength=1.0))
    assert np.abs(np.rot90(done, rotation // 90) - upright).max() <= 1


@pytest.mark.parametrize("size", [80, 300])
def test_a_patch_that_other_effects_have_widened_is_left_alone_around_it(size: int) -> None:
    format, someone = stream("gray", 400, 430), mesh_face((200, 235), size)
    before = skin(format)
    wide = Patch.cut(format, 0, before, (1, 3, 399, 429))  # off the squares of the filter
    assert wide is not None
    effect = Smooth.of()
    effect.prepare(format, b"")
    effect.apply(wide, someone)
    assert np.array_equal(wide.planes[0], after(format, before, someone)[0][3:429, 1:399])


def test_a_face_without_landmarks_is_an_error_that_a_chain_counts() -> None:
    format = stream()
    effect = Smooth.of()
    chain = EffectChain([effect], format)
    someone = face((40, 30, 100, 110), track_id=3, pts=8)
    with pytest.raises(EffectError, match="face 3 at pts 8: expected landmarks, got none"):
        effect.region(someone)
    assert chain.frame(0, noise(format, 1), [someone]) == []
    assert chain.stats.skipped == {"smooth: no landmarks": 1}


def test_the_mesh_of_a_face_is_laid_out_once_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[Face] = []

    def counted(face: Face) -> Mesh:
        laid_out.append(face)
        return Mesh(face)

    monkeypatch.setattr(shared, "Mesh", counted)
    format = stream()
    after(format, skin(format), mesh_face((80, 62), 100))
    assert len(laid_out) == 1
