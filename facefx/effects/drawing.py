"""How much of each sample of a grid lies within outlines: exactly, or counted on finer samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FRACTION_BITS", "Region", "counted", "exact", "fixed_corners"]

Points = NDArray[np.float32]
Mask = NDArray[np.uint8]
Region = tuple[Sequence[Points], Sequence[Points]]
"""Outlines, which unite, and holes, which are cut out of all of them."""

# Lines of each sample on which an outline is drawn.
_LINES = 8
FRACTION_BITS = 4
"""What OpenCV's drawing functions are told as `shift` with fixed_corners."""
# A counted sample is so many parts wide and high, each of which counts so much; all together fit a byte.
_PARTS, _PART = 4, 8
# OpenCV's coordinates are 32 bits wide.
_FAR = 1e9


def counted(regions: Sequence[Region], to_grid: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """Return shares of samples, 0..255, regions stacked: counted on 4 × 4 samples in one.

    For masks that are blurred by a sample or more: there it is nearly as steady as `exact`, for a third.
    to_grid: (2, 3), takes points to samples, the first of which covers 0 to 1. size: (width, height) of the
    grid of each region.
    """
    width, height = size
    every = [outline for each in regions for part in each for outline in part]
    corners = fixed_corners(every, to_grid, _PARTS)
    canvas = np.zeros((len(regions) * height * _PARTS, width * _PARTS), np.uint8)
    for i, (outlines, holes) in enumerate(regions):
        drawn = canvas[i * height * _PARTS : (i + 1) * height * _PARTS]
        for _ in outlines:
            corner = next(corners)
            cv2.fillPoly(drawn, [corner], _PART, cv2.LINE_8, FRACTION_BITS)
            # What is on the edge is half in it: OpenCV has filled it whole.
            cv2.polylines(drawn, [corner], True, _PART // 2, 1, cv2.LINE_8, FRACTION_BITS)
        for _ in holes:
            cv2.fillPoly(drawn, [next(corners)], 0, cv2.LINE_8, FRACTION_BITS)
    return _summed(canvas)


def fixed_corners(
    outlines: Sequence[Points], to_grid: NDArray[np.float64], parts: int
) -> Iterator[NDArray[np.int32]]:
    """Give outlines one by one in OpenCV's fixed-point numbers, on parts × parts samples in one.

    to_grid: as for `counted`. There a sample's middle is at 0.
    """
    if not outlines:
        return
    matrix = to_grid * (parts << FRACTION_BITS)
    matrix[:, 2] -= 1 << (FRACTION_BITS - 1)
    places = cv2.transform(np.concatenate(outlines)[None], matrix)[0]
    np.minimum(np.maximum(places, -_FAR, out=places), _FAR, out=places)
    fixed = np.rint(places, out=places).astype(np.int32)
    start = 0
    for outline in outlines:
        end = start + len(outline)
        yield fixed[start:end]
        start = end


def _summed(canvas: Mask) -> Mask:
    """Sums over squares of parts: 255 where all is filled."""
    rows = canvas.reshape(-1, canvas.shape[1] * _PARTS)
    while rows.shape[1] > canvas.shape[1]:
        half = rows.shape[1] // 2
        rows = cv2.add(rows[:, :half], rows[:, half:])
    # A row of a square is a number of four bytes: their sum is the highest byte of a product.
    sums = np.ascontiguousarray(rows).view("<u4") * np.uint32(0x01010101)
    return np.asarray(cv2.convertScaleAbs((sums >> 24).astype(np.uint8), alpha=255 / (_PART * _PARTS**2)))


def exact(regions: Sequence[Sequence[Points]], to_grid: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """Return how much of each sample lies within each region's outlines, 0..255, regions stacked.

    to_grid, size: as for `counted`.

    OpenCV's antialiased polygons are half a sample too wide, and jump by most of a sample's code where an
    outline moves by a tenth of it. Here a sample is so many lines, each covered from crossing to
    crossing, exactly, so that a mask moves as smoothly as the landmarks do.
    """
    width, height = size
    row, x, turn = _crossings(regions, to_grid, height)
    if not len(row):
        return np.zeros((height * len(regions), width), np.uint8)
    column = np.floor(x.clip(0, width, out=x))
    x -= column
    part = np.multiply(x, turn, out=x)
    # One column for what lies left of all samples, one for what the last sample adds to beyond it.
    rows, stride = height * len(regions), width + 2
    row *= stride
    index = np.add(row, column, out=row).astype(np.intp)
    # Each crossing adds itself to all that lies right of it: to its own sample in part.
    steps = np.bincount(index, turn - part, rows * stride)
    index += 1
    steps += np.bincount(index, part, rows * stride)
    # Sums along the rows, as a difference of sums over rectangles: a third of the time of cumsum.
    sums = cv2.integral(steps.reshape(rows, stride))[:, 1 : width + 1]
    return np.asarray(cv2.convertScaleAbs(cv2.subtract(sums[1:], sums[:-1]), alpha=255 / _LINES), np.uint8)


def _crossings(
    regions: Sequence[Sequence[Points]], to_grid: NDArray[np.float64], rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where outlines cross lines of a grid of so many rows: row, place across in samples, and which way.

    Each row has so many lines; the rows of one region follow those of the last. The way is 1 where an
    outline's inside begins and -1 where it ends, or the other way round.
    """
    outlines = [outline for region in regions for outline in region]
    if not outlines:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    sides = _sides(tuple(tuple(map(len, region)) for region in regions))
    here = np.concatenate(outlines) @ to_grid[:, :2].T + to_grid[:, 2]
    here *= (1, _LINES)
    (x, y), (next_x, next_y) = here.T, here.take(sides.end, axis=0).T
    across, down = next_x - x, next_y - y
    # Outlines that run the other way round count the other way, so that they unite where they overlap.
    round_ = np.sign(np.add.reduceat(x * next_y - next_x * y, sides.first))
    turn = np.sign(down) * round_.take(sides.outline)
    # Lines stay floats, which hold them exactly: what follows mixes them with places.
    start = np.ceil(y - 0.5).clip(0, rows * _LINES)
    end = start.take(sides.end)
    count = np.abs(end - start).astype(np.intp)
    ends = count.cumsum()
    # From here on each side stands once for each line that it crosses.
    line = np.arange(float(ends[-1])) + (np.minimum(start, end) + count - ends).repeat(count)
    slope = across / np.where(count, down, 1)
    place = line + 0.5
    place -= y.repeat(count)
    place *= slope.repeat(count)
    place += x.repeat(count)
    row = np.floor(np.multiply(line, 1 / _LINES, out=line), out=line)
    row += (sides.region * rows).repeat(count)
    return row, place, turn.repeat(count)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The sides of some regions' outlines, each from its corner to the next one of its outline.

    end: the corner where each ends. outline, region: which each belongs to. first: of each outline.
    """

    end: NDArray[np.intp]
    outline: NDArray[np.intp]
    region: NDArray[np.intp]
    first: NDArray[np.intp]


# A mesh has the same outlines in every frame.
@lru_cache(maxsize=64)
def _sides(lengths: tuple[tuple[int, ...], ...]) -> _Sides:
    """lengths: corners of each outline of each region."""
    outlines = np.array([length for region in lengths for length in region], np.intp)
    first = np.cumsum(outlines) - outlines
    end = np.arange(1, outlines.sum() + 1)
    end[first + outlines - 1] = first
    region = np.repeat(np.arange(len(lengths)), [sum(region) for region in lengths])
    return _Sides(end, np.repeat(np.arange(len(outlines)), outlines), region, first)
