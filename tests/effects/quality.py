"""What every effect must be, as checks that take any effect: pass one a Subject, it raises AssertionError."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Any

import cv2
import numpy as np
from effect_makers import channels
from numpy.typing import NDArray
from quality_scenes import (
    FEW,
    FORMATS,
    LOOKS,
    Scene,
    crowd,
    describe,
    laid,
    placed,
    sampled,
    scene,
    stream,
    third,
)

from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect
from facefx.effects.samples import samples_of, slider, sliders
from facefx.pipeline.pictures import upright_rgb
from facefx.values import Patch, Planes, StreamFormat

SEED = b"quality"
_STEPS = (0.25, 0.5, 0.75, 1.0)
Change = NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """An effect to be judged.

    files: parameters that its samples need. faint: least change at half strength, in codes of 8 bits.
    """

    effect: type[Effect]
    files: Mapping[str, Any] = field(default_factory=dict)
    faint: float = 2.0

    def make(self, **params: Any) -> Effect:
        """As a plan makes it."""
        checked = self.effect.Params(**{**self.files, **params})
        return self.effect(self.effect.pinned(checked))

    def at(self, part: float) -> Effect:
        """With all that says how much is done at a part of its range; else the sample that lies there."""
        samples = samples_of(self.effect)
        sample = samples[min(int(part * len(samples)), len(samples) - 1)]
        return self.make(**{**sample, **self._slid(part)})

    def strong(self) -> Effect:
        """At full strength."""
        return self.at(1.0)

    def usual(self) -> Effect:
        """As it comes; at half strength where it comes doing nothing."""
        names, fields = sliders(self.effect), self.effect.Params.model_fields
        if names and not any(fields[name].default for name in names):
            return self.at(0.5)
        declared = self.effect.samples
        return self.make(**declared[len(declared) // 2] if declared else {})

    @property
    def slides(self) -> bool:
        """Whether it can do more or less."""
        return bool(sliders(self.effect))

    @property
    def can_rest(self) -> bool:
        """Whether it can do nothing."""
        return self.slides and not any(self._slid(0.0).values())

    def _slid(self, part: float) -> dict[str, float]:
        return {name: slider(self.effect, name, part) for name in sliders(self.effect)}


def alone(effect: Effect, format: StreamFormat) -> EffectChain:
    """A chain of one."""
    return EffectChain([effect], format, SEED)


def painted(chain: EffectChain, view: Scene) -> Planes:
    """The frame after a chain of one effect, once all that must hold of any frame is seen to hold."""
    effect = chain.effects[0]
    patches = chain.frame(0, view.planes, view.faces)
    assert not chain.stats.blackouts, chain.stats.first
    assert not chain.stats.skipped, chain.stats.first
    done = tuple(plane.copy() for plane in view.planes)
    for patch in patches:
        patch.paste(done)
    assert_legal(view.format, done)
    rectangles = [
        Patch.rectangle(view.format, region) for face in view.faces if (region := effect.region(face))
    ]
    assert_outside_kept(view.format, view.planes, done, [found for found in rectangles if found])
    return done


def assert_legal(format: StreamFormat, planes: Planes) -> None:
    """Every code lies between black and white, or between the ends of chroma."""
    for i, plane in enumerate(channels(planes)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        assert low <= plane.min(), f"{describe(format)}: channel {i} fell to {plane.min()}, legal from {low}"
        assert plane.max() <= high, f"{describe(format)}: channel {i} rose to {plane.max()}, legal to {high}"


def assert_outside_kept(
    format: StreamFormat, before: Planes, after: Planes, rectangles: Sequence[tuple[int, int, int, int]]
) -> None:
    """Nothing changed but in these rectangles."""
    for i, (old, new) in enumerate(zip(channels(before), channels(after), strict=True)):
        sx, sy = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        changed = old != new
        for x0, y0, x1, y1 in rectangles:
            changed[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)] = False
        assert not changed.any(), f"{describe(format)}: channel {i} changed outside its region"


def change(format: StreamFormat, before: Planes, after: Planes) -> list[Change]:
    """New minus old of Y, U, V, in codes of 8 bits."""
    unit = np.float32(1 << (format.pixels.depth - 8))
    pairs = zip(channels(before), channels(after), strict=True)
    return [(new.astype(np.float32) - old) / unit for old, new in pairs]


def same(one: Planes, two: Planes) -> bool:
    """Bit for bit."""
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def mean_size(parts: Sequence[Change]) -> float:
    """Mean absolute value over all samples."""
    return float(np.mean([np.abs(part).mean() for part in parts]))


def keeps_to_its_region_and_to_legal_codes(subject: Subject) -> None:
    """In every format; in a patch of its own, and in one that other effects have widened to the frame."""
    for format in FORMATS:
        view, chain = scene(format), alone(subject.strong(), format)
        own, effect = painted(chain, view), chain.effects[0]
        wide = Patch.cut(format, 0, view.planes, (0, 0, format.width, format.height))
        region = effect.region(view.faces[0])
        assert wide is not None
        assert region is not None, f"{describe(format)}: nothing to be done at full strength"
        effect.apply(wide, view.faces[0])
        rectangle = Patch.rectangle(format, region)
        assert_outside_kept(format, view.planes, wide.planes, [rectangle] if rectangle else [])
        assert same(own, wide.planes), f"{describe(format)}: a wider patch gives another picture"


def rests_at_no_strength(subject: Subject) -> None:
    """The very same bits, and no region that would be cut and pasted for nothing."""
    for format in FEW:
        view = scene(format)
        effect = subject.at(0.0)
        chain = alone(effect, format)
        assert effect.region(view.faces[0]) is None, "a region where nothing is to be done"
        assert chain.frame(0, view.planes, view.faces) == []
        wide = Patch.cut(format, 0, view.planes, (0, 0, format.width, format.height))
        assert wide is not None
        effect.apply(wide, view.faces[0])
        assert same(wide.planes, view.planes), "strength 0 changed a code"


def is_seen_at_half_strength(subject: Subject) -> None:
    """The most changed fiftieth of its region changes by so many codes at least."""
    view = scene(stream(size=(640, 360)), (320, 180), 200.0)
    effect = subject.at(0.5)
    done = painted(alone(effect, view.format), view)
    region = effect.region(view.faces[0])
    assert region is not None
    x0, y0, x1, y1 = (max(0, int(value) // 2 * 2) for value in region)
    parts = change(view.format, view.planes, done)
    moved = np.abs(parts[0])[y0:y1, x0:x1]
    chroma = np.maximum(np.abs(parts[1]), np.abs(parts[2]))[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    seen = max(float(np.quantile(moved, 0.98)), float(np.quantile(chroma, 0.98)))
    assert seen >= subject.faint, f"changed by {seen:.2f} codes, at least {subject.faint} are promised"


def does_more_at_more_strength(subject: Subject) -> None:
    """The sum of all changes grows from each step to the next."""
    view = scene(stream(size=(320, 240)), (160, 120), 130.0)
    sizes = [
        mean_size(change(view.format, view.planes, painted(alone(subject.at(part), view.format), view)))
        for part in _STEPS
    ]
    assert all(more > less for less, more in pairwise(sizes)), f"at {_STEPS} of its range: {sizes}"


def looks_the_same_in_every_format(subject: Subject) -> None:
    """What it changes, seen in red, green and blue, in squares of 8 pixels."""
    wanted: Change | None = None
    for format in LOOKS:
        view = scene(format)
        before, after = (
            upright_rgb(format, planes)
            for planes in (view.planes, painted(alone(subject.strong(), view.format), view))
        )
        moved = after.astype(np.float32) - before
        cells = cv2.resize(moved[:120, :160], (20, 15), interpolation=cv2.INTER_AREA)
        if wanted is None:
            wanted = cells
        apart, size = float(np.abs(cells - wanted).mean()), float(np.abs(wanted).mean())
        assert apart <= 0.12 * size + 0.25, (
            f"{describe(format)}: {apart:.2f} codes from a change of {size:.2f}"
        )


def looks_the_same_at_any_resolution(subject: Subject) -> None:
    """360p and 1080p of one picture, compared at 360p."""
    large = scene(stream(size=(1920, 1080)), (960.0, 540.0), 450.0)
    view = third(large)
    small = change(view.format, view.planes, painted(alone(subject.strong(), view.format), view))
    fine = change(large.format, large.planes, painted(alone(subject.strong(), large.format), large))
    shrunk = [
        cv2.resize(part, there.shape[::-1], interpolation=cv2.INTER_AREA)
        for part, there in zip(fine, small, strict=True)
    ]
    apart = mean_size([a - b for a, b in zip(small, shrunk, strict=True)])
    size = mean_size(small)
    assert apart <= 0.25 * size + 0.02, f"{apart:.3f} codes apart, of a change of {size:.3f}"


def bears_a_face_that_the_frame_cuts(subject: Subject) -> None:
    """By each edge and corner, and a face that is all but or wholly outside."""
    for format in FEW:
        chain = alone(subject.strong(), format)
        for x, y in product((-30, 2, 80, 158, 190), (-40, 1, 60, 119, 160)):
            painted(chain, scene(format, (float(x), float(y))))


def bears_a_face_of_any_size(subject: Subject) -> None:
    """From half a pixel to a hundred frames; the work is bounded by the frame, not by the face."""
    for format in FEW:
        chain = alone(subject.strong(), format)
        for height in (0.5, 2.0, 8.0, 20.0, 300.0, 1000.0):
            painted(chain, scene(format, (80.3, 60.6), height))
    chain = alone(subject.strong(), stream())
    painted(chain, scene(stream()))
    huge = scene(stream(), (80.0, 60.0), 12_000.0)
    tracemalloc.start()
    painted(chain, huge)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert peak < 100, f"{peak:.0f} MB for a face that is far larger than the frame"


def serves_thirty_faces_as_it_serves_one(subject: Subject) -> None:
    """Each face of a grid gets what it gets where it is alone."""
    view = crowd()
    together = painted(alone(subject.strong(), view.format), view)
    for face in view.faces[::7]:
        single = painted(alone(subject.strong(), view.format), replace(view, faces=(face,)))
        x0, y0, x1, y1 = (round(value) for value in face.xyxy)
        assert np.array_equal(together[0][y0:y1, x0:x1], single[0][y0:y1, x0:x1]), f"face {face.track_id}"


def bears_faces_on_top_of_each_other(subject: Subject) -> None:
    """Where only the first face's patch lies, it looks as it does alone: the second brings nothing back."""
    format = stream(size=(320, 240))
    where = laid((130, 120), 110.0)
    first, second = placed(*where), placed(where[0], where[1] + 55, where[2] + 8, track_id=2)
    planes = sampled(format, *where)
    both = painted(alone(subject.strong(), format), Scene(format, planes, (first, second)))
    chain = alone(subject.strong(), format)
    single = painted(chain, Scene(format, planes, (first,)))
    region = alone(subject.strong(), format).effects[0].region(second)
    rectangle = Patch.rectangle(format, region) if region else None
    assert rectangle is not None
    assert_outside_kept(format, single, both, [rectangle])
    painted(chain, Scene(format, planes, (first, replace(first, track_id=2))))


