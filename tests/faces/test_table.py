"""A kept table gives back the very faces that went in, or says in one line why it does not."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from facefx.errors import FacesError, ShapeError, SinkError
from facefx.faces.analysis import Analysis
from facefx.faces.detector import DetectorSpec
from facefx.faces.kept import FacesTable, KeptFaces, read_table
from facefx.faces.landmarker import LandmarkerSpec
from facefx.faces.policy import FacePolicy
from facefx.faces.table import HEADER_KEY, TableHeader, TableWriter, VideoFacts, pixels
from facefx.models.catalog import NetUse
from facefx.values import Faces, FrameBatch, PixelFormat, StreamFormat

FORMAT = StreamFormat(PixelFormat.of("gray"), 8, 8, Fraction(1, 30))
VIDEO = VideoFacts("in.mp4", 10, "ab" * 32, "h264", "gray", 8, 8, 0, False, "0", "1/30", "0", 0, 90, 30)
DETECTOR = DetectorSpec("yunet", (NetUse("yunet-n", "cd" * 32, "MIT"),), (320, 640), reason="why")
MESH = LandmarkerSpec("facemesh-468", "facemesh-468", "ef" * 32, "mediapipe-468")
POINTS = 468


def analysis(landmarks: bool = True) -> Analysis:
    return Analysis(
        detector=DETECTOR,
        policy=FacePolicy(gap_s=0.6),
        landmarker=MESH if landmarks else None,
        on_damage="fail",
        from_s=None,
        to_s=None,
        device="cpu",
    )


def batch(start: int, count: int) -> FrameBatch:
    """Frames start…, three ticks each."""
    index = np.arange(start, start + count, dtype=np.int64)
    return FrameBatch(FORMAT, ((np.zeros((8, 8), np.uint8),),) * count, index * 3, index)


def some_faces(frames: FrameBatch, seed: int, landmarks: bool = True, per_frame: int = 2) -> Faces:
    """Faces in every second frame; every third row has no mesh."""
    random = np.random.default_rng(seed)
    position = np.repeat(np.arange(0, len(frames), 2), per_frame)
    m = len(position)
    steps = np.rint(random.normal(200, 900, (m, POINTS, 3)) * 64)
    mesh: NDArray[np.float32] = (steps / 64).astype(np.float32)
    mesh[::3] = np.nan
    return Faces(
        position.astype(np.int64),
        frames.pts[position],
        np.tile(np.arange(per_frame, dtype=np.int64), m // per_frame),
        random.uniform(-5, 400, (m, 4)).astype(np.float32),
        random.uniform(0.3, 1, m).astype(np.float32),
        random.integers(0, 4, m).astype(np.uint8),
        mesh if landmarks else np.zeros((m, 0, 3), np.float32),
        "mediapipe-468" if landmarks else "",
    )


def kept(path: Path, landmarks: bool = True, batches: int = 3) -> list[tuple[FrameBatch, Faces]]:
    """Write a table of ten frames a batch; give what went in."""
    frames = [batch(10 * i, 10) for i in range(batches)]
    rows = [(b, some_faces(b, i, landmarks)) for i, b in enumerate(frames)]
    writer = TableWriter(path, analysis(landmarks), VIDEO)
    for b, faces in rows:
        writer.write(b, faces)
    writer.finish({"tracks": 2}, {"meshed": 1} if landmarks else None, {})
    return rows


def same(a: Faces, b: Faces) -> bool:
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (a.frame, b.frame),
        (a.pts, b.pts),
        (a.track_id, b.track_id),
        (a.xyxy, b.xyxy),
        (a.confidence, b.confidence),
        (a.source, b.source),
        (a.landmarks, b.landmarks),
    ]
    return a.topology == b.topology and all(
        x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype == np.float32) for x, y in pairs
    )


@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize("size", [1, 7, 10, 16])
def test_the_very_same_floats_come_back_however_frames_are_batched(
    tmp_path: Path, landmarks: bool, size: int
) -> None:
    rows = kept(tmp_path / "f.parquet", landmarks)
    with FacesTable(tmp_path / "f.parquet") as table:
        reader = KeptFaces(table, landmarks=landmarks, part=False)
        got = [reader.of_batch(batch(start, min(size, 30 - start))) for start in range(0, 30, size)]
        reader.finish()
    assert sum(map(len, got)) == sum(len(faces) for _, faces in rows)
    if size == 10:
        assert all(same(a, b) for a, (_, b) in zip(got, rows, strict=True))


def test_landmarks_that_nobody_needs_are_not_read(tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet")
    with FacesTable(tmp_path / "f.parquet") as table:
        assert all(faces.landmarks.shape[1] == 0 for faces in table.rows(landmarks=False))


def test_a_long_video_is_written_in_row_groups_and_not_held_whole(tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet", batches=500)
    groups = pq.read_metadata(tmp_path / "f.parquet").num_row_groups
    assert groups == 3


def test_a_reader_without_facefx_understands_the_columns(tmp_path: Path) -> None:
    rows = kept(tmp_path / "f.parquet")
    table = pq.read_table(tmp_path / "f.parquet")
    row = table.slice(1, 1).to_pylist()[0]
    faces = rows[0][1]
    assert (row["frame"], row["pts"], row["time_s"], row["track"]) == (0, 0, 0.0, 1)
    assert row["source"] in ("detected", "tracked", "filled", "held")
    assert row["topology"] == "mediapipe-468"
    assert row["landmarks"][0] == faces.landmarks[1, 0, 0] * 64
    assert table["landmarks"][0].as_py() is None
    assert np.array_equal(pixels(table["landmarks"])[:10], faces.landmarks, equal_nan=True)


def test_the_header_says_how_and_of_what_it_was_made(tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet")
    with FacesTable(tmp_path / "f.parquet") as table:
        header = table.header
    assert header.analysis == analysis()
    assert header.video == VIDEO
    assert (header.seen.frames, header.seen.first_pts, header.seen.last_pts) == (30, 0, 87)
    whole = read_table(tmp_path / "f.parquet")
    assert TableHeader.from_json(whole.schema.metadata[HEADER_KEY]) == header


def test_faces_are_personal_data_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet")
    assert stat.S_IMODE((tmp_path / "f.parquet").stat().st_mode) == 0o600


def test_a_video_without_a_face_is_not_one_that_nobody_looked_at(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "f.parquet", analysis(), VIDEO)
    writer.write(batch(0, 10), Faces.from_rows(()))
    writer.finish({}, {}, {})
    with FacesTable(tmp_path / "f.parquet") as table:
        reader = KeptFaces(table, landmarks=True, part=False)
        assert len(reader.of_batch(batch(0, 10))) == 0
        reader.finish()
        with pytest.raises(FacesError, match="were not looked at"):
            KeptFaces(table, landmarks=True, part=False).of_batch(batch(5, 10))


def test_a_part_of_the_frames_gets_its_own_faces(tmp_path: Path) -> None:
    rows = kept(tmp_path / "f.parquet")
    with FacesTable(tmp_path / "f.parquet") as table:
        reader = KeptFaces(table, landmarks=True, part=True)
        assert same(reader.of_batch(batch(10, 10)), rows[1][1])
        reader.finish()


def test_what_lies_before_a_part_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last minute of two hours must not take the memory of two hours."""
    rows = kept(tmp_path / "f.parquet", batches=400)
    joined: list[int] = []
    join = Faces.join
    monkeypatch.setattr(
        Faces,
        "join",
        lambda parts: joined.append(sum(map(len, parts))) or join(parts),  # type: ignore[func-returns-value]
    )
    with FacesTable(tmp_path / "f.parquet") as table:
        reader = KeptFaces(table, landmarks=True, part=True)
        assert same(reader.of_batch(batch(3990, 10)), rows[-1][1])
        reader.finish()
    assert joined == [10]


