"""The texture on the skin: laid out as artists were told, without gaps, and not where there is no skin."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from ar_makers import asset, head, made, shown
from effect_makers import flat, stream, within
from numpy.typing import NDArray

from facefx.effects.masks import Mesh
from facefx.effects.pose import View
from facefx.effects.raster import fill_triangles, signed_areas
from facefx.effects.uv import LAYOUT, face_skin, layout, read_layout
from facefx.effects.uv_build import build_layout, draw_layout, mirror_pairs, portrait_landmarks, write_layout
from facefx.errors import EffectError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "uv-layout.png"
NAMES = anchors("mediapipe-468")


@pytest.fixture(scope="module")
def landmarks() -> NDArray[np.float64]:
    """Our own net's look at the portrait that comes with the package."""
    return portrait_landmarks()


def test_the_layout_is_what_our_own_net_gives(landmarks: NDArray[np.float64], tmp_path: Path) -> None:
    built = build_layout(landmarks)
    assert build_layout(landmarks) == built
    made_again, kept = read_layout(built), layout()
    # Another processor may round the net's last bits otherwise.
    assert np.abs(made_again.shape - kept.shape).max() < 2e-3
    assert np.abs(made_again.uv - kept.uv).max() < 2e-3
    write_layout(tmp_path / "new" / "uv.json", tmp_path / "uv.png")
    assert read_layout((tmp_path / "new" / "uv.json").read_text()).uv == pytest.approx(kept.uv, abs=2e-3)
    assert (tmp_path / "uv.png").stat().st_size > 1000


def test_the_picture_for_artists_shows_the_layout() -> None:
    kept = cv2.imread(str(PICTURE))[..., ::-1].astype(int)
    drawn = draw_layout(layout()).astype(int)
    assert kept.shape == drawn.shape
    assert (np.abs(kept - drawn).max(axis=2) > 64).mean() < 0.002
    other = draw_layout(read_layout(LAYOUT.read_text().replace("0.5,", "0.52,"))).astype(int)
    assert (np.abs(kept - other).max(axis=2) > 64).mean() > 0.002


@pytest.mark.parametrize("text", ["{}", "[", '{"points": [[1, 2]]}', '{"points": "x"}'])
def test_a_layout_that_is_none_is_named(text: str) -> None:
    with pytest.raises(EffectError, match="the layout of the face cannot be read"):
        read_layout(text)


def test_every_triangle_has_its_own_place_in_the_texture() -> None:
    places = layout().uv
    assert places.min() >= 0.0
    assert places.max() <= 1.0
    areas = signed_areas(places, topology("mediapipe-468").triangles.astype(np.intp))
    areas *= np.sign(areas.sum())
    assert (areas > 0).all()  # none is folded over
    size = 512
    count = np.zeros((size, size))
    for triangle in face_skin().triangles:
        alone = fill_triangles(
            layout_points() * size, triangle[None], np.ones((len(layout_points()), 1)), (size, size)
        )
        count += alone[..., 0]
    assert count.max() == 1


def layout_points() -> NDArray[np.float64]:
    return face_skin().uv.astype(np.float64)


def test_both_halves_of_the_face_are_mirror_images(landmarks: NDArray[np.float64]) -> None:
    pairs = mirror_pairs(landmarks)
    assert np.array_equal(pairs[pairs], np.arange(468))
    regions = topology("mediapipe-468").regions
    for name, loop in regions.items():
        other = name.replace("left", "*").replace("right", "left").replace("*", "right")
        assert {int(i) for i in pairs[list(loop)]} == set(regions[other]), name
    for name, point in NAMES.items():
        other = name.replace("left", "*").replace("right", "left").replace("*", "right")
        assert pairs[point] == NAMES[other]
    assert np.abs(layout().shape[pairs] * (-1, 1, 1) - layout().shape).max() < 1e-3
    assert (
        np.abs(layout().uv[pairs, 0] + layout().uv[:, 0] - 1).max() < 0.01
    )  # a few triangles are no mirror images


def test_the_mean_face_is_measured_in_its_diameter() -> None:
    oval = layout().shape[list(topology("mediapipe-468").regions["face_oval"])]
    assert oval.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-3)
    assert 2 * np.sqrt((oval**2).sum() / len(oval)) == pytest.approx(1, abs=1e-3)
    assert layout().shape[NAMES["left_eye_outer"], 0] > 0.2  # the subject's left is the viewer's right
    assert layout().shape[NAMES["nose_tip"], 2] < layout().shape[NAMES["left_ear"], 2]
    assert layout().normals[NAMES["nose_tip"], 2] < -0.8


