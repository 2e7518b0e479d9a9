"""Brighter, redder, less coloured: what retouching does to codes, under a mask, within the legal range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.masks import Mask
from facefx.values import Color

__all__ = [
    "add_change",
    "add_to",
    "curve_table",
    "lift",
    "look_up",
    "mean_under",
    "means_under",
    "ramp",
    "shift",
    "stepwise",
    "write_legal",
]

Plane = NDArray[Any]

# A table's changes are in parts of a code, so that a change, a mask and a strength are rounded once.
_PARTS = 8


def stepwise(value: float, low: float, high: float) -> float:
    """Return 0..1: how far a value is from low to high; low may be the higher.

    >>> stepwise(3.0, 2.0, 6.0), stepwise(9.0, 2.0, 6.0), stepwise(1.0, 2.0, 0.0)
    (0.25, 1.0, 0.5)
    """
    return min(max((value - low) / (high - low), 0.0), 1.0)


def ramp(values: NDArray[np.float32], low: float, high: float) -> Mask:
    """Return the same of an array as 0..255, rounded.

    >>> ramp(np.float32([[1, 3, 9]]), 2, 6).tolist()
    [[0, 64, 255]]
    """
    steep = 255 / (high - low)
    # NumPy takes three passes for what is one here.
    return np.asarray(cv2.addWeighted(values, steep, values, 0, -low * steep, dtype=cv2.CV_8U), np.uint8)


def curve_table(color: Color, gain: NDArray[np.float64]) -> Plane:
    """Return what each luma code gains, as `lift` takes it.

    gain: (codes,) from black to white = 1, not negative; for every code that the depth can hold.
    """
    black, white = color.luma_range
    codes = np.arange(color.peak + 1)
    # No code is brought beyond white, and none that lies there is touched.
    gain = np.clip(gain * (white - black), 0, np.maximum(white - codes, 0))
    dtype = np.uint8 if color.depth == 8 else np.uint16
    return np.asarray(np.minimum(np.rint(gain * _PARTS), np.iinfo(dtype).max).astype(dtype))


def lift(plane: Plane, table: Plane, mask: Mask, strength: float) -> None:
    """Add to each luma code of a plane what a table gives it, through a mask, in place.

    table: from curve_table. A mask of 0 leaves codes bit for bit. strength: 0..1.
    """
    gain, weight = look_up(plane, table), mask if plane.dtype == np.uint8 else mask.astype(plane.dtype)
    plane[...] = cv2.add(plane, cv2.multiply(gain, weight, scale=strength / (255 * _PARTS)))


def look_up(plane: Plane, table: Plane) -> Plane:
    """Return what a table has for each code of a plane. table: one entry for each code of the depth."""
    return np.asarray(cv2.LUT(plane, table) if plane.dtype == np.uint8 else table.take(plane, mode="clip"))


def shift(plane: Plane, weight: Mask, change: float, legal: tuple[int, int]) -> None:
    """Add `change` codes where a weight is 255, in proportion elsewhere, in place."""
    parts = weight if plane.dtype == np.uint8 else weight.astype(plane.dtype)
    write_legal(plane, cv2.addWeighted(plane, 1.0, parts, change / 255, 0.0), legal)


def add_change(plane: Plane, change: NDArray[np.float32], legal: tuple[int, int]) -> None:
    """Add codes to a plane, in place; where the change is 0 they stay bit for bit.

    legal: lowest and highest code that it writes; a code that lies beyond may stay beyond.
    """
    # One of nv12's pairs is nothing that OpenCV takes.
    codes = plane if plane.strides[-1] == plane.itemsize else plane.astype(np.float32)
    add_to(plane, codes, change, legal)


def add_to(plane: Plane, samples: Plane, change: NDArray[np.float32], legal: tuple[int, int]) -> None:
    """Do the same for a plane whose codes are at hand, perhaps as float32."""
    kind = cv2.CV_8U if plane.dtype == np.uint8 else cv2.CV_16U
    write_legal(plane, cv2.add(samples, change, dtype=kind), legal)


def write_legal(plane: Plane, new: Plane, legal: tuple[int, int]) -> None:
    """Write new codes into a plane; a code that lies beyond the range already may stay there."""
    if not plane.size:
        return
    least, most, _, _ = cv2.minMaxLoc(new)
    if least < legal[0] or most > legal[1]:
        old = np.ascontiguousarray(plane)  # one of nv12's pairs is none
        new = cv2.min(new, cv2.max(old, (legal[1],)))
        new = cv2.max(new, cv2.min(old, (legal[0],)))
    plane[...] = new


def mean_under(values: NDArray[Any], weight: NDArray[Any]) -> float:
    """Return the mean of values, each counted as much as its weight says; 0 where there is no weight."""
    return means_under([values], weight)[0]


def means_under(planes: Sequence[NDArray[Any]], weight: NDArray[Any]) -> list[float]:
    """Return the same of several planes of one weight."""
    weight = weight.astype(np.float32, copy=False)
    total = cv2.sumElems(weight)[0] or 1.0
    return [float(np.vdot(plane.astype(np.float32, copy=False), weight)) / total for plane in planes]
