"""What a make-up artist would laugh at: red teeth, chalky cheeks, lids painted shut, brows of paint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effect_makers import after, channels, chroma_under, painted, stream, within
from makeup_makers import (
    CLOSED,
    EFFECTS,
    OPEN_EYED,
    changes,
    inside,
    picture_of,
    real_mesh,
)

from facefx.effects.chain import EffectChain
from facefx.effects.colour import codes
from facefx.effects.library.blush import Blush
from facefx.effects.library.contour import Contour
from facefx.effects.library.eyeliner import Eyeliner
from facefx.effects.library.lipstick import Lipstick
from facefx.effects.masks import Mesh
from facefx.effects.registry import parse_effect
from facefx.effects.skin import skin_weight
from facefx.errors import EffectError
from facefx.values import Color, Planes, StreamFormat

SKIN = (140, 112, 152)
COLOURS = [
    Color(matrix, full_range=full, depth=depth)
    for matrix in ("bt601", "bt709", "bt2020")
    for full in (False, True)
    for depth in (8, 10)
]


def unit(format: StreamFormat) -> int:
    """Codes of the stream in one code of 8 bits."""
    return 1 << (format.pixels.depth - 8)


def total(before: Planes, done: Planes) -> float:
    """Sum of all changes of luma."""
    return float(np.abs(changes(before, done)[0]).sum())


@pytest.mark.parametrize("finish", ["matte", "gloss"])
@pytest.mark.parametrize("size", [60, 200, 700])
def test_no_lipstick_on_teeth(finish: str, size: int, models_dir: Path) -> None:
    format = stream("yuv444p", int(1.25 * size), int(1.3 * size))
    someone = real_mesh(models_dir, (0.6 * size, 0.65 * size), size)
    mesh = Mesh(someone)
    before = picture_of(format, (120, 112, 155), texture=5)
    for plane, code in zip(before, (225, 126, 130), strict=True):
        plane[within(format, mesh.outline("lips_inner"))] = code
    done = after(format, before, Lipstick.of(strength=1.0, finish=finish), someone)
    teeth = inside(format, mesh.outline("lips_inner"), -0.015 * size - 0.5)
    lips = within(format, mesh.outline("lips_outer")) & ~within(format, mesh.outline("lips_inner"))
    assert teeth.sum() > 0.001 * size**2
    for plane in changes(before, done):
        assert not plane[teeth].any()
    assert np.median(changes(before, done)[2][lips]) > 10


def test_closed_lips_are_painted_through(models_dir: Path) -> None:
    format, someone = stream("yuv444p", 241, 261), real_mesh(models_dir, (120, 130), 200, still=CLOSED)
    before = picture_of(format, (120, 112, 155))
    done = after(format, before, Lipstick.of(strength=1.0), someone)
    lips = inside(format, Mesh(someone).outline("lips_outer"), -3)
    assert lips.sum() > 100
    assert changes(before, done)[2][lips].min() > 0.6 * changes(before, done)[2].max()


@pytest.mark.parametrize(
    "color", COLOURS, ids=lambda color: f"{color.matrix}-{color.full_range}-{color.depth}"
)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p"])
def test_full_strength_gives_the_colour_within_two_codes(pixels: str, color: Color, models_dir: Path) -> None:
    format = stream(pixels + ("10le" if color.depth == 10 else ""), 601, 651, color=color)
    someone = real_mesh(models_dir, (300, 325), 500)
    mesh = Mesh(someone)
    before = picture_of(format, SKIN, texture=3)
    done = channels(after(format, before, Lipstick.of(strength=1.0, colour="#b03050"), someone))
    lips = inside(format, mesh.outline("lips_outer"), -7) & ~inside(format, mesh.outline("lips_inner"), 7)
    # Samples of chroma that colour nothing but lips.
    chroma = ~chroma_under(format, ~lips)
    assert chroma.sum() > 20
    for plane, where, code in zip(done, (lips, chroma, chroma), codes("#b03050", color), strict=True):
        assert abs(plane[where].mean() - code) <= 2 * unit(format)


def test_gloss_lifts_highlights_that_exist_and_adds_none(models_dir: Path) -> None:
    format, someone = stream("gray", 241, 261), real_mesh(models_dir, (120, 130), 200, still=CLOSED)
    before = picture_of(format, SKIN)
    x, y = (round(value) for value in np.add(Mesh(someone).point("lip_bottom"), (0, -7)).tolist())
    shone = (before[0].copy(),)
    shone[0][y - 2 : y + 2, x - 6 : x + 6] = 190
    plain, lifted = {}, {}
    for finish in ("matte", "gloss"):
        plain[finish], done = (
            after(format, planes, Lipstick.of(finish=finish), someone)[0] for planes in (before, shone)
        )
        lifted[finish] = float(done[y - 1 : y + 1, x - 3 : x + 3].mean())
    assert np.array_equal(plain["matte"], plain["gloss"])
    assert lifted["gloss"] > lifted["matte"] + 8


def test_nothing_glows_in_the_dark(models_dir: Path) -> None:
    format, someone = stream("yuv420p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before = picture_of(format, (32, 124, 134))
    for name, effect in EFFECTS.items():
        done = after(format, before, effect.of(strength=1.0), someone)
        luma, *chroma = changes(before, done)
        assert luma.max() <= 9, name
        assert max(np.abs(plane).max() for plane in chroma) <= 14, name


def test_blush_never_makes_dark_skin_lighter(models_dir: Path) -> None:
    format, someone = stream("yuv420p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before = picture_of(format, (70, 117, 148), texture=3)
    luma, _, v = changes(before, after(format, before, Blush.of(strength=1.0), someone))
    assert luma.max() <= 1
    assert v.max() >= 2  # redder all the same


def test_colour_fades_from_the_middle_of_the_cheeks(models_dir: Path) -> None:
    format, someone = stream("yuv444p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before, mesh = picture_of(format, SKIN), Mesh(someone)
    red = changes(before, after(format, before, Blush.of(strength=1.0), someone))[2]
    for side in ("left", "right"):
        apple = np.add(mesh.point(f"{side}_cheekbone"), mesh.point(f"{side}_cheek")) / 2
        x, y = np.rint(apple).astype(int)
        assert red[y, x] > 0.8 * red.max()
        for name in (f"{side}_nostril", f"{side}_jaw", "nose_tip", f"{side}_temple", f"{side}_eye_bottom"):
            x, y = np.rint(mesh.point(name)).astype(int)
            assert red[y, x] <= 0.2 * red.max(), name
    red = changes(before, after(format, before, Blush.of(), someone))[2]
    assert np.abs(np.diff(red, axis=1)).max() <= 2  # no edge


def test_contour_darkens_under_the_cheekbones_and_lightens_the_nose(models_dir: Path) -> None:
    format, someone = stream("yuv444p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before, mesh = picture_of(format, SKIN), Mesh(someone)
    luma, *chroma = changes(before, after(format, before, Contour.of(), someone))
    assert not any(plane.any() for plane in chroma)
    x, y = np.rint(mesh.point("nose_bridge")).astype(int)
    assert luma[y, x] >= 3
    for side in ("left", "right"):
        hollow = 0.64 * np.array(mesh.point(f"{side}_ear")) + 0.36 * np.array(
            mesh.point(f"{side}_mouth_corner")
        )
        x, y = np.rint(hollow).astype(int)
        assert luma[y, x] <= -8
    assert not changes(before, after(format, before, Contour.of(light=0, shade=0), someone))[0].any()


def test_eyeshadow_fades_towards_the_brow_and_leaves_the_eye(models_dir: Path) -> None:
    format = stream("yuv444p", 501, 541)
    someone = real_mesh(models_dir, (250, 270), 400, still=OPEN_EYED)
    before, mesh = picture_of(format, SKIN), Mesh(someone)
    luma = -changes(before, after(format, before, EFFECTS["eyeshadow"].of(strength=1.0), someone))[0]
    for side in ("left", "right"):
        lid = np.array(mesh.point(f"{side}_eye_top"))
        brow = mesh.outline(f"{side}_brow")[:5]
        brow = brow[np.abs(brow[:, 0] - lid[0]).argmin()]
        levels = []
        for part in (0.25, 0.4, 0.6, 0.9):
            x, y = np.rint(lid + part * (brow - lid)).astype(int)
            levels.append(luma[y, x])
        assert (np.diff(levels) < 0).all()
        assert levels[-1] <= 0.1 * levels[0]
        eye = inside(format, mesh.outline(f"{side}_eye"), -6)
        assert eye.sum() > 20
        assert not luma[eye].any()


@pytest.mark.parametrize("lower", [0.0, 0.5])
def test_eyeliner_lies_on_the_lashes_and_not_on_the_eye(lower: float, models_dir: Path) -> None:
    format = stream("yuv444p", 501, 541)
    someone = real_mesh(models_dir, (250, 270), 400, still=OPEN_EYED)
    before, mesh = picture_of(format, SKIN), Mesh(someone)
    luma = -changes(before, after(format, before, Eyeliner.of(strength=1.0, lower=lower), someone))[0]
    for side in ("left", "right"):
        x, y = np.rint(mesh.point(f"{side}_eye_top")).astype(int)
        assert luma[y - 2 : y + 1, x].max() > 60
        x, y = np.floor(mesh.point(f"{side}_eye_bottom")).astype(int)
        assert (luma[y - 1 : y + 4, x].max() > 25) == bool(lower)
        assert luma[y + 1 : y + 5, x].sum() >= luma[y - 4 : y, x].sum()  # below the lid
        eye = inside(format, mesh.outline(f"{side}_eye"), -6)
        assert eye.sum() > 20
        assert not luma[eye].any()
    long, none = (
        total(before, after(format, before, Eyeliner.of(wing=wing), someone)) for wing in (1.0, 0.0)
    )
    assert long > 1.15 * none


def test_brows_darken_hair_more_than_skin(models_dir: Path) -> None:
    format, someone = stream("yuv444p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    mesh, before = Mesh(someone), picture_of(format, (150, 112, 152))
    hair = np.zeros_like(before[0], bool)
    hair[:, ::5] = hair[:, 1::5] = True
    before[0][hair] = 90
    darker = -changes(before, after(format, before, EFFECTS["brows"].of(strength=1.0), someone))[0]
    brow = within(format, mesh.outline("left_brow"))
    assert darker[brow & hair].mean() > 30
    assert darker[brow & ~hair].mean() < 0.75 * darker[brow & hair].mean()


def test_effects_of_a_chain_find_the_skin_once(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    found: list[Any] = []

    def counted(*args: Any, **more: Any) -> Any:
        found.append(args)
        return skin_weight(*args, **more)

    monkeypatch.setattr("facefx.effects.face_grid.skin_weight", counted)
    format, someone = stream("yuv420p", 241, 261), real_mesh(models_dir, (120, 130), 200)
    before = picture_of(format, SKIN, texture=4)
    both = painted(EffectChain([Blush.of(), Contour.of()], format), before, [someone])[0]
    assert len(found) == 1
    alone = after(format, after(format, before, Blush.of(), someone), Contour.of(), someone)
    assert np.abs(changes(alone, both)[0]).max() <= 1


def test_mistakes_are_one_clear_line() -> None:
    assert parse_effect("lipstick:colour=red,finish=gloss").params == {
        "colour": "#ff0000",
        "strength": 0.6,
        "finish": "gloss",
    }
    with pytest.raises(EffectError, match="lipstick: parameter 'finish'"):
        parse_effect("lipstick:finish=wet")
    with pytest.raises(EffectError, match="eyeliner: parameter 'colour'"):
        parse_effect("eyeliner:colour=rouge")
    with pytest.raises(EffectError, match="blush: parameter 'strength'"):
        parse_effect("blush:strength=1.5")
