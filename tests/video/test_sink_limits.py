"""Where the disk ends and where a header speaks for the picture."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fidelity_clips import Clip, Sound, write
from video_makers import make_video, transcode

from facefx.errors import ExitCode, SinkError
from facefx.values import FieldOrder
from facefx.video.fidelity import Contract, verify
from facefx.video.probe import probe
from facefx.video.sink import VideoSink
from facefx.video.source import VideoSource


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid():
        pytest.skip("only root can mount a disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(("size", "when"), [((640, 480), "writing"), ((64, 48), "finishing")])
def test_full_disk_is_told_as_such_and_leaves_no_file(
    suffix: str, size: tuple[int, int], when: str, small_disk: Path, tmp_path: Path
) -> None:
    source, target = make_video(tmp_path / "in.mkv", count=24, size=size), small_disk / f"out.{suffix}"
    if when == "finishing":
        (small_disk / "rest").write_bytes(bytes(28 * 1024))
    with pytest.raises(SinkError, match="no space left") as caught:
        transcode(source, target)
    text = str(caught.value)
    assert text.startswith(f"{target}: ")
    assert text.endswith("free some space")
    assert "\n" not in text
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert not target.exists()


def test_full_disk_at_the_end_needs_no_context_to_clean_up(small_disk: Path, tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "in.mkv", count=4), small_disk / "out.mp4"
    (small_disk / "rest").write_bytes(bytes(28 * 1024))
    with VideoSource(source) as frames_in:
        sink = VideoSink(target, frames_in.info)
        for batch in frames_in.batches():
            sink.write(batch)
        with pytest.raises(SinkError, match=r"finishing .* no space left"):
            sink.finish()
        sink.close()
    assert not target.exists()


@pytest.mark.parametrize(("order", "name"), [(FieldOrder.BOTTOM_FIRST, "bff"), (FieldOrder.TOP_FIRST, "tff")])
@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv", "out.ts"])
def test_header_names_the_field_that_comes_first(
    order: FieldOrder, name: str, target: str, media: Path, tmp_path: Path
) -> None:
    if order == FieldOrder.TOP_FIRST:
        source = media / "formats" / "interlaced_tff_sar_720x576.mp4"
    else:  # x264 takes frames without a flag for bottom first
        options, context = {"x264-params": f"{name}=1"}, {"field_order": 3}
        source = make_video(tmp_path / "in.mkv", size=(64, 64), options=options, context=context)
    transcode(source, tmp_path / target, to_s=0.2)
    assert probe(source).video.format.field_order == order
    assert probe(tmp_path / target).video.format.field_order == order
    clauses = verify(source, tmp_path / target, Contract(to_s=0.2)).clauses
    assert [c for c in clauses if c.name == "fields" and not c.ok] == []


def test_flv_header_counts_sound_that_outlasts_the_picture(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", Clip(sounds=(Sound(frames=80),)))
    transcode(source, tmp_path / "out.flv")
    transcode(source, tmp_path / "again.flv")
    assert [c.name for c in verify(source, tmp_path / "out.flv", Contract()).clauses if not c.ok] == []
    assert (tmp_path / "out.flv").read_bytes() == (tmp_path / "again.flv").read_bytes()
