"""The clip that facefx makes itself: its face is where it says."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from facefx.demo import (
    PORTRAIT_CLIPS,
    PORTRAIT_FACE,
    PortraitBatch,
    PortraitClip,
    portrait_frames,
    portrait_picture,
)
from facefx.values import FrameBatch


@pytest.fixture(scope="module")
def clip() -> list[PortraitBatch]:
    return list(portrait_frames(320, 180, Fraction(12), 4.0))


def test_the_clip_has_the_frames_that_were_asked_for(clip: list[PortraitBatch]) -> None:
    pts = np.concatenate([part.batch.pts for part in clip])
    assert pts.tolist() == list(range(48))
    assert clip[0].batch.format.time_base == Fraction(1, 12)
    assert clip[0].batch.format.pixels.name == "yuv420p"
    assert sum(len(part.boxes) for part in clip) == 48


def test_the_face_enters_moves_and_leaves(clip: list[PortraitBatch]) -> None:
    boxes = [box for part in clip for box in part.boxes]
    assert boxes[0] is None
    assert boxes[-1] is None
    there = [box for box in boxes if box is not None]
    assert len(there) > 20
    centres = np.array([((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in there])
    assert (np.ptp(centres, axis=0) > 40).all()
    whole = [box[2] - box[0] for box in there if box[0] > 0 and box[2] < 320]
    assert max(whole) > 1.3 * min(whole)
    for x0, y0, x1, y1 in there:
        assert 0 <= x0 < x1 <= 320
        assert 0 <= y0 < y1 <= 180


def test_the_face_is_where_the_box_says(clip: list[PortraitBatch]) -> None:
    """Its pixels, brought back to the portrait's size, are those of the portrait."""
    import cv2

    x0, y0, x1, y1 = (int(edge) for edge in PORTRAIT_FACE)
    grey = portrait_picture()[y0:y1, x0:x1].mean(axis=2)
    compared = 0
    for part in clip:
        for i, box in enumerate(part.boxes):
            if box is None or box[0] <= 0 or box[1] <= 0 or box[2] >= 320 or box[3] >= 180:
                continue
            left, top, right, bottom = (round(edge) for edge in box)
            luma = part.batch.view(i)[0][top:bottom, left:right].astype(np.float32)
            there = cv2.resize(luma, (x1 - x0, y1 - y0))
            assert np.corrcoef(there.ravel(), grey.ravel())[0, 1] > 0.95
            compared += 1
    assert compared > 5


def test_the_clip_is_the_same_every_time(clip: list[PortraitBatch]) -> None:
    again = next(portrait_frames(320, 180, Fraction(12), 4.0))
    assert all(
        np.array_equal(a, b)
        for one, other in zip(clip[0].batch.planes, again.batch.planes, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(("width", "height"), [(64, 36), (180, 320), (161, 91)])
def test_any_size_is_made(width: int, height: int) -> None:
    batch: FrameBatch = next(portrait_frames(width, height, Fraction(30000, 1001), 0.1)).batch
    assert batch.planes[0][0].shape == (height, width)
    assert all(plane.min() >= 16 and plane.max() <= 240 for planes in batch.planes for plane in planes)


def test_no_two_frames_are_alike_while_the_face_is_there(clip: list[PortraitBatch]) -> None:
    """A clip that stands still would hide errors of time."""
    lumas = [part.batch.view(i)[0] for part in clip for i in range(len(part.boxes)) if part.boxes[i]]
    assert all(not np.array_equal(a, b) for a, b in pairwise(lumas))


@pytest.mark.parametrize("clip", PORTRAIT_CLIPS, ids=lambda clip: clip.name)
def test_each_clip_of_the_demo_shows_what_its_camera_says(clip: PortraitClip) -> None:
    frames = portrait_frames(clip.width, clip.height, Fraction(5), clip.seconds, clip.camera)
    there = [box is not None for part in frames for box in part.boxes]
    expected = {"visit": (False, True), "stay": (True, True), "nobody": (False, False)}[clip.camera]
    assert (there[0], any(there)) == expected
    assert all(there) == (clip.camera == "stay")
