"""whiten and ruddy: the tone of skin changes, and nothing a make-up artist would have to wipe off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from beauty_makers import differences, portrait
from effect_makers import after, flat, mesh_face, real_face, stream, within
from numpy.typing import NDArray

from facefx.effects.library.ruddy import Ruddy
from facefx.effects.library.whiten import Whiten
from facefx.effects.masks import Mesh
from facefx.values import Face, StreamFormat

FEATURES = ("left_eye", "right_eye", "left_brow", "right_brow", "lips_outer")
STILLS = ("portrait_1.jpg", "glasses_1.jpg", "man_sofa_1.jpg", "astronaut_1.png")


def cheeks(format: StreamFormat, face: Face) -> NDArray[np.bool_]:
    """Skin well within the face: its oval without the surroundings of the features."""
    mesh = Mesh(face)
    oval = mesh.outline("face_oval")
    inner = within(format, oval.mean(axis=0) + 0.7 * (oval - oval.mean(axis=0)))
    for name in FEATURES:
        near = mesh.outline(name)
        inner &= ~within(format, near.mean(axis=0) + 1.9 * (near - near.mean(axis=0)))
    return inner


@pytest.mark.parametrize("still", STILLS)
def test_whitened_skin_is_brighter_and_features_and_chroma_keep_their_bits(
    media: Path, models_dir: Path, still: str
) -> None:
    format, before, someone = real_face(media, models_dir, still)
    luma, u, v = differences(before, after(format, before, Whiten.of(strength=1.0), someone))
    assert not u.any()
    assert not v.any()
    assert luma.min() >= 0
    assert 6 < luma[cheeks(format, someone)].mean() < 25
    for name in FEATURES:
        assert not luma[within(format, Mesh(someone).outline(name))].any(), name


@pytest.mark.parametrize("still", STILLS)
def test_ruddy_skin_is_redder_and_luma_keeps_its_bits(media: Path, models_dir: Path, still: str) -> None:
    format, before, someone = real_face(media, models_dir, still)
    luma, u, v = differences(before, after(format, before, Ruddy.of(strength=1.0), someone))
    assert not luma.any()
    assert 0.9 < v[cheeks(format, someone)].mean() < 8
    assert v.min() >= 0
    assert np.abs(u).max() <= 3
    for name in FEATURES:
        assert not v[within(format, Mesh(someone).outline(name))].any(), name


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "yuvj420p"])
def test_whitening_keeps_the_order_of_shades_and_burns_out_none(name: str) -> None:
    format = stream(name, 200, 200)
    planes = flat(format, (0, format.color.neutral, format.color.neutral))
    black, white = format.color.luma_range
    unit = 1 << (format.pixels.depth - 8)
    # Shades of skin side by side, as far apart as the skin's own mean allows them to be skin.
    shades = np.linspace(black + 90 * unit, white, 60).astype(planes[0].dtype)
    planes[0][:, 70:130] = shades
    planes[0][:, :70], planes[0][:, 130:] = shades[0], white
    done = after(format, planes, Whiten.of(strength=1.0), mesh_face((100, 100), 190))
    row = done[0][105, 75:125].astype(np.int64)
    assert (np.diff(row) >= 0).all()
    assert (row > planes[0][105, 75:125]).mean() > 0.9
    assert done[0].max() == white


def test_dark_skin_flushes_less_than_fair_so_that_it_does_not_glow() -> None:
    format = stream("yuv444p", 200, 200)
    gained = []
    for luma in (70, 150):
        planes = flat(format, (luma, 112, 150))
        someone = mesh_face((100, 100), 160)
        v = differences(planes, after(format, planes, Ruddy.of(strength=1.0), someone))[2]
        gained.append(v[cheeks(format, someone)].mean())
    assert 0.25 * gained[1] < gained[0] < 0.6 * gained[1]


def test_a_gray_stream_has_no_redness_and_keeps_its_bits() -> None:
    format = stream("gray")
    before, someone = portrait(format, (80, 62), 100)
    assert np.array_equal(before[0], after(format, before, Ruddy.of(strength=1.0), someone)[0])


@pytest.mark.parametrize("effect", [Whiten, Ruddy])
def test_the_change_fades_towards_the_outline_so_that_no_mask_shows(effect: type[Whiten | Ruddy]) -> None:
    format = stream("yuv444p", 300, 320)
    planes = flat(format, (150, 112, 150))
    someone = mesh_face((150, 165), 240)
    change = after(format, planes, effect.of(strength=1.0), someone)
    gained = np.abs(differences(planes, change)).sum(axis=0)
    row = gained[210, :150]  # from the left edge to the middle, below the eyes
    assert row[-1] >= 2
    assert np.abs(np.diff(row)).max() <= 2
    assert (row > 0).argmax() > 40
