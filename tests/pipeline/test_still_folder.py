"""A folder of photos must lose none: each is done, or told with its reason, and no file is written over."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from photo_makers import FACE, brightest, coded, core, empty_scene, names, portrait, put, settings, stored

from facefx.errors import ExitCode, SinkError, SourceError, UsageError
from facefx.pipeline.still_folder import FolderReport, Outcome, run_folder
from facefx.pipeline.stills import StillRunner

SMALL = coded(empty_scene(64, 48))
"""A photo of nobody: it comes out as the same bytes."""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def run(top: Path, output: Path | None = None, told: Any = None) -> FolderReport:
    return run_folder(str(top), str(output or top.parent / "out"), settings(), told)


def outcomes(report: FolderReport) -> dict[str, str]:
    return {one.source: one.outcome for one in report.outcomes}


def reason(report: FolderReport, source: str) -> str:
    (one,) = [one for one in report.outcomes if one.source == source]
    return one.reason


def test_every_photo_keeps_its_place_and_its_name(top: Path) -> None:
    put(top / "a.jpg")
    put(top / "a.png", SMALL)
    put(top / "sub" / "deep" / "b.JPEG", SMALL)
    put(top / "sub" / "c.jfif", SMALL)
    put(top / ".hidden.jpg", SMALL)
    put(top / ".git" / "d.jpg", SMALL)
    put(top / "notes.txt", b"no photo")
    put(top / "clip.mp4", b"no photo either")
    report = run(top)
    out = top.parent / "out"
    assert names(out) == ["a.jpg", "a.png", "sub", "sub/c.jfif", "sub/deep", "sub/deep/b.JPEG"]
    assert brightest(stored(out / "a.jpg"), core(portrait(), [FACE])) < 20
    assert report.exit_code == ExitCode.DONE
    assert (report.count("done"), report.count("failed"), report.count("skipped")) == (4, 0, 2)
    assert reason(report, "notes.txt") == "no photo"
    assert "a video" in reason(report, "clip.mp4")


def test_a_broken_photo_in_the_middle_does_not_end_the_rest(top: Path) -> None:
    put(top / "a.jpg", SMALL)
    put(top / "b.jpg", coded(portrait())[:9000])
    put(top / "c.jpg", b"text")
    put(top / "d.jpg", b"")
    put(top / "deep" / "e.jpg", b"GIF89a")
    put(top / "z.jpg", SMALL)
    told: list[Outcome] = []
    report = run(top, told=told.append)
    assert names(top.parent / "out") == ["a.jpg", "z.jpg"], "what failed leaves neither file nor folder"
    assert report.exit_code == ExitCode.PARTIAL
    plain = report.to_json()
    assert (plain["done"], plain["failed"], plain["skipped"]) == (2, 4, 0)
    assert told == report.outcomes
    assert [(one.source, one.outcome) for one in told] == [
        ("a.jpg", "done"),
        ("b.jpg", "failed"),
        ("c.jpg", "failed"),
        ("d.jpg", "failed"),
        ("z.jpg", "done"),
        ("deep/e.jpg", "failed"),
    ]
    for source, words in (
        ("b.jpg", "ends early"),
        ("c.jpg", "got text"),
        ("d.jpg", "empty"),
        ("deep/e.jpg", "GIF"),
    ):
        assert words in reason(report, source)


def test_a_fault_of_ours_in_one_photo_is_told_and_the_rest_is_done(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b/b.jpg", "c.jpg"):
        put(top / name, SMALL)
    fails_at(monkeypatch, "b.jpg", ZeroDivisionError("oops"))
    report = run(top)
    assert reason(report, "b/b.jpg") == "internal error: ZeroDivisionError: oops"
    assert names(top.parent / "out") == ["a.jpg", "c.jpg"]


def fails_at(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """Have the work on one photo raise."""
    whole = StillRunner.run

    def broken(self: StillRunner, source: str, output: str, *, hashes: bool = True) -> Any:
        if source.endswith(name):
            raise error
        return whole(self, source, output, hashes=hashes)

    monkeypatch.setattr(StillRunner, "run", broken)


@pytest.mark.parametrize("first", ["deep/a.jpg", "deep/b.jpg", "deep/c.jpg"])
def test_a_stopped_run_leaves_what_is_done_and_nothing_else(
    top: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    for name in ("deep/a.jpg", "deep/b.jpg", "deep/c.jpg"):
        put(top / name, SMALL)
    fails_at(monkeypatch, first, KeyboardInterrupt())
    told: list[Outcome] = []
    with pytest.raises(KeyboardInterrupt):
        run(top, told=told.append)
    done = [one.output for one in told]
    assert done == sorted(["deep/a.jpg", "deep/b.jpg", "deep/c.jpg"])[: len(done)]
    assert names(top.parent) == ["in", "in/deep", *(f"in/deep/{c}.jpg" for c in "abc")] + (
        ["out", "out/deep", *(f"out/{name}" for name in done)] if done else []
    )


def test_two_photos_never_become_one_file(top: Path) -> None:
    """A photo that gets a suffix may meet one that has it; a link among the outputs may join two folders."""
    put(top / "one", coded(portrait()))
    put(top / "one.jpg", SMALL)
    put(top / "x" / "same.jpg", coded(empty_scene(80, 48)))
    put(top / "y" / "same.jpg", SMALL)
    out = top.parent / "out"
    (out / "x").mkdir(parents=True)
    (out / "y").symlink_to("x")
    report = run(top)
    assert outcomes(report) == {
        "one": "done",
        "one.jpg": "failed",
        "x/same.jpg": "done",
        "y/same.jpg": "failed",
    }
    assert "which one became" in reason(report, "one.jpg")
    assert "which x/same.jpg became" in reason(report, "y/same.jpg")
    assert stored(out / "one.jpg").shape == portrait().shape
    assert (out / "x" / "same.jpg").read_bytes() == (top / "x" / "same.jpg").read_bytes()


def test_no_input_is_written_over_by_the_output_of_another(top: Path) -> None:
    """Where the output holds the input, or a link leads from one into the other."""
    put(top / "a.jpg", SMALL)
    put(top / "in" / "a.jpg", coded(empty_scene(80, 48)))
    put(top / "sub" / "b.jpg", coded(empty_scene(96, 48)))
    before = {name: (top / name).read_bytes() for name in names(top) if (top / name).is_file()}
    above = run(top, top.parent)
    assert outcomes(above) == {"a.jpg": "done", "in/a.jpg": "failed", "sub/b.jpg": "done"}
    assert "which is the input a.jpg" in reason(above, "in/a.jpg")
    assert {name: (top / name).read_bytes() for name in before} == before

    out = top.parent / "elsewhere"
    out.mkdir()
    (out / "in").symlink_to(top)
    across = run(top, out)
    assert "which is the input a.jpg" in reason(across, "in/a.jpg")
    assert {name: (top / name).read_bytes() for name in before} == before


def test_what_a_link_among_the_inputs_leads_to_is_an_input_too(top: Path) -> None:
    out = top.parent / "out"
    first = put(out / "a.jpg", coded(empty_scene(80, 48)))
    before = first.read_bytes()
    put(top / "a.jpg", SMALL)
    (top / "b.jpg").symlink_to(first)
    report = run(top)
    assert outcomes(report) == {"a.jpg": "failed", "b.jpg": "done"}
    assert first.read_bytes() == before == (out / "b.jpg").read_bytes()


@pytest.mark.parametrize("place", ["in", "in/out", "in/sub/../out", "link", "link/out"])
def test_an_output_in_the_input_is_refused_before_anything_is_done(top: Path, place: str) -> None:
    put(top / "sub" / "a.jpg", SMALL)
    (top.parent / "link").symlink_to("in")
    before = names(top)
    with pytest.raises(UsageError, match="lies in the folder of the input"):
        run(top, top.parent / place)
    assert names(top) == before


def test_links_and_things_that_are_no_files_are_told_and_never_followed_round(top: Path) -> None:
    put(top / "a.jpg", SMALL)
    (top / "b.jpg").symlink_to("a.jpg")
    (top / "dangling.jpg").symlink_to("nowhere.jpg")
    (top / "loop.jpg").symlink_to("loop.jpg")
    (top / "up").symlink_to("..")
    os.mkfifo(top / "pipe.jpg")
    report = run(top)
    assert outcomes(report) == {
        "a.jpg": "done",
        "b.jpg": "done",
        "dangling.jpg": "failed",
        "loop.jpg": "failed",
        "pipe.jpg": "failed",
        "up": "skipped",
    }
    assert "does not exist" in reason(report, "dangling.jpg")
    assert "regular file" in reason(report, "pipe.jpg")
    assert "link to a folder" in reason(report, "up")
    assert not (top.parent / "out" / "b.jpg").is_symlink()


def closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the operating system refuse to list a folder, also to root."""
    whole = os.scandir

    def scan(path: Any) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scan)


