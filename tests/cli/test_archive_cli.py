"""`facefx archive` at the shell: one clear line and the right exit code for what cannot be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_makers import DETECTOR, put_clips
from s3_place import S3Place, S3Server

from facefx.cli import main

Shell = Callable[..., tuple[int, str, str]]
QUICK = ("--runner", "inline", "--preset", "ultrafast", "--detector", DETECTOR, "--segment-s", "1")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run `facefx archive …` with {tmp} replaced; give the exit code, stdout and stderr."""
    put_clips(tmp_path / "in", "a.mp4", "day/a.mp4")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a-file").touch()

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["archive", *(part.replace("{tmp}", str(tmp_path)) for part in argv)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


RUN = ("run", "{tmp}/in", "{tmp}/out", *QUICK)
REFUSED = {
    "no such folder": (("run", "{tmp}/nowhere", "{tmp}/out", *QUICK), 3, "nowhere|is not there"),
    "an empty folder": (("run", "{tmp}/empty", "{tmp}/out", *QUICK), 3, "empty|no file with a known suffix"),
    "an empty glob": (("run", "{tmp}/in/*.avi", "{tmp}/out", *QUICK), 3, "*.avi|matches nothing"),
    "two videos to one name": ((*RUN, "--template", "{stem}{ext}"), 2, "a.mp4|2 sources|--template"),
    "outputs over inputs": (("run", "{tmp}/in", "{tmp}/in", *QUICK), 2, "which is the input"),
    "a template without names": ((*RUN, "--template", "x"), 2, "--template"),
    "an unknown container": ((*RUN, "--container", "xyz"), 2, "--container"),
    "an unknown effect": ((*RUN, "--effect", "nonsense"), 2, "nonsense"),
    "an unknown detector": ((*RUN, "--detector", "nonsense"), 2, "nonsense"),
    "an unknown runner": (("run", "{tmp}/in", "{tmp}/out", "--runner", "slurm"), 2, "slurm|ray or inline"),
    "workers without a cluster": ((*RUN, "--workers", "2"), 2, "--runner ray"),
    "a segment of half a second": ((*RUN, "--segment-s", "0.5"), 2, "--segment-s"),
    "a target below a file": (("run", "{tmp}/in", "{tmp}/a-file/out", *QUICK), 3, "cannot be written"),
    "scratch below a file": ((*RUN, "--scratch", "{tmp}/a-file/x"), 3, "--scratch"),
    "an unknown kind of URL": (("run", "{tmp}/in", "gopher://host/out", *QUICK), 2, "gopher"),
    "encryption of an unknown kind": ((*RUN, "--s3-sse", "rot13"), 2, "rot13"),
    "a service that is not there": (
        ("run", "s3://bucket/in", "{tmp}/out", *QUICK, "--s3-endpoint", "http://127.0.0.1:1"),
        3,
        "s3://bucket/in",
    ),
    "no cluster at the address": (
        ("run", "{tmp}/in", "{tmp}/out", "--address", "127.0.0.1:1"),
        3,
        "127.0.0.1:1|no cluster answers",
    ),
    "an address that is none": (("run", "{tmp}/in", "{tmp}/out", "--address", "there"), 2, "there|host:port"),
    "status of nothing": (("status", "{tmp}/empty"), 3, "holds no archive"),
    "retry of nothing": (("retry", "{tmp}/empty"), 3, "holds no archive"),
    "cancel of nothing": (("cancel", "{tmp}/empty"), 3, "holds no archive"),
    "report of nothing": (("report", "{tmp}/empty"), 3, "holds no archive"),
    "render of nothing": (("render", "{tmp}/empty", "{tmp}/out"), 3, "holds no archive"),
    "purge of nothing": (("purge", "{tmp}/empty"), 3, "holds no archive"),
    "purge --all of nothing": (("purge", "{tmp}/empty", "--all"), 3, "holds no archive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_one_clear_line(
    shell: Shell, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, s3: S3Place
) -> None:
    argv, expected, words = REFUSED[name]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code, _, said = shell(*argv)
    assert code == expected, said
    lines = said.strip().splitlines()
    assert lines[-1].startswith("error: "), said
    assert len(lines) == 1, said
    for word in words.split("|"):
        assert word in said, said
    assert not list((tmp_path / "out").rglob("*.mp4"))


def test_a_bucket_that_refuses_our_credentials_is_named_with_what_to_do(
    shell: Shell, s3: S3Place, s3_server: S3Server
) -> None:
    s3_server.demand_rights(True)
    try:
        code, _, said = shell("run", "{tmp}/in", f"{s3.url}/out", *QUICK, "--s3-endpoint", s3.endpoint)
    finally:
        s3_server.demand_rights(False)
    assert code == 3
    assert s3.url in said
    assert said.count("\n") == 1


def test_outputs_within_the_input_folder_are_not_taken_for_inputs(shell: Shell) -> None:
    argv = ("run", "{tmp}/in", "{tmp}/in/done", *QUICK)
    assert shell(*argv)[0] == 0
    code, _, said = shell(*argv)
    assert code == 0
    assert "2 skipped" in said


def test_the_whole_way_of_an_archive_at_the_shell(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    code, out, said = shell(*RUN, "--json")
    assert code == 5
    assert said.strip().endswith("exit=5")
    summary = json.loads(out)
    assert (summary["done"], summary["quarantined"], summary["exit_code"]) == (2, 1, 5)
    assert (tmp_path / "out" / "day" / "a.mp4").is_file()

    code, out, _ = shell("status", "{tmp}/out")
    assert code == 0
    assert "2 done, 1 quarantined, 0 failed" in out
    assert "quarantined: broken.mp4: " in out
    status = json.loads(shell("status", "{tmp}/out", "--json")[1])
    assert [trouble["source"] for trouble in status["troubled"]] == ["broken.mp4"]

    code, _, said = shell(*RUN, "--effect", "pixelate")
    assert code == 3
    assert "config.effects" in said

    (tmp_path / "in" / "broken.mp4").write_bytes((tmp_path / "in" / "a.mp4").read_bytes())
    code, _, said = shell("retry", "{tmp}/out", "--runner", "inline")
    assert code == 0, said
    assert "1 done, 2 skipped" in said

    code, _, said = shell(
        "render", "{tmp}/out", "{tmp}/pixelated", "--effect", "pixelate", "--runner", "inline"
    )
    assert code == 0, said
    assert (tmp_path / "pixelated" / "day" / "a.mp4").is_file()

    code, _, said = shell("report", "{tmp}/out")
    assert code == 0
    assert "report.html" in said
    assert shell("cancel", "{tmp}/out")[0] == 0
    code, _, said = shell("purge", "{tmp}/out")
    assert code == 0
    assert "files removed" in said
    assert shell("render", "{tmp}/out", "{tmp}/late", "--runner", "inline")[0] == 5


def test_an_archive_in_a_bucket_is_run_from_the_shell(shell: Shell, s3: S3Place) -> None:
    at = ("--s3-endpoint", s3.endpoint)
    code, _, said = shell("run", "{tmp}/in", f"{s3.url}/out", *QUICK, *at, "--s3-sse", "AES256")
    assert code == 0, said
    assert {"out/a.mp4", "out/day/a.mp4"} <= s3.keys().keys()
    assert "2 done" in shell("status", f"{s3.url}/out", *at)[1]


def test_an_estimate_reads_no_picture_and_writes_nothing(shell: Shell, tmp_path: Path) -> None:
    code, out, _ = shell("estimate", "{tmp}/in")
    assert code == 0
    assert "2 videos" in out
    assert not (tmp_path / "out").exists()
