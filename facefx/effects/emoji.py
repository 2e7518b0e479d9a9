"""Pictures that need no file: a few simple faces, drawn from a list of shapes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.effects.colour import parse_colour

__all__ = ["PICTURES", "digest", "draw"]

# (kind, colour, places): x runs right and y down, the head is the circle of radius 1 about 0.
# disc: x, y, half width, half height. bowl: the lower half of such a disc. line: x, y, x, y, width.
# arc: x, y, radius, from, to in degrees from the right downwards, width.
Shape = tuple[str, str, tuple[float, ...]]

_INK, _MOUTH = "#4a2f0c", "#6b2618"
_HEAD: tuple[Shape, ...] = (
    ("disc", "#d99a1c", (0, 0, 1, 1)),
    ("disc", "#ffcb38", (0, 0, 0.94, 0.94)),
)
_LEFT: Shape = ("disc", _INK, (-0.34, -0.2, 0.1, 0.17))
_RIGHT: Shape = ("disc", _INK, (0.34, -0.2, 0.1, 0.17))
_SMILE: Shape = ("arc", _INK, (0, 0.02, 0.56, 25, 155, 0.1))

PICTURES: Mapping[str, tuple[Shape, ...]] = MappingProxyType(
    {
        "smile": (*_HEAD, _LEFT, _RIGHT, _SMILE),
        "laugh": (
            *_HEAD,
            ("arc", _INK, (-0.36, -0.12, 0.17, 195, 345, 0.09)),
            ("arc", _INK, (0.36, -0.12, 0.17, 195, 345, 0.09)),
            ("bowl", _MOUTH, (0, 0.12, 0.58, 0.56)),
            ("disc", "#e2625c", (0, 0.52, 0.26, 0.12)),
        ),
        "wink": (*_HEAD, _LEFT, ("arc", _INK, (0.36, -0.1, 0.17, 195, 345, 0.09)), _SMILE),
        "cool": (
            *_HEAD,
            ("line", "#1c1c1c", (-0.9, -0.26, 0.9, -0.26, 0.1)),
            ("disc", "#1c1c1c", (-0.38, -0.16, 0.31, 0.25)),
            ("disc", "#1c1c1c", (0.38, -0.16, 0.31, 0.25)),
            ("line", "#5a5a5a", (-0.52, -0.22, -0.4, -0.3, 0.05)),
            ("line", "#5a5a5a", (0.24, -0.22, 0.36, -0.3, 0.05)),
            _SMILE,
        ),
        "neutral": (*_HEAD, _LEFT, _RIGHT, ("line", _INK, (-0.4, 0.42, 0.4, 0.42, 0.1))),
        "surprised": (*_HEAD, _LEFT, _RIGHT, ("disc", _MOUTH, (0, 0.46, 0.18, 0.24))),
    }
)
"""What can be drawn, by name."""

_SIDE_PX, _FINER = 320, 3


def digest(name: str) -> str:
    """Hex sha256 of a picture's shapes: it changes with them, and with nothing else."""
    return hashlib.sha256(json.dumps(PICTURES[name]).encode()).hexdigest()


def draw(name: str) -> NDArray[np.float32]:
    """Return (h, w, 4) red, green, blue, alpha in 0..1, upright."""
    count = _SIDE_PX * _FINER
    line = (np.arange(count) + 0.5) * (2 / count) - 1
    x, y = line[None, :], line[:, None]
    rgba = np.zeros((count, count, 4), np.float32)
    for kind, colour, places in PICTURES[name]:
        digits = parse_colour(colour)[1:]
        rgb = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        rgba[_within(kind, places, x, y)] = [*rgb, 1]
    fine = rgba.reshape(_SIDE_PX, _FINER, _SIDE_PX, _FINER, 4)
    fine[..., :3] *= fine[..., 3:]
    small = np.asarray(fine.mean(axis=(1, 3)), np.float32)
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return small


def _within(kind: str, places: tuple[float, ...], x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    """The points that lie in a shape."""
    if kind in ("disc", "bowl"):
        cx, cy, half_x, half_y = places
        inside = ((x - cx) / half_x) ** 2 + ((y - cy) / half_y) ** 2 <= 1
        return np.asarray(inside & (y >= cy) if kind == "bowl" else inside)
    if kind == "line":
        x0, y0, x1, y1, width = places
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1)
        return np.asarray(np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)) <= width / 2)
    cx, cy, radius, start, end, width = places
    middle, half = np.radians((start + end) / 2), np.radians((end - start) / 2)
    angle = np.arctan2(y - cy, x - cx) - middle
    angle = np.clip((angle + np.pi) % (2 * np.pi) - np.pi, -half, half) + middle
    return np.asarray(np.hypot(x - cx - radius * np.cos(angle), y - cy - radius * np.sin(angle)) <= width / 2)
