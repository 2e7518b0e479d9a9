"""The face unwrapped: where each point of the mesh lies in a texture, and which shape a face has on average.

The layout is our own (see facefx.effects.uv_build); docs/uv-layout.png shows it to artists.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefx.effects.raster import signed_areas
from facefx.errors import EffectError
from facefx.faces.topology import topology

__all__ = ["LAYOUT", "Skin", "UvLayout", "face_skin", "layout", "read_layout"]

LAYOUT = Path(__file__).with_name("data") / "face_uv.json"

_POINTS = 468
_HOLES = ("left_eye", "right_eye", "lips_inner")
# How far the rim goes beyond the oval, in parts of the way from the middle.
_RIM = 0.06
# How fast a texture's edge at the oval comes in: within a fifth of a triangle, about 0.015 face diameters.
_STEEP = 5.0
# How much more of a point's skin must be seen on average than at the edge of what is seen.
_FOLD = 0.3
# A triangle that shows less is seen from its edge.
_MIN_AREA_PX2 = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class UvLayout:
    """The mean face and its unwrapping; the first 468 points of both topologies, read-only.

    shape: (468, 3) float64 in face diameters, origin in the middle of the oval, x to the subject's left
    (the viewer's right), y down to the chin, z away from the viewer; symmetric. uv: (468, 2) float64
    in the unit square, v downwards. normals: (468, 3) unit vectors that point out of the face.
    """

    shape: NDArray[np.float64]
    uv: NDArray[np.float64]
    normals: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """The mesh as it is drawn: eyes and mouth closed, and a rim around the oval, so that every pixel whose
    edge a mask cuts has a place in the texture.

    triangles: (m, 3) of rows of `points`. uv: (n, 2) of the same rows. inside, covered: (n,) of them: 0 on
    the oval, below it on the rim, and 1 and more within the face; inside is 0 around eyes and mouth, too,
    and below it in them. Both are to be cut to 0..1 after they are interpolated.
    """

    triangles: NDArray[np.intp]
    uv: NDArray[np.float32]
    inside: NDArray[np.float32]
    covered: NDArray[np.float32]

    def points(self, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, d) of at least 468 landmarks: with the middles of the holes and the rim."""
        return _extended(landmarks[:_POINTS])

    def facing(self, points: NDArray[np.float64]) -> NDArray[np.intp]:
        """Which triangles look at the viewer: (k,) rows of `triangles`, farthest first.

        points: (n, 3) of the shown picture, as `points` gives them.
        """
        front = np.flatnonzero(signed_areas(points[:, :2], self.triangles) > _MIN_AREA_PX2)
        depth = np.add.reduce(points[:, 2].take(self.triangles.take(front, axis=0)), axis=1)
        return np.asarray(front[np.argsort(-depth, kind="stable")])

    def looks(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much the skin at each of (n, 3) points looks at the viewer: 1 at him, 0 past him, -1 away.

        As much as the least of the triangles around it does, so that it is below 0 at the edge of what is
        seen; but where most of its skin is seen, a fold, as beside a mouth that smiles, does not count.
        """
        a, b, c = (points[:_POINTS].take(corner, axis=0) for corner in topology("mediapipe-468").triangles.T)
        side, other = b - a, c - a
        normal = (
            side[:, 1] * other[:, 2] - side[:, 2] * other[:, 1],
            side[:, 2] * other[:, 0] - side[:, 0] * other[:, 2],
            side[:, 0] * other[:, 1] - side[:, 1] * other[:, 0],
        )
        length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        order, starts, sign = _around_points()
        shown, whole = (sign * normal[2]).take(order), np.maximum(length, 1e-9).take(order)
        least = np.minimum.reduceat(shown / whole, starts)
        mean = np.add.reduceat(shown, starts) / np.add.reduceat(whole, starts)
        return _extended(np.maximum(least, mean - _FOLD)[:, None])[:, 0]


def read_layout(text: str) -> UvLayout:
    """Read what uv_build wrote.

    Raises EffectError where it is something else.
    """
    try:
        table = np.array(json.loads(text)["points"], np.float64).reshape(_POINTS, 5)
    except (ValueError, KeyError, TypeError) as error:
        raise EffectError(f"the layout of the face cannot be read: {error}") from error
    shape, uv = np.ascontiguousarray(table[:, :3]), np.ascontiguousarray(table[:, 3:])
    normals = _normals(shape)
    for array in (shape, uv, normals):
        array.flags.writeable = False
    return UvLayout(shape, uv, normals)


@cache
def layout() -> UvLayout:
    """The layout that every texture is drawn for; the same object each time.

    >>> layout().uv.shape
    (468, 2)
    """
    return read_layout(LAYOUT.read_text(encoding="utf-8"))


@cache
def face_skin() -> Skin:
    """The mesh to draw; the same object each time."""
    kind = topology("mediapipe-468")
    triangles = [kind.triangles.astype(np.intp)]
    at = _POINTS
    for name in _HOLES:
        loop = np.array(kind.regions[name])
        triangles.append(np.stack((np.roll(loop, -1), loop, np.full(len(loop), at)), axis=1))
        at += 1
    oval = np.array(kind.regions["face_oval"])
    rim = at + np.arange(len(oval))
    following, beyond = np.roll(oval, -1), np.roll(rim, -1)
    triangles += [np.stack((oval, following, rim), axis=1), np.stack((following, beyond, rim), axis=1)]
    uv = _extended(layout().uv)
    whole = _wound_alike(np.concatenate(triangles), uv)
    return Skin(whole, uv.astype(np.float32), _edge(_HOLES), _edge(()))


def _edge(holes: tuple[str, ...]) -> NDArray[np.float32]:
    """Values of points that are 0 on the oval and around holes, and below it beyond.

    Triangles at the oval are large: from 0 to so much within one, cut to 1, is a short fade. Those around
    eyes and mouth are small.
    """
    kind = topology("mediapipe-468")
    values = np.full((_POINTS, 1), _STEEP)
    loops = [kind.regions[name] for name in holes]
    bordering = np.isin(kind.triangles, [i for loop in loops for i in loop]).any(axis=1)
    values[kind.triangles[bordering]] = 1.0
    for loop in (kind.regions["face_oval"], *loops):
        values[list(loop)] = 0.0
    whole = _extended(values)
    middles = slice(_POINTS, _POINTS + len(_HOLES))
    whole[middles] = -_STEEP if holes else _STEEP
    whole[middles.stop :] = -1.0
    return whole[:, 0].astype(np.float32)


@cache
def _around_points() -> tuple[NDArray[np.intp], NDArray[np.intp], float]:
    """The triangles around each point in turn, where each point's begin, and which way they are wound."""
    triangles = topology("mediapipe-468").triangles.astype(np.intp)
    order = np.argsort(triangles.ravel(), kind="stable")
    starts = np.searchsorted(triangles.ravel()[order], np.arange(_POINTS))
    return order // 3, starts, float(np.sign(signed_areas(layout().uv, triangles).sum()))


def _extended(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points, one in the middle of each hole, and the rim."""
    holes, oval = _extra()
    inner = [np.add.reduce(points[loop]) / len(loop) for loop in holes]
    edge = points[oval]
    rim = edge + (edge - np.add.reduce(edge) / len(edge)) * _RIM
    return np.concatenate((points, np.stack(inner), rim))


@cache
def _extra() -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.intp]]:
    regions = topology("mediapipe-468").regions
    return tuple(np.array(regions[name], np.intp) for name in _HOLES), np.array(regions["face_oval"], np.intp)


def _wound_alike(triangles: NDArray[np.intp], uv: NDArray[np.float64]) -> NDArray[np.intp]:
    """Wind all triangles clockwise in the texture, as a viewer sees the front of a face."""
    (ax, ay), (bx, by), (cx, cy) = (uv[triangles[:, i]].T for i in range(3))
    turned = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay) < 0
    return np.where(turned[:, None], triangles[:, ::-1], triangles)


def _normals(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals of the points, the mean of their triangles' by area; the front of the face looks at −z."""
    triangles = topology("mediapipe-468").triangles
    a, b, c = (shape[triangles[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    summed = np.zeros_like(shape)
    for i in range(3):
        np.add.at(summed, triangles[:, i], across)
    summed *= -np.sign(summed[:, 2].sum())
    return np.asarray(summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12))
