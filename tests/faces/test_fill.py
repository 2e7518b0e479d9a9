"""Boxes between looks, and after the last and before the first sight of a face."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from face_scripts import (
    HEIGHT,
    STILL,
    TICKS,
    WALL,
    WIDTH,
    Actor,
    Picture,
    Seen,
    centre,
    popping,
    run,
    steady,
    times,
)

from facefx.faces.drift import drift
from facefx.faces.looks import NEAR_S
from facefx.faces.policy import FacePolicy
from facefx.faces.signature import Signature
from facefx.values import FaceSource

FACE = (140.0, 60.0, 180.0, 110.0)


def walking(px_per_s: float, last: int, first: int = 0) -> Callable[[int], list[Seen]]:
    def script(i: int) -> list[Seen]:
        x = 140 + px_per_s * (i - 60) / 30
        return [((x, 60.0, x + 40, 110.0), 0.9)] if first <= i <= last else []

    return script


def test_between_looks_a_face_moves_evenly_in_time_not_in_frames() -> None:
    pts = np.cumsum(np.random.default_rng(2).integers(4, 40, 120)).tolist()

    def script(i: int) -> list[Seen]:
        x = 20 + 60 * (pts[i] - pts[0]) / TICKS
        return [((x, 60.0, x + 40, 110.0), 0.9)]

    found = run(Actor(script), pts, frame_period=None)
    assert {f.source for faces in found.values() for f in faces} == {FaceSource.DETECTED, FaceSource.TRACKED}
    assert all(abs(found[i][0].xyxy[0] - script(i)[0][0][0]) < 1e-3 for i in range(120))


def test_a_face_is_held_after_it_was_last_seen_and_before_it_was_first() -> None:
    found = run(Actor(steady(FACE, range(60, 121))), times(200))
    held = [i for i, faces in found.items() if faces[0].source == FaceSource.HELD]
    before, after = [i for i in held if i < 64], [i for i in held if i > 117]
    inside = int(NEAR_S * 30) - 1  # how far from the edge the first and last look may be
    assert 60 - 0.2 * 30 <= min(before) <= 60 - 0.2 * 30 + inside
    assert 120 + 0.4 * 30 - inside <= max(after) <= 120 + 0.4 * 30
    assert set(range(min(before), max(after) + 1)) == set(found), "no hole"


def test_a_held_face_grows() -> None:
    found = run(Actor(steady(FACE, range(121))), times(200))
    widths = [found[i][0].xyxy[2] - found[i][0].xyxy[0] for i in sorted(found) if i > 121]
    assert widths == sorted(widths)
    assert 40 < widths[-1] <= 40 * 1.3


def test_a_held_face_goes_on_as_it_went_but_slows_down_where_the_picture_tells_nothing() -> None:
    found = run(Actor(walking(60, last=60)), times(120))
    last = max(i for i, f in found.items() if f[0].source < FaceSource.HELD)
    xs = [centre(found[i][0])[0] for i in range(last, max(found) + 1)]
    steps = np.diff(xs)
    assert (steps > 0).all()
    assert steps[-1] < steps[0]
    assert xs[-1] - xs[0] < 60 * 0.4


def test_a_held_face_moves_with_the_camera() -> None:
    def draw(i: int) -> Picture:
        return np.ascontiguousarray(WALL[:, i * 3 : i * 3 + WIDTH])

    def script(i: int) -> list[Seen]:
        x = 250.0 - 3 * i
        return [((x, 60, x + 60, 130), 0.9)] if i <= 40 else []

    found = run(Actor(script), times(90), draw)
    last = max(i for i, f in found.items() if f[0].source < FaceSource.HELD)
    assert max(found) > last + 5
    for i in range(last, max(found) + 1):
        assert centre(found[i][0])[0] == pytest.approx(280 - 3 * i, abs=6)


@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_a_face_that_leaves_the_picture_is_held_until_it_is_outside(edge: str) -> None:
    step = {"left": (-4, 0), "right": (4, 0), "top": (0, -4), "bottom": (0, 4)}[edge]

    def box(i: int) -> tuple[float, float, float, float]:
        x, y = 140 + step[0] * i, 65 + step[1] * i
        return (x, y, x + 40, y + 50)

    def inside(i: int) -> bool:
        x0, y0, x1, y1 = box(i)
        return x1 > 0 and y1 > 0 and x0 < WIDTH and y0 < HEIGHT

    def script(i: int) -> list[Seen]:
        x0, y0, x1, y1 = box(i)
        return (
            [((x0, y0, x1, y1), 0.9)]
            if x0 >= -8 and y0 >= -8 and x1 <= WIDTH + 8 and y1 <= HEIGHT + 8
            else []
        )

    found = run(Actor(script), times(120))
    gone = min(i for i in range(120) if not inside(i))
    seen = max(i for i in range(120) if script(i))
    assert gone - seen > 5, "the test needs a face that is out of sight long before it is outside"
    assert set(range(gone - 1)) <= set(found), "uncovered while a part of it was still there"
    assert max(found) <= gone + 2, "held although it had left"


def test_a_face_seen_for_a_moment_is_not_held_for_long() -> None:
    found = run(Actor(steady(FACE, range(61, 64))), times(120))
    assert set(range(61, 64)) <= set(found)
    assert len(found) <= 3 + 2 * 5


def test_a_brief_face_whose_place_changed_at_once_is_not_held_at_all() -> None:
    there = range(61, 64)
    assert set(run(Actor(steady(FACE, there)), times(120), popping(there, FACE))) == set(there)


def test_a_known_face_that_vanishes_at_once_is_held_all_the_same() -> None:
    there = range(20, 90)
    found = run(Actor(steady(FACE, there)), times(150), popping(there, FACE))
    assert max(found) >= 89 + 8


@pytest.mark.parametrize("fps", [5, 12, 25, 60])
def test_pads_are_seconds_not_frames(fps: int) -> None:
    pts = times(6 * fps, fps)
    found = run(Actor(steady(FACE, range(3 * fps))), pts, frame_period=Fraction(1, fps))
    held_s = (pts[max(found)] - pts[3 * fps - 1]) / TICKS
    assert 0.4 - max(2 / fps, NEAR_S) <= held_s <= 0.4 + 1e-9


def test_without_pads_nothing_is_held() -> None:
    policy = FacePolicy(exit_pad_s=0, entry_pad_s=0, edge_pad_s=0, calm_step=0)
    found = run(Actor(steady(FACE, range(60, 90))), times(120), policy=policy)
    assert all(f.source != FaceSource.HELD for faces in found.values() for f in faces)


def test_drift_is_measured_where_there_is_structure_and_not_where_there_is_none() -> None:
    a, b = (Signature.of(np.ascontiguousarray(WALL[:, x : x + WIDTH]), 8) for x in (40, 46))
    moved = drift(a, b, (100, 40, 180, 140))
    assert moved is not None
    assert moved[0] == pytest.approx(-6, abs=1)
    assert moved[1] == pytest.approx(0, abs=1)
    flat = Signature.of(STILL, 8)
    assert drift(flat, flat, (100, 40, 180, 140)) is None
    assert drift(a, b, (0, 0, 6, 6)) is None, "too small to tell"
    other = Signature.of(np.ascontiguousarray(255 - WALL[::-1, 500 : 500 + WIDTH]), 8)
    assert drift(a, other, (100, 40, 180, 140)) is None, "another picture has not moved"
