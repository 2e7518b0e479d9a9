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
from facefx.effects.masks import Mesh, grid_step
from facefx.faces.anchors import anchors
from facefx.values import Face, Patch

__all__ = ["Field", "Push", "Pushes", "both_sides", "moved_face", "reach_of", "warp"]

Array = NDArray[np.float32]
Triple = tuple[float, float, float]

_AXES_POINTS = ("left_ear", "right_ear", "forehead", "chin")
# Added to the squares of half axes, so that none is ever 0 in the picture: 0.02 of a face.
_THINNEST = np.array((1, 0, 1)) * 0.02**2
# How steep a field may be: a part of the slope at which it would fold over.
_STEEPEST = 0.75
# Where pushes may be steepest together: the middle of each, and so far from it in these directions of the
# head's axes. On 150 random sums of full sliders no place between was steeper than 0.81; with 8 angles
# and two distances some folded over.
_ANGLES = np.arange(12) * (np.pi / 6)
_HALF = math.sqrt(0.5)
_DIRECTIONS = np.concatenate(
    (
        np.stack((np.cos(_ANGLES), np.sin(_ANGLES), 0 * _ANGLES), axis=1),
        [(0, 0, 1), (0, 0, -1)],
        [(0, y, z) for y in (-_HALF, _HALF) for z in (-_HALF, _HALF)],
        [(x, 0, z) for x in (-_HALF, _HALF) for z in (-_HALF, _HALF)],
    )
)
_SAMPLES = np.concatenate([np.zeros((1, 3))] + [_DIRECTIONS * far for far in (0.35, 0.6, 0.82)])
# A field is known at nodes, at least so many across a face, and grown as a cubic spline, which needs
# so many more on each side.
_NODES = 28
_MARGIN = 3
# Undoes what growing by B-splines smooths, to the fourth order of the nodes' distance.
_SHARPEN = np.array((-1, 8, -1), np.float32) / 6
# Where a point goes is solved for until it changes by less; each round leaves _STEEPEST of the error at
# worst, a quarter mostly.
_CLOSE_PX, _MAX_ROUNDS = 0.3, 12
# A resampled pixel needs its neighbours.
_RIM_PX = 2.0


@dataclass(frozen=True, slots=True)
class Push:
    """What one push does at full strength; lengths in face diameters, axes those of the head.

    Axes: x to the subject's left, y down to the chin, z backwards. points: named points whose mean,
    plus offset, is the middle. reach: half axes of the ellipsoid that it acts in. shift: how far what
    comes to lie in the middle has moved. scale: growth by so much of the distance from the middle; widen:
    the same along x only; turn: by so many radians, from x up to the forehead. flat: nearly all in the inner
    half, else a bell. side: 1 for the subject's left, -1 for the right. hidden: it fades while its side turns
    away from the viewer, as the sine of that angle passes from the first to the second.
    """

    points: tuple[str, ...]
    reach: Triple
    shift: Triple = (0.0, 0.0, 0.0)
    offset: Triple = (0.0, 0.0, 0.0)
    scale: float = 0.0
    widen: float = 0.0
    turn: float = 0.0
    flat: bool = True
    side: int = 0
    hidden: tuple[float, float] = (0.75, 0.95)


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
        side=-1,
    )
    return replace(push, points=left, side=1), mirrored


