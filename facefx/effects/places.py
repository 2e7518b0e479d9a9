"""Where make-up goes: curves and ellipses on a face, from its regions and named points.

Everything is made of vectors between landmarks, so that it tilts, turns and foreshortens as the face does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.masks import Grid, Mesh, Points
from facefx.effects.tone import stepwise

__all__ = [
    "BROW_POINTS",
    "LID_POINTS",
    "SIDES",
    "Ellipse",
    "Side",
    "at",
    "between",
    "blobs",
    "brow_edges",
    "cheek_frame",
    "curve",
    "eye_lids",
    "eye_seen",
    "lip_outlines",
    "normals",
    "side_seen",
]

Side = Literal["left", "right"]

SIDES: tuple[Side, ...] = ("left", "right")
"""The subject's."""

# The loops of eyes and lips run from corner to corner and back; those of brows have two edges of five points.
_EYE_HALF, _LIP_HALF, _BROW_EDGE = 8, 10, 5
# Points of a curve from one landmark to the next.
_STEPS = 4
LID_POINTS = _STEPS * _EYE_HALF + 1
"""Points of a lash line."""
BROW_POINTS = _STEPS * (_BROW_EDGE - 1) + 1
"""Points of a brow's edge."""
# What a frontal face shows of one cheek, in squared diameters: the median of our stills.
_CHEEK_AREA = 0.075
_CHEEK = ("ear", "eye_outer", "nose_wing", "mouth_corner", "jaw")
# How much of the cheek below an eye must be seen for some and for all of what is painted at the eye.
_EYE_HIDDEN, _EYE_SEEN = 0.02, 0.3


def side_seen(mesh: Mesh, side: Side) -> float:
    """How much of a cheek is seen, 1 for a frontal face; 0 or less where it is turned away.

    Measured as the signed area between ear, eye, nose, mouth and jaw against the face's own orientation, so
    that a stored picture may be mirrored.
    """
    corners = [at(mesh, f"{side}_{name}") for name in _CHEEK]
    twice = sum((a.conjugate() * b).imag for a, b in zip(corners, [*corners[1:], corners[0]], strict=True))
    outwards = -1 if (side == "left") == (_area(mesh.outline("face_oval")) > 0) else 1
    return outwards * twice / 2 / (mesh.size**2 * _CHEEK_AREA)


def eye_seen(mesh: Mesh, side: Side) -> float:
    """0..1: how much of what is painted at an eye a turned head shows."""
    return stepwise(side_seen(mesh, side), _EYE_HIDDEN, _EYE_SEEN)


def cheek_frame(mesh: Mesh, side: Side) -> tuple[complex, complex, complex]:
    """(middle, along, down) of a cheek: its apple; from there outwards along the bone; and down the face.

    The vectors are about a quarter of a frontal face's diameter; the first shortens as the cheek turns away.
    """
    apple = (at(mesh, f"{side}_cheekbone") + at(mesh, f"{side}_cheek")) / 2
    back = at(mesh, f"{side}_ear") + at(mesh, f"{side}_temple")
    front = at(mesh, f"{side}_nose_wing") + at(mesh, f"{side}_cheek")
    return apple, 0.4 * (back - front), 0.25 * (at(mesh, "chin") - at(mesh, "forehead"))


def at(mesh: Mesh, name: str) -> complex:
    """A named point as x + iy: numbers cost a twentieth of arrays of two."""
    return complex(*mesh.point(name))


def between(first: Points, second: Points, part: float = 0.5) -> Points:
    """What lies so far on the way from some points to others."""
    return first + (second - first) * part


