"""Traces of runs that never were, with times that a test knows exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facefx.telemetry.ledger import Ledger
from facefx.telemetry.trace import Trace, TraceWriter, read_trace

FACTS: Mapping[str, str] = {"source": "in.mp4", "output": "out.mp4", "failed": ""}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made_trace(path: Path, batches: int = 3, facts: Mapping[str, str] = FACTS, limit: int = 10**6) -> Trace:
    """One thread: probe 1 s; for each batch decode 0.25 s, encode waits 0.25 s and works 0.5 s."""
    clock = Clock()
    writer = TraceWriter(path, "facefx run in.mp4", 0.0, limit=limit)
    ledger = Ledger(["decode", "encode"], clock, recorder=writer)
    with ledger.outside("probe"):
        clock.now += 1
    for i in range(batches):
        with ledger.work("decode") as span:
            span.saw(16, pts=1000 * i)
            clock.now += 0.25
        with ledger.wait_in("encode"):
            clock.now += 0.25
        with ledger.work("encode") as span:
            span.saw(16, pts=1000 * i)
            clock.now += 0.5
        ledger.delivered(16)
        if i == 0:
            ledger.mark("first frame out")
    writer.finish(ledger.account(), facts)
    return read_trace(path)
