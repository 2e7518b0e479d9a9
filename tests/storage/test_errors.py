"""Each thing that goes wrong with storage, by name, in one line, in bounded time and without secrets."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import Fault, FaultProxy
from s3_place import KEY, SECRET, S3Place, S3Server

from facefx.errors import ConfigError, ExitCode, FacefxError, InputError, SinkError, SourceError
from facefx.storage import StorageOptions, Store, find_sources, publishing, shown, staged


def line_of(error: FacefxError) -> str:
    """The message, which must be one line and hold no secret, and end the program with code 3."""
    text = str(error)
    assert "\n" not in text
    assert "canary-secret" not in text
    assert KEY not in text
    assert error.exit_code == ExitCode.BAD_INPUT
    return text


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody takes connections: its queue is full, so that not even a refusal comes."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_endpoint_where_nobody_answers_is_given_up_soon(s3: S3Place, nobody: str) -> None:
    started = time.monotonic()
    with pytest.raises(
        SourceError, match=r"in\.mp4: cannot be fetched: http://127\.0\.0\.1:\d+ cannot be re"
    ) as seen:
        Store(s3.url, s3.options(nobody, connect_timeout_s=0.5, retries=3)).read("in.mp4")
    assert time.monotonic() - started < 6
    line_of(seen.value)


def test_by_default_it_is_given_up_within_15_s(
    s3: S3Place, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not waited for: what one try takes at most, and the time after which none begins."""
    from facefx.storage import s3_client

    options = StorageOptions()
    assert s3_client.UNREACHABLE_S + s3_client.PAUSE_S + options.connect_timeout_s <= 15
    monkeypatch.setattr(s3_client, "UNREACHABLE_S", 0.3)
    started = time.monotonic()
    with pytest.raises(SinkError, match="cannot be reached"):
        Store(s3.url, s3.options(nobody, connect_timeout_s=0.2, retries=1000)).write("a", b"")
    assert time.monotonic() - started < 3


def test_a_closed_port_is_unreachable(s3: S3Place) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(SinkError, match="cannot be reached") as seen:
        Store(s3.url, s3.options(url, retries=1)).write("a", b"")
    line_of(seen.value)


def test_wrong_credentials_are_named(s3: S3Place, s3_server: S3Server) -> None:
    store = Store(s3.url, s3.options())
    store.write("there", b"x")
    s3_server.demand_rights(True)
    try:
        for act in (lambda: store.read("there"), lambda: store.stat("there"), lambda: list(store.list())):
            with pytest.raises(SourceError, match=r"denies access .*check the credentials") as seen:
                act()
            line_of(seen.value)
        with pytest.raises(SinkError, match="denies access") as refused:
            store.write("b", b"x")
        line_of(refused.value)
    finally:
        s3_server.demand_rights(False)


def test_a_refused_request_is_not_tried_again(s3: S3Place, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault.ERROR_403)
    with pytest.raises(SourceError, match="denies access"):
        Store(s3.url, s3.options(fault_proxy.url)).read("a")
    assert len(fault_proxy.requests) == 1


def test_missing_credentials_and_profiles_are_named(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="there is no profile 'nobody'") as seen:
        Store(s3.url, s3.options(profile="nobody")).read("a")
    line_of(seen.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match="no credentials were found; set AWS_ACCESS_KEY_ID") as seen:
        Store(s3.url, s3.options()).read("a")
    line_of(seen.value)


def test_anonymous_requests_are_not_signed(
    s3: S3Place, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="open", Body=b"to all", ACL="public-read")
    fault_proxy.add(Fault.ERROR_403, header="Authorization")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert Store(s3.url, s3.options(fault_proxy.url, anonymous=True)).read("open") == b"to all"


