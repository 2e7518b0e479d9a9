"""A chain: order, overlaps, and what a failing effect does to a frame."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import numpy as np
import pytest
from effect_makers import (
    Box,
    Brighten,
    NeedsLandmarks,
    Reshape,
    core,
    face,
    flat,
    noise,
    painted,
    stream,
)

from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect, Rectangle
from facefx.effects.library.blur import Blur
from facefx.effects.library.pixelate import Pixelate
from facefx.effects.library.solid import Solid
from facefx.values import Face, Patch

NEAR: Box = (20.0, 20.0, 80.0, 90.0)
OVER: Box = (50.0, 30.0, 120.0, 100.0)


class _RaisesInCover(Solid):
    name = "broken"

    def cover(self, patch: Patch, face: Face) -> None:
        patch.planes[0][:2] = 200
        raise ZeroDivisionError("no such face")


class _NamesNoRegion(Solid):
    name = "blind"

    def region(self, face: Face) -> Rectangle | None:
        return None


class _NamesHalf(Solid):
    name = "half"

    def region(self, face: Face) -> Rectangle | None:
        x0, y0, x1, y1 = face.xyxy
        return x0, y0, (x0 + x1) / 2, y1


class _BreaksOnSecond(Brighten):
    """Changes its patch, then fails, on one of two faces."""

    def apply(self, patch: Patch, face: Face) -> None:
        patch.planes[0][...] = 99
        if face.track_id == 2:
            raise ValueError("an   odd\nface")


def shown(patches: list[Patch], planes: tuple[np.ndarray, ...]) -> np.ndarray:
    done = tuple(plane.copy() for plane in planes)
    for patch in patches:
        patch.paste(done)
    return done[0]


@pytest.mark.parametrize("make", [Solid.of, lambda: Solid.of(feather=0.2)], ids=["hard", "soft"])
def test_overlapping_faces_do_not_uncover_each_other(
    make: Callable[[], Effect], monkeypatch: pytest.MonkeyPatch
) -> None:
    format = stream()
    planes = noise(format, 1)
    faces = [face(NEAR, 1), face(OVER, 2)]

    def seen() -> int:
        after, patches = painted(EffectChain([make()], format), planes, faces)
        assert len(patches) == 2
        return sum(int((after[0][core(format, box)] != 16).sum()) for box in (NEAR, OVER))

    assert seen() == 0
    monkeypatch.setattr(Patch, "overlay", lambda self, other: None)
    assert seen() > 100


def test_privacy_comes_after_everything_on_every_face() -> None:
    format = stream()
    faces = [face(NEAR, 1), face(OVER, 2)]
    chain = EffectChain([Solid.of(), Brighten.of(), Reshape.of()], format)
    assert [effect.family for effect in chain.effects] == ["geometry", "colour", "privacy"]
    after, patches = painted(chain, flat(format, (50, 128, 128)), faces)
    # Were the second face brightened after the first was hidden, the overlap would be above black.
    assert len(patches) == 4
    for box in (NEAR, OVER):
        assert (after[0][core(format, box)] == 16).all()


def test_geometry_runs_before_colour_whatever_the_order_given() -> None:
    format = stream()
    planes = flat(format, (50, 128, 128))
    for effects in ([Brighten.of(), Reshape.of()], [Reshape.of(), Brighten.of()]):
        after, _ = painted(EffectChain(effects, format), planes, [face(NEAR)])
        assert after[0][50, 50] == 110


@pytest.mark.parametrize("effect", [_RaisesInCover, _NamesNoRegion, _NamesHalf])
@pytest.mark.parametrize("name", ["yuv420p", "nv12", "gray", "yuv420p10le", "yuvj420p"])
def test_a_failing_privacy_effect_blacks_out_the_frame(
    effect: type[Solid], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    format = stream(name)
    chain = EffectChain([Brighten.of(), effect.of()], format)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            after, patches = painted(chain, noise(format, 1), [face(NEAR)])
    assert len(patches) == 1
    black = (format.color.luma_range[0], format.color.neutral, format.color.neutral)
    for plane, code in zip(after, black, strict=False):
        assert (plane == code).all()
    (reason,) = chain.stats.blackouts
    assert reason.startswith(f"{effect.name}: ")
    assert chain.stats.blackouts[reason] == 3
    assert len(caplog.records) == 1


def test_a_box_that_is_not_a_number_blacks_out_the_frame() -> None:
    format = stream()
    chain = EffectChain([Solid.of()], format)
    after, _ = painted(chain, noise(format, 1), [face((float("nan"), 0.0, 10.0, 10.0))])
    assert (after[0] == 16).all()
    assert sum(chain.stats.blackouts.values()) == 1


def test_a_failing_beauty_effect_is_left_out_of_that_frame_only() -> None:
    format = stream()
    planes = flat(format, (50, 128, 128))
    chain = EffectChain([_BreaksOnSecond.of(), Reshape.of()], format)
    both = [face(NEAR, 1), face((100.0, 20.0, 140.0, 60.0), 2)]
    after, _ = painted(chain, planes, both)
    assert after[0][50, 50] == after[0][40, 120] == 100
    assert set(np.unique(after[0])) == {50, 100}
    assert chain.stats.skipped == {"brighten: ValueError": 1}
    assert chain.stats.first == {"brighten: ValueError": "an odd face"}
    after, _ = painted(chain, planes, both[:1])
    assert after[0][50, 50] == 99
    assert not chain.stats.blackouts


def test_an_effect_without_its_landmarks_is_counted_not_run() -> None:
    format = stream()
    planes = flat(format, (50, 128, 128))
    chain = EffectChain([NeedsLandmarks.of()], format)
    faces = [face(NEAR, 1), face((100.0, 20.0, 140.0, 60.0), 2, landmarks=np.zeros((5, 3), np.float32))]
    after, _ = painted(chain, planes, faces)
    assert (after[0][50, 50], after[0][40, 120]) == (50, 60)
    assert chain.stats.skipped == {"needy: no landmarks": 1}


def test_a_chain_never_writes_into_the_decoders_frame() -> None:
    format = stream()
    planes = noise(format, 2)
    for plane in planes:
        plane.flags.writeable = False
    chain = EffectChain([Brighten.of(), Pixelate.of(), Blur.of(), Solid.of()], format)
    patches = chain.frame(0, planes, [face(NEAR, 1), face(OVER, 2)])
    assert not chain.stats.blackouts
    assert not any(np.shares_memory(part, plane) for p in patches for part in p.planes for plane in planes)


def test_a_frame_without_faces_costs_no_patch() -> None:
    format = stream()
    chain = EffectChain([Solid.of()], format)
    assert chain.frame(0, noise(format, 1), []) == []
    assert EffectChain([], format).frame(0, noise(format, 1), [face(NEAR)]) == []
    assert chain.stats.frames == 1


def test_the_stats_are_plain_values() -> None:
    format = stream()
    chain = EffectChain([_RaisesInCover.of()], format)
    chain.frame(0, noise(format, 1), [face(NEAR)])
    assert json.loads(json.dumps(chain.stats.to_json())) == {
        "frames": 1,
        "faces": 1,
        "patches": 1,
        "blackouts": {"broken: ZeroDivisionError": 1},
        "skipped": {},
        "first": {"broken: ZeroDivisionError": "no such face"},
    }


def test_the_same_frames_give_the_same_bytes_in_any_order_and_process() -> None:
    """A segment that starts later must not look different."""
    format = stream("yuv420p10le")
    frames = [(noise(format, i), [face(NEAR, 7, pts=i), face(OVER, 9, pts=i)]) for i in range(3)]

    def effects() -> list[Effect]:
        return [Pixelate.of(noise=0.2, feather=0.05), Blur.of()]

    forward = EffectChain(effects(), format, b"plan")
    there = [shown(forward.frame(0, *frame), frame[0]) for frame in frames]
    backward = EffectChain(effects(), format, b"plan")
    back = [shown(backward.frame(0, *frame), frame[0]) for frame in reversed(frames)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(there, back, strict=True))
    other = EffectChain(effects(), format, b"another plan")
    assert not np.array_equal(shown(other.frame(0, *frames[0]), frames[0][0]), there[0])
