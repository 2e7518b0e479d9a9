"""One smooth displacement of a face: what it is made of, where it moves what, and the planes resampled by it.

A field is a sum of soft pushes, each of which ends exactly at the rim of its ellipse. It says for a place in
the new picture where to look in the old one, so that planes are resampled directly; points of the old
picture are brought to the new one by solving it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.effect import Rectangle
from facefx.effects.kernels import window
from facefx.effects.masks import Mesh, Points
from facefx.faces.anchors import anchors
from facefx.values import Face, Patch, PixelFormat, StreamFormat

__all__ = ["Field", "Push", "Pushes", "both_sides", "moved_face", "reach_of", "warp"]

Array = NDArray[np.float32]
Triple = tuple[float, float, float]

_AXES_POINTS = ("left_ear", "right_ear", "forehead", "chin")
# The half axes of a push never fall below this in the picture, whichever way it is seen.
_THINNEST = 0.02
# How steep a field may be: a part of the slope at which it would fold over.
_STEEPEST = 0.75
# Where a push may be steepest: its middle, and on circles between it and the rim.
_ANGLES = np.arange(8) * (np.pi / 4)
_CIRCLE = np.concatenate(
    [np.zeros((2, 1))] + [radius * np.stack((np.cos(_ANGLES), np.sin(_ANGLES))) for radius in (0.45, 0.8)], axis=1
)
# A field is known at nodes, at least so many across a face, and grown as a cubic spline, which needs
# so many more on each side.
_NODES = 24
_MARGIN = 3
# Undoes what growing by B-splines smooths, to the fourth order of the nodes' distance.
_SHARPEN = np.array((-1, 8, -1), np.float32) / 6
# Rounds of solving for where a point goes: each leaves _STEEPEST of the error at worst, a quarter mostly.
_ROUNDS = 6
# A resampled pixel needs its neighbours.
_RIM_PX = 2.0


@dataclass(frozen=True, slots=True)
class Push:
    """What one push does at full strength; lengths in face diameters, axes those of the head.

    Axes: x to the subject's left, y down to the chin, z backwards. points: named points whose mean,
    plus offset, is the middle. reach: half axes of the ellipsoid that it acts in. shift: how far the middle
    moves. scale: growth by so much of the distance from the middle; widen: the same along x only; turn: by
    so many radians, from x up to the forehead. flat: nearly all in the inner half, else a bell.
    """

    points: tuple[str, ...]
    reach: Triple
    shift: Triple = (0.0, 0.0, 0.0)
    offset: Triple = (0.0, 0.0, 0.0)
    scale: float = 0.0
    widen: float = 0.0
    turn: float = 0.0
    flat: bool = True


def both_sides(push: Push) -> tuple[Push, Push]:
    """The push for the subject's left, and its mirror image; its points' names lack the side.

    >>> [side.shift[0] for side in both_sides(Push(("jaw",), (0.2, 0.2, 0.2), (-0.1, 0.0, 0.0)))]
    [-0.1, 0.1]
    """
    left, right = (tuple(f"{side}_{name}" for name in push.points) for side in ("left", "right"))
    mirrored = replace(
        push,
        points=right,
        shift=(-push.shift[0], *push.shift[1:]),
        offset=(-push.offset[0], *push.offset[1:]),
        turn=-push.turn,
    )
    return replace(push, points=left), mirrored


class Pushes:
    """Pushes and how strongly each acts, as tables: what a field is made from in every frame."""

    def __init__(self, pushes: Sequence[tuple[Push, float]]) -> None:
        ordered = sorted((each for each in pushes if each[1]), key=lambda each: not each[0].flat)
        self._flat = sum(push.flat for push, _ in ordered)
        names = list(_AXES_POINTS)
        names += sorted({name for push, _ in ordered for name in push.points} - set(names))
        self._names = tuple(names)
        self._means = np.zeros((len(ordered), len(names)))
        for row, (push, _) in zip(self._means, ordered, strict=True):
            row[[names.index(name) for name in push.points]] = 1 / len(push.points)
        # Backwards: what moves right is looked for on the left.
        amounts = -np.array([amount for _, amount in ordered])
        self._offset = np.array([push.offset for push, _ in ordered]).reshape(-1, 3)
        self._reach2 = np.array([push.reach for push, _ in ordered]).reshape(-1, 3) ** 2
        self._shift = np.array([push.shift for push, _ in ordered]).reshape(-1, 3) * amounts[:, None]
        kinds = [(push.scale, push.widen, push.turn) for push, _ in ordered]
        self._kinds = np.array(kinds).reshape(-1, 3) * amounts[:, None]

    def __bool__(self) -> bool:
        return len(self._means) > 0

    def field(self, face: Face, mesh: Mesh) -> Field:
        """The field of one face in one frame: a smooth function of its landmarks alone.

        Raises EffectError for a face without landmarks, ConfigError for a topology that is unknown.
        """
        assert face.landmarks is not None  # or there would be no mesh
        points = face.landmarks[_places(self._names, face.topology)].astype(np.float64)
        unit = max(mesh.size, 1e-6)
        origin = (points[0] + points[1]) / 2
        points = (points - origin) / unit
        axes = _head_axes(points[:4].tolist())
        middles = (self._means @ points)[:, :2] + self._offset @ axes
        # The outline of an ellipsoid in the picture: squares of half axes add up along their directions.
        shift = self._shift @ axes
        squares = self._reach2 @ (axes[:, :, None] * axes[:, None, :]).reshape(3, 4) + np.array((1, 0, 0, 1)) * _THINNEST**2
        x, y, _ = axes
        kinds = np.array((np.eye(2), np.outer(x, x), np.outer(x, y) - np.outer(y, x))).reshape(3, 4)
        return Field.of(origin[:2], unit, self._flat, middles, squares, shift, self._kinds @ kinds)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Where to look in the old picture for what the new one shows; see Pushes.field.

    Positions are in pixels of the stored picture, in which pixel i covers i to i + 1. origin, unit: of the
    numbers below, in pixels. flat: how many of the p pushes are, which come first. ellipse: (p, 6), the
    square of the distance from the middle, 1 at the rim, as factors of 1, x, y, x², xy, y². push: (6, p),
    the displacement x and y, as factors of 1, x, y in turn. bounds: xyxy, beyond which nothing moves.
    """

    origin: NDArray[np.float64]
    unit: float
    flat: int
    ellipse: Array
    push: Array
    bounds: Rectangle

    @classmethod
    def of(
        cls,
        origin: NDArray[np.float64],
        unit: float,
        flat: int,
        middles: NDArray[np.float64],
        squares: NDArray[np.float64],
        shift: NDArray[np.float64],
        matrices: NDArray[np.float64],
    ) -> Field:
        """Make one from each push's middle, squared ellipse, shift and matrix, all in units; limit its slope.

        middles, shift: (p, 2). squares, matrices: (p, 4), 2 × 2 row by row.
        """
        (xx, xy, _, yy), (x, y) = squares.T, middles.T
        inner = np.stack((yy, -xy, xx)) / (xx * yy - xy * xy)
        a, b, c = inner
        by_x, by_y = -2 * (a * x + b * y), -2 * (b * x + c * y)
        ellipse = np.stack((-(by_x * x + by_y * y) / 2, by_x, by_y, a, 2 * b, c), axis=1)
        columns = matrices[:, (0, 2, 1, 3)].T
        push = np.concatenate((shift.T - columns[:2] * x - columns[2:] * y, columns))
        half = np.sqrt(np.stack((xx, yy), axis=1))
        left, top = ((middles - half).min(axis=0) * unit + origin).tolist()
        right, bottom = ((middles + half).max(axis=0) * unit + origin).tolist()
        bounds = (left, top, right, bottom)
        field = cls(origin, unit, flat, ellipse.astype(np.float32), push.astype(np.float32), bounds)
        steepest = field.steepness(*_samples(middles * unit + origin, squares * unit**2))
        return field if steepest <= _STEEPEST else replace(field, push=field.push * (_STEEPEST / steepest))

    def at(self, x: Array, y: Array) -> tuple[Array, Array]:
        """How far from each place to look, in pixels: (n,) across and down.

        x, y: (n,) positions in pixels.
        """
        places = self._powers(x, y)
        inside = cv2.min(self.ellipse @ places, 1)
        parts = self.push @ self._weights(inside)
        parts *= np.float32(self.unit)
        _, x, y, *_ = places
        return parts[0] + parts[2] * x + parts[4] * y, parts[1] + parts[3] * x + parts[5] * y

    def slopes(self, x: Array, y: Array) -> Array:
        """(2, 2, n) how the displacement changes with the place: [component, direction].

        x, y: (n,) positions in pixels. Nothing folds over where 1 + slopes has a positive determinant.
        """
        places = self._powers(x, y)
        inside = cv2.min(self.ellipse @ places, 1)
        weight, falls = self._weights(inside), self._falls(inside)
        found = (self.push[2:] @ weight).reshape(2, 2, -1).transpose(1, 0, 2).copy()
        by_x = self.ellipse[:, (1, 3, 4)] * np.array((1, 2, 1), np.float32) @ places[:3]
        by_y = self.ellipse[:, (2, 4, 5)] * np.array((1, 1, 2), np.float32) @ places[:3]
        for i in range(2):
            push = (self.push[i::2].T @ places[:3]) * falls
            found[i, 0] += np.einsum("pn,pn->n", push, by_x)
            found[i, 1] += np.einsum("pn,pn->n", push, by_y)
        return np.asarray(found)

    def steepness(self, x: Array, y: Array) -> float:
        """The largest difference that the displacements of two close places have, as a part of their distance.

        x, y: (n,) positions in pixels.
        """
        (a, b), (c, d) = self.slopes(x, y)
        return float((np.hypot(a + d, b - c) + np.hypot(a - d, b + c)).max()) / 2

    def _powers(self, x: Array, y: Array) -> Array:
        """(6, n) 1, x, y, x², xy, y² in units."""
        powers = np.empty((6, len(x)), np.float32)
        powers[0] = 1
        powers[1] = (x - self.origin[0]) / self.unit
        powers[2] = (y - self.origin[1]) / self.unit
        np.multiply(powers[1], powers[1:3], out=powers[3:5])
        np.multiply(powers[2], powers[2], out=powers[5])
        return powers

    def _weights(self, inside: Array) -> Array:
        """How strongly each push acts where `inside` is the square of the distance from its middle: 1 to 0."""
        flat, bell = inside[: self.flat], inside[self.flat :]
        weights = np.empty_like(inside)
        level = 1 - flat * flat
        np.multiply(level, level, out=weights[: self.flat])
        level = 1 - bell
        np.multiply(level * level, level, out=weights[self.flat :])
        return weights

    def _falls(self, inside: Array) -> Array:
        """The derivative of the weights by `inside`."""
        flat, bell = inside[: self.flat], inside[self.flat :]
        return np.concatenate((-4 * flat * (1 - flat * flat), -3 * (1 - bell) ** 2))


