"""Colour on a face as pigment: what lies beneath keeps its texture, its means move to the colour.

A region's chroma is shifted by the difference of means, so that its own shades stay. Its luma is scaled about
black where it grows darker, and about white where it grows lighter: both keep the order of codes and the
legal range. All of it is linear in the weight. The fields of an interlaced picture are painted each by
itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.colour import codes
from facefx.effects.guided import blurred, shrink
from facefx.effects.kernels import window
from facefx.effects.tone import add_to
from facefx.values import Color, Patch

__all__ = ["Pigment", "Weight", "closed", "grown", "shade", "tint"]

Plane = NDArray[Any]
Weight = NDArray[np.float32]

# Two codes of 255 and a little.
_CLOSED = 1.01
# A region that has less weight than a tenth of a sample has no mean.
_NO_WEIGHT = 0.1
# Chroma codes (of 8 bits) from neutral: skin and lips have more, but where light is dim or a camera pale.
_VIVID = 20
# Luma above the region's mean, as a part of it, from which on it is a highlight.
_HIGHLIGHT = 0.12


@dataclass(frozen=True, slots=True)
class Pigment:
    """A colour in a stream's codes, and how it behaves.

    luma, u, v: what a region's means become where the weight is 1. lightens: at most so many times as light
    as what lies beneath, so that nothing glows in the dark; where that holds it back, chroma is held back by
    the root of the same. A pale picture gets pale colours, and one without colour none. shine: part of its
    height by which each highlight grows; negative: by which it shrinks.
    """

    luma: float
    u: float
    v: float
    lightens: float = 2.0
    shine: float = 0.0

    @classmethod
    def of(cls, colour: str, color: Color, lightens: float = 2.0, shine: float = 0.0) -> Pigment:
        """Convert an sRGB colour for a stream."""
        luma, u, v = codes(colour, color)
        return cls(luma, u, v, lightens, shine)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One field of a patch, or the whole of a progressive one: views to write to.

    chroma: U and V, or nothing for gray. weight: of luma's samples; chroma_weight: means of it.
    """

    luma: Plane
    chroma: tuple[Plane, ...]
    weight: Weight
    chroma_weight: Weight


