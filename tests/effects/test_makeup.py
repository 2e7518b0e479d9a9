"""Make-up: never on teeth, hair or background, never a mask of paint, and steady from frame to frame."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from effect_makers import NAMES, after, channels, chroma_under, noise, painted, real_face, stream
from makeup_makers import (
    EFFECTS,
    SMILING,
    allowed,
    as_face,
    changes,
    moved_by,
    picture_of,
    real_mesh,
)
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.masks import Mesh
from facefx.effects.places import SIDES, side_seen
from facefx.values import Color, Face, Patch, Planes, StreamFormat

FORMATS = [*NAMES, "interlaced"]
SKIN = (140, 112, 152)


def total(before: Planes, done: Planes) -> float:
    """Sum of all changes of luma."""
    return float(np.abs(changes(before, done)[0]).sum())


def side_of(format: StreamFormat, someone: Face) -> NDArray[np.bool_]:
    """(h, w) luma pixels on the picture's left of the face's middle line."""
    return np.asarray(np.arange(format.width) < Mesh(someone).point("nose_root")[0])[None, :]


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("pixels", ["yuv420p", "nv12", "gray10le", "interlaced"])
def test_no_strength_means_no_work_and_the_same_bits(name: str, pixels: str, models_dir: Path) -> None:
    format = stream(pixels)
    effect, someone = EFFECTS[name].of(strength=0), real_mesh(models_dir, (80, 60), 100)
    chain = EffectChain([effect], format)
    assert chain.frame(0, noise(format, 1), [someone]) == []
    assert effect.region(replace(someone, landmarks=None)) is None  # it does not even look at the mesh
    patch = Patch.cut(format, 0, noise(format, 1), (0, 0, 161, 121))
    assert patch is not None
    effect.apply(patch, someone)
    assert not patch.changed(noise(format, 1))


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("pixels", FORMATS)
def test_only_its_own_place_is_touched_and_all_codes_stay_legal(
    name: str, pixels: str, models_dir: Path
) -> None:
    format = stream(pixels, 241, 261)
    someone = real_mesh(models_dir, (118.3, 131.6), 200, turned=9)
    colour = {} if name == "contour" else {"colour": "#20ff40"}
    for before in (picture_of(format, SKIN, texture=8), noise(format, 2)):
        done = after(format, before, EFFECTS[name].of(strength=1.0, **colour), someone)
        luma, *chroma = changes(before, done)
        may = allowed(format, Mesh(someone), name)
        assert not (luma != 0)[~may].any()
        for plane in chroma:
            assert not (plane != 0)[~chroma_under(format, may)].any()
        for i, plane in enumerate(channels(done)):
            low, high = format.color.chroma_range if i else format.color.luma_range
            assert low <= plane.min()
            assert plane.max() <= high


@pytest.mark.parametrize(
    ("name", "codes_moved"),
    [("lipstick", 8), ("blush", 2), ("eyeshadow", 5), ("eyeliner", 12), ("brows", 6), ("contour", 2)],
)
def test_half_strength_is_seen(name: str, codes_moved: float, models_dir: Path) -> None:
    format, someone = stream("yuv444p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before = picture_of(format, SKIN, texture=4)
    moved = np.abs(changes(before, after(format, before, EFFECTS[name].of(strength=0.5), someone))).sum(
        axis=0
    )
    touched = moved[moved > 0]
    assert len(touched) > 300
    assert touched.mean() > codes_moved


@pytest.mark.parametrize("name", EFFECTS)
def test_more_strength_changes_each_sample_more(name: str, models_dir: Path) -> None:
    format, someone = stream("yuv420p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before = picture_of(format, SKIN, texture=8)
    steps = [
        [
            np.abs(plane)
            for plane in changes(before, after(format, before, EFFECTS[name].of(strength=s), someone))
        ]
        for s in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    for less, more in pairwise(steps):
        assert all((b >= a).all() for a, b in zip(less, more, strict=True))
        assert sum(map(np.sum, more)) > sum(map(np.sum, less))


@pytest.mark.parametrize("name", EFFECTS)
def test_skin_keeps_its_texture(name: str, models_dir: Path) -> None:
    format, someone = stream("yuv444p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    plain, rough = picture_of(format, SKIN), picture_of(format, SKIN, texture=6)
    smooth, done = (after(format, planes, EFFECTS[name].of(), someone)[0] for planes in (plain, rough))
    where = smooth != plain[0]
    texture = (rough[0].astype(int) - plain[0])[where], (done.astype(int) - smooth)[where]
    assert np.corrcoef(*texture)[0, 1] > 0.9
    assert texture[1].std() > 0.5 * texture[0].std()


@pytest.mark.parametrize("name", [name for name in EFFECTS if name != "lipstick"])
def test_the_far_side_of_a_turning_head_fades_without_a_jump_and_is_left_out(
    name: str, models_dir: Path
) -> None:
    format = stream("yuv444p", 301, 301)
    before = picture_of(format, SKIN)
    sides = []
    for yaw in range(0, 64, 3):
        someone = real_mesh(models_dir, (150, 150), 200, yaw=yaw)
        moved = np.abs(changes(before, after(format, before, EFFECTS[name].of(strength=1.0), someone))).sum(0)
        left = side_of(format, someone)
        sides.append([float((moved * left).sum()), float((moved * ~left).sum())])
        if name != "contour" and min(side_seen(Mesh(someone), side) for side in SIDES) <= 0.02:
            assert min(sides[-1]) == 0  # all of it is hidden, and not a last sliver painted
    far, near = sorted(np.array(sides).T, key=lambda side: side[-1])
    assert far[-1] <= 0.03 * far[0]
    assert near.min() > 0.3 * near[0]
    assert np.abs(np.diff(far)).max() < 0.3 * far[0]


@pytest.mark.parametrize("name", EFFECTS)
def test_a_stored_picture_that_is_mirrored_or_turned_gets_the_same_make_up(
    name: str, models_dir: Path
) -> None:
    format, someone = stream("yuv444p", 240, 240), real_mesh(models_dir, (120, 120), 180)
    assert someone.landmarks is not None
    before = picture_of(format, SKIN)
    upright = changes(before, after(format, before, EFFECTS[name].of(), someone))
    flipped = as_face(
        someone.landmarks * np.array((-1, 1, 1), np.float32) + np.array((240, 0, 0), np.float32)
    )
    mirrored = changes(before, after(format, before, EFFECTS[name].of(), flipped))
    quarter = someone.landmarks[:, [1, 0, 2]] * np.array((-1, 1, 1), np.float32)
    quarter += np.array((240, 0, 0), np.float32)
    turned = changes(before, after(format, before, EFFECTS[name].of(), as_face(quarter)))
    for plane, other, third in zip(upright, mirrored, turned, strict=True):
        assert np.abs(other[:, ::-1] - plane).max() <= 4
        assert np.abs(np.rot90(third) - plane).max() <= 4


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("still", [SMILING, "glasses_1.jpg"])
def test_a_face_looks_the_same_at_half_the_resolution(
    name: str, still: str, media: Path, models_dir: Path
) -> None:
    effect = EFFECTS[name]
    format, before, someone = real_face(media, models_dir, still)
    large = changes(before, after(format, before, effect.of(), someone))[0].astype(np.float32)
    format, before, someone = real_face(media, models_dir, still, 0.5)
    small = changes(before, after(format, before, effect.of(), someone))[0]
    halved = cv2.resize(large, small.shape[::-1], interpolation=cv2.INTER_AREA)
    # As from a step further away: a line of a pixel and lashes are not the same codes in both.
    small, halved = (cv2.GaussianBlur(each.astype(np.float32), (0, 0), 1.5) for each in (small, halved))
    assert np.abs(halved).sum() > 200
    assert np.abs(small - halved).sum() < 0.12 * np.abs(halved).sum()


@pytest.mark.parametrize("name", EFFECTS)
def test_a_face_looks_the_same_at_ten_bits_and_in_full_range(name: str, models_dir: Path) -> None:
    eight, ten = stream("yuv420p", 241, 261), stream("yuv420p10le", 241, 261)
    someone = real_mesh(models_dir, (120, 130), 200)
    before = picture_of(eight, SKIN, texture=4)
    fine = tuple(plane.astype(np.uint16) * 4 for plane in before)
    narrow = changes(before, after(eight, before, EFFECTS[name].of(), someone))
    wide = changes(fine, after(ten, fine, EFFECTS[name].of(), someone))
    assert max(np.abs(a / 4 - b).max() for a, b in zip(wide, narrow, strict=True)) <= 1
    full = replace(eight, color=Color("bt709", full_range=True))
    spread = (
        np.rint((before[0] - 16.0) * 255 / 219).astype(np.uint8),
        *(np.rint((plane - 128.0) * 255 / 224 + 128).astype(np.uint8) for plane in before[1:]),
    )
    wide = changes(spread, after(full, spread, EFFECTS[name].of(), someone))
    scales = (219 / 255, 224 / 255, 224 / 255)
    assert max(np.abs(a * s - b).max() for a, b, s in zip(wide, narrow, scales, strict=True)) <= 2


@pytest.mark.parametrize("name", EFFECTS)
def test_frames_shimmer_no_more_than_before(name: str, media: Path, models_dir: Path) -> None:
    format, planes, someone = real_face(media, models_dir, SMILING, 0.6)
    assert someone.landmarks is not None
    generator = np.random.default_rng(5)
    old, new = [], []
    for _ in range(5):
        grain = [generator.normal(0, 1.5, plane.shape) for plane in planes]
        frame = tuple(np.clip(p + g, 0, 255).astype(np.uint8) for p, g in zip(planes, grain, strict=True))
        jitter = generator.normal(0, 0.05, (1, 3)).astype(np.float32)  # what One-Euro leaves
        moved = replace(someone, landmarks=someone.landmarks + jitter)
        old.append(np.stack(frame).astype(np.int64))
        new.append(np.stack(after(format, frame, EFFECTS[name].of(), moved)).astype(np.int64))
    where = np.stack([new[0] != old[0]]).any(axis=0).any(axis=0)
    assert where.sum() > 100
    beyond = [
        np.abs(new[i + 1] - new[i])[:, where].mean() - np.abs(old[i + 1] - old[i])[:, where].mean()
        for i in range(4)
    ]
    assert np.mean(beyond) < 0.25


@pytest.mark.parametrize("name", EFFECTS)
def test_a_face_that_grows_onto_the_next_grid_does_not_pop(name: str, models_dir: Path) -> None:
    effect = EFFECTS[name]
    largest = 2 * getattr(effect, "squares", 64)  # the face grid has 64
    format = stream("yuv444p", round(1.3 * largest), round(1.35 * largest))
    before, done = picture_of(format, SKIN), []
    for grown in (0.9999, 1.0001):
        someone = real_mesh(models_dir, (0.62 * largest, 0.68 * largest), largest * grown)
        done.append(changes(before, after(format, before, effect.of(strength=1.0), someone)))
    apart = [np.abs(a - b) for a, b in zip(*done, strict=True)]
    size = [np.abs(plane).sum() for plane in done[0]]
    assert sum(plane.sum() for plane in apart) < 0.12 * sum(size)


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("pixels", ["yuv420p", "nv12", "yuv411p", "interlaced", "yuv422p10le", "gray"])
def test_a_face_across_the_edge_of_the_picture_is_painted_as_far_as_it_is_there(
    name: str, pixels: str, models_dir: Path
) -> None:
    format = stream(pixels)
    before = picture_of(format, SKIN, texture=3)
    for centre in ((5, 5), (158, 118), (80, -30), (-300, 60), (161, 60), (80, 122), (2, 60)):
        someone = real_mesh(models_dir, centre, 100)
        moved = changes(before, after(format, before, EFFECTS[name].of(strength=1.0), someone))[0] != 0
        assert not moved[~allowed(format, Mesh(someone), name)].any()
    assert not changes(before, after(format, before, EFFECTS[name].of(), real_mesh(models_dir, (80, 60), 8)))[
        0
    ].any()


@pytest.mark.parametrize("name", EFFECTS)
def test_a_face_over_the_whole_picture_and_many_that_overlap_are_painted(name: str, models_dir: Path) -> None:
    format = stream("yuv420p", 641, 481)
    before, effect = picture_of(format, SKIN, texture=3), EFFECTS[name]
    large = real_mesh(models_dir, (320, 240), 900)
    assert total(before, after(format, before, effect.of(strength=1.0), large)) > 0
    one = real_mesh(models_dir, (60, 60), 80)
    many = [moved_by(one, 70 * (i % 7), 45 * (i // 7), track_id=i + 1) for i in range(30)]
    done = changes(before, after(format, before, effect.of(strength=1.0), *many))[0]
    for each in many:
        assert (done[allowed(format, Mesh(each), name)] != 0).any()


def test_fields_of_an_interlaced_picture_are_never_mixed(models_dir: Path) -> None:
    format, someone = stream("interlaced", 241, 264), real_mesh(models_dir, (120, 130), 200)
    before = picture_of(format, SKIN, texture=4)
    other = tuple(plane.copy() for plane in before)
    other[0][1::2] += (np.arange(241) // 12 % 2 * 20).astype(np.uint8)
    for plane in other[1:]:
        plane[1::2] += 3
    for name, effect in EFFECTS.items():
        one, two = (after(format, planes, effect.of(strength=1.0), someone) for planes in (before, other))
        # Only what tells skin and hair looks at both: it may differ by a little.
        slack = {"blush": 1, "contour": 1, "brows": 12}.get(name, 0)
        for first, second in zip(one, two, strict=True):
            assert np.abs(first[::2].astype(int) - second[::2]).max() <= slack, name
            assert (first[1::2] != second[1::2]).any()


@pytest.mark.parametrize("name", EFFECTS)
def test_the_same_frame_gives_the_same_bytes_whatever_came_before(name: str, models_dir: Path) -> None:
    format = stream("nv12")
    first = real_mesh(models_dir, (80, 60), 100)
    second = moved_by(first, -12, 5, track_id=2)
    chain = EffectChain([EFFECTS[name].of()], format)
    pictures = [picture_of(format, SKIN, 4, seed) for seed in (1, 2)]
    fresh = painted(EffectChain([EFFECTS[name].of()], format), pictures[1], [first])[0]
    painted(chain, pictures[0], [second, first])
    again = painted(chain, pictures[1], [replace(first, pts=9)])[0]
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))


def test_a_patch_that_other_effects_have_widened_is_left_alone_around_it(models_dir: Path) -> None:
    format, someone = stream("yuv420p", 401, 431), real_mesh(models_dir, (200, 215), 300)
    before = picture_of(format, SKIN, texture=4)
    for name, effect in EFFECTS.items():
        wide = Patch.cut(format, 0, before, (2, 6, 400, 430))  # off the squares of the grid
        assert wide is not None
        one = effect.of()
        one.prepare(format, b"")
        one.apply(wide, someone)
        done = after(format, before, effect.of(), someone)
        assert np.array_equal(wide.planes[0], done[0][6:430, 2:400]), name
