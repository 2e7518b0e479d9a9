"""Counted shares of samples against exact ones: the same area, as steady once they are blurred, and holes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from effect_makers import mesh_face, within
from effect_makers import stream as stream_of
from numpy.typing import NDArray

from facefx.effects.drawing import counted, exact
from facefx.effects.masks import Grid, Mesh, Points, soft_mask, soft_mask_with_holes, soft_masks

GRID = Grid(0, 0, 1, 1, 80, 70)


def oval(x: float = 40, y: float = 35, half_x: float = 18, half_y: float = 23) -> Points:
    angles = np.arange(36) * (2 * np.pi / 36)
    return np.stack((x + half_x * np.cos(angles), y + half_y * np.sin(angles)), axis=1).astype(np.float32)


def shares(outline: Points, hole: Points | None = None) -> NDArray[np.int64]:
    holes = [] if hole is None else [hole]
    return counted([([outline], holes)], GRID.matrix, GRID.size).astype(np.int64)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.55])
def test_a_counted_outline_is_no_wider_than_an_exact_one(shift: float) -> None:
    outline = oval(40 + shift, 35 - shift)
    whole = exact([[outline]], GRID.matrix, GRID.size).astype(np.int64)
    assert shares(outline).sum() == pytest.approx(whole.sum(), rel=0.006)
    assert np.abs(shares(outline) - whole).max() < 0.3 * 255
    assert (shares(outline)[whole == 255] >= 0.87 * 255).all()
    assert (shares(outline)[whole == 0] < 0.2 * 255).all()


def test_regions_do_not_reach_into_each_other() -> None:
    both = counted([([oval(20)], []), ([oval(60)], [])], GRID.matrix, GRID.size)
    assert np.array_equal(both[:70], shares(oval(20)))
    assert np.array_equal(both[70:], shares(oval(60)))


def test_a_hole_is_nothing_whichever_way_round_it_runs() -> None:
    for hole in (oval(40, 35, 6, 5), oval(40, 35, 6, 5)[::-1]):
        rest = shares(oval(), np.ascontiguousarray(hole))
        assert not rest[33:38, 37:44].any()
        assert rest.sum() == pytest.approx((shares(oval()) - shares(hole)).sum(), rel=0.02)


def test_counted_masks_move_as_smoothly_as_exact_ones_once_they_are_blurred() -> None:
    jumps = {}
    for exactly in (True, False):
        steps = [
            soft_masks([([oval(40 + 0.05 * i, 35)], "inside")], GRID, 1.6, exactly=exactly)[0].astype(int)
            for i in range(24)
        ]
        jumps[exactly] = float(np.mean([np.abs(b - a).mean() for a, b in pairwise(steps)]))
    assert jumps[False] < 1.6 * jumps[True]


def test_a_mask_with_holes_is_the_product_of_two_masks_away_from_corners() -> None:
    mesh = Mesh(mesh_face((40, 35), 66))
    outline, holes = mesh.outline("face_oval"), [mesh.outline("left_eye"), mesh.outline("lips_outer")]
    one = soft_mask_with_holes(outline, holes, GRID, 1.6).astype(np.float64)
    two = soft_mask([outline], GRID, 1.6, "inside") * (1 - soft_mask(holes, GRID, 1.6, "outside") / 255)
    assert np.abs(one - two).mean() < 4
    assert one.max() == 255


@pytest.mark.parametrize("sigma", [1.4, 2.5])
def test_a_mask_with_holes_is_nothing_in_them_and_beside_them(sigma: float) -> None:
    mesh, format = Mesh(mesh_face((40, 45), 80)), stream_of("gray", 80, 70)
    hole = mesh.outline("left_eye")
    mask = soft_mask_with_holes(mesh.outline("face_oval"), [hole], GRID, sigma)
    seen = within(format, hole)
    assert seen.any()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            assert not mask[np.roll(seen, (dy, dx), (0, 1))].any()


def test_what_lies_far_away_or_is_nothing_draws_nothing() -> None:
    for outline in (oval(500, 35), oval(-1e7, 3e6, 10, 10)):
        assert not shares(outline).any()
    assert not counted([([], [])], GRID.matrix, GRID.size).any()
