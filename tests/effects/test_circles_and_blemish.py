"""circles and blemish: what is darker than its surroundings is softened; folds, frames and moles stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from beauty_makers import MOLE_AT, SPOT_RADIUS, SPOTS, Pose, differences, portrait
from effect_makers import after, real_face, stream, within
from numpy.typing import NDArray

from facefx.effects.library.blemish import Blemish, unlike_around
from facefx.effects.library.circles import Circles
from facefx.effects.masks import Mesh
from facefx.values import Planes

POSE = Pose((200.3, 190.2), 256, 6)
FORMAT = stream("yuv420p", 400, 400)


def disc(place: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    return within(FORMAT, POSE.disc(place, radius))


def painted_face() -> tuple[Planes, Mesh]:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=1.0)
    return before, Mesh(someone)


def test_dark_circles_come_near_the_cheek_and_never_beyond() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=1.0)
    done = after(FORMAT, before, Circles.of(strength=1.0), someone)
    for x in (0.18, -0.18):
        circle, cheek = disc((x, -0.062), 0.015), disc((x, 0.03), 0.02)
        was, now = (float(planes[0][cheek].mean() - planes[0][circle].mean()) for planes in (before, done))
        assert was > 15
        assert 0 < now < 0.75 * was
        assert not differences(before, done)[0][disc((x, 0.09), 0.03)].any()
    assert differences(before, done)[0].min() >= 0


def test_their_colour_comes_along() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, grain=0)
    done = after(FORMAT, before, Circles.of(strength=1.0), someone)
    format, pose = stream("gray", 200, 200), Pose((POSE.centre[0] / 2, POSE.centre[1] / 2), POSE.size / 2)
    circle, cheek = (within(format, pose.disc((0.18, y), 0.015)) for y in (-0.062, 0.03))
    was, now = (abs(float(planes[1][cheek].mean() - planes[1][circle].mean())) for planes in (before, done))
    assert was > 1.5
    assert now < 0.8 * was


def test_texture_in_a_dark_circle_stays() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=4.0)
    done = after(FORMAT, before, Circles.of(strength=1.0), someone)
    circle = disc((0.18, -0.06), 0.012)
    assert done[0][circle].std() > 0.85 * before[0][circle].std()


def test_a_frame_below_the_eye_is_not_lightened() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=0)
    frame = within(FORMAT, POSE.place([(0.08, -0.06), (0.28, -0.06), (0.28, -0.045), (0.08, -0.045)]))
    before[0][frame] = 25
    luma = differences(before, after(FORMAT, before, Circles.of(strength=1.0), someone))[0]
    assert np.abs(luma[frame]).mean() < 1.5
    assert luma[disc((-0.18, -0.062), 0.015)].mean() > 4


@pytest.mark.parametrize("still", ["portrait_1.jpg", "glasses_1.jpg", "man_sofa_1.jpg", "hopper_1.jpg"])
def test_real_eyes_stay_and_nothing_darkens(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    luma = differences(before, after(format, before, Circles.of(strength=1.0), someone))[0]
    for name in ("left_brow", "right_brow", "lips_outer"):
        assert not luma[within(format, Mesh(someone).outline(name))].any(), name
    for name in ("left_eye", "right_eye"):  # the fade ends within the rim of the lower lid
        assert luma[within(format, Mesh(someone).outline(name))].mean() < 1, name
    assert luma.min() >= 0
    assert luma.max() < 50


def test_spots_go_and_a_mole_stays_with_its_edge() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, POSE.turned, grain=1.0)
    done = after(FORMAT, before, Blemish.of(strength=1.0), someone)
    for x, y in SPOTS:
        spot, skin = disc((x, y), SPOT_RADIUS * 0.8), disc((x, y), 0.05) & ~disc((x, y), 0.025)
        was, now = (float(planes[0][skin].mean() - planes[0][spot].mean()) for planes in (before, done))
        assert was > 20
        assert -3 < now < 0.4 * was
    luma = differences(before, done)[0]
    assert np.abs(luma[disc(MOLE_AT, 0.03)]).mean() < 1


def test_the_redness_of_a_spot_goes_too() -> None:
    format = stream("yuv444p", 400, 400)
    before, someone = portrait(format, POSE.centre, POSE.size, POSE.turned, grain=0)
    before[0][...] = np.where(within(format, Mesh(someone).outline("face_oval")), 155, before[0])
    done = after(format, before, Blemish.of(strength=1.0), someone)
    for place in SPOTS:
        spot = disc(place, SPOT_RADIUS * 0.8)
        was, now = (
            float(planes[2][spot].mean() - np.median(planes[2][200, 190:210])) for planes in (before, done)
        )
        assert was > 3
        assert abs(now) < 0.5 * was


def test_folds_edges_and_shades_stay() -> None:
    before, someone = portrait(FORMAT, POSE.centre, POSE.size, 0.0, grain=0)
    fold = within(FORMAT, POSE.place([(0.1, 0.1), (0.15, 0.22), (0.156, 0.22), (0.106, 0.1)]))
    before[0][fold] -= 30
    before[0][:, 260:] -= 12
    shade = np.linspace(0, 25, 400).astype(np.uint8)[:, None]
    before[0][...] -= shade
    luma = differences(before, after(FORMAT, before, Blemish.of(strength=1.0), someone))[0]
    middle = within(FORMAT, POSE.place([(0.11, 0.12), (0.142, 0.2), (0.148, 0.2), (0.116, 0.12)]))
    assert luma[middle].mean() < 4
    assert np.abs(luma[220:280, 255:266]).max() <= 2


def test_unlike_around_is_what_a_spot_lacks_and_nothing_else() -> None:
    ramp, step = np.tile(np.arange(20, dtype=np.float32), (20, 1)), np.zeros((20, 20), np.float32)
    step[:, 10:] = 50
    assert not unlike_around(ramp, 3)[3:-3, 3:-3].any()
    assert not unlike_around(step, 3)[3:-3, 3:-3].any()
    spot = np.full((20, 20), 700, np.float32)
    spot[9:11, 9:11] = 640
    lacks = unlike_around(spot, 4)
    assert (lacks[9:11, 9:11] == 60).all()
    assert lacks.sum() == 240


@pytest.mark.parametrize("still", ["portrait_1.jpg", "glasses_1.jpg", "man_sofa_1.jpg"])
def test_features_of_real_faces_keep_their_bits(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    changes = differences(before, after(format, before, Blemish.of(strength=1.0), someone))
    for name in ("left_eye", "right_eye", "left_brow", "right_brow", "lips_outer"):
        where = within(format, Mesh(someone).outline(name))
        assert all(not change[where].any() for change in changes), name
    # Spots are few: most of a face is none.
    face = within(format, Mesh(someone).outline("face_oval"))
    assert 0.002 < (np.abs(changes[0]) > 1)[face].mean() < 0.25