def normals(line: Points, outwards: Points) -> Points:
    """(n, 2) unit vectors at right angles to a line through (n, 2) points, on the side of `outwards`."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    across = along[:, ::-1] * np.array((-1, 1), np.float32)
    lengths = np.hypot(across[:, 0], across[:, 1])
    return np.asarray(across * (np.sign(across @ outwards) / np.maximum(lengths, 1e-6))[:, None])


def curve(points: Points) -> Points:
    """(4 n − 3, 2): a smooth line through (n, 2) points."""
    return np.asarray(_spline(len(points)) @ points, np.float32)


def lip_outlines(mesh: Mesh) -> tuple[Points, Points]:
    """The outer and the inner outline of the lips, smooth, with corners."""
    outer, inner = (_two_curves(mesh.outline(name), _LIP_HALF) for name in ("lips_outer", "lips_inner"))
    return np.concatenate(outer), np.concatenate(inner)


def eye_lids(mesh: Mesh, side: Side) -> tuple[Points, Points]:
    """(upper, lower) lash line of an eye, smooth, each from the inner corner to the outer."""
    lower, upper = _two_curves(mesh.outline(f"{side}_eye"), _EYE_HALF)
    return upper, lower[::-1]


def brow_edges(mesh: Mesh, side: Side) -> tuple[Points, Points]:
    """(upper, lower) edge of a brow, smooth, each from the inner end to the outer."""
    loop = mesh.outline(f"{side}_brow")
    return curve(loop[_BROW_EDGE:]), curve(loop[:_BROW_EDGE][::-1])


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A soft spot: weight in its middle, none from its edge on.

    centre, along, across: x + iy in pixels of the stored picture; the half axes need not be at right angles.
    """

    centre: complex
    along: complex
    across: complex
    weight: float


def blobs(ellipses: Sequence[Ellipse], grid: Grid) -> NDArray[np.float32]:
    """(height, width) float32 of a grid: the sum of soft ellipses.

    Each falls as (1 − r²)², where r is the way from its middle to its edge.
    """
    # From the middle of the grid in squares, so that numbers stay small enough for float32.
    middle = complex(grid.x + grid.step_x * grid.width / 2, grid.y + grid.step_y * grid.height / 2)
    forms = [(each.weight, _form(each, middle, grid)) for each in ellipses]
    seen = [(weight, form) for weight, form in forms if form is not None]
    if not seen:
        return np.zeros((grid.height, grid.width), np.float32)
    fall = np.array([form for _, form in seen], np.float32) @ _quadratics(grid.width, grid.height)
    np.maximum(fall, 0, out=fall)
    fall *= fall
    total = np.array([weight for weight, _ in seen], np.float32) @ fall
    return np.asarray(total.reshape(grid.height, grid.width))


def _form(ellipse: Ellipse, middle: complex, grid: Grid) -> tuple[float, ...] | None:
    """1 − r² as multiples of 1, x, y, x², xy, y², in samples from the middle of a grid.

    None where it is seen from the side.
    """
    area = (ellipse.along.conjugate() * ellipse.across).imag
    if abs(area) <= 1e-3:
        return None
    centre, form = ellipse.centre - middle, [1.0] + [0.0] * 5
    # How far a sample lies along one axis is what the other one says: a x + b y + c.
    for axis in (ellipse.across / area, ellipse.along / area):
        a, b, c = axis.imag * grid.step_x, -axis.real * grid.step_y, (axis.conjugate() * centre).imag
        for i, part in enumerate((c * c, 2 * a * c, 2 * b * c, a * a, 2 * a * b, b * b)):
            form[i] -= part
    return tuple(form)


# A face has the same grid in most frames.
@lru_cache(maxsize=16)
def _quadratics(width: int, height: int) -> NDArray[np.float32]:
    """(6, width · height): 1, x, y, x², xy, y² of each sample, from the middle of the grid."""
    y, x = np.indices((height, width), np.float32).reshape(2, -1)
    x -= np.float32((width - 1) / 2)
    y -= np.float32((height - 1) / 2)
    table = np.stack((np.ones_like(x), x, y, x * x, x * y, y * y))
    table.flags.writeable = False
    return table


def _two_curves(loop: Points, half: int) -> tuple[Points, Points]:
    """A loop that runs from one corner to the other and back, as two smooth lines with both corners."""
    return curve(loop[: half + 1]), curve(np.concatenate((loop[half:], loop[:1])))


def _area(points: Points) -> float:
    """The signed area of a polygon."""
    return float(cv2.contourArea(np.ascontiguousarray(points), oriented=True))


@cache
def _spline(count: int) -> NDArray[np.float32]:
    """(4 n − 3, n): what makes of n points a line through them.

    Source: Catmull, Rom, "A class of local interpolating splines", 1974; ends are mirrored.
    """
    padded = np.zeros((count + 2, count))
    padded[1:-1] = np.eye(count)
    padded[0, :2], padded[-1, -2:] = (2, -1), (-1, 2)
    rows = []
    for i in range(count - 1):
        for t in np.arange(_STEPS) / _STEPS:
            weights = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (t**3 - t**2) / 2,
            )
            rows.append(np.asarray(weights) @ padded[i : i + 4])
    rows.append(padded[-2])
    matrix = np.array(rows, np.float32)
    matrix.flags.writeable = False
    return matrix
