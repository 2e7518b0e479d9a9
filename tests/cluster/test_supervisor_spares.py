"""Lanes that wait for a stream, and what they may not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from live_cluster import Live, spare_is_ready, until

from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_ray import lane_names
from facefx.cluster.live_room import reserved
from facefx.errors import UsageError

pytest_plugins = ("ray_cluster", "live_plugin")

Begin = Callable[..., Live]


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


def test_spares_keep_no_stream_out(live: Begin) -> None:
    one = live(room=LaneRoom(cpus=4, spares=1))
    one.start("a")
    until(lambda: len(reserved()) == 2)
    until(spare_is_ready)
    assert one.start("b").state == "starting"
    one.until_runs("b")
    with pytest.raises(UsageError):
        one.directory.stats("c")
