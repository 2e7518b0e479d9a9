"""What must not be taken for skin: eyes, brows, lips, hair, frames, and all outside the face."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from effect_makers import NAMES, channels, mesh_face, skin, stream, within
from numpy.typing import NDArray

from facefx.effects.guided import shrink
from facefx.effects.masks import Grid, Mesh
from facefx.effects.skin import skin_outline, skin_weight
from facefx.values import Face, Patch, Planes, StreamFormat

FEATURES = ("left_eye", "right_eye", "left_brow", "right_brow", "lips_outer")
FORMATS = (*NAMES, "interlaced")


def weight_of(
    format: StreamFormat,
    planes: Planes,
    face: Face,
    step: int = 1,
    area: tuple[int, int, int, int] | None = None,
) -> tuple[NDArray[np.float32], Patch]:
    """The weight of the skin on squares of a whole picture, or of a part of it."""
    patch = Patch.cut(format, 0, planes, area or (0, 0, format.width, format.height))
    assert patch is not None
    mesh, grid = Mesh(face), Grid.shrunk(patch, step)
    luma = shrink(patch.planes[0], step, step, grid.size)
    fade = max(0.02 * mesh.size, 1.25 * step)
    return skin_weight(mesh, skin_outline(mesh), patch, luma, grid, fade), patch


def paint(format: StreamFormat, planes: Planes, where: NDArray[np.bool_], code: tuple[int, int, int]) -> None:
    """Give pixels another colour, in codes of 8 bits; chroma where any of its pixels has it."""
    unit, pixels = 1 << (format.pixels.depth - 8), format.pixels
    planes[0][where] = code[0] * unit
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    part = (
        slice(rows[0] >> pixels.shift_y, (rows[-1] >> pixels.shift_y) + 1),
        slice(columns[0] >> pixels.shift_x, (columns[-1] >> pixels.shift_x) + 1),
    )
    for plane, value in zip(channels(planes)[1:], code[1:], strict=False):
        plane[part] = value * unit


def rows_of(format: StreamFormat, top: int, bottom: int) -> NDArray[np.bool_]:
    where = np.zeros((format.height, format.width), bool)
    where[top:bottom] = True
    return where


@pytest.mark.parametrize("turned", [0, 30, 90, 180])
def test_the_forehead_is_raised_the_way_the_head_is_turned(turned: int) -> None:
    mesh = Mesh(mesh_face((80, 60), 100, turned))
    oval, raised = mesh.outline("face_oval"), skin_outline(mesh)
    moved = raised - oval
    up = np.array((math.sin(math.radians(turned)), -math.cos(math.radians(turned))))
    assert (moved @ up).max() == pytest.approx(0.6 * 33, abs=2)
    across = np.array((up[1], -up[0]))
    assert np.abs(moved @ across).max() < 0.01
    chin = (oval - (80, 60)) @ up < 0
    assert not moved[chin].any()


@pytest.mark.parametrize("name", FORMATS)
def test_plain_skin_is_whole_away_from_edges_and_features(name: str) -> None:
    format = stream(name)
    weight, _ = weight_of(format, skin(format, contrast=0), mesh_face((80, 62), 100))
    cheek = weight[68:76, 55:62]
    assert (cheek > 0.999).all(), name
    assert weight.min() == 0


@pytest.mark.parametrize("step", [1, 2, 4])
def test_weight_is_nothing_on_features_and_outside_the_face(step: int) -> None:
    format = stream("gray", 400, 300)
    face = mesh_face((200, 160), 100 * step**0.5)
    weight, _ = weight_of(format, skin(format), face, step)
    grown = np.kron(weight, np.ones((step, step)))
    mesh = Mesh(face)
    assert not grown[~within(format, skin_outline(mesh))].any()
    for name in FEATURES:
        assert not grown[within(format, mesh.outline(name))].any(), name


@pytest.mark.parametrize("name", FORMATS)
def test_dark_frames_and_nostrils_are_not_skin_in_any_format(name: str) -> None:
    format = stream(name)
    planes = skin(format, contrast=0)
    paint(format, planes, rows_of(format, 72, 76), (30, 112, 152))
    weight, _ = weight_of(format, planes, mesh_face((80, 62), 100))
    assert not weight[72:76].any()
    assert (weight[82:84, 54:56] > 0.999).all()


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("gray")])
def test_a_hat_of_another_colour_is_not_skin_although_it_is_as_light(name: str) -> None:
    format = stream(name)
    planes = skin(format, contrast=0)
    paint(format, planes, rows_of(format, 0, 28), (140, 160, 100))
    weight, _ = weight_of(format, planes, mesh_face((80, 62), 100))
    assert not weight[:26].any(), name
    assert (weight[68:76, 55:62] > 0.999).all(), name


@pytest.mark.parametrize(("luma", "depth"), [(30, 1), (60, 1), (200, 4)])
def test_dim_and_dark_skin_is_skin(luma: int, depth: int) -> None:
    format = stream("yuv420p10le" if depth == 4 else "yuv420p")
    planes = skin(format, contrast=0)
    planes[0][...] = luma * depth
    weight, _ = weight_of(format, planes, mesh_face((80, 62), 100))
    assert (weight[68:76, 55:62] > 0.999).all()


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv411p", "yuv440p", "yuv444p", "interlaced"])
@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_the_end_of_an_odd_picture_does_not_stretch_its_colours(name: str, step: int) -> None:
    odd, wide = stream(name, 161, 121), stream(name, 320, 240)
    face = mesh_face((120, 90), 100)
    planes = skin(wide, contrast=0)
    for plane in channels(planes)[1:]:
        plane[:, plane.shape[1] * 3 // 8 :] = 190
    left_top = tuple(
        plane[tuple(map(slice, shape[:2]))]
        for plane, shape in zip(planes, odd.pixels.plane_shapes(161, 121), strict=True)
    )
    cut, _ = weight_of(odd, left_top, face, step)
    whole, _ = weight_of(wide, planes, face, step, (0, 0, 160 + 8, 120 + 8))
    # Where the border of the colours runs; the mean differs by what lies beyond the edge.
    columns = slice(104 // step, 136 // step)
    apart = np.abs(cut[: 112 // step, columns] - whole[: 112 // step, columns])
    border = [np.abs(np.diff(part[64 // step, columns])).argmax() for part in (cut, whole)]
    assert border[0] == border[1]
    assert np.isfinite(apart).all()


def test_a_gray_picture_needs_no_colour() -> None:
    format = stream("gray10le")
    weight, _ = weight_of(format, skin(format), mesh_face((80, 62), 100))
    assert (weight[68:76, 55:62] > 0.999).all()


def test_a_face_that_no_pixel_of_the_patch_belongs_to_has_no_weight() -> None:
    format = stream("yuv420p")
    weight, _ = weight_of(format, skin(format), mesh_face((400, 400), 100))
    assert weight.shape == (format.height, format.width)
    assert not weight.any()


def test_weight_follows_the_face_without_jumps() -> None:
    format = stream("yuv420p", 200, 160)
    planes = skin(format, contrast=1)
    places = [weight_of(format, planes, mesh_face((100 + i / 10, 80), 100))[0] for i in range(12)]
    assert max(float(np.abs(b - a).max()) for a, b in pairwise(places)) < 0.3


def test_interlaced_and_progressive_pictures_have_the_same_skin() -> None:
    format = stream("yuv420p")
    planes = skin(format)
    face = mesh_face((80, 62), 100)
    fields = replace(format, field_order=stream("interlaced").field_order)
    assert np.array_equal(weight_of(format, planes, face)[0], weight_of(fields, planes, face)[0])
