"""`facefx verify` tells the shell and the reader what it found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from facefx.cli import main


def formats(media: Path, name: str) -> str:
    return str(media / "formats" / name)


def test_a_copy_passes_with_one_line_a_clause(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = formats(media, "vfr_640x360.mp4")
    copy = shutil.copy(source, tmp_path / "out.mp4")
    assert main(["verify", source, str(copy)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(" ok")]
    assert not [line for line in lines if "broken" in line]
    assert len([line for line in lines if line.startswith(" ok")]) == len(lines) - 1


def test_a_breach_is_exit_4_and_names_the_clause(media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, other = formats(media, "rotated90_480x640.mp4"), formats(media, "rotated270_480x640.mp4")
    assert main(["verify", source, other]) == 4
    out = capsys.readouterr()
    assert "rotation" in out.err
    assert "turned 90°" in out.err
    assert out.err.count("\n") == 1
    assert "broken" in out.out


def test_json_is_whole_and_only_json(media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, other = formats(media, "rotated90_480x640.mp4"), formats(media, "rotated270_480x640.mp4")
    assert main(["verify", source, other, "--json", "--decode", "full"]) == 4
    facts = json.loads(capsys.readouterr().out)
    assert facts["ok"] is False
    assert facts["source"] == source
    clauses = {one["name"]: one for one in facts["clauses"]}
    assert clauses["rotation"]["got"] == "turned -90°"
    assert clauses["decodes"]["ok"] is True


@pytest.mark.parametrize("name", ["garbage.mp4", "zero_byte.mp4", "audio_only.mp4", "missing.mp4"])
def test_a_source_that_is_no_video_is_bad_input(media: Path, name: str) -> None:
    good = formats(media, "tiny_64x36.mp4")
    assert main(["verify", formats(media, name), good]) == 3


def test_an_output_that_is_no_video_is_a_breach_unless_it_is_missing(media: Path) -> None:
    good = formats(media, "tiny_64x36.mp4")
    assert main(["verify", good, formats(media, "garbage.mp4")]) == 4
    assert main(["verify", good, formats(media, "missing.mp4")]) == 3


def test_what_was_asked_is_taken_from_the_options(media: Path) -> None:
    source = formats(media, "two_audio_640x360.mkv")
    assert main(["verify", source, source, "--audio", "drop"]) == 4
    assert main(["verify", source, source, "--codec", "hevc"]) == 4
    assert main(["verify", source, source, "--from", "1", "--to", "2"]) == 4
    assert main(["verify", source, source, "--audio", "mute"]) == 2
