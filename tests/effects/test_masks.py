"""What a mask must never be: too wide, jumpy, torn at an edge, or a silent guess where landmarks lack."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from effect_makers import Box, face, flat, mesh_face, stream, within
from numpy.typing import NDArray

from facefx.effects.masks import Grid, Mesh, Points, soft_mask
from facefx.errors import ConfigError, EffectError
from facefx.values import Patch

GRID = Grid(0, 0, 1, 1, 80, 70)
PICTURE = stream("gray", 80, 70)


def oval(x: float = 40, y: float = 35, half_x: float = 18, half_y: float = 23) -> Points:
    angles = np.arange(36) * (2 * np.pi / 36)
    return np.stack((x + half_x * np.cos(angles), y + half_y * np.sin(angles)), axis=1).astype(np.float32)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    return np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float32)


def area(corners: Points) -> float:
    x, y = corners.astype(np.float64).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def codes(outline: Points, sigma: float = 0, fade: str = "across", grid: Grid = GRID) -> NDArray[np.int64]:
    return soft_mask([outline], grid, sigma, fade).astype(np.int64)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 0.8])
def test_a_mask_is_no_wider_than_its_outline(shift: float) -> None:
    for outline in (oval(40 + shift, 35 - shift), box(10 + shift, 12 + shift, 50.5, 40.25)):
        for sigma in (0.0, 1.5, 3.0):
            assert codes(outline, sigma).sum() / 255 == pytest.approx(area(outline), rel=0.004)


def test_a_sample_has_the_share_of_it_that_is_covered() -> None:
    mask = codes(box(10.25, 20, 30.5, 40.5))
    assert mask[30, 9:12].tolist() == [0, 191, 255]
    assert mask[30, 29:32].tolist() == [255, 128, 0]
    assert mask[39:42, 20].tolist() == [255, 128, 0]


def test_a_coarse_grid_does_not_make_a_mask_wider() -> None:
    fine = codes(oval(), grid=Grid(0, 0, 1, 1, 80, 72)).reshape(18, 4, 20, 4).mean(axis=(1, 3))
    assert np.abs(codes(oval(), grid=Grid(0, 0, 4, 4, 20, 18)) - fine).max() <= 3


@pytest.mark.parametrize(("fade", "most"), [("across", 10), ("inside", 40), ("outside", 40)])
def test_a_mask_does_not_jump_where_landmarks_move_by_a_tenth_of_a_pixel(fade: str, most: int) -> None:
    steps = [codes(oval(40 + 0.1 * i, 35 + 0.07 * i), 1.6, fade) for i in range(12)]
    assert max(np.abs(b - a).max() for a, b in pairwise(steps)) <= most
    middles = [(mask * np.arange(80)).sum() / mask.sum() for mask in steps]
    assert np.diff(middles) == pytest.approx(np.full(11, 0.1), abs=0.02)


def test_across_passes_one_half_at_the_outline() -> None:
    mask = codes(box(20, 10, 60, 60), 3.0)
    assert abs(mask[35, 19:21].mean() - 127.5) <= 1
    assert mask[35, 40] == 255
    assert mask[35, 10] == 0


@pytest.mark.parametrize("sigma", [1.25, 2.0, 4.0])
def test_inside_reaches_no_sample_outside_and_none_of_its_neighbours(sigma: float) -> None:
    for outline in (oval(), box(20.3, 10.6, 60.2, 60.9)):
        touched = codes(outline, sigma, "inside") > 0
        assert touched.any()
        grown = np.zeros_like(touched)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                grown |= np.roll(touched, (dy, dx), (0, 1))
        assert not (grown & ~within(PICTURE, outline)).any()


def test_inside_is_whole_from_two_and_a_half_sigma_inwards() -> None:
    mask = codes(box(20, 10, 60, 60), 2.0, "inside")
    assert (mask[15:55, 25:55] == 255).all()


@pytest.mark.parametrize("sigma", [1.25, 2.0, 4.0])
def test_outside_is_whole_within_and_around_the_sharpest_corner(sigma: float) -> None:
    corners = Mesh(mesh_face((40, 45), 80)).outline("left_eye")
    for outline in (corners, oval(), np.array(((20, 30), (60, 33), (60, 35)), np.float32)):
        mask = codes(outline, sigma, "outside")
        seen = within(PICTURE, outline)
        assert seen.any()
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                assert (mask[np.roll(seen, (dy, dx), (0, 1))] == 255).all()


def test_outside_ends_two_and_a_half_sigma_beyond() -> None:
    mask = codes(box(20, 10, 60, 60), 2.0, "outside")
    assert (mask[10:60, 18:62] == 255).all()
    assert not mask[:, :14].any()
    assert not mask[:, 66:].any()


def test_outlines_unite_whichever_way_round_they_run() -> None:
    one, other = box(10, 10, 40, 40), box(30, 20, 70, 50)
    for second in (other, other[::-1]):
        both = soft_mask([one, np.ascontiguousarray(second)], GRID, 0)
        assert np.array_equal(both, np.maximum(soft_mask([one], GRID, 0), soft_mask([other], GRID, 0)))


@pytest.mark.parametrize("fade", ["inside", "across", "outside"])
def test_a_mask_is_not_torn_where_the_face_leaves_the_patch(fade: str) -> None:
    whole = codes(oval(), 2.0, fade)
    part = codes(oval(), 2.0, fade, Grid(30, 20, 1, 1, 25, 20))
    assert np.array_equal(part, whole[20:40, 30:55])


@pytest.mark.parametrize("outline", [oval(500, 35), oval(-1e7, 3e6, 10, 10), box(20, 20, 20, 20)])
def test_an_outline_without_a_part_in_the_grid_leaves_it_empty(outline: Points) -> None:
    assert not codes(outline, 2.0).any()
    assert not soft_mask([], GRID, 2.0).any()


def test_a_face_that_is_far_larger_than_the_grid_fills_it() -> None:
    assert (codes(oval(0, 0, 1e6, 1e6), 2.0, "inside") == 255).all()


def test_a_chroma_plane_has_a_grid_of_its_own() -> None:
    format = stream("yuv420p", 80, 70)
    patch = Patch.cut(format, 0, flat(format, (1, 2, 3)), (10, 6, 70, 66))
    assert patch is not None
    assert Grid.of_plane(patch) == Grid(10, 6, 1, 1, 60, 60)
    assert Grid.of_plane(patch, 1) == Grid(10, 6, 2, 2, 30, 30)
    assert Grid.shrunk(patch, 8) == Grid(10, 6, 8, 8, 8, 8)


def test_a_face_without_landmarks_is_an_error_that_says_which() -> None:
    place: Box = (1, 2, 3, 4)
    with pytest.raises(EffectError, match=r"face 7 at pts 40: expected landmarks, got none"):
        Mesh(face(place, track_id=7, pts=40))


def test_an_unknown_region_is_named_with_those_that_exist() -> None:
    with pytest.raises(EffectError, match=r"region 'chin' is unknown.*face_oval.*lips_outer"):
        Mesh(mesh_face((40, 35), 50)).outline("chin")


def test_landmarks_of_an_unknown_topology_are_refused() -> None:
    with pytest.raises(ConfigError, match="dlib-68"):
        Mesh(replace(mesh_face((40, 35), 50), topology="dlib-68"))


def test_a_face_keeps_its_size_wherever_it_is_and_however_it_is_turned() -> None:
    for size in (20.0, 400.0):
        for turned in (0, 37, 90, 180):
            assert Mesh(mesh_face((300, -20), size, turned)).size == pytest.approx(size, rel=0.01)
