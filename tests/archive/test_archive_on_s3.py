"""An archive in a bucket that answers badly: the same bytes, nothing stray, and no video blamed for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from archive_makers import Archive, clip_bytes, put_clips, recipe_of, sha256
from faults import Fault, FaultProxy
from s3_place import S3Place

from facefx.archive.run import ArchiveRequest
from facefx.archive.state import STATE
from facefx.errors import ExitCode, FacefxError
from facefx.storage import StorageOptions

NAMES = ("a.mp4", "day/b.mkv")


@pytest.fixture
def bucket(s3: S3Place) -> S3Place:
    """A bucket with two videos below in/."""
    for name in NAMES:
        s3.client.put_object(Bucket=s3.bucket, Key=f"in/{name}", Body=clip_bytes(Path(name).suffix))
    return s3


def archive_on(place: S3Place, options: StorageOptions, scratch: Path) -> Archive:
    recipe = {"source_options": options, "target_options": options}
    return Archive(f"{place.url}/in", f"{place.url}/out", scratch, recipe=recipe)


def keys_of(place: S3Place, prefix: str = "out/") -> list[str]:
    return [key for key, _ in place.keys().items() if key.startswith(prefix)]


def outputs(place: S3Place) -> dict[str, bytes]:
    keys = [key for key in keys_of(place) if f"/{STATE}/" not in key]
    return {key.removeprefix("out/"): place.bytes_of(key) for key in keys}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the same videos come to on a disk."""
    folder = tmp_path_factory.mktemp("local")
    source = put_clips(folder / "in", *NAMES)
    archive = Archive(str(source), str(folder / "out"), folder / "scratch")
    archive.run()
    return {name: (folder / "out" / name).read_bytes() for name in NAMES}


def test_one_request_in_seven_that_fails_changes_no_byte_and_leaves_nothing_behind(
    bucket: S3Place, fault_proxy: FaultProxy, local: dict[str, bytes], tmp_path: Path
) -> None:
    for fault in (Fault.ERROR_500, Fault.ERROR_503, Fault.RESET):
        fault_proxy.add(fault, probability=0.05)
    archive = archive_on(bucket, bucket.options(fault_proxy.url), tmp_path / "scratch")
    summary = archive.run()
    assert sum(fault_proxy.done.values()) >= 5
    assert (summary.exit_code, summary.done, summary.redone) == (ExitCode.DONE, 2, 0)
    assert outputs(bucket) == local
    assert bucket.pending() == []
    keys = {record.key for record in archive.state.records()}
    kept = {f"out/{STATE}/faces/video={key}/part.parquet" for key in keys}
    kept |= {f"out/{STATE}/sheets/{key}.jpg" for key in keys} | {
        f"out/{STATE}/commits/{key}.json" for key in keys
    }
    accounts = (
        "job.json",
        "lease.json.",
        "logs/",
        "manifest.parquet",
        "progress.json",
        "report.html",
        "run.json",
    )
    others = set(keys_of(bucket, f"out/{STATE}/")) - kept
    assert [
        key for key in others if not key.startswith(tuple(f"out/{STATE}/{name}" for name in accounts))
    ] == []


def test_a_source_that_cannot_be_fetched_fails_and_is_fetched_by_the_next_run(
    bucket: S3Place, fault_proxy: FaultProxy, local: dict[str, bytes], tmp_path: Path
) -> None:
    fault_proxy.add(Fault.ERROR_503, method="GET", path="in/a.mp4")
    archive = archive_on(bucket, bucket.options(fault_proxy.url, retries=1), tmp_path / "scratch")
    summary = archive.run()
    assert (summary.exit_code, summary.done) == (ExitCode.PARTIAL, 1)
    record = archive.records()["a.mp4"]
    assert (record.status, record.kind) == ("failed", "StagingError")
    assert f"{bucket.url}/in/a.mp4" in record.reason
    fault_proxy.clear()
    assert archive.run().exit_code == ExitCode.DONE
    assert outputs(bucket) == local


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", r"segments/.*\.piece"),
        ("PUT", r"segments/.*\.piece"),
        ("GET", r"prefix=[^&]*segments"),
        ("PUT", r"sheets/"),
        ("PUT", r"out/(a\.mp4|day)"),
    ],
)
def test_an_outage_of_the_archives_own_place_is_no_fault_of_a_video(
    bucket: S3Place,
    fault_proxy: FaultProxy,
    local: dict[str, bytes],
    tmp_path: Path,
    method: str,
    path: str,
) -> None:
    """Quarantined, it would wait for a person; failed, the next run does it."""
    archive = archive_on(bucket, bucket.options(fault_proxy.url, retries=0), tmp_path / "scratch")
    archive.source = f"{bucket.url}/in/a.mp4"
    began: list[str] = []

    def outage(event: object) -> None:
        if not began:
            began.append("outage")
            fault_proxy.add(Fault.ERROR_503, method=method, path=path)

    if "prefix" in path:  # the run itself lists them first, and that may not fail
        fault_proxy.add(Fault.ERROR_503, method=method, path=path, nth=2)
        archive.run()
    else:
        archive.run(on_event=outage)
    assert archive.statuses() == {"a.mp4": "failed"}, archive.records()["a.mp4"].reason
    fault_proxy.clear()
    assert archive.run().exit_code == ExitCode.DONE
    assert outputs(bucket) == {"a.mp4": local["a.mp4"]}
    assert not keys_of(bucket, f"out/{STATE}/segments/")
    assert bucket.pending() == []


