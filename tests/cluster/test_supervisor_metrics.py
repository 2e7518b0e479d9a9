"""A lane's figures on the cluster's metrics: exact, and with no stream's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from facefx.cluster import live_metrics
from facefx.cluster.live_metrics import LaneMetrics


class Sample(NamedTuple):
    name: str
    labels: Mapping[str, str]
    value: float
    kind: str = "counter"


class Metric:
    """As Ray's: what it was told, by its labels."""

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.tag_keys = name, tag_keys
        self.told: dict[tuple[str, ...], float] = {}
        MADE.append(self)

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert value > 0  # Ray refuses anything else
        key = tuple(tags[name] for name in self.tag_keys)
        self.told[key] = self.told.get(key, 0.0) + value

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.told[tuple(tags[name] for name in self.tag_keys)] = value


MADE: list[Any] = [None]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    MADE.clear()
    monkeypatch.setattr(live_metrics, "Counter", Metric)
    monkeypatch.setattr(live_metrics, "Gauge", Metric)


def test_a_counter_is_told_what_it_grew_by() -> None:
    metrics = LaneMetrics()
    for value in (0, 3, 3, 10):
        metrics.take([Sample("a_total", {"reason": "late"}, value), Sample("a_total", {"reason": "hung"}, 1)])
    (made,) = MADE
    assert made.told == {("late",): 10, ("hung",): 1}


def test_a_gauge_is_told_what_it_is() -> None:
    metrics = LaneMetrics()
    for value in (3, 1):
        metrics.take([Sample("faces", {}, value, "gauge")])
    assert MADE[0].told == {(): 1}


def test_a_real_sessions_figures_have_labels_of_stage_and_reason_only() -> None:
    from facefx.live.stats import Meter

    meter = Meter("detect")
    meter.came()
    stats = meter.stats(
        state="running", label="rtmp://in/***", pending={"working": 1}, effects={}, targets=None, tracks={},
        error="",
    )  # fmt: skip
    LaneMetrics().take(stats.samples())
    known = {"way", "reason", "stage", "kind", "le", "state"}
    assert {key for made in MADE for key in made.tag_keys} <= known
    assert not any("rtmp" in label for made in MADE for labels in made.told for label in labels)
    assert next(made for made in MADE if made.name == "facefx_live_frames_total").told == {("in",): 1}
