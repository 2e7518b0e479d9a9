"""A trace is valid JSON that other people's viewers open, holds every stamp, and stays bounded."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from trace_makers import made_trace

from facefx.errors import SinkError, SourceError
from facefx.telemetry.account import Account, Kind
from facefx.telemetry.ledger import Ledger
from facefx.telemetry.trace import TraceWriter, read_trace


def events(path: Path, phase: str) -> list[dict[str, Any]]:
    """The events of one phase, as any JSON reader sees them."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    return [event for event in whole["traceEvents"] if event["ph"] == phase]


def test_every_call_is_one_event_that_says_which_batch(tmp_path: Path) -> None:
    made_trace(tmp_path / "t.json")
    calls = [event for event in events(tmp_path / "t.json", "X") if event["name"] == "encode"]
    assert [(event["ts"], event["dur"]) for event in calls] == [(1.5e6, 5e5), (2.5e6, 5e5), (3.5e6, 5e5)]
    assert calls[1]["args"] == {"stage": "encode", "frames": 16, "pts": 1000, "batch": 1}
    assert calls[1]["cat"] == "work"


def test_waiting_has_events_of_its_own(tmp_path: Path) -> None:
    made_trace(tmp_path / "t.json")
    waits = [event for event in events(tmp_path / "t.json", "X") if event["cat"] == "wait_in"]
    assert [event["name"] for event in waits] == ["encode: waiting for input"] * 3
    assert all(event["dur"] == 2.5e5 for event in waits)


def test_the_viewer_is_told_the_process_the_threads_and_their_order(tmp_path: Path) -> None:
    made_trace(tmp_path / "t.json")
    named = {event["name"]: event["args"] for event in events(tmp_path / "t.json", "M")}
    assert named == {
        "process_name": {"name": "facefx run in.mp4"},
        "thread_name": {"name": "main"},
        "thread_sort_index": {"sort_index": 0},
    }
    assert all(isinstance(event["pid"], int) for event in events(tmp_path / "t.json", "M"))


def test_marks_and_rates_are_there_for_the_viewer(tmp_path: Path) -> None:
    made_trace(tmp_path / "t.json")
    assert {event["name"] for event in events(tmp_path / "t.json", "i")} == {"first frame out"}
    rates = [event["args"]["value"] for event in events(tmp_path / "t.json", "C")]
    assert rates[1:] == [16.0, 16.0]


def test_a_trace_reads_back_as_it_was_stamped(tmp_path: Path) -> None:
    trace = made_trace(tmp_path / "t.json")
    work = trace.stretches[0, Kind.WORK, "decode"]
    assert (list(work.began), list(work.ended)) == ([1.0, 2.0, 3.0], [1.25, 2.25, 3.25])
    assert trace.marks[0] == (2.0, "first frame out")
    assert trace.account.threads[0].seconds("encode", Kind.WORK) == 1.5
    assert trace.facts["source"] == "in.mp4"


def test_a_call_that_failed_says_so(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.json", "run", 0.0)
    ledger = Ledger(["detect"], recorder=writer)

    def fail() -> None:
        with ledger.work("detect"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    writer.finish(ledger.account(), {"failed": "RuntimeError"})
    (event,) = events(tmp_path / "t.json", "X")
    assert event["args"]["error"] == "RuntimeError"


def test_events_beyond_the_limit_are_counted_and_the_sums_stay_those_of_all(tmp_path: Path) -> None:
    trace = made_trace(tmp_path / "t.json", batches=50, limit=20)
    written = len(events(tmp_path / "t.json", "X")) + len(events(tmp_path / "t.json", "C"))
    assert written == 20
    assert trace.facts["left_out"] == 1 + 3 * 50 + 50 - 20
    assert trace.account.threads[0].seconds("encode", Kind.WORK) == 25.0


def test_a_long_run_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.json", "run", 0.0)
    ledger = Ledger(["decode"], recorder=writer)

    def stamp(times: int) -> int:
        for i in range(times):
            with ledger.work("decode") as span:
                span.saw(16, pts=i)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = stamp(2_000)
        after = stamp(20_000)
    finally:
        tracemalloc.stop()
    writer.finish(ledger.account(), {})
    assert after - before < 64_000  # 20 000 events kept would be some 10 MB


def test_what_the_tracing_took_is_in_the_account(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t.json", "run", 0.0)
    ledger = Ledger(["decode"], recorder=writer)
    with ledger.work("decode"):
        pass
    own = ledger.account().threads[0].seconds("tracing", Kind.OUTSIDE)
    writer.finish(ledger.account(), {})
    assert own > 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON at all",
        "[]",
        "null",
        '{"traceEvents": []}',
        '{"traceEvents": [], "otherData": {"account": 3}}',
        '{"traceEvents": [{"ph": "X", "cat": "v8", "name": "gc", "tid": 1, "ts": 0, "dur": 1, "args": {}}]}',
        '{"traceEvents": [{"ph": "X", "cat": "work", "args": []}], "otherData": {}}',
        '{"displayTimeUnit":"ms","traceEvents":[\n{"ph":"M"}',
    ],
)
def test_what_is_no_trace_of_a_run_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"x\.json: is no trace of a run .*facefx run --trace"):
        read_trace(path)


def test_a_file_that_is_not_there_or_is_no_text_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_trace(tmp_path / "gone.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(SourceError, match="is no trace of a run"):
        read_trace(tmp_path / "b.json")


def test_a_disk_that_is_full_is_an_error_by_name(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is not there")
    writer = TraceWriter(full, "run", 0.0)
    with pytest.raises(SinkError, match="trace cannot be written: No space left"):
        writer.finish(Account(0.0, 0), {})
