"""Where each frame's time went, and what became of it: counted while it runs, told as plain values."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from facefx.live.deadline import LiveFrame, Reason
from facefx.video.info import to_json

__all__ = ["BUCKETS_S", "Histogram", "LiveStats", "Meter", "Sample", "samples_of"]

# Upper ends in seconds, fixed so that streams and versions can be added up.
BUCKETS_S = (
    0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
_RECENT = 600
_RATE_S = 2.0


@dataclass(slots=True)
class Histogram:
    """Durations: counts by bucket (one more than BUCKETS_S has ends), their number and sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    count: int = 0
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.count += 1
        self.sum_s += seconds

    def copy(self) -> Histogram:
        """A copy that stays as it is."""
        return Histogram(list(self.counts), self.count, self.sum_s)

    def to_json(self) -> dict[str, Any]:
        """Plain values; buckets: how many lasted at most so many seconds."""
        return {"count": self.count, "sum_s": round(self.sum_s, 6), "buckets": dict(self.upto())}

    def upto(self) -> Iterator[tuple[str, int]]:
        """(upper end, how many lasted at most that long), the last end "+Inf"."""
        total = 0
        for end, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            total += count
            yield end, total


class Sample(NamedTuple):
    """One number for an exporter. kind: counter, gauge, or histogram for a part of one, which only grows."""

    name: str
    labels: Mapping[str, str]
    value: float
    kind: str

    @property
    def family(self) -> str:
        """The name of the metric that it is a part of.

        >>> Sample("latency_seconds_bucket", {"le": "1"}, 2, "histogram").family
        'latency_seconds'
        """
        return self.name.rpartition("_")[0] if self.kind == "histogram" else self.name


@dataclass(frozen=True, slots=True)
class LiveStats:
    """One stream so far.

    state: starting, running, reconnecting, ended or failed. latency: of the frames that went out, by stage
    "working" and, where they do, "waiting"; through: packet in to packet out, which is the sum of all these.
    late: frames that went out after their deadline. faces: in the newest frame. tracks: see
    LiveAnalyzer.export. fps, p50_s, p95_s, p99_s: of late.
    """

    state: str
    label: str
    uptime_s: float
    frames_in: int
    frames_out: int
    dropped: Mapping[str, int]
    covered: Mapping[str, int]
    failed: Mapping[str, int]
    late: int
    faces: int
    fps: float
    p50_s: float
    p95_s: float
    p99_s: float
    latency: Mapping[str, Mapping[str, Histogram]]
    through: Histogram
    reconnects: int
    sound: Mapping[str, int]
    pending: Mapping[str, int]
    effects: Mapping[str, Any]
    targets: Any
    tracks: Mapping[str, Any]
    error: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        for name in ("uptime_s", "fps", "p50_s", "p95_s", "p99_s"):
            plain[name] = round(plain[name], 4)
        plain["latency"] = {
            stage: {kind: histogram.to_json() for kind, histogram in kinds.items()}
            for stage, kinds in self.latency.items()
        }
        plain["through"] = self.through.to_json()
        return {key: to_json(value) for key, value in plain.items()}

    def samples(self) -> Iterator[Sample]:
        """Numbers under Prometheus' naming rules, for whoever exports them."""
        return samples_of(self.to_json())


def samples_of(stats: Mapping[str, Any]) -> Iterator[Sample]:
    """The same of LiveStats.to_json, wherever it was made; what is missing is left out."""
    for way in ("in", "out"):
        if f"frames_{way}" in stats:
            yield Sample("facefx_live_frames_total", {"way": way}, stats[f"frames_{way}"], "counter")
    for outcome, key in (("dropped", "reason"), ("covered", "reason"), ("failed", "stage")):
        for reason, count in stats.get(outcome, {}).items():
            yield Sample(f"facefx_live_{outcome}_total", {key: reason}, count, "counter")
    for name in ("late", "reconnects"):
        if name in stats:
            yield Sample(f"facefx_live_{name}_total", {}, stats[name], "counter")
    for name, said in (("faces", "faces"), ("frames_per_second", "fps")):
        if said in stats:
            yield Sample(f"facefx_live_{name}", {}, stats[said], "gauge")
    for state, count in stats.get("pending", {}).items():
        yield Sample("facefx_live_pending_frames", {"state": state}, count, "gauge")
    for stage, kinds in stats.get("latency", {}).items():
        for kind, histogram in kinds.items():
            yield from _parts("facefx_live_stage_seconds", {"stage": stage, "kind": kind}, histogram)
    if "through" in stats:
        yield from _parts("facefx_live_latency_seconds", {}, stats["through"])


