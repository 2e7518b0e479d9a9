"""Streams, pictures and faces for the tests of effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect, EffectParams, Family, Need, Rectangle
from facefx.faces.topology import topology
from facefx.values import Color, Face, FaceSource, FieldOrder, Patch, PixelFormat, Planes, StreamFormat

Box = tuple[float, float, float, float]

WIDTH, HEIGHT = 161, 121  # odd, so that the last chroma sample has half a pixel's company
ODD_BOXES: tuple[Box, ...] = (
    (70, 50, 78, 58),
    (80, 60, 81, 61),
    (-30, 20, 12, 70),
    (150, 10, 190, 60),
    (60, -40, 100, 8),
    (60, 112, 100, 160),
    (-20, -20, 200, 160),
    (159.5, 119.5, 170, 130),
)
"""Tiny ones, and some that each edge of a picture of that size cuts, or that hold all of it."""
NAMES = (
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv440p",
    "yuv411p",
    "yuv444p",
    "nv12",
    "gray",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "gray10le",
)


def stream(name: str = "yuv420p", width: int = WIDTH, height: int = HEIGHT, **more: Any) -> StreamFormat:
    """A stream of a pixel format; "interlaced" is 4:2:0 with fields."""
    if name == "interlaced":
        name, more = "yuv420p", {"field_order": FieldOrder.TOP_FIRST, **more}
    pixels = PixelFormat.of(name)
    color = more.pop("color", Color("bt709", full_range=pixels.full_range_name, depth=pixels.depth))
    return StreamFormat(pixels, width, height, Fraction(1, 25), color, **more)


def noise(format: StreamFormat, seed: int) -> Planes:
    """A picture of random legal codes."""
    generator = np.random.default_rng(seed)
    planes = []
    for i, shape in enumerate(format.pixels.plane_shapes(format.width, format.height)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        planes.append(generator.integers(low, high + 1, shape).astype(format.pixels.dtype))
    return tuple(planes)


def flat(format: StreamFormat, codes: tuple[int, int, int]) -> Planes:
    """A picture of one colour."""
    shapes = format.pixels.plane_shapes(format.width, format.height)
    return tuple(
        np.full(shape, code, format.pixels.dtype) for shape, code in zip(shapes, codes, strict=False)
    )


def face(xyxy: Box, track_id: int = 1, pts: int = 0, landmarks: NDArray[np.float32] | None = None) -> Face:
    """A face in a place."""
    return Face(pts, track_id, xyxy, 0.9, FaceSource.DETECTED, landmarks)


# Middle and half axes of each region, in diameters of the face from its middle; left is the subject's.
_REGIONS = {
    "face_oval": (0.0, 0.0, 0.42, 0.57),
    "left_brow": (0.18, -0.24, 0.11, 0.02),
    "right_brow": (-0.18, -0.24, 0.11, 0.02),
    "left_eye": (0.18, -0.12, 0.08, 0.03),
    "right_eye": (-0.18, -0.12, 0.08, 0.03),
    "lips_outer": (0.0, 0.28, 0.15, 0.06),
}


def mesh_face(centre: tuple[float, float], size: float, turned: float = 0.0, track_id: int = 1) -> Face:
    """A face whose regions are ellipses; eyes are as pointed as eyes are. turned: degrees clockwise."""
    points = np.zeros((468, 3), np.float32)
    for name, (x, y, half_x, half_y) in _REGIONS.items():
        loop = list(topology("mediapipe-468").regions[name])
        angles = np.arange(len(loop)) * (2 * np.pi / len(loop))
        thin = np.abs(np.sin(angles)) if name.endswith("eye") else 1
        points[loop, 0] = x + half_x * np.cos(angles)
        points[loop, 1] = y + half_y * np.sin(angles) * thin
    cos, sin = math.cos(math.radians(turned)), math.sin(math.radians(turned))
    points[:, :2] = points[:, :2] @ np.array(((cos, sin), (-sin, cos)), np.float32) * size + centre
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0).tolist(), points[:, :2].max(axis=0).tolist()
    return Face(0, track_id, (x0, y0, x1, y1), 0.9, FaceSource.DETECTED, points, "mediapipe-468")


def within(format: StreamFormat, corners: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(h, w) luma pixels whose middle lies in a polygon, by counting the sides left of it."""
    px, py = np.arange(format.width)[None, :] + 0.5, np.arange(format.height)[:, None] + 0.5
    odd = np.zeros((format.height, format.width), bool)
    for (x0, y0), (x1, y1) in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        if y0 != y1:
            odd ^= ((y0 <= py) != (y1 <= py)) & (px < (x1 - x0) * (py - y0) / (y1 - y0) + x0)
    return odd


def skin(format: StreamFormat, seed: int = 0, contrast: float = 4.0) -> Planes:
    """A picture of nothing but skin, with texture of that contrast in codes of 8 bits."""
    unit = 1 << (format.pixels.depth - 8)
    luma, *chroma = flat(format, (140 * unit, 112 * unit, 152 * unit))
    texture = np.random.default_rng(seed).normal(0, contrast * unit, luma.shape)
    pairs = [np.stack((chroma[0][..., 0], chroma[0][..., 1] + 40 * unit), -1)] if _paired(format) else chroma
    return (np.rint(luma + texture).astype(luma.dtype), *(plane.astype(luma.dtype) for plane in pairs))


