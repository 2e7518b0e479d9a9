"""What a warp must never do: move the wall behind, fold over, mix fields, leave landmarks behind."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from effect_makers import channels, noise, real_face, stream
from numpy.typing import NDArray
from shape_makers import (
    BOTH_ENDS,
    EVERYTHING,
    HEADS,
    ONE_WAY,
    SLIDERS,
    STILLS,
    after,
    determinants,
    everywhere,
    field_of,
    head,
    oval_distance,
    point,
    sites,
    smooth_picture,
)

from facefx.effects import warp
from facefx.effects.library.shape import Shape
from facefx.faces.anchors import anchors
from facefx.values import FieldOrder, Planes, StreamFormat


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
    total = weight.sum()
    return np.array(((weight * x).sum() / total, (weight * y).sum() / total))


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


@pytest.mark.parametrize("size", [40, 110, 225, 460])
def test_pixels_are_moved_as_the_field_says(size: float) -> None:
    field = field_of(head((size, size), size, yaw=20), **EVERYTHING)
    x0, y0, x1, y1 = (int(edge) for edge in field.bounds)
    places = warp._places_to_look(field, (y1 - y0, x1 - x0), (x0 + 0.5, y0 + 0.5), (1, 1))
    y, x = (part.astype(np.float32) for part in np.mgrid[: y1 - y0, : x1 - x0])
    by_x, by_y = field.at(x.ravel() + (x0 + 0.5), y.ravel() + (y0 + 0.5)).reshape(2, *x.shape)
    error = np.abs(places - np.dstack((x + by_x, y + by_y))).max()
    assert error < max(0.0012 * size, 0.05)


def test_the_far_cheek_of_a_turned_head_does_not_dent_its_mouth_and_nose() -> None:
    size = 200.0
    for yaw, near in ((50.0, "left"), (-50.0, "right")):
        someone = head((200, 200), size, yaw=yaw)
        moved = Shape.of(slim=1.0, v_shape=1.0).moved(someone)
        far = "right" if near == "left" else "left"
        for name in ("nose_tip", f"{far}_mouth_corner", f"{far}_eye_outer"):
            assert float(np.linalg.norm(point(moved, name) - point(someone, name))) < 0.01 * size, name
        jaw = point(moved, f"{near}_jaw") - point(someone, f"{near}_jaw")
        assert float(np.linalg.norm(jaw)) > 0.02 * size


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le", "yuv444p10le", "interlaced 10 bit"])
def test_chroma_is_moved_from_where_its_samples_lie(name: str) -> None:
    order = FieldOrder.TOP_FIRST if "interlaced" in name else FieldOrder.PROGRESSIVE
    format = stream("yuv420p10le" if order else name, 200, 200, field_order=order)
    someone, ends = head((100, 100), 130, roll=20), {"slim": 1.0, "chin": -1.0, "smile": 1.0, "forehead": 1.0}
    field = field_of(someone, **ends)
    slopes = np.array((2.5, -1.5))
    # A ramp stays exact between samples, so that only a wrong place is wrong.
    lie = [sites(format, i, plane.shape) for i, plane in enumerate(noise(format, 0))]
    planes = tuple(np.rint(400 + slopes[0] * x + slopes[1] * y).astype(np.uint16) for x, y in lie)
    for (x, y), plane in zip(lie, after(format, planes, someone, **ends), strict=True):
        places = [np.broadcast_to(part, plane.shape).ravel().astype(np.float32) for part in (x, y)]
        wanted = 400 + slopes @ (np.stack(places) + field.at(*places))
        assert np.abs(plane.ravel() - wanted).mean() < 0.28
        assert np.abs(plane.ravel() - wanted).max() < 1.3
