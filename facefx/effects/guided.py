"""Edge-preserving smoothing of one plane: a fast self-guided filter, weighted by a mask.

The filter models a plane as linear in itself within each window, q = a·I + b. Where the plane varies
little, a is near 0 and b near the mean: it is smoothed. Where it varies much, at an edge, a is near 1
and b near 0: it stays. a and b are smooth, so they are found on a small copy and grown; only the
last line touches every pixel.

Source: He, Sun, Tang, "Guided Image Filtering", TPAMI 2013, eq. 5-8; He, Sun, "Fast Guided Filter",
arXiv 1505.00996 (the small copy). Windows are Gaussian, so that their width can follow a face's size
without steps, and weighted by the mask, so that what lies beside the skin does not bleed into it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.tone import add_to

__all__ = ["Smoothing", "blurred", "correct", "plan_smoothing", "shrink", "split"]

Plane = NDArray[Any]
Small = NDArray[np.float32]

# Keeps a window without weight from dividing by zero; a sample of full weight counts 1.
_NO_WEIGHT = 1e-4
# Squared sigma, in samples, by which halving and growing widen a window.
_HALVED = 0.45
# A Gaussian window is cut off here, in sigma.
_REACH = 2.0


@dataclass(frozen=True, slots=True)
class Smoothing:
    """What turns a plane I into its smoothed self, on the small grid: I − slope · I + offset.

    Both are exactly 0 where the weight is.
    """

    slope: Small
    offset: Small


def shrink(plane: Plane, step_x: int, step_y: int, size: tuple[int, int]) -> Small:
    """Return float32 means over rectangles of pixels; the last row and column are repeated to fill them.

    size: (columns, rows) of the result, which together cover the plane.
    """
    right, down = size[0] * step_x - plane.shape[1], size[1] * step_y - plane.shape[0]
    if right or down:
        plane = cv2.copyMakeBorder(plane, 0, down, 0, right, cv2.BORDER_REPLICATE)
    # To float before the means are taken: rounding halves upward would brighten the plane.
    small = plane.astype(np.float32, copy=False)
    # Halved again and again: sums of codes are exact, and that takes half the time of one mean over so many.
    while step_x > 1 or step_y > 1:
        across, down = (1 if step % 2 else 2 for step in (step_x, step_y))
        if across == down == 1:
            return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA))
        step_x, step_y = step_x // across, step_y // down
        small = cv2.resize(small, (size[0] * step_x, size[1] * step_y), interpolation=cv2.INTER_AREA)
    return np.asarray(small)


def blurred(small: Small, sigma: float) -> Small:
    """Return a Gaussian blur; sigma in samples, 0 gives the copy itself."""
    if sigma <= 0:
        return small
    side = 2 * max(1, round(_REACH * sigma)) + 1
    return np.asarray(cv2.GaussianBlur(small, (side, side), sigma, borderType=cv2.BORDER_REPLICATE))


def plan_smoothing(
    small: Small,
    coarse: Small,
    weight: Small,
    *,
    sigma: float,
    eps: float,
    detail: float,
    halvings: int = 0,
) -> Smoothing:
    """Find what smooths a plane, from its small copy.

    coarse: the small copy without the finest texture. weight: 0..1, how much of the smoothing each
    sample gets, and how much it says about its neighbours. sigma: of the window, in samples. eps: in
    codes squared, the variance at which a window is smoothed by half. detail: 0..1, the part of the
    finest texture that stays. halvings: windows are put down on squares of so many times four samples; where
    their sigma is three of those or more, that is a quarter of the work each time, and looks the same.
    """
    # About the mean, so that a variance is not a small difference of large numbers.
    centre = np.float32(float(np.vdot(small, weight)) / max(cv2.sumElems(weight)[0], _NO_WEIGHT))
    a, b = _coefficients(small - centre, weight, sigma, eps, halvings)
    slope = np.subtract(1, a, out=a)
    slope *= weight
    b *= weight
    # A part of the correction is made for the blurred plane and applied to the plane itself: it moves coarse
    # texture and lets the fine ride on top.
    rest = coarse * np.float32(-detail)
    rest += centre
    rest *= slope
    b += rest
    if detail:
        slope *= np.float32(1 - detail)
    return Smoothing(slope, b)


def correct(
    plane: Plane,
    smoothing: Smoothing,
    step_x: int,
    step_y: int,
    strength: float,
    legal: tuple[int, int],
    codes: Small | None = None,
) -> None:
    """Apply a smoothing to a plane, in place; samples without weight keep their codes bit for bit.

    legal: lowest and highest code that it writes; a code that lies beyond may stay beyond. codes: the plane
    as float32, where the caller has it.
    """
    height, width = plane.shape
    rows, columns = smoothing.slope.shape
    size = columns * step_x, rows * step_y
    # What is kept and what is added: where there is no weight, all and nothing.
    kept = cv2.addWeighted(smoothing.slope, -strength, smoothing.slope, 0, 1)
    added = smoothing.offset * np.float32(strength)
    kept = cv2.resize(kept, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    added = cv2.resize(added, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    if codes is None:
        codes = plane.astype(np.float32)
    add_to(plane, cv2.multiply(codes, kept, dst=kept), added, legal)


def _coefficients(
    level: Small, weight: Small, sigma: float, eps: float, halvings: int
) -> tuple[Small, Small]:
    """Return a and b of the filter, each averaged over the windows that a sample is in."""
    first = level * weight
    level *= first
    sums = cv2.merge((weight, first, level))
    for _ in range(halvings):
        sums, sigma = _halved(sums), math.sqrt(max(sigma**2 - _HALVED, 0.0)) / 2
    weights = split(sums)[0] if halvings else weight
    total, mean, variance = split(blurred(sums, sigma))
    total += np.float32(_NO_WEIGHT)
    share = np.divide(1, total, out=total)
    mean *= share
    variance *= share
    variance -= mean * mean
    np.maximum(variance, 0, out=variance)
    a = variance / (variance + np.float32(eps))
    mean -= a * mean
    # With the same weights again: a window in the hair says nothing about the skin beside it.
    a *= weights
    mean *= weights
    a, b = split(blurred(cv2.merge((a, mean)), sigma))
    a *= share
    b *= share
    rows, columns = weight.shape
    return _grown(a, halvings)[:rows, :columns], _grown(b, halvings)[:rows, :columns]


def _halved(planes: Small) -> Small:
    """Means of squares of four; an odd last row or column pairs with itself."""
    rows, columns = planes.shape[:2]
    if rows % 2 or columns % 2:
        planes = cv2.copyMakeBorder(planes, 0, rows % 2, 0, columns % 2, cv2.BORDER_REPLICATE)
    size = (columns + 1) // 2, (rows + 1) // 2
    return np.asarray(cv2.resize(planes, size, interpolation=cv2.INTER_AREA))


def _grown(small: Small, times: int) -> Small:
    """Bring means of squares back to the samples that they were taken of."""
    if not times:
        return small
    size = small.shape[1] << times, small.shape[0] << times
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR))


def split(planes: Small) -> list[Small]:
    """The channels one by one. OpenCV copies what it has to make room for itself, in four times as long."""
    parts = [np.empty(planes.shape[:2], np.float32) for _ in range(planes.shape[2])]
    cv2.split(planes, parts)
    return parts
