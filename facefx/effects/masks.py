"""Soft masks of a face's regions, drawn from its landmarks on any grid of samples.

Outlines are drawn antialiased at sub-pixel places, so that a mask moves as smoothly as the landmarks
do, and faded over a width that the caller relates to the face, so that a face looks the same at
any resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.drawing import Region, counted, exact
from facefx.errors import EffectError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology
from facefx.values import Face, Patch

__all__ = ["Fade", "Grid", "Mesh", "grid_step", "soft_mask", "soft_mask_with_holes", "soft_masks"]

Points = NDArray[np.float32]
Mask = NDArray[np.uint8]
Fade = Literal["inside", "across", "outside"]

# In samples: below this a fade is narrower than the antialiased edge.
_MIN_SIGMA = 0.25
# In sigma: the blur is cut off here, where less than a hundredth of it is left.
_REACH = 2.5
# How steeply a one-sided fade falls: the last eighth of the blur is all of it, from 1.15 sigma off the
# outline to 2.5. Outside, it also closes a region that is thinner than its fade, as an eyebrow is.
_STEEP = 8
# In samples: from this sigma on, counted shares are as good as exact ones.
_COUNTED_SAMPLES = 1.05
# How steeply the surroundings of a hole fall.
_CORNER = 3
_SQUARE = np.ones((3, 3), np.uint8)


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

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3): takes points of the picture to samples, the first of which covers 0 to 1."""
        across, down = 1 / self.step_x, 1 / self.step_y
        return np.array(((across, 0, -self.x * across), (0, down, -self.y * down)))

    def place(self, points: Points) -> Points:
        """Return (n, 2) points of the picture in samples, where sample i has its middle at i."""
        origin = np.array((self.x, self.y), np.float32)
        step = np.array((self.step_x, self.step_y), np.float32)
        return np.asarray((points - origin) / step - np.float32(0.5))


def grid_step(size: float, samples: int, first: int = 1) -> int:
    """The largest of first, 2 · first, 4 · first … luma pixels of which so many samples cross a face.

    A power of two fits every chroma grid. size: the face's, in pixels; first: where it has fewer.

    >>> grid_step(100, 64), grid_step(300, 64), grid_step(100, 64, first=2)
    (1, 4, 2)
    """
    step = first
    while size >= 2 * step * samples:
        step *= 2
    return step


class Mesh:
    """The landmarks of one face in one frame, by region.

    Raises EffectError for a face without landmarks, ConfigError for a topology that is unknown.
    """

    def __init__(self, face: Face) -> None:
        if face.landmarks is None:
            raise EffectError(f"face {face.track_id} at pts {face.pts}: expected landmarks, got none")
        self._landmarks, self._topology = face.landmarks, face.topology
        self._loops = _loops(face.topology)
        # All at once: one by one costs more than all the points that are not asked for.
        self._points = face.landmarks.take(self._loops.points, axis=0)

    def outline(self, region: str) -> Points:
        """(n, 2) float32 corners of a region, in pixels of the stored picture.

        Raises EffectError for a region that the topology lacks.
        """
        return self._points[self._loops.place(region), :2]

    def middle(self, region: str) -> Points:
        """(2,) float32 mean of a region's corners.

        Raises EffectError for a region that the topology lacks.
        """
        return self._middles[self._loops.order(region), :2]

    def point(self, name: str) -> tuple[float, float]:
        """(x, y) of a named point (see faces.anchors), in pixels of the stored picture."""
        return self._anchors[name]

    @cached_property
    def size(self) -> float:
        """The face's diameter in pixels: twice the root mean square distance of its oval from the middle.

        Depth counts too, so that a head that turns away keeps its size.
        """
        oval = self._points[self._loops.place("face_oval")] - self._middles[self._loops.order("face_oval")]
        return 2 * math.sqrt(float(np.vdot(oval, oval)) / len(oval))

    @cached_property
    def _anchors(self) -> Mapping[str, tuple[float, float]]:
        # All at once: one by one costs as much each.
        names = anchors(self._topology)
        places = self._landmarks.take(list(names.values()), axis=0).tolist()
        return {name: (x, y) for name, (x, y, *_) in zip(names, places, strict=True)}

    @cached_property
    def _middles(self) -> Points:
        # One product: sums of rows of three take three times as long.
        return np.asarray(self._loops.means @ self._points)


def soft_mask(outlines: Iterable[Points], grid: Grid, sigma: float, fade: Fade = "across") -> Mask:
    """Return (height, width) uint8 of a grid: 255 within the outlines, 0 away from them.

    outlines: (n, 2) corners in the stored picture; where they overlap, they unite. sigma: standard
    deviation of the fade in luma pixels; 0 leaves the antialiased edge. fade: "across" passes
    through one half at the outline; "inside" has fallen to 0 one sigma within it, and is 255 from 2.5
    sigma inwards; "outside" is 255 within and to one sigma beyond, and 0 from 2.5 sigma on.
    """
    return soft_masks([(tuple(outlines), fade)], grid, sigma)[0]


