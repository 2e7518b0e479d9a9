"""What one effect costs in each of the three pixel engines: NumPy and OpenCV, libavfilter, fragment shaders.

The same picture of noise with some structure, 4:2:0 of 8 bits, one face; the chain's own call, from cutting
the patch to handing it out, on one thread (llvmpipe, which draws where there is no GPU, has LP_NUM_THREADS=0,
so it draws on the caller's own). The face's box is as wide as said and its patch 1.3 times that. Each figure
is the median of calls that take turns. Where a filter's size follows the face, each size needs a graph of
its own; the last column has a face that is another size in every call.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.lib import Goal, Result, finish, options, say
from facefx.effects.chain import EffectChain
from facefx.effects.kernels import blur, cell_means, spread_cells, use_one_thread
from facefx.effects.library.filter import Filter
from facefx.effects.library.shader import Shader
from facefx.effects.masked import MaskedEffect, MaskedParams, Planes3
from facefx.errors import EffectError
from facefx.values import Color, Face, FaceSource, Patch, PixelFormat, Planes, StreamFormat

SIZES = (256, 512)
ENGINES = ("NumPy + OpenCV", "libavfilter", "shader")
# What libavfilter may take for these at 256 px: three times a beauty effect.
_PLAIN, FILTER_MS = ("blur", "mosaic", "negate", "posterise", "hue"), 1.5


class _Kernel(MaskedEffect):
    """An effect by NumPy and OpenCV, in the same frame as those of the other engines."""

    name = "kernel"
    family = "colour"
    Params = MaskedParams

    def __init__(self, change: Callable[[NDArray[Any], bool, float], NDArray[Any]]) -> None:
        super().__init__(MaskedParams.model_validate({}))
        self._change = change

    def paint(self, planes: Planes3, patch: Patch, face: Face) -> Sequence[NDArray[Any]]:
        """Change plane by plane."""
        side = face.xyxy[2] - face.xyxy[0]
        return [self._change(plane, bool(i), side / (2 if i else 1)) for i, plane in enumerate(planes)]


def _blur(plane: NDArray[Any], chroma: bool, side: float) -> NDArray[Any]:
    return blur(plane, 0.05 * side, 0.05 * side)


def _mosaic(plane: NDArray[Any], chroma: bool, side: float) -> NDArray[Any]:
    cell = round(0.0625 * side)
    rows, columns = (np.append(np.arange(0, length - 1, cell), length) for length in plane.shape)
    cells = np.rint(cell_means(plane, rows, columns)).astype(plane.dtype)
    return spread_cells(cells, rows, columns)


def _negate(plane: NDArray[Any], chroma: bool, side: float) -> NDArray[Any]:
    low, high = (16, 240) if chroma else (16, 235)
    return np.asarray(cv2.subtract(np.full_like(plane, low + high - (low + high > 255)), plane))


def _posterise(plane: NDArray[Any], chroma: bool, side: float) -> NDArray[Any]:
    if chroma:
        return plane
    gap = (235 - 16) / 5
    codes = 16 + np.rint((np.arange(256) - 16) / gap) * gap
    return np.asarray(cv2.LUT(plane, np.rint(codes).clip(16, 235).astype(np.uint8)))


@dataclass(frozen=True, slots=True)
class _Case:
    """One effect in each engine; None where an engine has none."""

    name: str
    kernel: Callable[[NDArray[Any], bool, float], NDArray[Any]] | None
    filter: dict[str, Any] | None
    shader: dict[str, Any] | None


CASES = (
    _Case("blur", _blur, {"kind": "gblur", "size": 0.05}, {"path": "builtin:blur", "amount": 1.0}),
    _Case(
        "mosaic", _mosaic, {"kind": "pixelize", "size": 0.0625}, {"path": "builtin:mosaic", "amount": 0.21875}
    ),
    _Case("negate", _negate, {"kind": "negate"}, {"path": "builtin:negate"}),
    _Case("posterise", _posterise, {"kind": "posterise"}, {"path": "builtin:posterise", "amount": 0.6}),
    _Case("edges", None, {"kind": "sobel"}, {"path": "builtin:outline"}),
    _Case("hue", None, {"kind": "hue"}, None),
    _Case("bilateral", None, {"kind": "bilateral"}, None),
    _Case("unsharp", None, {"kind": "unsharp"}, None),
    _Case("noise", None, {"kind": "noise"}, None),
    _Case("gray", None, None, {"path": "builtin:gray"}),
    _Case("glow", None, None, {"path": "builtin:glow"}),
)


def main() -> int:
    """Measure, judge, write."""
    short = options(__doc__).short
    os.environ.setdefault("LP_NUM_THREADS", "0")
    use_one_thread()
    calls = 3 if short else 60
    format = _format()
    tables, figures = [], {}
    for size in SIZES:
        say(f"face of {size} px")
        measured = {case.name: _measure(case, size, format, calls) for case in CASES}
        figures[str(size)] = measured
        header = ["effect", *(f"{engine}, ms" for engine in ENGINES), "libavfilter at a new size, ms"]
        tables.append((f"A face of {size} px", header, [_row(name, took) for name, took in measured.items()]))
    goal = f"ms of libavfilter at 256 px, the dearest of {', '.join(_PLAIN)}"
    light = [figures["256"][name]["libavfilter"] for name in _PLAIN]
    result = Result(
        name="engines",
        about=__doc__,
        setting=f"faces of {', '.join(map(str, SIZES))} px, {calls} calls each; shaders by {_renderer()}.",
        goals=[Goal(goal, max(light), FILTER_MS, False, not short)],
        figures={"ms": figures},
        tables=tables,
    )
    return finish(result, short=short)


def _measure(case: _Case, size: int, format: StreamFormat, calls: int) -> dict[str, float]:
    """Milliseconds by engine, and of libavfilter where the face has another size each time."""
    planes, one = _picture(format), _face(size, format)
    chains = {
        engine: EffectChain([effect], format, b"bench") for engine, effect in _effects(case).items() if effect
    }
    took: dict[str, list[float]] = {engine: [] for engine in (*chains, "new size")}
    for i in range(calls + 1):
        for engine, chain in chains.items():
            took[engine].append(_ms(chain, planes, one))
        if "libavfilter" in chains:
            x0, y0, x1, y1 = one.xyxy
            grown = replace(one, xyxy=(x0 - i, y0 - i, x1 + i, y1 + i))
            took["new size"].append(_ms(chains["libavfilter"], planes, grown))
    for chain in chains.values():
        chain.close()
        if chain.stats.skipped:
            raise SystemExit(f"{case.name}: {chain.stats.first}")
    # The first call of each is its start-up.
    return {name: round(statistics.median(times[1:]), 4) for name, times in took.items() if times}


def _effects(case: _Case) -> dict[str, MaskedEffect | None]:
    return {
        "NumPy + OpenCV": _Kernel(case.kernel) if case.kernel else None,
        "libavfilter": Filter.of(**case.filter) if case.filter else None,
        "shader": Shader.of(**case.shader) if case.shader else None,
    }


def _ms(chain: EffectChain, planes: Planes, one: Face) -> float:
    start = time.perf_counter()
    chain.frame(0, planes, [one])
    return 1000 * (time.perf_counter() - start)


def _row(name: str, took: dict[str, float]) -> list[str]:
    return [name, *(f"{took[key]:.2f}" if key in took else "" for key in (*ENGINES, "new size"))]


def _format() -> StreamFormat:
    return StreamFormat(PixelFormat.of("yuv420p"), 1280, 1080, Fraction(1, 25), Color("bt709"))


def _picture(format: StreamFormat) -> Planes:
    generator = np.random.default_rng(1)
    planes = []
    for height, width in format.pixels.plane_shapes(format.width, format.height):
        small = generator.integers(40, 200, (height // 16 + 1, width // 16 + 1)).astype(np.uint8)
        large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        planes.append(cv2.add(large, generator.integers(0, 12, large.shape).astype(np.uint8)))
    return tuple(planes)


def _face(size: int, format: StreamFormat) -> Face:
    x, y = (format.width - size) / 2, (format.height - size) / 2
    return Face(0, 1, (x, y, x + size, y + size), 0.9, FaceSource.DETECTED)


def _renderer() -> str:
    from facefx.effects.gl import Painter, builtin_shader, find_device

    try:
        painter = Painter(builtin_shader("gray"), "benchmark", "gray", find_device("benchmark"))
    except EffectError as error:
        raise SystemExit(str(error)) from error
    try:
        return painter.renderer
    finally:
        painter.close()


if __name__ == "__main__":
    sys.exit(main())
