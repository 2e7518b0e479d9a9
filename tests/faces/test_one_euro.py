"""Landmarks rest when the face rests, and do not trail behind when it moves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facefx.faces.one_euro import OneEuro

FPS = 30


def smooth(
    track: NDArray[np.float64],
    min_cutoff: float = 1.0,
    beta: float = 10.0,
    size: float = 100.0,
    fps: float = FPS,
) -> NDArray[np.float64]:
    """Feed (frames, p, 3) landmarks at a steady rate."""
    euro = OneEuro(min_cutoff, beta)
    return np.stack([euro.step(points, 1 / fps, size) for points in track])


def noise(frames: int, sigma: float) -> NDArray[np.float64]:
    return np.random.default_rng(8).normal(0, sigma, (frames, 20, 3))


def test_a_resting_face_rests() -> None:
    track = 50 + noise(90, 0.3)
    assert smooth(track)[30:].std(axis=0).mean() < 0.4 * track[30:].std(axis=0).mean()


def test_a_moving_face_is_followed() -> None:
    ramp = np.zeros((60, 1, 3))
    ramp[:, 0, 0] = np.arange(60) * 100 / FPS  # one face size a second
    behind = (ramp - smooth(ramp))[30:, 0, 0]
    assert 0 < behind.max() < 2
    assert (ramp - smooth(ramp, beta=0.0))[30:, 0, 0].max() > 10


def test_every_point_goes_at_its_own_speed() -> None:
    """A blink is not held back by a face that rests, and a jaw does not set the eyes loose."""
    track = np.zeros((40, 2, 3))
    track[20:, 0, 1] = 30.0
    track[:, 1, 0] = noise(40, 0.3)[:, 0, 0]
    alone = smooth(track[:, 1:])
    together = smooth(track)
    assert together[23, 0, 1] > 15
    assert np.array_equal(together[:, 1], alone[:, 0])


def test_depth_goes_along_with_its_point() -> None:
    still, moving = np.zeros((10, 1, 3)), np.zeros((10, 1, 3))
    still[1:, 0, 2] = moving[1:, 0, 2] = 10.0
    moving[:, 0, 0] = np.arange(10) * 20.0
    assert smooth(moving)[5, 0, 2] > smooth(still)[5, 0, 2] + 1


@pytest.mark.parametrize("scale", [0.1, 3.0, 20.0])
def test_near_and_far_faces_are_smoothed_alike(scale: float) -> None:
    track = np.cumsum(noise(40, 1.0), axis=0)
    assert np.allclose(smooth(track * scale, size=100 * scale), smooth(track) * scale)


def test_the_frame_rate_does_not_matter_much() -> None:
    """Half the frames, the same seconds: the delay behind a steady motion stays in its range."""
    ramp = np.zeros((240, 1, 3))
    ramp[:, 0, 0] = np.arange(240) * 50 / 60
    at_60 = (ramp - smooth(ramp, fps=60))[-1, 0, 0]
    at_30 = (ramp[::2] - smooth(ramp[::2], fps=30))[-1, 0, 0]
    assert at_30 == pytest.approx(at_60, rel=0.05)


def test_the_start_is_forgotten_within_two_seconds() -> None:
    track = np.cumsum(noise(120, 0.5), axis=0)
    late = smooth(track[30:])
    assert np.abs(late[60:] - smooth(track)[90:]).max() < 1e-3


def test_the_first_landmarks_and_those_after_no_time_pass_as_they_are() -> None:
    euro = OneEuro(1.0, 10.0)
    first, second = noise(2, 5.0)
    assert np.array_equal(euro.step(first, 0.5, 100), first)
    assert np.array_equal(euro.step(second, 0.0, 100), second)
