"""eyes and teeth: only what is white or iris, only what is teeth; never lashes, lids, lips or gums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from beauty_makers import Pose, differences, portrait, tooth
from effect_makers import after, mesh_face, real_face, stream, within
from numpy.typing import NDArray

from facefx.effects.library.eyes import Eyes
from facefx.effects.library.teeth import Teeth
from facefx.effects.masks import Mesh
from facefx.faces.topology import topology
from facefx.values import Face

POSE = Pose((150.3, 140.2), 256, 6)
FORMAT = stream("yuv444p", 300, 300)


def disc(place: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    return within(FORMAT, POSE.disc(place, radius))


def shut(face: Face, part: float) -> Face:
    """The face with its eyes open so far: 0 is shut."""
    assert face.landmarks is not None
    points = face.landmarks.copy()
    for side in ("left", "right"):
        loop = list(topology(face.topology).regions[f"{side}_eye"])
        middle = points[loop].mean(axis=0)
        points[loop, 1] = middle[1] + part * (points[loop, 1] - middle[1])
    return replace(face, landmarks=points)


def test_the_white_and_the_iris_brighten_and_the_pupil_stays_black() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=0)
    luma, u, v = differences(before, after(FORMAT, before, Eyes.of(strength=1.0), someone))
    for x in (0.18, -0.18):
        white = disc((x + 0.035, -0.12), 0.006)
        iris = disc((x, -0.12), 0.02) & ~disc((x, -0.12), 0.013)
        assert luma[white].mean() > 10
        assert luma[iris].mean() > 2
        assert not luma[disc((x, -0.12), 0.006)].any()
        # Less colour in the white, where it is a little red.
        assert v[white].mean() < -0.5
        assert u[white].mean() > 0


@pytest.mark.parametrize("still", ["portrait_1.jpg", "glasses_1.jpg", "man_sofa_1.jpg", "astronaut_1.png"])
def test_nothing_changes_beyond_the_lids_of_a_real_eye(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    changes = differences(before, after(format, before, Eyes.of(strength=1.0), someone))
    mesh = Mesh(someone)
    lids = within(format, mesh.outline("left_eye")) | within(format, mesh.outline("right_eye"))
    assert (changes[0] > 0)[lids].mean() > 0.1
    for change in changes:
        assert not change[~lids].any()


def test_lashes_across_the_eye_are_not_painted() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=0)
    for x in (0.14, 0.145, 0.215, 0.22):
        lash = within(FORMAT, POSE.place([(x, -0.16), (x + 0.003, -0.16), (x + 0.003, -0.11), (x, -0.11)]))
        before[0][lash] = 25
    luma = differences(before, after(FORMAT, before, Eyes.of(strength=1.0), someone))[0]
    assert not luma[before[0] == 25].any()


def test_eyes_that_shut_fade_out_and_shut_ones_keep_their_bits() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, grain=0)
    done = []
    for part in (1.0, 0.7, 0.5, 0.3, 0.0):
        luma = differences(before, after(FORMAT, before, Eyes.of(strength=1.0), shut(someone, part)))[0]
        done.append(int(luma.sum()))
    assert done[0] > done[1] > done[2] > done[3] >= done[4] == 0
    assert Eyes.of().region(shut(someone, 0.0)) is None


def test_one_eye_that_winks_leaves_the_other_bright() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=0)
    assert someone.landmarks is not None
    points = shut(someone, 0.05).landmarks
    assert points is not None
    left = list(topology(someone.topology).regions["left_eye"])
    points[left] = someone.landmarks[left]
    luma = differences(
        before, after(FORMAT, before, Eyes.of(strength=1.0), replace(someone, landmarks=points))
    )[0]
    assert luma[disc((0.18 + 0.035, -0.12), 0.006)].mean() > 10
    assert not luma[disc((-0.18, -0.12), 0.08)].any()


@pytest.mark.parametrize("name", ["yuv444p", "yuv420p", "nv12", "yuv420p10le", "interlaced"])
def test_teeth_whiten_and_lips_gums_and_the_hollow_stay(name: str) -> None:
    format = stream(name, 300, 300)
    before, someone = portrait(format, POSE.centre, POSE.size, POSE.turned, grain=0)
    luma = differences(before, after(format, before, Teeth.of(strength=1.0), someone))[0]
    unit = 1 << (format.pixels.depth - 8)
    for x in (-0.025, 0.0, 0.025):
        middle = POSE.place(np.array([(x, 0.279)]) + 0.5 * (tooth(x) - tooth(x).mean(axis=0)))
        assert luma[within(format, middle)].mean() > 8 * unit
    mesh = Mesh(someone)
    lips = within(format, mesh.outline("lips_outer")) & ~within(format, mesh.outline("lips_inner"))
    assert not luma[lips].any()
    for x in (-0.05, 0.0, 0.05):
        assert luma[within(format, POSE.disc((x, 0.302), 0.003))].mean() <= 2 * unit


def test_teeth_lose_their_yellow_but_not_all_their_warmth() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=0)
    done = after(FORMAT, before, Teeth.of(strength=1.0), someone)
    middle = within(FORMAT, POSE.place(np.array([(0.0, 0.279)]) + 0.4 * (tooth(0) - tooth(0).mean(axis=0))))
    was, now = (128 - planes[1][middle].mean() for planes in (before, done))
    assert 0.2 * was < now < 0.7 * was


def test_a_closed_mouth_keeps_its_bits() -> None:
    before, _ = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned)
    closed = mesh_face(POSE.centre, POSE.size, POSE.turned)
    assert Teeth.of().region(closed) is None
    assert all(not change.any() for change in differences(before, after(FORMAT, before, Teeth.of(), closed)))


@pytest.mark.parametrize("still", ["portrait_1.jpg", "glasses_1.jpg", "couple_2.jpg", "astronaut_1.png"])
def test_real_teeth_whiten_and_real_lips_keep_their_bits(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    luma, _, v = differences(before, after(format, before, Teeth.of(strength=1.0), someone))
    inner = within(format, Mesh(someone).outline("lips_inner"))
    assert not luma[~inner].any()
    assert not v[~inner].any()
    teeth = inner & (before[0] > np.percentile(before[0][inner], 70))
    assert luma[teeth].mean() > 4
    red = inner & (before[2].astype(int) - 128 > 0.25 * (before[0].astype(int) - 16))
    assert red.sum() < 20 or luma[red].mean() < 1


@pytest.mark.parametrize("effect", [Eyes, Teeth])
def test_a_small_face_is_left_alone_and_comes_in_gently(effect: type[Eyes | Teeth]) -> None:
    sums = []
    for size in (20, 32, 40, 48, 56):
        format = stream("yuv420p")
        before, someone = portrait(format, (80, 62), size, grain=0)
        sums.append(
            int(differences(before, after(format, before, effect.of(strength=1.0), someone))[0].sum())
        )
    assert sums[0] == sums[1] == 0
    assert sums[2] < sums[3] < sums[4]


def test_black_and_white_teeth_are_told_by_their_light() -> None:
    format = stream("gray", 300, 300)
    before, someone = portrait(format, POSE.centre, POSE.size, POSE.turned, grain=0)
    luma = differences(before, after(format, before, Teeth.of(strength=1.0), someone))[0]
    assert luma[within(format, POSE.disc((0.0, 0.279), 0.006))].mean() > 8
    assert not luma[within(format, POSE.disc((0.05, 0.302), 0.003))].any()
