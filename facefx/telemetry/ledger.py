"""The ledger: how long each stage worked, waited, and on how many frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

__all__ = ["Ledger", "StageRow"]


@dataclass(slots=True)
class StageRow:
    """What one stage spent, in seconds.

    busy_s: inside the stage's own code, by the wall; cpu_s: the same by its thread's CPU clock
    (without threads that a codec starts); wait_s: blocked on a neighbour.
    """

    stage: str
    busy_s: float = 0.0
    cpu_s: float = 0.0
    wait_s: float = 0.0
    calls: int = 0
    frames: int = 0

    def to_json(self) -> dict[str, object]:
        """The row as plain values."""
        return asdict(self)


class Ledger:
    """One row a stage; each row is written by the one thread that runs the stage.

    >>> ledger = Ledger(["decode"])
    >>> with ledger.work("decode", frames=3): pass
    >>> ledger.row("decode").calls, ledger.row("decode").frames
    (1, 3)
    """

    def __init__(self, stages: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> None:
        self._rows = {stage: StageRow(stage) for stage in stages}
        self._clock = clock
        self._start = clock()
        self.wall_s = 0.0

    def row(self, stage: str) -> StageRow:
        """The row of a stage that was named at the start."""
        return self._rows[stage]

    def rows(self) -> tuple[StageRow, ...]:
        """Every row, in the order of the graph."""
        return tuple(self._rows.values())

    @contextmanager
    def work(self, stage: str, frames: int = 0) -> Iterator[None]:
        """Count the time inside the block as the stage's own."""
        row = self._rows[stage]
        wall, cpu = self._clock(), time.thread_time()
        try:
            yield
        finally:
            row.busy_s += self._clock() - wall
            row.cpu_s += time.thread_time() - cpu
            row.calls += 1
            row.frames += frames

    @contextmanager
    def wait(self, stage: str) -> Iterator[None]:
        """Count the time inside the block as waiting for a neighbour."""
        row = self._rows[stage]
        start = self._clock()
        try:
            yield
        finally:
            row.wait_s += self._clock() - start

    def stop(self) -> None:
        """Close the account: wall_s is the time since the ledger was opened."""
        self.wall_s = self._clock() - self._start
