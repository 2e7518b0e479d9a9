"""/metrics: every stream's figures and the images' as Prometheus' text format has them.

Source: the exposition format, version 0.0.4, of the Prometheus documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["CONTENT_TYPE", "Line", "exposition", "image_lines", "stream_lines"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "facefx_live_up": "1 while the stream runs, by state.",
    "facefx_live_frames_total": "Frames that came in, and that went out.",
    "facefx_live_dropped_total": "Frames left out, by reason.",
    "facefx_live_covered_total": "Frames that went out black, by reason.",
    "facefx_live_failed_total": "Frames at which a stage failed.",
    "facefx_live_late_total": "Frames that went out after their deadline.",
    "facefx_live_reconnects_total": "How often the source came back.",
    "facefx_live_faces": "Faces in the newest frame.",
    "facefx_live_frames_per_second": "Frames that went out of late.",
    "facefx_live_pending_frames": "Frames between packet in and packet out.",
    "facefx_live_stage_seconds": "Time of a frame in a stage, working and waiting.",
    "facefx_live_latency_seconds": "Time of a frame from packet in to packet out.",
}


class Line(NamedTuple):
    """One sample; name without _bucket, _sum and _count, which are its suffix."""

    name: str
    suffix: str
    labels: Mapping[str, str]
    value: float
    kind: str


def stream_lines(id: str, state: str, stats: Mapping[str, Any]) -> Iterator[Line]:
    """The samples of one stream. stats: as LiveStats.to_json has them; what is missing is left out."""
    own = {"stream": id}
    yield Line("facefx_live_up", "", {**own, "state": state}, float(state == "running"), "gauge")
    for way in ("in", "out"):
        if f"frames_{way}" in stats:
            yield _counter("facefx_live_frames_total", {**own, "way": way}, stats[f"frames_{way}"])
    for outcome, key in (("dropped", "reason"), ("covered", "reason"), ("failed", "stage")):
        for reason, count in stats.get(outcome, {}).items():
            yield _counter(f"facefx_live_{outcome}_total", {**own, key: reason}, count)
    for name in ("late", "reconnects"):
        if name in stats:
            yield _counter(f"facefx_live_{name}_total", own, stats[name])
    for name, said in (("faces", "faces"), ("frames_per_second", "fps")):
        if said in stats:
            yield Line(f"facefx_live_{name}", "", own, stats[said], "gauge")
    for where, count in stats.get("pending", {}).items():
        yield Line("facefx_live_pending_frames", "", {**own, "state": where}, count, "gauge")
    for stage, kinds in stats.get("latency", {}).items():
        for kind, histogram in kinds.items():
            labels = {**own, "stage": stage, "kind": kind}
            yield from _histogram("facefx_live_stage_seconds", labels, histogram)
    if "through" in stats:
        yield from _histogram("facefx_live_latency_seconds", own, stats["through"])


def image_lines(counts: Mapping[str, float]) -> Iterator[Line]:
    """The samples of the image service."""
    for name, value in counts.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield Line(f"facefx_{name}", "", {}, value, kind)


def exposition(lines: Sequence[Line]) -> str:
    """The text: samples by name, each name with its type."""
    by_name: dict[str, list[Line]] = {}
    for line in lines:
        by_name.setdefault(line.name, []).append(line)
    parts = []
    for name, group in by_name.items():
        if name in _HELP:
            parts.append(f"# HELP {name} {_HELP[name]}\n")
        parts.append(f"# TYPE {name} {group[0].kind}\n")
        parts += [f"{name}{line.suffix}{_labels(line.labels)} {line.value:.10g}\n" for line in group]
    return "".join(parts)


def _counter(name: str, labels: Mapping[str, str], value: float) -> Line:
    return Line(name, "", labels, value, "counter")


def _histogram(name: str, labels: Mapping[str, str], said: Mapping[str, Any]) -> Iterator[Line]:
    for end, count in said["buckets"].items():
        yield Line(name, "_bucket", {**labels, "le": end}, count, "histogram")
    yield Line(name, "_sum", labels, said["sum_s"], "histogram")
    yield Line(name, "_count", labels, said["count"], "histogram")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(str(value))}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
