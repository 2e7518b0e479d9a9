"""Clips with one moving face whose place is known, made from the portrait that comes with the package.

The portrait: NASA's photograph of the astronaut Eileen Collins, in the public domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.colour import image_codes
from facefx.values import Color, FrameBatch, PixelFormat, Planes, StreamFormat

__all__ = [
    "PORTRAIT_CLIPS",
    "PORTRAIT_FACE",
    "Camera",
    "PortraitBatch",
    "PortraitClip",
    "portrait_frames",
    "portrait_picture",
]

Box = tuple[float, float, float, float]
Point = tuple[float, float, float, float]

PORTRAIT_FACE: Box = (178.0, 66.0, 270.0, 182.0)
"""The face in the portrait, xyxy, from the hair line to the chin."""

_BATCH = 8
# Where the camera looks: part of the clip, middle of the view and its width in portrait pixels.
_VISIT = (
    # It begins on the suit, where there is no face, rises to the face, comes close, and sinks again until
    # the face has left at the top.
    (0.00, 250.0, 430.0, 260.0),
    (0.06, 250.0, 425.0, 260.0),
    (0.36, 208.0, 136.0, 288.0),
    (0.55, 224.0, 124.0, 214.0),
    (0.70, 250.0, 136.0, 260.0),
    (0.94, 268.0, 425.0, 260.0),
    (1.00, 270.0, 430.0, 260.0),
)
_STAY = ((0.0, 250.0, 175.0, 260.0), (0.5, 215.0, 160.0, 200.0), (1.0, 240.0, 170.0, 250.0))
_NOBODY = ((0.0, 200.0, 440.0, 200.0), (0.5, 300.0, 430.0, 190.0), (1.0, 220.0, 445.0, 200.0))
_PATHS = {"visit": _VISIT, "stay": _STAY, "nobody": _NOBODY}

Camera = Literal["visit", "stay", "nobody"]
"""A face that comes and goes, one that is there all the time, or none."""


@dataclass(frozen=True, slots=True)
class PortraitClip:
    """A clip of the demo's archive."""

    name: str
    width: int
    height: int
    seconds: float
    camera: Camera


PORTRAIT_CLIPS = (
    PortraitClip("visitor.mp4", 640, 360, 4.0, "visit"),
    PortraitClip("in-a-hurry.mp4", 480, 270, 1.6, "visit"),
    PortraitClip("upright.mp4", 360, 480, 2.5, "stay"),
    PortraitClip("nobody.mp4", 640, 360, 2.0, "nobody"),
)
"""Different sizes, speeds and lengths; the last shows no face."""


@dataclass(frozen=True, slots=True, eq=False)
class PortraitBatch:
    """Frames, and for each of them the face's true box, cut at the picture's edges; None where it is out."""

    batch: FrameBatch
    boxes: tuple[Box | None, ...]


def portrait_picture() -> NDArray[np.uint8]:
    """The portrait as (512, 512, 3) red, green, blue."""
    data = resources.files("facefx").joinpath("assets", "portrait.jpg").read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(picture[..., ::-1])


def portrait_frames(
    width: int = 640,
    height: int = 360,
    fps: Fraction = Fraction(30),
    seconds: float = 4.0,
    camera: Camera = "visit",
) -> Iterator[PortraitBatch]:
    """Yield a clip in which the face enters, moves, comes near and leaves: yuv420p, BT.709, limited range.

    pts count frames in a time base of 1 / fps. Any size whose aspect is at least 4:3 shows the
    path as meant; a higher one is cut at the portrait's edges by mirroring. camera: another path.
    """
    color = Color("bt709", primaries=1, transfer=1, space=1, range_tag=1, chroma_location=1)
    format = StreamFormat(PixelFormat.of("yuv420p"), width, height, 1 / Fraction(fps), color)
    codes = image_codes(portrait_picture().astype(np.float32) / 255, color)
    sources = [np.ascontiguousarray(codes[..., i]) for i in range(3)]
    count = max(1, round(seconds * fps))
    for start in range(0, count, _BATCH):
        index = np.arange(start, min(start + _BATCH, count), dtype=np.int64)
        views = [_view(_PATHS[camera], int(i) / max(count - 1, 1), width, height) for i in index]
        planes = tuple(_planes(sources, view, format) for view in views)
        boxes = tuple(_box(view, width, height) for view in views)
        yield PortraitBatch(FrameBatch(format, planes, index.copy(), index), boxes)


@dataclass(frozen=True, slots=True)
class _View:
    """What of the portrait a frame shows: its left top corner there, and portrait pixels a pixel."""

    left: float
    top: float
    scale: float


def _view(path: tuple[Point, ...], part: float, width: int, height: int) -> _View:
    """Glide between the points of the path; slow at each, so that nothing jerks."""
    leg = next(i for i in range(1, len(path)) if part <= path[i][0])
    before, after = path[leg - 1], path[leg]
    t = (1 - math.cos(math.pi * (part - before[0]) / (after[0] - before[0]))) / 2
    x, y, wide = (a + (b - a) * t for a, b in zip(before[1:], after[1:], strict=True))
    scale = wide / width
    return _View(x - wide / 2, y - height * scale / 2, scale)


def _planes(sources: list[NDArray[np.float32]], view: _View, format: StreamFormat) -> Planes:
    """Sample the portrait's planes; chroma lies left in its pair of columns, as H.264 has it."""
    planes: list[NDArray[Any]] = []
    shapes = format.pixels.plane_shapes(format.width, format.height)
    for i, (source, shape) in enumerate(zip(sources, shapes, strict=True)):
        step = 2 if i else 1
        scale = view.scale * step
        left = view.left + view.scale * 0.5 - 0.5
        top = view.top + view.scale * step / 2 - 0.5
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        part = cv2.warpAffine(
            source,
            matrix,
            (shape[1], shape[0]),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        low, high = format.color.chroma_range if i else format.color.luma_range
        planes.append(np.rint(part).clip(low, high).astype(np.uint8))
    return tuple(planes)


def _box(view: _View, width: int, height: int) -> Box | None:
    """The face's box in a frame; None where less than a tenth of it is in the picture."""
    x0, x1 = ((x - view.left) / view.scale for x in PORTRAIT_FACE[::2])
    y0, y1 = ((y - view.top) / view.scale for y in PORTRAIT_FACE[1::2])
    left, top, right, bottom = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    inside = max(right - left, 0.0) * max(bottom - top, 0.0)
    return (left, top, right, bottom) if inside > 0.1 * (x1 - x0) * (y1 - y0) else None
