"""The judge of cover must see each breach: what it cannot see it cannot promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cover import Cover, Luma, TruthBox, is_covered, judge_frame, read_truth

BOX = TruthBox(40, 30, 80, 80)
SOURCE: Luma = np.random.default_rng(1).integers(60, 200, (120, 160)).astype(np.uint8)


def solid(box: TruthBox, *, scale: float = 1.3, value: int = 16, source: Luma = SOURCE) -> Luma:
    output = source.copy()
    output[box.ellipse(source.shape, scale)] = value
    return output


def judged(output: Luma, *boxes: TruthBox, steps: int = 0) -> Cover:
    cover = Cover()
    judge_frame(cover, 0, SOURCE, output, boxes, steps)
    return cover


def test_a_solid_face_is_covered() -> None:
    cover = judged(solid(BOX), BOX)
    assert cover.share == 1
    assert cover.leaked == []
    assert cover.away_px == 0
    assert 1 < cover.largest_ratio < 1.4


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(SOURCE, id="nothing was done"),
        pytest.param(solid(TruthBox(60, 50, 100, 100)), id="half a face further on"),
        pytest.param(solid(BOX, scale=0.5), id="too small"),
        pytest.param(np.clip(SOURCE.astype(int) + 9, 0, 255).astype(np.uint8), id="only brighter"),
        pytest.param(solid(BOX) + (np.indices(SOURCE.shape)[0] % 2 * 40).astype(np.uint8), id="not flat"),
    ],
)
def test_a_face_that_shows_is_a_leak(output: Luma) -> None:
    cover = judged(output, BOX)
    assert cover.leaked == [(0, "full")]
    assert cover.leaked_frames == 1
    assert cover.share == 0


def test_a_flat_source_is_not_covered_by_doing_nothing() -> None:
    flat = np.full_like(SOURCE, 16)
    assert not is_covered(flat, flat, BOX)


def test_a_patch_elsewhere_is_change_away_from_any_face() -> None:
    output = solid(BOX)
    output[:10, 140:] = 16
    cover = judged(output, BOX)
    assert cover.away_px == 200
    assert cover.away_share == pytest.approx(200 / SOURCE.size)
    assert dict(cover.away_frames) == {0: 200}


def test_a_patch_far_too_large_is_measured() -> None:
    assert judged(solid(BOX, scale=2.2), BOX).largest_ratio > 2.5


def test_a_patch_over_two_faces_counts_for_both() -> None:
    other = TruthBox(80, 30, 120, 80)
    output = solid(other, source=solid(BOX, scale=1.4), scale=1.4)
    assert judged(output, BOX, other).largest_ratio < 2


def test_the_encoders_own_losses_are_no_change() -> None:
    noisy = np.clip(SOURCE + np.random.default_rng(2).normal(0, 4, SOURCE.shape), 0, 255).astype(np.uint8)
    assert judged(noisy, steps=16).changed_px == 0
    assert judged(noisy, steps=0).changed_px > 0


def test_truth_files_are_read_past_their_remarks(tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_text(
        "# how it was made, with, commas\nframe,x0,y0,x1,y1,note\n3,1,2,3,4,partial\n3,5,6,7,9,full\n"
    )
    truth = read_truth(path)
    assert list(truth) == [3]
    assert truth[3] == [TruthBox(1, 2, 3, 4, "partial"), TruthBox(5, 6, 7, 9, "full")]