def test_an_outage_of_everything_ends_the_run_by_name_and_the_next_goes_on(
    bucket: S3Place, fault_proxy: FaultProxy, local: dict[str, bytes], tmp_path: Path
) -> None:
    archive = archive_on(bucket, bucket.options(fault_proxy.url, retries=0), tmp_path / "scratch")

    def outage(event: object) -> None:
        if archive.kinds()["segment"] == 2:
            # But for the lease: one that cannot be given back is held as long as this process lives.
            fault_proxy.add(Fault.ERROR_503, path=r"^(?!.*lease)")

    with pytest.raises(FacefxError, match=bucket.url):
        archive.run(on_event=outage)
    fault_proxy.clear()
    summary = archive.run()
    assert (summary.exit_code, summary.done) == (ExitCode.DONE, 2)
    assert summary.reused >= 2
    assert outputs(bucket) == local


def test_uploads_are_encrypted_as_asked(bucket: S3Place, tmp_path: Path) -> None:
    sse = replace(bucket.options(), sse="aws:kms", sse_kms_key_id="alias/archive")
    archive = archive_on(bucket, sse, tmp_path / "scratch")
    archive.run()
    for key in keys_of(bucket):
        head = bucket.client.head_object(Bucket=bucket.bucket, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/archive"), key


def big_and_small(folder: Path) -> Path:
    source = put_clips(folder / "in", "small.mp4", "x-small.mp4")
    (source / "big.mp4").write_bytes(clip_bytes(seconds=12))
    return source


def test_a_full_disk_below_the_scratch_folder_fails_what_does_not_fit_and_the_rest_goes_on(
    small_disk: Path, tmp_path: Path
) -> None:
    source = big_and_small(tmp_path)
    (small_disk / "ballast").write_bytes(bytes((4 << 20) - (1000 << 10)))
    archive = Archive(str(source), str(tmp_path / "out"), small_disk / "scratch")
    archive.recipe = {"segment_s": None}
    summary = archive.run()
    assert (summary.done, archive.statuses()["big.mp4"]) == (2, "failed"), archive.statuses()
    assert "no space left" in archive.records()["big.mp4"].reason.lower()
    assert archive.strays() == []
    (small_disk / "ballast").unlink()
    assert archive.run().exit_code == ExitCode.DONE


def test_a_full_target_fails_what_does_not_fit_and_the_rest_goes_on(small_disk: Path, tmp_path: Path) -> None:
    source = big_and_small(tmp_path)
    archive = Archive(str(source), str(small_disk / "out"), tmp_path / "scratch")
    (small_disk / "ballast").write_bytes(bytes((4 << 20) - (1000 << 10)))
    archive.recipe = {"segment_s": None}
    summary = archive.run()
    assert (summary.done, archive.statuses()["big.mp4"]) == (2, "failed"), archive.statuses()
    assert "no space left" in archive.records()["big.mp4"].reason.lower()
    assert not [name for name in archive.files() if ".part" in name]
    assert sorted(archive.outputs()) == ["small.mp4", "x-small.mp4"]
    (small_disk / "ballast").unlink()
    assert archive.run().exit_code == ExitCode.DONE
    assert sha256(small_disk / "out" / "big.mp4") == archive.records()["big.mp4"].output.sha256  # type: ignore[union-attr]


def test_a_bucket_may_hold_both_sources_and_results(bucket: S3Place, tmp_path: Path) -> None:
    options = bucket.options()
    recipe = recipe_of(f"{bucket.url}/out", source_options=options, target_options=options)
    archive = archive_on(bucket, options, tmp_path / "scratch")
    request = ArchiveRequest((bucket.url,), recipe)
    assert archive.run(request=request).done == 2
    assert archive.run(request=request).skipped == 2, "results of the first run were taken for sources"
