"""Lanes and supervisors that die, hang or were succeeded: one lane a stream, and it goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from live_cluster import QUICK, Live, pushers, until, until_gone

from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_ray import find, lane_names
from facefx.cluster.live_room import LaneNeeds, reserve, reserved
from facefx.cluster.placement import Node
from facefx.errors import UsageError

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


def test_a_lane_that_hangs_is_ended_and_replaced_and_pushes_no_more(live: Begin, tmp_path: Path) -> None:
    one, out = live(), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    pid = one.lane_pid("a")
    os.kill(pid, signal.SIGSTOP)
    try:
        one.until_runs("a", epoch=2)
        until(lambda: len(pushers(out)) == 2)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    until_gone(pid)
    written = out.read_text().splitlines()
    other = next(n for n, line in enumerate(written) if not line.startswith(f"{pid} "))
    assert not any(line.startswith(f"{pid} ") for line in written[other:])


def test_a_session_that_does_not_end_is_ended(live: Begin) -> None:
    one = live()
    one.start("a", "deaf")
    one.until_runs("a")
    pid, began = one.lane_pid("a"), time.monotonic()
    one.directory.stop("a")
    assert time.monotonic() - began < 12
    until_gone(pid)
    assert one.record("a").state == "ended"


def test_a_lane_and_a_reservation_that_are_nobodys_are_ended(live: Begin) -> None:
    one = live(policy=replace(QUICK, orphan_s=2.0))
    one.start("a")
    one.until_runs("a")
    reserve(LaneNeeds(), [Node("n", 8)], "stream-z")
    actor = ray.remote(Idle).options(name="stream-z", namespace="facefx", lifetime="detached", num_cpus=0)
    actor.remote()
    assert len(reserved()) == 2
    until(lambda: lane_names() == ["stream-a"] and len(reserved()) == 1)
    assert one.record("a").epoch == 1
    assert one.directory.stats("a")


class Idle:
    def record(self) -> None:
        return None


def test_calls_to_a_lane_that_just_died_end_with_a_word(live: Begin) -> None:
    one = live(look_s=5.0)
    one.start("a")
    one.until_runs("a")
    pid = one.kill_lane("a")
    until_gone(pid)
    began = time.monotonic()
    for call in (one.directory.stats, one.directory.preview):
        with pytest.raises(Exception, match=r"stream a: its lane (does not answer|is being replaced)"):
            call("a")
    assert time.monotonic() - began < 11


def test_a_spare_lane_takes_over_and_another_spare_comes(live: Begin, tmp_path: Path) -> None:
    one, out = live(room=LaneRoom(cpus=1, spares=1)), tmp_path / "out"
    until(spare_is_ready)
    one.start("a", out=out)
    first = one.until_runs("a")
    assert first.owner is not None
    assert first.owner.actor.startswith("spare-")
    until(spare_is_ready)
    one.kill_lane("a")
    second = one.until_runs("a", epoch=2)
    assert second.owner is not None
    assert second.owner.actor.startswith("spare-")
    assert second.owner.actor != first.owner.actor
    until(spare_is_ready)
    assert len(reserved()) == 2
    one.kill_supervisor()
    until(lambda: one.directory.get("a") is not None)
    assert one.record("a").token == second.token
    until(lambda: len(reserved()) == 2 and len(lane_names()) == 2)


def spare_is_ready() -> bool:
    """One that is nobody's has loaded."""
    for name in lane_names():
        actor = find(name)
        if actor is not None and ray.get(actor.record.remote(), timeout=60) is None:
            ray.get(actor.ready.remote("cpu"), timeout=60)
            time.sleep(0.3)  # the supervisor looks ten times a second
            return True
    return False


def test_spares_keep_no_stream_out(live: Begin) -> None:
    one = live(room=LaneRoom(cpus=4, spares=1))
    one.start("a")
    until(lambda: len(reserved()) == 2)
    until(spare_is_ready)
    assert one.start("b").state == "starting"
    one.until_runs("b")
    with pytest.raises(UsageError):
        one.directory.stats("c")
