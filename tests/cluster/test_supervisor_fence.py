"""A lane that nobody hears ends itself; one that somebody hears does not, whoever else is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from facefx.cluster.live_fence import Fence

LIMIT_S = 0.3
BOUND_S = 5.0
Begin = Callable[..., threading.Event]


@pytest.fixture
def fence() -> Iterator[Begin]:
    """Begins one; the answer is set when the lane was cut off."""
    made: list[Fence] = []

    def begin(**places: Callable[[], bool]) -> threading.Event:
        cut = threading.Event()
        made.append(Fence(places, lambda reason: cut.set(), limit_s=LIMIT_S, every_s=0.02))
        return cut

    yield begin
    for one in made:
        one.close()


def away() -> bool:
    raise OSError("no route")


def test_a_lane_that_nobody_hears_is_cut_off(fence: Begin) -> None:
    assert fence(store=away, cluster=lambda: False).wait(BOUND_S)


@pytest.mark.parametrize("heard", ["store", "cluster"])
def test_one_place_that_hears_is_enough(fence: Begin, heard: str) -> None:
    places = {"store": away, "cluster": away, heard: lambda: True}
    assert not fence(**places).wait(4 * LIMIT_S)


def test_a_place_that_hangs_does_not_keep_a_lane_going(fence: Begin) -> None:
    gate = threading.Event()
    try:
        assert fence(store=away, cluster=lambda: gate.wait(60)).wait(BOUND_S)
    finally:
        gate.set()


def test_an_answer_counts_from_when_it_was_asked_for(fence: Begin) -> None:
    """A yes that took longer than we may go unheard is no longer true."""

    def slow() -> bool:
        time.sleep(2 * LIMIT_S)
        return True

    assert fence(cluster=slow).wait(BOUND_S)


def test_a_lane_that_was_heard_in_time_goes_on_and_is_cut_off_when_that_ends(fence: Begin) -> None:
    hears = threading.Event()
    hears.set()
    cut = fence(store=hears.is_set)
    assert not cut.wait(3 * LIMIT_S)
    hears.clear()
    assert cut.wait(BOUND_S)


def test_a_stream_that_ended_is_not_cut_off() -> None:
    cut = threading.Event()
    one = Fence({"store": away}, lambda reason: cut.set(), limit_s=LIMIT_S, every_s=0.02)
    one.close()
    assert not cut.wait(3 * LIMIT_S)


def test_the_reason_says_who_was_asked() -> None:
    said: list[str] = []
    cut = threading.Event()

    def note(reason: str) -> None:
        said.append(reason)
        cut.set()

    one = Fence({"the store": away, "the cluster": away}, note, limit_s=LIMIT_S, every_s=0.02)
    assert cut.wait(BOUND_S)
    one.close()
    assert said[0].startswith("neither the store nor the cluster has heard of this lane for 0.")
