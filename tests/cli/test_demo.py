"""`facefx demo`: the first thing that anybody runs, so it works on small machines too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest

from facefx.cli.app import main
from facefx.demo import PORTRAIT_CLIPS


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo and what it said; in a process of its own, for a Ray is started and ended."""
    folder = tmp_path_factory.mktemp("shown")
    elsewhere = {**os.environ, "RAY_ADDRESS": "192.0.2.1:6379"}  # where the clips are not
    command = [sys.executable, "-m", "facefx", "demo", "--folder", "demo", "--effect", "pixelate:cells=6"]
    done = subprocess.run(command, cwd=folder, env=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "demo", done.stdout


def test_the_demo_is_an_archive_with_its_report(shown: tuple[Path, str]) -> None:
    folder, said = shown
    names = sorted(clip.name for clip in PORTRAIT_CLIPS)
    assert sorted(path.name for path in (folder / "in").iterdir()) == names
    assert sorted(path.name for path in (folder / "pixelate-cells-6").glob("*.mp4")) == names
    told = dict(line.split(":", 1) for line in said.splitlines()[-3:])
    assert list(told) == ["results", "report", "before/after"]
    for path in told.values():
        assert (folder.parent / path.strip()).exists(), path
    assert (folder / "pixelate-cells-6" / ".facefx" / "report.html").is_file()


def test_the_demo_shows_faces_and_a_clip_without_any(shown: tuple[Path, str]) -> None:
    folder, said = shown
    rows = pq.read_table(folder / "pixelate-cells-6" / ".facefx" / "manifest.parquet").to_pylist()
    tracks = {row["source_relative"]: row["tracks"] for row in rows}
    assert {name for name, count in tracks.items() if count == 0} == {"nobody.mp4"}
    assert "nobody.mp4: no face in any of 60 frames" in said


def test_the_picture_shows_the_same_moments_before_and_after(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    picture = cv2.imread(str(folder / "before-after.png"))
    assert picture is not None
    assert picture.shape == (720, 2560, 3)
    before, after = picture[:360].astype(int), picture[360:].astype(int)
    differing = (abs(before - after).max(axis=2) > 40).mean(axis=0).reshape(4, 640).mean(axis=1)
    assert differing[0] < 0.01 > differing[3], "no face is there at first and at last"
    assert min(differing[1:3]) > 0.02, "the face in between is changed"


def test_only_the_clip_is_made_if_that_is_all_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--clip-only", "--folder", str(tmp_path / "a" / "b")]) == 0
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["in.mp4"]
    assert "120 frames" in capsys.readouterr().out
