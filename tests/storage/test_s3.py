"""S3 over HTTP, through faults: right bytes or nothing, and nothing left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import Fault, FaultProxy
from s3_place import S3Place

from facefx.errors import SinkError, SourceError
from facefx.storage import Store, publishing, sha256_file, sha256_of, staged

# Three parts, the last one short.
LARGE = 20 << 20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.mp4"
    path.write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
    return path


def publish(url: str, path: Path, proxy: FaultProxy, s3: S3Place, **more: float) -> None:
    with publishing(url, s3.options(proxy.url, **more)) as publication:
        publication.path.write_bytes(path.read_bytes())
        publication.commit()


def test_a_large_output_appears_whole_and_once(s3: S3Place, fault_proxy: FaultProxy, large: Path) -> None:
    publish(f"{s3.url}/dst/out.mp4", large, fault_proxy, s3)
    assert s3.keys() == {"dst/out.mp4": LARGE}
    assert s3.bytes_of("dst/out.mp4") == large.read_bytes()
    assert fault_proxy.count("PUT .*partNumber") == 3
    assert s3.pending() == []


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.ERROR_503, Fault.RESET, Fault.TRUNCATE, Fault.LOST])
def test_one_request_in_five_may_fail(
    s3: S3Place, fault_proxy: FaultProxy, large: Path, tmp_path: Path, fault: Fault
) -> None:
    fault_proxy.add(fault, probability=0.2)
    store = Store(f"{s3.url}/root", s3.options(fault_proxy.url))
    store.put("large.mp4", large)
    for number in range(15):
        store.write(f"small/{number}", bytes([number]) * 1000)
    for number in range(15):
        assert store.read(f"small/{number}") == bytes([number]) * 1000
    assert len(list(store.list())) == 16
    store.get("large.mp4", tmp_path / "back.mp4")
    assert sha256_file(tmp_path / "back.mp4") == sha256_file(large)
    assert fault_proxy.done[fault] >= 5
    assert s3.pending() == []


@pytest.mark.parametrize("spoiled", ["POST .*uploadId", "PUT .*out.mp4$"], ids=["in parts", "at once"])
def test_a_lost_reply_to_the_last_step_is_one_object_and_no_error(
    s3: S3Place, fault_proxy: FaultProxy, large: Path, tmp_path: Path, spoiled: str
) -> None:
    method, path = spoiled.split(" ")
    source = large
    if method == "PUT":
        source = tmp_path / "small.mp4"
        source.write_bytes(b"small")
    fault_proxy.add(Fault.LOST, method=method, path=path.removeprefix(".*"), nth=1)
    publish(f"{s3.url}/out.mp4", source, fault_proxy, s3)
    assert fault_proxy.done[Fault.LOST] == 1
    assert s3.keys() == {"out.mp4": source.stat().st_size}
    assert s3.bytes_of("out.mp4") == source.read_bytes()
    assert s3.pending() == []


@pytest.mark.parametrize("done", [True, False])
def test_an_upload_that_is_gone_when_it_is_to_be_completed_again(
    s3: S3Place, fault_proxy: FaultProxy, large: Path, done: bool
) -> None:
    """Some services forget an upload with its completion: then the object tells what became of it."""
    # As large, and under a key service, where an etag says nothing of the bytes.
    earlier = bytes(LARGE)
    s3.client.put_object(Bucket=s3.bucket, Key="out.mp4", Body=earlier, ServerSideEncryption="aws:kms")
    if done:
        fault_proxy.add(Fault.LOST, method="POST", path="uploadId", nth=1)
    fault_proxy.add(Fault.GONE, method="POST", path="uploadId", nth=1)
    if done:
        publish(f"{s3.url}/out.mp4", large, fault_proxy, s3)
        assert s3.bytes_of("out.mp4") == large.read_bytes()
    else:
        with pytest.raises(SinkError, match="cannot be written"):
            publish(f"{s3.url}/out.mp4", large, fault_proxy, s3)
        assert s3.bytes_of("out.mp4") == earlier
    assert s3.pending() == []


def test_a_lost_reply_to_the_first_step_leaves_no_upload_that_nobody_knows(
    s3: S3Place, fault_proxy: FaultProxy, large: Path
) -> None:
    other = s3.client.create_multipart_upload(Bucket=s3.bucket, Key="out.mp4")["UploadId"]
    s3.client.upload_part(Bucket=s3.bucket, Key="out.mp4", UploadId=other, PartNumber=1, Body=b"x")
    fault_proxy.add(Fault.LOST, method="POST", path="uploads", nth=[1, 2])
    publish(f"{s3.url}/out.mp4", large, fault_proxy, s3)
    assert s3.keys() == {"out.mp4": LARGE}
    assert s3.pending() == ["out.mp4"], "another's, which has begun to send, is let be"
    s3.client.abort_multipart_upload(Bucket=s3.bucket, Key="out.mp4", UploadId=other)


@pytest.mark.parametrize("part", [1, 3])
def test_an_upload_that_fails_half_way_leaves_nothing(
    s3: S3Place, fault_proxy: FaultProxy, large: Path, part: int
) -> None:
    fault_proxy.add(Fault.ERROR_403, method="PUT", path=f"partNumber={part}&")
    with pytest.raises(SinkError, match="denies access"):
        publish(f"{s3.url}/out.mp4", large, fault_proxy, s3)
    assert s3.keys() == {}
    assert s3.pending() == []
    assert fault_proxy.count("DELETE .*uploadId") == 1


def test_an_interrupted_upload_leaves_nothing(
    s3: S3Place, fault_proxy: FaultProxy, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is no Exception, and comes between any two requests."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("facefx.storage.s3_transfer._md5", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(f"{s3.url}/out.mp4", large, fault_proxy, s3)
    assert fault_proxy.count("POST .*uploads") == 1
    assert (s3.keys(), s3.pending()) == ({}, [])


def test_a_failed_run_keeps_the_good_object_of_an_earlier_one(
    s3: S3Place, fault_proxy: FaultProxy, large: Path
) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="out.mp4", Body=b"good")
    fault_proxy.add(Fault.ERROR_500, method="POST", path="uploadId")
    with pytest.raises(SinkError, match="answers 500"):
        publish(f"{s3.url}/out.mp4", large, fault_proxy, s3, retries=1)
    assert s3.bytes_of("out.mp4") == b"good"
    assert s3.pending() == []


def test_an_exception_in_the_block_uploads_nothing(s3: S3Place, fault_proxy: FaultProxy) -> None:
    def fail() -> None:
        with publishing(f"{s3.url}/out.mp4", s3.options(fault_proxy.url)) as publication:
            publication.path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert fault_proxy.requests == []


@pytest.mark.parametrize(
    ("method", "act"),
    [
        ("PUT", lambda store: store.write("k", b"data")),
        ("GET", lambda store: store.read("there")),
        ("HEAD", lambda store: store.stat("there")),
    ],
    ids=["write", "read", "stat"],
)
def test_a_server_that_stops_answering_is_given_up(
    s3: S3Place, fault_proxy: FaultProxy, method: str, act: Callable[[Store], object]
) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="there", Body=b"x")
    fault_proxy.add(Fault.STALL, method=method)
    store = Store(s3.url, s3.options(fault_proxy.url, read_timeout_s=0.3, retries=1))
    started = time.monotonic()
    with pytest.raises((SinkError, SourceError), match="stopped answering"):
        act(store)
    assert time.monotonic() - started < 3
    assert fault_proxy.done[Fault.STALL] == 2


def test_a_download_that_breaks_off_goes_on_from_there(
    s3: S3Place, fault_proxy: FaultProxy, large: Path
) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="in.mp4", Body=large.read_bytes())
    fault_proxy.add(Fault.TRUNCATE, method="GET", nth=[1, 2, 3])
    assert sha256_of(f"{s3.url}/in.mp4", s3.options(fault_proxy.url)) == sha256_file(large)
    assert fault_proxy.done[Fault.TRUNCATE] == 3


def test_bytes_that_changed_on_the_way_are_not_believed(
    s3: S3Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here the store is told of other bytes than it gets, which it does not check itself."""
    path = tmp_path / "in.mp4"
    path.write_bytes(b"as it was")
    monkeypatch.setattr("facefx.storage.s3_transfer._md5", lambda _: (b"\0" * 16, "AAAAAAAAAAAAAAAAAAAAAA=="))
    with pytest.raises(SinkError, match="arrived as other bytes"):
        Store(s3.url, s3.options()).put("out.mp4", path)


