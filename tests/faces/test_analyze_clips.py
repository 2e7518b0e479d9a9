"""The whole of it on real footage: YuNet, the analyzer and the solid effect, judged in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cover import Cover, judge_frame, read_truth
from benchmarks.in_memory import analyzed, hidden_lumas
from benchmarks.pasted import Clip, Paste, find_face, try_paste
from facefx.faces.analyze import FaceAnalyzer, FacePolicy
from facefx.faces.detector import Detector, choose_detector, make_detector
from facefx.video.source import VideoSource

PORTRAIT = Path(__file__).parents[2] / "facefx" / "assets" / "portrait.jpg"


@pytest.fixture(scope="module")
def yunet(models_dir: Path) -> Detector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEFX_MODELS", str(models_dir))
        return make_detector(choose_detector("yunet", fetch=False))


def covered(path: Path, truth: Path | None, detector: Detector) -> tuple[Cover, FaceAnalyzer]:
    boxes, cover = read_truth(truth) if truth else {}, Cover()
    with VideoSource(path) as source:
        rate = source.info.video.average_rate
        looking = FaceAnalyzer(detector, FacePolicy(), source.format, frame_period=1 / rate if rate else None)
        lumas = hidden_lumas(analyzed(looking, source.batches()))
        for frame, (before, after) in enumerate(lumas):
            judge_frame(cover, frame, before, after, boxes.get(frame, ()), steps=0)
    return cover, looking


@pytest.mark.parametrize(
    ("clip", "looks_per_s"), [("foreman_cif_352x288", 7.5), ("pair_headpose_480x270", 5.5)]
)
def test_every_truth_box_of_a_clip_is_covered_and_nothing_else(
    clip: str, looks_per_s: float, media: Path, yunet: Detector
) -> None:
    cover, looking = covered(media / f"clips/{clip}.mp4", media / f"truth/{clip}.csv", yunet)
    assert cover.leaked == []
    assert cover.away_share < 0.001
    assert cover.largest_ratio <= 2.5
    rate = {"foreman_cif_352x288": 30, "pair_headpose_480x270": 12}[clip]
    assert looking.stats.looks_total / (cover.frames / rate) <= looks_per_s


def test_a_clip_without_faces_is_not_touched(media: Path, yunet: Detector) -> None:
    cover, _ = covered(media / "clips/noface_cars_768x432.mp4", None, yunet)
    assert cover.changed_px == 0


def test_a_face_pasted_for_one_to_three_frames_is_covered(media: Path, yunet: Detector) -> None:
    clip = Clip.read(media / "clips/noface_bottles_640x360.mp4")
    face = find_face(PORTRAIT, yunet)
    for phase in range(14):
        paste = Paste(60, 100 + phase, 1 + phase % 3, (0.1 + 0.06 * phase, 0.5))
        outcome = try_paste(clip, face, paste, yunet)
        assert outcome.covered == paste.frames, f"{paste}: {outcome.covered} frames covered"
        assert outcome.others <= 12, f"{paste}: {outcome.others} other frames changed"


def test_a_scene_cut_is_found_where_it_is(media: Path, yunet: Detector) -> None:
    _, looking = covered(media / "formats/vfr_640x360.mp4", None, yunet)
    assert looking.stats.cuts == 2
