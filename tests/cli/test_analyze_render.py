"""`facefx analyze` and `facefx render` as a user calls them, and what they say of bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facefx.cli import main
from facefx.faces.table import HEADER_KEY

CLIP = "pair_headpose_480x270.mp4"


@pytest.fixture(scope="module")
def faces(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of the clip's faces."""
    path = tmp_path_factory.mktemp("faces") / "faces.parquet"
    assert main(["analyze", str(media / "clips" / CLIP), str(path)]) == 0
    return path


def other_version(good: Path, bad: Path) -> None:
    header = json.loads(pq.read_metadata(good).metadata[HEADER_KEY])
    header["table_version"] = 99
    table = pq.read_table(good)
    pq.write_table(table.replace_schema_metadata({HEADER_KEY: json.dumps(header)}), bad)


def cut_short(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes()[:-500])


def text(good: Path, bad: Path) -> None:
    bad.write_text("frame,pts,x0\n0,0,1\n", encoding="utf-8")


def foreign(good: Path, bad: Path) -> None:
    pq.write_table(pa.table({"frame": [1, 2]}), bad)


def half_of_it(good: Path, bad: Path) -> None:
    metadata = pq.read_metadata(good).metadata
    half = pq.read_table(good).slice(0, 50)
    pq.write_table(half.replace_schema_metadata({HEADER_KEY: metadata[HEADER_KEY]}), bad)


def absent(good: Path, bad: Path) -> None:
    """There is no file."""


BAD = [
    (other_version, "version 99, expected version 1"),
    (cut_short, "damaged"),
    (text, "no table of faces"),
    (foreign, "no table of faces"),
    (half_of_it, "expected 112 rows, got 50"),
    (absent, "no such file"),
]


@pytest.mark.parametrize(("spoil", "words"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
def test_a_bad_table_is_one_line_and_no_output(
    media: Path,
    faces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path, Path], None],
    words: str,
) -> None:
    bad = tmp_path / "bad.parquet"
    spoil(faces, bad)
    before = sorted(tmp_path.iterdir())
    code = main(["render", str(media / "clips" / CLIP), str(bad), str(tmp_path / "out.mp4")])
    said = capsys.readouterr().err
    assert code == 3, said
    assert said.startswith(f"error: {bad}: "), said
    assert said.count("\n") == 1, said
    assert words in said
    assert sorted(tmp_path.iterdir()) == before


def test_the_table_of_another_video_is_one_line_that_names_both(
    media: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = media / "clips" / "foreman_cif_352x288.mp4"
    assert main(["render", str(other), str(faces), str(tmp_path / "out.mp4")]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"is of another video: expected {CLIP}" in said
    assert "got foreman_cif_352x288.mp4" in said
    assert list(tmp_path.iterdir()) == []


def test_a_video_may_be_renamed_after_its_analysis(media: Path, faces: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.mp4"
    shutil.copy(media / "clips" / CLIP, renamed)
    report = tmp_path / "report.json"
    options = ["--effect", "pixelate", "--preset", "ultrafast", "--report", str(report)]
    assert main(["render", str(renamed), str(faces), str(tmp_path / "out.mp4"), *options]) == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["table"]["name"] == str(faces)
    assert told["table"]["seen"]["frames"] == told["frames"] == 56
    assert all(clause["ok"] for clause in told["fidelity"]["clauses"])


@pytest.mark.parametrize(
    "name", ["garbage.mp4", "zero_byte.mp4", "audio_only.mp4", "truncated_faststart.mp4"]
)
def test_a_bad_video_leaves_no_table(
    media: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", str(media / "formats" / name), str(tmp_path / "faces.parquet")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_analyze_reports_what_it_found_and_how(media: Path, tmp_path: Path) -> None:
    table, report = tmp_path / "faces.parquet", tmp_path / "report.json"
    source = str(media / "clips" / CLIP)
    options = ["--landmarker", "facemesh-478", "--from", "0.5", "--to", "1.5", "--report", str(report)]
    assert main(["analyze", source, str(table), *options]) == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    rows = pq.read_table(table)
    assert told["rows"] == len(rows) > 0
    assert told["plan"]["landmarker"]["name"] == "facemesh-478"
    assert rows.schema.field("landmarks").type.list_size == 3 * 478
    assert 0.5 <= min(rows["time_s"].to_pylist()) <= max(rows["time_s"].to_pylist()) < 1.5
    assert {row["stage"] for row in told["stages"]} == {"decode", "detect", "landmark", "table"}


def test_analyze_without_landmarks_opens_no_mesh(media: Path, tmp_path: Path) -> None:
    table = tmp_path / "faces.parquet"
    assert main(["analyze", str(media / "clips" / CLIP), str(table), "--no-landmarks"]) == 0
    assert "landmarks" not in pq.read_schema(table).names
