"""The service as it is deployed: a real Ray Serve on a local Ray, its proxy, its replicas, its refusals."""

from __future__ import annotations

import json
import os
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml
from http_makers import BEARER, TOKEN, FakeStreams, ask
from photo_makers import FACE, brightest, coded, core, portrait
from test_http_images import bomb, pixels

from facefx.cluster import serve_app
from facefx.cluster.connect import Cluster
from facefx.cluster.http_api import make_api
from facefx.cluster.http_settings import HttpSettings
from facefx.cluster.serve_app import ServedImages, ServeSettings, streams_of_cluster
from facefx.errors import ConfigError
from facefx.pipeline.image_service import ImageRequest, ImageSettings
from facefx.pipeline.runner import Failure

pytest_plugins = ("ray_cluster",)

# Ray Serve's own modules warn of what they use of others.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ROOT = Path(__file__).resolve().parents[2]
WAITING = 3


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray import serve

        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        settings = HttpSettings.model_validate({"tokens": [TOKEN], "waiting": WAITING, "retry_after_s": 2})
        images = ImageSettings(detector="blazeface")
        app = serve_app.make_app(
            settings, ServeSettings(images=images, most_replicas=1, streams=False, frames=False)
        )
        serve.run(app, name="facefx", route_prefix="/")
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()


def post(url: str, data: bytes, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/images", content=data, headers=BEARER, timeout=60, **more)


def test_an_image_is_done_by_a_replica_that_was_warm_before_the_first(url: str) -> None:
    answers = [post(url, coded(portrait())) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1
    after = pixels(answers[0].content)
    assert brightest(after, core(after, [FACE])) < 40

    def detect_ms(answer: httpx.Response) -> float:
        return float(answer.headers["server-timing"].split("detect;dur=")[1].split(",")[0])

    # Loading a net takes far longer than running one.
    assert detect_ms(answers[0]) < 10 * max(5.0, *map(detect_ms, answers[1:]))


def test_strangers_are_turned_away_by_the_ingress(url: str) -> None:
    assert httpx.get(f"{url}/healthz").status_code == 200
    for path in ("/v1/effects", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1/streams"):
        assert httpx.get(url + path).status_code == 401
    assert httpx.post(f"{url}/v1/images", content=coded(portrait())).status_code == 401
    assert httpx.get(f"{url}/readyz", headers=BEARER).status_code == 200
    assert "facefx_images_total" in httpx.get(f"{url}/metrics", headers=BEARER).text


def test_errors_arrive_by_kind_from_another_process(url: str) -> None:
    cases = [
        (b"no photo", {}, 422, "SourceError"),
        (bomb(30_000, 30_000, 8, 6), {}, 413, "TooLargeError"),
        (coded(portrait())[:9000], {}, 422, "DamagedError"),
        (coded(portrait()), {"effect": "nothing"}, 422, "EffectError"),
    ]
    for data, params, status, kind in cases:
        answer = post(url, data, params=params)
        assert (answer.status_code, answer.json()["kind"]) == (status, kind)


def test_too_many_at_once_are_told_when_to_come_back_and_the_rest_are_served(url: str) -> None:
    photo = coded(portrait())
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: post(url, photo), range(24)))
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) == {200, 503}
    assert counts[200] >= 1 + WAITING
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"] == "2"
    assert refused.json()["kind"] == "BusyError"
    assert post(url, photo).status_code == 200


def test_no_secret_is_in_any_log_of_ray(url: str) -> None:
    from ray._private.worker import global_worker

    httpx.get(f"{url}/v1/effects", params={"token": TOKEN})
    httpx.post(f"{url}/v1/rtmp/publish", params={"token": TOKEN}, data={"name": TOKEN})
    logs = Path(global_worker.node.get_logs_dir_path())
    texts = [path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file()]
    assert any("POST /v1/images" in text for text in texts), "these are not the logs"
    assert not [text for text in texts if TOKEN in text]


def test_a_replica_that_hangs_says_so() -> None:
    replica = ServedImages(ImageSettings(detector="blazeface"), stuck_s=0.0)
    replica.check_health()
    replica._service._began = 0.0
    with pytest.raises(RuntimeError, match="at work for more than"):
        replica.check_health()


def test_an_error_of_the_tree_is_returned_and_not_raised() -> None:
    import asyncio

    replica = ServedImages(ImageSettings(detector="blazeface"), stuck_s=60)
    said = asyncio.run(replica.process(ImageRequest(b"no photo")))
    assert isinstance(said, Failure)
    assert said.kind == "SourceError"


def test_the_rooms_of_streams_and_frames_are_bound_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = FakeStreams()
    room = ModuleType("facefx.cluster.live")
    room.directory = lambda: streams  # type: ignore[attr-defined]
    monkeypatch.setattr(serve_app, "_LIVE", "a_room_of_streams")
    assert streams_of_cluster() is None
    room.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "a_room_of_streams", room)
    assert streams_of_cluster() is streams
    app = make_api(None, streams_of_cluster(), HttpSettings.model_validate({"tokens": [TOKEN]}))
    assert ask(app, "GET", "/v1/streams").json() == {"streams": []}


def test_what_is_deployed_names_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said = yaml.safe_load((ROOT / "deployments" / "serve.yaml").read_text())
    (application,) = said["applications"]
    assert application["import_path"] == "deployments.serve_app:app"
    monkeypatch.setenv("FACEFX_TOKEN", TOKEN)
    monkeypatch.syspath_prepend(str(ROOT))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.serve.schema import ServeDeploySchema

        import deployments.serve_app as deployed

        schema = ServeDeploySchema.model_validate(said)
    assert schema.applications[0].route_prefix == "/"
    names = {deployment["name"] for deployment in application["deployments"]}
    assert names == {"images", "ingress"}
    assert deployed.app is not None
    assert "RAY_AUTH_MODE=token" in (ROOT / "deployments" / "serve.yaml").read_text()
    assert TOKEN not in json.dumps(said)


def test_a_service_that_is_told_nonsense_does_not_start() -> None:
    with pytest.raises(ConfigError, match="FACEFX_SERVE: surprise"):
        serve_app._serving_from({"FACEFX_SERVE": '{"surprise": 1}'})
    assert os.environ.get("FACEFX_SERVE") is None
