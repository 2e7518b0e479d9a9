"""The live policy on real footage: YuNet and solid, judged in memory as benchmarks/cover.py does."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cover import Cover, judge_frame, read_truth
from benchmarks.in_memory import hidden_lumas
from facefx.faces.detector import Detector, choose_detector, make_detector
from facefx.faces.live import LiveAnalyzer
from facefx.faces.live_policy import LivePolicy
from facefx.video.source import VideoSource


@pytest.fixture(scope="module")
def yunet(models_dir: Path) -> Detector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEFX_MODELS", str(models_dir))
        return make_detector(choose_detector("yunet", fetch=False))


def covered(media: Path, clip: str, detector: Detector) -> Cover:
    path = media / f"truth/{clip}.csv"
    boxes, cover = read_truth(path) if path.exists() else {}, Cover()
    with VideoSource(media / f"clips/{clip}.mp4", batch_frames=1) as source:
        analyzer = LiveAnalyzer(detector, LivePolicy.for_detector("yunet"), source.format)
        pairs = (pair for batch in source.batches() for pair in analyzer.push(batch))
        for frame, (before, after) in enumerate(hidden_lumas(pairs)):
            judge_frame(cover, frame, before, after, boxes.get(frame, ()), steps=0)
    return cover


@pytest.mark.parametrize("clip", ["foreman_cif_352x288", "pair_headpose_480x270", "signer_woman_640x480"])
def test_every_truth_box_is_covered_with_no_look_at_what_comes(
    clip: str, media: Path, yunet: Detector
) -> None:
    cover = covered(media, clip, yunet)
    assert cover.boxes.total() > 100
    assert cover.leaked == []
    assert cover.away_share < 0.012
    assert cover.largest_ratio <= 2.5


@pytest.mark.parametrize("clip", ["noface_bottles_640x360", "noface_cars_768x432"])
def test_a_clip_without_faces_is_not_touched(clip: str, media: Path, yunet: Detector) -> None:
    assert covered(media, clip, yunet).changed_px == 0