def moved_face(field: Field, face: Face) -> Face:
    """The face with its landmarks where the field puts them; its box grows or shrinks as they do.

    Depths stay. The landmarks are new memory.
    """
    assert face.landmarks is not None
    old = face.landmarks[:, :2].T.astype(np.float32)
    new = old
    for _ in range(_ROUNDS):
        new = old - np.stack(field.at(*new))
    landmarks = face.landmarks.copy()
    landmarks[:, :2] = new.T
    lows, highs = new.min(axis=1) - old.min(axis=1), new.max(axis=1) - old.max(axis=1)
    x0, y0, x1, y1 = np.asarray(face.xyxy) + np.concatenate((lows, highs))
    return replace(face, landmarks=landmarks, xyxy=(float(x0), float(y0), float(x1), float(y1)))


def reach_of(field: Field) -> Rectangle:
    """The xyxy of the pixels that the field moves, and of those that it looks at."""
    left, top, right, bottom = field.bounds
    return left - _RIM_PX, top - _RIM_PX, right + _RIM_PX, bottom + _RIM_PX


def warp(patch: Patch, field: Field) -> None:
    """Resample a patch's planes by a field, in place; what the field does not move keeps its bits.

    The two fields of an interlaced picture are resampled each by itself. The patch covers the
    field's reach as far as the picture does; beyond the picture, it is mirrored.
    """
    rectangle = Patch.rectangle(patch.format, reach_of(field))
    if rectangle is None:
        return
    patch = window(patch, rectangle)
    lines = 2 if patch.format.field_order else 1
    for first in range(lines):
        planes = [plane[first::lines] for plane in patch.planes]
        if planes[0].size:
            _resample(planes, field, (patch.x, patch.y + first), lines, patch.format)


