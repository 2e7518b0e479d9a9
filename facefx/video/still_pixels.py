"""RGB and grey photos as planes that effects can edit, and what the effects changed put back.

Eight-bit RGB goes through 10-bit Y'CbCr 4:4:4 of full range and comes back exactly, so that a pixel that
no effect changed keeps its very samples. Of 16 bits the upper ten are edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.values import Color, Patch, PixelFormat, Planes

__all__ = ["Samples", "pasted_samples", "planes_of", "to_ycbcr"]

Samples = NDArray[Any]
"""(h, w, 1) grey or (h, w, 3) red, green, blue; uint8 or uint16."""

_STRIP = 256


def planes_of(samples: Samples) -> tuple[PixelFormat, Color, Planes]:
    """Return samples as planes of their own, with what their codes mean."""
    deep = samples.dtype != np.uint8
    if samples.shape[2] == 1:
        name, depth = ("gray10le", 10) if deep else ("gray", 8)
        plane = _to_ten_bits(samples[..., 0]) if deep else samples[..., 0].copy()
        return PixelFormat.of(name), _full_range(depth), (plane,)
    planes = to_ycbcr(samples, 10)
    return PixelFormat.of("yuv444p10le"), _full_range(10), planes


def _full_range(depth: int) -> Color:
    return Color("bt601", full_range=True, depth=depth, range_tag=2)


def _to_ten_bits(plane: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((plane.astype(np.uint32) * 1023 + 32767) // 65535, "<u2")


def to_ycbcr(samples: Samples, depth: int) -> Planes:
    """Convert (h, w, 3) to full-range planes of that depth, strip by strip.

    Source: ITU-T H.273 §8.3, the matrix of BT.601, as JFIF prescribes for eight bits.
    """
    color = _full_range(depth)
    red, blue = color.luma_weights
    weights = np.array([red, 1 - red - blue, blue], np.float32) * (color.peak / np.iinfo(samples.dtype).max)
    planes = tuple(np.empty(samples.shape[:2], "u1" if depth == 8 else "<u2") for _ in range(3))
    for top in range(0, len(samples), _STRIP):
        rows = slice(top, top + _STRIP)
        parts = samples[rows].astype(np.float32)
        luma = parts @ weights
        scale = np.float32(color.peak / np.iinfo(samples.dtype).max)
        u = color.neutral + (parts[..., 2] * scale - luma) / np.float32(2 * (1 - blue))
        v = color.neutral + (parts[..., 0] * scale - luma) / np.float32(2 * (1 - red))
        for plane, values in zip(planes, (luma, u, v), strict=True):
            plane[rows] = np.clip(np.rint(values), 0, color.peak)
    return planes


def _to_samples(planes: Planes, dtype: np.dtype[Any]) -> Samples:
    """Convert planes that planes_of made back to (h, w, c)."""
    peak = np.iinfo(dtype).max
    if len(planes) == 1:
        scale = 1.0 if planes[0].dtype == np.uint8 else peak / 1023
        return np.asarray(np.rint(planes[0] * scale), dtype)[..., None]
    color = _full_range(10)
    red, blue = color.luma_weights
    y, u, v = (plane.astype(np.float32) for plane in planes)
    u, v = u - color.neutral, v - color.neutral
    r, b = y + np.float32(2 * (1 - red)) * v, y + np.float32(2 * (1 - blue)) * u
    g = (y - np.float32(red) * r - np.float32(blue) * b) / np.float32(1 - red - blue)
    parts = np.stack([r, g, b], axis=-1) * np.float32(peak / color.peak)
    return np.asarray(np.clip(np.rint(parts), 0, peak), dtype)


def pasted_samples(samples: Samples, planes: Planes, patches: Sequence[Patch], whole: bool) -> Samples:
    """Return new samples: a pixel that a patch changed has its colour, any other keeps its own.

    planes: what planes_of made of the samples, as the patches were cut from. whole: convert all pixels of
    the patches; where a face is hidden in more than ten bits, none may keep its lowest ones.
    """
    out = samples.copy()
    edited = tuple(plane.copy() for plane in planes)
    for patch in patches:
        patch.paste(edited)
    for patch in patches:
        area = (slice(patch.y, patch.y + patch.height), slice(patch.x, patch.x + patch.width))
        new = tuple(plane[area] for plane in edited)
        mask = np.full(new[0].shape, whole)
        for plane, before in zip(new, planes, strict=True):
            mask |= plane != before[area]
        out[area][mask] = _to_samples(new, samples.dtype)[mask]
    return out
