"""The manifest holds whole records, in bounded memory, and the faces of all videos open as one table."""

from __future__ import annotations

import os
import stat
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from record_makers import done, given_up

from facefx.archive.manifest import faces_dataset, manifest_schema, read_manifest, write_manifest
from facefx.archive.records import CommitRecord
from facefx.errors import FacesError, RecordsError, SinkError
from facefx.faces.analysis import Analysis
from facefx.faces.detector import DetectorSpec
from facefx.faces.landmarker import LandmarkerSpec
from facefx.faces.policy import FacePolicy
from facefx.faces.table import TableWriter, VideoFacts
from facefx.models.catalog import NetUse
from facefx.values import Faces, FrameBatch, PixelFormat, StreamFormat

FORMAT = StreamFormat(PixelFormat.of("gray"), 8, 8, Fraction(1, 30))
VIDEO = VideoFacts("in.mp4", 10, "ab" * 32, "h264", "gray", 8, 8, 0, False, "0", "1/30", "0", 0, 90, 30)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    records = [done(0), given_up(1), done(2, versions={}, nets=(), notes=(), review=(), plan={}, details={})]
    assert write_manifest(records, tmp_path / "m.parquet") == 3
    assert list(read_manifest(tmp_path / "m.parquet")) == records


def test_an_archive_without_videos_has_a_manifest_too(tmp_path: Path) -> None:
    assert write_manifest([], tmp_path / "m.parquet") == 0
    assert list(read_manifest(tmp_path / "m.parquet")) == []


def test_any_tool_can_ask_it(tmp_path: Path) -> None:
    write_manifest([done(0), given_up(1), done(2)], tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    assert pc.sum(table["face_frames"].filter(pc.equal(table["status"], "done"))).as_py() == 800
    assert table["output_url"].null_count == 1
    assert table["seconds"].to_pylist()[0] == [("decode", 1.5), ("encode", 9.0)]
    assert table["nets"].to_pylist()[0] == [{"name": "yunet-n", "sha256": "8f" * 32, "licence": "Apache-2.0"}]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    write_manifest([done()], tmp_path / "m.parquet")
    assert stat.S_IMODE((tmp_path / "m.parquet").stat().st_mode) == 0o600


def test_a_name_that_is_no_utf8_does_not_cost_the_manifest(tmp_path: Path) -> None:
    record = done()
    record = replace(record, source=replace(record.source, relative="caf\udce9.mp4"))
    write_manifest([record], tmp_path / "m.parquet")
    assert next(read_manifest(tmp_path / "m.parquet")).source.relative == "caf\\udce9.mp4"


def test_memory_does_not_grow_with_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facefx.archive.manifest._GROUP_ROWS", 32)

    def peak(count: int) -> int:
        records = (done(i, details={"text": "x" * 50_000 + str(i)}) for i in range(count))
        tracemalloc.start()
        try:
            write_manifest(records, tmp_path / "m.parquet")
            assert sum(1 for _ in read_manifest(tmp_path / "m.parquet")) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(192) < 1.3 * peak(96)


def test_an_error_midway_leaves_the_old_manifest(tmp_path: Path) -> None:
    write_manifest([done()], tmp_path / "m.parquet")

    def broken() -> Iterator[CommitRecord]:
        yield given_up(5)
        raise RecordsError("commits/x.json: is no JSON")

    with pytest.raises(RecordsError, match=r"x\.json"):
        write_manifest(broken(), tmp_path / "m.parquet")
    assert list(read_manifest(tmp_path / "m.parquet")) == [done()]
    assert os.listdir(tmp_path) == ["m.parquet"]  # noqa: PTH208 - hidden leftovers too


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="missing"):
        write_manifest([done()], tmp_path / "missing" / "m.parquet")


def test_another_versions_manifest_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_manifest([done()], path)
    table = pq.read_table(path)
    for key, said in ((b"facefx.manifest", "a manifest"), (b"facefx.record", "a manifest with records")):
        other = {**manifest_schema().metadata, key: b"7"}
        pq.write_table(table.replace_schema_metadata(other), path)
        with pytest.raises(RecordsError, match=rf"m\.parquet: is {said} of version 7, expected version 1"):
            read_manifest(path)


