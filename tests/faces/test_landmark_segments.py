"""The real net on a moving face: wherever a worker begins, it comes to the same landmarks."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from detector_makers import planes_of, read
from numpy.typing import NDArray

from facefx.faces.landmarker import FaceLandmarker, choose_landmarker, landmarker_names
from facefx.faces.policy import REACH_S
from facefx.values import Color, Face, Faces, FaceSource, FrameBatch, PixelFormat, StreamFormat

FPS, FRAMES, RESTS = 25, 170, 20
SIZE = (480, 360)
FORMAT = StreamFormat(PixelFormat.of("yuv420p"), *SIZE, Fraction(1, FPS))
FACE = (200.0, 60.0, 260.0, 135.0)  # in the portrait


@pytest.fixture(scope="module")
def clip(media: Path) -> tuple[list[tuple[NDArray[np.uint8], ...]], list[tuple[float, float, float, float]]]:
    """A face that sways, nods and comes nearer, under noise; with the box that a tracker would have."""
    portrait = read(media / "stills" / "astronaut_1.png")
    rng = np.random.default_rng(3)
    middle = np.array([(FACE[0] + FACE[2]) / 2, (FACE[1] + FACE[3]) / 2])
    frames, boxes = [], []
    for i in range(FRAMES):
        second = max(i - RESTS, 0) / FPS if i < FRAMES - RESTS else (FRAMES - 2 * RESTS) / FPS
        scale, angle = 1.6 + 0.3 * math.sin(second), math.radians(20 * math.sin(1.7 * second))
        target = np.array([240 + 90 * math.sin(1.3 * second), 180 + 40 * math.cos(2.1 * second)])
        turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        moved = cv2.warpAffine(portrait, np.column_stack([turn, target - turn @ middle]), SIZE)
        noisy = np.clip(moved + rng.normal(0, 3, moved.shape), 0, 255)
        frames.append(planes_of(noisy, FORMAT.pixels, Color()))
        half = np.array([FACE[2] - FACE[0], FACE[3] - FACE[1]]) / 2 * scale
        (x0, y0), (x1, y1) = target - half + rng.normal(0, 2, 2), target + half + rng.normal(0, 2, 2)
        boxes.append((float(x0), float(y0), float(x1), float(y1)))
    return frames, boxes


@pytest.mark.parametrize("name", landmarker_names())
def test_a_worker_that_starts_two_seconds_early_sees_the_same(
    name: str, clip: tuple[list[tuple[NDArray[np.uint8], ...]], list[tuple[float, float, float, float]]]
) -> None:
    frames, boxes = clip
    spec = choose_landmarker(name)

    def run(start: int, size: int) -> NDArray[np.float32]:
        landmarker = FaceLandmarker(spec, FORMAT, anchor_pts=0, frame_period=Fraction(1, FPS))
        done = []
        for first in range(start, FRAMES, size):
            at = np.arange(first, min(first + size, FRAMES))
            batch = FrameBatch(FORMAT, tuple(frames[i] for i in at), at, at)
            rows = [(k, Face(int(i), 4, boxes[i], 0.9, FaceSource.TRACKED)) for k, i in enumerate(at)]
            done += landmarker.push(batch, Faces.from_rows(rows))
        done += landmarker.flush()
        assert landmarker.stats.meshed == FRAMES - start
        assert landmarker.stats.between > 10, "it rests at times"
        return np.concatenate([faces.landmarks for _, faces in done])

    whole = run(0, 16)
    assert np.array_equal(run(0, 5), whole)
    early = round(REACH_S * FPS)
    for cut in (early + 7, 90, 147):
        late = run(cut - early, 16)[early:]
        assert np.abs(late - whole[cut:])[..., :2].max() <= 0.05
        assert np.abs(run(cut, 16)[0] - whole[cut])[..., :2].max() > 0.05  # two seconds are needed
