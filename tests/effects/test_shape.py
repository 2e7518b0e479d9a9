"""What another shape must never do: change what it does not name, jump, shimmer, or depend on the format."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from effect_makers import NAMES, channels, noise, painted, real_face, stream
from shape_makers import (
    EVERYTHING,
    HEADS,
    ONE_WAY,
    SLIDERS,
    after,
    field_of,
    head,
    point,
    sites,
    smooth_picture,
)

from facefx.effects.chain import EffectChain
from facefx.effects.library.shape import Shape
from facefx.effects.masks import Mesh
from facefx.errors import EffectError
from facefx.values import Face, Patch

FORMATS = (*NAMES, "interlaced")


@pytest.mark.parametrize("name", FORMATS)
def test_all_sliders_at_0_mean_no_work_and_the_same_bits(name: str) -> None:
    format, someone, effect = stream(name), head((80, 60), 80), Shape.of()
    assert EffectChain([effect], format).frame(0, noise(format, 1), [someone]) == []
    assert effect.region(replace(someone, landmarks=None)) is None  # it does not even look at the mesh
    assert effect.moved(someone) is someone
    patch = Patch.cut(format, 0, noise(format, 1), (0, 0, 161, 121))
    assert patch is not None
    effect.apply(patch, someone)
    assert not patch.changed(noise(format, 1))


@pytest.mark.parametrize("slider", SLIDERS)
def test_bounds_are_checked_and_nothing_is_a_number(slider: str) -> None:
    for value in (1.01, -0.01 if slider in ONE_WAY else -1.01, math.nan):
        with pytest.raises(ValueError, match=slider):
            Shape.of(**{slider: value})


def test_a_face_without_a_mesh_is_left_alone_and_counted() -> None:
    format = stream()
    chain = EffectChain([Shape.of(slim=1)], format)
    assert chain.frame(0, noise(format, 1), [replace(HEADS[0], landmarks=None)]) == []
    assert chain.stats.skipped == {"shape: no landmarks": 1}
    with pytest.raises(EffectError, match="landmarks"):
        Shape.of(slim=1).region(replace(HEADS[0], landmarks=None))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_not_moved_keeps_its_bits_and_legal_codes_stay_legal(name: str) -> None:
    format = stream(name, 261, 221)
    before, someone = noise(format, 3), head((130.3, 100.6), 80, roll=8)
    done = after(format, before, someone, **EVERYTHING)
    field = field_of(someone, **EVERYTHING)
    for i, (old, new) in enumerate(zip(channels(before), channels(done), strict=True)):
        x, y = (np.broadcast_to(part, old.shape).astype(np.float32) for part in sites(format, i, old.shape))
        far = np.hypot(*field.at(x.ravel(), y.ravel())).reshape(old.shape)
        # The rim of the field is as sharp as its nodes are close.
        near = cv2.dilate((far > 0).astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
        assert np.array_equal(old[~near], new[~near])
        assert (old != new)[far > 0.3].mean() > 0.9
        low, high = format.color.chroma_range if i else format.color.luma_range
        assert new.min() >= low
        assert new.max() <= high


def test_a_line_beside_the_head_stays_straight() -> None:
    format = stream("gray", 300, 300)
    someone = head((150, 140), 160)
    columns = np.zeros(300, bool)
    columns[[150 - int(160 * 0.645), 150 + int(160 * 0.645)]] = True
    planes = (np.where(columns, 235, 60).astype(np.uint8)[None].repeat(300, axis=0),)
    for ends in (EVERYTHING, {**dict.fromkeys(SLIDERS, -1.0), "slim": 1.0, "v_shape": 1.0}):
        assert np.array_equal(after(format, planes, someone, **ends)[0], planes[0])


def span(face: Face, a: str, b: str) -> float:
    return float(np.linalg.norm(point(face, a) - point(face, b)))


def tilt(face: Face) -> float:
    """How much higher than the inner corners of the eyes the outer ones are."""
    return sum(
        float(point(face, f"{side}_eye_inner")[1] - point(face, f"{side}_eye_outer")[1])
        for side in ("left", "right")
    )


def corners_up(face: Face) -> float:
    """How much higher than the middle of the lips the corners of the mouth are."""
    middle = (point(face, "lip_top") + point(face, "lip_bottom")) / 2
    return sum(float(middle[1] - point(face, f"{side}_mouth_corner")[1]) for side in ("left", "right"))


# What each slider is for, so that it grows with the slider; and by how many diameters at 0.5, at least.
MEASURES: Mapping[str, tuple[Callable[[Face], float], float]] = {
    "slim": (lambda face: -span(face, "left_jaw", "right_jaw"), 0.02),
    "v_shape": (lambda face: -span(face, "left_jaw_front", "right_jaw_front"), 0.02),
    "chin": (lambda face: span(face, "lip_bottom", "chin"), 0.015),
    "jaw": (lambda face: span(face, "left_jaw", "right_jaw"), 0.03),
    "cheekbones": (lambda face: span(face, "left_cheekbone", "right_cheekbone"), 0.025),
    "forehead": (lambda face: span(face, "forehead", "nose_tip"), 0.015),
    "nose_width": (lambda face: span(face, "left_nose_wing", "right_nose_wing"), 0.015),
    "nose_length": (lambda face: point(face, "nose_tip")[1] - point(face, "left_eye_inner")[1], 0.012),
    "eye_size": (lambda face: span(face, "left_eye_inner", "left_eye_outer"), 0.012),
    "eye_distance": (lambda face: span(face, "left_eye_inner", "right_eye_inner"), 0.02),
    "eye_angle": (tilt, 0.015),
    "mouth_size": (lambda face: span(face, "left_mouth_corner", "right_mouth_corner"), 0.025),
    "smile": (corners_up, 0.03),
}


@pytest.mark.parametrize("slider", SLIDERS)
def test_each_slider_does_what_it_says_and_more_of_it_the_further_it_is_moved(slider: str) -> None:
    size = 200.0
    someone = head((200, 200), size)
    measure, least = MEASURES[slider]
    values = [value for value in (-1.0, -0.5, 0.0, 0.5, 1.0) if value >= 0 or slider not in ONE_WAY]
    found = [measure(Shape.of(**{slider: value}).moved(someone)) for value in values]
    assert all(b > a for a, b in pairwise(found))
    assert found[values.index(0.5)] - found[values.index(0.0)] > least * size


@pytest.mark.parametrize("slider", SLIDERS)
def test_half_a_slider_changes_a_real_face_and_a_whole_one_changes_more(
    media: Path, models_dir: Path, slider: str
) -> None:
    format, before, someone = real_face(media, models_dir, "portrait_1.jpg", 0.5)
    half, whole = (
        np.abs(after(format, before, someone, **{slider: value})[0].astype(int) - before[0]).sum()
        for value in (0.5, 1.0)
    )
    area = (someone.xyxy[2] - someone.xyxy[0]) * (someone.xyxy[3] - someone.xyxy[1])
    assert half > 0.3 * area
    assert whole > 1.2 * half


def test_what_comes_later_in_a_chain_finds_the_face_moved_and_its_box_holds_both_places() -> None:
    format = stream("yuv444p", 300, 300)
    someone = head((150, 140), 120)
    seen: list[Face] = []

    class Look(Shape):
        name = "look"

        def apply(self, patch: Patch, face: Face) -> None:
            seen.append(face)

    EffectChain([Shape.of(chin=1.0), Look.of(slim=0.1)], format).frame(0, noise(format, 1), [someone])
    moved = Shape.of(chin=1.0).moved(someone)
    assert seen[0].landmarks is not None
    assert moved.landmarks is not None
    assert np.array_equal(seen[0].landmarks, moved.landmarks)
    assert moved.xyxy[3] == pytest.approx(someone.xyxy[3] + 0.045 * 120, abs=1.5)
    assert Shape.of(chin=-1.0).moved(someone).xyxy[3] < someone.xyxy[3] - 0.03 * 120
    assert seen[0].xyxy[:3] == pytest.approx(someone.xyxy[:3], abs=0.5)


@pytest.mark.parametrize(
    ("name", "other", "unit"),
    [("nv12", "yuv420p", 1), ("yuv420p10le", "yuv420p", 4), ("yuvj420p", "yuv420p", 1)],
)
def test_layout_depth_and_range_do_not_matter(name: str, other: str, unit: int) -> None:
    someone = head((130, 100), 110)
    format, twin = stream(name, 261, 221), stream(other, 261, 221)
    planes = [np.array(plane) for plane in channels(smooth_picture(format))]
    plain = tuple(np.rint(plane / unit).astype(np.uint8) for plane in planes)
    done = channels(after(format, smooth_picture(format), someone, **EVERYTHING))
    for a, b in zip(done, after(twin, plain, someone, **EVERYTHING), strict=True):
        assert np.abs(a / unit - b).max() <= 1.01


def test_it_looks_the_same_at_any_resolution(media: Path, models_dir: Path) -> None:
    ends = {"slim": 0.6, "eye_size": 0.6, "nose_length": -0.6, "smile": 0.5}
    format, before, someone = real_face(media, models_dir, "portrait_1.jpg", 1.0)
    large = after(format, before, someone, **ends)[0]
    format, small_before, someone = real_face(media, models_dir, "portrait_1.jpg", 0.5)
    small = after(format, small_before, someone, **ends)[0]
    shrunk = cv2.resize(large, small.shape[::-1], interpolation=cv2.INTER_AREA)
    # Blurred, for a picture of half the size is resampled half as finely.
    shrunk, small, start = (
        cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 1.5) for luma in (shrunk, small, small_before[0])
    )
    assert np.abs(shrunk - small).mean() < 0.2 * np.abs(small - start).mean()


def test_a_face_that_grows_is_moved_without_a_jump() -> None:
    format = stream("gray", 420, 420)
    planes = smooth_picture(format)
    # Across the size at which the nodes of a field lie twice as far apart.
    sizes = np.arange(222, 236, 0.5)
    frames = [after(format, planes, head((210, 195), size), **EVERYTHING)[0].astype(int) for size in sizes]
    steps = [float(np.abs(b - a).max()) for a, b in pairwise(frames)]
    assert max(steps) <= 1.6 * float(np.median(steps)) + 1


def test_frames_of_a_still_face_shimmer_no_more_than_before(media: Path, models_dir: Path) -> None:
    format, planes, someone = real_face(media, models_dir, "portrait_1.jpg", 0.8)
    assert someone.landmarks is not None
    generator, size = np.random.default_rng(5), Mesh(someone).size
    old, new = [], []
    for _ in range(6):
        noisy = np.clip(np.rint(planes[0] + generator.normal(0, 1.5, planes[0].shape)), 0, 255).astype(
            np.uint8
        )
        tremble = generator.normal(0, 0.0005 * size, someone.landmarks.shape).astype(np.float32)
        trembling = replace(someone, landmarks=someone.landmarks + tremble)
        old.append(noisy.astype(int))
        new.append(
            after(format, (noisy, *planes[1:]), trembling, **dict.fromkeys(SLIDERS, 0.5))[0].astype(int)
        )
    touched = np.any([a != b for a, b in zip(old, new, strict=True)], axis=0)
    before, done = (
        np.mean([np.abs(b - a)[touched].mean() for a, b in pairwise(frames)]) for frames in (old, new)
    )
    assert done - before < 0.5


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv444p10le", "interlaced", "gray"])
@pytest.mark.parametrize(
    ("centre", "size"),
    [
        ((2, 60), 100),
        ((160, 60), 100),
        ((80, 0), 100),
        ((80, 120), 100),
        ((80, 60), 900),
        ((80, 60), 9),
        ((80, 60), 4),
        ((80, 60), 0),
        ((-500, 60), 90),
    ],
)
def test_any_size_and_place(name: str, centre: tuple[float, float], size: float) -> None:
    format = stream(name)
    done = after(format, noise(format, 2), head(centre, size), **EVERYTHING)
    for i, plane in enumerate(channels(done)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        assert plane.min() >= low
        assert plane.max() <= high


def test_faces_that_overlap_are_moved_one_after_the_other() -> None:
    format = stream("yuv420p", 261, 221)
    before = noise(format, 4)
    faces = [head((60.0 + 9 * i, 90), 70) for i in range(15)]
    at_once = after(format, before, *faces, slim=1.0)
    one_by_one = before
    for someone in faces:
        one_by_one = after(format, one_by_one, someone, slim=1.0)
    assert all(np.array_equal(a, b) for a, b in zip(at_once, one_by_one, strict=True))


def test_the_same_frame_gives_the_same_bytes_whatever_came_before() -> None:
    format = stream("nv12", 261, 221)
    first, second = head((130, 100), 100), head((120, 90), 80, yaw=30)
    chain = EffectChain([Shape.of(**EVERYTHING)], format)
    fresh = after(format, noise(format, 2), first, **EVERYTHING)
    painted(chain, noise(format, 1), [second, first])
    again = painted(chain, noise(format, 2), [replace(first, pts=9)])[0]
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))
