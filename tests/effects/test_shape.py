"""What another shape must never do: move the wall behind, fold over, mix fields, leave landmarks behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from effect_makers import NAMES, channels, mesh_face, noise, painted, real_face, stream
from numpy.typing import NDArray

from facefx.effects import warp
from facefx.effects.chain import EffectChain
from facefx.effects.library.shape import Shape, ShapeParams
from facefx.effects.masks import Mesh
from facefx.errors import EffectError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology
from facefx.values import Face, FieldOrder, Patch, Planes, StreamFormat

FORMATS = (*NAMES, "interlaced")
STILLS = ("portrait_1.jpg", "glasses_1.jpg", "couple_2.jpg", "hopper_1.jpg")
SLIDERS = tuple(ShapeParams.model_fields)
ONE_WAY = ("slim", "v_shape")
BOTH_ENDS = [(name, end) for name in SLIDERS for end in (1.0, -1.0) if end > 0 or name not in ONE_WAY]
EVERYTHING = dict.fromkeys(SLIDERS, 1.0)

# Named points of a head in face diameters from the middle between its ears: left, down, back.
_POINTS = {
    "forehead": (0, -0.44, -0.41),
    "nose_tip": (0, 0.03, -0.64),
    "nose_base": (0, 0.11, -0.53),
    "lip_top": (0, 0.18, -0.52),
    "lip_bottom": (0, 0.34, -0.49),
    "chin": (0, 0.55, -0.41),
    "eye_outer": (0.28, -0.14, -0.33),
    "eye_inner": (0.11, -0.14, -0.36),
    "mouth_corner": (0.22, 0.21, -0.37),
    "nose_wing": (0.15, 0.05, -0.45),
    "cheek": (0.275, 0.075, -0.42),
    "cheekbone": (0.40, -0.04, -0.26),
    "ear": (0.43, 0, 0),
    "jaw": (0.356, 0.34, -0.14),
    "jaw_front": (0.256, 0.44, -0.265),
}


def head(centre: tuple[float, float], size: float, yaw: float = 0, pitch: float = 0, roll: float = 0) -> Face:
    """A face whose named points and oval are a head's; angles in degrees."""
    someone = mesh_face((0.0, 0.0), 1.0)
    assert someone.landmarks is not None
    points = someone.landmarks.copy()
    loop = list(topology("mediapipe-468").regions["face_oval"])
    angles = np.arange(len(loop)) * (2 * np.pi / len(loop)) - np.pi / 2
    points[loop, 0], points[loop, 1] = 0.43 * np.cos(angles), 0.055 + 0.495 * np.sin(angles)
    points[loop, 2] = -0.41 * np.sin(angles) ** 2
    for name, index in anchors("mediapipe-468").items():
        x, y, z = _POINTS.get(name.removeprefix("left_").removeprefix("right_"), points[index])
        points[index] = (-x if name.startswith("right_") and name[6:] in _POINTS else x, y, z)
    points = points @ _turned(yaw, pitch, roll).T.astype(np.float32) * size + (*centre, 0)
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0).tolist(), points[:, :2].max(axis=0).tolist()
    return replace(someone, xyxy=(x0, y0, x1, y1), landmarks=points.astype(np.float32))


def _turned(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    (cy, sy), (cp, sp), (cr, sr) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in (yaw, pitch, roll)
    )
    by_yaw = np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy)))
    by_pitch = np.array(((1, 0, 0), (0, cp, -sp), (0, sp, cp)))
    return np.array(((cr, -sr, 0), (sr, cr, 0), (0, 0, 1))) @ by_pitch @ by_yaw


HEADS = (
    head((100, 100), 100),
    head((100, 100), 100, yaw=40, roll=-20),
    head((100, 100), 100, yaw=-85),
    head((100, 100), 100, pitch=30, roll=170),
)


def after(format: StreamFormat, planes: Planes, *faces: Face, **sliders: float) -> Planes:
    chain = EffectChain([Shape.of(**sliders)], format)
    done, _ = painted(chain, planes, faces)
    assert not chain.stats.skipped, chain.stats.first
    return done


def field_of(face: Face, **sliders: float) -> warp.Field:
    field = Shape.of(**sliders)._field(face)
    assert field is not None
    return field


