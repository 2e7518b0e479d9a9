"""The One-Euro filter on the landmarks of one face: still when it rests, at its heels when it moves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["OneEuro"]

# Source: Casiez, Roussel, Vogel 2012, 1€ Filter, CHI '12, §4: the speed's own cutoff, 1 Hz.
_SPEED_CUTOFF = 1.0

Points = NDArray[np.float64]


class OneEuro:
    """Smooths (p, 3) landmarks, each point by its own speed.

    min_cutoff: Hz, for a point at rest. beta: Hz more per face size a second, so that a face near the
    camera and one far away are smoothed alike. Time comes from the caller, whatever the frame rate.

    Source: Casiez, Roussel, Vogel 2012, 1€ Filter, CHI '12, algorithm 1; speed in object sizes as in
    MediaPipe's landmarks smoothing calculator.
    """

    def __init__(self, min_cutoff: float, beta: float) -> None:
        self._min_cutoff = min_cutoff
        self._beta = beta
        self._raw: Points | None = None
        self._smooth: Points = np.zeros((0, 3))
        self._velocity: Points = np.zeros((0, 2))

    def step(self, points: Points, passed_s: float, size: float) -> Points:
        """Take the next landmarks and return them smoothed; the caller must not write to either.

        passed_s: since the last ones. size: the face's, in the unit of the points. The first ones,
        and those after no time at all, are returned as they are.
        """
        if self._raw is None or passed_s <= 0:
            self._velocity = np.zeros_like(points[:, :2])
            self._raw = self._smooth = points
            return points
        velocity = points[:, :2] - self._raw[:, :2]
        velocity *= 1 / (passed_s * size)
        velocity -= self._velocity
        velocity *= _share(_SPEED_CUTOFF, passed_s)
        self._velocity += velocity
        speed = np.sqrt(np.einsum("ij,ij->i", self._velocity, self._velocity))
        turns = (self._min_cutoff + self._beta * speed) * (2 * math.pi * passed_s)
        share = turns / (turns + 1)
        step = points - self._smooth
        step *= share[:, None]
        self._raw = points
        self._smooth = self._smooth + step
        return self._smooth


def _share(cutoff: float, passed_s: float) -> float:
    """How much of a new value a first-order low-pass takes."""
    turns = 2 * math.pi * cutoff * passed_s
    return turns / (turns + 1)