def soft_masks(
    regions: Sequence[tuple[Sequence[Points], Fade]], grid: Grid, sigma: float, *, exactly: bool = True
) -> list[Mask]:
    """Return soft_mask of each (outlines, fade), all drawn in one go: each by itself takes twice as long.

    exactly: False lets shares be counted where sigma is a sample or more, for half of the cost.
    """
    exactly = exactly or sigma < _COUNTED_SAMPLES * max(grid.step_x, grid.step_y)
    every: list[Region] = [(outlines, ()) for outlines, _ in regions]
    drawn, soft, margin = _drawn_and_soft(every, grid, sigma, exactly=exactly)
    masks = []
    for top, (_, fade) in zip(range(0, len(drawn), len(drawn) // len(regions)), regions, strict=True):
        rows, columns = _within(grid, margin, top)
        if soft is None:
            masks.append(drawn[rows])
            continue
        mask = _faded(soft[rows, columns], fade)
        if fade == "outside":
            # A corner of an eye is too sharp for its blur to be whole there.
            around = cv2.dilate(drawn[top : rows.stop + margin[1]], _SQUARE)[margin[1] : -margin[1], columns]
            mask = np.asarray(cv2.max(mask, cv2.convertScaleAbs(around, alpha=_STEEP)))
        masks.append(mask)
    return masks


def soft_mask_with_holes(outline: Points, holes: Sequence[Points], grid: Grid, sigma: float) -> Mask:
    """Return what lies "inside" an outline and in none of its holes: 0 to one sigma off all of them.

    As the product of two soft masks, for half of the cost.
    """
    drawn, soft, margin = _drawn_and_soft([((outline,), holes)], grid, sigma, exactly=False)
    if soft is None:
        return drawn
    rows, columns = _within(grid, margin, 0)
    # A corner of an eye is too sharp for its blur to be nothing there.
    near = cv2.erode(drawn, _SQUARE)[rows, columns]
    near = cv2.addWeighted(near, _CORNER, near, 0, 255 * (1 - _CORNER))
    return np.asarray(cv2.min(_faded(soft[rows, columns], "inside"), near))


def _drawn_and_soft(
    regions: Sequence[Region], grid: Grid, sigma: float, *, exactly: bool
) -> tuple[Mask, NDArray[np.float32] | None, tuple[int, int]]:
    """Regions as they are drawn and blurred, stacked, with their margins; no blur where it would not show."""
    across, down = sigma / grid.step_x, sigma / grid.step_y
    if min(across, down) < _MIN_SIGMA:
        return _drawn(regions, grid, (0, 0), exactly=exactly), None, (0, 0)
    # A margin as wide as the fade, so that what lies beyond the grid fades into it.
    margin = math.ceil(_REACH * across), math.ceil(_REACH * down)
    drawn = _drawn(regions, grid, margin, exactly=exactly)
    kernels = [_kernel(size, width) for size, width in zip(margin, (across, down), strict=True)]
    # All in one: a margin is as wide as the blur reaches.
    soft = cv2.sepFilter2D(drawn, cv2.CV_32F, *kernels, borderType=cv2.BORDER_CONSTANT)
    return drawn, soft, margin


def _kernel(reach: int, sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_32F))


def _within(grid: Grid, margin: tuple[int, int], top: int) -> tuple[slice, slice]:
    """The rows and columns of a region that are not margin. top: its first row."""
    return (
        slice(top + margin[1], top + margin[1] + grid.height),
        slice(margin[0], margin[0] + grid.width),
    )


def _faded(blurred: NDArray[Any], fade: Fade) -> Mask:
    """Make of a blurred mask what the fade asks for."""
    gain, level = {"inside": (_STEEP, 255 * (1 - _STEEP)), "across": (1, 0), "outside": (_STEEP, 0)}[fade]
    return np.asarray(cv2.addWeighted(blurred, gain, blurred, 0, level, dtype=cv2.CV_8U), np.uint8)


def _drawn(regions: Sequence[Region], grid: Grid, margin: tuple[int, int], *, exactly: bool) -> Mask:
    """How much of each sample lies within each region, 0..255: grids with margins, stacked."""
    size, to_grid = (grid.width + 2 * margin[0], grid.height + 2 * margin[1]), grid.matrix
    to_grid[:, 2] += margin
    if exactly:
        return exact([outlines for outlines, _ in regions], to_grid, size)
    return counted(regions, to_grid, size)


@dataclass(frozen=True, slots=True)
class _Loops:
    """The regions of a topology. points: of all, one after another. places: number and points, by name.

    means: (regions, points), takes them to each region's middle.
    """

    points: NDArray[np.intp]
    means: NDArray[np.float32]
    places: Mapping[str, tuple[int, slice]]

    def order(self, region: str) -> int:
        """The number of a region. Raises EffectError."""
        return self._find(region)[0]

    def place(self, region: str) -> slice:
        """Where a region's points are. Raises EffectError."""
        return self._find(region)[1]

    def _find(self, region: str) -> tuple[int, slice]:
        place = self.places.get(region)
        if place is None:
            raise EffectError(
                f"region {region!r} is unknown to the mesh: expected one of {', '.join(self.places)}"
            )
        return place


@cache
def _loops(name: str) -> _Loops:
    loops = topology(name).regions
    lengths = np.array([len(loop) for loop in loops.values()])
    ends = np.cumsum(lengths)
    spans = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    places = {region: (i, slice(*span)) for i, (region, span) in enumerate(zip(loops, spans, strict=True))}
    points = np.concatenate([np.array(loop, np.intp) for loop in loops.values()])
    of = np.repeat(np.arange(len(lengths)), lengths) == np.arange(len(lengths))[:, None]
    means = (of / lengths[:, None]).astype(np.float32)
    return _Loops(points, means, MappingProxyType(places))
