"""Faces that flash up, cuts at every phase of the look grid, and streams that are odd in time."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from films import Film, analyze, merged, seen, square

from facefx.faces.looks import Reason
from facefx.values import FaceSource

HERE = square(80, 48)
SMALL = square(110, 30, 14)
PHASES = range(30, 46)


@pytest.mark.parametrize(("drift_px", "pixels"), [(0.0, "yuv420p"), (0.4, "gray")], ids=["still", "slow pan"])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("box", [HERE, SMALL], ids=["large", "too small for a glance"])
def test_a_face_that_flashes_up_is_covered_at_every_phase(
    box: tuple[float, float, float, float], length: int, drift_px: float, pixels: str
) -> None:
    for start in PHASES:
        truth = seen(box, range(start, start + length))
        film = Film.steady(76, painted=truth, drift_px=drift_px, pixels=pixels)
        got = analyze(film, truth)
        assert got.uncovered(truth) == [], f"from frame {start}"
        pad = 3 + length  # a tenth of a second and as long again as it was seen
        assert set(got.frames()) <= set(range(start - pad, start + length + pad)), f"from frame {start}"
        assert got.stats.looks[Reason.TRANSIENT] + len(set(truth) & set(got.detector.looks)) > 0


def test_a_face_that_flashes_up_beside_one_that_stays_is_covered_at_every_phase() -> None:
    stays = seen(square(40, 48), range(76))
    for start in PHASES:
        flash = seen(square(115, 48), range(start, start + 2))
        got = analyze(Film.steady(76, painted=merged(stays, flash)), merged(stays, flash))
        assert got.uncovered(stays) == []
        assert got.uncovered(flash) == [], f"from frame {start}"


@pytest.mark.parametrize("cut", PHASES)
def test_nothing_reaches_across_a_cut_at_any_phase(cut: int) -> None:
    """The same place on both sides: without the cut it would be one face."""
    truth = seen(HERE, range(90))
    got = analyze(Film.steady(90, painted=truth, cuts=[cut]), truth)
    assert got.stats.cuts == 1
    assert {cut - 1, cut} <= set(got.detector.looks), "both sides are looked at"
    assert {f.track_id for i in range(cut) for f in got.faces[i]} == {0}
    assert {f.track_id for i in range(cut, 90) for f in got.faces[i]} == {1}
    assert got.frames(FaceSource.FILLED, FaceSource.HELD) == []


@pytest.mark.parametrize("cut", PHASES)
def test_pads_stop_at_a_cut_at_any_phase(cut: int) -> None:
    before = analyze(Film.steady(90, cuts=[cut]), seen(HERE, range(cut - 3)))
    assert max(before.frames()) == cut - 1
    after = analyze(Film.steady(90, cuts=[cut]), seen(HERE, range(cut + 3, 90)))
    assert min(after.frames()) == cut


@pytest.mark.parametrize("cut", PHASES)
def test_a_gap_is_not_filled_across_a_cut_at_any_phase(cut: int) -> None:
    table = merged(seen(HERE, range(cut - 4)), seen(HERE, range(cut + 4, 90)))
    got = analyze(Film.steady(90, cuts=[cut]), table)
    assert got.frames(FaceSource.FILLED) == []
    assert got.ids() == {0, 1}


RATES = {
    "30": (Fraction(1, 30), Fraction(1, 90000)),
    "30, milliseconds": (Fraction(1, 30), Fraction(1, 1000)),
    "29.97": (Fraction(1001, 30000), Fraction(1, 30000)),
    "29.97, milliseconds": (Fraction(1001, 30000), Fraction(1, 1000)),
    "25": (Fraction(1, 25), Fraction(1, 12800)),
    "12.5": (Fraction(2, 25), Fraction(1, 90000)),
    "5": (Fraction(1, 5), Fraction(1, 5)),
    "60": (Fraction(1, 60), Fraction(1, 15360)),
    "23.976, milliseconds": (Fraction(1001, 24000), Fraction(1, 1000)),
}


@pytest.mark.parametrize("there", [True, False], ids=["a face", "nobody"])
@pytest.mark.parametrize("rate", RATES)
def test_looks_are_never_further_apart_than_said_at_any_rate(rate: str, there: bool) -> None:
    period, base = RATES[rate]
    count = int(6 / period)
    film = Film.steady(count, period, base)
    got = analyze(film, seen(HERE, range(count)) if there else {}, frame_period=period)
    asked = got.detector.asked
    assert asked[0] == 0
    assert asked[-1] == count - 1
    assert max((film.pts[b] - film.pts[a]) * base for a, b in pairwise(asked)) <= Fraction(1, 4)
    assert got.frames() == (list(range(count)) if there else [])
    assert len(asked) <= count / (Fraction(1, 4) // period) + 2, "more often than the grid needs"


@pytest.mark.parametrize("rate", RATES)
def test_pads_and_gaps_are_seconds_at_any_rate(rate: str) -> None:
    period, base = RATES[rate]
    count = int(8 / period)
    first, last = int(2 / period), int(5 / period)
    hidden = range(int(3 / period), int(Fraction(34, 10) / period))
    table = seen(HERE, [i for i in range(first, last) if i not in hidden])
    got = analyze(Film.steady(count, period, base), table, frame_period=period)
    frames = got.frames()
    assert set(range(first, last)) <= set(frames)
    assert frames == list(range(frames[0], frames[-1] + 1))
    assert (first - frames[0]) * period <= Fraction(2, 10)
    assert (frames[-1] - last + 1) * period <= Fraction(4, 10)


def vfr(count: int, seed: int = 3) -> list[int]:
    """Milliseconds: phone-like, with a hiccup now and then."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([16, 33, 34, 50, 100, 140], count, p=[0.1, 0.3, 0.3, 0.15, 0.1, 0.05])
    return [int(t) for t in np.cumsum(steps)]


def test_a_variable_rate_leaves_no_frame_uncovered() -> None:
    pts = vfr(200)
    truth = seen(HERE, range(30, 170))
    hidden = range(80, 84)
    table = {i: rows for i, rows in truth.items() if i not in hidden}
    got = analyze(Film(pts, Fraction(1, 1000)), table, frame_period=None)
    assert got.uncovered(truth) == []
    asked = got.detector.asked
    assert max(pts[b] - pts[a] for a, b in pairwise(asked)) <= 250 + 140
    assert len(asked) < 120


def test_time_that_goes_back_twice_links_nothing_across() -> None:
    part = [round(i * 3000) for i in range(40)]
    film = Film([*part, *part, *part])
    truth = seen(HERE, range(120))
    got = analyze(film, truth, sizes=(7,))
    assert got.order == list(range(120))
    assert got.uncovered(truth) == []
    assert [{f.track_id for i in range(a, a + 40) for f in got.faces[i]} for a in (0, 40, 80)] == [
        {0},
        {1},
        {2},
    ]
    assert {0, 39, 40, 79, 80, 119} <= set(got.detector.looks)


def test_a_video_without_faces_gets_none_and_costs_no_extra_look() -> None:
    got = analyze(Film.steady(300, drift_px=0.4), {})
    assert got.frames() == []
    assert got.stats.looks_extra == 0
    assert got.order == list(range(300))