def test_triangles_that_share_edges_leave_no_gap_and_overlap_nowhere() -> None:
    generator = np.random.default_rng(3)
    rows, columns = np.mgrid[:9, :12]
    points = np.stack((columns * 9.0, rows * 8.0), axis=-1) + generator.uniform(-3, 3, (9, 12, 2))
    points = points.reshape(-1, 2)
    corner = (rows[:-1, :-1] * 12 + columns[:-1, :-1]).ravel()
    triangles = np.concatenate(
        (np.stack((corner, corner + 1, corner + 12), 1), np.stack((corner + 1, corner + 13, corner + 12), 1))
    )
    ones, total = np.ones((len(points), 1)), np.zeros((64, 99))
    for triangle in triangles:
        total += fill_triangles(points, triangle[None], ones, (99, 64))[..., 0]
    assert total.max() == 1
    assert (total[6:58, 6:90] == 1).all()
    # What is linear stays so.
    values = np.stack((points[:, 0] * 0.5 + points[:, 1] - 3, np.ones(len(points))), axis=1)
    filled = fill_triangles(points, triangles, values, (99, 64))
    y, x = np.mgrid[:64, :99]
    inside = filled[..., 1] > 0
    assert np.abs(filled[..., 0] - (x * 0.5 + y - 3))[inside].max() < 1e-3


def test_a_later_triangle_covers_an_earlier_one_and_the_grid_cuts_both() -> None:
    points = np.array(((-50.0, -50.0), (80.0, -20.0), (0.0, 90.0), (5.0, 5.0), (25.0, 6.0), (10.0, 25.0)))
    triangles = np.array(((0, 1, 2), (3, 4, 5)))
    values = np.array(((1.0,),) * 3 + ((2.0,),) * 3)
    filled = fill_triangles(points, triangles, values, (20, 20))[..., 0]
    assert set(np.unique(filled)) <= {0.0, 1.0, 2.0}
    assert filled[10, 12] == 2
    assert filled[2, 2] == 1
    assert fill_triangles(points, triangles[::-1], values, (20, 20))[10, 12, 0] == 1
    assert not fill_triangles(points + 1000, triangles, values, (20, 20)).any()
    assert fill_triangles(points, triangles[:0], values, (20, 20)).shape == (20, 20, 1)


