"""Pictures as frame batches in any pixel format, and the nets' test weights."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.geometry import as_boxes, iou
from facefx.values import Color, FrameBatch, PixelFormat, Planes, StreamFormat

Picture = NDArray[Any]


def read(path: Path) -> Picture:
    """A still as BGR."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return np.asarray(picture)


def planes_of(picture: Picture, pixels: PixelFormat, color: Color) -> Planes:
    """BGR 0..255 to planes by the equations of ITU-T H.273 §8.3, chroma averaged."""
    blue, green, red = (picture[..., i] / 255 for i in range(3))
    k_red, k_blue = color.luma_weights
    luma = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
    black, white = color.luma_range
    low, high = color.chroma_range
    span = color.peak if color.full_range else high - low
    y = np.rint(black + luma * (white - black)).astype(pixels.dtype)
    if pixels.layout == "gray":
        return (y,)
    chroma = []
    for part, weight in ((blue, k_blue), (red, k_red)):
        code = color.neutral + (part - luma) / (2 * (1 - weight)) * span
        wide, high_ = pixels.chroma_size(picture.shape[1], picture.shape[0])
        small = cv2.resize(code, (wide, high_), interpolation=cv2.INTER_AREA)
        chroma.append(np.clip(np.rint(small), 0, color.peak).astype(pixels.dtype))
    return (y, np.stack(chroma, axis=-1)) if pixels.layout == "semiplanar" else (y, *chroma)


def batch_of(
    *pictures: Picture,
    pixels: str = "yuv420p",
    matrix: Literal["bt601", "bt709", "bt2020"] = "bt709",
    full_range: bool = False,
    **format: Any,
) -> FrameBatch:
    """BGR pictures of one size as a batch; the planes may not be written to."""
    kind = PixelFormat.of(pixels)
    color = Color(matrix, full_range, kind.depth)
    height, width = pictures[0].shape[:2]
    frames = tuple(planes_of(picture, kind, color) for picture in pictures)
    for plane in (plane for planes in frames for plane in planes):
        plane.flags.writeable = False
    count = np.arange(len(pictures), dtype=np.int64)
    stream = StreamFormat(kind, width, height, Fraction(1, 25), color, **format)
    return FrameBatch(stream, frames, count, count)


def stills(media: Path) -> list[tuple[Path, int]]:
    """Every still with the number of its faces."""
    lines = (media / "truth" / "stills.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [(media / row["file"], int(row["faces"])) for row in rows]


def truth(media: Path, clip: str) -> dict[int, list[tuple[list[float], str]]]:
    """Truth boxes of a clip by frame: (xyxy, note)."""
    found: dict[int, list[tuple[list[float], str]]] = {}
    lines = (media / "truth" / f"{clip}.csv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        box = [float(row[key]) for key in ("x0", "y0", "x1", "y1")]
        found.setdefault(int(row["frame"]), []).append((box, row["note"]))
    return found


def alike(a: object, b: object, least: float = 0.8) -> bool:
    """True where both hold the same boxes, one to one, each pair overlapping by `least`."""
    one, other = as_boxes(a), as_boxes(b)
    if len(one) != len(other):
        return False
    overlap = iou(one, other)
    return bool(
        len(one) == 0 or ((overlap.max(axis=1) >= least).all() and (overlap.max(axis=0) >= least).all())
    )
