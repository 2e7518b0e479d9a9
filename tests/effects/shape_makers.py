"""Heads seen from any side, and what the tests of warps ask of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import effect_makers
import numpy as np
from effect_makers import mesh_face, noise
from numpy.typing import NDArray

from facefx.effects import warp
from facefx.effects.library.shape import Shape, ShapeParams
from facefx.effects.masks import Mesh
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology
from facefx.values import Face, Planes, StreamFormat

STILLS = ("portrait_1.jpg", "glasses_1.jpg", "couple_2.jpg", "hopper_1.jpg")
SLIDERS = tuple(ShapeParams.model_fields)
ONE_WAY = ("slim", "v_shape")
BOTH_ENDS = [(name, end) for name in SLIDERS for end in (1.0, -1.0) if end > 0 or name not in ONE_WAY]
EVERYTHING = dict.fromkeys(SLIDERS, 1.0)

# Named points of a head in face diameters from the middle between its ears: left, down, back.
_POINTS = {
    "forehead": (0, -0.44, -0.41),
    "nose_tip": (0, 0.03, -0.64),
    "nose_base": (0, 0.11, -0.53),
    "lip_top": (0, 0.18, -0.52),
    "lip_bottom": (0, 0.34, -0.49),
    "chin": (0, 0.55, -0.41),
    "eye_outer": (0.28, -0.14, -0.33),
    "eye_inner": (0.11, -0.14, -0.36),
    "mouth_corner": (0.22, 0.21, -0.37),
    "nose_wing": (0.15, 0.05, -0.45),
    "cheek": (0.275, 0.075, -0.42),
    "cheekbone": (0.40, -0.04, -0.26),
    "ear": (0.43, 0, 0),
    "jaw": (0.356, 0.34, -0.14),
    "jaw_front": (0.256, 0.44, -0.265),
}


def head(centre: tuple[float, float], size: float, yaw: float = 0, pitch: float = 0, roll: float = 0) -> Face:
    """A face whose named points and oval are a head's; angles in degrees."""
    someone = mesh_face((0.0, 0.0), 1.0)
    assert someone.landmarks is not None
    points = someone.landmarks.copy()
    loop = list(topology("mediapipe-468").regions["face_oval"])
    angles = np.arange(len(loop)) * (2 * np.pi / len(loop)) - np.pi / 2
    points[loop, 0], points[loop, 1] = 0.43 * np.cos(angles), 0.055 + 0.495 * np.sin(angles)
    points[loop, 2] = -0.41 * np.sin(angles) ** 2
    for name, index in anchors("mediapipe-468").items():
        x, y, z = _POINTS.get(name.removeprefix("left_").removeprefix("right_"), points[index])
        points[index] = (-x if name.startswith("right_") and name[6:] in _POINTS else x, y, z)
    points = points @ _turned(yaw, pitch, roll).T.astype(np.float32) * size + (*centre, 0)
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0).tolist(), points[:, :2].max(axis=0).tolist()
    return replace(someone, xyxy=(x0, y0, x1, y1), landmarks=points.astype(np.float32))


def _turned(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    (cy, sy), (cp, sp), (cr, sr) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in (yaw, pitch, roll)
    )
    by_yaw = np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy)))
    by_pitch = np.array(((1, 0, 0), (0, cp, -sp), (0, sp, cp)))
    by_roll = np.array(((cr, -sr, 0), (sr, cr, 0), (0, 0, 1)))
    return np.asarray(by_roll @ by_pitch @ by_yaw)


HEADS = (
    head((100, 100), 100),
    head((100, 100), 100, yaw=40, roll=-20),
    head((100, 100), 100, yaw=-85),
    head((100, 100), 100, pitch=30, roll=170),
)


def after(format: StreamFormat, planes: Planes, *faces: Face, **sliders: float) -> Planes:
    return effect_makers.after(format, planes, Shape.of(**sliders), *faces)


def field_of(face: Face, **sliders: float) -> warp.Field:
    field = Shape.of(**sliders)._field(face)
    assert field is not None
    return field


def point(face: Face, name: str) -> NDArray[np.float64]:
    return np.array(Mesh(face).point(name))


def oval_distance(face: Face, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far places lie from the oval; less than 0 within."""
    oval = np.ascontiguousarray(Mesh(face).outline("face_oval"))
    return -np.array(
        [cv2.pointPolygonTest(oval, (float(a), float(b)), True) for a, b in zip(x, y, strict=True)]
    )


def everywhere(field: warp.Field, across: int = 90) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places all over a field and around it."""
    x0, y0, x1, y1 = field.bounds
    x, y = np.meshgrid(np.linspace(x0 - 9, x1 + 9, across), np.linspace(y0 - 9, y1 + 9, across))
    return x.ravel().astype(np.float32), y.ravel().astype(np.float32)


def determinants(field: warp.Field, across: int = 90) -> NDArray[np.float32]:
    """What becomes of small areas: below 0 they are folded over."""
    (a, b), (c, d) = field.slopes(*everywhere(field, across))
    return np.asarray((1 + a) * (1 + d) - b * c)


def smooth_picture(format: StreamFormat) -> Planes:
    """Gentle waves, the same pattern in every format and depth."""
    planes = []
    for i, plane in enumerate(noise(format, 0)):
        rows, columns = plane.shape[:2]
        step_x, step_y = (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if i else (1, 1)
        x = np.arange(columns) * step_x + 0.5
        y = np.arange(rows)[:, None] * step_y + step_y / 2
        wave = 120 + 50 * np.sin(x / 9) * np.cos(y / 11) + 20 * np.sin((x + y) / 17)
        wave = wave * (1 << (format.pixels.depth - 8))
        planes.append(np.rint(wave if plane.ndim == 2 else wave[..., None] + (0, 9)).astype(plane.dtype))
    return tuple(planes)


def sites(format: StreamFormat, plane: int, shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where a plane's samples lie: chroma at its first luma column, between its luma lines."""
    step_x, step_y = (1 << format.pixels.shift_x, 1 << format.pixels.shift_y) if plane else (1, 1)
    rows = np.arange(shape[0])
    if plane and format.field_order and step_y == 2:
        # Chroma of one field lies between two lines of it.
        return np.arange(shape[1]) * step_x + 0.5, (rows // 2 * 4 + rows % 2 + 1.5)[:, None]
    return np.arange(shape[1]) * step_x + 0.5, (rows * step_y + step_y / 2)[:, None]
