"""Where each millisecond went: on real footage the parts add up, and a delay shows where it was made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from facefx.cli import main
from facefx.config import RunConfig, load_config
from facefx.errors import SourceError, StageError
from facefx.pipeline.report import RunReport
from facefx.pipeline.run import run_video
from facefx.pipeline.stages import BlendStage, DecodeStage, DetectStage, EncodeStage, LandmarkStage

THREADS = pytest.mark.parametrize("threads", [1, 2, 3])
DELAY_S = 0.05
DELAYED: dict[str, Any] = {
    "detect": DetectStage,
    "landmark": LandmarkStage,
    "blend": BlendStage,
    "encode": EncodeStage,
}


def settings(threads: int) -> RunConfig:
    """A graph with every stage there is."""
    quick = {"preset": "ultrafast"}
    return load_config(None, {"effects": ("smooth",), "threads": threads, "encode": quick})


def spans(path: Path) -> tuple[dict[int, list[dict[str, Any]]], dict[str, Any]]:
    """Every span by thread, in the order of time, and what else the trace says; read as plain JSON."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    by_thread: dict[int, list[dict[str, Any]]] = {}
    for event in whole["traceEvents"]:
        if event["ph"] == "X":
            by_thread.setdefault(event["tid"], []).append(event)
    for rows in by_thread.values():
        rows.sort(key=lambda event: float(event["ts"]))
    return by_thread, whole["otherData"]


def adding_up(source: Path, out: Path, threads: int, trace: Path | None = None) -> RunReport:
    """The first of three runs in which every thread's parts are its time to 2 %.

    A busy machine stops a thread between two stamps now and then; a part that has no stamp is missing in
    all three.
    """
    for _ in range(3):
        report = run_video(str(source), str(out), settings(threads), trace=trace)
        accounts = report.to_json()["account"]["threads"]
        sums = [(sum(part["seconds"] for part in each["parts"]), each["alive_s"]) for each in accounts]
        if trace is not None:
            by_thread, _ = spans(trace)
            for tid, each in enumerate(accounts):
                own = sum(part["seconds"] for part in each["parts"] if part["name"] == "tracing")
                sums.append((sum(event["dur"] for event in by_thread[tid]) / 1e6 + own, each["alive_s"]))
        if all(parts == pytest.approx(alive, rel=0.02) for parts, alive in sums):
            return report
    pytest.fail(f"the parts of a thread do not add up to its time: {sums}")


@THREADS
def test_the_parts_of_every_thread_add_up_to_its_time(media: Path, tmp_path: Path, threads: int) -> None:
    source = media / "clips" / "foreman_cif_352x288.mp4"
    trace = tmp_path / "t.json"
    report = adding_up(source, tmp_path / "out.mp4", threads, trace)
    by_thread, about = spans(trace)
    accounts = about["account"]["threads"]
    assert len(accounts) == len(by_thread) == threads
    for tid in range(threads):
        for first, second in pairwise(by_thread[tid]):
            assert first["ts"] + first["dur"] <= second["ts"] + 0.2, "stamps overlap: counted twice"
    assert accounts[0]["alive_s"] == pytest.approx(about["account"]["total_s"], rel=1e-3)
    assert report.account is not None
    assert [row.stage for row in report.stages] == ["decode", "detect", "landmark", "blend", "encode"]


@THREADS
def test_the_report_adds_up_without_a_trace_too(media: Path, tmp_path: Path, threads: int) -> None:
    source = media / "clips" / "foreman_cif_352x288.mp4"
    report = adding_up(source, tmp_path / "out.mp4", threads).to_json()
    for thread in report["account"]["threads"]:
        assert "tracing" not in {part["name"] for part in thread["parts"]}
    parts = [part for thread in report["account"]["threads"] for part in thread["parts"]]
    for row in report["stages"]:
        for figure, kind in (("busy_s", "work"), ("wait_in_s", "wait_in"), ("wait_out_s", "wait_out")):
            counted = sum(p["seconds"] for p in parts if (p["name"], p["kind"]) == (row["stage"], kind))
            assert row[figure] == pytest.approx(counted)
        assert row["wait_s"] == row["wait_in_s"] + row["wait_out_s"]
    named = {part["name"] for part in parts if part["kind"] == "outside"}
    assert {"probe", "plan", "verify", "report", "hash", "publish", "close", "consumer"} <= named


@pytest.fixture
def delay(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[tuple[float, float]]]:
    """Makes a stage sleep for each batch, and tells when it did: (from, until), by time.time()."""

    def slow_down(stage: str) -> list[tuple[float, float]]:
        slept: list[tuple[float, float]] = []

        def sleep() -> None:
            began = time.time()
            time.sleep(DELAY_S)
            slept.append((began, time.time()))

        if stage == "decode":
            items = DecodeStage.items

            def slow_items(self: DecodeStage) -> Iterator[Any]:
                for work in items(self):
                    sleep()
                    yield work

            monkeypatch.setattr(DecodeStage, "items", slow_items)
        else:
            process = DELAYED[stage].process

            def slow_process(self: Any, work: Any) -> Any:
                sleep()
                return process(self, work)

            monkeypatch.setattr(DELAYED[stage], "process", slow_process)
        return slept

    return slow_down