def test_a_folder_that_cannot_be_read_is_a_failure_not_a_silence(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(top / "a.jpg", SMALL)
    put(top / "locked" / "b.jpg", SMALL)
    closed(monkeypatch, "locked")
    report = run(top)
    assert outcomes(report) == {"a.jpg": "done", "locked": "failed"}
    assert "cannot be read" in reason(report, "locked")
    assert report.exit_code == ExitCode.PARTIAL
    closed(monkeypatch, "in")
    with pytest.raises(SourceError, match="in: cannot be read: Permission denied"):
        run(top)


def test_an_input_that_may_only_be_read_is_enough(top: Path) -> None:
    put(top / "sub" / "a.jpg", SMALL).chmod(0o400)
    for folder in (top / "sub", top):
        folder.chmod(0o500)
    try:
        assert run(top).count("done") == 1
        assert names(top.parent / "out") == ["sub", "sub/a.jpg"]
    finally:
        for folder in (top, top / "sub"):
            folder.chmod(0o700)


def test_an_output_that_cannot_be_made_is_one_error_before_the_work(top: Path) -> None:
    put(top / "a.jpg", SMALL)
    with pytest.raises(SinkError, match="/proc/no/such: cannot be made"):
        run(top, Path("/proc/no/such"))
    file = put(top.parent / "file", b"here first")
    with pytest.raises(UsageError, match="is a file, expected a folder"):
        run(top, file)
    with pytest.raises(SinkError, match="cannot be made: Not a directory"):
        run(top, file / "below")
    assert file.read_bytes() == b"here first"


def test_a_file_in_the_way_of_one_folder_fails_only_what_belongs_there(top: Path) -> None:
    put(top / "a.jpg", SMALL)
    put(top / "sub" / "deep" / "b.jpg", SMALL)
    put(top / "z" / "c.jpg", SMALL)
    out = top.parent / "out"
    put(out / "sub", b"here first")
    (out / "a.jpg").mkdir()
    report = run(top)
    assert outcomes(report) == {"a.jpg": "failed", "sub/deep/b.jpg": "failed", "z/c.jpg": "done"}
    assert "is a folder" in reason(report, "a.jpg")
    assert "cannot be made" in reason(report, "sub/deep/b.jpg")
    assert names(out) == ["a.jpg", "sub", "z", "z/c.jpg"]
    assert (out / "sub").read_bytes() == b"here first"


def test_a_full_disk_is_told_for_each_photo_and_leaves_nothing(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(top / "a.jpg", SMALL)
    put(top / "deep" / "b.jpg", SMALL)

    def no_room(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", no_room)
    report = run(top)
    assert {one.outcome for one in report.outcomes} == {"failed"}
    assert all("No space left" in one.reason and "internal" not in one.reason for one in report.outcomes)
    assert not (top.parent / "out").exists()


def test_a_second_run_gives_the_same_bytes_over_the_first(top: Path) -> None:
    put(top / "a.jpg")
    put(top / "b.jpg", SMALL)
    out = top.parent / "out"
    first = run(top)
    before = {name: (out / name).read_bytes() for name in names(out)}
    (out / "a.jpg").write_bytes(b"half of an older run")
    again = run(top)
    assert {name: (out / name).read_bytes() for name in names(out)} == before
    assert outcomes(again) == outcomes(first)


@pytest.mark.parametrize("name", ["x.hif", "x.heic", "x", "x.tif"])
def test_a_name_that_cannot_be_written_gets_jpg_behind_it(top: Path, name: str) -> None:
    put(top / name, SMALL)
    report = run(top)
    assert [(one.source, one.output) for one in report.outcomes] == [(name, f"{name}.jpg")]


@pytest.mark.parametrize("content", [{}, {"a.txt": b"x"}, {".a.jpg": SMALL}, {"a.mp4": b"x"}], ids=str)
def test_a_folder_without_a_photo_is_bad_input(top: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        put(top / name, data)
    with pytest.raises(SourceError, match="no photo in it"):
        run(top)
    assert names(top.parent) == sorted(["in", *(f"in/{name}" for name in content)])


def test_a_folder_elsewhere_is_refused_with_the_reason(top: Path) -> None:
    for source, output in (("s3://bucket/in", "out"), (str(top), "s3://bucket/out")):
        with pytest.raises(UsageError, match="must be local"):
            run_folder(source, output, settings())


def test_the_report_accounts_for_every_file_and_every_photo(top: Path) -> None:
    put(top / "a.jpg")
    put(top / "b.jpg", b"text")
    put(top / "c.txt", b"text")
    plain = run(top).to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["interrupted"] is False
    first, second, third = plain["files"]
    assert (first["source"], first["output"], first["outcome"]) == ("a.jpg", "a.jpg", "done")
    assert first["report"]["fidelity"]["ok"]
    assert len(first["report"]["faces"]["boxes"]) == 1
    assert (second["outcome"], second["output"], "report" in second) == ("failed", "", False)
    assert third == {"source": "c.txt", "output": "", "outcome": "skipped", "reason": "no photo"}
