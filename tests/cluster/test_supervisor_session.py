"""Where a lane's stream may come from and go to, whoever asked for it, and what it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from facefx.cluster.live_lane import counters_of, state_of
from facefx.cluster.live_session import LivePlaces, make_session
from facefx.errors import EffectError, UsageError
from facefx.pipeline.nets import Nets
from facefx.video.live_rules import check_source, place_of

PLACES = LivePlaces()


def refused(places: LivePlaces, url: str) -> str:
    with pytest.raises(UsageError) as error:
        check_source(url, places.rules(url))
    return str(error.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8265/x.m3u8", "rtmp://10.0.0.5/live/k3y", "rtmp://[::1]/live/k3y"]
)
def test_an_inner_address_is_refused_and_the_key_not_told(url: str) -> None:
    assert "k3y" not in refused(PLACES, url)


def test_the_rtmp_server_in_front_may_be_at_an_inner_address() -> None:
    url = "rtmp://127.0.0.1:1935/live/k3y"
    assert place_of(url, PLACES.rules(url)).port == 1935
    places = LivePlaces.of({"FACEFX_LIVE_INNER": "10.0.0.*"})
    inner = "rtmp://10.0.0.5/live/k3y"
    assert place_of(inner, places.rules(inner)).host == "10.0.0.5"
    refused(places, url)
    refused(places, "http://10.0.0.5/x.m3u8")


def test_files_are_refused_unless_there_is_a_folder_for_them(tmp_path: Path) -> None:
    inside, outside = str(tmp_path / "a" / "live.m3u8"), "/etc/passwd"
    refused(PLACES, inside)
    places = LivePlaces.of({"FACEFX_LIVE_FILES": str(tmp_path)})
    assert place_of(inside, places.rules(inside)).path == inside
    refused(places, outside)
    refused(places, str(tmp_path / ".." / "b"))


def test_only_the_hosts_that_are_named_are_reached() -> None:
    places = LivePlaces.of({"FACEFX_LIVE_HOSTS": "*.example.org, cdn.example.net"})
    for good in ("rtmp://a.example.org/live/x", "https://cdn.example.net/x.m3u8"):
        assert place_of(good, places.rules(good)).host
    refused(places, "https://example.com/x.m3u8")


def test_one_target_that_may_not_be_refuses_them_all(tmp_path: Path) -> None:
    places = LivePlaces(files=tmp_path)
    good = ("rtmp://127.0.0.1:1935/out/a", str(tmp_path / "live.m3u8"))
    rules = places.for_all(good)
    for url in good:
        place_of(url, rules)
    assert places.for_all((good[1],)).allow_private is False
    with pytest.raises(UsageError):
        places.for_all((*good, "rtmp://10.9.9.9/out/a"))


def test_a_session_is_made_of_plain_values_and_goes_on_with_tracks(tmp_path: Path) -> None:
    places, nets = LivePlaces(files=tmp_path), Nets()
    settings = {"source": str(tmp_path / "a.mp4"), "targets": [], "effects": ["solid"], "device": "cpu"}
    made = make_session(settings, {"next": 7}, nets, places=places)
    assert made.stats().tracks == {"next": 7}
    plain = made.stats().to_json()
    assert state_of(plain) == "starting"
    assert counters_of(plain)["frames_out"] == 0
    with pytest.raises(EffectError):
        make_session({**settings, "effects": ["no-such"]}, None, nets, places=places)
    with pytest.raises(UsageError):
        make_session({**settings, "targets": ["rtmp://10.0.0.5/live/k3y"]}, None, nets, places=places)


def test_what_goes_up_and_down_is_no_counter() -> None:
    plain = {"frames_in": 3, "faces": 2, "pending": {"working": 1}, "dropped": {"late": 4}, "fps": 29.9}
    assert counters_of(plain) == {"frames_in": 3, "dropped.late": 4}
    assert state_of({"state": "failed"}) == "running"  # how it ended is said when it has
