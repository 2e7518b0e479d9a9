"""Aligned crops of a face: where named points are to lie, the square that does it, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.masks import Mesh
from facefx.faces.anchors import anchors
from facefx.faces.roi import Placement
from facefx.values import StreamFormat

__all__ = ["TEMPLATES", "Matrix", "Template", "known_point", "put_back", "sample", "square_of", "to_plane"]

Matrix = NDArray[np.float64]
Template = dict[str, tuple[float, float]]

_MIDDLES = ("left_eye", "right_eye")
_FIVE = ("right_eye", "left_eye", "nose_tip", "right_mouth_corner", "left_mouth_corner")


def _five(side: float, *places: tuple[float, float]) -> Template:
    return {name: (x / side, y / side) for name, (x, y) in zip(_FIVE, places, strict=True)}


TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        # Source: the reference points of insightface's norm_crop for 112 × 112 (Deng et al., "ArcFace",
        # arXiv 1801.07698).
        "arcface": _five(
            112,
            (38.2946, 51.6963),
            (73.5318, 51.5014),
            (56.0252, 71.7366),
            (41.5493, 92.3655),
            (70.7299, 92.2041),
        ),
        # Source: the mean points of aligned FFHQ pictures (Karras et al., arXiv 1812.04948) of 512 × 512,
        # as facexlib gives them.
        "ffhq": _five(
            512,
            (192.98138, 239.94708),
            (318.90277, 240.1936),
            (256.63416, 314.01935),
            (201.26117, 371.41043),
            (313.08905, 371.15118),
        ),
    }
)
"""Five points, in parts of the crop's side from its upper left corner; left and right are the subject's."""


def known_point(name: str) -> bool:
    """True for a name that a template may hold: of a point, or left_eye and right_eye, which are middles."""
    return name in _MIDDLES or name in anchors("mediapipe-468")


def _place(mesh: Mesh, name: str) -> tuple[float, float]:
    if name not in _MIDDLES:
        return mesh.point(name)
    x, y = mesh.middle(name).tolist()
    return x, y


def square_of(mesh: Mesh, template: Template, placement: Placement) -> Matrix:
    """(3, 3) map from a crop, 0..1 either way, to the upright picture, in pixels.

    The turned square for which the template's points lie nearest to the face's, in least squares. Source:
    Umeyama, "Least-squares estimation of transformation parameters", 1991, without reflections.
    """
    stored = np.array([[*_place(mesh, name), 1.0] for name in template])
    upright = (stored @ placement.to_upright.T)[:, :2]
    wanted, found = (points @ (1, 1j) for points in (np.array(list(template.values())), upright))
    apart = wanted - wanted.mean()
    turn = complex(np.vdot(apart, found - found.mean()) / max(float(np.vdot(apart, apart).real), 1e-12))
    shift = complex(found.mean() - turn * wanted.mean())
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0.0, 0.0, 1.0]]
    )


def to_plane(
    square: Matrix,
    size: int,
    placement: Placement,
    format: StreamFormat,
    plane: int,
    origin: tuple[int, int],
    field: tuple[int, int],
) -> Matrix:
    """(3, 3) map from samples of a crop of size × size to those of a patch's plane.

    origin: x, y of the patch in luma pixels. field: (first line, step): of which lines the plane consists.
    Sample i of either has its middle at i.
    """
    shifts = (format.pixels.shift_x, format.pixels.shift_y) if plane else (0, 0)
    crop = np.array([[1 / size, 0, 0.5 / size], [0, 1 / size, 0.5 / size], [0, 0, 1.0]])
    x, y = (start >> shift for start, shift in zip(origin, shifts, strict=True))
    first, step = field
    samples = np.array(
        [
            [0.5 ** shifts[0], 0, -x - 0.5],
            [0, 0.5 ** shifts[1] / step, (-y - 0.5 - first) / step],
            [0, 0, 1.0],
        ]
    )
    return np.asarray(samples @ placement.to_stored @ square @ crop)


def sample(plane: NDArray[Any], matrix: Matrix, size: int) -> NDArray[np.float32]:
    """Take size × size samples of a plane, shrunk first where many lie under one; edges are repeated."""
    plane, matrix = _shrunk(plane, matrix)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    taken = cv2.warpAffine(plane, matrix[:2], (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(taken, np.float32)


def put_back(crop: NDArray[np.float32], matrix: Matrix, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Lay a crop where it came from: (h, w) of a plane of that shape; beyond the crop its edge is repeated.

    matrix: that with which it was taken.
    """
    crop, back = _shrunk(crop, np.asarray(np.linalg.inv(matrix), np.float64))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape[1], shape[0])
    return np.asarray(cv2.warpAffine(crop, back[:2], size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _shrunk(plane: NDArray[Any], matrix: Matrix) -> tuple[NDArray[Any], Matrix]:
    """A plane halved until a step of the result is less than two of its samples, and the map to those."""
    times = 1
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    while scale >= 2 * times and min(plane.shape[:2]) >= 2:
        rows, columns = plane.shape[:2]
        if rows % 2 or columns % 2:
            plane = cv2.copyMakeBorder(plane, 0, rows % 2, 0, columns % 2, cv2.BORDER_REPLICATE)
        plane = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        times *= 2
    half = 0.5 / times - 0.5
    return plane, np.diag([1 / times, 1 / times, 1.0]) @ matrix + np.array(
        [[0, 0, half], [0, 0, half], [0, 0, 0]]
    )
