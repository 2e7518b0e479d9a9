"""Teardown of the graph: errors, early ends and consumers that leave, in one thread and in several."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from facefx.errors import SourceError, StageError
from facefx.pipeline.channel import Cancelled, Channel
from facefx.pipeline.inline import InlineRunner, group_stages
from facefx.pipeline.stage import Work
from facefx.telemetry.account import Kind
from facefx.telemetry.ledger import Ledger
from facefx.values import FrameBatch, PixelFormat, StreamFormat

FORMAT = StreamFormat(PixelFormat.of("gray"), 4, 4, Fraction(1, 30))
THREADS = pytest.mark.parametrize("threads", [1, 2, 3])
JOIN_S = 20.0


def work(i: int) -> Work:
    number = np.array([i], np.int64)
    return Work(FrameBatch(FORMAT, ((np.zeros((4, 4), np.uint8),),), number, number))


class Count:
    """A source of n batches that remembers how far it was read and whether it was closed."""

    name = "decode"

    def __init__(self, n: int, fail_at: int | None = None, error: Exception | None = None) -> None:
        self.n, self.fail_at, self.error = n, fail_at, error
        self.read = 0
        self.closed = 0

    def setup(self) -> None:
        self.read = 0

    def items(self) -> Iterator[Work]:
        for i in range(self.n):
            if i == self.fail_at:
                raise self.error or RuntimeError("boom")
            self.read += 1
            yield work(i)

    def close(self) -> None:
        self.closed += 1


class Pass:
    """A stage that keeps the last `hold` batches back, and can fail at any call."""

    def __init__(self, name: str, hold: int = 0, fail: str = "", error: Exception | None = None) -> None:
        self.name, self.hold, self.fail = name, hold, fail
        self.error = error or RuntimeError("boom")
        self.kept: list[Work] = []
        self.closed = 0
        self.threads: set[int] = set()

    def _may_fail(self, call: str) -> None:
        if call == self.fail:
            raise self.error

    def setup(self) -> None:
        self._may_fail("setup")

    def process(self, work: Work) -> Sequence[Work]:
        self._may_fail("process")
        self.threads.add(threading.get_ident())
        self.kept.append(work)
        ready = self.kept[: max(len(self.kept) - self.hold, 0)]
        self.kept = self.kept[len(ready) :]
        return ready

    def flush(self) -> Sequence[Work]:
        self._may_fail("flush")
        rest, self.kept = self.kept, []
        return rest

    def close(self) -> None:
        self.closed += 1


def graph(source: Count, stages: list[Pass], threads: int) -> InlineRunner:
    ledger = Ledger([source.name, *(stage.name for stage in stages)])
    return InlineRunner(source, stages, ledger, threads)


def names() -> list[Pass]:
    return [Pass("detect", hold=3), Pass("blend"), Pass("encode")]


def facefx_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("facefx-")]


@THREADS
def test_no_batch_is_lost_or_reordered_by_look_ahead_and_threads(threads: int) -> None:
    source, stages = Count(50), names()
    seen = [int(item.batch.pts[0]) for item in graph(source, stages, threads).stream()]
    assert seen == list(range(50))
    assert [source.closed, *(stage.closed for stage in stages)] == [1, 1, 1, 1]


@THREADS
@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("call", ["setup", "process", "flush"])
def test_a_stage_that_fails_ends_the_run_and_closes_every_stage(threads: int, where: int, call: str) -> None:
    source, stages = Count(200), names()
    stages[where] = Pass(stages[where].name, fail=call)
    with pytest.raises(StageError, match=f"stage {stages[where].name} failed: RuntimeError: boom"):
        list(graph(source, stages, threads).stream())
    assert source.closed == (1 if call != "setup" or where >= 0 else 0)
    assert all(stage.closed == 1 for stage in stages[: where + 1])
    assert not facefx_threads()


@THREADS
def test_a_source_that_fails_midway_is_not_taken_for_the_end(threads: int) -> None:
    source = Count(50, fail_at=20, error=SourceError("x.mp4: gone"))
    with pytest.raises(SourceError, match="gone"):
        list(graph(source, names(), threads).stream())
    assert not facefx_threads()


@THREADS
def test_a_consumer_that_leaves_ends_the_threads_and_does_not_drain_the_source(threads: int) -> None:
    source, stages = Count(10_000), names()
    stream = graph(source, stages, threads).stream()
    next(stream)
    stream.close()
    assert source.read < 100
    assert source.closed == 1
    assert all(stage.closed == 1 for stage in stages)
    assert not facefx_threads()


def test_an_interrupt_of_the_consumer_closes_the_graph() -> None:
    source, stages = Count(10_000), names()

    def consume() -> None:
        for _ in graph(source, stages, 3).stream():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not facefx_threads()
    assert source.closed == 1


@pytest.mark.parametrize(("threads", "sizes"), [(1, [3]), (2, [2, 1]), (3, [0, 2, 1])])
def test_threads_group_the_stages_from_the_encoder_on(threads: int, sizes: list[int]) -> None:
    assert [len(group) for group in group_stages(names(), threads)] == sizes


def test_backpressure_keeps_a_fast_source_from_running_ahead() -> None:
    source = Count(1000)
    stream = graph(source, [Pass("detect"), Pass("encode")], 3).stream()
    next(stream)
    # One item in each hand and two in each of two channels: nothing more may have been read.
    assert source.read <= 1 + 2 * 2 + 3
    stream.close()


def test_the_ledger_of_a_run_counts_every_frame_in_every_stage() -> None:
    runner = graph(Count(30), names(), 2)
    list(runner.stream())
    assert {row.stage: row.frames for row in runner.ledger.rows()} == dict.fromkeys(
        ("decode", "detect", "blend", "encode"), 30
    )
    assert runner.ledger.wall_s > 0


WAITS = {
    1: set(),
    2: {("blend", Kind.WAIT_OUT), ("encode", Kind.WAIT_IN)},
    3: {
        ("decode", Kind.WAIT_OUT),
        ("detect", Kind.WAIT_IN),
        ("blend", Kind.WAIT_OUT),
        ("encode", Kind.WAIT_IN),
    },
}


@THREADS
def test_only_stages_beside_a_queue_wait_and_on_the_side_where_it_is(threads: int) -> None:
    runner = graph(Count(30), names(), threads)
    list(runner.stream())
    parts = [part for thread in runner.ledger.account().threads for part in thread.parts]
    waits = {(part.name, part.kind) for part in parts if part.kind in (Kind.WAIT_IN, Kind.WAIT_OUT)}
    assert waits == WAITS[threads]


@THREADS
def test_each_threads_work_stands_under_its_own_name(threads: int) -> None:
    runner = graph(Count(30), names(), threads)
    list(runner.stream())
    worked = [
        {part.name for part in thread.parts if part.kind is Kind.WORK}
        for thread in runner.ledger.account().threads
    ]
    groups = {
        1: [{"decode", "detect", "blend", "encode"}],
        2: [{"encode"}, {"decode", "detect", "blend"}],
        3: [{"encode"}, {"decode"}, {"detect", "blend"}],
    }
    assert sorted(worked, key=sorted) == sorted(groups[threads], key=sorted)


class Clock:
    """A clock that only work moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(Pass):
    """A stage whose every batch takes 50 ms."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name)
        self.clock = clock

    def process(self, work: Work) -> Sequence[Work]:
        self.clock.now += 0.05
        return super().process(work)


@pytest.mark.parametrize("slow", ["detect", "landmark", "blend", "encode"])
def test_time_spent_in_one_stage_is_charged_to_no_other(slow: str) -> None:
    clock = Clock()
    stages = [
        Slow(name, clock) if name == slow else Pass(name)
        for name in ("detect", "landmark", "blend", "encode")
    ]
    ledger = Ledger(["decode", *(stage.name for stage in stages)], clock)
    list(InlineRunner(Count(10), stages, ledger).stream())
    spent = {row.stage: round(row.busy_s + row.wait_s, 6) for row in ledger.rows()}
    assert spent == {**dict.fromkeys(spent, 0.0), slow: 0.5}


def test_preparing_a_stage_is_charged_to_it_and_not_to_its_frames() -> None:
    clock = Clock()

    class Heavy(Pass):
        def setup(self) -> None:
            clock.now += 2

    ledger = Ledger(["decode", "detect", "encode"], clock)
    list(InlineRunner(Count(3), [Heavy("detect"), Pass("encode")], ledger).stream())
    assert [(row.setup_s, row.busy_s) for row in ledger.rows()] == [(0, 0), (2, 0), (0, 0)]


def test_what_the_consumer_does_with_a_batch_is_no_stages_time() -> None:
    clock = Clock()
    ledger = Ledger(["decode", "detect", "blend", "encode"], clock)
    for _ in InlineRunner(Count(10), names(), ledger).stream():
        clock.now += 0.05
    assert [row.busy_s for row in ledger.rows()] == [0, 0, 0, 0]
    assert ledger.account().threads[0].seconds("consumer", Kind.OUTSIDE) == pytest.approx(0.5)


def test_channel_put_into_a_cancelled_channel_does_not_block() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)

    def put() -> None:
        with pytest.raises(Cancelled):
            channel.put(2)

    blocked = threading.Thread(target=put)
    blocked.start()
    channel.cancel()
    blocked.join(JOIN_S)
    assert not blocked.is_alive()


def test_channel_hands_out_what_was_put_before_the_end() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.put(2)
    channel.end()
    assert [channel.get(), channel.get(), channel.get()] == [1, 2, None]
