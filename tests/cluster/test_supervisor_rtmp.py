"""A real stream on a cluster: nginx before and behind it, its lane killed, and viewers see it go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from live_cluster import Live, spare_is_ready, until
from live_rtmp import Pusher, Reader, RtmpServer, make_clip

from facefx.cluster.live_launch import LaneRoom
from facefx.cluster.live_session import LivePlaces, make_session

pytest_plugins = ("ray_cluster", "live_plugin")

Begin = Callable[..., Live]
# Two seconds and a group of pictures where nobody else is at work; tests run among others.
BACK_S = 15.0


@pytest.mark.parametrize("spares", [0, 1])
def test_viewers_see_a_stream_go_on_whose_lane_was_killed(live: Begin, tmp_path: Path, spares: int) -> None:
    one = live(make=partial(make_session, places=LivePlaces()), room=LaneRoom(spares=spares))
    clip = make_clip(tmp_path / "clip.mp4", seconds=6)
    with RtmpServer(tmp_path / "nginx") as server, Pusher(clip.path, server.url("live", "k3y")) as pusher:
        out = server.url("out", "a")
        pusher.wait_for(lambda: len(pusher.sent) > 30)
        one.start("a", server.url("live", "k3y"), targets=(out,))
        with Reader(out) as reader:
            reader.wait_frames(30)
        if spares:
            until(spare_is_ready)
        one.kill_lane("a")
        killed_s = time.monotonic()
        until(lambda: one.record("a").epoch == 2)
        with Reader(out) as reader:
            reader.wait_frames(30)
        assert time.monotonic() - killed_s < BACK_S
        stats = one.directory.stats("a")
        assert stats["frames_out"] > 0
        assert json.loads(json.dumps([stats, one.record("a").shown()]))
        assert "k3y" not in str(stats) + str(one.record("a").shown()) + repr(one.record("a"))
        one.directory.stop("a")
    assert one.record("a").state == "ended"
