"""Where a video is cut: before keyframes, by the time they are shown, whatever lists them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from video_makers import make_video

from facefx.errors import ConfigError
from facefx.video.cuts import choose_cuts, cut_video
from facefx.video.probe import probe

# 60 frames at 5 a second; every twelfth is a keyframe, in MP4 with pictures that are decoded earlier.
SLOW: dict[str, Any] = {"count": 60, "rate": 5, "step": 2560}
GROUPS = {"preset": "veryfast", "g": "12", "x264-params": "open-gop=1:bframes=3:scenecut=0"}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
def test_cuts_are_the_times_at_which_keyframes_are_shown(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"in.{suffix}", options=GROUPS, **SLOW)
    info = probe(path)
    base, start = info.video.format.time_base, info.video.start_pts
    cuts = cut_video(path, info, 2.4)
    assert [float((cut - start) * base) for cut in cuts] == pytest.approx([2.4, 4.8, 7.2, 9.6], abs=0.002)


def test_only_what_an_excerpt_holds_is_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", options=GROUPS, **SLOW)
    assert cut_video(path, probe(path), 2.4, 40000, 100000) == (61440, 92160)


def test_a_video_with_one_keyframe_is_not_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", options={"g": "600", "sc_threshold": "0"}, **SLOW)
    assert cut_video(path, probe(path), 2.0) == ()


def test_what_can_only_be_decoded_from_its_start_is_not_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.avi", count=60, base=Fraction(1, 5), step=1, rate=5, options={"g": "12"})
    assert probe(path).video.codec == "h264"
    assert cut_video(path, probe(path), 2.4) == ()


def test_segments_are_not_longer_than_asked_where_there_are_keyframes() -> None:
    assert choose_cuts(range(0, 1000, 10), 0, 1000, 100) == list(range(100, 1000, 100))
    assert choose_cuts([0, 90, 110, 500], 0, 1000, 100) == [90, 110, 500]
    assert choose_cuts([0], 0, 1000, 100) == []


def test_a_short_rest_stays_with_the_last_segment() -> None:
    assert choose_cuts(range(0, 210, 10), 0, 210, 100) == [100]
    assert choose_cuts(range(0, 240, 10), 0, 240, 100) == [100, 200]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(tmp_path: Path, seconds: float) -> None:
    path = make_video(tmp_path / "in.mp4")
    with pytest.raises(ConfigError, match="more than 0 seconds"):
        cut_video(path, probe(path), seconds)