class Pushes:
    """Pushes and how strongly each acts, as tables: what a field is made from in every frame."""

    def __init__(self, pushes: Sequence[tuple[Push, float]]) -> None:
        acting = sorted((each for each in pushes if each[1]), key=lambda each: not each[0].flat)
        self._flat = sum(push.flat for push, _ in acting)
        names = list(_AXES_POINTS)
        names += sorted({name for push, _ in acting for name in push.points} - set(names))
        self._names = tuple(names)
        self._means = np.zeros((len(acting), len(names)))
        for row, (push, _) in zip(self._means, acting, strict=True):
            row[[names.index(name) for name in push.points]] = 1 / len(push.points)
        # Backwards: what moves right is looked for on the left.
        amounts = -np.array([[amount] for _, amount in acting]).reshape(-1, 1)
        self._offset = np.array([push.offset for push, _ in acting]).reshape(-1, 3)
        reach = np.array([push.reach for push, _ in acting]).reshape(-1, 3)
        self._reach2, self._samples = reach**2, reach[:, None] * _SAMPLES
        self._shift = np.array([push.shift for push, _ in acting]).reshape(-1, 3) * amounts
        kinds = [(push.scale, push.widen, push.turn) for push, _ in acting]
        self._kinds = np.array(kinds).reshape(-1, 3) * amounts
        self._side = np.array([push.side for push, _ in acting])
        self._hidden = np.array([push.hidden for push, _ in acting]).reshape(-1, 2)
        # However a head is turned, its field is no steeper.
        self._steepest = sum(abs(amount) * _steepest(push) for push, amount in acting)

    def __bool__(self) -> bool:
        return len(self._means) > 0

    def field(self, face: Face, mesh: Mesh) -> Field:
        """The field of one face in one frame: a smooth function of its landmarks alone.

        It is made weaker as a whole where it would be too steep. mesh: of the face.

        Raises ConfigError for a topology that has no named points.
        """
        assert face.landmarks is not None  # or there would be no mesh
        points = face.landmarks[_places(self._names, face.topology)]
        unit = max(mesh.size, 1e-6)
        corners = points[:4].tolist()
        origin = (corners[0][0] + corners[1][0]) / 2, (corners[0][1] + corners[1][1]) / 2
        axes, away = _head_axes(corners)
        middles = self._means @ ((points[:, :2] - origin) / unit) + self._offset @ axes
        # The outline of an ellipsoid in the picture: squares of half axes add up along their directions.
        squares = self._reach2 @ (axes[:, :, None] * axes[:, None, :]).reshape(3, 4)[:, (0, 1, 3)] + _THINNEST
        (a, b), (c, d), _ = axes.tolist()
        turn = a * d - b * c
        kinds = np.array(((1, 0, 0, 1), (a * a, a * b, a * b, b * b), (0, turn, -turn, 0)))
        seen = self._seen(away)
        shift, matrices = self._shift @ axes * seen, self._kinds @ kinds * seen
        field = Field.of(origin, unit, self._flat, middles, squares, shift, matrices)
        if self._steepest <= _STEEPEST:
            return field
        # Smooth functions of the landmarks too, so that the strength is steady.
        samples = (middles[:, None] + self._samples @ axes).reshape(-1, 2) * unit + origin
        steepest = field.steepness(samples[:, 0], samples[:, 1])
        return field if steepest <= _STEEPEST else replace(field, push=field.push * (_STEEPEST / steepest))

    def _seen(self, away: float) -> NDArray[np.float64]:
        """(p, 1) 1 to 0: how much of each push is left where the head's left points away so far, -1 to 1.

        Behind the nose and the mouth a push would dent those.
        """
        first, last = self._hidden.T
        part = np.clip((last - self._side * away) / (last - first), 0, 1)
        return np.asarray((part * part * (3 - 2 * part))[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Where to look in the old picture for what the new one shows; see Pushes.field.

    Positions are in pixels of the stored picture, in which pixel i covers i to i + 1. origin, unit: of the
    numbers below, in pixels. flat: how many of the p pushes are, which come first. ellipse: (p, 6), the
    square of the distance from the middle, 1 at the rim, as factors of 1, x, y, x², xy, y². push: (6, p),
    the displacement x and y, as factors of 1, x, y in turn. bounds: xyxy, beyond which nothing moves.
    """

    origin: tuple[float, float]
    unit: float
    flat: int
    ellipse: Array
    push: Array
    bounds: Rectangle

    @classmethod
    def of(
        cls,
        origin: tuple[float, float],
        unit: float,
        flat: int,
        middles: NDArray[np.float64],
        squares: NDArray[np.float64],
        shift: NDArray[np.float64],
        matrices: NDArray[np.float64],
    ) -> Field:
        """Make one from each push's middle, ellipse, shift and matrix, all in units.

        middles, shift: (p, 2). squares: (p, 3) xx, xy, yy of the ellipse's matrix. matrices: (p, 4), 2 × 2
        row by row.
        """
        (xx, xy, yy), (x, y) = squares.T, middles.T
        a, b, c = np.stack((yy, -xy, xx)) / (xx * yy - xy * xy)
        by_x, by_y = a * x + b * y, b * x + c * y
        ellipse = np.stack((by_x * x + by_y * y, -2 * by_x, -2 * by_y, a, 2 * b, c), axis=1)
        columns = matrices.T[(0, 2, 1, 3), :]
        push = np.concatenate((shift.T - columns[:2] * x - columns[2:] * y, columns))
        half = np.sqrt(squares[:, ::2])
        left, top = (middles - half).min(axis=0).tolist()
        right, bottom = (middles + half).max(axis=0).tolist()
        bounds = (
            left * unit + origin[0],
            top * unit + origin[1],
            right * unit + origin[0],
            bottom * unit + origin[1],
        )
        return cls(origin, unit, flat, ellipse.astype(np.float32), push.astype(np.float32), bounds)

    def at(self, x: Array, y: Array) -> Array:
        """How far from each place to look, in pixels: (2, n) across and down.

        x, y: (n,) positions in pixels.
        """
        places = self._powers(x, y)
        level = self._levels(self.ellipse @ places)
        parts = self.push @ (level * level * level)
        parts[:2] += parts[2:4] * places[1]
        parts[:2] += parts[4:] * places[2]
        return np.asarray(parts[:2] * np.float32(self.unit))

    def slopes(self, x: NDArray[Any], y: NDArray[Any]) -> Array:
        """(2, 2, n) how the displacement changes with the place: [component, direction].

        x, y: (n,) positions in pixels. Nothing folds over where 1 + slopes has a positive determinant.
        """
        places = self._powers(x, y)
        inside = self.ellipse @ places
        falls = np.full_like(inside, -3)
        falls[: self.flat] *= 2 * inside[: self.flat]
        level = self._levels(inside)
        falls *= level * level
        found = (self.push[2:] @ (level * level * level)).reshape(2, 2, -1).transpose(1, 0, 2).copy()
        by_x = self.ellipse[:, (1, 3, 4)] * np.array((1, 2, 1), np.float32) @ places[:3]
        by_y = self.ellipse[:, (2, 4, 5)] * np.array((1, 1, 2), np.float32) @ places[:3]
        for i in range(2):
            push = (self.push[i::2].T @ places[:3]) * falls
            found[i, 0] += np.einsum("pn,pn->n", push, by_x)
            found[i, 1] += np.einsum("pn,pn->n", push, by_y)
        return np.asarray(found)

    def steepness(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """The largest difference of two close places' displacements, as a part of their distance.

        x, y: (n,) positions in pixels.
        """
        (a, b), (c, d) = self.slopes(x, y)
        return float((np.hypot(a + d, b - c) + np.hypot(a - d, b + c)).max()) / 2

    def _powers(self, x: NDArray[Any], y: NDArray[Any]) -> Array:
        """(6, n) 1, x, y, x², xy, y² in units."""
        powers = np.empty((6, len(x)), np.float32)
        powers[0] = 1
        np.subtract(x, self.origin[0], out=powers[1])
        np.subtract(y, self.origin[1], out=powers[2])
        powers[1:3] *= 1 / self.unit
        np.multiply(powers[1], powers[1:3], out=powers[3:5])
        np.multiply(powers[2], powers[2], out=powers[5])
        return powers

    def _levels(self, inside: Array) -> Array:
        """What the pushes' weights are the cubes of, so that even their bend ends softly at the rim.

        inside: squares of distances from the middles; it is written to.
        """
        np.minimum(inside, 1, out=inside)
        flat = inside[: self.flat]
        np.multiply(flat, flat, out=flat)
        return np.asarray(np.subtract(1, inside, out=inside))


def moved_face(field: Field, face: Face) -> Face:
    """The face with its landmarks where the field puts them; its box grows or shrinks as they do.

    Depths stay. The landmarks are new memory.
    """
    assert face.landmarks is not None
    old = face.landmarks[:, :2].T.astype(np.float32)
    new = old - field.at(*old)
    for _ in range(_MAX_ROUNDS):
        last, new = new, old - field.at(*new)
        if cv2.norm(last, new, cv2.NORM_INF) < _CLOSE_PX:
            break
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
    pixels, lines = patch.format.pixels, 2 if patch.format.field_order else 1
    for first in range(lines):
        luma, *chroma = (plane[first::lines] for plane in patch.planes)
        top = patch.y + first + 0.5
        _resample([luma], field, (patch.x + 0.5, top), (1, lines))
        # A chroma sample lies at its first luma column, and between its luma lines.
        down = lines << pixels.shift_y
        top += (down - lines) / 2
        _resample(chroma, field, (patch.x + 0.5, top), (1 << pixels.shift_x, down))


def _resample(
    planes: Sequence[NDArray[Any]], field: Field, first: tuple[float, float], apart: tuple[int, int]
) -> None:
    """Resample planes of one size. first: where the first sample lies. apart: luma pixels between samples."""
    if not planes or not planes[0].size:
        return
    rows, columns = planes[0].shape[:2]
    places = _places_to_look(field, (rows, columns), first, apart)
    for plane in planes:
        plane[...] = cv2.remap(plane, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _places_to_look(
    field: Field, shape: tuple[int, int], first: tuple[float, float], apart: tuple[int, int]
) -> Array:
    """(rows, columns, 2) where each sample looks, counted in samples; see _resample."""
    step = grid_step(field.unit, _NODES * max(apart))
    rows, columns = (-(-length // step) + 2 * _MARGIN for length in shape)
    x = np.arange(-_MARGIN, columns - _MARGIN, dtype=np.float32) * step
    y = np.arange(-_MARGIN, rows - _MARGIN, dtype=np.float32) * step
    across, down = np.tile(x, rows), np.repeat(y, columns)
    by_x, by_y = field.at(across * apart[0] + first[0], down * apart[1] + first[1])
    across += by_x / apart[0]
    down += by_y / apart[1]
    places = cv2.merge((across, down)).reshape(rows, columns, 2)
    margin = _MARGIN * step
    if step > 1:
        places = cv2.sepFilter2D(places, cv2.CV_32F, _SHARPEN, _SHARPEN)
    while step > 1:
        places, step = cv2.pyrUp(places), step // 2
    return np.asarray(places[margin : margin + shape[0], margin : margin + shape[1]])


def _steepest(push: Push) -> float:
    """No direction in which the head may be seen makes the push steeper than this, as a part of a fold."""
    longest, shortest = max(push.reach), min(push.reach)
    by_shift, by_growth = (2.39, 1.78) if push.flat else (1.72, 0.89)
    growth = abs(push.scale) + abs(push.widen) + abs(push.turn)
    return math.hypot(*push.shift) * by_shift / shortest + growth * (1 + by_growth * longest / shortest)


def _head_axes(points: Sequence[Sequence[float]]) -> tuple[NDArray[np.float64], float]:
    """(3, 2) the head's axes as the picture shows them, and how far the first points away from the viewer.

    The axes: to the subject's left, down, back; shorter than 1 where they point out of the picture. points:
    x, y, z of _AXES_POINTS.
    """
    left, right, top, bottom = points
    across = _unit([a - b for a, b in zip(left, right, strict=True)])
    down = [a - b for a, b in zip(bottom, top, strict=True)]
    along = sum(a * b for a, b in zip(across, down, strict=True))
    down = _unit([a - along * b for a, b in zip(down, across, strict=True)])
    back = (across[1] * down[2] - across[2] * down[1], across[2] * down[0] - across[0] * down[2])
    return np.array((across[:2], down[:2], back)), across[2]


def _unit(vector: Sequence[float]) -> list[float]:
    length = max(math.hypot(*vector), 1e-9)
    return [part / length for part in vector]


@cache
def _places(names: tuple[str, ...], topology: str) -> NDArray[np.intp]:
    """Where named points are among the landmarks."""
    known = anchors(topology)
    return np.array([known[name] for name in names], np.intp)