def test_missing_frames_do_not_pass_for_the_whole_video(tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet")
    with FacesTable(tmp_path / "f.parquet") as table:
        reader = KeptFaces(table, landmarks=True, part=False)
        reader.of_batch(batch(0, 10))
        with pytest.raises(FacesError, match="30 frames were looked at, but the video gives 10"):
            reader.finish()


def rewrite(path: Path, change: Any) -> None:
    """Change the rows of a table and leave its header as it was."""
    metadata = pq.read_metadata(path).metadata
    table = change(pq.read_table(path))
    pq.write_table(table.replace_schema_metadata({HEADER_KEY: metadata[HEADER_KEY]}), path)


def replaced(name: str, values: Any) -> Any:
    def change(table: Any) -> Any:
        at = table.schema.get_field_index(name)
        return table.set_column(at, table.schema.field(at), pa.array(values(table[name].to_numpy())))

    return change


CHANGES = [
    (lambda table: table.slice(0, 20), "expected 30 rows, got 20"),
    (lambda table: table.drop_columns(["confidence"]), "its columns are not those"),
    (lambda table: table.take(list(range(29, -1, -1))), "not in the order"),
    (replaced("x0", lambda x: x + np.float32(1)), "rows were changed"),
    (replaced("x0", lambda x: x * np.float32("nan")), "not a number"),
    (replaced("pts", lambda x: x + 1), "between the frames"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_a_changed_table_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    path = tmp_path / "f.parquet"
    kept(path)
    rewrite(path, change)

    def read() -> None:
        with FacesTable(path) as table:
            reader = KeptFaces(table, landmarks=True, part=False)
            for start in (0, 10, 20):
                reader.of_batch(batch(start, 10))
            reader.finish()

    with pytest.raises(FacesError, match=words):
        read()


def test_changed_landmarks_are_seen_where_landmarks_are_used(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    kept(path)

    def shift(table: Any) -> Any:
        at = table.schema.get_field_index("landmarks")
        rows = [None if row is None else [row[0] + 1, *row[1:]] for row in table["landmarks"].to_pylist()]
        field = table.schema.field(at)
        return table.set_column(at, field, pa.array(rows, field.type))

    rewrite(path, shift)
    with FacesTable(path) as table:
        for landmarks in (False, True):
            reader = KeptFaces(table, landmarks=landmarks, part=True)
            reader.of_batch(batch(0, 10))
            if landmarks:
                with pytest.raises(FacesError, match="rows were changed"):
                    reader.finish()
            else:
                reader.finish()


def test_flipped_bits_are_noticed_before_they_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    kept(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with FacesTable(path) as table, pytest.raises(FacesError, match="damaged"):
        list(table.rows(landmarks=True))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("table_version", 2, "of version 2, expected version 1"),
        ("surprise", 1, "does not know"),
        ("seen", {"frames": "many"}, "header cannot be read"),
    ],
)
def test_another_versions_header_is_refused_by_name(key: str, value: Any, words: str, tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet")
    plain = FacesTable(tmp_path / "f.parquet").header.to_json()
    plain[key] = value
    with pytest.raises(FacesError, match=words):
        TableHeader.from_json(json.dumps(plain).encode())


def test_another_video_is_refused_and_a_renamed_one_is_not(tmp_path: Path) -> None:
    kept(tmp_path / "f.parquet")
    with FacesTable(tmp_path / "f.parquet") as table:
        table.check_video(replace(VIDEO, name="renamed.mp4"))
        with pytest.raises(FacesError, match=r"is of another video: expected in\.mp4"):
            table.check_video(replace(VIDEO, sha256="00" * 32))
        with pytest.raises(FacesError, match=r"read otherwise here.*rotation 0, now 90"):
            table.check_video(replace(VIDEO, rotation=90))


def test_landmarks_that_would_not_come_back_the_same_are_not_written(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "f.parquet", analysis(), VIDEO)
    frames = batch(0, 10)
    faces = some_faces(frames, 0)
    with pytest.raises(ShapeError, match="multiples of 1/64"):
        writer.write(frames, replace(faces, landmarks=faces.landmarks + np.float32(0.001)))
    writer.close()


def test_a_table_that_cannot_be_written_is_a_sink_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"f\.parquet: cannot be written"):
        TableWriter(tmp_path / "missing" / "f.parquet", analysis(), VIDEO)
