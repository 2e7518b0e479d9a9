"""Soft masks of a face's regions, drawn from its landmarks on any grid of samples.

Outlines are drawn antialiased at sub-pixel places, so that a mask moves as smoothly as the landmarks
do, and faded over a width that the caller relates to the face, so that a face looks the same at
any resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.errors import EffectError
from facefx.faces.topology import topology
from facefx.values import Face, Patch

__all__ = ["Fade", "Grid", "Mesh", "middle", "soft_mask"]

Points = NDArray[np.float32]
Mask = NDArray[np.uint8]
Fade = Literal["inside", "across", "outside"]

# Sub-pixel bits of OpenCV's drawing functions.
_SHIFT = 6
# OpenCV's coordinates are 32-bit fixed point with 16 bits of fraction inside.
_MAX_DRAWN = 16000.0
# In samples: below this a fade is narrower than the antialiased edge.
_MIN_SIGMA = 0.25
# In sigma: the blur is cut off here, where less than a hundredth of it is left.
_REACH = 2.5
# How steeply an outer fade falls: it is whole to one sigma beyond the outline, which also closes a region
# that is thinner than its fade, as an eyebrow is.
_OUTSIDE_GAIN = 8


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the samples of a mask lie in the stored picture.

    x, y: luma pixels, the upper left corner of the first sample. step_x, step_y: luma pixels that a
    sample covers. width, height: in samples.
    """

    x: float
    y: float
    step_x: float
    step_y: float
    width: int
    height: int

    @classmethod
    def of_plane(cls, patch: Patch, plane: int = 0) -> Grid:
        """The samples of one of a patch's planes: 0 is luma."""
        pixels = patch.format.pixels
        rows, columns = patch.planes[plane].shape[:2]
        step_x, step_y = (1 << pixels.shift_x, 1 << pixels.shift_y) if plane else (1, 1)
        return cls(patch.x, patch.y, step_x, step_y, columns, rows)

    @classmethod
    def shrunk(cls, patch: Patch, step: int) -> Grid:
        """Squares of `step` luma pixels; the last ones may reach beyond the patch."""
        return cls(patch.x, patch.y, step, step, -(-patch.width // step), -(-patch.height // step))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as OpenCV wants it."""
        return self.width, self.height

    def place(self, points: Points) -> Points:
        """Return (n, 2) points of the picture in samples, where sample i has its middle at i."""
        origin = np.array((self.x, self.y), np.float32)
        step = np.array((self.step_x, self.step_y), np.float32)
        return np.asarray((points - origin) / step - np.float32(0.5))


class Mesh:
    """The landmarks of one face in one frame, by region.

    Raises EffectError for a face without landmarks, ConfigError for a topology that is unknown.
    """

    def __init__(self, face: Face) -> None:
        if face.landmarks is None:
            raise EffectError(f"face {face.track_id} at pts {face.pts}: expected landmarks, got none")
        self._points = face.landmarks
        self._loops = _loops(face.topology)

    def outline(self, region: str) -> Points:
        """(n, 2) float32 corners of a region, in pixels of the stored picture.

        Raises EffectError for a region that the topology lacks.
        """
        return np.asarray(self._corners(region)[:, :2])

    @cached_property
    def size(self) -> float:
        """The face's diameter in pixels: twice the root mean square distance of its oval from the middle.

        Depth counts too, so that a head that turns away keeps its size.
        """
        oval = self._corners("face_oval")
        oval = oval - middle(oval)
        return 2 * math.sqrt(float(np.vdot(oval, oval)) / len(oval))

    def _corners(self, region: str) -> Points:
        loop = self._loops.get(region)
        if loop is None:
            raise EffectError(
                f"region {region!r} is unknown to the mesh: expected one of {', '.join(self._loops)}"
            )
        return np.asarray(self._points[loop])


def middle(points: Points) -> Points:
    """The mean of (n, d) points."""
    # A third of the time that ndarray.mean takes for so few.
    return np.asarray(np.add.reduce(points) / np.float32(len(points)))


def soft_mask(outlines: Iterable[Points], grid: Grid, sigma: float, fade: Fade = "across") -> Mask:
    """Return (height, width) uint8 of a grid: 255 within the outlines, 0 away from them.

    outlines: (n, 2) corners in the stored picture; where they overlap, they unite. sigma: standard
    deviation of the fade in luma pixels; 0 leaves the antialiased edge. fade: "across" passes
    through one half at the outline; "inside" has fallen to 0 there, and is 255 from 2.5 sigma inwards;
    "outside" is 255 within and to one sigma beyond, and 0 from 2.5 sigma on.
    """
    across, down = sigma / grid.step_x, sigma / grid.step_y
    fades = min(across, down) >= _MIN_SIGMA
    # A margin as wide as the fade, so that what lies beyond the grid fades into it.
    right, below = (math.ceil(_REACH * across), math.ceil(_REACH * down)) if fades else (0, 0)
    mask = np.zeros((grid.height + 2 * below, grid.width + 2 * right), np.uint8)
    for corners in _drawn(tuple(outlines), grid, right, below):
        cv2.fillPoly(mask, [corners], (255,), cv2.LINE_AA, _SHIFT)
    if not fades:
        return mask
    kernel_x = cv2.getGaussianKernel(2 * right + 1, across, cv2.CV_32F)
    kernel_y = cv2.getGaussianKernel(2 * below + 1, down, cv2.CV_32F)
    gain, level = {"inside": (2, -255), "across": (1, 0), "outside": (_OUTSIDE_GAIN, 0)}[fade]
    faded = cv2.sepFilter2D(mask, cv2.CV_32F, kernel_x * gain, kernel_y, borderType=cv2.BORDER_CONSTANT)
    faded = faded[below : below + grid.height, right : right + grid.width]
    return np.asarray(cv2.add(faded, (level,), dtype=cv2.CV_8U))


def _drawn(outlines: tuple[Points, ...], grid: Grid, right: int, below: int) -> list[NDArray[np.int32]]:
    """The corners of each outline as OpenCV draws them, moved by a margin; converted all at once."""
    if not outlines:
        return []
    corners = grid.place(np.concatenate(outlines)) + np.array((right, below), np.float32)
    corners = np.clip(corners, -_MAX_DRAWN, _MAX_DRAWN, out=corners) * np.float32(1 << _SHIFT)
    fixed = np.rint(corners, out=corners).astype(np.int32)
    ends = list(accumulate(map(len, outlines)))
    return [fixed[end - len(outline) : end] for end, outline in zip(ends, outlines, strict=True)]


@cache
def _loops(name: str) -> Mapping[str, NDArray[np.intp]]:
    """The regions of a topology as index arrays."""
    regions = topology(name).regions
    return MappingProxyType({region: np.array(loop, np.intp) for region, loop in regions.items()})
