"""`facefx run` with photos: what is said, the exit code, and that no wish of the user's costs an original."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from photo_makers import (
    FACE,
    away,
    brightest,
    change,
    coded,
    core,
    empty_scene,
    exif,
    names,
    portrait,
    put,
    shown,
    stored,
    with_exif,
)

from facefx.cli import main
from facefx.effects.library.solid import Solid
from facefx.pipeline import stills
from facefx.video.still_source import Still, open_still
from facefx.video.still_write import written

Shell = Callable[..., tuple[int, str]]
DETECTOR = ("--detector", "blazeface")
SMALL = coded(empty_scene(64, 48))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command in the folder of the test; give the exit code and what was said on stderr."""

    def run(*argv: str) -> tuple[int, str]:
        code = main([part.replace("{tmp}", str(tmp_path)) for part in argv])
        said = capsys.readouterr()
        assert said.out == ""
        return code, said.err

    return run


def clear(code: int, said: str, expected: int, words: str) -> None:
    """One line, the exit code, and the words that tell what to do."""
    assert code == expected, said
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    for word in words.split("|"):
        assert word in said, said


def test_a_photo_is_done_and_said_in_one_line(shell: Shell, tmp_path: Path) -> None:
    put(tmp_path / "in.jpg")
    code, said = shell("run", "{tmp}/in.jpg", "{tmp}/out.jpg", *DETECTOR)
    assert code == 0
    assert said == f"{tmp_path}/out.jpg: 1 face, JPEG with the source's own tables, verified\n"
    assert brightest(stored(tmp_path / "out.jpg"), core(portrait(), [FACE])) < 20
    put(tmp_path / "nobody.jpg", SMALL)
    code, said = shell("run", "{tmp}/nobody.jpg", "{tmp}/out.jpg", *DETECTOR)
    assert (code, said) == (0, f"{tmp_path}/out.jpg: no faces, the source's own bytes, verified\n")
    assert names(tmp_path) == ["in.jpg", "nobody.jpg", "out.jpg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty|export it again"),
        (b"hello\n", "is no photo|got text"),
        (b"\x00\x01" * 50, "bytes of no known kind"),
        (coded(portrait())[:9000], "ends early|better copy"),
        (coded(portrait(), ".png")[:9000], "better copy"),
        (b"GIF89a" + bytes(64), "a GIF|convert it"),
        (b"II*\0" + bytes(64), "a TIFF|convert it"),
        (b"\0\0\0\x18ftypisom" + bytes(64), "a video"),
    ],
    ids=["empty", "text", "zeros", "cut jpeg", "cut png", "gif", "tiff", "mp4"],
)
def test_a_file_that_only_has_the_name_of_a_photo_is_bad_input(
    shell: Shell, tmp_path: Path, content: bytes, words: str
) -> None:
    put(tmp_path / "in" / "x.jpg", content)
    clear(*shell("run", "{tmp}/in/x.jpg", "{tmp}/out.jpg", *DETECTOR), 3, f"x.jpg|{words}")
    assert names(tmp_path) == ["in", "in/x.jpg"]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["{tmp}/none.jpg", "{tmp}/out.jpg"], 3, "none.jpg|does not exist"),
        (["{tmp}/in.jpg", "{tmp}/in.jpg"], 2, "output is the input"),
        (["{tmp}/in.jpg", "{tmp}/out.bmp"], 3, ".bmp|.png"),
        (["{tmp}/in.jpg", "{tmp}/out"], 3, "without a suffix|.jpg"),
        (["{tmp}/in.jpg", "{tmp}/out.mp4"], 3, ".mp4|.webp"),
        (["{tmp}/in.jpg", "{tmp}/no/out.jpg"], 3, "does not exist; make it"),
        (["{tmp}/in.jpg", "/proc/out.jpg"], 3, "cannot write into"),
        (["{tmp}/in.jpg", "{tmp}/out.jpg", "--crf", "20"], 2, "crf|for videos only"),
        (["{tmp}/in.jpg", "{tmp}/out.jpg", "--from", "1"], 2, "excerpt|for videos only"),
        (["{tmp}/in.jpg", "{tmp}/out.jpg", "--trace", "{tmp}/t.json"], 2, "trace|for videos only"),
        (["{tmp}/in.jpg", "{tmp}/out.jpg", "--effect", "blurr"], 2, "blurr|blur"),
        (["{tmp}/in.jpg", "{tmp}/out.jpg", "--report", "{tmp}/no/r.json"], 3, "does not exist"),
        (["{tmp}/folder", "{tmp}/in.jpg"], 2, "is a file, expected a folder"),
        (["{tmp}/folder", "{tmp}/folder/out"], 2, "lies in the folder of the input"),
        (["{tmp}/folder", "/proc/no/such"], 3, "cannot be made"),
        (["{tmp}/empty", "{tmp}/out"], 3, "no photo in it"),
        (["{tmp}/folder", "{tmp}/out", "--codec", "libx264"], 2, "codec|for videos only"),
    ],
    ids=lambda value: (
        " ".join(part.rpartition("/")[2] for part in value) if isinstance(value, list) else None
    ),
)
def test_a_request_that_cannot_be_met_is_one_line_and_changes_nothing(
    shell: Shell, tmp_path: Path, argv: list[str], code: int, words: str
) -> None:
    put(tmp_path / "in.jpg", SMALL)
    put(tmp_path / "folder" / "a.jpg", SMALL)
    (tmp_path / "empty").mkdir()
    before = names(tmp_path)
    clear(*shell("run", *argv, *DETECTOR), code, words)
    assert names(tmp_path) == before
    assert (tmp_path / "in.jpg").read_bytes() == SMALL


