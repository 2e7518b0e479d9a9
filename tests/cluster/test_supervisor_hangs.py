"""Lanes that hang, that nobody knows, or that are asked when they are dead: every call and process ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import ray
from live_cluster import QUICK, Live, pushers, until, until_gone

from facefx.cluster.live_ray import lane_names
from facefx.cluster.live_room import LaneNeeds, reserve, reserved
from facefx.cluster.placement import Node
from facefx.errors import ClusterError, UsageError

pytest_plugins = ("ray_cluster", "live_plugin")

Begin = Callable[..., Live]


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
    one = live()
    one.start("a")
    one.until_runs("a")
    one.kill_lane("a")
    refusals: list[str] = []
    while one.record("a").epoch == 1 or not refusals:
        began = time.monotonic()
        try:
            one.directory.stats("a")
        except (ClusterError, UsageError) as error:
            refusals.append(str(error))
        assert time.monotonic() - began < 7
    assert all(refusal.startswith("stream a: its lane ") for refusal in refusals)
    one.until_runs("a", epoch=2)
    assert one.directory.stats("a")
