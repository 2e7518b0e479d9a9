"""A Redis that goes and comes: streams go on, nothing is reaped that cannot be seen, new ones are refused."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from live_cluster import QUICK, Live, pushers, until, until_gone, written
from redis_place import RedisServer

from facefx.errors import StoreAwayError
from facefx.live.redis_store import RedisStore

pytest_plugins = ("ray_cluster", "live_plugin", "redis_plugin")

Begin = Callable[..., Live]


def test_streams_go_on_without_a_redis_and_are_heard_of_again_when_it_is_back(
    live: Begin, redis_server: RedisServer, store: RedisStore, tmp_path: Path
) -> None:
    one, out = live(store=redis_server.url, fence_s=2.0), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    until(lambda: written(store).counters.get("frames_out", 0) > 0)
    pid = one.lane_pid("a")
    redis_server.stop()
    began = time.monotonic()
    with pytest.raises(StoreAwayError, match="does not answer"):
        one.start("b")
    assert time.monotonic() - began < 3
    count = len(out.read_text().splitlines())
    until(lambda: time.monotonic() - began > QUICK.silent_s + QUICK.orphan_s + 1)
    assert len(out.read_text().splitlines()) > count + 20
    assert pushers(out) == [pid]
    assert one.record("a").state == "running"
    assert one.directory.set_effects("a", ["mosaic"]).settings["effects"] == ["mosaic"]
    assert [known.id for known in one.directory.list()] == ["a"]
    redis_server.start()  # it has forgotten everything
    until(lambda: store.get("a") is not None and written(store).settings["effects"] == ["mosaic"])
    assert written(store).token == one.record("a").token
    assert one.start("b").state == "starting"
    assert one.lane_pid("a") == pid


def test_a_lane_cut_off_from_the_redis_and_the_cluster_ends_itself_and_is_replaced(
    live: Begin, redis_server: RedisServer, tmp_path: Path
) -> None:
    """As on a machine whose network is gone: nobody can tell it that another runs its stream by now."""
    one, out = live(store=redis_server.url, fence_s=1.5), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    until(lambda: out.exists() and pushers(out))
    pid, head = one.lane_pid("a"), head_pid()
    os.kill(head, signal.SIGSTOP)
    try:
        redis_server.stop()
        until_gone(pid)
    finally:
        os.kill(head, signal.SIGCONT)
    redis_server.start()
    one.until_runs("a", epoch=2)
    until(lambda: len(pushers(out)) == 2)


def head_pid() -> int:
    """Of the cluster's head, which counts machines and actors."""
    node = ray._private.worker._global_node
    return int(node.all_processes["gcs_server"][0].process.pid)


def test_a_lane_killed_while_the_redis_is_away_is_replaced_and_written_down_later(
    live: Begin, redis_server: RedisServer, store: RedisStore, tmp_path: Path
) -> None:
    one, out = live(store=redis_server.url), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    until(lambda: out.exists() and pushers(out))
    redis_server.stop()
    one.kill_lane("a")
    one.until_runs("a", epoch=2)
    until(lambda: len(pushers(out)) == 2)
    redis_server.start()
    until(lambda: store.get("a") is not None and written(store).epoch == 2)


def test_a_stream_ended_while_the_redis_is_away_is_ended_there_too(
    live: Begin, redis_server: RedisServer, store: RedisStore
) -> None:
    one = live(store=redis_server.url)
    one.start("a")
    one.until_runs("a")
    pid = one.lane_pid("a")
    redis_server.stop()
    one.directory.stop("a")
    until_gone(pid)
    redis_server.start()
    until(lambda: store.get("a") is not None and written(store).state == "ended")


def test_a_supervisor_killed_while_the_redis_is_away_finds_streams_by_their_lanes(
    live: Begin, redis_server: RedisServer, tmp_path: Path
) -> None:
    one, out = live(store=redis_server.url), tmp_path / "out"
    one.start("a", out=out)
    one.until_runs("a")
    pid = one.lane_pid("a")
    redis_server.stop()
    one.kill_supervisor()
    until(lambda: [known.id for known in one.directory.list()] == ["a"])
    assert one.record("a").state == "running"
    assert pushers(out) == [pid]
    one.directory.stop("a")
    until_gone(pid)
