"""Where a face's skin is: within its oval, away from its features, and of its colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.masks import Grid, Mask, Mesh, Points, soft_mask_with_holes
from facefx.effects.tone import ramp
from facefx.values import Patch

__all__ = ["skin_outline", "skin_weight"]

Small = NDArray[np.float32]

_FEATURES = ("left_eye", "right_eye", "left_brow", "right_brow", "lips_outer")
# The oval of a mesh ends in the middle of the forehead; raised by so much of what it has above the brows,
# it comes near the hairline. Hair and hats beneath it are told apart by colour.
_FOREHEAD_FRAC = 0.6
# Chroma codes (of 8 bits) from the face's mean: skin up to the first, not skin from the second on. Blush
# and shade stay within 20 on our stills; black frames and hair lie beyond 30 on fair skin.
_CHROMA_NEAR, _CHROMA_FAR = 20.0, 34.0
# Luma as a part of the face's mean: not skin up to the first (nostrils, hair, frames), skin from the second.
_DARK, _LIT = 0.3, 0.55


def skin_outline(mesh: Mesh) -> Points:
    """(n, 2) float32: the face's oval raised to the hairline, in pixels of the stored picture."""
    x, y = mesh.outline("face_oval").T
    # Plain numbers: on arrays of two it takes three times as long.
    left_x, left_y = mesh.middle("left_brow").tolist()
    right_x, right_y = mesh.middle("right_brow").tolist()
    brows_x, brows_y = (left_x + right_x) / 2, (left_y + right_y) / 2
    lips_x, lips_y = mesh.middle("lips_outer").tolist()
    up_x, up_y = brows_x - lips_x, brows_y - lips_y
    long = max(math.hypot(up_x, up_y), 1.0)
    up_x, up_y = up_x / long, up_y / long
    above = x * np.float32(up_x)
    above += y * np.float32(up_y)
    above -= np.float32(brows_x * up_x + brows_y * up_y)
    np.maximum(above, 0, out=above)
    above *= np.float32(_FOREHEAD_FRAC)
    outline = np.empty((2, len(x)), np.float32)
    np.multiply(above, np.float32(up_x), out=outline[0])
    np.multiply(above, np.float32(up_y), out=outline[1])
    outline[0] += x
    outline[1] += y
    return outline.T


def skin_weight(
    mesh: Mesh,
    outline: Points,
    patch: Patch,
    luma: Small,
    grid: Grid,
    sigma: float,
    chroma: Sequence[Small] | None = None,
) -> Small:
    """Return (height, width) float32 of a grid, 0..1: how much of each sample is skin.

    It is exactly 0 outside the face and on eyes, brows and lips. outline: of the skin. luma: the patch's
    luma on that grid, in codes. sigma: of the fades at the outlines, in luma pixels. chroma: the same of U
    and V, where they are at hand; they are only read.
    """
    features = [mesh.outline(name) for name in _FEATURES]
    weight = soft_mask_with_holes(outline, features, grid, sigma) * np.float32(1 / 255)
    total = cv2.sumElems(weight)[0]
    if not total:
        return np.asarray(weight)
    black = patch.format.color.luma_range[0]
    mean = max(float(np.vdot(luma, weight)) / total - black, 1.0)
    lit = ramp(luma, black + _DARK * mean, black + _LIT * mean)
    cv2.multiply(weight, lit, dst=weight, scale=1 / 255, dtype=cv2.CV_32F)
    gate = _chroma_gate(patch, weight, _chroma(patch, grid) if chroma is None else chroma)
    if gate is not None:
        cv2.multiply(weight, gate, dst=weight, scale=1 / 255, dtype=cv2.CV_32F)
    return np.asarray(weight)


def _chroma_gate(patch: Patch, weight: Small, planes: Sequence[Small]) -> Mask | None:
    """0..255: how near each sample's colour is to the mean of those that have weight; None for gray."""
    total = cv2.sumElems(weight)[0]
    if not planes or not total:
        return None
    apart = [plane - np.float32(float(np.vdot(plane, weight)) / total) for plane in planes]
    unit = 1 << (patch.format.color.depth - 8)
    return ramp(cv2.magnitude(*apart), _CHROMA_FAR * unit, _CHROMA_NEAR * unit)


def _chroma(patch: Patch, grid: Grid) -> list[Small]:
    """U and V of a patch on a grid; [] for gray."""
    planes: list[NDArray[Any]] = []
    for plane in patch.planes[1:]:
        small = _on_grid(plane, patch, grid)
        planes += [small] if small.ndim == 2 else list(cv2.split(small))
    return planes


def _on_grid(plane: NDArray[Any], patch: Patch, grid: Grid) -> NDArray[Any]:
    """A chroma plane of a patch as float32 means on a grid, which may reach beyond it.

    A picture of odd size ends within a chroma sample and within a square of the grid: the last row and
    column are repeated to fill them, so that the rest is not stretched.
    """
    pixels, (rows, columns) = patch.format.pixels, plane.shape[:2]
    across, down = (int(grid.width * grid.step_x), int(grid.height * grid.step_y))
    right = -(-across >> pixels.shift_x) - columns
    below = -(-down >> pixels.shift_y) - rows
    if right or below:
        plane = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (
        (columns + right << pixels.shift_x) // int(grid.step_x),
        (rows + below << pixels.shift_y) // int(grid.step_y),
    )
    small = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small[: grid.height, : grid.width])