def test_a_sample_belongs_to_the_triangle_that_its_middle_lies_in() -> None:
    corners = np.array(((3.2, 2.7), (28.4, 9.1), (9.9, 26.6)))
    filled = fill_triangles(corners, np.array(((0, 1, 2),)), np.ones((3, 1)), (32, 30))[..., 0] > 0
    y, x = np.mgrid[:30, :32]
    inside = np.ones((30, 32), bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0
    assert np.array_equal(filled, inside)


def test_what_is_nearer_is_drawn_over_what_is_behind() -> None:
    format = stream("gray", 400, 400)
    shown_points = face_skin().points(View.of(format).landmarks(head(format, (200, 200), 200, yaw=40)))
    front = face_skin().facing(shown_points)
    depth = shown_points[:, 2][face_skin().triangles[front]].mean(axis=1)
    assert (np.diff(depth) <= 1e-9).all()
    assert 0 < len(front) < len(face_skin().triangles)


def test_samples_stay_where_they_are_in_the_picture_as_the_face_moves(tmp_path: Path) -> None:
    format = stream("yuvj444p", 500, 500)
    effect = made("texture", path="builtin:grid")
    frames = [
        shown(effect, format, None, head(format, (250 + 0.02 * i, 250), 300))[0].astype(int)
        for i in range(60)
    ]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    assert max(steps) < 1.5 * float(np.median(steps))


def ramp_texture(path: Path, side: int = 256) -> str:
    """Grey grows with v: a place in the texture can be told from its luma."""
    rgba = np.full((side, side, 4), 255, np.uint8)
    rgba[..., :3] = (255 * (np.arange(side) + 0.5) / side).astype(np.uint8)[:, None, None]
    return asset(path, rgba)


@pytest.mark.parametrize("size", [90, 200, 420])
@pytest.mark.parametrize(("yaw", "roll"), [(0, 0), (25, 0), (10, 70)])
def test_each_point_of_the_face_shows_its_own_place(
    size: float, yaw: float, roll: float, tmp_path: Path
) -> None:
    format = stream("yuvj444p", 700, 700)
    someone = head(format, (351.3, 348.6), size, yaw=yaw, roll=roll)
    white = asset(tmp_path / "white.png", np.full((64, 64, 4), 255, np.uint8))
    luma, drawn = (
        shown(made("texture", path=path), format, None, someone)[0]
        for path in (ramp_texture(tmp_path / "ramp.png"), white)
    )
    for name in ("brow_middle", "nose_bridge", "nose_tip", "right_cheek", "nose_root", "right_cheekbone"):
        x, y = Mesh(someone).point(name)
        got, part = (cv2.getRectSubPix(plane, (1, 1), (x - 0.5, y - 0.5)).item() for plane in (luma, drawn))
        assert part > 100, name  # it may have faded
        assert 255 * got / part == pytest.approx(255 * layout().uv[NAMES[name], 1], abs=5), name


def test_eyes_and_mouth_stay_open_bit_for_bit_unless_they_are_asked_to_be_covered(tmp_path: Path) -> None:
    format = stream("yuvj444p", 400, 400)
    someone, before = head(format, (200, 200), 240), flat(format, (40, 100, 150))
    path = ramp_texture(tmp_path / "ramp.png")
    mesh = Mesh(someone)
    open_, covered = (
        shown(made("texture", path=path, holes=holes), format, before, someone) for holes in (True, False)
    )
    for name in ("left_eye", "right_eye", "lips_inner"):
        corners = mesh.outline(name)
        middle = corners.mean(axis=0)
        inner = within(format, middle + (corners - middle) * 0.8)
        assert inner.sum() > 20
        for old, new in zip(before, open_, strict=True):
            assert np.array_equal(old[inner], new[inner]), name
        assert (covered[0][inner] != before[0][inner]).all(), name


@pytest.mark.parametrize("yaw", [-70, 70])
def test_the_far_side_of_a_turned_head_is_not_drawn(yaw: float, tmp_path: Path) -> None:
    rgba = np.full((256, 256, 4), 255, np.uint8)
    rgba[:, :128, :3], rgba[:, 128:, :3] = (255, 0, 0), (0, 0, 255)
    format = stream("yuvj444p", 400, 400)
    done = shown(
        made("texture", path=asset(tmp_path / "halves.png", rgba)),
        format,
        None,
        head(format, (200, 200), 200, yaw=yaw),
    )
    red, blue = (done[2] > 160).sum(), (done[1] > 160).sum()
    near, far = (red, blue) if yaw > 0 else (blue, red)
    assert near > 4000
    assert far < 0.12 * near


def test_the_edge_of_the_face_is_smooth(tmp_path: Path) -> None:
    rgba = np.full((64, 64, 4), 255, np.uint8)
    format = stream("yuvj444p", 400, 400)
    luma = shown(
        made("texture", path=asset(tmp_path / "white.png", rgba)), format, None, head(format, (200, 200), 240)
    )[0]
    profile = luma[200].astype(int)
    start = int(np.flatnonzero(profile)[0])
    assert (np.diff(profile[start - 2 : start + 60]) < 120).all()
    assert luma[150, 200] == 255


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
def test_a_texture_is_the_right_way_round_however_the_picture_is_stored(
    rotation: int, mirrored: bool, tmp_path: Path
) -> None:
    rgba = np.full((256, 256, 4), 255, np.uint8)
    rgba[:, 128:, :3] = 60  # the subject's left half is dark
    plain = stream("yuvj444p", 300, 300)
    format = stream("yuvj444p", 300, 300, rotation=rotation, mirrored=mirrored)
    effect = made("texture", path=asset(tmp_path / "halves.png", rgba))
    upright = shown(effect, plain, None, head(plain, (150, 150), 180))[0]
    stored = shown(effect, format, None, head(format, (150, 150), 180))[0]
    seen = np.rot90(stored[::-1] if mirrored else stored, rotation // 90)
    assert np.abs(seen.astype(int) - upright).mean() < 0.5
    assert upright[130, 120] > 200 > 80 > upright[130, 180]
