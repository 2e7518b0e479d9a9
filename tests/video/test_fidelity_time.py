"""Times against each other: every rounding that a container may do passes, every single slip does not."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facefx.video.fidelity_time import Clock, common_shift, first_shift, off_grid, worst

BASES = [Fraction(1, 12800), Fraction(1, 15360), Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 1000)]
TICKS = [Fraction(1, 1000), Fraction(1, 15360), Fraction(1, 90000), Fraction(1, 1_000_000)]


def clock(pts: list[int], base: Fraction) -> Clock:
    return Clock(np.array(pts, np.int64), base)


def copied(source: Clock, tick: Fraction, shift: int) -> list[int]:
    """The times as a container with that tick stores them: FFmpeg rounds halves up."""
    return [floor(int(pts) * source.time_base / tick + Fraction(1, 2)) + shift for pts in source.pts]


steps = st.lists(st.integers(40, 4000), min_size=2, max_size=60)


@settings(max_examples=100, deadline=None)
@given(steps, st.sampled_from(BASES), st.sampled_from(TICKS), st.integers(-(10**7), 10**7))
def test_every_faithful_copy_passes(gaps: list[int], base: Fraction, tick: Fraction, shift: int) -> None:
    source = clock(np.cumsum(gaps).tolist(), base)
    output = clock(copied(source, tick, shift), tick)
    found = common_shift(source, output)
    assert found is not None
    assert found.low <= shift * tick <= found.high


@settings(max_examples=100, deadline=None)
@given(steps, st.sampled_from(BASES), st.sampled_from(TICKS), st.data())
def test_one_time_off_by_two_ticks_never_passes(
    gaps: list[int], base: Fraction, tick: Fraction, data: st.DataObject
) -> None:
    source = clock(np.cumsum([*gaps, 5, 5]).tolist(), base)
    times = copied(source, tick, 0)
    at = data.draw(st.integers(0, len(times) - 1))
    times[at] += data.draw(st.sampled_from([-2, 2]))
    assert common_shift(source, clock(times, tick)) is None


CLOCKS = {
    "same clock": (Fraction(1, 12800), Fraction(1, 12800)),
    "finer clock": (Fraction(1, 1000), Fraction(1, 16000)),
    "mkv at 30 fps": (Fraction(1, 30), Fraction(1, 1000)),
}


@pytest.mark.parametrize("slip", [-1, 1])
@pytest.mark.parametrize(("base", "tick"), CLOCKS.values(), ids=CLOCKS)
def test_one_time_off_by_one_tick_does_not_pass(base: Fraction, tick: Fraction, slip: int) -> None:
    source = clock(list(range(0, 300, 10)) if base.denominator > 30 else list(range(30)), base)
    times = copied(source, tick, 7)
    assert common_shift(source, clock(times, tick)) is not None
    for at in range(len(times)):
        spoiled = list(times)
        spoiled[at] += slip
        assert common_shift(source, clock(spoiled, tick)) is None, at


def test_a_drift_of_one_tick_in_a_thousand_pictures_does_not_pass() -> None:
    source = clock([512 * i for i in range(1000)], Fraction(1, 12800))
    drifting = clock([512 * i + i // 999 for i in range(1000)], Fraction(1, 12800))
    assert common_shift(source, drifting) is None
    at, wanted_s, got_s = worst(source, drifting)
    assert at == 999
    assert got_s - wanted_s == Fraction(1, 12800)


def test_times_too_large_for_64_bits_are_compared_exactly() -> None:
    far = 10**12
    source = clock([far + 40 * i for i in range(50)], Fraction(1, 1000))
    output = clock([0 + 40 * i * 999_983 // 1000 for i in range(50)], Fraction(1, 999_983))
    assert common_shift(source, output) is not None
    late = output.pts.copy()
    late[3] += 2
    assert common_shift(source, Clock(late, output.time_base)) is None


@pytest.mark.parametrize("lost", [[0], [0, 1, 2], [5], [5, 6, 20], [29]])
def test_lost_pictures_leave_the_others_recognised(lost: list[int]) -> None:
    source = clock([400 * i + i * i % 11 for i in range(30)], Fraction(1, 12800))
    left = [pts + 90 for i, pts in enumerate(source.pts.tolist()) if i not in lost]
    output = clock(left, Fraction(1, 12800))
    assert not off_grid(source, output).any()
    shift = first_shift(source, output)
    assert shift.low < Fraction(90, 12800) < shift.high


def test_invented_and_repeated_times_are_strays() -> None:
    source = clock([400 * i for i in range(30)], Fraction(1, 12800))
    invented = clock(sorted([*source.pts.tolist(), 5 * 400 + 200]), Fraction(1, 12800))
    assert np.flatnonzero(off_grid(source, invented)).tolist() == [6]
    repeated = clock(sorted([*source.pts.tolist(), 5 * 400]), Fraction(1, 12800))
    assert np.flatnonzero(off_grid(source, repeated)).tolist() == [6]
