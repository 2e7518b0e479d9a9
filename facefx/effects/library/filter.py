"""filter: libavfilter's own filters on the face, from a list of ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from facefx.effects.effect import EffectParams
from facefx.effects.masked import MaskedEffect, MaskedParams, Planes3
from facefx.values import Face, Patch, StreamFormat
from facefx.video.filters import (
    FilterGraphs,
    Step,
    bilateral,
    check_filters,
    edges,
    gaussian,
    grain,
    levels,
    mirror,
    mosaic,
    sharpen,
    turn_hue,
)

__all__ = ["Filter"]

Plane = NDArray[Any]
Kind = Literal["gblur", "bilateral", "unsharp", "pixelize", "sobel", "negate", "posterise", "hue", "noise"]

# Overshoot of a whole unsharp mask, in differences from the blurred picture.
_SHARPNESS = 1.5
# Edges are looked for at this part of `size`, and this much of a full step over it is white.
_EDGE_GAIN = 1.5
# Planes that are blurred are shrunk until the standard deviation is below this many samples.
_SMALL_SIGMA = 3.0


class FilterParams(MaskedParams):
    """Parameters of filter."""

    kind: Kind = Field("gblur", description="Which filter.")
    size: float = Field(
        0.03,
        ge=0.002,
        le=0.25,
        description="In longer sides of the face's box: standard deviation (gblur, bilateral), "
        "matrix (unsharp, at most 13 px), cell (pixelize), width of a line (sobel).",
    )
    contrast: float = Field(
        0.1,
        ge=0.01,
        le=0.5,
        description="As a part of black to white: steps that bilateral smooths away, amount of noise.",
    )
    levels: int = Field(6, ge=2, le=32, description="Shades that posterise leaves; it keeps the colours.")
    angle: float = Field(60.0, ge=-180.0, le=180.0, description="Degrees by which hue turns the colours.")

    @model_validator(mode="after")
    def _used(self) -> FilterParams:
        """A parameter that the kind does not heed would be changed in vain."""
        heeds = _KINDS[self.kind].heeds
        for name in ("size", "contrast", "levels", "angle"):
            if name not in heeds and getattr(self, name) != type(self).model_fields[name].default:
                heeded = ", ".join(heeds) or "none of them"
                raise ValueError(f"{name} means nothing to kind={self.kind}, which heeds {heeded}")
        return self


@dataclass(frozen=True, slots=True)
class _Samples:
    """What a kind is told of a plane: its codes, and `size` in its own samples, of one field.

    cell: `size` in whole samples, the same in luma as in chroma.
    """

    low: int
    high: int
    size_x: float
    size_y: float
    cell: tuple[int, int]
    seed: int


Recipe = Callable[[FilterParams, _Samples], Sequence[Step]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a kind does with luma, with each chroma plane, or with both of them together (a pair).

    heeds: parameters. grey: the chroma of the new picture is neutral. cells: it works in cells, which lie
    still in the picture while a face stirs. soft: it blurs luma and chroma alike and
    does nothing else, so that planes may be shrunk for it. seeded: it draws from a frame's seed.
    """

    luma: Recipe | None
    chroma: Recipe | None = None
    pair: Recipe | None = None
    heeds: tuple[str, ...] = ("size",)
    grey: bool = False
    cells: bool = False
    soft: bool = False
    seeded: bool = False


def _gblur(_: FilterParams, at: _Samples) -> list[Step]:
    return [gaussian(at.size_x, at.size_y)]


def _bilateral(params: FilterParams, at: _Samples) -> list[Step]:
    return [bilateral((at.size_x + at.size_y) / 2, params.contrast)]


def _unsharp(_: FilterParams, at: _Samples) -> list[Step]:
    return [sharpen(at.size_x, at.size_y, _SHARPNESS)]


def _pixelize(_: FilterParams, at: _Samples) -> list[Step]:
    return [mosaic(*at.cell)]


def _sobel(_: FilterParams, at: _Samples) -> list[Step]:
    # A line as wide as asked at any resolution; Sobel's weights add up to 8 differences.
    return [gaussian(at.size_x / 4, at.size_y / 4), edges(_EDGE_GAIN * max(at.size_x, at.size_y) / 8)]


def _negate(_: FilterParams, at: _Samples) -> list[Step]:
    return [mirror(at.low, at.high)]


