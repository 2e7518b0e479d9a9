"""The grid that skin effects share: one weight for all, as each alone finds it, and masks that fit planes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beauty_makers import portrait
from effect_makers import NAMES, mesh_face, noise, real_face, stream, within
from numpy.typing import NDArray

from facefx.effects.face_grid import chroma_on, face_grid, face_skin, grown, luma_on, skin_key, wide_mask
from facefx.effects.library.smooth import Smooth
from facefx.effects.masks import Grid, Mesh, soft_mask
from facefx.effects.shared import Shared
from facefx.values import Patch

FORMATS = (*NAMES, "interlaced")


@pytest.mark.parametrize("name", FORMATS)
def test_smooth_and_the_others_find_the_same_skin_to_the_bit(name: str) -> None:
    format = stream(name)
    before, someone = portrait(format, (80.2, 62.4), 100)
    found: list[NDArray[Any]] = []
    for smooth_first in (True, False):
        patch = Patch.cut(format, 0, before, (0, 0, 161, 121))
        assert patch is not None
        smooth = Smooth.of()
        smooth.prepare(format, b"")
        if smooth_first:
            smooth.apply(patch, someone)
            found.append(smooth.shared.get(someone, skin_key(patch), lambda: np.zeros(0)))
        else:
            skin = face_skin(Shared(), someone, patch)
            assert skin is not None
            found.append(skin.weight)
    assert found[0].size
    assert np.array_equal(found[0], found[1])


def test_the_skin_of_one_picture_is_not_taken_for_that_of_another() -> None:
    format, someone = stream(), mesh_face((80, 62), 100)
    shared = Shared()
    weights = []
    for seed in (1, 2):
        patch = Patch.cut(format, 0, noise(format, seed), (0, 0, 161, 121))
        assert patch is not None
        skin = face_skin(shared, someone, patch)
        assert skin is not None
        weights.append(skin.weight)
    assert not np.array_equal(weights[0], weights[1])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("step", [1, 2, 4])
def test_what_is_grown_again_lies_where_it_was(name: str, step: int) -> None:
    format = stream(name)
    if format.field_order and step == 1:
        return
    patch = Patch.cut(format, 0, noise(format, 1), (16, 16, 161, 121))
    assert patch is not None
    grid = Grid.shrunk(patch, step)
    columns = np.tile(patch.x + (np.arange(grid.width, dtype=np.float32) + 0.5) * step, (grid.height, 1))
    for plane in range(min(len(patch.planes), 2)):
        wide = grown(columns, grid, patch, plane)
        assert wide.shape == patch.planes[plane].shape[:2]
        of = Grid.of_plane(patch, plane)
        there = patch.x + (np.arange(of.width) + 0.5) * of.step_x
        inner = slice(4, -8)
        assert np.abs(wide[:, inner] - there[inner]).max() < 0.01


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv411p", "yuv444p", "yuv422p10le", "yuv440p"])
@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_planes_come_onto_a_grid_with_their_means(name: str, step: int) -> None:
    format = stream(name)
    patch = Patch.cut(format, 0, noise(format, 1), (16, 16, 161, 121))
    assert patch is not None
    grid = Grid.shrunk(patch, step)
    luma, chroma = luma_on(patch, grid), chroma_on(patch, grid)
    assert len(chroma) == 2
    for values, plane in zip(
        (luma, *chroma),
        (patch.planes[0], *(patch.planes[1:] if name != "nv12" else np.moveaxis(patch.planes[1], -1, 0))),
        strict=True,
    ):
        assert values.shape == (grid.height, grid.width)
        assert abs(values[2:-2, 2:-2].mean() - plane.mean()) < 0.04 * plane.mean()


def test_a_wide_mask_is_as_steady_as_a_soft_one_and_the_same() -> None:
    grid = Grid(0, 0, 4, 4, 60, 60)
    old = []
    for shift in (0.0, 0.1, 0.2, 0.3):
        someone = mesh_face((120.0 + shift, 118.0), 180)
        outline = Mesh(someone).outline("face_oval")
        wide, soft = wide_mask([outline], grid, 10.0), soft_mask([outline], grid, 10.0) / 255
        assert np.abs(wide - soft).max() < 0.08
        old.append(wide)
    for a, b in pairwise(old):
        assert np.abs(b - a).max() < 0.01


def test_a_cropped_skin_is_a_part_of_the_whole() -> None:
    format = stream("yuv420p", 300, 300)
    before, someone = portrait(format, (150.4, 140.2), 256)
    patch = Patch.cut(format, 0, before, (0, 0, 300, 300))
    assert patch is not None
    shared = Shared()
    skin = face_skin(shared, someone, patch)
    assert skin is not None
    around = skin.around(Mesh(someone).outline("left_eye"), 10.0)
    assert around is not None
    step = face_grid(shared, someone, format).step
    top, left = (around.part.y - skin.part.y) // step, (around.part.x - skin.part.x) // step
    rows, columns = around.weight.shape
    assert (columns, rows) == around.grid.size
    assert np.array_equal(around.weight, skin.weight[top : top + rows, left : left + columns])
    assert around.part.planes[0].base is not None  # views: what is written there is written to the patch
    assert skin.around(np.array([(-500, -500), (-400, -400)], np.float32), 10.0) is None


def test_a_face_that_is_not_there_has_no_skin() -> None:
    format = stream()
    patch = Patch.cut(format, 0, noise(format, 1), (0, 0, 161, 121))
    assert patch is not None
    assert face_skin(Shared(), mesh_face((-300, 60), 100), patch) is None


def test_skin_of_a_real_face_lies_within_its_outline(media: Path, models_dir: Path) -> None:
    format, planes, someone = real_face(media, models_dir, "portrait_1.jpg", 0.5)
    patch = Patch.cut(format, 0, planes, (0, 0, format.width, format.height))
    assert patch is not None
    skin = face_skin(Shared(), replace(someone), patch)
    assert skin is not None
    wide = grown(skin.weight, skin.grid, skin.part, 0)
    oval = within(format, face_grid(Shared(), someone, format).outline)
    part = skin.part
    assert not wide[~oval[part.y : part.y + part.height, part.x : part.x + part.width]].any()
    assert wide.max() > 0.99
