"""What every store promises, on a disk, on S3, in memory and through fsspec."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from faults import Fault, FaultProxy
from s3_place import S3Place

from facefx.errors import SinkError, SourceError, UsageError
from facefx.storage import Publication, StorageOptions, Store
from facefx.storage.backend import temporary_name
from facefx.storage.s3 import S3Backend


@pytest.fixture(params=["disk", "s3", "memory", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """One of each kind; "fsspec" is a file system that it reaches, and we do not."""
    if request.param == "s3":
        place: S3Place = request.getfixturevalue("s3")
        return Store(f"{place.url}/a/root", place.options())
    urls = {
        "disk": str(tmp_path / "root"),
        "memory": f"memory://{uuid4().hex}/root",
        "fsspec": f"local://{tmp_path}/root",
    }
    return Store(urls[request.param])


def test_what_is_written_is_read_again(store: Store, tmp_path: Path) -> None:
    store.write("a/b.json", b"first")
    store.write("a/b.json", b"second")
    assert store.read("a/b.json") == b"second"
    (tmp_path / "file").write_bytes(b"from a file")
    store.put("a/c", tmp_path / "file")
    store.get("a/c", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"from a file"
    store.write("empty", b"")
    store.get("empty", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_list_is_sorted_and_by_prefix(store: Store) -> None:
    for rel in ("b", "a/2", "a/1", "ab/3"):
        store.write(rel, rel.encode())
    assert [entry.rel for entry in store.list()] == ["a/1", "a/2", "ab/3", "b"]
    assert [entry.rel for entry in store.list("a/")] == ["a/1", "a/2"]
    assert [entry.rel for entry in store.list("a")] == ["a/1", "a/2", "ab/3"]
    assert list(store.list("none/")) == []
    entry = next(store.list("ab"))
    assert (entry.url, entry.size_bytes) == (store.url_of("ab/3"), 4)
    assert entry.modified_s == pytest.approx(time.time(), abs=60)
    assert store.stat("ab/3") == entry


def test_other_content_is_another_version(store: Store) -> None:
    store.write("a", b"one")
    before = store.stat("a")
    store.write("a", b"two")
    after = store.stat("a")
    assert before
    assert after
    assert before.version != after.version
    assert store.stat("b") is None
    assert store.exists("a")
    assert not store.exists("b")


def test_what_is_removed_is_gone_and_may_be_removed_again(store: Store) -> None:
    for rel in ("tree/a", "tree/b/c", "trees"):
        store.write(rel, b"x")
    store.remove("trees")
    store.remove("trees")
    assert store.remove_tree("tree") == 2
    assert store.remove_tree("tree") == 0
    assert list(store.list()) == []
    with pytest.raises(UsageError, match="not removed whole"):
        store.remove_tree("")


def test_what_is_not_there_is_a_source_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        store.read("none")
    with pytest.raises(SourceError):
        store.get("none", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(SinkError, match="none"):
        store.put("none", tmp_path / "none")
    assert list(store.list()) == []


def test_no_path_leads_outside(store: Store) -> None:
    for rel in ("../a", "a/../../b", "/etc/passwd", "a\0b"):
        with pytest.raises(UsageError, match="leads outside"):
            store.write(rel, b"")


def test_a_copy_of_a_store_is_the_same_store(store: Store) -> None:
    store.write("a", b"x")
    again: Store = pickle.loads(pickle.dumps(store))
    assert [entry.rel for entry in again.list()] == ["a"]
    assert again.options == store.options


def test_of_many_creators_one_is_told_so(store: Store) -> None:
    start = threading.Barrier(4)

    def race(number: int) -> bool:
        start.wait()
        return store.create("lock", str(number).encode())

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(race, range(4)))
    assert sum(won) == 1
    assert store.read("lock") == str(won.index(True)).encode()
    assert not store.create("lock", b"late")
    assert [entry.rel for entry in store.list()] == ["lock"]
    assert store.exclusive == ("settled" if store.url.startswith("local:") else "atomic")


def test_a_service_that_ignores_the_condition_is_found_out(
    s3: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some accept a second conditional PUT without a word."""
    place = S3Backend._place

    def unconditional(self: S3Backend, url: str, data: bytes, **more: Any) -> None:
        place(self, url, data, **{name: value for name, value in more.items() if name != "IfNoneMatch"})

    monkeypatch.setattr(S3Backend, "_place", unconditional)
    _exclusive_all_the_same(Store(s3.url, s3.options()), "silent", monkeypatch)


