"""The picture as a viewer sees it, small, straight from native planes.

A detector wants an upright, naturally shaped RGB picture of a few hundred pixels. Planes are shrunk
first and converted to colour at that size, so no full RGB frame ever exists.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.geometry import Boxes, to_rotated
from facefx.values import Color, Planes, StreamFormat

__all__ = ["Upright", "colour_planes", "shrink"]

Plane = NDArray[Any]

# Lines converted at a time: what stays in a core's second-level cache.
_STRIP = 64
# A height that differs by less than this is mended by whole lines.
_MENDED = 0.1


class Upright:
    """How one stream's stored pictures turn into upright ones, and boxes back again.

    A display matrix that mirrors first flips the stored picture upside down, then turns it by
    `rotation` anticlockwise: that is what FFmpeg's angle means for a matrix that mirrors
    (libavutil/display.h). width, height: of the upright picture with square pixels; fractional
    where the sample aspect makes it so.
    """

    def __init__(self, format: StreamFormat) -> None:
        self.format = format
        self.turns = round(format.rotation / 90) % 4
        self.plain = not (self.turns or format.mirrored)
        self.aspect = float(format.sample_aspect) or 1.0
        size = (format.width * self.aspect, float(format.height))
        self.width, self.height = size[::-1] if self.turns % 2 else size
        self._stored = np.array([format.width, format.height] * 2, np.float32)

    def stored_size(self, width: int, height: int) -> tuple[int, int]:
        """The size before the turn of a picture that is width × height after it."""
        return (height, width) if self.turns % 2 else (width, height)

    def turn(self, small: NDArray[Any]) -> NDArray[Any]:
        """Turn (channels, h, w) from stored to upright; contiguous."""
        if self.plain:
            return np.ascontiguousarray(small)
        if self.format.mirrored:
            small = small[:, ::-1]
        return np.ascontiguousarray(np.rot90(small, self.turns, axes=(1, 2)))

    def boxes_to_stored(self, xyxy: Boxes, width: float, height: float) -> Boxes:
        """Map boxes in an upright picture of width × height to pixels of the stored picture."""
        back = np.asarray(xyxy / np.array([width, height] * 2, np.float32), np.float32)
        if self.turns:
            back = to_rotated(back, -self.turns, 1, 1)
        if self.format.mirrored:
            back = np.stack([back[:, 0], 1 - back[:, 3], back[:, 2], 1 - back[:, 1]], axis=1)
        return back * self._stored

    def points_to_stored(
        self, points: NDArray[np.float32], width: float, height: float
    ) -> NDArray[np.float32]:
        """Map (n, k, 2) points the same way."""
        if self.plain:
            share = np.asarray(points / np.array([width, height], np.float32), np.float32)
            return share * self._stored[:2]
        flat = points.reshape(-1, 2)
        return self.boxes_to_stored(np.concatenate([flat, flat], axis=1), width, height)[:, :2].reshape(
            points.shape
        )


def shrink(plane: Plane, width: int, height: int) -> Plane:
    """Resize one plane (or an interleaved pair): halved as often as fits, the rest the cheapest good way.

    Halving averages every pixel and is OpenCV's fast path; INTER_AREA at another ratio costs 30 times
    as much, and bilinear alone would skip pixels. A height that is off by a few percent (a net wants
    multiples of 32) is mended by leaving out, or repeating, whole lines: a tenth of a resize's cost.
    """
    halvings = max(0, min(plane.shape[1] // width, plane.shape[0] // height).bit_length() - 1)
    lines = height << halvings
    if plane.shape[1] == width << halvings and 0 < abs(plane.shape[0] / lines - 1) < _MENDED:
        plane = plane[_line_choice(plane.shape[0], lines)]
    for _ in range(halvings):
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        plane = cv2.resize(plane[: rows * 2, : columns * 2], (columns, rows), interpolation=cv2.INTER_AREA)
    if plane.shape[:2] == (height, width):
        return plane
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))


def _line_choice(have: int, want: int) -> NDArray[np.intp]:
    """Which of `have` lines stand for `want` evenly spread ones."""
    return np.asarray((np.arange(want) + 0.5) * (have / want), np.intp)


def shrink_planes(planes: Planes, width: int, height: int) -> Planes:
    """Every plane at the same width × height: luma and two chroma planes, or luma alone."""
    small = tuple(shrink(plane, width, height) for plane in planes)
    if len(small) == 2:  # nv12: U and V side by side
        return (small[0], small[1][..., 0], small[1][..., 1])
    return small


def colour_planes(small: Planes, color: Color, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Convert planes of one size to (3, h, w) float32 in B, G, R order, about 0..255.

    Values are not clipped: codes outside the legal range land a little outside 0..255. out: a buffer
    to fill and return; a fresh one costs more in page faults than the conversion itself.

    Source: ITU-T H.273 §8.3, inverted.
    """
    height, width = small[0].shape
    if out is None:
        out = np.empty((3, height, width), np.float32)
    black, white = color.luma_range
    gain = 255.0 / (white - black)
    base = -gain * black
    if len(small) == 1:
        np.multiply(small[0], np.float32(gain), out=out[0])
        out[0] += np.float32(base)
        out[1:] = out[0]
        return out
    low, high = color.chroma_range
    chroma_gain = 255.0 * 2 / (color.peak if color.full_range else high - low)
    k_red, k_blue = color.luma_weights
    k_green = 1 - k_red - k_blue
    to_blue, to_red = chroma_gain * (1 - k_blue), chroma_gain * (1 - k_red)
    blue_base, red_base = base - to_blue * color.neutral, base - to_red * color.neutral
    floats = np.empty((3, min(_STRIP, height), width), np.float32)
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        luma, u, v = floats[:, : rows.stop - top]
        luma[...], u[...], v[...] = small[0][rows], small[1][rows], small[2][rows]
        blue, green, red = out[:, rows]
        cv2.addWeighted(luma, gain, u, to_blue, blue_base, dst=blue)
        cv2.addWeighted(luma, gain, v, to_red, red_base, dst=red)
        # Green is what luma has left when blue and red are taken out.
        cv2.addWeighted(blue, -k_blue / k_green, red, -k_red / k_green, base / k_green, dst=green)
        cv2.scaleAdd(luma, gain / k_green, green, dst=green)
    return out
