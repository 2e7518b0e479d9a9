"""libavfilter on single planes: a list of our own steps, graphs that are kept, planes in and planes out.

Nobody outside this file writes a word that libavfilter parses: a step is made by a function below, from
numbers. A raw graph could read and write files, open sockets and load plug-ins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.filter import Graph, filters_available
from numpy.typing import NDArray

from facefx.errors import EffectError
from facefx.values import PixelFormat, StreamFormat
from facefx.video.planes import read_views, write_views

if TYPE_CHECKING:
    from av.filter.context import FilterContext

__all__ = [
    "FilterGraphs",
    "Step",
    "bilateral",
    "check_filters",
    "edges",
    "gaussian",
    "grain",
    "levels",
    "mirror",
    "mosaic",
    "sharpen",
    "turn_hue",
]

Plane = NDArray[Any]

# A face that moves has another size in almost every frame; what comes back soon is the next face's.
_KEPT = 32
_TIME_BASE = Fraction(1, 25)
# Graphs for single samples come in sizes of so many of them.
_GRID = 64
# What the filters themselves allow.
_MAX_SIGMA, _MAX_CELL, _MAX_MATRIX = 1024.0, 1024, 13
# One pass is a peak with long tails; three come within 1.5 8-bit codes of the true curve.
_GAUSSIAN_PASSES = "3"


@dataclass(frozen=True, slots=True)
class Step:
    """One filter and its options; made only by the functions of this file.

    deep: it knows 10-bit samples. Another sees their upper 8 bits, and what it changes is added to the
    whole sample. gray: it takes luma alone; another is given chroma that nobody looks at. pointwise: each
    sample by itself, so that one graph serves many sizes: a table of codes takes milliseconds to make.
    """

    filter: str
    options: tuple[tuple[str, str], ...]
    deep: bool = True
    gray: bool = True
    pointwise: bool = False


def gaussian(sigma_x: float, sigma_y: float) -> Step:
    """A Gaussian blur; standard deviations in samples."""
    sigmas = {"sigma": _within(sigma_x, 0, _MAX_SIGMA), "sigmaV": _within(sigma_y, 0, _MAX_SIGMA)}
    return _step("gblur", sigmas | {"steps": _GAUSSIAN_PASSES})


def bilateral(sigma: float, contrast: float) -> Step:
    """A blur that keeps edges; sigma in samples, contrast as a part of all codes."""
    return _step("bilateral", {"sigmaS": _within(sigma, 0, 512), "sigmaR": _within(contrast, 0, 1)})


def sharpen(size_x: float, size_y: float, amount: float) -> Step:
    """An unsharp mask; size of its matrix in samples, 3 to 13 and odd."""
    # Its own 10-bit path sharpens a tenth as much as its 8-bit one (seen in libavfilter 11.14).
    size = {"luma_msize_x": _odd(size_x), "luma_msize_y": _odd(size_y)}
    return _step("unsharp", size | {"luma_amount": _within(amount, -2, 5)}, deep=False, gray=False)


def mosaic(width: float, height: float) -> Step:
    """The mean of each cell; cells begin at the upper left corner."""
    return _step("pixelize", {"width": _whole(width, 1, _MAX_CELL), "height": _whole(height, 1, _MAX_CELL)})


def edges(scale: float) -> Step:
    """Steepness (Sobel), times a scale."""
    return _step("sobel", {"scale": _within(scale, 0, 65535)})


def mirror(low: int, high: int) -> Step:
    """Each code for the one as far from the other end."""
    return _table(f"{low:d}+{high:d}-val")


def levels(low: int, high: int, count: int) -> Step:
    """The nearest of some codes that lie evenly from low to high."""
    gap = (high - low) / (count - 1)
    return _table(f"clip(round({low:d}+round((val-{low:d})/{gap:.9f})*{gap:.9f}),{low:d},{high:d})")


def turn_hue(degrees: float, saturation: float = 1.0) -> Step:
    """Turn the colours about grey; takes three planes, of which the first stays as it is."""
    return _step("hue", {"h": _within(degrees, -360, 360), "s": _within(saturation, -10, 10)})


def grain(amount: float, seed: int) -> Step:
    """Noise of a pixel's size; amount in 8-bit codes, seed of 31 bits."""
    options = {"c0_strength": _whole(amount, 0, 100), "all_seed": _whole(seed, 0, 2**31 - 1)}
    return _step("noise", options, deep=False, gray=False)


def check_filters(steps: Iterable[Step], who: str) -> None:
    """Ask the linked FFmpeg for every filter that some steps need.

    who: begins the message.

    Raises EffectError.
    """
    missing = sorted({step.filter for step in steps} - set(filters_available))
    if missing:
        version = ".".join(map(str, av.library_versions["libavfilter"]))
        raise EffectError(
            f"{who}: libavfilter {version} was built without {', '.join(missing)}: "
            "install PyAV's own wheel (pip install av), or use another kind"
        )


