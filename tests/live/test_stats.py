"""The counts of one stream: cut into parts that add up, in buckets that never change."""

from __future__ import annotations

import math

import pytest
from live_fakes import picture, settings, stream_format

from facefx.live.deadline import LiveFrame, Reason
from facefx.live.stats import BUCKETS_S, Histogram, LiveStats, Meter
from facefx.pipeline.live_plan import make_live_plan

FORMAT = stream_format(32, 16)


def frame(**more: object) -> LiveFrame:
    plan = make_live_plan(settings().run_config)
    made = LiveFrame(picture(FORMAT, 0, 0), plan, arrived_s=10.0, entered_s=10.01)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def stats_of(meter: Meter) -> LiveStats:
    return meter.stats(state="running", label="x", pending={}, effects={}, targets=None, tracks={}, error="")


def parts(stats: LiveStats) -> dict[tuple[str, str], float]:
    return {
        (stage, kind): round(histogram.sum_s, 6)
        for stage, kinds in stats.latency.items()
        for kind, histogram in kinds.items()
    }


def test_the_time_of_a_frame_is_cut_into_parts_that_add_up_with_what_lies_between_stages() -> None:
    meter = Meter("detect")
    spent = {"detect": 0.02, "blend": 0.005}
    meter.went(frame(started_s=10.05, done_s=10.08, spent=spent), None, 10.1, 10.12)
    stats = stats_of(meter)
    assert parts(stats) == {
        ("decode", "working"): 0.01,
        ("detect", "waiting"): 0.04,
        ("detect", "working"): 0.025,
        ("blend", "working"): 0.005,
        ("encode", "waiting"): 0.02,
        ("encode", "working"): 0.02,
    }
    assert sum(parts(stats).values()) == pytest.approx(stats.through.sum_s) == pytest.approx(0.12)


@pytest.mark.parametrize(("started_s", "waited_s", "worked_s"), [(None, 0.14, 0.0), (10.05, 0.04, 0.1)])
def test_a_covered_frames_time_stands_under_the_stage_that_kept_it(
    started_s: float | None, waited_s: float, worked_s: float
) -> None:
    meter = Meter("detect")
    meter.went(frame(started_s=started_s), Reason.LATE, 10.15, 10.16)
    stats = stats_of(meter)
    assert parts(stats)["detect", "waiting"] == waited_s
    assert parts(stats)["detect", "working"] == worked_s
    assert stats.covered == {"late": 1}
    assert sum(parts(stats).values()) == pytest.approx(stats.through.sum_s)


def test_a_frame_after_its_deadline_is_counted_as_late() -> None:
    meter = Meter("detect")
    for deadline_s in (10.2, 10.1, math.inf):
        meter.went(frame(deadline_s=deadline_s), None, 10.14, 10.15)
    assert stats_of(meter).late == 1


def test_buckets_count_what_lasted_at_most_so_long_and_hold_everything() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.001, 0.0011, 0.033, 99.0):
        histogram.add(seconds)
    upto = dict(histogram.upto())
    assert (upto["0.001"], upto["0.002"], upto["0.033"], upto["5.0"], upto["+Inf"]) == (2, 3, 4, 4, 5)
    assert list(BUCKETS_S) == sorted(BUCKETS_S)
    assert histogram.to_json()["count"] == 5


def test_rate_and_quantiles_are_of_late() -> None:
    now = [0.0]
    meter = Meter("detect", lambda: now[0])
    for i in range(100):
        now[0] = i / 25
        late = frame(arrived_s=now[0] - (0.2 if i % 10 == 0 else 0.02), entered_s=now[0])
        meter.went(late, None, now[0], now[0])
    stats = stats_of(meter)
    assert stats.fps == pytest.approx(25, rel=0.05)
    assert stats.p50_s == pytest.approx(0.02)
    assert stats.p95_s == pytest.approx(0.2)
    now[0] += 10
    assert stats_of(meter).fps == 0
