"""Where make-up goes: a turned head must hide its far side, and curves must not leave their landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from makeup_makers import as_face, real_mesh

from facefx.effects.face_grid import present
from facefx.effects.masks import Grid, Mesh
from facefx.effects.places import (
    BROW_POINTS,
    LID_POINTS,
    Ellipse,
    blobs,
    brow_edges,
    curve,
    eye_lids,
    eye_seen,
    normals,
    side_seen,
)


def test_a_curve_passes_through_its_points_and_does_not_wiggle_on_a_line() -> None:
    bent = np.array([(0, 0), (4, 2), (9, 3), (11, 8)], np.float32)
    assert np.array_equal(curve(bent)[::4], bent)
    straight = curve(np.array([(0, 0), (10, 5), (20, 10)], np.float32))
    assert np.allclose(straight[:, 1], straight[:, 0] / 2)
    assert (np.diff(straight[:, 0]) > 0).all()


def test_lids_and_brows_run_from_the_nose_outwards_on_both_sides(models_dir: Path) -> None:
    mesh = Mesh(real_mesh(models_dir, (200, 200), 200))
    for side, sign in (("left", 1), ("right", -1)):
        upper, lower = eye_lids(mesh, side)  # type: ignore[arg-type]
        above, below = brow_edges(mesh, side)  # type: ignore[arg-type]
        assert len(upper) == len(lower) == LID_POINTS
        assert len(above) == len(below) == BROW_POINTS
        for line in (upper, lower, above, below):
            assert sign * (line[-1, 0] - line[0, 0]) > 0.1 * mesh.size
        assert above[:, 1].mean() < below[:, 1].mean() < upper[:, 1].mean() < lower[:, 1].mean()


def test_normals_point_to_the_side_that_is_asked_for() -> None:
    line = np.array([(0, 0), (5, 1), (10, 0)], np.float32)
    up = normals(line, np.array((0, -1), np.float32))
    assert np.allclose(np.hypot(*up.T), 1)
    assert (up[:, 1] < -0.9).all()
    assert np.allclose(normals(line, np.array((0, 1), np.float32)), -up)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 200])
def test_a_head_that_turns_away_hides_one_cheek_and_never_the_other(
    models_dir: Path, turned: float, mirrored: bool
) -> None:
    seen = []
    for yaw in range(0, 91, 5):
        someone = real_mesh(models_dir, (300, 300), 200, yaw=yaw, turned=turned)
        assert someone.landmarks is not None
        points = someone.landmarks * np.array((-1 if mirrored else 1, 1, 1), np.float32)
        mesh = Mesh(as_face(points))
        seen.append([side_seen(mesh, "left"), side_seen(mesh, "right")])
    far, near = sorted(np.array(seen).T, key=lambda side: side[-1])
    assert 0.7 < far[0] < 1.3
    assert far[-1] < 0
    assert (near > 0.7).all()
    assert np.abs(np.diff(far)).max() < 0.2  # no step of five degrees makes it pop


def test_the_far_eye_fades_and_the_near_one_stays(models_dir: Path) -> None:
    frontal, profile = (Mesh(real_mesh(models_dir, (0, 0), 200, yaw=yaw)) for yaw in (0, 85))
    assert [eye_seen(frontal, "left"), eye_seen(frontal, "right")] == [1, 1]
    assert sorted((eye_seen(profile, "left"), eye_seen(profile, "right"))) == [0, 1]


def test_a_face_of_a_few_pixels_gets_none_and_a_larger_one_all(models_dir: Path) -> None:
    parts = [present(Mesh(real_mesh(models_dir, (50, 50), size))) for size in (10, 24, 32, 40, 300)]
    assert parts[0] == 0
    assert parts[1] == pytest.approx(0, abs=1e-5)
    assert parts[2] == pytest.approx(0.5, abs=1e-5)
    assert parts[3:] == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("grid", [Grid(10, 20, 1, 1, 60, 50), Grid(8, 16, 4, 4, 20, 17)])
def test_a_soft_ellipse_is_what_its_formula_says(grid: Grid) -> None:
    one = Ellipse(complex(35, 42), complex(14, 5), complex(-3, 9), 0.7)
    other = Ellipse(complex(20, 30), complex(6, 0), complex(0, 6), -0.4)
    sideways = Ellipse(complex(40, 40), complex(6, 3), complex(2, 1), 1.0)  # has no area
    drawn = blobs([one, other, sideways], grid)
    x = grid.x + (np.arange(grid.width) + 0.5) * grid.step_x
    y = grid.y + (np.arange(grid.height) + 0.5) * grid.step_y
    expected = np.zeros((grid.height, grid.width))
    for each in (one, other):
        axes = np.array([(each.along.real, each.across.real), (each.along.imag, each.across.imag)])
        apart = np.stack(np.meshgrid(x - each.centre.real, y - each.centre.imag))
        u, v = np.einsum("ij,jhw->ihw", np.linalg.inv(axes), apart)
        expected += each.weight * np.maximum(1 - u**2 - v**2, 0) ** 2
    assert np.abs(drawn - expected).max() < 1e-4
    assert drawn.max() > 0.6


def test_no_ellipse_gives_an_empty_grid() -> None:
    assert not blobs([], Grid(0, 0, 1, 1, 5, 4)).any()