class FilterGraphs:
    """Graphs by their steps and the planes' size: a bounded number, the one unused for longest goes first.

    They keep nothing of a picture: the same planes give the same result whatever came before. Each works on
    one thread.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[_Key, _Graph] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def run(self, steps: Sequence[Step], planes: Sequence[Plane], depth: int) -> list[Plane]:
        """Return new planes of the same size and type.

        planes: one, or three of one size; (h, w), uint8 where depth is 8, else uint16, rows perhaps strided.
        The result is read only, and holds libav's own memory.

        Raises EffectError where libavfilter cannot do it.
        """
        if depth == 8 or all(step.deep for step in steps):
            return self._run(steps, planes, depth)
        lost = depth - 8
        coarse = [np.right_shift(plane, lost).astype(np.uint8) for plane in planes]
        done = self._run(steps, coarse, 8)
        peak = (1 << depth) - 1
        new = []
        for plane, before, after in zip(planes, coarse, done, strict=True):
            moved = (after.astype(np.int32) - before) * (1 << lost)
            new.append(np.clip(plane + moved, 0, peak).astype(plane.dtype))
        return new

    def _run(self, steps: Sequence[Step], planes: Sequence[Plane], depth: int) -> list[Plane]:
        height, width = planes[0].shape
        key = _key(tuple(steps), len(planes), depth, width, height)
        try:
            graph = self._kept.pop(key, None) or _Graph(*key)
            result = graph.run(planes)
        except av.error.FFmpegError as error:
            does = ", ".join(step.filter for step in steps)
            reason = error.strerror or type(error).__name__
            raise EffectError(f"libavfilter: {does} on {width} × {height} samples: {reason}") from error
        self._kept[key] = graph
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return result

    def close(self) -> None:
        """Let go of every graph."""
        self._kept.clear()


_Key = tuple[tuple[Step, ...], str, int, int]


def _key(steps: tuple[Step, ...], planes: int, depth: int, width: int, height: int) -> _Key:
    """The graph that some planes need: its steps, pixel format and size."""
    name = "yuv444p" if planes == 3 else "gray" if all(step.gray for step in steps) else "yuv420p"
    grid = _GRID if all(step.pointwise for step in steps) else 1
    deep = "" if depth == 8 else f"{depth}le"
    return steps, name + deep, -(-width // grid) * grid, -(-height // grid) * grid


class _Graph:
    """One configured graph: one frame in, one frame out, nothing kept back."""

    def __init__(self, steps: tuple[Step, ...], name: str, width: int, height: int) -> None:
        self._format = StreamFormat(PixelFormat.of(name), width, height, _TIME_BASE)
        self._graph = Graph()
        self._graph.threads = 1
        last: FilterContext = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(name, width, height), time_base=_TIME_BASE
        )
        for step in (*steps, Step("buffersink", ())):
            node = self._graph.add(step.filter, **dict(step.options))
            last.link_to(node)
            last = node
        self._graph.configure()
        self._pts = 0

    def run(self, planes: Sequence[Plane]) -> list[Plane]:
        """Planes that are smaller than the graph lie in its upper left corner; so does what comes back."""
        format = self._format
        rows, columns = planes[0].shape
        frame = av.VideoFrame(format.width, format.height, format.pixels.name)
        for target, plane in zip(write_views(frame, format), planes, strict=False):
            target[:rows, :columns] = plane
        frame.pts, frame.time_base = self._pts, _TIME_BASE
        self._pts += 1
        self._graph.vpush(frame)
        result = self._graph.vpull()
        got = f"{result.width} × {result.height} of {result.format.name}"
        expected = f"{format.width} × {format.height} of {format.pixels.name}"
        if got != expected:
            # It took another format than ours: what came out was converted on the way.
            raise EffectError(f"libavfilter: expected {expected}, got {got}")
        return [plane[:rows, :columns] for plane in read_views(result, format)[: len(planes)]]


def _step(filter: str, options: dict[str, str], *, deep: bool = True, gray: bool = True) -> Step:
    return Step(filter, tuple(options.items()), deep, gray)


def _table(code: str) -> Step:
    """A table of codes; code: an expression of numbers and `val`."""
    return Step("lut", (("c0", code),), pointwise=True)


def _within(value: float, low: float, high: float) -> str:
    """A number as libavfilter reads it, whatever the locale; bounded, so that no graph is refused."""
    return f"{min(max(float(value), low), high):.6f}"


def _whole(value: float, low: int, high: int) -> str:
    return str(min(max(round(value), low), high))


def _odd(size: float) -> str:
    return _whole(2 * round((size - 1) / 2) + 1, 3, _MAX_MATRIX)
