"""The real net on a moving face: wherever a worker begins, it comes to the same landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


Clip = tuple[list[tuple[NDArray[np.uint8], ...]], list[tuple[float, float, float, float]]]
EARLY = round(REACH_S * FPS)


def portrait_clip(portrait: NDArray[np.uint8], seconds: Sequence[float], noise: float) -> Clip:
    """A face that sways, nods and comes nearer, under noise; with the box that a tracker would have."""
    rng = np.random.default_rng(3)
    middle = np.array([(FACE[0] + FACE[2]) / 2, (FACE[1] + FACE[3]) / 2])
    frames, boxes = [], []
    for second in seconds:
        scale, angle = 1.6 + 0.3 * math.sin(second), math.radians(20 * math.sin(1.7 * second))
        target = np.array([240 + 90 * math.sin(1.3 * second), 180 + 40 * math.cos(2.1 * second)])
        turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        moved = cv2.warpAffine(portrait, np.column_stack([turn, target - turn @ middle]), SIZE)
        noisy = np.clip(moved + rng.normal(0, noise, moved.shape), 0, 255)
        frames.append(planes_of(noisy, FORMAT.pixels, Color()))
        half = np.array([FACE[2] - FACE[0], FACE[3] - FACE[1]]) / 2 * scale
        wrong = noise * 2 / 3
        (x0, y0), (x1, y1) = (
            target - half + rng.normal(0, wrong, 2),
            target + half + rng.normal(0, wrong, 2),
        )
        boxes.append((float(x0), float(y0), float(x1), float(y1)))
    return frames, boxes


def landmarks(clip: Clip, name: str, start: int, size: int = 16) -> tuple[NDArray[np.float32], int]:
    """Those of every frame from `start` on, and how many were taken from a line."""
    frames, boxes = clip
    landmarker = FaceLandmarker(choose_landmarker(name), FORMAT, anchor_pts=0, frame_period=Fraction(1, FPS))
    done = []
    for first in range(start, len(frames), size):
        at = np.arange(first, min(first + size, len(frames)))
        batch = FrameBatch(FORMAT, tuple(frames[i] for i in at), at, at)
        rows = [(k, Face(int(i), 4, boxes[i], 0.9, FaceSource.TRACKED)) for k, i in enumerate(at)]
        done += landmarker.push(batch, Faces.from_rows(rows))
    done += landmarker.flush()
    assert landmarker.stats.meshed == len(frames) - start
    return np.concatenate([faces.landmarks for _, faces in done]), landmarker.stats.between


def apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other)[..., :2].max())


@pytest.mark.parametrize("name", landmarker_names())
def test_a_worker_that_starts_two_seconds_early_sees_the_same(media: Path, name: str) -> None:
    still, moving = [0.0] * RESTS, [i / FPS for i in range(FRAMES - 2 * RESTS)]
    seconds = [*still, *moving, *[moving[-1]] * RESTS]
    clip = portrait_clip(read(media / "stills" / "astronaut_1.png"), seconds, noise=3)
    whole, between = landmarks(clip, name, 0)
    assert between > 10, "it rests at times"
    assert np.array_equal(landmarks(clip, name, 0, size=5)[0], whole)
    for cut in (EARLY + 7, 90, 147):
        assert apart(landmarks(clip, name, cut - EARLY)[0][EARLY:], whole[cut:]) <= 0.05
        # Two seconds are needed: here nobody has met yet.
        assert apart(landmarks(clip, name, cut)[0][:1], whole[cut : cut + 1]) > 0.05 or cut == 147


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_of_a_face_that_rests_all_the_time_every_worker_sees_the_same(media: Path, noise: float) -> None:
    """It is seldom looked at, so that two workers have few looks in which to meet."""
    clip = portrait_clip(read(media / "stills" / "astronaut_1.png"), [0.4] * 150, noise)
    whole, between = landmarks(clip, "facemesh-468", 0)
    assert between > 60
    for cut in range(EARLY, 150, 17):
        assert apart(landmarks(clip, "facemesh-468", cut - EARLY)[0][EARLY:], whole[cut:]) <= 0.05, cut