def test_parquet_that_is_no_manifest_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(RecordsError, match="no manifest"):
        read_manifest(path)
    write_manifest([done()], path)
    pq.write_table(pq.read_table(path).drop_columns(["frames"]), path)
    with pytest.raises(RecordsError, match="its columns"):
        read_manifest(path)
    with pytest.raises(RecordsError, match="no such file"):
        read_manifest(tmp_path / "none.parquet")


def test_every_damage_is_refused_by_name_and_never_read_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    records = [done(0), given_up(1)]
    write_manifest(records, path)
    data = path.read_bytes()
    for at in range(0, len(data), 97):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]):
            path.write_bytes(damaged)
            try:
                found = list(read_manifest(path))
            except RecordsError as error:
                assert "m.parquet" in str(error)  # noqa: PT017 - or it reads, and then truly
            else:
                assert found == records


def looked(topology: bool = False) -> Analysis:
    detector = DetectorSpec("yunet", (NetUse("yunet-n", "cd" * 32, "MIT"),), (320, 640), reason="why")
    mesh = LandmarkerSpec("facemesh-468", "facemesh-468", "ef" * 32, "mediapipe-468") if topology else None
    return Analysis(
        detector=detector, policy=FacePolicy(gap_s=0.6), landmarker=mesh, on_damage="fail",
        from_s=None, to_s=None, device="cpu",
    )  # fmt: skip


def write_faces(folder: Path, key: str, frames: int, topology: bool = False) -> None:
    path = folder / f"video={key}" / "part.parquet"
    path.parent.mkdir(parents=True)
    index = np.arange(frames, dtype=np.int64)
    batch = FrameBatch(FORMAT, ((np.zeros((8, 8), np.uint8),),) * frames, index * 3, index)
    points = np.zeros((frames, 468, 3), np.float32) if topology else np.zeros((frames, 0, 3), np.float32)
    faces = Faces(
        index, index * 3, index, np.ones((frames, 4), np.float32), np.full(frames, 0.5, np.float32),
        np.zeros(frames, np.uint8), points, "mediapipe-468" if topology else "",
    )  # fmt: skip
    writer = TableWriter(path, looked(topology), VIDEO)
    for start in range(0, frames, 8):
        part = batch.select(start, min(start + 8, frames))
        writer.write(
            part, faces.of_frames(start, start + 8) if hasattr(faces, "of_frames") else cut(faces, start)
        )
    writer.finish({}, None, {})


def cut(faces: Faces, start: int) -> Faces:
    rows = slice(start, start + 8)
    return Faces(
        faces.frame[rows] - start, faces.pts[rows], faces.track_id[rows], faces.xyxy[rows],
        faces.confidence[rows], faces.source[rows], faces.landmarks[rows], faces.topology,
    )  # fmt: skip


@pytest.mark.parametrize("topology", [False, True], ids=["boxes", "landmarks"])
def test_the_faces_of_all_videos_are_one_table(tmp_path: Path, topology: bool) -> None:
    folder = tmp_path / ".facefx" / "faces"
    for number, key in enumerate(("00ab", "00cd", "12345678")):
        write_faces(folder, key, 5 + number, topology)
    dataset = faces_dataset(folder)
    assert dataset.count_rows() == 18
    one = dataset.to_table(filter=pc.field("video") == "00cd")
    assert one.num_rows == 6
    assert set(one["video"].to_pylist()) == {"00cd"}
    assert one["source"].to_pylist() == ["detected"] * 6
    assert ("landmarks" in one.column_names) == topology
    assert dataset.schema.field("video").type == pa.string()


def test_a_folder_without_faces_is_named(tmp_path: Path) -> None:
    with pytest.raises(FacesError, match="no table of faces"):
        faces_dataset(tmp_path)
    with pytest.raises(FacesError, match="nowhere"):
        faces_dataset(tmp_path / "nowhere")
