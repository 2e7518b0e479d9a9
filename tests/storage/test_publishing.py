"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path

import fsspec
import pytest
from faults import Fault, FaultProxy
from s3_place import S3Place

from facefx.errors import SinkError, SourceError, UsageError
from facefx.storage import StorageOptions, find_sources, publishing, same_place, staged


def test_an_exception_leaves_neither_output_nor_temp_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"

    def fail() -> None:
        with publishing(str(target)) as publication:
            publication.path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_stop_while_the_folder_is_tried_leaves_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a file can be made there is found out by making one; a Ctrl-C may come right after that."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during, suppress(KeyboardInterrupt), ExitStack() as stack:
        during.setattr(os, "close", stopped)
        during.setattr(Path, "unlink", stopped)
        stack.enter_context(publishing(str(tmp_path / "out.mp4")))
    assert list(tmp_path.iterdir()) == []


def test_leaving_without_a_commit_publishes_nothing(tmp_path: Path) -> None:
    with publishing(str(tmp_path / "out.mp4")) as publication:
        publication.path.write_bytes(b"whole but not verified")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_keeps_the_good_file_of_an_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"good")
    with publishing(str(target)) as publication:
        publication.path.write_bytes(b"bad")
    assert target.read_bytes() == b"good"


def test_commit_gives_the_final_name_only(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with publishing(str(target)) as publication:
        publication.path.write_bytes(b"whole")
        assert publication.path.suffix == ".mp4"
        assert not target.exists()
        publication.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """Root may rename over /dev/null, and every program of the machine would suffer."""
    pipe = tmp_path / "out.mp4"
    os.mkfifo(pipe)
    with pytest.raises(SinkError, match="is a device or a pipe"), publishing(str(pipe)):
        pass
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/such/out.mp4", "does not exist"), ("", "is a folder")],
    ids=["missing folder", "a folder itself"],
)
def test_a_destination_that_cannot_work_fails_before_the_work(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(SinkError, match=message), publishing(str(tmp_path / name)):
        pass


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    # Root writes into any ordinary folder, but not into the kernel's own.
    folder = tmp_path if os.geteuid() else Path("/proc")
    with pytest.raises(SinkError, match="cannot write into"), publishing(str(folder / "out.mp4")):
        pass


def test_output_through_a_link_to_the_input_is_the_input(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    assert same_place(str(source), str(tmp_path / "link.mp4"))
    assert same_place(str(source), str(tmp_path / "hard.mp4"))
    assert same_place(str(source), f"{tmp_path}/../{tmp_path.name}/in.mp4")
    assert not same_place(str(source), str(tmp_path / "other.mp4"))


def test_a_full_disk_is_named_and_keeps_the_old_file(small_disk: Path) -> None:
    target = small_disk / "out.mp4"
    target.write_bytes(b"good")
    with (
        pytest.raises(SinkError, match=r"out\.mp4: cannot be written: No space left on device"),
        publishing(str(target)) as publication,
    ):
        publication.write(b"x" * (6 << 20))
    assert [path.name for path in small_disk.iterdir()] == ["out.mp4"]
    assert target.read_bytes() == b"good"


def test_a_source_on_the_web_is_staged_in_bounded_time(
    tmp_path: Path, s3: S3Place, fault_proxy: FaultProxy
) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="in.mp4", Body=b"video", ACL="public-read")
    url = f"{fault_proxy.url}/{s3.bucket}/in.mp4"
    (entry,) = find_sources([url])
    assert (entry.relative, entry.size_bytes) == ("in.mp4", 5)
    with staged(url) as path:
        assert path.read_bytes() == b"video"
    fault_proxy.add(Fault.STALL, method="GET")
    with (
        pytest.raises(SourceError, match="cannot be fetched"),
        staged(url, StorageOptions(read_timeout_s=1.5, retries=1)),
    ):
        pass
    assert fault_proxy.done[Fault.STALL] == 2


def test_a_web_server_that_refuses_is_told_from_a_missing_file(s3: S3Place, fault_proxy: FaultProxy) -> None:
    quick = StorageOptions(retries=0)
    with pytest.raises(SourceError, match="is not there"):
        find_sources([f"{fault_proxy.url}/{s3.bucket}/none.mp4"], quick)
    fault_proxy.add(Fault.ERROR_403)
    with pytest.raises(SourceError, match="403"):
        find_sources([f"{fault_proxy.url}/{s3.bucket}/none.mp4"], quick)


def test_a_remote_output_appears_only_after_the_commit() -> None:
    memory = fsspec.filesystem("memory")
    url = "memory://bucket/out.mp4"
    with publishing(url) as publication:
        publication.path.write_bytes(b"not committed")
    assert not memory.exists("bucket/out.mp4")
    with publishing(url) as publication:
        publication.path.write_bytes(b"whole")
        publication.commit()
        folder = publication.path.parent
    assert memory.cat("bucket/out.mp4") == b"whole"
    assert not folder.exists()


def test_a_remote_source_is_staged_and_the_copy_removed() -> None:
    fsspec.filesystem("memory").pipe("bucket/in.mp4", b"video")
    with staged("memory://bucket/in.mp4") as path:
        assert path.read_bytes() == b"video"
    assert not path.exists()


def test_a_missing_remote_source_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="cannot be fetched"), staged("memory://bucket/none.mp4"):
        pass


def test_an_unknown_kind_of_url_says_what_is_possible() -> None:
    with pytest.raises(UsageError, match="no storage for this kind of URL"), staged("warp://x/y.mp4"):
        pass
