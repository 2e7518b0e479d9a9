"""The ledger tells work from waiting, thread from thread, and what it cannot say from what it can."""

from __future__ import annotations

import threading

import pytest

from facefx.telemetry.account import Account, Kind
from facefx.telemetry.ledger import Ledger


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_waiting_is_not_counted_as_work() -> None:
    clock = Clock()
    ledger = Ledger(["detect"], clock)
    with ledger.work("detect") as span:
        span.saw(16, pts=0)
        clock.now += 2
    with ledger.wait_in("detect"):
        clock.now += 5
    with ledger.wait_out("detect"):
        clock.now += 7
    row = ledger.row("detect")
    assert (row.busy_s, row.wait_in_s, row.wait_out_s, row.wait_s) == (2, 5, 7, 12)
    assert (row.calls, row.frames) == (1, 16)


def test_setup_is_neither_work_on_frames_nor_a_call() -> None:
    clock = Clock()
    ledger = Ledger(["detect"], clock)
    with ledger.setup("detect"):
        clock.now += 4
    row = ledger.row("detect")
    assert (row.setup_s, row.busy_s, row.calls) == (4, 0, 0)


def test_work_that_fails_is_still_counted() -> None:
    clock = Clock()
    ledger = Ledger(["detect"], clock)

    def fail() -> None:
        with ledger.work("detect"):
            clock.now += 3
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert ledger.row("detect").busy_s == 3


def test_a_stage_nobody_named_is_an_error_not_a_new_row() -> None:
    ledger = Ledger(["detect"])
    with pytest.raises(KeyError):
        ledger.row("detcet")
    with pytest.raises(KeyError):
        ledger.work("detcet")


def test_stages_may_be_named_after_work_outside_them_was_counted() -> None:
    ledger = Ledger()
    with ledger.outside("probe"):
        pass
    ledger.declare(["decode", "encode"])
    assert [row.stage for row in ledger.rows()] == ["decode", "encode"]


def test_each_thread_has_its_own_account_and_its_own_life() -> None:
    clock = Clock()
    ledger = Ledger(["decode", "encode"], clock)
    clock.now += 1

    def serve() -> None:
        with ledger.thread("worker"):
            with ledger.work("decode"):
                clock.now += 2
            clock.now += 0.5

    worker = threading.Thread(target=serve)
    worker.start()
    worker.join()
    with ledger.wait_in("encode"):
        clock.now += 4
    account = ledger.account()
    main, other = account.threads
    assert (main.thread, main.alive_s, main.counted_s) == ("main", 7.5, 4)
    assert (other.thread, other.alive_s, other.counted_s, other.rest_s) == ("worker", 2.5, 2, 0.5)
    assert main.seconds("encode", Kind.WAIT_IN) == 4
    assert account.total_s == 7.5


def test_what_the_run_lasted_before_the_ledger_is_counted_as_its_start() -> None:
    clock = Clock()
    ledger = Ledger(clock=clock, lead_s=0.5)
    clock.now += 1
    account = ledger.account()
    assert account.total_s == 1.5
    assert account.threads[0].seconds("start", Kind.OUTSIDE) == 0.5


def test_the_graphs_time_leaves_out_what_came_before_it() -> None:
    clock = Clock()
    ledger = Ledger(clock=clock)
    clock.now += 10
    ledger.begin()
    clock.now += 3
    ledger.stop()
    clock.now += 10
    assert ledger.wall_s == 3


def test_an_account_survives_being_written_and_read() -> None:
    clock = Clock()
    ledger = Ledger(["decode"], clock)
    with ledger.work("decode") as span:
        span.saw(16, pts=7)
        clock.now += 2
    ledger.delivered(16)
    account = ledger.account()
    assert account.frames == 16
    assert Account.from_json(account.to_json()) == account


def test_an_account_is_a_copy_that_later_work_does_not_change() -> None:
    clock = Clock()
    ledger = Ledger(["decode"], clock)
    with ledger.work("decode"):
        clock.now += 2
    account = ledger.account()
    with ledger.work("decode"):
        clock.now += 2
    assert account.threads[0].seconds("decode", Kind.WORK) == 2
