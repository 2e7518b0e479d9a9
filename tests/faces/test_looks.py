"""Where the analyzer looks, and where it need not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

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
    Script,
    analyzer,
    batches,
    nobody,
    popping,
    rows,
    run,
    steady,
    through,
    times,
)

from facefx.faces.looks import Reason
from facefx.faces.policy import Clock, FacePolicy, Grid
from facefx.values import FaceSource

FACE = (100.0, 60.0, 140.0, 110.0)


def gaps_s(asked: set[int], pts: list[int]) -> list[float]:
    return [(pts[b] - pts[a]) / TICKS for a, b in pairwise(sorted(asked))]


@pytest.mark.parametrize("fps", [12, 24, 25, 30, 50, 60])
def test_looks_are_never_further_apart_than_the_interval(fps: int) -> None:
    detector, pts = Actor(nobody), times(4 * fps, fps)
    run(detector, pts, frame_period=Fraction(1, fps))
    assert max(gaps_s(detector.asked, pts)) <= 0.25
    assert len(detector.asked) <= 4 * 4.5


def test_without_a_known_rate_looks_are_at_most_a_frame_further_apart() -> None:
    rng = np.random.default_rng(1)
    pts = np.cumsum(rng.integers(10, 40, 200)).tolist()
    detector = Actor(nobody)
    run(detector, pts, frame_period=None)
    assert max(gaps_s(detector.asked, pts)) <= 0.25 + 40 / TICKS


def test_every_frame_of_a_slow_clip_is_looked_at() -> None:
    detector = Actor(nobody)
    run(detector, times(20, 5), frame_period=Fraction(1, 5))
    assert detector.asked == set(range(20))


def test_the_grid_hangs_on_the_first_frame_of_the_video_not_of_the_segment() -> None:
    pts = times(150)
    whole, part = Actor(nobody), Actor(nobody)
    run(whole, pts)
    clip = batches(pts[37:], first=37)
    through(analyzer(part, clip, anchor_pts=pts[0]), clip)
    assert set(part.looked) - {37} == {i for i in whole.looked if i > 37}


def test_rounded_pts_do_not_move_the_grid() -> None:
    coarse = Grid(0.25, Clock(Fraction(1, 1000)), Fraction(1, 30))
    cells = [coarse.cell(round(i * 1000 / 30)) for i in range(300)]
    assert cells == [i // 14 for i in range(300)]


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("phase", range(15))
def test_a_face_that_pops_up_between_looks_is_covered(phase: int, length: int) -> None:
    there = range(60 + phase, 60 + phase + length)
    detector = Actor(steady(FACE, there))
    found = run(detector, times(120), popping(there, FACE))
    assert set(there) <= set(found), "a frame of it was handed out uncovered"
    assert set(found) == set(there), "nothing else may be covered: its place changed at once"


def test_a_face_too_small_for_a_glance_is_looked_at_whole() -> None:
    pts, there = times(60), range(35, 36)
    lone = Actor(steady(FACE, there), glance=nobody)
    run(Actor(nobody), pts)
    glances = Actor(nobody)
    run(glances, pts)
    assert 35 in glances.glanced, "the test needs a frame that is only glanced at"
    assert set(run(lone, pts, popping(there, FACE))) == set(there)


def test_a_glance_alone_does_not_make_a_face() -> None:
    detector = Actor(nobody, glance=steady(FACE, range(35, 36)))
    assert run(detector, times(60)) == {}
    assert 35 in detector.looked, "a look has to confirm it"


def test_nothing_that_happens_costs_no_extra_look() -> None:
    detector, clip = Actor(steady(FACE, range(300))), batches(times(300))
    looking = analyzer(detector, clip)
    through(looking, clip)
    assert looking.stats.looks_extra == 0


@pytest.mark.parametrize("speed", [1, 2, 4])
def test_a_camera_that_pans_is_no_transient(speed: int) -> None:
    def draw(i: int) -> Picture:
        return np.ascontiguousarray(WALL[:, i * speed : i * speed + WIDTH])

    detector, clip = Actor(nobody), batches(times(90), draw)
    looking = analyzer(detector, clip)
    through(looking, clip)
    assert looking.stats.looks[Reason.TRANSIENT] <= 3


def test_noise_is_no_transient() -> None:
    rng = np.random.default_rng(3)

    def draw(_: int) -> Picture:
        return np.clip(STILL + rng.normal(0, 5, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)

    detector, clip = Actor(nobody), batches(times(90), draw)
    looking = analyzer(detector, clip)
    through(looking, clip)
    assert looking.stats.looks_extra == 0


def test_two_looks_that_agree_are_not_looked_between() -> None:
    def walks(i: int) -> list[tuple[tuple[float, float, float, float], float]]:
        return [((50 + i, 60, 90 + i, 110), 0.9)]

    detector, clip = Actor(walks), batches(times(90))
    looking = analyzer(detector, clip)
    found = rows(through(looking, clip))
    assert looking.stats.looks_extra == 0
    assert all(abs(found[i][0].xyxy[0] - (50 + i)) < 1e-3 for i in range(90))


def test_a_face_that_turns_back_between_two_looks_is_followed() -> None:
    def darts(i: int) -> list[tuple[tuple[float, float, float, float], float]]:
        x = 50 + 12.0 * max(0, min(i - 30, 6))  # 72 px in six frames, then it stands
        return [((x, 60, x + 40, 110), 0.9)]

    found = run(Actor(darts), times(90))
    for i in range(90):
        x = darts(i)[0][0][0]
        assert abs(found[i][0].xyxy[0] - x) < 15, f"frame {i}: off by more than a third of the face"


def test_when_a_face_comes_is_found_by_bisection() -> None:
    detector = Actor(steady(FACE, range(33, 90)))
    found = run(detector, times(90))
    detected = [i for i, faces in found.items() if faces[0].source == FaceSource.DETECTED]
    assert min(detected) - 33 <= 2
    assert len(detector.asked) < 90 / 5


def stirring(frames: range, by: int) -> Callable[[int], Picture]:
    """A still picture of which a patch the size of a face is brighter in some frames."""
    brighter = STILL.copy()
    brighter[60:110, 100:140] += by
    return lambda i: brighter if i in frames else STILL


def test_a_still_picture_is_not_glanced_at_between_looks_that_agree() -> None:
    detector = Actor(steady(FACE, range(120)))
    found = run(detector, times(120), policy=FacePolicy())
    assert detector.glanced == []
    assert max(gaps_s(detector.asked, times(120))) <= 0.5
    assert set(found) == set(range(120))


@pytest.mark.parametrize("face", [True, False], ids=["a face", "nobody"])
def test_what_stirs_too_little_to_be_noticed_is_glanced_at(face: bool) -> None:
    detector = Actor(steady(FACE, range(120) if face else range(0)))
    run(detector, times(120), stirring(range(5, 10), 9), policy=FacePolicy())
    assert 7 in detector.glanced
    assert [i for i in detector.glanced if i > 14] == [], "there it is still again"


def test_looks_that_disagree_are_settled_however_still_the_picture_is() -> None:
    detector = Actor(steady(FACE, range(30, 90)))
    found = run(detector, times(120), policy=FacePolicy())
    assert detector.glanced
    assert set(range(30, 90)) <= set(found)


def test_a_glance_that_was_wrong_costs_the_look_that_tells_so_and_no_more() -> None:
    # The look sees everybody anew: who is there before and after it is no news.
    ghost, clip = steady((200.0, 60.0, 240.0, 110.0), range(35, 36)), batches(times(90))

    def looked(present: Script) -> list[int]:
        detector = Actor(present, glance=lambda i: [*present(i), *ghost(i)])
        through(analyzer(detector, clip), clip)
        assert 35 in {*detector.looked} & {*detector.glanced}, "the test needs a glance that is not believed"
        return sorted([*detector.looked, *detector.glanced])

    assert looked(steady(FACE, range(90))) == looked(nobody)
