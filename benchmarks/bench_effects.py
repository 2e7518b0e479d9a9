"""What each effect costs a face, what sharing saves a chain, and what staying out of RGB saves a frame.

The portrait that comes with the package, in a 1080p yuv420p frame, its face 256 px high, its landmarks as
the shipped nets find them. One core, CPU time, each call with a face of its own, so that nothing of the
last frame is left to be used again: the patch is cut, changed and pasted. Each round times every effect,
in the opposite order of the last; its figure is the mean of its calls. Every registered effect is there,
at the middle one of its samples.

By way of RGB: the frame to RGB and back by OpenCV, as most frameworks do, and between them the same chain on
planes of full size, which is what its kernels would have to do there: three planes at once, or, where
it changes luma alone, each of the three in turn with the same masks. Prototypes: what a study of the same
effects measured on another day (best of N, on a busy machine, ± 30 %), for the order of magnitude.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from benchmarks.lib import Goal, Result, Spread, finish, options, scratch
from facefx.config import RunConfig
from facefx.demo import portrait_picture
from facefx.effects.chain import EffectChain
from facefx.effects.colour import image_codes
from facefx.effects.effect import EffectSpec
from facefx.effects.kernels import use_one_thread
from facefx.effects.registry import effect_class, effect_names, make_effect, make_spec
from facefx.effects.samples import lacking, sample_files, samples_of
from facefx.pipeline.pictures import find_faces
from facefx.values import Color, Face, FaceSource, PixelFormat, Planes, StreamFormat

FACE_PX, WIDTH, HEIGHT = 256, 1920, 1080

# Milliseconds a face at 256 px, masks and blends among them where an effect needs them.
PROTOTYPES: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "smooth": (0.30, "skin mask, guided filter on a quarter, blend"),
        "whiten": (0.20, "skin mask, table, blend"),
        "sharpen": (0.20, "unsharp of the whole face, blend"),
        "lipstick": (0.06, "mask, shift of chroma"),
        "shape": (0.54, "field on a quarter grid, remap of three planes"),
        "texture": (0.84, "UV map by Numba, remap, blend"),
        "blur": (0.28, "shrink, Gauss, grow"),
        "pixelate": (0.31, "mean, repeat, noise"),
        "solid": (0.03, "ellipse with an edge"),
    }
)
BEAUTY = ("smooth", "whiten", "ruddy", "sharpen", "eyes", "teeth", "circles", "blemish")
TEN = (*BEAUTY, "lipstick", "blush")
MOST_MS, BEAUTY_MS, TEXTURE_MS, CHAIN_PART, RGB_TIMES = 0.5, 1.5, 2.0, 0.6, 5.0


@dataclass(frozen=True, slots=True)
class Frame:
    """The picture, and its face, in a stream."""

    format: StreamFormat
    planes: Planes
    face: Face


def main() -> int:
    """Measure, judge, write."""
    short = options(__doc__).short
    rounds, calls = (2, 5) if short else (9, 40)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    use_one_thread()
    frame = portrait_frame()
    with scratch() as folder:
        specs, left_out = chosen_specs(folder)
        chains = {name: (spec,) for name, spec in specs.items()}
        beauty = {name: specs[name] for name in BEAUTY if name in specs}
        ten = {name: specs[name] for name in TEN if name in specs}
        works = {name: native(chain, frame) for name, chain in chains.items()}
        works["beauty set"] = native(tuple(beauty.values()), frame)
        works["chain of ten"] = native(tuple(ten.values()), frame)
        works |= {f"{name}, RGB": by_rgb(chain, frame) for name, chain in chains.items()}
        spent = timed(works, rounds, calls)
    ratios = [spent["chain of ten"][i] / sum(spent[name][i] for name in ten) for i in range(rounds)]
    against = {
        name: Spread.of([rgb / own for rgb, own in zip(spent[f"{name}, RGB"], spent[name], strict=True)])
        for name in chains
    }
    result = Result(
        name="effects",
        about=__doc__,
        setting=f"{len(chains)} effects, {calls} calls a round, {rounds} rounds, OpenCV {cv2.__version__}.",
        goals=goals(
            spent,
            Spread.of(ratios),
            against,
            beauty=len(beauty) == len(BEAUTY),
            ten=len(ten) == len(TEN),
            judged=not short,
        ),
        figures={"ms": {name: [round(ms, 4) for ms in each] for name, each in spent.items()}},
        tables=[
            ("Milliseconds a face of 256 px", *effect_table(chains, spent, against, left_out)),
            ("Chains", *chain_table(spent, beauty, ten, Spread.of(ratios))),
        ],
    )
    return finish(result, short=short)


def portrait_frame() -> Frame:
    """The portrait in 1080p, its face in the middle."""
    (found,) = find_faces(portrait_picture(), RunConfig(detector="blazeface"))
    assert found.landmarks is not None
    x0, y0, x1, y1 = found.xyxy
    scale = FACE_PX / (y1 - y0)
    x, y = WIDTH / 2 - scale * (x0 + x1) / 2, HEIGHT / 2 - scale * (y0 + y1) / 2
    color = Color("bt709")
    codes = image_codes(portrait_picture().astype(np.float32) / 255, color)
    format = StreamFormat(PixelFormat.of("yuv420p"), WIDTH, HEIGHT, Fraction(1, 25), color)
    planes = []
    for i, shape in enumerate(format.pixels.plane_shapes(WIDTH, HEIGHT)):
        step = 2 if i else 1
        matrix = np.array([[scale / step, 0, x / step], [0, scale / step, y / step]])
        size = shape[1], shape[0]
        part = cv2.warpAffine(codes[..., i], matrix, size, borderMode=cv2.BORDER_REFLECT_101)
        planes.append(np.rint(part).clip(16, 235).astype(np.uint8))
    points = (found.landmarks * np.float32(scale) + np.array((x, y, 0), np.float32)).astype(np.float32)
    box = (x0 * scale + x, y0 * scale + y, x1 * scale + x, y1 * scale + y)
    face = Face(0, 1, box, found.confidence, FaceSource.DETECTED, points, found.topology)
    return Frame(format, tuple(planes), face)


def chosen_specs(folder: Path) -> tuple[dict[str, EffectSpec], list[str]]:
    """Every effect at its middle sample; names of those that need a file of a user's."""
    specs, left_out = {}, []
    for name in effect_names():
        effect = effect_class(name)
        samples = samples_of(effect)
        params = {**sample_files(effect, folder), **samples[len(samples) // 2]}
        if lacking(effect, params):
            left_out.append(name)
        else:
            specs[name] = make_spec(name, params)
    return specs, left_out


def native(specs: Sequence[EffectSpec], frame: Frame) -> Callable[[], None]:
    """A frame's work on its own planes."""
    chain = EffectChain([make_effect(spec) for spec in specs], frame.format, b"bench")
    planes = tuple(plane.copy() for plane in frame.planes)
    times = count()

    def work() -> None:
        for patch in chain.frame(0, frame.planes, [replace(frame.face, pts=next(times))]):
            patch.paste(planes)

    work()
    assert not chain.stats.skipped, chain.stats.first
    assert not chain.stats.blackouts, chain.stats.first
    return work


def by_rgb(specs: Sequence[EffectSpec], frame: Frame) -> Callable[[], None]:
    """The same by way of a full RGB frame, which is where the work happens then."""
    luma_only = not changes_chroma(specs, frame)
    pixels = PixelFormat.of("gray" if luma_only else "yuv444p")
    chain = EffectChain([make_effect(spec) for spec in specs], replace(frame.format, pixels=pixels), b"bench")
    packed = np.concatenate([plane.ravel() for plane in frame.planes]).reshape(HEIGHT * 3 // 2, WIDTH)
    times = count()

    def work() -> None:
        rgb = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
        channels = [rgb[..., i] for i in range(3)]
        face = replace(frame.face, pts=next(times))
        for planes in [(channel,) for channel in channels] if luma_only else [tuple(channels)]:
            for patch in chain.frame(0, planes, [face]):
                patch.paste(planes)
        cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)

    work()
    return work


def changes_chroma(specs: Sequence[EffectSpec], frame: Frame) -> bool:
    """Whether a chain changes more than luma."""
    chain = EffectChain([make_effect(spec) for spec in specs], frame.format, b"bench")
    planes = tuple(plane.copy() for plane in frame.planes)
    for patch in chain.frame(0, frame.planes, [frame.face]):
        patch.paste(planes)
    return any(not np.array_equal(old, new) for old, new in zip(frame.planes[1:], planes[1:], strict=True))


def timed(works: Mapping[str, Callable[[], None]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Milliseconds of CPU a call, one figure a round."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds):
        for name in list(works)[:: 1 if i % 2 == 0 else -1]:
            work = works[name]
            work()
            start = time.process_time()
            for _ in range(calls):
                work()
            spent[name].append(1000 * (time.process_time() - start) / calls)
    return spent


def goals(
    spent: Mapping[str, Sequence[float]],
    ratio: Spread,
    against: Mapping[str, Spread],
    *,
    beauty: bool,
    ten: bool,
    judged: bool,
) -> list[Goal]:
    """What was promised; a set that is not whole is not judged."""
    middle = {name: statistics.median(each) for name, each in spent.items()}
    kinds = {name: effect_class(name).family for name in against}
    slow = {name: middle[name] for name in kinds if name in BEAUTY or kinds[name] == "privacy"}
    worst = max(slow, key=lambda name: slow[name])
    times = statistics.median(spread.median for spread in against.values())
    found = [
        Goal(f"the slowest beauty or privacy effect, {worst}, ms", slow[worst], MOST_MS, False, judged),
        Goal(
            "the beauty set in a chain, ms",
            middle["beauty set"],
            BEAUTY_MS,
            False,
            judged and beauty,
        ),
        Goal("ten in a chain : sum of each alone", ratio.median, CHAIN_PART, False, judged and ten),
        Goal("by way of RGB : on the planes, the median effect", times, RGB_TIMES, True, judged),
    ]
    if "texture" in middle:
        found.append(Goal("texture, ms", middle["texture"], TEXTURE_MS, False, judged))
    return found


Table = tuple[list[str], list[list[str]]]


def effect_table(
    chains: Mapping[str, Any],
    spent: Mapping[str, Sequence[float]],
    against: Mapping[str, Spread],
    left_out: Sequence[str],
) -> Table:
    """A row an effect."""
    rows = []
    for name in chains:
        known = PROTOTYPES.get(name)
        rows.append(
            [
                name,
                effect_class(name).family,
                Spread.of(spent[name]).text(),
                f"{known[0]:.2f}: {known[1]}" if known else "",
                Spread.of(spent[f"{name}, RGB"]).text(2),
                against[name].text(1),
            ]
        )
    rows += [[name, effect_class(name).family, "needs a file of a user's", "", "", ""] for name in left_out]
    return ["effect", "family", "on the planes", "prototype", "by way of RGB", "times"], rows


def chain_table(
    spent: Mapping[str, Sequence[float]],
    beauty: Mapping[str, Any],
    ten: Mapping[str, Any],
    ratio: Spread,
) -> Table:
    """The sets, and the sums of their effects alone."""
    rows = []
    for name, names in (("beauty set", beauty), ("chain of ten", ten)):
        alone = sum(statistics.median(spent[each]) for each in names)
        rows.append([name, ", ".join(names), Spread.of(spent[name]).text(), f"{alone:.3f}"])
    rows.append(["chain : sum", "", ratio.text(), ""])
    return ["", "effects", "ms in one chain", "sum of each alone, ms"], rows


if __name__ == "__main__":
    sys.exit(main())
