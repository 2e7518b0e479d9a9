"""sharpen: detail comes out, and neither halos, nor grain, nor illegal codes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from beauty_makers import differences, portrait
from effect_makers import NAMES, after, flat, mesh_face, real_face, stream, within
from numpy.typing import NDArray

from facefx.effects.library.sharpen import Sharpen
from facefx.effects.masks import Mesh


def steepness(luma: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    across = cv2.Sobel(luma.astype(np.float32), cv2.CV_32F, 1, 0)
    down = cv2.Sobel(luma.astype(np.float32), cv2.CV_32F, 0, 1)
    return float(np.hypot(across, down)[where].mean())


@pytest.mark.parametrize("still", ["portrait_1.jpg", "glasses_1.jpg", "man_sofa_1.jpg"])
def test_eyes_and_brows_get_steeper_edges_and_cheeks_stay(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    done = after(format, before, Sharpen.of(strength=1.0), someone)
    mesh = Mesh(someone)
    for name in ("left_eye", "right_eye"):
        where = within(format, mesh.outline(name))
        assert steepness(done[0], where) > 1.15 * steepness(before[0], where)
    luma, u, v = differences(before, done)
    assert not u.any()
    assert not v.any()
    x, y = (round(part) for part in mesh.point("left_cheek"))
    reach = round(0.03 * mesh.size)
    assert not luma[y - reach : y + reach, x - reach : x + reach].any()


@pytest.mark.parametrize("name", [*NAMES, "interlaced"])
def test_hard_edges_near_black_and_white_stay_legal(name: str) -> None:
    format = stream(name)
    black, white = format.color.luma_range
    planes = flat(format, (black, format.color.neutral, format.color.neutral))
    planes[0][:, ::3] = white
    for on in ("features", "face"):
        done = after(format, planes, Sharpen.of(strength=1.0, on=on), mesh_face((80, 62), 110))
        assert black <= done[0].min() <= done[0].max() <= white


def test_an_edge_gets_no_halo_that_the_eye_would_catch() -> None:
    format = stream("gray", 300, 300)
    planes = flat(format, (60, 128, 128))
    planes[0][:, 150:] = 190
    done = after(format, planes, Sharpen.of(strength=1.0, on="face"), mesh_face((150, 150), 256))
    assert 0 < np.abs(differences(planes, done)[0]).max() <= 0.1 * 219


def test_grain_is_not_amplified() -> None:
    format = stream("gray", 300, 300)
    planes = flat(format, (130, 128, 128))
    grain = np.random.default_rng(2).normal(0, 1.0, planes[0].shape)
    planes[0][...] = np.rint(130 + grain).astype(np.uint8)
    done = after(format, planes, Sharpen.of(strength=1.0, on="face"), mesh_face((150, 150), 256))
    inner = (slice(110, 190), slice(110, 190))
    assert done[0][inner].std() < 1.35 * planes[0][inner].std()


def test_lines_of_two_fields_are_never_mixed() -> None:
    format = stream("interlaced", 300, 300)
    before, someone = portrait(format, (150, 145), 256)
    other = tuple(plane.copy() for plane in before)
    other[0][1::2] = 235 - (other[0][1::2] - 16)
    for on in ("features", "face"):
        one, two = (after(format, planes, Sharpen.of(on=on), someone)[0] for planes in (before, other))
        assert np.array_equal(one[::2], two[::2])
        assert (one[::2] != before[0][::2]).any()
