"""`facefx run` on real footage: every good file passes its own fidelity contract."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from facefx.cli import main

GOOD = [
    "audio_shorter_640x360.mp4",
    "av1_640x360.mp4",
    "fps2997_640x360.mp4",
    "fps60_640x360.mp4",
    "fragmented_640x360.mp4",
    "full_range_640x360.mp4",
    "gray_640x360.mp4",
    "h264_aac_640x360.flv",
    "hevc_10bit_640x360.mp4",
    "hevc_10bit_pq_tagged_640x360.mp4",
    "interlaced_mpeg2_720x576.ts",
    "interlaced_tff_sar_720x576.mp4",
    "not_mult16_642x362.mp4",
    "odd_641x359_h264_444.mp4",
    "odd_641x359_vp9.webm",
    "one_frame_640x360.mp4",
    "prores_422_10bit_480x270.mov",
    "rotated180_640x480.mp4",
    "rotated270_480x640.mp4",
    "rotated90_480x640.mp4",
    "start_offset_3600s_640x360.ts",
    "tiny_64x36.mp4",
    "two_audio_640x360.mkv",
    "vfr_640x360.mp4",
    "vp9_opus_640x360.webm",
]
# The fastest setting of each encoder: what is judged here is what is carried, not how well it is coded.
PRESETS = {"av1": "12", "vp9": "8", "vp9.webm": "8"}


def run(source: Path, output: Path, *options: str) -> dict[str, Any]:
    """Run, expect success, and give the report."""
    report = output.with_suffix(".json")
    assert main(["run", str(source), str(output), "--report", str(report), *options]) == 0
    loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return loaded


def speed(name: str) -> list[str]:
    """Options that make the encoder of that file quick."""
    if name.startswith(("av1",)):
        return ["--preset", "12"]
    if "vp9" in name:
        return ["--preset", "8"]
    if name.startswith(("prores", "interlaced_mpeg2")):
        return []
    return ["--preset", "ultrafast"]


@pytest.mark.parametrize("name", GOOD)
def test_every_good_file_comes_back_with_all_it_had(media: Path, tmp_path: Path, name: str) -> None:
    source = media / "formats" / name
    output = tmp_path / name
    report = run(source, output, *speed(name))
    clauses = {clause["name"]: clause["ok"] for clause in report["fidelity"]["clauses"]}
    assert clauses
    assert all(clauses.values()), clauses
    assert main(["verify", str(source), str(output)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {name, output.with_suffix(".json").name}
    )


def test_good_files_of_the_folder_are_all_in_the_list(media: Path) -> None:
    """So that a new file of the corpus cannot be forgotten here."""
    broken = {
        "audio_only.mp4",
        "bitflips_640x360.mp4",
        "garbage.mp4",
        "text_named.mp4",
        "truncated_faststart.mp4",
        "truncated_no_moov.mp4",
        "zero_byte.mp4",
    }
    long = {"bench_720p.mp4", "bench_1080p.mp4"}
    assert {path.name for path in (media / "formats").iterdir()} == broken | long | set(GOOD)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_same_plan_gives_the_same_bytes_with_any_number_of_threads(
    media: Path, tmp_path: Path, suffix: str
) -> None:
    source = media / "formats" / "vfr_640x360.mp4"
    hashes = set()
    for threads in ("1", "2", "3", "2"):
        output = tmp_path / f"out{threads}{suffix}"
        run(source, output, "--threads", threads, "--preset", "ultrafast")
        hashes.add(hashlib.sha256(output.read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_the_report_says_which_detector_and_why(media: Path, tmp_path: Path) -> None:
    report = run(media / "formats" / "one_frame_640x360.mp4", tmp_path / "out.mp4")
    detector = report["plan"]["detector"]
    assert detector["name"] in ("yunet", "blazeface")
    assert detector["reason"]
    assert all(len(net["sha256"]) == 64 and net["licence"] for net in detector["nets"])
    assert report["frames"] == 1
    assert {row["stage"] for row in report["stages"]} == {"decode", "detect", "blend", "encode"}
    assert report["sha256"]["output"] == hashlib.sha256((tmp_path / "out.mp4").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["truncated_faststart.mp4", "bitflips_640x360.mp4"])
def test_a_damaged_file_can_be_kept_as_far_as_it_reads(media: Path, tmp_path: Path, name: str) -> None:
    report = run(
        media / "formats" / name, tmp_path / "out.mp4", "--on-damage", "keep", "--preset", "ultrafast"
    )
    damage = report["damage"]
    assert 0 < damage["decoded"] < damage["expected"] == 180
    assert any("180" in note for note in report["notes"])


def test_an_excerpt_holds_only_its_range(media: Path, tmp_path: Path) -> None:
    source = media / "formats" / "vfr_640x360.mp4"
    report = run(source, tmp_path / "out.mp4", "--from", "1", "--to", "3", "--preset", "ultrafast")
    whole = run(source, tmp_path / "whole.mp4", "--preset", "ultrafast")
    assert 0 < report["frames"] < whole["frames"]


def test_audio_and_metadata_go_only_when_asked(media: Path, tmp_path: Path) -> None:
    source = media / "formats" / "two_audio_640x360.mkv"
    output = tmp_path / "out.mkv"
    run(source, output, "--audio", "drop", "--metadata", "strip", "--preset", "ultrafast")
    assert main(["verify", str(source), str(output)]) == 4
    assert main(["verify", str(source), str(output), "--audio", "drop", "--metadata", "strip"]) == 0


def test_a_run_is_quiet_where_there_is_no_terminal(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(media / "formats" / "one_frame_640x360.mp4", tmp_path / "out.mp4")
    said = capsys.readouterr()
    assert said.out == ""
    assert "\r" not in said.err
    assert "out.mp4: 1 frames" in said.err
