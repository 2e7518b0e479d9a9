"""A lane's figures for Prometheus. Labels name stages and reasons, never a stream: they stay few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ray.util.metrics import Counter, Gauge

__all__ = ["LaneMetrics", "Sample"]


class Sample(Protocol):
    """One number of a session; facefx.live.stats.Sample is the real one. kind: counter or gauge."""

    @property
    def name(self) -> str:
        """Under Prometheus' rules."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Which of several."""

    @property
    def value(self) -> float:
        """Of a counter: since the session began."""

    @property
    def kind(self) -> str:
        """Whether it only grows."""


class LaneMetrics:
    """Hands a session's numbers to the cluster's metrics agent, which adds its own prefix ray_.

    Histograms come as their buckets, sum and count, each a counter: exact, however seldom they are taken.
    For one thread.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._taken: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def take(self, samples: Iterable[Sample]) -> None:
        """Bring the metrics up to these numbers."""
        for sample in samples:
            labels = dict(sample.labels)
            if sample.kind == "gauge":
                self._metric(Gauge, sample.name, labels).set(sample.value, tags=labels)
                continue
            key = (sample.name, tuple(sorted(labels.items())))
            grown = sample.value - self._taken.get(key, 0.0)
            if grown > 0:
                self._metric(Counter, sample.name, labels).inc(grown, tags=labels)
                self._taken[key] = sample.value

    def _metric(self, kind: type, name: str, labels: Mapping[str, str]) -> Any:
        if name not in self._made:
            self._made[name] = kind(name, "of live streams", tag_keys=tuple(labels))
        return self._made[name]
