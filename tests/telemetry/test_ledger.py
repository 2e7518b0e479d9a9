"""The ledger tells work from waiting."""

from __future__ import annotations

import pytest

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
    with ledger.work("detect", frames=16):
        clock.now += 2
    with ledger.wait("detect"):
        clock.now += 5
    row = ledger.row("detect")
    assert (row.busy_s, row.wait_s, row.calls, row.frames) == (2, 5, 1, 16)


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
    with pytest.raises(KeyError):
        Ledger(["detect"]).row("detcet")
