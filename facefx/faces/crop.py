"""Crops for a mesh net, warped from native planes where they lie."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.faces.roi import Placement, Roi
from facefx.values import Color, Planes, StreamFormat

__all__ = ["Cropper", "warp"]

Matrix = NDArray[np.float64]

# Up to so many samples of the plane for one of the crop, the part under it is copied before it is warped.
_COPIED = 4
# Least samples along the longer side of a glimpse of a large face: an open eye is four wide. Of a small one
# every second pixel counts at most: a pixel's own noise is larger than what it would tell.
_GLIMPSE = 32
_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def warp(plane: NDArray[Any], matrix: Matrix, size: int) -> NDArray[Any]:
    """Sample size × size positions of a plane (or of interleaved channels), bilinear, edges repeated.

    matrix: (3, 3), from columns and rows of the result to those of the plane. No low-pass: MediaPipe's
    own path has none either, and the nets were trained behind it.
    """
    (a, b, x), (c, d, y) = matrix[:2].tolist()
    last = size - 1
    left, right = _reach(x + min(a, 0) * last + min(b, 0) * last, (abs(a) + abs(b)) * last, plane.shape[1])
    top, bottom = _reach(y + min(c, 0) * last + min(d, 0) * last, (abs(c) + abs(d)) * last, plane.shape[0])
    part = plane[top:bottom, left:right]
    if right - left <= _COPIED * size:
        # A frame comes from memory, not from a cache: line by line that takes half the time of leaps.
        part = part.copy()
    shifted = np.array([[a, b, x - left], [c, d, y - top]])
    return np.asarray(
        cv2.warpAffine(part, shifted, (size, size), flags=_FLAGS, borderMode=cv2.BORDER_REPLICATE)
    )


def _reach(low: float, length: float, end: int) -> tuple[int, int]:
    """The whole samples within 0..end that bilinear takes between low and low + length; one at least."""
    start = min(max(math.floor(low) - 1, 0), end - 1)
    return start, min(max(math.ceil(low + length) + 2, start + 1), end)


class Cropper:
    """Cuts turned squares out of one stream's frames: upright, with square pixels, in RGB.

    size: side of a crop in samples, even. placement: how crops and stored pictures lie to each other.
    One thread at a time: a buffer is kept.
    """

    def __init__(self, format: StreamFormat, size: int) -> None:
        pixels = format.pixels
        self.placement = Placement(format)
        self._size = size
        self._depth_shift = pixels.depth - 8
        # Chroma that is coarse both ways is sampled as coarsely, in a quarter of the time: landmarks then
        # lie 0.07 % of a face from those of an RGB picture on the stills, otherwise 0.05 %.
        self._step = 2 if pixels.shift_x + pixels.shift_y > 1 else 1
        middle = (self._step - 1) / 2
        self._spread = np.array([[self._step, 0.0, middle], [0.0, self._step, middle], [0.0, 0.0, 1.0]])
        self._luma = self.placement.sampling(0, 0)
        self._chroma = self.placement.sampling(pixels.shift_x, pixels.shift_y)
        self._colour = _to_rgb(format.color, gray=pixels.layout == "gray")
        # A fresh buffer costs more in page faults than what is written to it.
        self._packed = np.empty((size, size, 3), pixels.dtype)

    def crop(self, planes: Planes, roi: Roi) -> NDArray[np.uint8]:
        """One square as (S, S, 3) uint8 RGB; what lies beyond the picture repeats its edge."""
        square = roi.matrix(self._size)
        luma = warp(planes[0], self._luma @ square, self._size)
        if len(planes) == 1:
            return _to_bytes(cv2.transform(luma, self._colour))
        matrix = self._chroma @ square @ self._spread
        chroma = [warp(plane, matrix, self._size // self._step) for plane in planes[1:]]
        if len(chroma) == 1:
            chroma = list(cv2.split(chroma[0]))
        if self._step > 1:
            whole = (self._size, self._size)
            chroma = [cv2.resize(part, whole, interpolation=cv2.INTER_LINEAR) for part in chroma]
        return _to_bytes(cv2.transform(cv2.merge((luma, *chroma), self._packed), self._colour))

    def glimpse(self, luma: NDArray[Any], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
        """A box of the upright picture in miniature, as it lies in the stored one: means of 8 bits.

        The same box gives the same pixels of every frame, each time in memory of its own; what of it lies
        beyond the picture is left out, and where that is more than a half, all: (0, 0).
        """
        corners = self.placement.to_stored @ [[box[0], box[2]], [box[1], box[3]], [1.0, 1.0]]
        (x0, x1), (y0, y1) = np.sort(corners[:2], axis=1).round().astype(int).tolist()
        left, top = max(x0, 0), max(y0, 0)
        part = luma[top : max(y1, top), left : max(x1, left)]
        if 2 * part.size < (x1 - x0) * (y1 - y0) or not part.size:
            return np.zeros((0, 0), np.uint8)
        # Halved again and again, which takes a tenth of the time of one mean over so many pixels.
        part = _halved(part)
        while max(part.shape) >= 2 * _GLIMPSE:
            part = _halved(part)
        return np.ascontiguousarray(part >> self._depth_shift, np.uint8)


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Means over 2 × 2 samples; a last odd row or column is left out."""
    rows, columns = max(plane.shape[0] // 2, 1), max(plane.shape[1] // 2, 1)
    part = plane[: 2 * rows, : 2 * columns]
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA))


def _to_bytes(crop: NDArray[Any]) -> NDArray[np.uint8]:
    """Codes of 10 bits were scaled to 0..255 already; what lies above it is cut off."""
    return crop if crop.dtype == np.uint8 else np.asarray(cv2.convertScaleAbs(crop), np.uint8)


def _to_rgb(color: Color, *, gray: bool) -> Matrix:
    """(3, 4) matrix from Y, U, V codes to R, G, B of 0..255; (3, 2) from Y alone.

    Source: ITU-T H.273 §8.3, inverted.
    """
    black, white = color.luma_range
    gain = 255.0 / (white - black)
    if gray:
        return np.repeat([[gain, -gain * black]], 3, axis=0)
    low, high = color.chroma_range
    swing = 255.0 * 2 / (color.peak if color.full_range else high - low)
    red, blue = color.luma_weights
    green = 1 - red - blue
    parts = np.array(
        [
            [gain, 0.0, swing * (1 - red)],
            [gain, -swing * (1 - blue) * blue / green, -swing * (1 - red) * red / green],
            [gain, swing * (1 - blue), 0.0],
        ]
    )
    offset = -parts @ np.array([black, color.neutral, color.neutral])
    return np.column_stack([parts, offset])