def _parts(name: str, labels: Mapping[str, str], histogram: Mapping[str, Any]) -> Iterator[Sample]:
    for end, count in histogram["buckets"].items():
        yield Sample(f"{name}_bucket", {**labels, "le": end}, count, "histogram")
    yield Sample(f"{name}_sum", labels, histogram["sum_s"], "histogram")
    yield Sample(f"{name}_count", labels, histogram["count"], "histogram")


class Meter:
    """Counts for one stream, from any thread. first: the stage that frames wait for."""

    def __init__(self, first: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._first = first
        self._latency: dict[str, dict[str, Histogram]] = {}
        self._through = Histogram()
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._out_at: deque[float] = deque(maxlen=_RECENT)
        self._in = self._out = self._late = self._faces = self._reconnects = 0
        self._dropped: Counter[str] = Counter()
        self._covered: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._sound: Counter[str] = Counter()

    def came(self) -> None:
        """A frame has come."""
        with self._lock:
            self._in += 1

    def reconnected(self) -> None:
        """The source is there again."""
        with self._lock:
            self._reconnects += 1

    def dropped(self, frame: LiveFrame, reason: Reason) -> None:
        """A frame was left out."""
        with self._lock:
            self._dropped[reason.value] += 1

    def failed(self, stage: str) -> None:
        """A stage raised at a frame."""
        with self._lock:
            self._failed[stage] += 1

    def sound(self, outcome: str) -> None:
        """A packet of sound was copied, or left out."""
        with self._lock:
            self._sound[outcome] += 1

    def went(self, frame: LiveFrame, reason: Reason | None, began_s: float, ended_s: float) -> None:
        """A frame is out: its time, cut into what each stage worked on it and let it wait.

        reason: why it was covered, None where it was not. began_s, ended_s: of the output's work on it.
        """
        started_s = began_s if frame.started_s is None else frame.started_s
        done_s = began_s if frame.done_s is None else frame.done_s
        spent = dict(frame.spent) if frame.done_s is not None else {}
        # What is left of the work's time, or all of it where it is not done, is the first stage's.
        first = self._first
        spent[first] = spent.get(first, 0.0) + (done_s - started_s) - sum(spent.values())
        with self._lock:
            self._add("decode", "working", frame.entered_s - frame.arrived_s)
            self._add(first, "waiting", started_s - frame.entered_s)
            for stage, seconds in spent.items():
                self._add(stage, "working", seconds)
            self._add("encode", "waiting", began_s - done_s)
            self._add("encode", "working", ended_s - began_s)
            through = ended_s - frame.arrived_s
            self._through.add(through)
            self._recent.append(through)
            self._out_at.append(ended_s)
            self._out += 1
            self._late += ended_s > frame.deadline_s
            self._faces = frame.faces
            if reason is not None:
                self._covered[reason.value] += 1

    def _add(self, stage: str, kind: str, seconds: float) -> None:
        kinds = self._latency.setdefault(stage, {})
        kinds.setdefault(kind, Histogram()).add(max(0.0, seconds))

    def stats(self, **more: Any) -> LiveStats:
        """All that was counted, with what only others know."""
        with self._lock:
            recent = sorted(self._recent)
            return LiveStats(
                uptime_s=self._clock() - self._began,
                frames_in=self._in,
                frames_out=self._out,
                dropped=dict(self._dropped),
                covered=dict(self._covered),
                failed=dict(self._failed),
                late=self._late,
                faces=self._faces,
                fps=self._fps(),
                p50_s=_quantile(recent, 0.5),
                p95_s=_quantile(recent, 0.95),
                p99_s=_quantile(recent, 0.99),
                latency={
                    stage: {kind: histogram.copy() for kind, histogram in kinds.items()}
                    for stage, kinds in self._latency.items()
                },
                through=self._through.copy(),
                reconnects=self._reconnects,
                sound=dict(self._sound),
                **more,
            )

    def _fps(self) -> float:
        """Frames that went out in the last two seconds, a second; since the first where that is less ago."""
        now = self._clock()
        since = sum(now - at <= _RATE_S for at in self._out_at)
        passed_s = min(_RATE_S, now - self._out_at[0]) if self._out_at else 0.0
        return since / passed_s if passed_s > 0 else 0.0


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