@pytest.mark.parametrize(
    ("source", "output", "report"),
    [
        ("in.jpg", "out.jpg", "in.jpg"),
        ("in.jpg", "out.jpg", "out.jpg"),
        ("in.jpg", "out.jpg", "folder/../in.jpg"),
        ("noext", "out.jpg", "noext"),
        ("folder", "out", "folder/a.jpg"),
        ("folder", "out", "noext"),
        ("clip.mp4", "out.mp4", "clip.mp4"),
        ("clip.mp4", "out.mp4", "out.mp4"),
    ],
)
def test_a_report_never_replaces_a_photo_or_a_video(
    shell: Shell, tmp_path: Path, source: str, output: str, report: str
) -> None:
    for name in ("in.jpg", "folder/a.jpg", "noext"):
        put(tmp_path / name, SMALL)
    put(tmp_path / "clip.mp4", b"a video")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path) if name != "folder"}
    argv = [f"{{tmp}}/{source}", f"{{tmp}}/{output}", "--report", f"{{tmp}}/{report}"]
    clear(*shell("run", *argv, *DETECTOR), 2, report)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path) if name != "folder"} == before


def test_the_report_of_a_photo_says_what_was_done_and_what_was_removed(shell: Shell, tmp_path: Path) -> None:
    source = put(tmp_path / "in.jpg", with_exif(coded(portrait()), exif(thumbnail=True, text="at the sea")))
    code, said = shell(
        "run", "{tmp}/in.jpg", "{tmp}/out.jpg", "--report", "{tmp}/r.json", *DETECTOR, "--effect", "pixelate"
    )
    assert code == 0
    assert "note: left out EXIF thumbnail: a small copy of the photo shows its faces" in said
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["kind"] == "photo"
    assert report["plan"]["effects"][0]["name"] == "pixelate"
    for which, path in (("source", source), ("output", tmp_path / "out.jpg")):
        assert report["sha256"][which] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "EXIF thumbnail" in [removal["what"] for removal in report["carried"]["removed"]]
    assert names(tmp_path) == ["in.jpg", "out.jpg", "r.json"]