def test_a_missing_bucket_is_told_from_a_missing_object(s3: S3Place, tmp_path: Path) -> None:
    nowhere, here = Store("s3://no-such-bucket", s3.options()), Store(s3.url, s3.options())
    (tmp_path / "file").write_bytes(b"x")
    for act in (
        lambda: nowhere.read("a"),
        lambda: nowhere.stat("a"),
        lambda: list(nowhere.list()),
        lambda: nowhere.write("a", b""),
        lambda: nowhere.create("a", b""),
        lambda: nowhere.put("a", tmp_path / "file"),
        lambda: nowhere.get("a", tmp_path / "back"),
    ):
        with pytest.raises(InputError, match="there is no such bucket") as seen:
            act()
        line_of(seen.value)
    with pytest.raises(SourceError, match=r"none\.mp4: cannot be fetched: is not there") as missing:
        here.read("none.mp4")
    line_of(missing.value)


def test_a_glob_or_a_folder_without_files_is_an_error(s3: S3Place, tmp_path: Path) -> None:
    (tmp_path / "note.txt").touch()
    specs = [
        f"{s3.url}/*.mp4",
        f"{s3.url}/none/",
        f"{s3.url}/none.mp4",
        str(tmp_path / "*.mp4"),
        str(tmp_path),
    ]
    for spec in specs:
        with pytest.raises(SourceError) as seen:
            find_sources([spec], s3.options())
        assert spec.rstrip("/") in line_of(seen.value)


def test_an_outage_says_how_often_it_was_tried(s3: S3Place, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault.ERROR_503)
    with pytest.raises(SourceError, match=r"answers 503 .*\(3 tries\)") as seen:
        Store(s3.url, s3.options(fault_proxy.url, retries=2)).read("a")
    line_of(seen.value)
    assert len(fault_proxy.requests) == 3


@pytest.mark.parametrize(
    "values",
    [
        {"endpoint_url": f"http://{KEY}:{SECRET}@host"},
        {"endpoint_url": "host:9000"},
        {"sse": "none"},
        {"sse_kms_key_id": "alias/x"},
        {"retries": -1},
        {"connect_timeout_s": 0},
        {"secret": SECRET},
    ],
    ids=lambda values: next(iter(values)),
)
def test_options_that_cannot_be_right_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as seen:
        StorageOptions.from_json(values)
    assert SECRET not in str(seen.value)


def test_no_secret_reaches_a_log_a_message_or_a_report(
    s3: S3Place, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="facefx")
    texts: list[str] = []
    options = s3.options(fault_proxy.url, retries=0)
    store = Store(s3.url, options)
    store.write("in.mp4", b"x")
    for fault in (Fault.ERROR_403, Fault.ERROR_500, Fault.RESET):
        fault_proxy.clear()
        fault_proxy.add(fault)
        with pytest.raises(SourceError) as seen, staged(f"{s3.url}/in.mp4", options):
            pass
        texts.append(repr(seen.value) + str(seen.value.__cause__))
    fault_proxy.clear()
    for url in (f"ftp://me:{SECRET}@127.0.0.1:1/a.mp4", f"http://127.0.0.1:1/a.mp4?X-Amz-Signature={SECRET}"):
        with pytest.raises(FacefxError) as reading, staged(url, StorageOptions(retries=0)):
            pass
        with publishing(url, StorageOptions(retries=0)) as publication:
            publication.path.write_bytes(b"x")
            with pytest.raises(FacefxError) as writing:
                publication.commit()
        with pytest.raises(FacefxError) as finding:
            find_sources([url], StorageOptions(retries=0))
        texts += [str(reading.value), str(writing.value), str(finding.value), repr(Store(url))]
    texts += [
        repr(options),
        repr(options.to_json()),
        repr(store),
        repr(find_sources([f"{s3.url}/in.mp4"], options)),
    ]
    texts += [record.getMessage() for record in caplog.records]
    assert SECRET.startswith("canary-secret")  # a piece of it is too much
    assert [text for text in texts if "canary-secret" in text or KEY in text] == []
    assert SECRET not in shown(f"https://u:{SECRET}@host/a?token={SECRET}")
    assert StorageOptions.from_json(options.to_json()) == options
