"""What stickers, textures and models all keep: codes outside, legal codes inside, and one look everywhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ar_makers import head, made, shown
from effect_makers import NAMES, channels, face, flat, mesh_face, noise, painted, real_face, stream
from numpy.typing import NDArray

from facefx.effects import pose
from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect
from facefx.errors import EffectError
from facefx.values import Color, Patch, Planes

EFFECTS: dict[str, dict[str, Any]] = {
    "sticker": {"path": "builtin:moustache", "anchor": "upper_lip", "width": 0.5},
    "texture": {"path": "builtin:grid"},
    "glasses": {"path": "builtin:glasses", "kind": "glasses"},
    "hat": {"path": "builtin:hat", "kind": "hat"},
}
FORMATS = (*NAMES, "interlaced")


def effect(name: str, **more: Any) -> Effect:
    kind = name if name in ("sticker", "texture") else "model"
    return made(kind, **{**EFFECTS[name], **more})


def changed(before: Planes, after: Planes) -> list[NDArray[np.bool_]]:
    return [a != b for a, b in zip(channels(before), channels(after), strict=True)]


@pytest.mark.parametrize("name", EFFECTS)
def test_no_opacity_means_no_work_and_the_same_bits(name: str) -> None:
    format = stream()
    chain = EffectChain([effect(name, opacity=0)], format)
    assert chain.frame(0, noise(format, 1), [head(format, (80, 70), 70)]) == []
    patch = Patch.cut(format, 0, noise(format, 1), (0, 0, 161, 121))
    assert patch is not None
    chain.effects[0].apply(patch, head(format, (80, 70), 70))
    assert not patch.changed(noise(format, 1))


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("pixels", FORMATS)
def test_codes_outside_stay_and_those_inside_are_legal(name: str, pixels: str) -> None:
    format = stream(pixels)
    before, someone = noise(format, 3), head(format, (80.3, 66.7), 70, yaw=15, roll=8)
    made_of = effect(name)
    after = shown(made_of, format, before, someone)
    region = made_of.region(someone)
    assert region is not None
    x0, y0, x1, y1 = Patch.rectangle(format, region) or (0, 0, 0, 0)
    for i, (plane, moved) in enumerate(zip(channels(after), changed(before, after), strict=True)):
        sx, sy = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        assert moved.any()
        moved[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)] = False
        assert not moved.any()
        low, high = format.color.chroma_range if i else format.color.luma_range
        assert low <= plane.min()
        assert plane.max() <= high


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10])
def test_white_and_black_stay_within_every_range(name: str, matrix: Any, full: bool, depth: int) -> None:
    color = Color(matrix, full, depth)
    format = stream("yuv444p" if depth == 8 else "yuv444p10le", color=color)
    for luma in color.luma_range:
        for chroma in color.chroma_range:
            before = flat(format, (luma, chroma, chroma))
            after = shown(effect(name, opacity=0.7), format, before, head(format, (80, 66), 70))
            for i, plane in enumerate(after):
                low, high = color.chroma_range if i else color.luma_range
                assert low <= plane.min()
                assert plane.max() <= high


@pytest.mark.parametrize("name", EFFECTS)
def test_ten_bits_look_like_eight(name: str) -> None:
    eight, ten = stream("yuv420p"), stream("yuv420p10le")
    before = noise(eight, 5)
    someone = head(eight, (80, 66), 70, yaw=-20)
    fine = shown(effect(name), ten, tuple(plane.astype(np.uint16) * 4 for plane in before), someone)
    for a, b in zip(shown(effect(name), eight, before, someone), fine, strict=True):
        assert np.abs(a.astype(int) * 4 - b.astype(int)).max() <= 3


@pytest.mark.parametrize("name", EFFECTS)
def test_more_opacity_changes_more_and_half_of_it_half(name: str) -> None:
    format = stream("yuvj444p", 200, 200)
    before = flat(format, (128, 128, 128))
    steps = [
        np.abs(
            shown(effect(name, opacity=part), format, before, head(format, (100, 110), 110))[0].astype(int)
            - 128
        )
        for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    for less, more in pairwise(steps):
        assert (more >= less - 1).all()
        assert more.sum() > less.sum()
    assert steps[2].sum() == pytest.approx(0.5 * steps[4].sum(), rel=0.05)
    assert (steps[2] > 10).sum() > 300


@pytest.mark.parametrize("name", EFFECTS)
def test_a_face_looks_the_same_at_a_third_of_the_resolution(name: str) -> None:
    large, small = stream("yuvj444p", 1200, 900), stream("yuvj444p", 400, 300)
    many = shown(
        effect(name), large, flat(large, (90, 110, 150)), head(large, (600, 480), 420, yaw=20, roll=-10)
    )
    few = shown(
        effect(name), small, flat(small, (90, 110, 150)), head(small, (200, 160), 140, yaw=20, roll=-10)
    )
    shrunk = cv2.resize(many[0], (400, 300), interpolation=cv2.INTER_AREA).astype(int)
    apart, done = np.abs(shrunk - few[0]), np.abs(shrunk - 90)
    assert apart.mean() < 0.06 * done.mean()


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("pixels", ["yuv420p", "nv12", "yuv411p", "interlaced", "yuv422p10le"])
@pytest.mark.parametrize("centre", [(3, 60), (158, 60), (80, 4), (80, 118), (-300, 60), (161, 121)])
def test_a_face_across_the_edge_is_drawn_as_on_a_larger_picture(
    name: str, pixels: str, centre: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    format, wide = stream(pixels), stream(pixels, 161 + 320, 121 + 240)
    someone, beyond = head(format, centre, 90), head(wide, (centre[0] + 160, centre[1] + 120), 90)
    grey = (90 << format.pixels.depth - 8, 110 << format.pixels.depth - 8, 150 << format.pixels.depth - 8)
    cut = shown(effect(name), format, flat(format, grey), someone)[0].astype(int)
    monkeypatch.setattr(pose, "_FOCAL_PARTS", format.width / wide.width)  # the same camera for both
    whole = shown(effect(name), wide, flat(wide, grey), beyond)[0].astype(int)[
        120 : 120 + 121, 160 : 160 + 161
    ]
    assert np.abs(cut - whole).max() <= 1 << format.pixels.depth - 8


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("size", [1, 3, 8, 20, 900, 5000])
def test_a_face_of_any_size_is_no_error(name: str, size: float) -> None:
    format = stream("yuv420p", 320, 240)
    shown(effect(name), format, noise(format, 2), head(format, (160, 120), size, yaw=10))


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("yaw", [-170, -90, 90, 180])
@pytest.mark.parametrize("pitch", [-90, 0, 90])
def test_no_turn_of_the_head_is_an_error(name: str, yaw: float, pitch: float) -> None:
    format = stream("yuv420p", 320, 240)
    shown(effect(name), format, noise(format, 2), head(format, (160, 120), 120, yaw=yaw, pitch=pitch))


@pytest.mark.parametrize("name", EFFECTS)
def test_a_mesh_that_is_none_is_no_error_and_one_that_is_missing_is_named(name: str) -> None:
    format = stream("yuv420p", 320, 240)
    shown(effect(name), format, noise(format, 2), mesh_face((160, 120), 100))
    odd = mesh_face((160, 120), 100)
    shown(effect(name), format, noise(format, 2), replace(odd, landmarks=np.zeros((468, 3), np.float32)))
    made_of = effect(name)
    made_of.prepare(format, b"")
    with pytest.raises(EffectError, match="face 3 at pts 8: expected landmarks, got none"):
        made_of.region(face((40, 30, 100, 110), track_id=3, pts=8))


@pytest.mark.parametrize("name", EFFECTS)
def test_478_points_are_as_good_as_468(name: str) -> None:
    format = stream()
    someone = head(format, (80, 66), 70)
    assert someone.landmarks is not None
    more = np.concatenate((someone.landmarks, np.full((10, 3), 7, np.float32)))
    finer = replace(someone, landmarks=more, topology="mediapipe-478")
    for a, b in zip(
        shown(effect(name), format, None, someone), shown(effect(name), format, None, finer), strict=True
    ):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", EFFECTS)
def test_the_same_frame_gives_the_same_bytes_whatever_came_before(name: str) -> None:
    format = stream("nv12", 300, 240)
    first, second = head(format, (100, 120), 80), head(format, (190, 110), 90, track_id=2, yaw=30)
    chain = EffectChain([effect(name)], format)
    fresh = painted(EffectChain([effect(name)], format), noise(format, 2), [first, second])[0]
    painted(chain, noise(format, 1), [second, replace(first, pts=4)])
    again = painted(chain, noise(format, 2), [first, second])[0]
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))


@pytest.mark.parametrize("name", EFFECTS)
def test_a_patch_that_other_effects_have_widened_gives_the_same(name: str) -> None:
    format, someone = stream("yuv420p", 320, 240), head(stream(), (160, 160), 90, yaw=20)
    before = noise(format, 4)
    wide = Patch.cut(format, 0, before, (2, 2, 318, 238))
    assert wide is not None
    made_of = effect(name)
    made_of.prepare(format, b"")
    made_of.apply(wide, someone)
    done = tuple(plane.copy() for plane in before)
    wide.paste(done)
    for a, b in zip(done, shown(effect(name), format, before, someone), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", EFFECTS)
def test_thirty_faces_and_two_that_overlap(name: str) -> None:
    format = stream("yuv420p", 640, 480)
    people = [
        head(format, (60 + 100 * (i % 6), 60 + 90 * (i // 6)), 70 + i, track_id=i + 1, yaw=3 * i - 45)
        for i in range(30)
    ]
    assert any(
        moved.any()
        for moved in changed(noise(format, 1), shown(effect(name), format, noise(format, 1), *people))
    )


@pytest.mark.parametrize("name", EFFECTS)
def test_it_does_not_flicker_more_than_the_face_moves(name: str, media: Path, models_dir: Path) -> None:
    format, planes, someone = real_face(media, models_dir, "portrait_1.jpg", 0.8)
    generator = np.random.default_rng(5)
    frames = []
    assert someone.landmarks is not None
    for _ in range(5):
        shift = generator.normal(0, 0.015, (1, 3)) + generator.normal(0, 0.01, someone.landmarks.shape)
        frames.append(
            shown(
                effect(name),
                format,
                planes,
                replace(someone, landmarks=(someone.landmarks + shift).astype(np.float32)),
            )
        )
    touched = frames[0][0] != planes[0]
    flicker = [np.abs(b[0].astype(int) - a[0])[touched].mean() for a, b in pairwise(frames)]
    assert max(flicker) < 0.5


def test_all_of_them_together_find_the_head_once(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = []
    original = pose.solve_pose

    def counted(*args: Any) -> Any:
        solved.append(args)
        return original(*args)

    monkeypatch.setattr(pose, "solve_pose", counted)
    format = stream("yuv420p", 320, 240)
    shown([effect(name) for name in EFFECTS], format, None, head(format, (160, 120), 90))
    assert len(solved) == 1
