"""The outline of a face: what of a patch is replaced, by how much, in every plane.

Between an inner and an outer edge the mask fades; the inner edge never lies within the face, so the
face itself is always replaced whole. A chroma sample counts as inside where any luma pixel that
it colours is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facefx.effects.effect import Rectangle
from facefx.errors import ShapeError
from facefx.values import Patch, StreamFormat

__all__ = [
    "MAX_AREA_RATIO",
    "Outline",
    "Shape",
    "bounded_growth",
    "face_outline",
    "fade_width",
    "frame_outline",
    "is_empty",
]

Shape = Literal["ellipse", "box", "oval", "frame"]
Mask = NDArray[np.uint8]

MAX_AREA_RATIO = 2.5
"""A changed rectangle, its edges on the chroma grid, is at most so many times its face's box.

Only a box that the grid alone widens beyond it (below about 6 px) may get more: it must be covered.
The shape "frame" is exempt: it is asked for.
"""

# Half a pixel's diagonal: an edge this far outside the face leaves out no pixel that touches it.
_CORE_MARGIN_PX = 0.75
# The fade has room for a smooth edge drawn in its middle, and is wide enough for the mask's 16 bits.
_MIN_FADE_PX = 1.5
_MIN_FADE_FRAC = 0.01


@dataclass(frozen=True, slots=True)
class Outline:
    """An ellipse or, for any other shape, a box in luma pixels of the stored picture.

    inner, outer: half widths and half heights; at the inner edge and within all is replaced, at
    the outer edge and beyond nothing is.
    """

    shape: Shape
    centre: tuple[float, float]
    inner: tuple[float, float]
    outer: tuple[float, float]

    @property
    def xyxy(self) -> Rectangle:
        """The box around the outer edge."""
        (x, y), (half_x, half_y) = self.centre, self.outer
        return x - half_x, y - half_y, x + half_x, y + half_y

    def masks(self, patch: Patch) -> tuple[Mask, ...]:
        """The masks of luma and, where there is chroma, of a chroma plane."""
        if len(patch.planes) == 1:
            return (self.luma_mask(patch),)
        return self.luma_mask(patch), self.chroma_mask(patch)

    def luma_mask(self, patch: Patch) -> Mask:
        """Return (h, w) uint8 for the patch's luma: 255 = replaced, 0 = left alone."""
        dx = _distances(patch.x, patch.width, self.centre[0], 0)
        dy = _distances(patch.y, patch.height, self.centre[1], 0)
        return self._mask(dx, dy)

    def chroma_mask(self, patch: Patch) -> Mask:
        """Return the same for a chroma plane: at least the most of the luma pixels under each sample."""
        pixels = patch.format.pixels
        columns, rows = pixels.chroma_size(patch.width, patch.height)
        paired = bool(patch.format.field_order) and pixels.shift_y == 1
        dx = _distances(patch.x, columns, self.centre[0], pixels.shift_x)
        dy = _distances(patch.y, rows, self.centre[1], pixels.shift_y, paired)
        return self._mask(dx, dy)

    def _mask(self, dx: NDArray[np.float32], dy: NDArray[np.float32]) -> Mask:
        (inner_x, inner_y), (outer_x, outer_y) = self.inner, self.outer
        if self.shape != "ellipse":
            across = np.clip((outer_x - dx) * (255 / (outer_x - inner_x)), 0, 255).astype(np.uint8)
            down = np.clip((outer_y - dy) * (255 / (outer_y - inner_y)), 0, 255).astype(np.uint8)
            return np.asarray(np.minimum(across[None, :], down[:, None]))
        # 255 · (1 − r²) / (1 − r_inner²), clipped; r² is a sum, so it costs one subtraction a pixel.
        inner_r2 = max(inner_x / outer_x, inner_y / outer_y) ** 2
        slope = 255 / (1 - inner_r2)
        # Beyond 1.2 the result is 0 anyway, and below it the 16 bits suffice.
        across_i = np.minimum((dx / outer_x) ** 2, 1.2) * slope
        down_i = (1 - np.minimum((dy / outer_y) ** 2, 1.2)) * slope
        # Round in favour of the mask, so that the inner edge itself has 255.
        level = np.ceil(down_i).astype(np.int16)[:, None] - np.floor(across_i).astype(np.int16)[None, :]
        np.clip(level, 0, 255, out=level)  # a maximum and a minimum would take ten times as long
        return np.asarray(level, np.uint8)


