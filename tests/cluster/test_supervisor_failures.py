"""Lanes and supervisors that die, hang or were succeeded: one lane a stream, and it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from live_cluster import QUICK, Live, pushers, until

from facefx.cluster.live_ray import lane_names
from facefx.cluster.live_room import reserved

pytest_plugins = ("ray_cluster", "live_plugin")

Begin = Callable[..., Live]


def frames(one: Live, id: str = "a") -> int:
    return one.record(id).counters.get("frames_out", 0)


def test_a_killed_lane_comes_back_with_its_settings_its_tracks_and_its_counts(
    live: Begin, tmp_path: Path
) -> None:
    one, out = live(), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    one.directory.set_effects("a", ["mosaic"])
    until(lambda: frames(one) > 30)
    before = one.record("a")
    dead = one.kill_lane("a")
    after = one.until_runs("a", epoch=2)
    assert after.settings == before.settings
    assert after.token != before.token
    assert one.directory.stats("a")["effects"] == ["mosaic"]
    assert before.tracker is not None
    assert after.tracker is not None
    assert after.tracker["next"] >= before.tracker["next"]
    until(lambda: frames(one) > before.counters["frames_out"] + 5)
    until(lambda: len(pushers(out)) == 2)
    lines = out.read_text().splitlines()
    assert not any(line.startswith(f"{dead} ") for line in lines[lines.index(lines[-1]) :])
    assert len(reserved()) == 1  # in the room that was kept for it


def test_a_killed_supervisor_comes_back_and_finds_its_streams_as_they_were(
    live: Begin, tmp_path: Path
) -> None:
    one, out = live(), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    one.directory.set_effects("a", ["mosaic"])
    before, pid = one.record("a"), one.lane_pid("a")
    one.kill_supervisor()
    until(lambda: one.directory.get("a") is not None)
    assert one.record("a").token == before.token
    assert one.record("a").settings == before.settings
    assert one.lane_pid("a") == pid
    assert pushers(out) == [pid]
    until(lambda: one.directory.stats("a"))  # and is at work for it
    one.kill_lane("a")
    one.until_runs("a", epoch=2)
    assert one.directory.stats("a")["effects"] == ["mosaic"]
    assert len(reserved()) == 1


def test_a_lane_that_dies_each_time_is_given_up_with_a_reason(live: Begin) -> None:
    one = live()
    one.start("a", "dies")
    record = one.until_state("a", "failed")
    assert record.epoch == QUICK.most_lost
    assert "given up after 3 lanes were lost in a row; the last: the lane was lost: ActorDied" in record.error
    until(lambda: not lane_names() and not reserved())


def test_an_error_that_is_not_the_streams_takes_its_lane_and_is_told(live: Begin) -> None:
    one = live()
    one.start("a", "bug")
    record = one.until_state("a", "failed")
    assert record.epoch == QUICK.most_lost
    assert "ZeroDivisionError: of the session's own" in record.error
