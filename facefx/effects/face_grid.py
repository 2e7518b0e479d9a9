"""One grid for a whole face, and what all effects of a chain that care about skin see on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.drawing import FRACTION_BITS, fixed_corners
from facefx.effects.effect import Rectangle
from facefx.effects.guided import Small, blurred, shrink, split
from facefx.effects.kernels import window
from facefx.effects.masks import Grid, Mask, Mesh, Points, grid_step
from facefx.effects.shared import Shared
from facefx.effects.skin import skin_outline, skin_weight
from facefx.effects.tone import ramp, stepwise
from facefx.values import Face, Patch, StreamFormat

__all__ = [
    "FaceGrid",
    "FaceSkin",
    "chroma_on",
    "face_grid",
    "face_skin",
    "fine_texture",
    "grown",
    "luma_on",
    "on_squares",
    "present",
    "skin_key",
    "skin_mask",
    "small_luma",
    "soft_skin",
    "wide_mask",
    "wide_masks",
]

# Lengths below are in face diameters (Mesh.size), which are a little more than a face is wide.

# The grid has squares of pixels, at least so many across a face.
_FACE_SAMPLES = 64
# A smaller face has no skin to see: nothing is done up to the first, and all from the second on.
_NO_SIZE_PX, _FULL_SIZE_PX = 24.0, 40.0
# Fade at the edges of the skin: so long, and so many of the grid's squares at least, so that a
# square that is grown again reaches no pixel of the other side.
_FADE, _FADE_SQUARES = 0.02, 1.25
# Towards the outline, a change of tone fades over two and a half of these.
_GENTLE = 0.06
# A wide mask is drawn on so many lines a square.
_PARTS = 2
# Texture below about this size is pores and grain.
_FINE = 0.01


@dataclass(frozen=True, slots=True)
class FaceGrid:
    """Where the skin of a face is looked at.

    outline: of the skin. step: luma pixels that a square is wide and high. presence: 0..1, how much of an
    effect a face of this size gets. region: xyxy of the outline's box on whole squares.
    """

    mesh: Mesh
    outline: Points
    step: int
    presence: float
    region: Rectangle

    @property
    def fade(self) -> float:
        """Sigma of the fades at the edges of the skin, in luma pixels."""
        return max(_FADE * self.mesh.size, _FADE_SQUARES * self.step)


@dataclass(frozen=True, slots=True)
class FaceSkin:
    """The skin of a face that a patch holds.

    part: views of the patch. weight: (height, width) of the grid, 0..1. luma, chroma: the face on the grid,
    without its finest texture, as it was before any colour effect; chroma is [] for gray. They belong to all
    who share them.
    """

    part: Patch
    grid: Grid
    weight: Small
    luma: Small
    chroma: Sequence[Small]

    def around(self, points: Points, margin: float) -> FaceSkin | None:
        """The same about some points and a margin in luma pixels; None if the patch holds none of it."""
        part, step = self.part, int(self.grid.step_x)
        x0, y0, x1, y1 = on_squares(points, step, part.format, margin)
        box = max(x0, part.x), max(y0, part.y), min(x1, part.x + part.width), min(y1, part.y + part.height)
        rectangle = Patch.rectangle(part.format, box) if box[0] < box[2] and box[1] < box[3] else None
        if rectangle is None:
            return None
        inner = window(part, rectangle)
        grid = Grid.shrunk(inner, step)
        top, left = (inner.y - part.y) // step, (inner.x - part.x) // step
        inside = slice(top, top + grid.height), slice(left, left + grid.width)
        chroma = [plane[inside] for plane in self.chroma]
        return FaceSkin(inner, grid, self.weight[inside], self.luma[inside], chroma)


def face_grid(shared: Shared, face: Face, format: StreamFormat) -> FaceGrid:
    """Lay out a face's grid, once for a chain.

    Raises EffectError, as Mesh does.
    """
    return shared.get(face, "face grid", lambda: _laid_out(shared.mesh(face), format))


def _laid_out(mesh: Mesh, format: StreamFormat) -> FaceGrid:
    outline = skin_outline(mesh)
    step = grid_step(mesh.size, _FACE_SAMPLES, first=2 if format.field_order else 1)
    return FaceGrid(mesh, outline, step, present(mesh), on_squares(outline, step, format))


def present(mesh: Mesh) -> float:
    """0..1: how much of an effect on skin a face of this size gets."""
    return stepwise(mesh.size, _NO_SIZE_PX, _FULL_SIZE_PX)


def on_squares(points: Points, step: int, format: StreamFormat, margin: float = 0.0) -> Rectangle:
    """Return the xyxy of points and a margin, its edges on squares that are fixed to the picture.

    So that nothing shimmers where a face moves by less than a square.
    """
    step_x, step_y = max(step, format.column_step), max(step, format.line_step)
    # Of a few dozen points, plain numbers are found in a quarter of the time.
    across, down = points[:, 0].tolist(), points[:, 1].tolist()
    left, top, right, bottom = min(across), min(down), max(across), max(down)
    return (
        (left - margin) // step_x * step_x,
        (top - margin) // step_y * step_y,
        -(-(right + margin) // step_x) * step_x,
        -(-(bottom + margin) // step_y) * step_y,
    )


def fine_texture(size: float, step: int) -> float:
    """Sigma, in squares, of what takes pores and grain off a copy that is shrunk to squares already."""
    # Shrinking and growing have taken half a square's worth of the finest texture.
    return math.sqrt(max((_FINE * size / step) ** 2 - 0.25, 0))


def skin_key(patch: Patch) -> tuple[str, Patch]:
    """Under this the weight of a patch's skin is shared: that of the face before any colour effect.

    The patch itself is in it, so that it cannot be taken for that of another picture.
    """
    return "skin", patch


def face_skin(shared: Shared, face: Face, patch: Patch, luma: Small | None = None) -> FaceSkin | None:
    """Tell a face's skin from all else, once for a chain; None where the patch holds none.

    patch: as the chain gives it to all its effects, covering FaceGrid.region. luma: small_luma of its part,
    where that is at hand.

    Raises EffectError, as Mesh does.
    """
    place = face_grid(shared, face, patch.format)
    rectangle = Patch.rectangle(patch.format, place.region)
    if rectangle is None:
        return None
    part = window(patch, rectangle)
    grid = Grid.shrunk(part, place.step)

    def make() -> tuple[Small, list[Small]]:
        return small_luma(part, grid, place.mesh.size) if luma is None else luma, chroma_on(part, grid)

    whole, chroma = shared.get(face, ("small", patch), make)

    def weigh() -> Small:
        return skin_weight(place.mesh, place.outline, part, whole, grid, place.fade, chroma)

    return FaceSkin(part, grid, shared.get(face, skin_key(patch), weigh), whole, chroma)


def small_luma(part: Patch, grid: Grid, size: float) -> Small:
    """Return a patch's luma on a grid of squares, without the finest texture; of both fields."""
    step, fields = int(grid.step_x), 2 if part.format.field_order else 1
    fine = fine_texture(size, step)
    coarses = [
        blurred(shrink(part.planes[0][i::fields], step, step // fields, grid.size), fine)
        for i in range(fields)
    ]
    return coarses[0] if fields == 1 else (coarses[0] + coarses[1]) * np.float32(0.5)


def soft_skin(shared: Shared, face: Face, patch: Patch, skin: FaceSkin) -> Small:
    """Return the weight of the skin, falling gently towards the outline, once for a chain.

    For what changes the tone of a whole face, which would else look like a mask before the ears and neck.
    """

    def make() -> Small:
        place = face_grid(shared, face, patch.format)
        # Four squares in one: it is that smooth, and costs a tenth.
        coarse = Grid.shrunk(skin.part, 4 * place.step)
        within = wide_mask([place.outline], coarse, _GENTLE * place.mesh.size)
        size = 4 * coarse.width, 4 * coarse.height
        within = cv2.resize(within, size, interpolation=cv2.INTER_LINEAR)
        within = within[: skin.grid.height, : skin.grid.width]
        gentle = ramp(within, 0.5, 1.0)
        return np.asarray(cv2.multiply(skin.weight, gentle, scale=1 / 255, dtype=cv2.CV_32F))

    return shared.get(face, ("soft skin", patch), make)


def skin_mask(shared: Shared, face: Face, patch: Patch, skin: FaceSkin, plane: int) -> Mask:
    """Return soft_skin on a plane's samples, 0..255, once for a chain; nobody may change it."""

    def make() -> Mask:
        # OpenCV grows floats in half of the time that it takes for bytes.
        weight = grown(soft_skin(shared, face, patch, skin), skin.grid, skin.part, plane)
        return np.asarray(cv2.convertScaleAbs(weight, alpha=255), np.uint8)

    return shared.get(face, ("skin mask", patch, min(plane, 1)), make)


def grown(small: NDArray[Any], grid: Grid, part: Patch, plane: int) -> NDArray[Any]:
    """Bring values on a grid of squares to the samples of one of a patch's planes: 0 is luma.

    small: (height, width) of the grid, which must begin where the patch does.
    """
    pixels, (rows, columns) = part.format.pixels, part.planes[min(plane, 1)].shape[:2]
    shift_x, shift_y = (pixels.shift_x, pixels.shift_y) if plane else (0, 0)
    step = int(grid.step_x)
    # Chroma samples that are wider than squares need whole numbers of them.
    right, below = -small.shape[1] % -(-(1 << shift_x) // step), -small.shape[0] % -(-(1 << shift_y) // step)
    if right or below:
        small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = small.shape[1] * step >> shift_x, small.shape[0] * step >> shift_y
    if size == (small.shape[1], small.shape[0]):
        return small[:rows, :columns]
    shrinks = size[0] < small.shape[1] or size[1] < small.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(small, size, interpolation=how)[:rows, :columns])


def wide_mask(outlines: Sequence[Points], grid: Grid, sigma: float) -> Small:
    """Return (height, width) of a grid, 0..1: how much lies within outlines, blurred.

    sigma: of the blur, in luma pixels. For fades that are at least two squares wide: there it is as steady
    as soft_masks, a quarter square wider, and costs a quarter.
    """
    return wide_masks([outlines], grid, sigma)[0]


def wide_masks(regions: Sequence[Sequence[Points]], grid: Grid, sigma: float) -> list[Small]:
    """Return wide_mask of each of up to four regions that lie apart, all drawn in one go."""
    count = len(regions)
    drawn = np.zeros((grid.height * _PARTS, grid.width * _PARTS, count), np.uint8)
    corners = fixed_corners([outline for region in regions for outline in region], grid.matrix, _PARTS)
    for i, region in enumerate(regions):
        colour = [255 if channel == i else 0 for channel in range(count)]
        # Antialiased, for hard edges would jump from line to line.
        cv2.fillPoly(drawn, [next(corners) for _ in region], colour, cv2.LINE_AA, FRACTION_BITS)
    small = cv2.resize(drawn, grid.size, interpolation=cv2.INTER_AREA)
    masks = blurred(small * np.float32(1 / 255), sigma / grid.step_x)
    return [masks] if count == 1 else split(masks)


def luma_on(part: Patch, grid: Grid) -> Small:
    """Return a patch's luma on a grid of squares that begins where it does."""
    step = int(grid.step_x)
    return shrink(part.planes[0], step, step, grid.size)


def chroma_on(part: Patch, grid: Grid) -> list[Small]:
    """Return a patch's U and V on a grid of squares that begins where it does; [] for gray."""
    pixels = part.format.pixels
    planes: list[NDArray[Any]] = list(part.planes[1:])
    step, wide, high = int(grid.step_x), 1 << pixels.shift_x, 1 << pixels.shift_y
    if pixels.layout == "semiplanar":
        planes = list(cv2.split(planes[0]))
    how = cv2.INTER_AREA if step >= max(wide, high) else cv2.INTER_LINEAR
    found = []
    for plane in planes:
        rows, columns = plane.shape
        # A picture of odd size ends within a sample: the last ones are repeated to fill the grid.
        right, below = -(-grid.width * step // wide) - columns, -(-grid.height * step // high) - rows
        if right > 0 or below > 0:
            plane = cv2.copyMakeBorder(plane, 0, max(below, 0), 0, max(right, 0), cv2.BORDER_REPLICATE)
        size = plane.shape[1] * wide // step, plane.shape[0] * high // step
        if how == cv2.INTER_AREA and size == (plane.shape[1] // 2, plane.shape[0] // 2):
            # Means of four codes in a tenth of the time; half a code more or less is nothing here.
            plane = cv2.resize(plane, size, interpolation=how)
        small = plane.astype(np.float32)
        if size != (small.shape[1], small.shape[0]):
            small = cv2.resize(small, size, interpolation=how)
        found.append(np.asarray(small[: grid.height, : grid.width]))
    return found
