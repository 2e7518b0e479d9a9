"""Assets in the codes of a stream, laid over a patch by a map from picture to picture.

An asset is held as (h, w, 4) float32 Y, U, V, alpha, premultiplied, so that one warp places all of it at any
sub-pixel place, and edges have no rim. It is warped at the size that it is seen at: larger ones are
averaged down first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.animation import Animation
from facefx.effects.colour import image_codes
from facefx.effects.kernels import separate_planes, window
from facefx.values import Patch, StreamFormat

__all__ = ["Artwork", "Layer", "blend_layer", "bounds", "draw_affine", "draw_quad"]

Layer = NDArray[np.float32]
Points = NDArray[np.float64]

# Sizes of an asset follow each other by this ratio: the step to the next is not seen as a face grows.
_RATIO = math.sqrt(2)
# Converted sizes that are kept, of all frames of an asset.
_KEPT_BYTES = 96 << 20


class Artwork:
    """An asset for one stream. Sizes are made when first wanted; the oldest go when there are many."""

    def __init__(self, animation: Animation, format: StreamFormat, *, mirror: bool = False) -> None:
        frames = animation.frames
        self._frames = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames] if mirror else frames
        self._animation = animation
        self._format = format
        self._made: OrderedDict[tuple[int, int], Layer] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the asset."""
        height, width = self._frames[0].shape[:2]
        return width, height

    def layer(self, pts: int, scale: float) -> Layer:
        """The frame of a time at the size nearest to `scale` times the asset's own, and not above it.

        pts: in the stream's time base. It belongs to the artwork: nobody changes it.
        """
        frame = self._animation.at(float(pts * self._format.time_base))
        # The nearest, not the next larger one: what is drawn smaller than it is loses samples between those
        # that are taken, and its edges tremble.
        step = max(0, round(-math.log(max(scale, 1e-6), _RATIO)))
        key = frame, step
        layer = self._made.get(key)
        if layer is None:
            layer = self._make(self._frames[frame], _RATIO**-step)
            self._made[key] = layer
            self._bytes += layer.nbytes
            while self._bytes > _KEPT_BYTES and len(self._made) > 1:
                self._bytes -= self._made.popitem(last=False)[1].nbytes
        else:
            self._made.move_to_end(key)
        return layer

    def _make(self, rgba: NDArray[np.uint8], scale: float) -> Layer:
        width, height = self.size
        size = max(1, round(width * scale)), max(1, round(height * scale))
        alpha = rgba[..., 3:].astype(np.float32) * np.float32(1 / 255)
        weighted = np.concatenate((rgba[..., :3] * (alpha * np.float32(1 / 255)), alpha), axis=2)
        if size != (width, height):
            weighted = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 4)
        alpha = weighted[..., 3:]
        codes = image_codes(np.clip(weighted[..., :3] / np.maximum(alpha, 1e-6), 0, 1), self._format.color)
        return np.ascontiguousarray(np.concatenate((codes * alpha, alpha), axis=2), np.float32)


def bounds(corners: Points, margin: float = 1.0) -> tuple[float, float, float, float]:
    """The xyxy around (n, 2) points, and a margin for edges that are smooth."""
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0 - margin, y0 - margin, x1 + margin, y1 + margin


def draw_affine(patch: Patch, layer: Layer, corners: Points, opacity: float) -> None:
    """Lay a layer over a patch: its upper left, upper right and lower left corner at (3, 2) stored places."""
    fourth = corners[1] + corners[2] - corners[0]
    part = _part(patch, np.concatenate((corners, fourth[None])))
    if part is None:
        return
    height, width = layer.shape[:2]
    across, down = (corners[1] - corners[0]) / width, (corners[2] - corners[0]) / height
    matrix = np.stack((across, down, corners[0] - (part.x, part.y)), axis=1)
    # Sample i has its middle at i + ½ in both.
    matrix[:, 2] += (across + down - 1) / 2
    placed = cv2.warpAffine(layer, matrix, (part.width, part.height), flags=cv2.INTER_LINEAR)
    blend_layer(part, placed, opacity)