def _posterise(params: FilterParams, at: _Samples) -> list[Step]:
    return [levels(at.low, at.high, params.levels)]


def _hue(params: FilterParams, _: _Samples) -> list[Step]:
    return [turn_hue(params.angle)]


def _noise(params: FilterParams, at: _Samples) -> list[Step]:
    return [grain(100 * params.contrast, at.seed)]


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "gblur": _Kind(_gblur, _gblur, soft=True),
        "bilateral": _Kind(_bilateral, _bilateral, heeds=("size", "contrast")),
        "unsharp": _Kind(_unsharp),
        "pixelize": _Kind(_pixelize, _pixelize, cells=True),
        "sobel": _Kind(_sobel, grey=True),
        "negate": _Kind(_negate, _negate, heeds=()),
        "posterise": _Kind(_posterise, heeds=("levels",)),
        "hue": _Kind(None, pair=_hue, heeds=("angle",)),
        "noise": _Kind(_noise, heeds=("contrast",), seeded=True),
    }
)


class Filter(MaskedEffect):
    """Run one of FFmpeg's filters on the face: blurs, sharpening, mosaic, edges, negative, hue, grain.

    Cosmetic: to hide who somebody is, use solid. Fields of an interlaced picture are filtered each by itself.
    """

    name = "filter"
    family = "colour"
    caution = (
        "Cosmetic only: what a filter has blurred can be recognised. To hide who somebody is, use solid."
    )
    Params = FilterParams
    params: FilterParams

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Ask the linked FFmpeg for the filter.

        Raises EffectError where it was built without.
        """
        assert isinstance(params, FilterParams)
        _check(params)
        return params

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Ask again: this may be another machine.

        Raises EffectError.
        """
        super().prepare(format, seed)
        _check(self.params)
        self._graphs = FilterGraphs()

    def close(self) -> None:
        """Let go of the graphs."""
        self._graphs.close()

    def paint(self, planes: Planes3, patch: Patch, face: Face) -> Sequence[Plane | None]:
        """Filter each plane, or both chroma planes together."""
        kind = _KINDS[self.params.kind]
        if kind.soft and kind.luma:
            return self._softened(kind.luma, planes, face)
        new: list[Plane | None] = [None]
        if kind.luma:
            new = [*self._filtered(kind.luma, planes[:1], patch, face)]
        if len(planes) == 1:
            return new
        if kind.grey:
            return [*new, *(np.full_like(plane, self.format.color.neutral) for plane in planes[1:])]
        if kind.pair:
            # Three planes of one size, whatever the subsampling; what comes back first is not looked at.
            _, *both = self._filtered(kind.pair, (planes[1], *planes[1:]), patch, face, chroma=True)
            return [*new, *both]
        if kind.chroma:
            for plane in planes[1:]:
                new += self._filtered(kind.chroma, (plane,), patch, face, chroma=True)
        return new

    def _softened(self, recipe: Recipe, planes: Planes3, face: Face) -> Sequence[Plane]:
        """Blur planes that are shrunk before and grown after; in one go where all are as small."""
        fields = 2 if self.format.field_order else 1
        sizes = [self._samples(face, fields, chroma=i > 0) for i in range(min(len(planes), 2))]

        def blur(views: Planes3) -> Sequence[Plane]:
            small, left, times = zip(
                *(_shrunk(view, sizes[min(i, 1)]) for i, view in enumerate(views)), strict=True
            )
            if len(views) == 3 and small[0].shape == small[1].shape:
                done = self._run(recipe(self.params, left[0]), small, (0, 0))
            else:
                parts = zip(small, left, strict=True)
                done = [self._run(recipe(self.params, at), [part], (0, 0))[0] for part, at in parts]
            return [_grown(*each) for each in zip(done, times, views, strict=True)]

        return _by_field(planes, fields, blur)

    def _filtered(
        self, recipe: Recipe, planes: Planes3, patch: Patch, face: Face, *, chroma: bool = False
    ) -> Sequence[Plane]:
        fields = 2 if self.format.field_order else 1
        at = self._samples(face, fields, chroma)
        steps, corner = recipe(self.params, at), self._corner(patch, at, fields, chroma)
        return _by_field(planes, fields, lambda views: self._run(steps, views, corner))

    def _run(self, steps: Sequence[Step], planes: Planes3, corner: tuple[int, int]) -> Sequence[Plane]:
        """Run a graph on planes that begin so many samples after the corner of a cell."""
        left, top = corner
        if left or top:
            planes = [cv2.copyMakeBorder(plane, top, 0, left, 0, cv2.BORDER_REPLICATE) for plane in planes]
        done = self._graphs.run(steps, planes, self.format.pixels.depth)
        return [plane[top:, left:] for plane in done]

    def _corner(self, patch: Patch, at: _Samples, fields: int, chroma: bool) -> tuple[int, int]:
        if not _KINDS[self.params.kind].cells:
            return 0, 0
        step_x, step_y = self._steps(chroma)
        return patch.x // step_x % at.cell[0], patch.y // (step_y * fields) % at.cell[1]

    def _samples(self, face: Face, fields: int, chroma: bool) -> _Samples:
        x0, y0, x1, y1 = face.xyxy
        size, color = self.params.size * max(x1 - x0, y1 - y0), self.format.color
        step_x, step_y = self._steps(chroma)
        coarse_x, coarse_y = self._steps(chroma=True)
        cell_x, cell_y = (max(round(size / step), 1) * step for step in (coarse_x, coarse_y * fields))
        return _Samples(
            *(color.chroma_range if chroma else color.luma_range),
            size_x=size / step_x,
            size_y=size / (step_y * fields),
            cell=(cell_x // step_x, cell_y // (step_y * fields)),
            seed=self._frame_seed(face) if _KINDS[self.params.kind].seeded else 0,
        )

    def _steps(self, chroma: bool) -> tuple[int, int]:
        """Luma pixels between samples."""
        pixels = self.format.pixels
        return (1 << pixels.shift_x, 1 << pixels.shift_y) if chroma else (1, 1)

    def _frame_seed(self, face: Face) -> int:
        """31 bits of a person and a moment: grain is new in every frame, and the same when made again."""
        return (self.track_seed(face.track_id) ^ (face.pts * 0x9E3779B97F4A7C15)) >> 16 & 0x7FFFFFFF


def _by_field(planes: Planes3, fields: int, make: Callable[[Planes3], Sequence[Plane]]) -> Sequence[Plane]:
    """What is made of each field's lines, where there are two fields and as many lines."""
    if fields == 1 or planes[0].shape[0] < 2 or planes[-1].shape[0] < 2:
        return make(planes)
    new = [np.empty_like(plane) for plane in planes]
    for i in range(fields):
        for target, done in zip(new, make([plane[i::fields] for plane in planes]), strict=True):
            target[i::fields] = done
    return new


def _shrunk(plane: Plane, at: _Samples) -> tuple[Plane, _Samples, int]:
    """A plane halved until a blur of `size` is small on it; what of that is left to do; times it was wider.

    On the whole plane such a blur costs a multiple, and looks the same.
    """
    across, down, times = at.size_x, at.size_y, 1
    while min(across, down) >= _SMALL_SIGMA and min(plane.shape) > 2:
        rows, columns = plane.shape
        if rows % 2 or columns % 2:
            plane = cv2.copyMakeBorder(plane, 0, rows % 2, 0, columns % 2, cv2.BORDER_REPLICATE)
        # Both axes at once: OpenCV's path for one axis alone is fifty times slower.
        plane = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        across, down, times = across / 2, down / 2, times * 2
    # Averaging squares and growing linearly blur too: by variances of 1/12 and 1/6 of a small sample.
    done = (1 - 1 / times**2) / 4
    left = replace(at, size_x=math.sqrt(across**2 - done), size_y=math.sqrt(down**2 - done))
    return plane, left, times


def _grown(small: Plane, times: int, like: Plane) -> Plane:
    """Undo _shrunk: as large as another plane."""
    if times == 1:
        return small
    size = small.shape[1] * times, small.shape[0] * times
    whole = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole[: like.shape[0], : like.shape[1]])


def _check(params: FilterParams) -> None:
    """Make the kind's steps once, and see whether FFmpeg has their filters."""
    kind, at = _KINDS[params.kind], _Samples(16, 235, 4.0, 4.0, (4, 4), 0)
    recipes = [recipe for recipe in (kind.luma, kind.chroma, kind.pair) if recipe is not None]
    steps = [step for recipe in recipes for step in recipe(params, at)]
    check_filters(steps, f"effect filter: kind={params.kind}")
