"""Frames for checks of effects: the portrait that comes with the package, in any format, size and place.

Its landmarks are what the shipped nets find in it. Frames are kept; nobody writes to them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.config import RunConfig
from facefx.demo import portrait_picture
from facefx.effects.colour import image_codes
from facefx.pipeline.pictures import FoundFace, find_faces
from facefx.values import Color, Face, FaceSource, FieldOrder, PixelFormat, Planes, StreamFormat


@dataclass(frozen=True, eq=False)
class Scene:
    """A frame and its faces; nobody writes to it."""

    format: StreamFormat
    planes: Planes
    faces: tuple[Face, ...]


def stream(
    name: str = "yuv420p",
    size: tuple[int, int] = (161, 121),
    *,
    matrix: Any = "bt709",
    full: bool = False,
    fields: FieldOrder = FieldOrder.PROGRESSIVE,
) -> StreamFormat:
    """A stream of a pixel format; an odd size leaves the last chroma sample half a pixel's company."""
    pixels = PixelFormat.of(name)
    color = Color(matrix, full_range=full, depth=pixels.depth)
    return StreamFormat(pixels, *size, Fraction(1, 25), color, field_order=fields)


PLANAR = tuple(f"yuv{chroma}p{depth}" for chroma in ("420", "422", "444") for depth in ("", "10le"))
COLOURED = (
    *(
        stream(name, matrix=matrix, full=full)
        for name, matrix, full in product((*PLANAR, "nv12"), ("bt601", "bt709", "bt2020"), (False, True))
    ),
)
FORMATS = (
    *COLOURED,
    *(stream(name, full=full) for name in ("gray", "gray10le") for full in (False, True)),
    *(stream(name) for name in ("yuv440p", "yuv411p")),
    *(
        stream(name, fields=fields)
        for name in ("yuv420p", "yuv420p10le", "nv12", "yuv422p")
        for fields in (FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST)
    ),
)
LOOKS = (
    stream("yuv444p10le", full=True),
    *(
        stream(name, matrix=matrix)
        for name, matrix in product(("yuv444p", "yuv420p10le"), ("bt601", "bt2020"))
    ),
    *(stream(name) for name in (*PLANAR, "nv12")),
    *(stream(name, full=True) for name in ("yuv420p", "nv12")),
)
FEW = (
    stream(),
    stream("yuv422p10le", full=True),
    stream("nv12", fields=FieldOrder.TOP_FIRST),
    stream("gray"),
)


@lru_cache(maxsize=1)
def subject_face() -> FoundFace:
    """The face in the portrait, as the shipped nets see it."""
    (found,) = find_faces(portrait_picture(), RunConfig(detector="blazeface"))
    return found


@cache
def portrait_codes(color: Color) -> tuple[NDArray[np.float32], ...]:
    """Y, U, V of the portrait in a stream's codes, with a few blemishes and some grain."""
    rgb = portrait_picture().astype(np.float32) / 255
    grain = np.random.default_rng(7).normal(0, 0.012, rgb.shape[:2]).astype(np.float32)
    for x, y in ((203, 146), (244, 142), (224, 96), (212, 100)):
        cv2.circle(grain, (x, y), 1, -0.12, -1, cv2.LINE_AA)
    codes = image_codes(np.clip(rgb + grain[..., None], 0, 1), color)
    return tuple(np.ascontiguousarray(codes[..., i]) for i in range(3))


def sampled(format: StreamFormat, scale: float, x: float, y: float) -> Planes:
    """The portrait, so many times as large, with its corner at (x, y), mirrored beyond its edges."""
    planes: list[NDArray[Any]] = []
    shapes = (
        (format.height, format.width),
        *[format.pixels.plane_shapes(format.width, format.height)[-1][:2]] * 2,
    )
    for i, (source, shape) in enumerate(zip(portrait_codes(format.color), shapes, strict=True)):
        sx, sy = (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if i else (1, 1)
        # Left of its pixels across, in their middle down, as H.264 has it.
        matrix = np.array(
            [[sx / scale, 0, (0.5 - x) / scale - 0.5], [0, sy / scale, (sy / 2 - y) / scale - 0.5]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(source, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        low, high = format.color.chroma_range if i else format.color.luma_range
        planes.append(np.rint(part).clip(low, high).astype(format.pixels.dtype))
    if format.pixels.layout == "gray":
        return (planes[0],)
    if format.pixels.layout == "semiplanar":
        return planes[0], np.stack(planes[1:], axis=-1)
    return tuple(planes)


def placed(scale: float, x: float, y: float, track_id: int = 1, pts: int = 0) -> Face:
    """The face of a portrait that lies so."""
    known = subject_face()
    assert known.landmarks is not None
    points = (known.landmarks * np.float32(scale) + np.array((x, y, 0), np.float32)).astype(np.float32)
    x0, y0, x1, y1 = (value * scale for value in known.xyxy)
    box = (x0 + x, y0 + y, x1 + x, y1 + y)
    return Face(pts, track_id, box, known.confidence, FaceSource.DETECTED, points, known.topology)


def laid(middle: tuple[float, float], height: float) -> tuple[float, float, float]:
    """(scale, x, y) of the portrait that put the middle of the face's box there, and make it so high."""
    x0, y0, x1, y1 = subject_face().xyxy
    scale = height / (y1 - y0)
    return scale, middle[0] - scale * (x0 + x1) / 2, middle[1] - scale * (y0 + y1) / 2


@lru_cache(maxsize=256)
def scene(format: StreamFormat, middle: tuple[float, float] = (80, 62), height: float = 76.0) -> Scene:
    """A frame with one face, the middle of its box there, and so high."""
    where = laid(middle, height)
    return Scene(format, sampled(format, *where), (placed(*where),))


@lru_cache(maxsize=1)
def crowd() -> Scene:
    """Thirty faces in a grid, each in a tile of its own."""
    tile, planes = stream(size=(240, 240)), []
    where = laid((120, 120), 70.0)
    for plane in sampled(tile, *where):
        planes.append(np.tile(plane, (5, 6)))
    spots = [(column * 240, row * 240) for row in range(5) for column in range(6)]
    faces = tuple(
        placed(where[0], where[1] + x, where[2] + y, track_id=number)
        for number, (x, y) in enumerate(spots, 1)
    )
    return Scene(replace(tile, width=1440, height=1200), tuple(planes), faces)


@lru_cache(maxsize=4)
def third(large: Scene) -> Scene:
    """The same picture at a third of its size."""
    format = replace(large.format, width=large.format.width // 3, height=large.format.height // 3)
    planes = tuple(
        cv2.resize(plane, (plane.shape[1] // 3, plane.shape[0] // 3), interpolation=cv2.INTER_AREA)
        for plane in large.planes
    )
    return Scene(format, planes, tuple(_scaled(face, 1 / 3) for face in large.faces))


def _scaled(face: Face, scale: float) -> Face:
    x0, y0, x1, y1 = (value * scale for value in face.xyxy)
    points = None if face.landmarks is None else (face.landmarks * np.float32(scale)).astype(np.float32)
    return replace(face, xyxy=(x0, y0, x1, y1), landmarks=points)


def describe(format: StreamFormat) -> str:
    """A format in a few words, for messages."""
    color = format.color
    parts = [format.pixels.name, color.matrix, "full" if color.full_range else "limited"]
    return " ".join(
        [*parts, *(["interlaced"] if format.field_order else []), f"{format.width}x{format.height}"]
    )