def draw_quad(patch: Patch, layer: Layer, corners: Points, opacity: float | NDArray[np.float32]) -> None:
    """Lay a layer over a patch in perspective.

    corners: (4, 2) stored places of its upper left, upper right, lower right and lower left corner.
    opacity: or (h, w) of the patch.
    """
    part = _part(patch, corners)
    if part is None:
        return
    height, width = layer.shape[:2]
    from_ = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32) - np.float32(0.5)
    to = (corners - (part.x, part.y) - 0.5).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(from_, to)
    placed = cv2.warpPerspective(layer, matrix, (part.width, part.height), flags=cv2.INTER_LINEAR)
    if isinstance(opacity, np.ndarray):
        top, left = part.y - patch.y, part.x - patch.x
        opacity = opacity[top : top + part.height, left : left + part.width]
    blend_layer(part, placed, opacity)


def _part(patch: Patch, corners: Points) -> Patch | None:
    """The part of a patch that a shape may touch."""
    x0, y0, x1, y1 = bounds(corners)
    inner = (
        max(x0, patch.x), max(y0, patch.y), min(x1, patch.x + patch.width), min(y1, patch.y + patch.height)
    )  # fmt: skip
    if inner[0] >= inner[2] or inner[1] >= inner[3]:
        return None
    rectangle = Patch.rectangle(patch.format, inner)
    return window(patch, rectangle) if rectangle else None


def blend_layer(patch: Patch, layer: Layer, opacity: float | NDArray[np.float32] = 1.0) -> None:
    """Mix a placed (h, w, 4) layer into all planes of a patch of that size.

    opacity: or (h, w). A chroma sample takes the mean of the pixels that it colours. Where alpha is 0
    the old codes stay bit for bit; between legal codes lie only legal ones.
    """
    y, u, v, alpha = cv2.split(layer)
    if isinstance(opacity, np.ndarray):
        y, u, v, alpha = (cv2.multiply(part, opacity) for part in (y, u, v, alpha))
    elif opacity != 1.0:
        y, u, v, alpha = (part * np.float32(opacity) for part in (y, u, v, alpha))
    with separate_planes(patch) as planes:
        _mix(planes[0], y, alpha)
        if len(planes) == 1:
            return
        size = planes[1].shape[1], planes[1].shape[0]
        pixels = patch.format.pixels
        steps = 1 << pixels.shift_x, 1 << pixels.shift_y
        u, v, alpha = (_averaged(part, steps, size) for part in (u, v, alpha))
        _mix(planes[1], u, alpha)
        _mix(planes[2], v, alpha)


def _averaged(part: NDArray[Any], steps: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """Means of so many columns and lines; an odd last one pairs with itself."""
    if steps == (1, 1):
        return part
    right, below = size[0] * steps[0] - part.shape[1], size[1] * steps[1] - part.shape[0]
    if right or below:
        part = cv2.copyMakeBorder(part, 0, below, 0, right, cv2.BORDER_REPLICATE)
    if max(steps) > 2:
        return np.asarray(part.reshape(size[1], steps[1], size[0], steps[0]).mean(axis=(1, 3)), np.float32)
    # Half way between two is their mean; OpenCV's mean along one axis alone is fifty times slower.
    way = cv2.INTER_AREA if steps == (2, 2) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size, interpolation=way))


def _mix(plane: NDArray[Any], weighted: NDArray[np.float32], alpha: NDArray[np.float32]) -> None:
    """Old + (new − old) · alpha, rounded once."""
    old = plane.astype(np.float32)
    change = cv2.subtract(weighted, cv2.multiply(old, alpha))
    plane[...] = np.rint(cv2.add(old, change, dst=old))