@THREADS
@pytest.mark.parametrize("stage", ["decode", *DELAYED])
def test_a_delay_shows_up_in_its_own_stage_and_in_no_other(
    media: Path,
    tmp_path: Path,
    delay: Callable[[str], list[tuple[float, float]]],
    stage: str,
    threads: int,
) -> None:
    slept = delay(stage)
    source, trace = media / "clips" / "man_headpose_480x270.mp4", tmp_path / "t.json"
    report = run_video(str(source), str(tmp_path / "out.mp4"), settings(threads), trace=trace)
    by_thread, about = spans(trace)
    tid = next(
        tid
        for tid, rows in by_thread.items()
        if any(row["cat"] == "work" and row["args"]["stage"] == stage for row in rows)
    )
    assert len(slept) >= 4
    for began, ended in slept:
        at, until = (1e6 * (moment - about["began_unix_s"]) for moment in (began, ended))
        # What its thread was at in the middle of the delay: one thing, and that all through it.
        during = [
            row for row in by_thread[tid] if row["ts"] < until - 5e3 and row["ts"] + row["dur"] > at + 5e3
        ]
        assert [(row["cat"], row["args"].get("stage")) for row in during] == [("work", stage)]
    row = next(row for row in report.stages if row.stage == stage)
    assert row.busy_s >= sum(ended - began for began, ended in slept)
    assert row.busy_s - row.cpu_s >= 0.9 * DELAY_S * len(slept), "sleeping is the wall's, not the CPU's"


def test_a_trace_changes_no_byte_of_the_video(media: Path, tmp_path: Path) -> None:
    source = str(media / "formats" / "one_frame_640x360.mp4")
    plain, traced = tmp_path / "plain.mp4", tmp_path / "traced.mp4"
    assert main(["run", source, str(plain)]) == 0
    assert main(["run", source, str(traced), "--trace", str(tmp_path / "t.json")]) == 0
    assert plain.read_bytes() == traced.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.mp4", "t.json", "traced.mp4"]


def test_a_run_that_fails_leaves_a_whole_trace_that_says_so(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: BlendStage, work: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(BlendStage, "process", fail)
    trace = tmp_path / "t.json"
    source = media / "formats" / "one_frame_640x360.mp4"
    with pytest.raises(StageError):
        run_video(str(source), str(tmp_path / "out.mp4"), settings(2), trace=trace)
    by_thread, about = spans(trace)
    assert about["failed"] == "StageError: stage blend failed: RuntimeError: boom"
    failed = [row["name"] for rows in by_thread.values() for row in rows if "error" in row["args"]]
    assert "blend" in failed
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]
    assert main(["trace", str(trace)]) == 0
    assert "the run failed: StageError: stage blend failed" in capsys.readouterr().out


def test_an_input_that_cannot_be_read_leaves_its_reason_in_the_trace(media: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    with pytest.raises(SourceError):
        run_video(str(media / "formats" / "garbage.mp4"), str(tmp_path / "o.mp4"), settings(1), trace=trace)
    assert spans(trace)[1]["failed"].startswith("SourceError: ")


@pytest.mark.parametrize("clash", ["in.mp4", "out.mp4"])
def test_a_trace_does_not_overwrite_a_video(
    media: Path, tmp_path: Path, clash: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes((media / "formats" / "one_frame_640x360.mp4").read_bytes())
    before = source.read_bytes()
    code = main(["run", str(source), str(tmp_path / "out.mp4"), "--trace", str(tmp_path / clash)])
    assert code == 2
    assert "the trace would overwrite" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_trace_that_cannot_be_written_is_said_before_the_work(media: Path, tmp_path: Path) -> None:
    source = str(media / "formats" / "one_frame_640x360.mp4")
    output = tmp_path / "out.mp4"
    assert main(["run", source, str(output), "--trace", str(tmp_path / "gone" / "t.json")]) == 3
    assert not output.exists()


@pytest.fixture(scope="module")
def trace(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of a short run."""
    folder = tmp_path_factory.mktemp("trace")
    source = str(media / "formats" / "one_frame_640x360.mp4")
    assert main(["run", source, str(folder / "out.mp4"), "--trace", str(folder / "t.json")]) == 0
    return folder / "t.json"


def test_the_table_names_every_stage_and_the_work_outside(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", str(trace)]) == 0
    said = capsys.readouterr().out
    first = {line.split()[0] for line in said.splitlines() if line.strip()}
    assert {"decode", "detect", "blend", "encode", "start", "probe", "verify", "all"} <= first


@pytest.mark.parametrize(("name", "magic"), [("t.svg", b"<svg "), ("t.PNG", b"\x89PNG\r\n")])
def test_the_picture_has_the_format_of_its_name(trace: Path, tmp_path: Path, name: str, magic: bytes) -> None:
    assert main(["trace", str(trace), str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes().startswith(magic)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_sums_can_be_had_as_json(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(trace), "--json"]) == 0
    sums = json.loads(capsys.readouterr().out)
    assert sums["account"]["frames"] == 1
    assert sums["source"].endswith("one_frame_640x360.mp4")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{folder}/gone.json"], 3, "cannot be read: No such file"),
        (["{folder}/report.json"], 3, "is no trace of a run"),
        (["{trace}", "{folder}/t.pdf"], 2, "expected a name that ends in .svg or .png"),
        (["{trace}", "{folder}/gone/t.svg"], 3, "does not exist; make it first"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_clear_line(
    trace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    (tmp_path / "report.json").write_text('{"facefx": "0.1.0", "frames": 3}', encoding="utf-8")
    assert main(["trace", *(word.format(folder=tmp_path, trace=trace) for word in arguments)]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