def _distances(
    origin: int, count: int, centre: float, shift: int, paired: bool = False
) -> NDArray[np.float32]:
    """How far the nearest luma pixel under each sample lies from the centre, along one axis.

    paired: lines of interlaced 4:2:0, where two chroma lines belong to the same four luma lines.
    """
    index = np.arange(count, dtype=np.float32)
    if paired:
        index, shift = np.floor(index / 2), shift + 1
    step = 1 << shift
    position = index * step + (origin + step / 2 - centre)
    return np.asarray(np.maximum(np.abs(position) - (step - 1) / 2, 0), np.float32)


def is_empty(xyxy: Rectangle) -> bool:
    """True for a box without area.

    Raises ShapeError for a box that is not finite: whoever hides faces must not pass over it.
    """
    if not all(map(math.isfinite, xyxy)):
        raise ShapeError(f"a face's box must be finite, got {xyxy}")
    return xyxy[2] <= xyxy[0] or xyxy[3] <= xyxy[1]


def bounded_growth(width: float, height: float, grow: float, format: StreamFormat) -> float:
    """The growth that keeps the changed rectangle within MAX_AREA_RATIO, at most `grow`, at least 1.

    It assumes the worst place on the chroma grid, so that a face that moves does not pulsate.
    """
    # Widening to the grid adds less than one step at either edge: (w·s + 2·sx)(h·s + 2·sy) = limit.
    add_x, add_y = 2 * format.column_step, 2 * format.line_step
    a = width * height
    b = width * add_y + height * add_x
    c = add_x * add_y - MAX_AREA_RATIO * a
    if c >= 0:
        return 1.0
    return max(1.0, min(grow, (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)))


def face_outline(xyxy: Rectangle, shape: Shape, grow: float, feather: float, format: StreamFormat) -> Outline:
    """Lay an outline about a face's box: the face whole, grown as far as allowed, faded outside it.

    feather: width of the fade as a fraction of the box's longer side; cut where it would reach the face.
    """
    x0, y0, x1, y1 = xyxy
    width, height = x1 - x0, y1 - y0
    half = bounded_growth(width, height, grow, format) / 2
    fade = fade_width(xyxy, feather)
    inner_x, outer_x = _edges(width, half * width, fade)
    inner_y, outer_y = _edges(height, half * height, fade)
    return Outline(shape, ((x0 + x1) / 2, (y0 + y1) / 2), (inner_x, inner_y), (outer_x, outer_y))


def fade_width(xyxy: Rectangle, feather: float) -> float:
    """The width in luma pixels of an edge with that feather about a face's box."""
    side = max(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1])
    return max(feather * side, _MIN_FADE_PX, _MIN_FADE_FRAC * side)


def frame_outline(format: StreamFormat) -> Outline:
    """The outline that holds the whole picture; no edge of it lies within."""
    width, height = float(format.width), float(format.height)
    return Outline("frame", (width / 2, height / 2), (width, height), (2 * width, 2 * height))


def _edges(size: float, outer: float, fade: float) -> tuple[float, float]:
    """(inner, outer) half extents; a face without room to grow is covered hard."""
    inner = max(size / 2 + _CORE_MARGIN_PX, outer - fade)
    return inner, max(outer, inner + max(_MIN_FADE_PX, _MIN_FADE_FRAC * inner))
