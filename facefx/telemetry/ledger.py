"""The ledger: how long each stage worked and waited, what else took time, and on which thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from facefx.telemetry.account import Account, Kind, Part, ThreadAccount

__all__ = ["Ledger", "Recorder", "Span", "StageRow"]

_RATE_S = 0.5


@dataclass(slots=True)
class StageRow:
    """What one stage spent, in seconds.

    busy_s: in the stage's own code on frames, by the wall; cpu_s: the same by its thread's CPU clock
    (without threads that a codec starts); setup_s: before the first frame. wait_in_s: blocked for want
    of input, wait_out_s: blocked for want of room behind it, each by its own clock; wait_s: both.
    """

    stage: str
    busy_s: float = 0.0
    cpu_s: float = 0.0
    wait_s: float = 0.0
    wait_in_s: float = 0.0
    wait_out_s: float = 0.0
    setup_s: float = 0.0
    calls: int = 0
    frames: int = 0

    def to_json(self) -> dict[str, object]:
        """The row as plain values."""
        return asdict(self)

    def add(self, part: Part) -> None:
        """Add what one thread spent on this stage."""
        if part.kind is Kind.WORK:
            self.busy_s += part.seconds
            self.cpu_s += part.cpu_s
            self.calls += part.calls
            self.frames += part.frames
        elif part.kind is Kind.SETUP:
            self.setup_s += part.seconds
        elif part.kind is Kind.WAIT_IN:
            self.wait_in_s += part.seconds
        elif part.kind is Kind.WAIT_OUT:
            self.wait_out_s += part.seconds
        self.wait_s = self.wait_in_s + self.wait_out_s


class Recorder(Protocol):
    """Who keeps every single stamp; times are seconds since the ledger was opened."""

    def thread(self, tid: int, name: str) -> None:
        """A thread has come."""

    def span(self, tid: int, part: Part, began: float, ended: float, args: dict[str, Any]) -> None:
        """Something has ended."""

    def mark(self, tid: int, name: str, at: float) -> None:
        """Something has happened."""

    def count(self, name: str, at: float, value: float) -> None:
        """A quantity has changed."""


@dataclass(slots=True)
class _Lane:
    """One thread's side of the ledger; only that thread writes it."""

    tid: int
    name: str
    began: float
    ended: float | None = None
    parts: dict[tuple[Kind, str], Part] = field(default_factory=dict)

    def part(self, kind: Kind, name: str) -> Part:
        key = (kind, name)
        if key not in self.parts:
            self.parts[key] = Part(name, kind)
        return self.parts[key]


class _Current(threading.local):
    """The calling thread's own lane."""

    lane: _Lane | None = None


class Span:
    """A stretch of one thread's time: a context manager that stamps its own beginning and end."""

    __slots__ = ("_args", "_began", "_cpu", "_lane", "_ledger", "_part")

    def __init__(self, ledger: Ledger, lane: _Lane, part: Part, args: dict[str, Any]) -> None:
        self._ledger, self._lane, self._part, self._args = ledger, lane, part, args
        self._began = self._cpu = 0.0

    def saw(self, frames: int, pts: int | None) -> None:
        """Note how many frames it was about, and the first one's pts; None where there is none."""
        # Batches are never cut anew, so a stage's n-th call is about the source's n-th batch.
        self._args.update(frames=frames, pts=pts, batch=self._part.calls)
        self._part.frames += frames

    def __enter__(self) -> Self:
        self._cpu = time.thread_time()
        self._began = self._ledger.clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._ledger.clock()
        part = self._part
        part.seconds += ended - self._began
        part.calls += 1
        if part.kind is Kind.WORK:
            part.cpu_s += time.thread_time() - self._cpu
        if self._ledger.recorder is not None:
            self._record(self._ledger.recorder, ended, kind)

    def _record(self, recorder: Recorder, ended: float, error: type[BaseException] | None) -> None:
        """Hand the stamps on; what that takes is counted too, or it would be missing from the sum."""
        if error is not None:
            self._args["error"] = error.__name__
        opened = self._ledger.opened
        recorder.span(self._lane.tid, self._part, self._began - opened, ended - opened, self._args)
        own = self._lane.part(Kind.OUTSIDE, "tracing")
        own.seconds += self._ledger.clock() - ended
        own.calls += 1


