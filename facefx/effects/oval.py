"""The outline of a face by its mesh: it follows a head that tilts, and still holds the box's ellipse.

A mesh may be wrong where a box is right. So what hides a face never trusts it alone: the ellipse of
the box is replaced too, and a mesh that is much larger than its box is left aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.effect import Rectangle
from facefx.effects.masks import Grid, Mesh, Points, soft_mask
from facefx.effects.shapes import MAX_AREA_RATIO, Outline, face_outline, fade_width
from facefx.effects.skin import skin_outline
from facefx.values import Face, Patch, StreamFormat

__all__ = ["Oval", "face_oval"]

Mask = NDArray[np.uint8]

# Half a pixel's diagonal, as for the other outlines.
_CORE_MARGIN_PX = 0.75
# In sigma: the width of a fade, see soft_mask.
_REACH = 5.0
# A fade that is narrower than this is left to the smooth edge of what is drawn.
_SOFT_SIGMA_PX = 1.0
# Sub-pixel bits of OpenCV's drawing functions, and how far they reach.
_SHIFT = 4
_MAX_DRAWN_PX = 16000.0
_FIT_STEPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Oval:
    """A convex outline in luma pixels of the stored picture, united with the ellipse of the face's box.

    corners: (n, 2) float32, within them all is replaced. halfway: the same grown to the middle of the fade,
    whose standard deviation is sigma. xyxy: the box around all of it. core: that ellipse.
    """

    corners: Points
    halfway: Points
    sigma: float
    core: Outline
    xyxy: Rectangle

    def masks(self, patch: Patch) -> tuple[Mask, ...]:
        """The masks of luma and, where there is chroma, of a chroma plane; 255 = replaced, 0 = left alone.

        A chroma sample is replaced as much as the most replaced of the luma pixels that it colours.
        """
        mask = self.core.luma_mask(patch)
        if self.sigma >= _SOFT_SIGMA_PX:
            mask = np.asarray(cv2.max(mask, self._faded(patch)), np.uint8)
        corners = self.corners - np.array((patch.x + 0.5, patch.y + 0.5), np.float32)
        drawn = np.rint(np.clip(corners, -_MAX_DRAWN_PX, _MAX_DRAWN_PX) * (1 << _SHIFT)).astype(np.int32)
        # Over all that is there already, so that the face is replaced whole.
        cv2.fillConvexPoly(mask, drawn, 255, cv2.LINE_AA, _SHIFT)
        return (mask,) if len(patch.planes) == 1 else (mask, _of_chroma(mask, patch))

    def _faded(self, patch: Patch) -> Mask:
        """The outline with its fade, drawn as coarsely as the fade allows, and grown."""
        step = max(int(self.sigma), 1)
        grid = Grid.shrunk(patch, step)
        small = soft_mask((self.halfway,), grid, self.sigma)
        size = grid.width * step, grid.height * step
        grown = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(grown[: patch.height, : patch.width], np.uint8)


def face_oval(face: Face, mesh: Mesh, grow: float, feather: float, format: StreamFormat) -> Oval | None:
    """Lay an oval about a face's mesh, grown as far as MAX_AREA_RATIO allows; None where no oval fits.

    grow: size of the oval, in faces. feather: width of the fade as a fraction of the box's longer side;
    cut where it would reach the face.
    """
    hull = _hull(face, mesh)
    centre = np.asarray(np.mean(hull, axis=0))
    spokes = hull - centre
    grow = _bounded(face.xyxy, centre, spokes, grow, format)
    if grow < 1:
        return None
    radius = _inner_radius(spokes)
    if not radius:
        return None
    # What a scaled hull gains is nowhere less than in the direction in which it is thinnest.
    fade = min(fade_width(face.xyxy, feather), (grow - 1) * radius)
    inner = max(grow - fade / radius, 1 + _CORE_MARGIN_PX / radius)
    core = face_outline(face.xyxy, "ellipse", 1.0, 0.0, format)
    around = _around(face.xyxy, centre, spokes, max(grow, inner))
    whole, half = (
        np.asarray(centre + spokes * np.float32(size)) for size in (inner, max((grow + inner) / 2, inner))
    )
    return Oval(whole, half, fade / _REACH, core, around)


def _hull(face: Face, mesh: Mesh) -> Points:
    """(n, 2) corners around all landmarks, the nose of a profile too, and the forehead up to the hairline."""
    assert face.landmarks is not None
    points = np.concatenate([face.landmarks[:, :2], skin_outline(mesh)])
    return np.asarray(cv2.convexHull(np.ascontiguousarray(points, np.float32))[:, 0])


def _around(box: Rectangle, centre: Points, spokes: Points, grow: float) -> Rectangle:
    """The box around a box and the grown hull."""
    (x, y), low, high = centre.tolist(), np.min(spokes, axis=0).tolist(), np.max(spokes, axis=0).tolist()
    return (
        min(box[0], x + low[0] * grow),
        min(box[1], y + low[1] * grow),
        max(box[2], x + high[0] * grow),
        max(box[3], y + high[1] * grow),
    )


def _bounded(box: Rectangle, centre: Points, spokes: Points, grow: float, format: StreamFormat) -> float:
    """The largest growth up to `grow` that stays within the area allowed; 0 if 1 does not."""
    add_x, add_y = 2 * format.column_step + 2, 2 * format.line_step + 2
    limit = MAX_AREA_RATIO * (box[2] - box[0]) * (box[3] - box[1])

    def fits(size: float) -> bool:
        x0, y0, x1, y1 = _around(box, centre, spokes, size)
        return (x1 - x0 + add_x) * (y1 - y0 + add_y) <= limit

    if fits(grow):
        return grow
    if not fits(1.0):
        return 0.0
    low, high = 1.0, grow
    for _ in range(_FIT_STEPS):
        half = (low + high) / 2
        low, high = (half, high) if fits(half) else (low, half)
    return low


def _inner_radius(spokes: Points) -> float:
    """How far the nearest edge of a convex outline lies from its middle, in pixels."""
    edges = np.roll(spokes, -1, axis=0) - spokes
    twice = np.abs(spokes[:, 0] * edges[:, 1] - spokes[:, 1] * edges[:, 0])
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    return float(np.min(twice / np.maximum(lengths, 1e-6), where=lengths > 0, initial=float(lengths.sum())))


def _of_chroma(mask: Mask, patch: Patch) -> NDArray[Any]:
    """The most of the luma pixels under each chroma sample; of four lines where fields are apart."""
    pixels = patch.format.pixels
    columns, rows = pixels.chroma_size(patch.width, patch.height)
    paired = 2 if patch.format.field_order and pixels.shift_y == 1 else 1
    step_x, step_y = 1 << pixels.shift_x, (1 << pixels.shift_y) * paired
    if step_x == step_y == 1:
        return mask
    # Each sample sees those right of and below itself.
    most = cv2.dilate(mask, np.ones((step_y, step_x), np.uint8), anchor=(0, 0))[::step_y, ::step_x]
    return np.ascontiguousarray(np.repeat(most, paired, axis=0)[:rows, :columns])
