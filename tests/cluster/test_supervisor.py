"""Live streams on a real Ray: begun, looked at, changed, ended, and nothing left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from live_cluster import Live, pushers, until, until_gone
from live_sessions import any_device

from facefx.cluster.connect import Cluster
from facefx.cluster.live import LiveDirectory, directory
from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_ray import find, lane_names
from facefx.cluster.live_room import reserved
from facefx.cluster.supervisor import SUPERVISOR
from facefx.errors import ConfigError, EffectError, ResourcesError, UsageError

pytest_plugins = ("ray_cluster", "live_plugin")

Begin = Callable[..., Live]


def test_a_stream_is_begun_looked_at_changed_and_ended(live: Begin, tmp_path: Path) -> None:
    one = live()
    out = tmp_path / "out"
    begun = one.start("a", out=out)
    assert (begun.id, begun.state, begun.epoch) == ("a", "starting", 1)
    record = one.until_runs("a")
    assert record.owner is not None
    assert record.owner.actor == "stream-a"
    until(lambda: one.record("a").counters.get("frames_out", 0) > 5)
    assert one.record("a").counters["dropped.late"] == 1
    assert one.directory.stats("a")["frames_out"] > 5
    assert one.directory.preview("a") == (b"before", b"after")
    changed = one.directory.set_effects("a", ["mosaic"])
    assert changed.settings["effects"] == ["mosaic"]
    assert one.directory.stats("a")["effects"] == ["mosaic"]
    assert [known.id for known in one.directory.list()] == ["a"]
    pid = one.lane_pid("a")
    one.directory.stop("a")
    assert one.record("a").state == "ended"
    until_gone(pid)
    assert pushers(out) == [pid]
    one.directory.stop("a")
    until(lambda: not reserved())


def test_begun_twice_is_begun_once(live: Begin, tmp_path: Path) -> None:
    one, out = live(), tmp_path / "out"
    first = one.start("a", out=out)
    assert one.start("a", out=out).token == first.token
    one.until_runs("a")
    assert one.start("a", "other").settings["source"] == "plays"
    assert one.record("a").epoch == 1
    one.directory.stop("a")
    again = one.start("a", "other")  # after its end it is another stream
    assert (again.epoch, again.settings["source"], dict(again.counters)) == (2, "other", {})


def test_a_stream_without_a_name_is_given_one(live: Begin) -> None:
    one = live()
    settings = one.start("a").settings
    from facefx.live.settings import LiveSettings

    ids = {one.directory.start(LiveSettings.model_validate(settings)).id for _ in range(2)}
    assert len(ids | {"a"}) == 3


def test_a_stream_whose_source_ends_is_over_and_its_lane_goes(live: Begin) -> None:
    one = live()
    one.start("a", "ends")
    record = one.until_state("a", "ended")
    assert record.error == ""
    until(lambda: not lane_names() and not reserved())
    assert one.record("a").counters["frames_out"] == 10


def test_a_source_that_fails_for_good_is_not_tried_again(live: Begin) -> None:
    one = live()
    one.start("gone", "gone")
    one.start("refused", "refused")
    assert one.until_state("gone", "failed").error == "rtmp://in/***: nobody publishes any more"
    assert one.until_state("refused", "failed").error == "a.mp4: cannot be opened"
    assert (one.record("gone").epoch, one.record("refused").epoch) == (1, 1)
    until(lambda: not lane_names() and not reserved())


def test_mistakes_of_use_are_named(live: Begin) -> None:
    one = live()
    for call in (one.directory.stats, one.directory.preview, lambda id: one.directory.set_effects(id, [])):
        with pytest.raises(UsageError, match="stream nobody: does not run"):
            call("nobody")
    assert one.directory.get("nobody") is None
    one.directory.stop("nobody")
    with pytest.raises(UsageError, match="stream id"):
        one.start("a/../b")
    with pytest.raises(ConfigError, match="cannot be chosen"):
        one.start("a", device="tpu")
    one.start("a")
    one.until_runs("a")
    with pytest.raises(EffectError, match="no-such"):
        one.directory.set_effects("a", ["no-such"])
    assert one.record("a").settings["effects"] == ["solid"]


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


def test_closing_leaves_no_actor_and_no_reservation(live: Begin) -> None:
    one = live(room=LaneRoom(spares=1))
    one.start("a")
    one.until_runs("a")
    pid = one.lane_pid("a")
    one.directory.close()
    assert find(SUPERVISOR) is None
    assert not lane_names()
    until(lambda: not reserved())
    until_gone(pid)


def test_two_directories_share_one_supervisor(live: Begin) -> None:
    one, other = live(), live()
    one.start("a")
    assert other.record("a").token == one.record("a").token


def test_an_app_is_told_by_its_environment(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFX_LIVE_CPUS", "many")
    with pytest.raises(ConfigError, match="FACEFX_LIVE_CPUS: expected a number, got 'many'"):
        directory()
    monkeypatch.setenv("FACEFX_LIVE_CPUS", "2")
    made = directory()
    try:
        assert isinstance(made, LiveDirectory)
        assert made._settings.room.cpus == 2
        assert made.list() == []
    finally:
        made.close()
