"""/v1/streams, /v1/rtmp, /v1/effects and /metrics over streams that nobody runs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from http_makers import (
    BEARER,
    KEY,
    FakeRecord,
    FakeStreams,
    PlainSettings,
    ask,
    http_settings,
    jpeg,
    served,
    stats,
)

from facefx.cluster.http_api import make_api
from facefx.cluster.http_metrics import exposition, stream_lines
from facefx.effects.registry import effect_names
from facefx.errors import ClusterError, EffectError, InputError, ResourcesError


class StoreAwayError(InputError):
    """Named as the error of the room that keeps records."""


def app_of(streams: FakeStreams, **more: object) -> FastAPI:
    return make_api(None, streams, http_settings(**more), read=PlainSettings.model_validate)


def running(effects: Sequence[object] = ("smooth",), id: str = "cam") -> FakeStreams:
    return FakeStreams({id: FakeRecord(id, {"source": "rtmp://h/a/secret", "effects": list(effects)})})


def test_a_stream_is_begun_changed_and_ended() -> None:
    streams = FakeStreams()
    app = app_of(streams)
    said = {"id": "cam", "source": "rtmp://h/live/k", "targets": ["rtmp://h/out/k"], "effects": ["smooth"]}
    began = ask(app, "POST", "/v1/streams", json=said)
    assert (began.status_code, began.headers["location"]) == (201, "/v1/streams/cam")
    assert ask(app, "POST", "/v1/streams", json=said).status_code == 201  # the same again
    assert [one["id"] for one in ask(app, "GET", "/v1/streams").json()["streams"]] == ["cam"]
    changed = ask(app, "PATCH", "/v1/streams/cam", json={"effects": [{"smooth": {"strength": 0.2}}]})
    assert changed.json()["settings"]["effects"] == [{"smooth": {"strength": 0.2}}]
    assert ask(app, "DELETE", "/v1/streams/cam").status_code == 204
    assert ask(app, "GET", "/v1/streams/cam").json()["state"] == "ended"


@pytest.mark.parametrize(
    "said",
    [
        {"source": "file:///etc/passwd"},
        {"source": "concat:a|b"},
        {"source": "subfile,,start,0:/etc/passwd"},
        {"source": "data:,x"},
        {"source": "/etc/passwd"},
        {"source": "http://[::1"},
        {"source": 7},
        {"source": "rtmp://h/a/b", "targets": ["/tmp/x.mp4"]},
        {"source": "rtmp://h/a/b", "targets": ["../x.m3u8"]},
        {"source": "rtmp://h/a/b", "targets": "rtmp://h/c"},
        {"source": "rtmp://h/a/b", "listen": True},
        {"source": "rtmp://h/a/b", "id": 7},
        {"source": "rtmp://h/a/b", "surprise": 1},
        {"source": "rtmp://h/a/b", "effects": ["image:path=/etc/passwd"]},
        [],
    ],
)
def test_what_no_client_may_ask_for_begins_nothing(said: object) -> None:
    streams = FakeStreams()
    answer = ask(app_of(streams), "POST", "/v1/streams", json=said)
    assert answer.status_code in (400, 422)
    assert "start" not in streams.calls


@pytest.mark.parametrize(
    ("name", "fine"),
    [("cam/live.m3u8", True), ("../x.m3u8", False), ("/x.m3u8", False), (".x/y.m3u8", False)],
)
def test_playlists_are_written_in_one_folder_only(name: str, fine: bool) -> None:
    streams = FakeStreams()
    said = {"source": "rtmp://h/a/b", "targets": [name], "id": "cam"}
    answer = ask(app_of(streams, hls_dir="/srv/hls"), "POST", "/v1/streams", json=said)
    assert answer.status_code == (201 if fine else 400)
    if fine:
        assert streams.records["cam"].settings["targets"] == [f"/srv/hls/{name}"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreAwayError("the store is away"), 503),
        (ResourcesError("no room"), 503),
        (ClusterError("no answer"), 503),
        (EffectError("no such effect"), 422),
        (RuntimeError(f"a secret: {KEY}"), 500),
    ],
)
def test_errors_of_whoever_runs_streams_are_answered_by_kind(error: Exception, status: int) -> None:
    answer = ask(app_of(FakeStreams(failing=error)), "POST", "/v1/streams", json={"source": "rtmp://h/a/b"})
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
    assert set(answer.json()) == {"error", "exit_code", "kind"}
    assert KEY not in answer.text


def test_not_ready_while_whoever_runs_streams_does_not_answer() -> None:
    assert ask(app_of(FakeStreams()), "GET", "/readyz").status_code == 200
    away = app_of(FakeStreams(failing=StoreAwayError("away")))
    assert ask(away, "GET", "/readyz").status_code == 503
    assert ask(away, "GET", "/healthz").status_code == 200


def test_a_stream_that_nobody_knows_is_404_everywhere() -> None:
    app = app_of(FakeStreams())
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "", {}),
        ("PATCH", "", {"json": {"effects": ["solid"]}}),
        ("DELETE", "", {}),
        ("GET", "/events", {}),
        ("GET", "/preview.jpg", {}),
    ]
    for method, path, more in asked:
        assert ask(app, method, f"/v1/streams/nobody{path}", **more).status_code == 404
    assert ask(app, "GET", "/v1/streams/..%2fx").status_code in (404, 422)


@pytest.mark.parametrize(
    "effects", [["solid"], [{"pixelate": {}}], ["@newsroom"], ["smooth", "blur"], ["broken"], [7]]
)
def test_a_stream_that_hides_faces_is_never_shown_before(effects: list[object]) -> None:
    """Also where it cannot be told what its effects are."""
    streams = running(effects)
    app = app_of(streams)
    assert ask(app, "GET", "/v1/streams/cam").json()["hides"] is True
    assert ask(app, "GET", "/v1/streams/cam/preview.jpg?side=before").status_code == 404
    assert "preview" not in streams.calls
    after = ask(app, "GET", "/v1/streams/cam/preview.jpg")
    assert (after.status_code, after.content) == (200, jpeg(180))
    assert after.headers["cache-control"] == "no-store"


def test_a_stream_that_beautifies_is_shown_on_both_sides() -> None:
    app = app_of(running(["smooth"]))
    assert ask(app, "GET", "/v1/streams/cam/preview.jpg?side=before").content == jpeg(60)
    streams = running(["smooth"])
    streams.picture = lambda effects: (b"", b"")
    assert ask(app_of(streams), "GET", "/v1/streams/cam/preview.jpg").status_code == 404


def test_events_follow_a_stream_to_its_end() -> None:
    streams = running()
    told: list[tuple[str, dict[str, object]]] = []

    async def follow(url: str) -> None:
        async with (
            httpx.AsyncClient(base_url=url, headers=BEARER) as asking,
            asking.stream("GET", "/v1/streams/cam/events") as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    told.append((name, json.loads(line.removeprefix("data: "))))
                    if len(told) == 3:
                        streams.stop("cam")

    with served(app_of(streams, events_s=0.01)) as url:
        asyncio.run(follow(url))
    assert [name for name, _ in told[:3]] == ["stats"] * 3
    assert told[-1][0] == "end"
    assert told[-1][1]["state"] == "ended"
    counts = [one["stats"]["frames_out"] for name, one in told if name == "stats"]  # type: ignore[index]
    assert counts == sorted(counts)


def test_more_who_follow_than_may_are_asked_to_come_back() -> None:
    with served(app_of(running(), events=1, events_s=0.01)) as url:
        events = f"{url}/v1/streams/cam/events"
        with httpx.Client(headers=BEARER) as asking, asking.stream("GET", events) as first:
            lines = first.iter_lines()  # closed as soon as nobody holds it
            next(lines)
            second = httpx.get(events, headers=BEARER)
            assert (second.status_code, second.headers["retry-after"]) == (503, "1")


KEYS = (
    {"key": KEY, "id": "studio", "effects": ["pixelate"]},
    {"key": "another-key", "id": "gate", "settings": {"linger_s": 0}},
)


def test_a_publisher_with_a_key_begins_its_lane_under_a_name_that_is_no_key() -> None:
    streams = FakeStreams()
    app = app_of(streams, rtmp=KEYS)
    form = {"call": "publish", "name": KEY, "app": "live", "addr": "127.0.0.1", "tcurl": "rtmp://h/live"}
    answer = ask(app, "POST", "/v1/rtmp/publish", token=None, data=form)
    assert (answer.status_code, answer.headers["location"]) == (302, "studio")
    record = streams.records["studio"]
    assert record.settings["source"] == "rtmp://127.0.0.1:1935/live/studio"
    assert record.settings["targets"] == ["rtmp://127.0.0.1:1935/out/studio"]
    assert record.settings["effects"] == ["pixelate"]
    assert KEY not in json.dumps(dict(record.settings))


@pytest.mark.parametrize("name", ["", "wrong", KEY[:-1], "studio", None])
def test_a_publisher_without_a_key_is_turned_away(name: str | None) -> None:
    streams = FakeStreams()
    data = {} if name is None else {"name": name}
    for path in ("publish", "done"):
        answer = ask(app_of(streams, rtmp=KEYS), "POST", f"/v1/rtmp/{path}", token=None, data=data)
        assert answer.status_code == 403
    assert streams.calls == []


def test_a_publisher_is_turned_away_where_its_lane_cannot_begin() -> None:
    app = app_of(FakeStreams(failing=ResourcesError("no room")), rtmp=KEYS)
    assert ask(app, "POST", "/v1/rtmp/publish", token=None, data={"name": KEY}).status_code == 503


def test_a_lane_waits_for_its_publisher_unless_it_is_told_not_to() -> None:
    streams = FakeStreams()
    app = app_of(streams, rtmp=KEYS)
    for key in (KEY, "another-key"):
        assert ask(app, "POST", "/v1/rtmp/publish", token=None, data={"name": key}).status_code == 302
        assert ask(app, "POST", "/v1/rtmp/done", token=None, data={"name": key}).status_code == 204
    assert {id: record.state for id, record in streams.records.items()} == {
        "studio": "running",
        "gate": "ended",
    }


def test_nginx_sends_a_token_of_its_own_where_the_port_is_open_to_others() -> None:
    app = app_of(FakeStreams(), rtmp=KEYS, rtmp_token="token-of-nginx")
    for query, status in (("", 401), ("?token=wrong", 401), ("?token=token-of-nginx", 302)):
        answer = ask(app, "POST", f"/v1/rtmp/publish{query}", token=None, data={"name": KEY})
        assert answer.status_code == status


def test_every_parameter_of_every_effect_has_what_a_slider_needs() -> None:
    told = ask(app_of(FakeStreams()), "GET", "/v1/effects").json()
    assert [effect["name"] for effect in told["effects"]] == list(effect_names())
    params = [param for effect in told["effects"] for param in effect["params"]]
    assert all(param["description"] for param in params)
    numbers = [param for param in params if param.get("type") in ("number", "integer")]
    bounded = [
        p
        for p in numbers
        if {"minimum", "exclusiveMinimum"} & set(p) and {"maximum", "exclusiveMaximum"} & set(p)
    ]
    assert len(bounded) == len(numbers) > 50
    assert {"strength", "path"} <= {param["name"] for param in params}
    assert all(param["name"] != "sha256" for param in params)
    assert "@natural" in [preset["name"] for preset in told["presets"]]


def test_metrics_are_what_prometheus_reads() -> None:
    text = ask(app_of(running()), "GET", "/metrics").text
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+|# (HELP|TYPE) .+')
    assert all(sample.fullmatch(line) for line in text.splitlines()), text
    assert 'facefx_live_dropped_total{stream="cam",reason="late"} 3' in text
    assert 'facefx_live_stage_seconds_bucket{stream="cam",stage="detect",kind="working",le="+Inf"} 15' in text
    assert text.count("# TYPE facefx_live_stage_seconds histogram") == 1
    parts = sum(float(v) for v in re.findall(r"facefx_live_stage_seconds_sum\S+ (\S+)", text))
    whole = float(re.findall(r"facefx_live_latency_seconds_sum\S+ (\S+)", text)[0])
    assert parts == pytest.approx(whole, rel=0.05)


def test_a_label_cannot_break_out_of_its_line() -> None:
    text = exposition([*stream_lines('a"b\n# x', "running", {"dropped": {"\\": 1}})])
    assert all(line.startswith(("#", "facefx_")) for line in text.splitlines())
    assert '\\"b\\n' in text


def test_a_lane_that_is_being_replaced_is_down_and_spoils_no_metrics() -> None:
    streams = running()
    streams.records["cam"] = FakeRecord("cam", streams.records["cam"].settings, "reconnecting")
    text = ask(app_of(streams), "GET", "/metrics").text
    assert 'facefx_live_up{stream="cam",state="reconnecting"} 0' in text
    assert stats(1)["frames_out"] == 1
