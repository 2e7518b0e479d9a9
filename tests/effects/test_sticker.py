"""Stickers hang where they were hung, upright, in the right colours, and move as smoothly as the face."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ar_makers import asset, centroid, disc, head, made, shown, weight
from effect_makers import stream, write_png
from numpy.typing import NDArray

from facefx.effects.animation import read_animation
from facefx.effects.masks import Mesh
from facefx.effects.overlay import Artwork
from facefx.effects.registry import make_spec, parse_effect
from facefx.effects.uv import layout
from facefx.errors import EffectError
from facefx.faces.anchors import anchors
from facefx.values import Color, Face, StreamFormat


@pytest.fixture
def white(tmp_path: Path) -> str:
    return asset(tmp_path / "white.png", disc())


def bright(path: str, format: StreamFormat, someone: Face, **params: object) -> NDArray[np.float64]:
    luma = shown(made("sticker", path=path, **params), format, None, someone)[0]
    return weight(luma, format.color.luma_range[0])


@pytest.mark.parametrize("name", ["nose_tip", "left_cheek", "right_eye_outer", "chin", "forehead"])
@pytest.mark.parametrize(("roll", "yaw"), [(0, 0), (33, 0), (-20, 25)])
def test_its_middle_is_on_the_point(name: str, roll: float, yaw: float, white: str) -> None:
    format = stream("yuvj444p", 300, 300)
    someone = head(format, (150.4, 148.7), 120, roll=roll, yaw=yaw)
    where = centroid(bright(white, format, someone, anchor=name, width=0.25))
    assert where == pytest.approx(Mesh(someone).point(name), abs=0.05)


@pytest.mark.parametrize(
    ("anchor", "points"),
    [
        ("left_eye", ("left_eye_outer", "left_eye_inner")),
        ("eyes", ("left_eye_outer", "right_eye_outer")),
        ("nose_tip+chin", ("nose_tip", "chin")),
        ("mouth", ("mouth_top", "mouth_bottom")),
    ],
)
def test_two_points_mean_their_middle(anchor: str, points: tuple[str, str], white: str) -> None:
    format = stream("yuvj444p", 300, 300)
    someone = head(format, (150, 150), 120)
    first, second = (np.array(Mesh(someone).point(name)) for name in points)
    assert centroid(bright(white, format, someone, anchor=anchor)) == pytest.approx(
        (first + second) / 2, abs=0.05
    )


@pytest.mark.parametrize("anchor", ["nose", "nose_tip+", "nose_tip+chin+forehead", ""])
def test_an_unknown_point_says_which_there_are(anchor: str) -> None:
    with pytest.raises(EffectError, match="parameter 'anchor'") as caught:
        make_spec("sticker", {"path": "builtin:hearts", "anchor": anchor})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [60, 150, 260])
def test_it_is_as_wide_as_asked_at_any_size_of_the_face(size: float, white: str) -> None:
    format = stream("yuvj444p", 400, 400)
    area = bright(white, format, head(format, (200, 200), size), width=0.5).sum() / 255
    assert 2 * np.sqrt(area / np.pi) == pytest.approx(0.5 * 0.99 * size, rel=0.01)  # the disc leaves a margin


def test_it_is_moved_in_the_face_own_directions_and_turned(tmp_path: Path) -> None:
    format = stream("yuvj444p", 400, 400)
    rgba = np.zeros((100, 100, 4), np.uint8)
    rgba[:, 50:] = 255  # only the right half is seen
    path = asset(tmp_path / "half.png", rgba)
    someone = head(format, (200, 200), 160, roll=90)
    nose = np.array(Mesh(someone).point("nose_tip"))
    # Rolled by a quarter turn, the face's right is down, its down is left.
    assert centroid(bright(path, format, someone, width=0.2)) - nose == pytest.approx((0, 8), abs=0.1)
    moved = centroid(bright(path, format, someone, width=0.2, dx=0.25, dy=0.5)) - nose
    assert moved == pytest.approx((-80, 48), abs=0.1)
    turned = centroid(bright(path, format, someone, width=0.2, turn=-90)) - nose
    assert turned == pytest.approx((8, 0), abs=0.1)
    upright = centroid(bright(path, format, someone, width=0.2, roll=False)) - nose
    assert upright == pytest.approx((8, 0), abs=0.1)
    mirrored = centroid(bright(path, format, someone, width=0.2, mirror=True)) - nose
    assert mirrored == pytest.approx((0, -8), abs=0.1)


@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("roll", [True, False])
def test_it_is_upright_on_a_turned_stream(rotation: int, mirrored: bool, roll: bool, tmp_path: Path) -> None:
    rgba = np.full((60, 80, 4), 255, np.uint8)
    for (row, column), level in {(0, 0): 60, (0, 1): 110, (1, 0): 160, (1, 1): 210}.items():
        rgba[row * 30 : row * 30 + 30, column * 40 : column * 40 + 40, :3] = level
    path = write_png(str(tmp_path / "corners.png"), rgba)
    plain = stream("yuvj444p", 200, 200)
    format = stream("yuvj444p", 200, 200, rotation=rotation, mirrored=mirrored)
    effect = made("sticker", path=path, width=0.8, roll=roll)
    stored = shown(effect, format, None, head(format, (100, 100), 110, roll=12))[0]
    seen = np.rot90(stored[::-1] if mirrored else stored, rotation // 90)
    upright = shown(effect, plain, None, head(plain, (100, 100), 110, roll=12))[0]
    assert np.abs(seen.astype(int) - upright).max() <= 1
    x, y = Mesh(head(plain, (100, 100), 110, roll=12)).point("nose_tip")
    assert upright[round(y) - 14, round(x) - 20] == pytest.approx(60, abs=1)


def test_a_disc_is_round_on_wide_pixels(white: str) -> None:
    format = stream("yuvj444p", 400, 400, sample_aspect=Fraction(3, 2))
    luma = bright(white, format, head(format, (200, 200), 150, roll=20), width=0.6)
    rows, columns = np.nonzero(luma > 128)
    assert (np.ptp(columns) + 1) * 1.5 / (np.ptp(rows) + 1) == pytest.approx(1.0, abs=0.03)


def test_it_moves_by_as_little_as_the_face_does(white: str) -> None:
    format = stream("yuvj444p", 300, 300)
    places = []
    for i in range(12):
        someone = head(format, (150 + 0.1 * i, 150), 120)
        places.append(centroid(bright(white, format, someone, width=0.3))[0])
    assert np.diff(places) == pytest.approx(np.full(11, 0.1), abs=0.012)


def test_it_is_averaged_down_to_nearly_what_is_seen() -> None:
    artwork = Artwork(read_animation("builtin:moustache", "x"), stream("yuvj444p"))
    for scale in np.geomspace(0.03, 3, 60):
        wanted = 640 * min(float(scale), 1.0)
        assert 0.82 < artwork.layer(0, float(scale)).shape[1] / wanted < 1.22


@pytest.mark.parametrize("name", ["yuv420p", "yuvj444p", "yuv420p10le", "nv12"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_colours_are_the_pictures(name: str, matrix: Any, tmp_path: Path) -> None:
    rgba = np.full((50, 50, 4), 255, np.uint8)
    rgba[..., :3] = (220, 60, 30)
    path = asset(tmp_path / "red.png", rgba)
    base = stream(name, 200, 200)
    color = Color(matrix, base.color.full_range, base.color.depth)
    format = stream(name, 200, 200, color=color)
    done = shown(made("sticker", path=path, width=0.6), format, None, head(format, (100, 100), 120))
    y, u, v = color.from_rgb(220 / 255, 60 / 255, 30 / 255)
    assert abs(int(done[0][100, 100]) - y) <= 1
    small = 200 // (1 << format.pixels.shift_x) // 2
    pair = done[1][small, small] if done[1].ndim == 3 else (done[1][small, small], done[2][small, small])
    assert [int(code) for code in pair] == pytest.approx([u, v], abs=1)


def test_edges_have_no_rim(tmp_path: Path) -> None:
    """What is transparent is black in the file; on white it must not be seen."""
    format = stream("yuvj444p", 300, 300)
    path = asset(tmp_path / "white.png", disc())
    page = tuple(np.full((300, 300), code, np.uint8) for code in (255, 128, 128))
    for size in (37, 90, 210):
        done = shown(
            made("sticker", path=path, width=0.7), format, page, head(format, (150.3, 150.6), size, roll=17)
        )
        assert done[0].min() >= 254
        assert np.abs(done[1].astype(int) - 128).max() <= 1


def test_what_turns_away_fades_with_what_hangs_on_it(white: str) -> None:
    format = stream("yuvj444p", 300, 300)
    light = [
        bright(white, format, head(format, (150, 150), 120, yaw=yaw), anchor="left_cheek").sum()
        for yaw in (-30, 0, 30, 60, 90, 110)
    ]
    assert light[0] == pytest.approx(light[1], rel=0.01)
    assert light[-1] == 0
    for name in ("left_ear", "right_ear", "left_temple"):
        assert bright(white, format, head(format, (150, 150), 120), anchor=name).max() == 255
    assert layout().normals[anchors("mediapipe-468")["left_cheek"], 2] < 0


def test_no_more_sizes_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facefx.effects.overlay._KEPT_BYTES", 3_000_000)
    artwork = Artwork(read_animation("builtin:sparkle", "x"), stream("yuvj444p"))
    for pts in range(24):
        assert artwork.layer(pts, 1.0).shape == (256, 256, 4)
        assert artwork.layer(pts, 0.4).shape[0] >= 0.84 * 0.4 * 256
    assert sum(layer.nbytes for layer in artwork._made.values()) <= 3_000_000
    assert artwork.layer(0, 1.0) is artwork.layer(0, 0.9)


def test_a_line_of_text_makes_one() -> None:
    spec = parse_effect("sticker:path=builtin:moustache,anchor=upper_lip,width=0.42,roll=false,mirror=true")
    assert (spec.params["anchor"], spec.params["roll"], spec.params["mirror"]) == ("upper_lip", False, True)