def _paired(format: StreamFormat) -> bool:
    return format.pixels.layout == "semiplanar"


def real_face(media: Path, models: Path, name: str, scale: float = 1.0) -> tuple[StreamFormat, Planes, Face]:
    """A still in full-range 4:4:4 and its first face, with the landmarks that are kept beside the weights."""
    bgr = cv2.imread(str(media / "stills" / name))
    size = round(bgr.shape[1] * scale), round(bgr.shape[0] * scale)
    bgr = bgr if scale == 1 else cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    y, v, u = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
    with np.load(models / "golden" / "stills.npz") as kept:
        mesh = kept[f"{name}/mesh0"][0] * (*size, size[0])
    (x0, y0), (x1, y1) = mesh[:, :2].min(axis=0).tolist(), mesh[:, :2].max(axis=0).tolist()
    points = mesh.astype(np.float32)
    found = Face(0, 1, (x0, y0, x1, y1), 0.9, FaceSource.DETECTED, points, "mediapipe-468")
    return stream("yuvj444p", *size), (y, u, v), found


def painted(chain: EffectChain, planes: Planes, faces: Sequence[Face]) -> tuple[Planes, list[Patch]]:
    """The frame as an encoder gets it, and the patches that made it so."""
    patches = chain.frame(0, planes, faces)
    done = tuple(plane.copy() for plane in planes)
    for patch in patches:
        patch.paste(done)
    return done, patches


def after(format: StreamFormat, planes: Planes, effect: Effect, *faces: Face) -> Planes:
    """The frame after one effect, which must not have failed."""
    chain = EffectChain([effect], format, b"seed")
    done, _ = painted(chain, planes, faces)
    assert not chain.stats.skipped, chain.stats.first
    return done


def run(effect: Effect, format: StreamFormat, planes: Planes, *boxes: Box) -> Planes:
    """One effect on one frame."""
    faces = [face(box, track_id=i + 1) for i, box in enumerate(boxes)]
    return painted(EffectChain([effect], format, b"seed"), planes, faces)[0]


def core(format: StreamFormat, box: Box, shape: str = "ellipse") -> NDArray[np.bool_]:
    """(h, w) luma pixels whose middle lies in the face: in the box, or in the ellipse within it."""
    x = np.arange(format.width) + 0.5
    y = np.arange(format.height) + 0.5
    across = (2 * x - box[0] - box[2]) / max(box[2] - box[0], 1e-9)
    down = (2 * y - box[1] - box[3]) / max(box[3] - box[1], 1e-9)
    if shape == "box":
        return np.asarray((np.abs(across) <= 1)[None, :] & (np.abs(down) <= 1)[:, None])
    return np.asarray((across**2)[None, :] + (down**2)[:, None] <= 1)


def chroma_under(format: StreamFormat, luma: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The chroma samples that colour any of some luma pixels; whole fields' pairs where interlaced."""
    pixels = format.pixels
    columns, rows = pixels.chroma_size(format.width, format.height)
    step_x, step_y = 1 << pixels.shift_x, 1 << pixels.shift_y
    paired = 2 if format.field_order and pixels.shift_y else 1
    whole = np.zeros((-(-rows // paired) * paired * step_y, columns * step_x), bool)
    whole[: luma.shape[0], : luma.shape[1]] = luma
    touched = whole.reshape(-1, step_y * paired, columns, step_x).any(axis=(1, 3))
    return np.asarray(np.repeat(touched, paired, axis=0)[:rows])


def channels(planes: Planes) -> list[NDArray[Any]]:
    """Y, U, V apart, whatever the layout."""
    apart: list[NDArray[Any]] = []
    for plane in planes:
        apart += [plane] if plane.ndim == 2 else [plane[..., 0], plane[..., 1]]
    return apart


def write_png(path: str, rgba: NDArray[np.uint8]) -> str:
    """Write (h, w, 4) red, green, blue, alpha."""
    cv2.imwrite(path, np.ascontiguousarray(rgba[..., [2, 1, 0, 3]]))
    return path


class Brighten(Effect):
    """Add to the luma of the box: a colour effect to test with."""

    name: ClassVar[str] = "brighten"
    family: ClassVar[Family] = "colour"
    Params = EffectParams

    def region(self, face: Face) -> Rectangle | None:
        """The box."""
        return face.xyxy

    def apply(self, patch: Patch, face: Face) -> None:
        """Ten codes brighter."""
        patch.planes[0][...] += 10


class Reshape(Brighten):
    """Double the luma: a geometry effect to test with."""

    name: ClassVar[str] = "reshape"
    family: ClassVar[Family] = "geometry"

    def apply(self, patch: Patch, face: Face) -> None:
        """Twice."""
        patch.planes[0][...] *= 2


class NeedsLandmarks(Brighten):
    """The same, where landmarks are known."""

    name: ClassVar[str] = "needy"
    needs: ClassVar[frozenset[Need]] = frozenset({"box", "landmarks"})
