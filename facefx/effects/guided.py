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

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Smoothing", "blurred", "correct", "plan_smoothing", "shrink"]

Plane = NDArray[Any]
Small = NDArray[np.float32]

# Keeps a window without weight from dividing by zero; a sample of full weight counts 1.
_NO_WEIGHT = 1e-4
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
    small: Small, coarse: Small, weight: Small, *, sigma: float, eps: float, detail: float
) -> Smoothing:
    """Find what smooths a plane, from its small copy.

    coarse: the small copy without the finest texture. weight: 0..1, how much of the smoothing each
    sample gets, and how much it says about its neighbours. sigma: of the window, in samples. eps: in
    codes squared, the variance at which a window is smoothed by half. detail: 0..1, the part of the
    finest texture that stays.
    """
    a, b = _coefficients(small, weight, sigma, eps)
    slope = np.subtract(1, a, out=a)
    slope *= weight
    offset = b
    offset *= weight
    if detail:
        # A part of the correction is made for the blurred plane and applied to the plane itself: it moves
        # coarse texture and lets the fine ride on top.
        offset -= np.float32(detail) * slope * coarse
        slope *= np.float32(1 - detail)
    return Smoothing(slope, offset)


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
    size, part = (columns * step_x, rows * step_y), np.float32(strength)
    slope = cv2.resize(smoothing.slope * part, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    offset = cv2.resize(smoothing.offset * part, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    if codes is None:
        codes = plane.astype(np.float32)
    change = cv2.subtract(offset, cv2.multiply(codes, slope, dst=slope), dst=offset)
    new = cv2.add(codes, change, dtype=cv2.CV_8U if plane.dtype == np.uint8 else cv2.CV_16U)
    if new.min() < legal[0] or new.max() > legal[1]:
        cv2.min(new, cv2.max(plane, (legal[1],)), dst=new)
        cv2.max(new, cv2.min(plane, (legal[0],)), dst=new)
    plane[...] = new


def _coefficients(small: Small, weight: Small, sigma: float, eps: float) -> tuple[Small, Small]:
    """Return a and b of the filter, each averaged over the windows that a sample is in."""
    # About the mean, so that a variance is not a small difference of large numbers.
    centre = np.float32(float(np.vdot(small, weight)) / max(float(weight.sum()), _NO_WEIGHT))
    level = small - centre
    first = level * weight
    level *= first
    total, mean, variance = _split(blurred(cv2.merge((weight, first, level)), sigma))
    total += np.float32(_NO_WEIGHT)
    share = np.divide(1, total, out=total)
    mean *= share
    variance *= share
    variance -= mean * mean
    variance = cv2.threshold(variance, 0, 0, cv2.THRESH_TOZERO, dst=variance)[1]
    a = variance / (variance + np.float32(eps))
    b = mean - a * mean
    # With the same weights again: a window in the hair says nothing about the skin beside it.
    a *= weight
    b *= weight
    a, b = _split(blurred(cv2.merge((a, b)), sigma))
    a *= share
    b *= share
    b += centre * (1 - a)
    return a, b


def _split(planes: Small) -> list[Small]:
    """The channels one by one. OpenCV copies what it has to make room for itself, in four times as long."""
    parts = [np.empty(planes.shape[:2], np.float32) for _ in range(planes.shape[2])]
    cv2.split(planes, parts)
    return parts