def _resample(
    planes: Sequence[NDArray[Any]],
    field: Field,
    origin: tuple[int, int],
    lines: int,
    format: StreamFormat,
) -> None:
    """Resample one picture. origin: its first pixel. lines: how far apart its lines are."""
    rows, columns = planes[0].shape
    whole, half = _places_to_look(field, (rows, columns), origin, lines)
    places = [whole[:rows, :columns]]
    if len(planes) > 1:
        places += [_chroma_places(whole, half, format.pixels, planes[1].shape[:2])] * 2
    for plane, where in zip(planes, places, strict=False):
        plane[...] = cv2.remap(plane, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _places_to_look(
    field: Field, shape: tuple[int, int], origin: tuple[int, int], lines: int
) -> tuple[Array, Array]:
    """For every pixel, and for every second: (rows, columns, 2) where to look, in pixels of this picture.

    Whole numbers are the middles of pixels. Both reach beyond the last pixel.
    """
    step = 2
    while field.unit >= 2 * step * _NODES * lines:
        step *= 2
    columns, rows = (-(-length // step) + 2 * _MARGIN + 1 for length in shape[::-1])
    x = np.arange(-_MARGIN, columns - _MARGIN, dtype=np.float32) * step
    y = np.arange(-_MARGIN, rows - _MARGIN, dtype=np.float32) * step
    across, down = np.tile(x, rows), np.repeat(y, columns)
    by_x, by_y = field.at(across + (origin[0] + 0.5), down * lines + (origin[1] + 0.5))
    places = np.stack((across + by_x, down + by_y / lines), axis=1).reshape(rows, columns, 2)
    half = cv2.sepFilter2D(places, cv2.CV_32F, _SHARPEN, _SHARPEN)
    margin = _MARGIN * step // 2
    while step > 2:
        half, step = cv2.pyrUp(half), step // 2
    whole = cv2.pyrUp(half)
    return np.asarray(whole[2 * margin :, 2 * margin :]), np.asarray(half[margin:, margin:])


def _chroma_places(
    whole: Array, half: Array, pixels: PixelFormat, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Where to look for each chroma sample, which lies at its first luma column, between its luma lines."""
    level, scale = (half, 2) if pixels.shift_x and pixels.shift_y else (whole, 1)
    across, down = 1 << pixels.shift_x, 1 << pixels.shift_y
    level = level[:, :: across // scale]
    rows, columns = shape
    places = level[:: down // scale][:rows, :columns]
    below = (down - 1) / 2 / scale
    if below:
        following = level[1 :: down // scale][:rows, :columns]
        places = cv2.addWeighted(places, 1 - below, following, below, 0)
    factors, middle = np.array((1 / across, 1 / down), np.float32), (down - 1) / 2 / down
    places = places * factors
    places[..., 1] -= np.float32(middle)
    return np.asarray(places)


def _samples(middles: NDArray[np.float64], squares: NDArray[np.float64]) -> tuple[Array, Array]:
    """(n,) x and y of places, in the middles' units, among which each push is about as steep as it gets."""
    xx, xy, _, yy = squares.T[:, :, None]
    # A circle becomes the ellipse by the triangular root of its matrix.
    root = np.sqrt(xx)
    slant = xy / root
    x = middles[:, :1] + root * _CIRCLE[0]
    y = middles[:, 1:] + slant * _CIRCLE[0] + np.sqrt(yy - slant * slant) * _CIRCLE[1]
    return x.ravel().astype(np.float32), y.ravel().astype(np.float32)


def _head_axes(points: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """(3, 2) the head's axes as the picture shows them: to the subject's left, down, back; shorter than 1
    where they point out of it.

    points: x, y, z of _AXES_POINTS.
    """
    left, right, top, bottom = points
    across = _unit([a - b for a, b in zip(left, right, strict=True)])
    down = [a - b for a, b in zip(bottom, top, strict=True)]
    along = sum(a * b for a, b in zip(across, down, strict=True))
    down = _unit([a - along * b for a, b in zip(down, across, strict=True)])
    back = (across[1] * down[2] - across[2] * down[1], across[2] * down[0] - across[0] * down[2])
    return np.array((across[:2], down[:2], back))


def _unit(vector: Sequence[float]) -> list[float]:
    length = max(math.hypot(*vector), 1e-9)
    return [part / length for part in vector]


@cache
def _places(names: tuple[str, ...], topology: str) -> NDArray[np.intp]:
    """Where named points are among the landmarks."""
    known = anchors(topology)
    return np.array([known[name] for name in names], np.intp)