def test_a_service_that_refuses_the_condition_is_worked_around(
    s3: S3Place, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_proxy.add(Fault.ERROR_501, method="PUT", header="If-None-Match")
    _exclusive_all_the_same(Store(s3.url, s3.options(fault_proxy.url)), "refusing", monkeypatch)
    assert list(s3.keys()) == ["refusing"]


def _exclusive_all_the_same(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facefx.storage.backend.SETTLE_S", 0.05)
    assert store.exclusive == "settled"
    assert store.create(name, b"1")
    assert not store.create(name, b"2")
    assert store.read(name) == b"1"


def test_a_created_file_whose_reply_is_lost_is_still_ours(s3: S3Place, fault_proxy: FaultProxy) -> None:
    store = Store(s3.url, s3.options(fault_proxy.url))
    assert store.exclusive == "atomic"
    fault_proxy.add(Fault.LOST, method="PUT", path="/lock", nth=1)
    assert store.create("lock", b"ours")
    assert fault_proxy.count("PUT .*/lock") == 2
    assert not store.create("lock", b"theirs")


def test_creation_without_hard_links_is_exclusive_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = Store(str(tmp_path))
    assert store.create("a", b"1")
    assert not store.create("a", b"2")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"1"]


def test_a_sweep_takes_old_leftovers_and_those_of_one_owner(store: Store) -> None:
    store.write("d/whole", b"x")
    for owner in ("", "run7", "run8"):
        store.write(f"d/{temporary_name('out.mp4', owner)}", b"half")
    assert [entry.rel for entry in store.list()] == ["d/whole"]
    assert store.sweep(older_than_s=3600).temp_files == 0
    report = store.sweep("d/", older_than_s=3600, owner="run7")
    assert (report.temp_files, report.temp_bytes) == (1, 4)
    assert store.sweep("other/", older_than_s=-3600).temp_files == 0
    assert store.sweep(older_than_s=-3600).temp_files == 2
    assert store.read("d/whole") == b"x"


def test_a_sweep_aborts_uploads_that_nobody_completed(s3: S3Place) -> None:
    for key in ("dst/a.mp4", "dst/b.mp4", "other/c.mp4"):
        s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    store = Store(f"{s3.url}/dst", s3.options())
    century = 100 * 365 * 86400  # the test's service dates each upload to 2010
    assert store.sweep(older_than_s=century).pending_uploads == 0
    assert store.sweep(older_than_s=3600).pending_uploads == 2
    assert s3.pending() == ["other/c.mp4"]


def test_temporary_files_of_a_dead_writer_are_swept(tmp_path: Path) -> None:
    """As a kill leaves them: written, never named."""
    Publication(str(tmp_path / "out.mp4"), owner="run7").path.write_bytes(b"half")
    report = Store(str(tmp_path)).sweep(older_than_s=3600, owner="run7")
    assert (report.temp_files, list(tmp_path.iterdir())) == (1, [])


def test_our_own_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write(".facefx/a/b.json", b"faces")
    store.create(".facefx/a/c.json", b"faces")
    store.put(".facefx/a/d.json", tmp_path / ".facefx/a/c.json")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {".facefx": 0o700, "a": 0o700, "b.json": 0o600, "c.json": 0o600, "d.json": 0o600}
    store.remove_tree(".facefx")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_left_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    store = Store(str(small_disk))
    (tmp_path / "large").write_bytes(b"x" * (6 << 20))
    with pytest.raises(SinkError, match="No space left on device"):
        store.put("a", tmp_path / "large")
    with pytest.raises(SinkError, match="No space left on device"):
        store.write("a", b"x" * (6 << 20))
    with pytest.raises(SinkError, match="No space left on device"):
        store.create("a", b"x" * (6 << 20))
    assert list(small_disk.iterdir()) == []


def test_where_files_grow_under_their_names_the_old_one_stays_until_the_new_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"local://{tmp_path}/dst", StorageOptions(retries=0))
    store.write("out.mp4", b"good")
    (tmp_path / "new").write_bytes(b"new and whole")

    def breaks(_: object, path: str, target: str) -> None:
        Path(target).write_bytes(b"new a")
        raise ConnectionResetError

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.put_file", breaks)
    with pytest.raises(SinkError, match="ConnectionResetError"):
        store.put("out.mp4", tmp_path / "new")
    assert [path.read_bytes() for path in (tmp_path / "dst").iterdir()] == [b"good"]


def _read_often(store: Store, rel: str) -> set[bytes]:
    return {store.read(rel) for _ in range(40)}


def _seen_by_child(store: Store, results: Any) -> None:
    results.put(_read_often(store, "child"))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_store_in_use_works_in_a_new_process(s3: S3Place, fault_proxy: FaultProxy, method: str) -> None:
    """Of one connection, shared, each would get the other's replies; the proxy keeps connections open."""
    store = Store(s3.url, s3.options(fault_proxy.url, read_timeout_s=5, retries=0))
    store.write("parent", b"p")
    store.write("child", b"c")
    context: Any = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    child = context.Process(target=_seen_by_child, args=(store, results))
    child.start()
    assert _read_often(store, "parent") == {b"p"}
    child.join(30)
    assert child.exitcode == 0
    assert results.get() == {b"c"}
