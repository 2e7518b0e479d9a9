"""Every good file through decode and encode without a patch: all that the contract promises holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from video_makers import transcode

from facefx.video.fidelity import verify
from facefx.video.fidelity_contract import Contract

GOOD = [
    "audio_shorter_640x360.mp4", "av1_640x360.mp4", "fps2997_640x360.mp4", "fps60_640x360.mp4",
    "fragmented_640x360.mp4", "full_range_640x360.mp4", "gray_640x360.mp4", "h264_aac_640x360.flv",
    "hevc_10bit_640x360.mp4", "hevc_10bit_pq_tagged_640x360.mp4", "interlaced_mpeg2_720x576.ts",
    "interlaced_tff_sar_720x576.mp4", "not_mult16_642x362.mp4", "odd_641x359_h264_444.mp4",
    "odd_641x359_vp9.webm", "one_frame_640x360.mp4", "prores_422_10bit_480x270.mov",
    "rotated180_640x480.mp4", "rotated270_480x640.mp4", "rotated90_480x640.mp4",
    "start_offset_3600s_640x360.ts", "tiny_64x36.mp4", "two_audio_640x360.mkv", "vfr_640x360.mp4",
    "vp9_opus_640x360.webm",
]  # fmt: skip
ELSEWHERE = [
    ("vfr_640x360.mp4", "mkv"), ("start_offset_3600s_640x360.ts", "mp4"), ("two_audio_640x360.mkv", "mp4"),
    ("h264_aac_640x360.flv", "mp4"), ("interlaced_mpeg2_720x576.ts", "mkv"), ("rotated90_480x640.mp4", "mkv"),
    ("prores_422_10bit_480x270.mov", "mkv"), ("fragmented_640x360.mp4", "ts"),
]  # fmt: skip


def _check(source: Path, target: Path, from_s: float | None = None, to_s: float | None = None) -> None:
    report = transcode(source, target, from_s=from_s, to_s=to_s)
    assert not report.removed
    verify(source, target, Contract(from_s=from_s, to_s=to_s, written=report.frames)).raise_if_broken()


@pytest.mark.parametrize("name", GOOD)
def test_whole_file_into_its_own_kind_of_container(media: Path, name: str, tmp_path: Path) -> None:
    _check(media / "formats" / name, tmp_path / f"out{Path(name).suffix}")


@pytest.mark.parametrize(("name", "suffix"), ELSEWHERE)
def test_whole_file_into_another_container(media: Path, name: str, suffix: str, tmp_path: Path) -> None:
    _check(media / "formats" / name, tmp_path / f"out.{suffix}")


@pytest.mark.parametrize(
    "name", ["vfr_640x360.mp4", "start_offset_3600s_640x360.ts", "two_audio_640x360.mkv"]
)
def test_excerpt(media: Path, name: str, tmp_path: Path) -> None:
    _check(media / "formats" / name, tmp_path / f"out{Path(name).suffix}", 0.7, 1.9)