class Ledger:
    """Counts by thread and part, and hands every stamp on to a recorder where there is one.

    Spans of one thread never overlap, so its parts add up to its life but for the loop between them.
    The thread that opens the ledger is "main". lead_s: seconds that the run has already lasted, counted
    as the part "start".

    >>> ledger = Ledger(["decode"])
    >>> with ledger.work("decode") as span: span.saw(frames=3, pts=0)
    >>> ledger.row("decode").calls, ledger.row("decode").frames
    (1, 3)
    """

    def __init__(
        self,
        stages: Sequence[str] = (),
        clock: Callable[[], float] = time.perf_counter,
        *,
        lead_s: float = 0.0,
        recorder: Recorder | None = None,
    ) -> None:
        self.clock = clock
        self.recorder = recorder
        self.opened = clock() - lead_s
        self.wall_s = 0.0
        self._graph_began = self.opened
        self._stages = list(stages)
        self._lanes: list[_Lane] = []
        self._current = _Current()
        self._opening = threading.Lock()
        self._frames = 0
        self._rate = (0, 0.0)
        main = self._open("main", self.opened)
        if lead_s > 0:
            start = main.part(Kind.OUTSIDE, "start")
            start.seconds, start.calls = lead_s, 1
            if recorder is not None:
                recorder.span(main.tid, start, 0.0, lead_s, {})

    def declare(self, stages: Sequence[str]) -> None:
        """Name the stages of the graph, in its order, where they were not known at the start."""
        self._stages = list(stages)

    def work(self, stage: str, call: str = "process") -> Span:
        """Count the block as the stage's own work on frames; call: its method, where it is not `process`."""
        return self._stage_span(Kind.WORK, stage, {} if call == "process" else {"call": call})

    def setup(self, stage: str) -> Span:
        """Count the block as the stage's preparation."""
        return self._stage_span(Kind.SETUP, stage, {})

    def wait_in(self, stage: str) -> Span:
        """Count the block as the stage's waiting for something to work on."""
        return self._stage_span(Kind.WAIT_IN, stage, {})

    def wait_out(self, stage: str) -> Span:
        """Count the block as the stage's waiting for room to put what it has made."""
        return self._stage_span(Kind.WAIT_OUT, stage, {})

    def outside(self, name: str, **args: Any) -> Span:
        """Count the block as work outside the stages, under its own name."""
        lane = self._lane()
        return Span(self, lane, lane.part(Kind.OUTSIDE, name), args)

    @contextmanager
    def thread(self, name: str) -> Iterator[None]:
        """Enter the calling thread for the length of the block, which is its whole life."""
        lane = self._open(name, self.clock())
        try:
            yield
        finally:
            lane.ended = self.clock()

    def mark(self, name: str) -> None:
        """Note that something has happened now."""
        if self.recorder is not None:
            self.recorder.mark(self._lane().tid, name, self.clock() - self.opened)

    def count(self, name: str, value: float) -> None:
        """Note how large a quantity is now."""
        if self.recorder is not None:
            self.recorder.count(name, self.clock() - self.opened, value)

    def delivered(self, frames: int) -> None:
        """Note that frames have left the graph; twice a second their rate is noted too."""
        self._frames += frames
        if self.recorder is None:
            return
        since, now = self._rate, self.clock() - self.opened
        if now - since[1] >= _RATE_S:
            self.recorder.count("frames per second", now, (self._frames - since[0]) / (now - since[1]))
            self._rate = (self._frames, now)

    def begin(self) -> None:
        """The graph starts."""
        self._graph_began = self.clock()
        self._rate = (self._frames, self._graph_began - self.opened)

    def stop(self) -> None:
        """The graph has ended: wall_s is how long it ran, with setup and closing."""
        self.wall_s = self.clock() - self._graph_began

    def row(self, stage: str) -> StageRow:
        """What a declared stage spent, over all threads.

        Raises KeyError for any other name.
        """
        self._known(stage)
        row = StageRow(stage)
        for lane in self._lanes:
            for part in lane.parts.values():
                if part.name == stage and part.kind is not Kind.OUTSIDE:
                    row.add(part)
        return row

    def rows(self) -> tuple[StageRow, ...]:
        """Every row, in the order of the graph."""
        return tuple(self.row(stage) for stage in self._stages)

    def account(self) -> Account:
        """What every thread did until now; the numbers are copies."""
        now = self.clock()
        threads = (
            ThreadAccount(
                lane.name,
                (now if lane.ended is None else lane.ended) - lane.began,
                tuple(Part(**asdict(part)) for part in lane.parts.values()),
            )
            for lane in self._lanes
        )
        return Account(now - self.opened, self._frames, tuple(threads))

    def _stage_span(self, kind: Kind, stage: str, args: dict[str, Any]) -> Span:
        self._known(stage)
        lane = self._lane()
        return Span(self, lane, lane.part(kind, stage), args)

    def _known(self, stage: str) -> None:
        if stage not in self._stages:
            raise KeyError(stage)

    def _lane(self) -> _Lane:
        return self._current.lane or self._open(threading.current_thread().name, self.clock())

    def _open(self, name: str, began: float) -> _Lane:
        with self._opening:
            lane = _Lane(len(self._lanes), name, began)
            self._lanes.append(lane)
        self._current.lane = lane
        if self.recorder is not None:
            self.recorder.thread(lane.tid, name)
        return lane