def closed(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A soft mask with 255 all over its inside, where its blur may have left it a code short."""
    return np.asarray(cv2.convertScaleAbs(mask, alpha=_CLOSED), np.uint8)


def grown(patch: Patch, small: Weight, step: int) -> tuple[Patch, Weight] | None:
    """The part of a patch that has weight, and the weight of its luma samples; None where nothing has.

    small: of squares of `step` pixels, the first in the patch's corner, which lies on the chroma grid.
    """
    left, top, columns, rows = cv2.boundingRect(cv2.compare(small, 0, cv2.CMP_NE))
    if not rows:
        return None
    each_x = max(patch.format.column_step // step, 1)
    each_y = max(patch.format.line_step // step, 1)
    # One square more on each side: growing reaches half a square beyond those that have weight.
    right = min(-(-(left + columns + 1) // each_x) * each_x, small.shape[1])
    bottom = min(-(-(top + rows + 1) // each_y) * each_y, small.shape[0])
    left, top = max((left - 1) // each_x * each_x, 0), max((top - 1) // each_y * each_y, 0)
    x, y = patch.x + left * step, patch.y + top * step
    x1, y1 = (
        min(patch.x + right * step, patch.x + patch.width),
        min(patch.y + bottom * step, patch.y + patch.height),
    )
    part = small[top:bottom, left:right]
    if step > 1:
        size = (part.shape[1] * step, part.shape[0] * step)
        part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    return window(patch, (x, y, x1, y1)), np.asarray(part[: y1 - y, : x1 - x])


def tint(patch: Patch, weight: Weight, pigment: Pigment, grain_px: float = 0.0) -> None:
    """Paint a patch, in place; samples without weight keep their codes bit for bit.

    weight: (height, width) float32, 0..1. grain_px: sigma below which what stands out is grain, no highlight.
    """
    color = patch.format.color
    for layer in _layers(patch, weight):
        total = cv2.sumElems(layer.weight)[0]
        if total < _NO_WEIGHT:
            continue
        luma = layer.luma.astype(np.float32)
        mean = float(np.vdot(luma, layer.weight)) / total
        slope, pivot, held = _luma_curve(mean, pigment, color)
        change = cv2.addWeighted(luma, slope, luma, 0, -pivot * slope)
        if pigment.shine:
            change += _highlights(luma, mean, grain_px, color) * (pigment.shine * (1 + slope))
        change *= layer.weight
        add_to(layer.luma, luma, change, color.luma_range)
        _tint_chroma(layer, pigment, held, color)


def shade(patch: Patch, change: Weight) -> None:
    """Darken and lighten luma along a curve that keeps black, white and the order of codes, in place.

    change: (height, width) float32, −1..1, darker to lighter; at 1 a middle grey moves by a quarter of the
    range.
    """
    black, white = patch.format.color.luma_range
    luma = patch.planes[0].astype(np.float32)
    curve = cv2.multiply(luma - black, white - luma, scale=1 / (white - black))
    curve *= change
    add_to(patch.planes[0], luma, curve, (black, white))


def _layers(patch: Patch, weight: Weight) -> Iterator[_Layer]:
    pixels = patch.format.pixels
    fields = 2 if patch.format.field_order else 1
    for i in range(fields):
        rows = weight[i::fields]
        if pixels.layout == "semiplanar":
            pairs = patch.planes[1][i::fields]
            chroma: tuple[Plane, ...] = pairs[..., 0], pairs[..., 1]
        else:
            chroma = tuple(plane[i::fields] for plane in patch.planes[1:])
        yield _Layer(patch.planes[0][i::fields], chroma, rows, _chroma_weight(rows, patch, chroma))


def _chroma_weight(weight: Weight, patch: Patch, chroma: tuple[Plane, ...]) -> Weight:
    """The weight of chroma's samples; a field's last luma line may have no chroma of its own."""
    pixels = patch.format.pixels
    if not chroma or not (pixels.shift_x or pixels.shift_y):
        return weight
    rows, columns = chroma[0].shape
    step_x, step_y = 1 << pixels.shift_x, 1 << pixels.shift_y
    return shrink(weight[: rows * step_y], step_x, step_y, (columns, rows))


def _luma_curve(mean: float, pigment: Pigment, color: Color) -> tuple[float, float, float]:
    """(slope, pivot, held): luma changes by slope · (luma − pivot); chroma is held back by a factor."""
    black, white = color.luma_range
    height, wanted = max(mean - black, 1.0), pigment.luma - black
    reached = min(wanted, height * pigment.lightens)
    held = float(np.sqrt(reached / wanted)) if wanted > reached else 1.0
    if reached <= height:
        return reached / height - 1, black, held
    room = max(white - black - height, 1.0)
    return (white - black - reached) / room - 1, white, held


def _tint_chroma(layer: _Layer, pigment: Pigment, held: float, color: Color) -> None:
    total = cv2.sumElems(layer.chroma_weight)[0] if layer.chroma else 0.0
    if total < _NO_WEIGHT:
        return
    samples = [plane.astype(np.float32) for plane in layer.chroma]
    means = [float(np.vdot(each, layer.chroma_weight)) / total - color.neutral for each in samples]
    vivid = math.hypot(*means) / (_VIVID << (color.depth - 8))
    held *= min(vivid, 1.0)
    for plane, old, mean, wanted in zip(layer.chroma, samples, means, (pigment.u, pigment.v), strict=True):
        shift = (wanted - color.neutral) * held - mean
        add_to(plane, old, layer.chroma_weight * shift, color.chroma_range)


def _highlights(luma: Weight, mean: float, sigma: float, color: Color) -> Weight:
    """How far each sample stands out above the mean, without grain: 0 for most."""
    floor = mean + _HIGHLIGHT * max(mean - color.luma_range[0], 0)
    soft = blurred(luma, sigma) - floor
    return np.asarray(np.maximum(soft, 0, out=soft))
