"""The staging cache: one download a machine, nothing half, nothing held taken away."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import Fault, FaultProxy
from programs import Program
from s3_place import S3Place

from facefx.errors import SinkError, SourceError
from facefx.storage import StagingCache, StorageOptions, Store, sha256_file
from facefx.storage.s3_transfer import Chunks

# Holds a source: says its path, waits, ends.
HOLD = """
import sys
from pathlib import Path
from facefx.storage import StagingCache, StorageOptions
folder, url, endpoint = sys.argv[1:]
print("ready", flush=True)
input()
with StagingCache(Path(folder), 10**9).hold(url, None, StorageOptions(endpoint_url=endpoint)) as path:
    print(path, flush=True)
    input()
"""


def put(s3: S3Place, key: str, size: int = 1000) -> str:
    s3.client.put_object(Bucket=s3.bucket, Key=key, Body=(key.encode() * size)[:size])
    return f"{s3.url}/{key}"


def test_a_source_is_fetched_once_and_kept(s3: S3Place, fault_proxy: FaultProxy, tmp_path: Path) -> None:
    cache = StagingCache(tmp_path / "cache", 1 << 20)
    url, options = put(s3, "in/clip.mp4"), s3.options(fault_proxy.url)
    with cache.hold(url, None, options) as path:
        assert path.name == "clip.mp4"
        assert path.read_bytes() == s3.bytes_of("in/clip.mp4")
        digest = sha256_file(path)
    again: StagingCache = pickle.loads(pickle.dumps(cache))
    with again.hold(url, None, options) as path:
        assert path.exists()
    assert again.sha256_of(url, None, options) == digest
    assert fault_proxy.count("GET") == 1
    assert cache.used_bytes() == 1000


def test_only_its_owner_may_look_into_the_cache(s3: S3Place, tmp_path: Path) -> None:
    cache = StagingCache(tmp_path / "cache", 1 << 20)
    with cache.hold(put(s3, "clip.mp4"), None, s3.options()):
        pass
    (source,) = cache.folder.rglob("*.mp4")
    modes = [path.stat().st_mode & 0o777 for path in (cache.folder, source.parent.parent, source)]
    assert modes == [0o700, 0o700, 0o600]


def test_two_processes_fetch_one_source_once(
    s3: S3Place, fault_proxy: FaultProxy, tmp_path: Path, program: Callable[..., Program]
) -> None:
    url = put(s3, "clip.mp4", 3 << 20)
    both = [program(HOLD, str(tmp_path / "cache"), url, fault_proxy.url) for _ in range(2)]
    assert [one.said() for one in both] == ["ready", "ready"]
    for one in both:
        one.go_on()
    paths = {one.said() for one in both}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == s3.bytes_of("clip.mp4")
    assert fault_proxy.count("GET") == 1


def test_a_killed_download_blocks_nobody_and_does_not_count(
    s3: S3Place, fault_proxy: FaultProxy, tmp_path: Path, program: Callable[..., Program]
) -> None:
    url = put(s3, "clip.mp4", 3 << 20)
    fault_proxy.add(Fault.TRUNCATE, method="GET", nth=1)
    fault_proxy.add(Fault.STALL, method="GET", nth=1)
    victim = program(HOLD, str(tmp_path / "cache"), url, fault_proxy.url)
    assert victim.said() == "ready"
    victim.go_on()
    deadline = time.monotonic() + 20
    while not fault_proxy.done[Fault.STALL] and time.monotonic() < deadline:
        time.sleep(0.01)  # half of it is there, and no more will come
    victim.kill()
    cache = StagingCache(tmp_path / "cache", 1 << 30)
    assert any(path.stat().st_size for path in cache.folder.rglob("*.part*/**/*") if path.is_file())
    fault_proxy.clear()
    with cache.hold(url, None, s3.options(fault_proxy.url)) as path:
        assert path.read_bytes() == s3.bytes_of("clip.mp4")
    assert list(cache.folder.rglob("*.part*")) == []


def test_what_is_longest_unused_goes_first_and_what_is_held_stays(s3: S3Place, tmp_path: Path) -> None:
    cache, options = StagingCache(tmp_path / "cache", 2500), s3.options()
    urls = [put(s3, f"{name}.mp4") for name in "abcd"]

    def kept() -> set[str]:
        return {path.stem for path in cache.folder.rglob("*.mp4")}

    with cache.hold(urls[0], None, options) as held:
        for url in urls[1:3]:
            with cache.hold(url, None, options):
                pass
        assert kept() == {"a", "c"}, "b was not held, and older than c"
        with cache.hold(urls[1], None, options), cache.hold(urls[3], None, options):
            assert kept() == {"a", "b", "d"}, "all are held, though that is more than the limit"
        assert held.exists()
        assert cache.used_bytes() <= 2500
    with cache.hold(urls[0], None, options), cache.hold(urls[1], None, options):
        pass
    assert cache.used_bytes() == 2000
    with cache.hold(urls[2], None, options):
        pass
    assert kept() == {"b", "c"} or kept() == {"a", "c"}


def test_a_new_version_is_fetched_and_an_old_one_refused(s3: S3Place, tmp_path: Path) -> None:
    cache, options = StagingCache(tmp_path / "cache", 1 << 20), s3.options()
    url = put(s3, "clip.mp4", 10)
    version = s3.client.head_object(Bucket=s3.bucket, Key="clip.mp4")["ETag"].strip('"')
    with cache.hold(url, version, options) as path:
        assert path.stat().st_size == 10
    put(s3, "clip.mp4", 20)
    with cache.hold(url, version, options) as path:
        assert path.stat().st_size == 10, "kept under its version, whatever is there now"
    with cache.hold(url, None, options) as path:
        assert path.stat().st_size == 20
    with pytest.raises(SourceError, match="changed since it was found"), cache.hold(url, "0" * 32, options):
        pass


def test_a_source_that_changes_while_it_is_fetched_is_refused(
    s3: S3Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, url = StagingCache(tmp_path / "cache", 1 << 30), put(s3, "clip.mp4", 3 << 20)
    read = Chunks._next

    def meanwhile(self: Chunks, at: int) -> bytes:
        if at == 1 << 20:
            put(s3, "clip.mp4", 4 << 20)
            self._reply = None  # the connection broke off
        return read(self, at)

    monkeypatch.setattr(Chunks, "_next", meanwhile)
    with pytest.raises(SourceError, match="changed since it was found"), cache.hold(url, None, s3.options()):
        pass
    assert list(cache.folder.rglob("*.mp4")) == []
    assert cache.used_bytes() == 0


def test_a_local_source_is_given_where_it_lies_if_it_is_the_one_found(tmp_path: Path) -> None:
    cache, path = StagingCache(tmp_path / "cache", 100), tmp_path / "a.mp4"
    path.write_bytes(b"one")
    status = path.stat()
    version = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    with cache.hold(str(path), version) as given:
        assert given == path
    path.write_bytes(b"other")
    with pytest.raises(SourceError, match="changed since it was found"), cache.hold(str(path), version):
        pass
    assert not cache.folder.exists()


@pytest.mark.parametrize("place", ["s3", "memory"])
def test_a_full_disk_is_named_and_nothing_half_is_kept(s3: S3Place, small_disk: Path, place: str) -> None:
    store = Store(s3.url, s3.options()) if place == "s3" else Store("memory://full", s3.options())
    store.write("large.mp4", bytes(6 << 20))
    store.write("small.mp4", b"x")
    cache = StagingCache(small_disk / "cache", 1 << 30)
    with (
        pytest.raises(SinkError, match=r"small-disk/cache.*No space left on device"),
        cache.hold(store.url_of("large.mp4"), None, store.options),
    ):
        pass
    with cache.hold(store.url_of("small.mp4"), None, store.options) as path:
        assert path.read_bytes() == b"x"
    assert [path.name for path in cache.folder.rglob("*.mp4")] == ["small.mp4"]


def test_an_error_of_the_block_is_the_callers_own(s3: S3Place, tmp_path: Path) -> None:
    cache = StagingCache(tmp_path / "cache", 1 << 20)
    with pytest.raises(FileNotFoundError), cache.hold(put(s3, "a.mp4"), None, s3.options()):
        raise FileNotFoundError
    with cache.hold(f"{s3.url}/a.mp4", None, s3.options()) as path:
        assert path.exists()


def test_one_address_at_two_endpoints_is_two_sources(
    s3: S3Place, fault_proxy: FaultProxy, tmp_path: Path
) -> None:
    cache, url = StagingCache(tmp_path / "cache", 1 << 20), put(s3, "a.mp4")
    with (
        cache.hold(url, None, s3.options()) as first,
        cache.hold(url, None, s3.options(fault_proxy.url)) as second,
    ):
        assert first != second


def test_memory_is_cached_like_any_other_place(tmp_path: Path) -> None:
    Store("memory://cached").write("a.mp4", b"x")
    with StagingCache(tmp_path, 100).hold("memory://cached/a.mp4", None, StorageOptions()) as path:
        assert path.read_bytes() == b"x"