def test_a_report_without_room_is_told_when_the_photo_is_done(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", no_room)
    put(tmp_path / "in.jpg", SMALL)
    said = shell("run", "{tmp}/in.jpg", "{tmp}/out.jpg", "--report", "{tmp}/r.json", *DETECTOR)
    clear(*said, 3, "r.json|No space left")
    assert (tmp_path / "out.jpg").read_bytes() == SMALL


def test_a_report_may_be_a_device(shell: Shell, tmp_path: Path) -> None:
    put(tmp_path / "in.jpg", SMALL)
    (tmp_path / "null").symlink_to(os.devnull)
    assert shell("run", "{tmp}/in.jpg", "{tmp}/out.jpg", "--report", "{tmp}/null", *DETECTOR)[0] == 0
    assert (tmp_path / "null").is_symlink()
    assert Path(os.devnull).is_char_device()


def test_stripped_metadata_are_named(shell: Shell, tmp_path: Path) -> None:
    put(tmp_path / "in.jpg", with_exif(coded(portrait()), exif(text="at the sea")))
    code, said = shell("run", "{tmp}/in.jpg", "{tmp}/out.jpg", "--metadata", "strip", *DETECTOR)
    assert code == 0
    assert "left out EXIF: metadata are stripped" in said
    assert b"at the sea" not in (tmp_path / "out.jpg").read_bytes()


def test_smooth_changes_the_face_a_little_and_nothing_else(shell: Shell, tmp_path: Path) -> None:
    source, output = put(tmp_path / "in.png"), tmp_path / "out.png"
    code, _ = shell("run", "{tmp}/in.png", "{tmp}/out.png", "--effect", "smooth", *DETECTOR)
    assert code == 0
    before, after = stored(source), stored(output)
    assert 0 < change(before, after, core(before, [FACE])) < 120
    assert change(before, after, away(before, [FACE])) == 0


def test_lossless_keeps_every_pixel_that_is_shown(shell: Shell, tmp_path: Path) -> None:
    source = put(tmp_path / "in.jpg", with_exif(coded(portrait()), exif(3)))
    code, said = shell("run", "{tmp}/in.jpg", "{tmp}/out.png", "--lossless", *DETECTOR)
    assert code == 0, said
    before, after = shown(source), shown(tmp_path / "out.png")
    turned_face = [512 - FACE[2], 344 - FACE[3], 512 - FACE[0], 344 - FACE[1]]
    assert change(before, after, away(before, [turned_face])) == 0


def test_a_photo_blacked_out_is_told(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("no colour")

    monkeypatch.setattr(Solid, "apply", fails)
    put(tmp_path / "in.jpg")
    code, said = shell("run", "{tmp}/in.jpg", "{tmp}/out.jpg", *DETECTOR)
    assert code == 0
    assert "note: blacked out: solid: ValueError (no colour)" in said
    assert stored(tmp_path / "out.jpg").max() == 0


def test_an_output_that_breaks_the_contract_is_exit_4_and_not_published(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in" / "in.jpg")
    monkeypatch.setattr(stills, "written", lambda edited, *rest, **more: written(bare(edited), *rest, **more))
    clear(*shell("run", "{tmp}/in/in.jpg", "{tmp}/out.jpg", *DETECTOR), 4, "out.jpg|pixels of the effects")
    code, said = shell("run", "{tmp}/in", "{tmp}/out", *DETECTOR)
    assert code == 5
    assert "failed: in.jpg: " in said
    assert names(tmp_path) == ["in", "in/in.jpg"]


def bare(edited: Still) -> Still:
    """The photo as it was before the effect."""
    return open_still(edited.path, "jpeg")


def test_a_folder_with_a_broken_photo_is_exit_5_with_counts_and_reasons(shell: Shell, tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jpg")
    put(tmp_path / "in" / "b.jpg", b"text")
    put(tmp_path / "in" / "c.txt", b"text")
    put(tmp_path / "in" / "d" / "d.png", SMALL)
    code, said = shell("run", "{tmp}/in", "file://{tmp}/out", "--report", "{tmp}/r.json", *DETECTOR)
    assert code == 5
    lines = said.splitlines()
    assert lines[0].startswith("done: a.jpg → a.jpg: 1 face, JPEG")
    assert lines[1].startswith("failed: b.jpg: ")
    assert lines[2] == "skipped: c.txt: no photo"
    assert lines[3].startswith("done: d/d.png → d/d.png: no faces")
    assert lines[4].endswith("/out: 2 photos done, 1 failed, 1 files skipped")
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (report["done"], report["failed"], report["skipped"], report["interrupted"]) == (2, 1, 1, False)
    assert "got text" in report["files"][1]["reason"]
    assert names(tmp_path / "out") == ["a.jpg", "d", "d/d.png"]
    (tmp_path / "in" / "b.jpg").unlink()
    assert shell("run", "file://{tmp}/in", "{tmp}/out", *DETECTOR)[0] == 0, "what is skipped is no failure"


def test_a_name_that_is_no_text_does_not_end_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, output, report = tmp_path / "in", tmp_path / "out", tmp_path / "r.json"
    for raw in (b"\xff\xfe.jpg", b"[red]x.jpg", b"a\nb.jpg", "naïve ☃.jpg".encode()):
        put(folder / os.fsdecode(raw), SMALL)
    assert main(["run", str(folder), str(output), "--report", str(report), *DETECTOR]) == 0
    assert "done: [red]x.jpg → [red]x.jpg" in capfd.readouterr().err
    assert names(output) == names(folder)
    assert json.loads(report.read_text(encoding="utf-8"))["done"] == 4


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_stopped_folder_accounts_for_what_it_published(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    for i in range(400):
        put(tmp_path / "in" / f"{i:03}.jpg", SMALL)
    command = [sys.executable, "-m", "facefx", "run", "in", "out", "--report", "r.json", *DETECTOR]
    # A shell has what it starts in the background ignore Ctrl-C; these tests may stand there.
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    while child.poll() is None and not (tmp_path / "out" / "001.jpg").exists():
        os.sched_yield()
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].endswith("nothing unfinished was published")
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["interrupted"] is True
    assert f"{report['done']} photos done, 0 failed, 0 files skipped; the rest was not come to" in said
    published = names(tmp_path / "out")
    assert 2 <= len(published) < 400
    # A signal may fall between the publishing of a photo and the note of it.
    noted = [one["output"] for one in report["files"]]
    assert published[: len(noted)] == noted
    assert len(published) - len(noted) <= 1
    assert not [name for name in published if ".part" in name]


@pytest.mark.parametrize("command", ["probe", "analyze"])
def test_a_photo_where_a_video_is_wanted_is_called_a_photo(
    shell: Shell, tmp_path: Path, command: str
) -> None:
    put(tmp_path / "in.jpg", SMALL)
    outputs = ["{tmp}/out.parquet"] if command == "analyze" else []
    clear(*shell(command, "{tmp}/in.jpg", *outputs), 3, "got a photo, which only facefx run")
    assert names(tmp_path) == ["in.jpg"]