def test_another_writer_at_the_same_time_is_seen(
    s3: S3Place, fault_proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"ours")
    store = Store(s3.url, s3.options(fault_proxy.url))
    whole_run = "facefx.storage.s3_transfer.Upload.run"

    def overtaken(_: object) -> tuple[str, int]:
        s3.client.put_object(Bucket=s3.bucket, Key="out.mp4", Body=b"theirs")
        return '"00000000000000000000000000000000"', 4

    monkeypatch.setattr(whole_run, overtaken)
    with pytest.raises(SinkError, match="is not what was uploaded"):
        store.put("out.mp4", path)


def test_encryption_is_asked_for_with_every_kind_of_upload(s3: S3Place, large: Path) -> None:
    keyed = s3.options(sse="aws:kms", sse_kms_key_id="alias/videos")
    Store(s3.url, keyed).put("large", large)
    Store(s3.url, keyed).write("small", b"x")
    Store(s3.url, s3.options(sse="AES256")).create("once", b"x")
    heads = {key: s3.client.head_object(Bucket=s3.bucket, Key=key) for key in ("large", "small", "once")}
    assert {key: head.get("ServerSideEncryption") for key, head in heads.items()} == {
        "large": "aws:kms",
        "small": "aws:kms",
        "once": "AES256",
    }
    assert heads["small"]["SSEKMSKeyId"] == "alias/videos"


def test_listing_goes_on_after_a_page(
    s3: S3Place, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facefx.storage.s3.PAGE", 3)
    store = Store(s3.url, s3.options(fault_proxy.url))
    names = [f"n/{number}" for number in range(8)]
    for name in names:
        store.write(name, b"")
    assert [entry.rel for entry in store.list("n/")] == names
    assert fault_proxy.count("GET .*list-type=2") == 3
    assert store.remove_tree("n") == 8
    assert s3.keys() == {}
    assert fault_proxy.count("POST .*delete") == 3


def test_a_listing_is_never_an_old_one(s3: S3Place) -> None:
    store = Store(s3.url, s3.options())
    for number in range(3):
        assert len(list(store.list())) == number
        s3.client.put_object(Bucket=s3.bucket, Key=f"by-others/{number}", Body=b"")


def test_options_of_one_call_are_not_those_of_the_next(
    s3: S3Place, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="in.mp4", Body=b"x")
    with staged(f"{s3.url}/in.mp4", s3.options()):
        pass
    assert fault_proxy.requests == []
    with staged(f"{s3.url}/in.mp4", s3.options(fault_proxy.url)):
        pass
    assert len(fault_proxy.requests) == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", fault_proxy.url)
    with staged(f"{s3.url}/in.mp4"):
        pass
    assert len(fault_proxy.requests) == 4
