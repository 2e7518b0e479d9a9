"""The mesh drawn on a picture, for eyes and notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.faces.topology import topology
from facefx.values import Face

__all__ = ["draw"]

# The subject's left and right in colours of their own, so that a swap is seen at once. R, G, B.
_COLOURS = MappingProxyType({"left": (80, 160, 255), "right": (255, 110, 90)})
_MESH, _OTHER, _BOX = (180, 220, 180), (255, 230, 90), (160, 160, 160)
_SHIFT = 4  # OpenCV draws at sixteenths of a pixel


def draw(picture: NDArray[np.uint8], faces: Iterable[Face], *, mesh: bool = True) -> NDArray[np.uint8]:
    """Return a copy of an RGB picture with boxes, meshes and regions; left parts blue, right parts red.

    picture: (h, w, 3), the stored picture that the faces' pixels mean. mesh: also the triangles.
    """
    out = np.ascontiguousarray(picture).copy()
    for face in faces:
        x0, y0, x1, y1 = (round(value) for value in face.xyxy)
        cv2.rectangle(out, (x0, y0), (x1, y1), _BOX, 1)
        if face.landmarks is not None:
            _draw_one(out, face.landmarks, face.topology, mesh=mesh)
    return out


def _draw_one(out: NDArray[np.uint8], landmarks: NDArray[np.float32], name: str, *, mesh: bool) -> None:
    kind = topology(name)
    points = np.rint(landmarks[:, :2] * (1 << _SHIFT)).astype(np.int32)
    if mesh:
        lines = list(points[kind.triangles])
        cv2.polylines(out, lines, True, _MESH, 1, cv2.LINE_AA, _SHIFT)
    for region, loop in kind.regions.items():
        colour = _COLOURS.get(region.split("_")[0], _OTHER)
        cv2.polylines(out, [points[list(loop)]], True, colour, 1, cv2.LINE_AA, _SHIFT)
