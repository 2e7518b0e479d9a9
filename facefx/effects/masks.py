"""Soft masks of a face's regions, drawn from its landmarks on any grid of samples.

Outlines are drawn antialiased at sub-pixel places, so that a mask moves as smoothly as the landmarks
do, and faded over a width that the caller relates to the face, so that a face looks the same at
any resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.errors import EffectError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology
from facefx.values import Face, Patch

__all__ = ["Fade", "Grid", "Mesh", "grid_step", "soft_mask", "soft_masks"]

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
# Lines of each sample on which an outline is drawn.
_LINES = 8
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
        x, y = self._landmarks[anchors(self._topology)[name], :2].tolist()
        return x, y

    @cached_property
    def size(self) -> float:
        """The face's diameter in pixels: twice the root mean square distance of its oval from the middle.

        Depth counts too, so that a head that turns away keeps its size.
        """
        oval = self._points[self._loops.place("face_oval")] - self._middles[self._loops.order("face_oval")]
        return 2 * math.sqrt(float(np.vdot(oval, oval)) / len(oval))

    @cached_property
    def _middles(self) -> Points:
        return np.asarray(np.add.reduceat(self._points, self._loops.first, axis=0) / self._loops.lengths)


def soft_mask(outlines: Iterable[Points], grid: Grid, sigma: float, fade: Fade = "across") -> Mask:
    """Return (height, width) uint8 of a grid: 255 within the outlines, 0 away from them.

    outlines: (n, 2) corners in the stored picture; where they overlap, they unite. sigma: standard
    deviation of the fade in luma pixels; 0 leaves the antialiased edge. fade: "across" passes
    through one half at the outline; "inside" has fallen to 0 one sigma within it, and is 255 from 2.5
    sigma inwards; "outside" is 255 within and to one sigma beyond, and 0 from 2.5 sigma on.
    """
    return soft_masks([(tuple(outlines), fade)], grid, sigma)[0]


def soft_masks(regions: Sequence[tuple[Sequence[Points], Fade]], grid: Grid, sigma: float) -> list[Mask]:
    """Return soft_mask of each (outlines, fade), all drawn in one go: each by itself takes twice as long."""
    across, down = sigma / grid.step_x, sigma / grid.step_y
    fades = min(across, down) >= _MIN_SIGMA
    # A margin as wide as the fade, so that what lies beyond the grid fades into it.
    margin = (math.ceil(_REACH * across), math.ceil(_REACH * down)) if fades else (0, 0)
    drawn = _drawn([outlines for outlines, _ in regions], grid, *margin)
    tops = range(0, len(drawn), len(drawn) // len(regions))
    if not fades:
        return [drawn[top : top + grid.height] for top in tops]
    across_kernel = down_kernel = cv2.getGaussianKernel(2 * margin[0] + 1, across, cv2.CV_32F)
    if down != across:
        down_kernel = cv2.getGaussianKernel(2 * margin[1] + 1, down, cv2.CV_32F)
    # All in one: a margin is as wide as the blur reaches.
    blurred = cv2.sepFilter2D(drawn, cv2.CV_32F, across_kernel, down_kernel, borderType=cv2.BORDER_CONSTANT)
    columns = slice(margin[0], margin[0] + grid.width)
    masks = []
    for top, (_, fade) in zip(tops, regions, strict=True):
        rows = slice(top + margin[1], top + margin[1] + grid.height)
        mask = _faded(blurred[rows, columns], fade)
        if fade == "outside":
            # A corner of an eye is too sharp for its blur to be whole there.
            around = cv2.dilate(drawn[top : top + grid.height + 2 * margin[1]], _SQUARE)
            around = around[margin[1] : margin[1] + grid.height, columns]
            mask = np.asarray(cv2.max(mask, cv2.convertScaleAbs(around, alpha=_STEEP)))
        masks.append(mask)
    return masks


def _faded(blurred: NDArray[np.float32], fade: Fade) -> Mask:
    """Make of a blurred mask what the fade asks for."""
    gain, level = {"inside": (_STEEP, 255 * (1 - _STEEP)), "across": (1, 0), "outside": (_STEEP, 0)}[fade]
    return np.asarray(cv2.addWeighted(blurred, gain, blurred, 0, level, dtype=cv2.CV_8U), np.uint8)


def _drawn(regions: Sequence[Sequence[Points]], grid: Grid, right: int, below: int) -> Mask:
    """How much of each sample lies within each region's outlines, 0..255: grids with margins, stacked.

    OpenCV's antialiased polygons are half a sample too wide, and jump by most of a sample's code where an
    outline moves by a tenth of it. Here a sample is so many lines, each covered from crossing to
    crossing, exactly, so that a mask moves as smoothly as the landmarks do.
    """
    width, height = grid.width + 2 * right, grid.height + 2 * below
    row, x, turn = _crossings(regions, grid, right, below)
    if not len(row):
        return np.zeros((height * len(regions), width), np.uint8)
    column = np.floor(x.clip(0, width, out=x))
    x -= column
    part = np.multiply(x, turn, out=x)
    # One column for what lies left of all samples, one for what the last sample adds to beyond it.
    rows, stride = height * len(regions), width + 2
    row *= stride
    index = np.add(row, column, out=row).astype(np.intp)
    # Each crossing adds itself to all that lies right of it: to its own sample in part.
    steps = np.bincount(index, turn - part, rows * stride)
    index += 1
    steps += np.bincount(index, part, rows * stride)
    # Sums along the rows, as a difference of sums over rectangles: a third of the time of cumsum.
    sums = cv2.integral(steps.reshape(rows, stride))[:, 1 : width + 1]
    return np.asarray(cv2.convertScaleAbs(cv2.subtract(sums[1:], sums[:-1]), alpha=255 / _LINES), np.uint8)


def _crossings(
    regions: Sequence[Sequence[Points]], grid: Grid, right: int, below: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where outlines cross lines of the grid with a margin: row, place across in samples, and which way.

    Each row has so many lines; the rows of one region follow those of the last. The way is 1 where an
    outline's inside begins and -1 where it ends, or the other way round.
    """
    outlines = [outline for region in regions for outline in region]
    if not outlines:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    sides = _sides(tuple(tuple(map(len, region)) for region in regions))
    here = grid.place(np.concatenate(outlines)) + np.array((right + 0.5, below + 0.5))
    here *= (1, _LINES)
    (x, y), (next_x, next_y) = here.T, here.take(sides.end, axis=0).T
    across, down = next_x - x, next_y - y
    # Outlines that run the other way round count the other way, so that they unite where they overlap.
    round_ = np.sign(np.add.reduceat(x * next_y - next_x * y, sides.first))
    turn = np.sign(down) * round_.take(sides.outline)
    rows = grid.height + 2 * below
    # Lines stay floats, which hold them exactly: what follows mixes them with places.
    start = np.ceil(y - 0.5).clip(0, rows * _LINES)
    end = start.take(sides.end)
    count = np.abs(end - start).astype(np.intp)
    ends = count.cumsum()
    # From here on each side stands once for each line that it crosses.
    line = np.arange(float(ends[-1])) + (np.minimum(start, end) + count - ends).repeat(count)
    slope = across / np.where(count, down, 1)
    place = line + 0.5
    place -= y.repeat(count)
    place *= slope.repeat(count)
    place += x.repeat(count)
    row = np.floor(np.multiply(line, 1 / _LINES, out=line), out=line)
    row += (sides.region * rows).repeat(count)
    return row, place, turn.repeat(count)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The sides of some regions' outlines, each from its corner to the next one of its outline.

    end: the corner where each ends. outline, region: which each belongs to. first: of each outline.
    """

    end: NDArray[np.intp]
    outline: NDArray[np.intp]
    region: NDArray[np.intp]
    first: NDArray[np.intp]


# A mesh has the same outlines in every frame.
@lru_cache(maxsize=64)
def _sides(lengths: tuple[tuple[int, ...], ...]) -> _Sides:
    """lengths: corners of each outline of each region."""
    outlines = np.array([length for region in lengths for length in region], np.intp)
    first = np.cumsum(outlines) - outlines
    end = np.arange(1, outlines.sum() + 1)
    end[first + outlines - 1] = first
    region = np.repeat(np.arange(len(lengths)), [sum(region) for region in lengths])
    return _Sides(end, np.repeat(np.arange(len(outlines)), outlines), region, first)


@dataclass(frozen=True, slots=True)
class _Loops:
    """The regions of a topology. points: of all, one after another. first: where each region's begin.

    lengths: (n, 1), points of each. places: by name, its number and where its points are.
    """

    points: NDArray[np.intp]
    first: NDArray[np.intp]
    lengths: NDArray[np.float32]
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
    return _Loops(points, ends - lengths, lengths.astype(np.float32)[:, None], MappingProxyType(places))
