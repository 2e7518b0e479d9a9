"""Bad input ends in one clear line, the right exit code, no output and no temp file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facefx.cli import main

Shell = Callable[..., tuple[int, str]]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command with `{tmp}` replaced; give the exit code and what was said on stderr."""

    def run(*argv: str) -> tuple[int, str]:
        code = main([part.replace("{tmp}", str(tmp_path)) for part in argv])
        return code, capsys.readouterr().err

    return run


def clear(code: int, said: str, expected: int, words: str) -> None:
    """One line, no traceback, the exit code, and the words that tell what to do."""
    assert code == expected, said
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    assert "Traceback" not in said
    for word in words.split("|"):
        assert word in said, said


BROKEN = [
    ("garbage.mp4", "garbage.mp4"),
    ("text_named.mp4", "text_named.mp4"),
    ("zero_byte.mp4", "empty"),
    ("truncated_no_moov.mp4", "truncated_no_moov.mp4"),
    ("truncated_faststart.mp4", "90 of 180"),
    ("bitflips_640x360.mp4", "of 180|--on-damage keep"),
    ("audio_only.mp4", "no video"),
]


@pytest.mark.parametrize(("name", "words"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_file_is_one_line_and_no_output(
    shell: Shell, media: Path, tmp_path: Path, name: str, words: str
) -> None:
    code, said = shell(
        "run", str(media / "formats" / name), "{tmp}/out.mp4", "--preset", "ultrafast", "--codec", "libx264"
    )
    clear(code, said, 3, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "words"), BROKEN[:4] + BROKEN[6:], ids=lambda value: value)
def test_probe_of_a_broken_file_is_one_line(shell: Shell, media: Path, name: str, words: str) -> None:
    clear(*shell("probe", str(media / "formats" / name)), 3, words)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"ffconcat version 1.0\nfile other.mp4\n", "list.mp4"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n", "playlist.mp4"),
    ],
    ids=["ffconcat", "m3u8"],
)
def test_a_list_with_a_video_name_opens_no_other_file(
    shell: Shell, media: Path, tmp_path: Path, content: bytes, name: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_bytes(content)
    for other in ("other.mp4", "other.ts"):
        (folder / other).write_bytes((media / "formats" / "one_frame_640x360.mp4").read_bytes())
    code, said = shell("run", str(folder / name), "{tmp}/out.mp4")
    clear(code, said, 3, name)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_missing_input_is_named(shell: Shell, tmp_path: Path) -> None:
    clear(*shell("run", "{tmp}/none.mp4", "{tmp}/out.mp4"), 3, "none.mp4|not exist")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_a_video_is_wanted_is_named(shell: Shell) -> None:
    """`run` takes a folder for one of photos, whose results must not land among them."""
    clear(*shell("probe", "{tmp}"), 3, "folder")
    clear(*shell("run", "{tmp}", "{tmp}/out.mp4"), 2, "folder of the input")


@pytest.fixture
def good(media: Path) -> str:
    return str(media / "formats" / "one_frame_640x360.mp4")


def test_output_over_the_input_is_refused_and_the_input_kept(shell: Shell, tmp_path: Path, good: str) -> None:
    copy = tmp_path / "in.mp4"
    copy.write_bytes(Path(good).read_bytes())
    clear(*shell("run", "{tmp}/in.mp4", "{tmp}/in.mp4"), 2, "output is the input")
    assert copy.read_bytes() == Path(good).read_bytes()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["{tmp}/no/such/out.mp4"], 3, "does not exist"),
        (["{tmp}"], 3, "is a folder"),
        (["/proc/out.mp4"], 3, "cannot write into"),
        (["{tmp}/out.xyz"], 3, "xyz|.mp4"),
        (["{tmp}/out"], 3, "suffix"),
        (["{tmp}/out.mp4", "--effect", "blurr"], 2, "blurr|blur"),
        (["{tmp}/out.mp4", "--effect", "blur:strenght=1"], 2, "strenght"),
        (["{tmp}/out.mp4", "--effect", "solid:grow=99"], 2, "grow"),
        (["{tmp}/out.mp4", "--detector", "yolo"], 2, "yolo"),
        (["{tmp}/out.mp4", "--codec", "h269"], 2, "h269"),
        (["{tmp}/out.mp4", "--codec", "libx264", "--preset", "warp"], 2, "warp"),
        (["{tmp}/out.mp4", "--audio", "louder"], 2, "audio"),
        (["{tmp}/out.mp4", "--from", "9", "--to", "3"], 2, "after"),
        (["{tmp}/out.mp4", "--from", "later"], 2, "later"),
        (["{tmp}/out.mp4", "--from", "500"], 2, "500"),
        (["{tmp}/out.mp4", "--config", "{tmp}/none.yaml"], 2, "none.yaml"),
        (["{tmp}/out.mp4", "--report", "{tmp}/no/r.json"], 3, "does not exist"),
        (["{tmp}/out.mp4", "--device", "cuda:0"], 3, "cuda"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_a_request_that_cannot_be_met_is_one_line(
    shell: Shell, tmp_path: Path, good: str, argv: list[str], code: int, words: str
) -> None:
    clear(*shell("run", good, *argv), code, words)
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_say_where_they_were_looked_for(
    shell: Shell, tmp_path: Path, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACEFX_MODELS", raising=False)
    monkeypatch.setenv("FACEFX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEFX_OFFLINE", "1")
    code, said = shell("run", good, "{tmp}/out.mp4", "--detector", "yunet")
    clear(code, said, 3, "yunet_n_dynamic.onnx|facefx models pull")
    assert not (tmp_path / "out.mp4").exists()


def test_weights_with_another_sha256_are_refused_not_used(
    shell: Shell, tmp_path: Path, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "yunet_n_dynamic.onnx").write_bytes(b"not the net")
    monkeypatch.setenv("FACEFX_MODELS", str(folder))
    code, said = shell("run", good, "{tmp}/out.mp4", "--detector", "yunet")
    clear(code, said, 3, "sha256|104ee26c")
    assert not (tmp_path / "out.mp4").exists()


def test_a_full_disk_leaves_neither_output_nor_temp_file(shell: Shell, media: Path, tmp_path: Path) -> None:
    """On a file system of 64 KiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        code, said = shell(
            "run", str(media / "formats" / "rotated180_640x480.mp4"), str(disk / "out.mp4"), "--crf", "1"
        )
        clear(code, said, 3, "out.mp4|space")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_signal_leaves_nothing_behind(
    media: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "facefx", "run", str(media / "formats" / "bench_720p.mp4"), "out.mp4"]
    # A shell has what it starts in the background ignore Ctrl-C; these tests may stand there.
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    # The temporary file is the sign that work has begun.
    while child.poll() is None and not list(tmp_path.iterdir()):
        os.sched_yield()
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code, said
    assert "nothing unfinished was published" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