def remembers_nothing(subject: Subject) -> None:
    """A frame looks the same whatever frames came before it, and from an effect that is made anew."""
    format = stream("yuv420p")
    here, there = scene(format), scene(format, (70.0, 55.0), 60.0)
    fresh = painted(alone(subject.strong(), format), here)
    chain = alone(subject.strong(), format)
    for pts, view in enumerate((there, here, there)):
        chain.frame(0, view.planes, [replace(face, pts=pts) for face in view.faces])
    again = tuple(plane.copy() for plane in here.planes)
    for patch in chain.frame(0, here.planes, here.faces):
        patch.paste(again)
    assert same(fresh, again), "frames before this one changed it"


CHECKS: dict[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        keeps_to_its_region_and_to_legal_codes,
        rests_at_no_strength,
        is_seen_at_half_strength,
        does_more_at_more_strength,
        looks_the_same_in_every_format,
        looks_the_same_at_any_resolution,
        bears_a_face_that_the_frame_cuts,
        bears_a_face_of_any_size,
        serves_thirty_faces_as_it_serves_one,
        bears_faces_on_top_of_each_other,
        remembers_nothing,
    )
}


def applies(check: str, subject: Subject) -> bool:
    """Whether a check has anything to ask of an effect."""
    return {
        "rests_at_no_strength": subject.can_rest,
        "does_more_at_more_strength": subject.slides,
    }.get(check, True)


def flicker(subject: Subject, frames: Sequence[Scene]) -> float:
    """How much more a frame differs from the last one after the effect than before: codes of 8 bits, mean.

    frames: consecutive ones in which nothing moves. Over the largest rectangle that it touches, the worst
    of Y, U, V.
    """
    chain = alone(subject.usual(), frames[0].format)
    after = [painted(chain, frame) for frame in frames]
    before = [frame.planes for frame in frames]
    worst, format = 0.0, frames[0].format
    for i in range(len(channels(after[0]))):
        pairs = zip(before, after, strict=True)
        where = np.logical_or.reduce([channels(old)[i] != channels(new)[i] for old, new in pairs])
        if where.any():
            rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
            area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            worst = max(worst, _stir(format, after, i, area) - _stir(format, before, i, area))
    return worst


def _stir(format: StreamFormat, frames: Sequence[Planes], channel: int, area: Any) -> float:
    """Mean absolute difference of one channel from frame to frame, in an area."""
    return float(np.mean([np.abs(change(format, a, b)[channel][area]).mean() for a, b in pairwise(frames)]))
