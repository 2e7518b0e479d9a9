"""Live streams on a real Ray: begun, looked at, changed, ended, and nothing left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from live_cluster import Live, pushers, until, until_gone

from facefx.cluster.connect import Cluster
from facefx.cluster.live import LiveDirectory, directory
from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_ray import find, lane_names
from facefx.cluster.live_room import reserved
from facefx.cluster.supervisor import SUPERVISOR
from facefx.errors import ConfigError, EffectError, UsageError

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


def test_a_stream_that_hides_is_not_shown_before_that(live: Begin) -> None:
    one = live()
    one.start("a", "hides")
    one.until_runs("a")
    assert one.directory.preview("a") == (None, b"after")


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
