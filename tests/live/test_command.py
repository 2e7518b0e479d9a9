"""`facefx live`: what it refuses, what it tells, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from live_fakes import FakeOutput, FakeSource

from facefx.cli import main
from facefx.errors import SinkError, SourceError
from facefx.live.settings import LiveSettings


class Doors:
    """Stand in for the real ends; remember what was asked for."""

    def __init__(self) -> None:
        self.source, self.output = FakeSource(10), FakeOutput()
        self.settings: LiveSettings | None = None
        self.opened = 0

    def __call__(self, settings: LiveSettings, rules: Any) -> Doors:
        self.settings = settings
        return self

    def open_source(self) -> FakeSource:
        self.opened += 1
        return self.source

    def open_output(self, stream: Any) -> FakeOutput:
        return self.output


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Doors:
    made = Doors()
    monkeypatch.setattr("facefx.live.ends.LiveEnds", made)
    return made


URL = "rtmp://127.0.0.1:1935/live/topsecret"
QUICK = ("--detector", "blazeface")


def told(tmp_path: Path, *words: str) -> tuple[int, dict[str, Any]]:
    report = tmp_path / "report.json"
    code = main(["live", *words, *QUICK, "--report", str(report)])
    return code, json.loads(report.read_text(encoding="utf-8"))


def test_a_stream_runs_to_its_end_and_is_reported_without_its_key(
    doors: Doors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = told(
        tmp_path, "--listen", URL, "--out", "rtmp://x/out/othersecret", "--gop", "2", "--unpaced"
    )
    said = "".join(capsys.readouterr())
    assert code == 0
    assert (report["reason"], report["state"], report["frames_out"]) == ("the source ended", "ended", 10)
    assert report["plan"]["effects"][0]["name"] == "solid"
    assert doors.settings is not None
    assert (doors.settings.source, doors.settings.listen, doors.settings.gop_s) == (URL, True, 2)
    assert "10 frames in, 10 out" in said
    assert "secret" not in said + json.dumps(report)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.ts"], "source"),
        ([URL], "expected --out TARGET"),
        ([URL, "--listen", URL, "--out", "x.ts"], "expected one of them"),
        ([URL, "--out", URL], "a target is the source"),
        (["in.mp4", "--out", "./in.mp4"], "a target is the source"),
        ([URL, "--out", "x.ts", "--late", "never"], "late"),
        ([URL, "--out", "x.ts", "--budget", "0"], "budget_s"),
        ([URL, "--out", "x.ts", "--effect", "nothing"], "unknown effect"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_before_anything_is_opened(
    words: list[str], message: str, doors: Doors, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert doors.opened == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_stream_with_its_files_closed_and_reported(
    number: signal.Signals, code: int, doors: Doors, tmp_path: Path
) -> None:
    def interrupt(i: int) -> None:
        if i == 8:
            os.kill(os.getpid(), number)

    doors.source = FakeSource(100_000, then=interrupt)
    before = signal.getsignal(signal.SIGINT)
    got, report = told(tmp_path, URL, "--out", "x.ts")
    assert got == code
    assert report["reason"] == "interrupted"
    assert doors.output.closed == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stream_ends_when_its_duration_is_over(doors: Doors, tmp_path: Path) -> None:
    doors.source = FakeSource(100_000)
    began = time.monotonic()
    code, report = told(tmp_path, URL, "--out", "x.ts", "--duration", "2")
    assert code == 0
    assert report["reason"] == "the duration is over"
    assert 2 <= time.monotonic() - began < 20
    assert 0 < report["frames_out"] < 100


def test_a_source_that_is_not_there_is_bad_input(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    doors.source = FakeSource(0, refused=SourceError("rtmp://127.0.0.1:1935/live/***: refused"))
    assert main(["live", URL, "--out", "x.ts", "--wait", "0", *QUICK]) == 3
    said = capsys.readouterr().err
    assert "error: rtmp://127.0.0.1:1935/live/***: refused" in said
    assert "topsecret" not in said


def test_an_output_that_fails_is_bad_input_and_still_reported(doors: Doors, tmp_path: Path) -> None:
    def fail(written: int) -> None:
        if written == 3:
            raise SinkError("rtmp://x/***: gone")

    doors.output = FakeOutput(fail)
    code, report = told(tmp_path, URL, "--out", "x.ts", "--unpaced")
    assert code == 3
    assert (report["state"], report["error"]) == ("failed", "rtmp://x/***: gone")


def test_settings_come_from_a_file_and_options_win(doors: Doors, tmp_path: Path) -> None:
    settings = tmp_path / "live.yaml"
    settings.write_text(f"source: {URL}\ntargets: [a.ts]\npreset: fast\ngop_s: 3\n", encoding="utf-8")
    assert main(["live", "--config", str(settings), "--out", "b.ts", "--gop", "1", *QUICK]) == 0
    assert doors.settings is not None
    assert doors.settings.targets == ("b.ts",)
    assert (doors.settings.preset, doors.settings.gop_s) == ("fast", 1)
