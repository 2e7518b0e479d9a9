"""A run's every stamp as Chrome trace events: written as they come, and read again.

A trace opens in https://ui.perfetto.dev and in chrome://tracing.

Source: "Trace Event Format", Google, 2016: the JSON object form, phases X (complete), i (instant),
C (counter) and M (metadata), times in microseconds.
"""

from __future__ import annotations

import json
import os
import threading
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facefx.errors import SinkError, SourceError
from facefx.telemetry.account import Account, Kind, Part

__all__ = ["Stretches", "Trace", "TraceWriter", "read_trace"]

_SPANS = 1_000_000
_US = 1e6
# Made once: json.dumps makes one anew for every call that asks for other separators.
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class TraceWriter:
    """Writes each event to `path` at once, so memory stays the same however long the video is.

    title: the process's name in the viewer. began_unix_s: when the run began, to hold the trace beside
    logs. limit: spans and counts after that many are left out and their number noted, because no viewer
    opens a larger file; the account at the end is of all.
    The file is whole, and valid JSON, only after finish(). Any thread may call.

    Raises SinkError where the file cannot be written.
    """

    def __init__(self, path: Path, title: str, began_unix_s: float, *, limit: int = _SPANS) -> None:
        self._path, self._began, self._limit, self._pid = path, began_unix_s, limit, os.getpid()
        self._lock = threading.Lock()
        self._written = self._left_out = 0
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1 << 16)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._put('{"displayTimeUnit":"ms","traceEvents":[\n' + self._named("process_name", title))

    def thread(self, tid: int, name: str) -> None:
        """Name a thread; tid orders the threads in the viewer."""
        order = {"ph": "M", "name": "thread_sort_index", "tid": tid, "args": {"sort_index": tid}}
        self._put(",\n" + self._named("thread_name", name, tid) + ",\n" + self._event(order))

    def span(self, tid: int, part: Part, began: float, ended: float, args: dict[str, Any]) -> None:
        """Write what took from `began` to `ended`, in seconds since the run began."""
        if part.kind is not Kind.OUTSIDE:
            args = {"stage": part.name, **args}
        name = part.name if part.kind in (Kind.WORK, Kind.OUTSIDE) else f"{part.name}: {part.kind.words}"
        times = {"ts": round(began * _US, 1), "dur": round((ended - began) * _US, 1)}
        self._bounded({"ph": "X", "name": name, "cat": str(part.kind), "tid": tid, **times, "args": args})

    def mark(self, tid: int, name: str, at: float) -> None:
        """Write that something happened."""
        event = {"ph": "i", "s": "p", "name": name, "cat": "mark", "tid": tid, "ts": round(at * _US, 1)}
        self._put(",\n" + self._event(event))

    def count(self, name: str, at: float, value: float) -> None:
        """Write how large a quantity is from now on."""
        event = {"ph": "C", "name": name, "tid": 0, "ts": round(at * _US, 1)}
        self._bounded({**event, "args": {"value": round(value, 2)}})

    def finish(self, account: Account, facts: Mapping[str, Any]) -> None:
        """Close the trace with its account and whatever else is known of the run."""
        about = {
            **facts,
            "began_unix_s": self._began,
            "left_out": self._left_out,
            "account": account.to_json(),
        }
        self._put(f'\n],\n"otherData":{json.dumps(about)}}}\n')
        self.close()

    def close(self) -> None:
        """Let the file go, finished or not; safe to call again."""
        try:
            self._file.close()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _bounded(self, event: dict[str, Any]) -> None:
        with self._lock:
            if self._written >= self._limit:
                self._left_out += 1
                return
            self._written += 1
        self._put(",\n" + self._event(event))

    def _named(self, what: str, name: str, tid: int = 0) -> str:
        return self._event({"ph": "M", "name": what, "tid": tid, "args": {"name": name}})

    def _event(self, event: dict[str, Any]) -> str:
        event["pid"] = self._pid
        return _ENCODER.encode(event)

    def _put(self, text: str) -> None:
        with self._lock:
            try:
                self._file.write(text)
            except OSError as error:
                raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path}: the trace cannot be written: {error.strerror or error}; free some space")


@dataclass(slots=True)
class Stretches:
    """When one thread was at one thing: beginnings and ends in seconds, in the order of time."""

    began: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class Trace:
    """A trace as read: stretches by (thread number, kind, name), marks as (seconds, name)."""

    account: Account
    facts: Mapping[str, Any]
    stretches: Mapping[tuple[int, Kind, str], Stretches]
    marks: tuple[tuple[float, str], ...]


def read_trace(path: Path) -> Trace:
    """Read what a TraceWriter wrote, keeping 16 bytes of each event.

    Raises SourceError for a file that cannot be read or is no such trace.
    """
    found = _Events()
    try:
        with path.open(encoding="utf-8") as file:
            whole = json.load(file, object_hook=found.take)
        facts = whole["otherData"]
        account = Account.from_json(facts["account"])
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceError(
            f"{path}: is no trace of a run ({type(error).__name__}: {error}); "
            "expected the file that `facefx run --trace` wrote"
        ) from error
    return Trace(account, facts, found.stretches, tuple(found.marks))


class _Events:
    """Takes every JSON object as it is read, so that events are never all in memory as objects."""

    def __init__(self) -> None:
        self.stretches: dict[tuple[int, Kind, str], Stretches] = {}
        self.marks: list[tuple[float, str]] = []

    def take(self, plain: dict[str, Any]) -> dict[str, Any] | None:
        phase = plain.get("ph")
        if phase is None:
            return plain
        if phase == "X":
            kind = Kind(plain["cat"])
            name = str(plain["args"].get("stage", plain["name"]))
            at = self.stretches.setdefault((int(plain["tid"]), kind, name), Stretches())
            at.began.append(plain["ts"] / _US)
            at.ended.append((plain["ts"] + plain["dur"]) / _US)
        elif phase == "i":
            self.marks.append((plain["ts"] / _US, str(plain["name"])))
        return None
