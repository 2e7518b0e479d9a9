"""Room for streams: refused or waited for where there is none, and the GPU that a lane sees."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import ray
from live_cluster import Live, until
from live_sessions import any_device

from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_room import reserved
from facefx.errors import ResourcesError

pytest_plugins = ("ray_cluster", "live_plugin")

Begin = Callable[..., Live]


def test_a_stream_that_does_not_fit_is_refused_at_once_with_need_and_have(live: Begin) -> None:
    one = live(room=LaneRoom(cpus=3))
    one.start("a")
    one.start("b")
    began = time.monotonic()
    with pytest.raises(ResourcesError) as refused:
        one.start("c")
    assert time.monotonic() - began < 8
    assert "needs 3 CPU, 0 GPU on one node, the cluster has 2 CPU, " in str(refused.value)
    assert one.directory.get("c") is None
    one.directory.stop("a")
    until(lambda: ray.available_resources().get("CPU", 0) >= 5)
    assert one.start("c").state == "starting"


def test_a_stream_that_could_never_fit_is_refused(live: Begin) -> None:
    with pytest.raises(ResourcesError, match=r"needs 99 CPU, 0 GPU on one node, the cluster has .*: 8 CPU"):
        live(room=LaneRoom(cpus=99)).start("a")


def test_where_the_cluster_grows_a_stream_waits_for_room_so_long_and_asks_for_it(live: Begin) -> None:
    """A reservation that waits is the demand that an autoscaler sees."""
    one = live(room=LaneRoom(cpus=99, scale_s=3.0))
    began = time.monotonic()
    with pytest.raises(ResourcesError, match="did not grow within 3 s"):
        one.start("a")
    assert 3.0 <= time.monotonic() - began < 15.0
    assert not reserved()


def test_room_that_comes_free_in_time_is_taken(live: Begin) -> None:
    import threading

    one = live(room=LaneRoom(cpus=8, scale_s=30.0))
    one.start("a")
    one.until_runs("a")
    said: list[str] = []
    waiting = threading.Thread(target=lambda: said.append(one.start("b").state))
    waiting.start()
    until(lambda: len(reserved()) == 2)
    assert not said
    one.directory.stop("a")
    waiting.join(30)
    assert said == ["starting"]


def test_a_lane_with_a_gpu_sees_that_one_and_one_without_sees_none(live: Begin) -> None:
    """Four halves of two declared GPUs; a fifth is refused."""
    one = live(room=LaneRoom(cpus=0.1, gpus=0.5), prove=any_device)
    for id in "abcd":
        one.start(id, device="cuda:0")
    with pytest.raises(ResourcesError, match=r"0.5 GPU on one node, the cluster has .* 0 GPU free"):
        one.start("e", device="cuda:0")
    one.start("f", device="cpu")
    for id in "abcdf":
        one.until_runs(id)
    seen = [visible(one, id) for id in "abcdf"]
    assert sorted(map(str, seen[:4])) == ["0", "0", "1", "1"]
    assert seen[4] == ""


def test_a_gpu_that_is_declared_and_not_there_fails_the_stream_and_falls_back_to_nothing(live: Begin) -> None:
    one = live(room=LaneRoom(gpus=1))
    one.start("a", device="cuda:0")
    assert "the cluster declares GPU" in one.until_state("a", "failed").error


def visible(one: Live, id: str) -> str | None:
    owner = one.record(id).owner
    assert owner is not None
    actor = ray.get_actor(owner.actor, namespace="facefx")
    seen: str | None = ray.get(actor.ready.remote(""), timeout=60).visible
    return seen