def point(face: Face, name: str) -> NDArray[np.float64]:
    return np.array(Mesh(face).point(name))


def oval_distance(face: Face, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far places lie from the oval; less than 0 within."""
    oval = np.ascontiguousarray(Mesh(face).outline("face_oval"))
    return -np.array(
        [cv2.pointPolygonTest(oval, (float(a), float(b)), True) for a, b in zip(x, y, strict=True)]
    )


def everywhere(field: warp.Field, across: int = 90) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places all over a field and around it."""
    x0, y0, x1, y1 = field.bounds
    x, y = np.meshgrid(np.linspace(x0 - 9, x1 + 9, across), np.linspace(y0 - 9, y1 + 9, across))
    return x.ravel().astype(np.float32), y.ravel().astype(np.float32)


def determinants(field: warp.Field, across: int = 90) -> NDArray[np.float32]:
    """What becomes of small areas: below 0 they are folded over."""
    (a, b), (c, d) = field.slopes(*everywhere(field, across))
    return np.asarray((1 + a) * (1 + d) - b * c)


def smooth_picture(format: StreamFormat) -> Planes:
    """Gentle waves, the same pattern in every format and depth."""
    planes = []
    for i, plane in enumerate(noise(format, 0)):
        rows, columns = plane.shape[:2]
        step_x, step_y = (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if i else (1, 1)
        x = np.arange(columns) * step_x + 0.5
        y = np.arange(rows)[:, None] * step_y + step_y / 2
        wave = 120 + 50 * np.sin(x / 9) * np.cos(y / 11) + 20 * np.sin((x + y) / 17)
        wave = wave * (1 << (format.pixels.depth - 8))
        planes.append(np.rint(wave if plane.ndim == 2 else wave[..., None] + (0, 9)).astype(plane.dtype))
    return tuple(planes)


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


@pytest.mark.parametrize(("slider", "end"), BOTH_ENDS)
def test_nothing_moves_further_than_a_quarter_face_width_from_the_oval(
    media: Path, models_dir: Path, slider: str, end: float
) -> None:
    for still in STILLS:
        _, _, someone = real_face(media, models_dir, still)
        field = field_of(someone, **{slider: end})
        assert someone.landmarks is not None
        ears = [someone.landmarks[anchors(someone.topology)[f"{side}_ear"]] for side in ("left", "right")]
        x, y = everywhere(field)
        far = oval_distance(someone, x, y) > 0.25 * float(np.linalg.norm(ears[0] - ears[1]))
        assert far.any() or slider not in ("slim", "chin", "forehead")
        assert not field.at(x[far], y[far]).any(), still


def test_a_line_beside_the_head_stays_straight() -> None:
    format = stream("gray", 300, 300)
    someone = head((150, 140), 160)
    columns = np.zeros(300, bool)
    columns[[150 - int(160 * 0.645), 150 + int(160 * 0.645)]] = True
    planes = (np.where(columns, 235, 60).astype(np.uint8)[None].repeat(300, axis=0),)
    for ends in (EVERYTHING, {**dict.fromkeys(SLIDERS, -1.0), "slim": 1.0, "v_shape": 1.0}):
        assert np.array_equal(after(format, planes, someone, **ends)[0], planes[0])


@pytest.mark.parametrize(("slider", "end"), BOTH_ENDS)
def test_no_slider_alone_is_held_back_or_folds_over(slider: str, end: float) -> None:
    for someone in HEADS[:2]:
        full, half = field_of(someone, **{slider: end}), field_of(someone, **{slider: end / 2})
        assert np.allclose(full.push, 2 * half.push)
    for someone in HEADS:
        assert determinants(field_of(someone, **{slider: end})).min() > 0.2


def test_no_sum_of_sliders_folds_over(media: Path, models_dir: Path) -> None:
    generator = np.random.default_rng(7)
    faces = [*HEADS, *(real_face(media, models_dir, still, 0.5)[2] for still in STILLS)]
    held = 0
    for _ in range(60):
        ends = dict(zip(SLIDERS, generator.choice((-1.0, 0.0, 1.0), len(SLIDERS)).tolist(), strict=True))
        ends |= {name: abs(ends[name]) for name in ONE_WAY}
        if not any(ends.values()):
            continue
        someone = faces[int(generator.integers(len(faces)))]
        field = field_of(someone, **ends)
        assert determinants(field).min() > 0.1
        assert field.steepness(*everywhere(field)) < 0.9
        held += field.steepness(*everywhere(field)) > 0.7
    assert held > 5  # some of them would have been too steep


def test_the_slopes_are_those_of_the_displacement() -> None:
    field = field_of(HEADS[1], **EVERYTHING)
    x, y = everywhere(field, 60)
    step = np.float32(0.25)
    by_x = (field.at(x + step, y) - field.at(x - step, y)) / (2 * step)
    by_y = (field.at(x, y + step) - field.at(x, y - step)) / (2 * step)
    assert np.allclose(field.slopes(x, y), np.stack((by_x, by_y), axis=1), atol=0.02)


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


@pytest.mark.parametrize("name", ["yuv444p", "yuv420p", "nv12", "yuv422p10le", "yuv411p", "interlaced"])
def test_landmarks_move_to_where_the_pixels_do(name: str) -> None:
    format = stream(name, 420, 420)
    someone = head((207.3, 196.8), 230, yaw=15, roll=10)
    ends = {"slim": 0.7, "chin": 0.8, "eye_size": 1.0, "nose_width": -0.8, "smile": 0.8, "forehead": 0.6}
    moved = Shape.of(**ends).moved(someone)
    for name in ("chin", "left_jaw", "left_eye_outer", "right_mouth_corner", "right_nose_wing", "forehead"):
        old, new = point(someone, name), point(moved, name)
        done = channels(after(format, spot(format, old), someone, **ends))
        assert float(np.linalg.norm(new - old)) > 2
        for i, plane in enumerate(done):
            # Chroma that is thinned out has wider, and fewer, samples to find the middle of a spot from.
            assert np.allclose(spot_middle(format, plane, i, near=new), new, atol=0.6 if i else 0.3), name
    assert moved.landmarks is not None
    assert someone.landmarks is not None
    assert np.array_equal(moved.landmarks[:, 2], someone.landmarks[:, 2])


def sites(format: StreamFormat, plane: int, shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where a plane's samples lie: chroma at its first luma column, between its luma lines."""
    step_x, step_y = (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if plane else (1, 1)
    rows = np.arange(shape[0])
    if plane and format.field_order and step_y == 2:
        # Chroma of one field lies between two lines of it.
        return np.arange(shape[1]) * step_x + 0.5, (rows // 2 * 4 + rows % 2 + 1.5)[:, None]
    return np.arange(shape[1]) * step_x + 0.5, (rows * step_y + step_y / 2)[:, None]


def spot(format: StreamFormat, middle: NDArray[np.float64]) -> Planes:
    """A soft bright spot on gray, in luma and chroma at the same place."""
    planes = []
    for i, plane in enumerate(noise(format, 0)):
        x, y = sites(format, i, plane.shape)
        bump = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * 3.0**2))
        codes = (60 + 100 * bump) * (1 << (format.pixels.depth - 8))
        planes.append(np.rint(codes if plane.ndim == 2 else codes[..., None] + (0, 0)).astype(plane.dtype))
    return tuple(planes)


def spot_middle(
    format: StreamFormat, plane: NDArray[Any], i: int, near: NDArray[np.float64]
) -> NDArray[np.float64]:
    x, y = sites(format, i, plane.shape)
    weight = np.clip(plane / (1 << (format.pixels.depth - 8)) - 90.0, 0, None)
    weight *= (np.abs(x - near[0]) < 12) & (np.abs(y - near[1]) < 12)
    return np.array(((weight * x).sum(), (weight * y).sum())) / weight.sum()


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


@pytest.mark.parametrize("order", [FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "nv12", "gray"])
def test_fields_never_mix(name: str, order: FieldOrder) -> None:
    format = stream(name, 261, 221, field_order=order)
    planes = noise(format, 1)
    for plane in planes:
        plane[::2], plane[1::2] = 40, 200
    done = after(format, planes, head((130, 100), 110, roll=25), **EVERYTHING)
    assert all(np.array_equal(a, b) for a, b in zip(done, planes, strict=True))


def test_an_interlaced_face_is_moved_as_far_as_a_progressive_one() -> None:
    planes = smooth_picture(stream("yuv422p", 320, 300))
    someone = head((160, 140), 150, roll=-15)
    once, twice = (
        after(stream("yuv422p", 320, 300, field_order=order), planes, someone, **EVERYTHING)
        for order in (FieldOrder.PROGRESSIVE, FieldOrder.TOP_FIRST)
    )
    for a, b, before in zip(once, twice, planes, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 3
        assert np.abs(a.astype(int) - before).max() > 20


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


def test_a_turned_picture_is_moved_the_turned_way() -> None:
    x, y = everywhere(field_of(HEADS[1], **EVERYTHING))
    upright = field_of(HEADS[1], **EVERYTHING).at(x, y)
    for turn in (90, 180, 33):
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        about = np.array(((cos, -sin), (sin, cos)))
        assert HEADS[1].landmarks is not None
        points = HEADS[1].landmarks.copy()
        points[:, :2] = (points[:, :2] - 100) @ about.T.astype(np.float32) + 100
        field = field_of(replace(HEADS[1], landmarks=points), **EVERYTHING)
        places = (about @ (np.stack((x, y)) - 100) + 100).astype(np.float32)
        assert np.allclose(field.at(*places), about @ upright, atol=0.02)


def test_both_halves_of_a_face_are_moved_alike() -> None:
    field = field_of(HEADS[0], **EVERYTHING)
    x, y = everywhere(field)
    there = field.at(x, y)
    assert np.allclose(field.at(200 - x, y), there * [[-1], [1]], atol=0.01)


@pytest.mark.parametrize("gaze", [0.0, 0.03])
@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_eyes_stay_round(gaze: float, end: float) -> None:
    someone = head((200, 200), 200)
    assert someone.landmarks is not None
    middle = (point(someone, "left_eye_inner") + point(someone, "left_eye_outer")) / 2
    angles = np.arange(0, 2 * np.pi, 0.05)
    iris = np.stack((np.cos(angles), np.sin(angles))) * 0.045 * 200 + middle[:, None] + [[gaze * 200], [0]]
    points = np.zeros((468, 3), np.float32)
    points[: len(angles), :2] = iris.T
    field = field_of(someone, eye_size=end)
    moved = warp.moved_face(field, replace(someone, landmarks=points)).landmarks
    assert moved is not None
    _, (short, long), _ = cv2.fitEllipse(np.ascontiguousarray(moved[: len(angles), :2]))
    assert min(short, long) / max(short, long) > 0.98 - 3 * gaze
    assert (short + long) / (4 * 0.045 * 200) == pytest.approx(1.3 if end > 0 else 0.8, abs=0.08)


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


def test_a_trembling_mesh_moves_pixels_by_less_than_it_trembles(media: Path, models_dir: Path) -> None:
    _, _, someone = real_face(media, models_dir, "portrait_1.jpg")
    assert someone.landmarks is not None
    generator = np.random.default_rng(2)
    ends = dict.fromkeys(SLIDERS, 0.5)
    x, y = everywhere(field_of(someone, **ends))
    steady = field_of(someone, **ends).at(x, y)
    for _ in range(10):
        tremble = generator.normal(0, 0.5, someone.landmarks.shape).astype(np.float32)
        trembling = field_of(replace(someone, landmarks=someone.landmarks + tremble), **ends)
        assert np.hypot(*(trembling.at(x, y) - steady)).max() < 0.75


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


@pytest.mark.parametrize("size", [40, 110, 225, 460])
def test_pixels_are_moved_as_the_field_says(size: float) -> None:
    field = field_of(head((size, size), size, yaw=20), **EVERYTHING)
    x0, y0, x1, y1 = (int(edge) for edge in field.bounds)
    places = warp._places_to_look(field, (y1 - y0, x1 - x0), (x0 + 0.5, y0 + 0.5), (1, 1))
    y, x = (part.astype(np.float32) for part in np.mgrid[: y1 - y0, : x1 - x0])
    by_x, by_y = field.at(x.ravel() + (x0 + 0.5), y.ravel() + (y0 + 0.5)).reshape(2, *x.shape)
    error = np.abs(places - np.dstack((x + by_x, y + by_y))).max()
    assert error < max(0.0012 * size, 0.05)
