"""/metrics: every stream's figures and the images' as Prometheus' text format has them.

Source: the exposition format, version 0.0.4, of the Prometheus documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from facefx.live.stats import Sample, samples_of

__all__ = ["CONTENT_TYPE", "exposition", "image_lines", "stream_lines"]

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


def stream_lines(id: str, state: str, stats: Mapping[str, Any]) -> Iterator[Sample]:
    """The samples of one stream. stats: as LiveStats.to_json has them; what is missing is left out."""
    yield Sample("facefx_live_up", {"stream": id, "state": state}, float(state == "running"), "gauge")
    for sample in samples_of(stats):
        yield sample._replace(labels={"stream": id, **sample.labels})


def image_lines(counts: Mapping[str, float]) -> Iterator[Sample]:
    """The samples of the image service."""
    for name, value in counts.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield Sample(f"facefx_{name}", {}, value, kind)


def exposition(lines: Sequence[Sample]) -> str:
    """The text: samples by name, each name with its type."""
    by_name: dict[str, list[Sample]] = {}
    for line in lines:
        by_name.setdefault(line.family, []).append(line)
    parts = []
    for name, group in by_name.items():
        if name in _HELP:
            parts.append(f"# HELP {name} {_HELP[name]}\n")
        parts.append(f"# TYPE {name} {group[0].kind}\n")
        parts += [f"{line.name}{_labels(line.labels)} {line.value:.10g}\n" for line in group]
    return "".join(parts)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(str(value))}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
