"""Who is let in: a token on every endpoint, in constant time, and no secret in any answer or log."""

from __future__ import annotations

import hmac
import logging
from pathlib import Path

import pytest
from fastapi import FastAPI
from http_makers import KEY, TOKEN, FakeStreams, PlainSettings, ask, http_settings

from facefx.cluster.http_api import make_api
from facefx.cluster.http_auth import COOKIE, OWN_HEADER
from facefx.cluster.http_images import LocalImages
from facefx.cluster.http_settings import settings_from
from facefx.errors import ConfigError

KEYS = ({"key": KEY, "id": "studio"},)


def app_of(**more: object) -> FastAPI:
    images = LocalImages(None, 1)  # type: ignore[arg-type]
    return make_api(images, FakeStreams(), http_settings(**more), read=PlainSettings.model_validate)


def test_every_endpoint_but_healthz_asks_for_a_token() -> None:
    app = app_of(rtmp=KEYS, rtmp_token="token-of-nginx")
    asked = []
    for path in ask(app, "GET", "/openapi.json").json()["paths"]:
        for method in ("GET", "POST", "PATCH", "DELETE"):
            asked.append((path, ask(app, method, path.replace("{id}", "studio"), token=None).status_code))
    assert len(asked) > 40
    assert {status for path, status in asked if path != "/healthz"} == {401}
    assert ("/healthz", 200) in asked
    for path in ("/docs", "/openapi.json", "/nothing/here"):
        assert ask(app, "GET", path, token=None).status_code == 401
    assert ask(app, "POST", "/signout", token=None).status_code == 401
    page = ask(app, "GET", "/", token=None)
    assert page.status_code == 401
    assert "Sign in" in page.text
    assert "stream" not in page.text.replace("streams", ""), "the page itself is shown to strangers"


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udcff"])
def test_a_token_that_is_nearly_right_is_wrong(token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode("utf-8", "surrogateescape")}
    assert ask(app_of(), "GET", "/v1/effects", token=None, headers=headers).status_code == 401


def test_each_of_several_tokens_lets_in() -> None:
    app = app_of(tokens=("first-token", "second-token"))
    for token in ("first-token", "second-token"):
        assert ask(app, "GET", "/v1/effects", token=token).status_code == 200


def test_tokens_are_compared_whole_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many comparisons of digests for a right token, the first or the last, as for a wrong one."""
    compared: list[int] = []
    plain = hmac.compare_digest

    def noted(a: bytes, b: bytes) -> bool:
        compared.append(len(a))
        return plain(a, b)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    app = app_of(tokens=("first-token", "second-token"))
    counts = set()
    for token in ("first-token", "second-token", "wrong-token"):
        compared.clear()
        ask(app, "GET", "/readyz", token=token)
        counts.add(tuple(compared[:2]))
    assert counts == {(32, 32)}


def signed_in(app: FastAPI) -> str:
    answer = ask(app, "POST", "/signin", token=None, data={"token": TOKEN})
    assert answer.status_code == 303
    return answer.headers["set-cookie"]


def test_signing_in_gives_a_cookie_that_holds_no_token_and_no_script_reads() -> None:
    app = app_of()
    cookie = signed_in(app)
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    value = cookie.partition(";")[0]
    assert ask(app, "GET", "/v1/streams", token=None, headers={"Cookie": value}).status_code == 200
    assert "facefx live" in ask(app, "GET", "/", token=None, headers={"Cookie": value}).text
    wrong = ask(app, "POST", "/signin", token=None, data={"token": "another-token"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    raw = {"Cookie": f"{COOKIE}={TOKEN}"}
    assert ask(app, "GET", "/v1/streams", token=None, headers=raw).status_code == 401


def test_a_page_of_another_place_can_change_nothing_with_the_cookie() -> None:
    app = app_of()
    cookie = {"Cookie": signed_in(app).partition(";")[0]}
    said = {"source": "rtmp://a/b/c"}
    assert ask(app, "POST", "/v1/streams", token=None, headers=cookie, json=said).status_code == 401
    own = {**cookie, OWN_HEADER: "1"}
    assert ask(app, "POST", "/v1/streams", token=None, headers=own, json=said).status_code == 201


def test_a_token_in_the_address_lets_nobody_in() -> None:
    """Addresses end up in logs of proxies."""
    assert ask(app_of(), "GET", "/v1/streams", token=None, params={"token": TOKEN}).status_code == 401


def test_no_token_and_no_key_is_in_any_answer_or_log(caplog: pytest.LogCaptureFixture) -> None:
    app = app_of(rtmp=KEYS)
    caplog.set_level(logging.DEBUG)
    answers = [
        ask(app, "POST", "/v1/rtmp/publish", token=None, data={"name": KEY}),
        ask(app, "POST", "/v1/rtmp/publish", token=None, data={"name": KEY + "x"}),
        ask(app, "POST", "/v1/streams", json={"source": f"rtmp://h/app/{KEY}", "targets": [f"bad://{KEY}"]}),
        ask(app, "POST", "/v1/streams", json={"source": f"rtmp://h/app/{KEY}", "budget_s": KEY}),
        ask(app, "POST", "/v1/streams", json={"source": f"file:///{KEY}"}),
        ask(app, "POST", "/v1/streams", json={"id": "one", "source": f"rtmp://h/app/{KEY}"}),
        ask(app, "GET", "/v1/streams"),
        ask(app, "GET", "/v1/streams/one"),
        ask(app, "GET", "/v1/effects", params={"token": TOKEN}),
        ask(app, "GET", "/metrics"),
    ]
    assert [answer.status_code for answer in answers] == [302, 403, 400, 422, 400, 201, 200, 200, 200, 200]
    for answer in answers:
        said = answer.text + str(dict(answer.headers))
        assert KEY not in said
        assert TOKEN not in said
    own = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert all(KEY not in record.getMessage() and TOKEN not in record.getMessage() for record in own)


def test_settings_without_a_token_do_not_start_and_no_message_shows_a_secret() -> None:
    with pytest.raises(ConfigError, match="no token"):
        settings_from({})
    with pytest.raises(ConfigError) as short:
        settings_from({"FACEFX_TOKEN": "qwxz"})
    assert "qwxz" not in str(short.value)
    wrong = {"FACEFX_TOKEN": TOKEN, "FACEFX_HTTP": f'{{"rtmp": [{{"key": "{KEY}", "id": "a b"}}]}}'}
    with pytest.raises(ConfigError, match=r"rtmp\.0\.id") as error:
        settings_from(wrong)
    assert KEY not in str(error.value)
    assert KEY not in repr(http_settings(rtmp=KEYS))


def test_tokens_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("first-token\nsecond-token\n")
    settings = settings_from({"FACEFX_TOKEN_FILE": str(path), "FACEFX_HTTP": '{"waiting": 3}'})
    assert [token.get_secret_value() for token in settings.tokens] == ["first-token", "second-token"]
    assert settings.waiting == 3
