"""Nets as effects: what they leave alone, and what they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effect_makers import Box, channels, chroma_under, noise, painted, skin, stream, within
from net_makers import SIZE, changed, someone, spec

from facefx.effects.align import TEMPLATES, put_back, sample, square_of, to_plane
from facefx.effects.chain import EffectChain
from facefx.effects.library.net import NetEffect
from facefx.effects.masks import Mesh
from facefx.effects.registry import make_effect
from facefx.faces.roi import Placement
from facefx.pipeline.nets import Nets, make_chain
from facefx.values import Color, Patch

FORMATS = (
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "nv12",
    "gray",
    "yuv420p10le",
    "yuv444p10le",
    "interlaced",
)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("template", ["ffhq", "arcface"])
def test_a_net_that_changes_nothing_changes_nothing(name: str, template: str, tmp_path: Path) -> None:
    format = stream(name)
    planes = skin(format, contrast=12)
    for face in (someone(), someone(30), someone(0, (5, 110)), someone(10, (80, 60), 300)):
        after = changed(spec(tmp_path, {"template": template}), format, planes, face)
        for old, new in zip(channels(planes), channels(after), strict=True):
            assert np.abs(old.astype(int) - new).max() <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_net_that_inverts_inverts_the_middle_of_the_face(name: str, tmp_path: Path) -> None:
    format = stream(name)
    planes = skin(format, contrast=0)
    face = someone()
    chosen = spec(tmp_path, {"mask": {"shape": "ellipse", "feather": 0.1}}, scale=-1.0, shift=1.0)
    after = changed(chosen, format, planes, face)
    y, x = 62, 80
    black, white = format.color.luma_range
    unit = 1 << (format.pixels.depth - 8)
    assert abs(int(after[0][y, x]) - (black + white - int(planes[0][y, x]))) <= 2 * unit
    shift_x, shift_y = format.pixels.shift_x, format.pixels.shift_y
    for old, new in zip(channels(planes)[1:], channels(after)[1:], strict=True):
        wanted = 2 * format.color.neutral - int(old[y >> shift_y, x >> shift_x])
        assert abs(int(new[y >> shift_y, x >> shift_x]) - wanted) <= 2 * unit


@pytest.mark.parametrize("name", FORMATS)
def test_what_lies_outside_the_crop_stays_bit_for_bit(name: str, tmp_path: Path) -> None:
    format = stream(name)
    random = np.random.default_rng(1)
    # Codes beyond the legal ones too, as files have them.
    planes = tuple(
        random.integers(0, format.color.peak + 1, plane.shape).astype(plane.dtype)
        for plane in noise(format, 1)
    )
    for face, shape in ((someone(20), "box"), (someone(0, (3, 117)), "box"), (someone(20), "oval")):
        card = {"template": "arcface", "mask": {"shape": shape, "feather": 0.0}}
        after = changed(spec(tmp_path, card, scale=-1.0, shift=1.0), format, planes, face)
        square = square_of(Mesh(face), TEMPLATES["arcface"], Placement(format))
        corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1.0]]) @ square[:2].T
        crop = within(format, (corners + (corners - corners.mean(0)) * 0.05).astype(np.float32))
        for i, (old, new, mask) in enumerate(
            zip(channels(planes), channels(after), [crop, *[chroma_under(format, crop)] * 2], strict=False)
        ):
            assert (old == new)[~mask].all()
            assert (old != new)[mask].mean() > 0.5
            low, high = format.color.chroma_range if i else format.color.luma_range
            assert new[old != new].min() >= low
            assert new[old != new].max() <= high


@pytest.mark.parametrize(
    "card",
    [
        {"colour": "bgr"},
        {"layout": "nhwc"},
        {"input": {"range": [-1, 1]}, "output": {"range": [-1, 1]}},
        {"input": {"range": [0, 255]}, "output": {"range": [0, 255]}},
        {
            "input": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            "output": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        },
    ],
    ids=["bgr", "nhwc", "signed", "bytes", "imagenet"],
)
def test_numbers_go_in_and_come_out_as_the_card_says(card: dict[str, Any], tmp_path: Path) -> None:
    format = stream("yuv444p")
    planes = skin(format, contrast=12)
    seen: list[np.ndarray] = []
    chosen = spec(tmp_path, card, shape=(1, SIZE, SIZE, 3) if card.get("layout") else None)
    effect = make_effect(chosen)

    def net(crop: np.ndarray) -> np.ndarray:
        seen.append(crop.copy())
        return crop

    effect.load(lambda file, shape: net)
    after, _ = painted(EffectChain([effect], format), planes, [someone()])
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(planes, after, strict=True))
    (crop,) = seen
    assert crop.dtype == np.float32
    middle = crop[0, SIZE // 2, SIZE // 2] if card.get("layout") else crop[0, :, SIZE // 2, SIZE // 2]
    if "bgr" in card.values():
        assert middle[0] < middle[2]
    if card.get("input", {}).get("range") == [0, 255]:
        assert 120 < middle.mean() < 220
    if card.get("input", {}).get("range") == [-1, 1]:
        assert np.abs(crop).max() <= 1
    if "mean" in card.get("input", {}):
        assert middle[0] > 1


def test_a_grey_net_leaves_colour_alone(tmp_path: Path) -> None:
    format = stream("yuv420p")
    planes = skin(format, contrast=5)
    chosen = spec(tmp_path, {"colour": "grey"}, scale=0.5, shape=(1, 1, SIZE, SIZE))
    after = changed(chosen, format, planes, someone())
    assert np.array_equal(planes[1], after[1])
    assert np.array_equal(planes[2], after[2])
    assert int(after[0][62, 80]) < int(planes[0][62, 80]) - 30


def test_strength_is_even_and_nought_is_nothing(tmp_path: Path) -> None:
    format = stream("yuv420p")
    planes = skin(format, contrast=5)
    seen = [
        changed(spec(tmp_path, params={"strength": part}, scale=0.2), format, planes, someone())[0].astype(
            int
        )
        for part in (0.0, 0.25, 0.5, 1.0)
    ]
    assert np.array_equal(seen[0], planes[0])
    changes = [float(np.abs(after - planes[0])[40:80, 60:100].mean()) for after in seen]
    assert changes == sorted(changes)
    assert changes[2] == pytest.approx(changes[3] / 2, rel=0.1)


def test_detail_says_whether_what_the_crop_is_too_coarse_for_stays(tmp_path: Path) -> None:
    format = stream("yuv444p", 800, 600)
    planes = skin(format, contrast=15)
    face = someone(0, (400, 300), 450)
    kept, gone = (
        changed(spec(tmp_path, params={"detail": part}), format, planes, face)[0][280:320, 380:420].std()
        for part in (1.0, 0.0)
    )
    assert kept == pytest.approx(planes[0][280:320, 380:420].std(), rel=0.05)
    assert gone < kept / 3


def test_fields_are_not_mixed(tmp_path: Path) -> None:
    format = stream("interlaced")
    planes = skin(format, contrast=0)
    for plane in planes[:1]:
        plane[1::2] = 60
    after = changed(spec(tmp_path, scale=-1.0, shift=1.0), format, planes, someone())[0].astype(int)
    assert len(set(after[60:64:2, 75:85].ravel().tolist())) <= 3
    assert abs(after[61, 80] - (16 + 235 - 60)) <= 2


@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_crop_is_upright_on_a_turned_stream(rotation: int, mirrored: bool, tmp_path: Path) -> None:
    """The eyes of a bright-eyed face must come where the template has them."""
    format = stream("yuv444p", 240, 240, rotation=rotation, mirrored=mirrored)
    upright = someone(0, (120, 120), 100)
    assert upright.landmarks is not None
    placement = Placement(format)
    points = placement.points_to_stored(upright.landmarks.astype(np.float64)).astype(np.float32)
    face = replace(upright, landmarks=points)
    planes = skin(format, contrast=0)
    eye = Mesh(face).outline("left_eye").mean(axis=0)
    x, y = np.rint(eye).astype(int)
    planes[0][y - 4 : y + 4, x - 4 : x + 4] = 235
    square = square_of(Mesh(face), TEMPLATES["ffhq"], placement)
    crop = sample(planes[0], to_plane(square, SIZE, placement, format, 0, (0, 0), (0, 1)), SIZE)
    found = np.argwhere(crop > 200).mean(axis=0)
    wanted = np.array(TEMPLATES["ffhq"]["left_eye"])[::-1] * SIZE
    assert np.abs(found + 0.5 - wanted).max() < 4


def test_what_is_taken_comes_back_in_its_place() -> None:
    format = stream("yuv444p", 300, 300)
    across = np.tile(np.linspace(20, 220, 300, dtype=np.float32), (300, 1))
    square = np.array([[150, -40, 60], [40, 150, 50], [0, 0, 1.0]])
    for size in (32, 128, 1024):
        matrix = to_plane(square, size, Placement(format), format, 0, (0, 0), (0, 1))
        back = put_back(sample(across, matrix, size), matrix, across.shape)
        assert np.abs(back - across)[120:140, 110:130].max() < 1.5


def test_wide_colours_and_ten_bits_are_the_streams_own(tmp_path: Path) -> None:
    format = stream("yuv420p10le", color=Color("bt2020", depth=10, primaries=9, transfer=16))
    planes = skin(format, contrast=10)
    after = changed(spec(tmp_path), format, planes, someone())
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(planes, after, strict=True))


def test_the_region_holds_the_crop(tmp_path: Path) -> None:
    format = stream("yuv420p", 400, 400)
    with Nets() as nets:
        chain = make_chain([spec(tmp_path)], format, b"", nets, "cpu")
        (effect,) = chain.effects
        region = effect.region(someone(25, (200, 200), 120))
    assert isinstance(effect, NetEffect)
    assert region is not None
    box: Box = region
    assert Patch.rectangle(format, box) is not None
    assert box[2] - box[0] > 120
