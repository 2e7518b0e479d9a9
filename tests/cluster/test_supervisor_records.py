"""Records that others wrote: of lanes that were succeeded, of a cluster that is gone, of long ago."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from live_cluster import PLAYS, QUICK, Live, until, until_gone, written
from redis_place import RedisServer

from facefx.cluster.live_ray import lane_names
from facefx.cluster.live_room import reserved
from facefx.live.record import Beat, Owner, StreamRecord
from facefx.live.redis_store import RedisStore

pytest_plugins = ("ray_cluster", "live_plugin", "redis_plugin")

Begin = Callable[..., Live]


def test_a_lane_that_was_succeeded_ends_itself(
    live: Begin, redis_server: RedisServer, store: RedisStore
) -> None:
    """Whoever wrote another owner down: the lane learns it from the store, and its successor is begun."""
    one = live(store=redis_server.url, policy=replace(QUICK, cut_s=1.0))
    one.start("a")
    one.until_runs("a")
    pid = one.lane_pid("a")
    store.claim(replace(one.record("a"), owner=Owner.new("stream-elsewhere", 2)))
    until_gone(pid)
    record = one.until_runs("a", epoch=3)
    assert record.epoch == 3
    assert lane_names() == ["stream-a"]


def test_streams_of_a_cluster_that_is_gone_are_begun_again_and_those_of_long_ago_are_not(
    live: Begin, redis_server: RedisServer, store: RedisStore
) -> None:
    mine = StreamRecord("now", PLAYS, Owner.new("stream-now", 4), Beat("running", {"frames_out": 9}))
    store.claim(mine)
    store.claim(replace(mine, id="then", owner=Owner.new("stream-then", 1)))
    store._client.hset("{facefx:live}:stream:then", "beat_s", str(time.time() - 3600))
    store.claim(replace(mine, id="over", owner=Owner.new("stream-over", 1), beat=Beat("ended")))
    one = live(store=redis_server.url, policy=replace(QUICK, cut_s=0.5))
    record = one.until_runs("now", epoch=5)
    assert record.settings == PLAYS
    assert record.counters["frames_out"] >= 9
    assert one.until_state("then", "failed").error == "its lane was lost long ago"
    assert one.record("over").state == "ended"
    assert lane_names() == ["stream-now"]
    assert len(reserved()) == 1


def test_a_stream_that_was_only_written_down_can_be_ended(
    live: Begin, redis_server: RedisServer, store: RedisStore
) -> None:
    one = live(store=redis_server.url, policy=replace(QUICK, cut_s=600.0))
    store.claim(StreamRecord("a", PLAYS, Owner.new("stream-a", 1)))
    one.directory.stop("a")
    until(lambda: written(store).state == "ended")
    until(lambda: one.record("a").state == "ended")
    assert not lane_names()
