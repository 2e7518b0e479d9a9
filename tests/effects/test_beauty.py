"""What every beauty effect keeps: all that it is not about, the legal range, and one look in every format."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from beauty_makers import EFFECTS, beauty, differences, portrait, smiling
from effect_makers import NAMES, after, channels, chroma_under, noise, painted, real_face, stream, within
from numpy.typing import NDArray

from facefx.effects import face_grid, shared
from facefx.effects.chain import EffectChain
from facefx.effects.masks import Mesh
from facefx.effects.skin import skin_outline, skin_weight
from facefx.values import Color, Face, Patch, Planes, StreamFormat

FORMATS = (*NAMES, "interlaced")
# What half strength changes at least where it changes anything, in codes of 8 bits: luma, or chroma.
LEAST = {
    "whiten": (4.0, 0),
    "ruddy": (1.2, 2),
    "sharpen": (1.5, 0),
    "sharpen the face": (1.2, 0),
    "eyes": (4.0, 0),
    "teeth": (4.0, 0),
    "circles": (2.0, 0),
    "blemish": (3.0, 0),
    "lut": (2.0, 0),
    "lut on the face": (2.0, 0),
}
every_effect = pytest.mark.parametrize("effect", EFFECTS)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for colour tables."""
    return tmp_path_factory.mktemp("tables")


def total(before: Planes, done: Planes) -> float:
    return float(sum(np.abs(change).sum() for change in differences(before, done)))


@every_effect
@pytest.mark.parametrize("name", FORMATS)
def test_no_strength_means_no_work_and_the_same_bits(effect: str, name: str, tables: Path) -> None:
    format = stream(name)
    made, someone = beauty(effect, 0.0, tables), smiling((80, 62), 100)
    assert EffectChain([made], format).frame(0, noise(format, 1), [someone]) == []
    assert made.region(replace(someone, landmarks=None)) is None  # it does not even look at the mesh
    patch = Patch.cut(format, 0, noise(format, 1), (0, 0, 161, 121))
    assert patch is not None
    made.apply(patch, someone)
    assert not patch.changed(noise(format, 1))


@every_effect
@pytest.mark.parametrize("name", FORMATS)
def test_outside_the_face_no_bit_changes_and_inside_no_code_is_illegal(
    effect: str, name: str, tables: Path
) -> None:
    format = stream(name)
    someone = smiling((80.3, 60.6), 100, turned=8)
    inside = within(format, skin_outline(Mesh(someone)))
    inside = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    for before in (noise(format, 2), portrait(format, (80.3, 60.6), 100, 8)[0]):
        done = after(format, before, beauty(effect, 1.0, tables), someone)
        masks = [inside, *[chroma_under(format, inside)] * 2] if len(before) > 1 else [inside]
        for i, (change, mask, codes) in enumerate(
            zip(differences(before, done), masks, channels(done), strict=True)
        ):
            assert not change[~mask].any()
            low, high = format.color.chroma_range if i else format.color.luma_range
            assert low <= codes.min() <= codes.max() <= high


@every_effect
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "nv12", "interlaced", "yuvj420p"])
def test_half_strength_is_seen(effect: str, name: str, tables: Path) -> None:
    format = stream(name, 260, 260)
    before, someone = portrait(format, (130.4, 126.2), 200)
    done = after(format, before, beauty(effect, 0.5, tables), someone)
    least, plane = LEAST[effect]
    change = np.abs(differences(before, done)[plane])
    assert change[change > 0].mean() >= least * (1 << (format.pixels.depth - 8))


@every_effect
def test_more_strength_changes_more_and_no_code_turns_back(effect: str, tables: Path) -> None:
    format = stream("yuv420p", 260, 260)
    before, someone = portrait(format, (130.4, 126.2), 200)
    steps = [
        differences(before, after(format, before, beauty(effect, strength, tables), someone))
        for strength in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    for planes in zip(*steps, strict=True):
        assert all((np.abs(b) >= np.abs(a)).all() for a, b in pairwise(planes))
    sums = [sum(np.abs(change).sum() for change in step) for step in steps]
    assert (np.diff(sums) > 0).all()


@every_effect
def test_ten_bits_look_as_eight(effect: str, tables: Path) -> None:
    eight, ten = stream("yuv420p", 260, 260), stream("yuv420p10le", 260, 260)
    before, someone = portrait(eight, (130.4, 126.2), 200)
    fine = tuple(plane.astype(np.uint16) * 4 for plane in before)
    narrow = differences(before, after(eight, before, beauty(effect, 1.0, tables), someone))
    wide = differences(fine, after(ten, fine, beauty(effect, 1.0, tables), someone))
    for a, b in zip(narrow, wide, strict=True):
        assert np.abs(b / 4 - a).max() <= 1.3
        assert np.abs(b / 4 - a).mean() <= 0.25


@every_effect
@pytest.mark.parametrize("matrix", ["bt601", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
def test_every_matrix_and_range_gives_one_look(effect: str, matrix: Any, full: bool, tables: Path) -> None:
    looks = []
    for color in (Color("bt709", depth=10), Color(matrix, full_range=full, depth=10)):
        format = stream("yuv444p10le", 260, 260, color=color)
        before, someone = portrait(format, (130.4, 126.2), 200)
        done = after(format, before, beauty(effect, 1.0, tables), someone)
        looks.append(as_rgb(format, done) - as_rgb(format, before))
    # ruddy keeps luma, which each matrix weighs in its own way.
    most = 0.3 if effect == "ruddy" else 0.12
    assert np.abs(looks[1] - looks[0]).mean() < most * np.abs(looks[0]).mean()


def as_rgb(format: StreamFormat, planes: Planes) -> NDArray[np.float64]:
    """(h, w, 3) parts of a 4:4:4 picture."""
    color = format.color
    (black, white), (low, high) = color.luma_range, color.chroma_range
    span = color.peak if color.full_range else high - low
    y = (planes[0].astype(np.float64) - black) / (white - black)
    u, v = ((plane.astype(np.float64) - color.neutral) / span for plane in planes[1:])
    k_red, k_blue = color.luma_weights
    red, blue = y + 2 * (1 - k_red) * v, y + 2 * (1 - k_blue) * u
    return np.stack([red, (y - k_red * red - k_blue * blue) / (1 - k_red - k_blue), blue], -1)


@every_effect
def test_a_face_looks_the_same_at_half_the_resolution(effect: str, tables: Path) -> None:
    large, small = stream("yuv420p", 520, 520), stream("yuv420p", 260, 260)
    before, someone = portrait(large, (260.6, 240.4), 300, grain=0)
    assert someone.landmarks is not None
    halved = replace(someone, landmarks=someone.landmarks / np.float32(2))
    little = tuple(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in before)
    wide = differences(before, after(large, before, beauty(effect, 1.0, tables), someone))
    narrow = differences(little, after(small, little, beauty(effect, 1.0, tables), halved))
    plane = LEAST[effect][1]
    shrunk = cv2.resize(wide[plane].astype(np.float32), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - narrow[plane]).sum() < 0.3 * np.abs(shrunk).sum()
    assert abs(shrunk.sum() - narrow[plane].sum()) < 0.1 * np.abs(shrunk).sum()


@every_effect
@pytest.mark.parametrize(
    ("name", "centre"),
    [
        ("yuv420p", (5, 5)),
        ("nv12", (158, 118)),
        ("interlaced", (80, -30)),
        ("yuv420p", (-300, 60)),
        ("yuv411p", (161, 60)),
        ("yuv422p10le", (80, 62)),
    ],
)
@pytest.mark.parametrize("size", [8, 110, 420])
def test_a_face_across_an_edge_tiny_or_larger_than_the_frame_does_no_harm(
    effect: str, name: str, centre: tuple[int, int], size: int, tables: Path
) -> None:
    format = stream(name)
    someone = smiling(centre, size)
    before = noise(format, size)
    done = after(format, before, beauty(effect, 1.0, tables), someone)
    inside = within(format, skin_outline(Mesh(someone)))
    inside = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert not differences(before, done)[0][~inside].any()
    assert size > 8 or total(before, done) == 0


@every_effect
def test_many_faces_over_each_other_are_all_done_and_nothing_is_brought_back(
    effect: str, tables: Path
) -> None:
    format = stream("yuv420p", 420, 260)
    before, left = portrait(format, (130.4, 126.2), 200)
    right = smiling((230.4, 130.2), 200, track_id=2)
    many = [left, right, *(smiling((20 + 13 * i, 30), 40, track_id=3 + i) for i in range(28))]
    made = after(format, before, beauty(effect, 1.0, tables), *many)
    alone = after(format, before, beauty(effect, 1.0, tables), left)
    inside = np.zeros((format.height, format.width), bool)
    for other in many[1:]:
        inside |= within(format, skin_outline(Mesh(other)))
    inside = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(made[0][~inside], alone[0][~inside])


@every_effect
def test_the_same_frame_gives_the_same_bytes_whatever_came_before(effect: str, tables: Path) -> None:
    format = stream("nv12")
    before, someone = portrait(format, (80.2, 62.4), 100)
    chain = EffectChain([beauty(effect, 0.7, tables)], format)
    fresh = painted(EffectChain([beauty(effect, 0.7, tables)], format), before, [someone])[0]
    painted(chain, noise(format, 1), [smiling((70, 55), 80, track_id=2), someone])
    for again in (someone, replace(someone, pts=9)):
        done = painted(chain, before, [again])[0]
        assert all(np.array_equal(a, b) for a, b in zip(fresh, done, strict=True))


@every_effect
@pytest.mark.parametrize("size", [80, 300])
def test_a_patch_that_other_effects_have_widened_is_left_alone_around_it(
    effect: str, size: int, tables: Path
) -> None:
    format = stream("yuv420p", 400, 430)
    before, someone = portrait(format, (200, 235), size)
    wide = Patch.cut(format, 0, before, (2, 4, 398, 428))  # off the squares of the grid
    assert wide is not None
    made = beauty(effect, 1.0, tables)
    made.prepare(format, b"")
    made.apply(wide, someone)
    done = after(format, before, beauty(effect, 1.0, tables), someone)
    assert np.array_equal(wide.planes[0], done[0][4:428, 2:398])
    assert np.array_equal(wide.planes[2], done[2][2:214, 1:199])


@every_effect
def test_the_still_parts_of_a_real_face_do_not_flicker(
    effect: str, tables: Path, media: Path, models_dir: Path
) -> None:
    format, planes, someone = real_face(media, models_dir, "portrait_1.jpg", 0.8)
    assert someone.landmarks is not None
    generator = np.random.default_rng(5)
    old: list[NDArray[np.int64]] = []
    new: list[NDArray[np.int64]] = []
    for i in range(5):
        grain = generator.normal(0, 1.0, planes[0].shape)
        frame = (np.clip(planes[0] + grain, 0, 255).astype(np.uint8), *planes[1:])
        jitter = generator.normal(0, 0.05, (1, 3)).astype(np.float32)  # what One-Euro leaves
        moved = replace(someone, pts=i, landmarks=someone.landmarks + jitter)
        done = after(format, frame, beauty(effect, 0.5, tables), moved)
        plane = LEAST[effect][1]
        old.append(frame[plane].astype(np.int64))
        new.append(done[plane].astype(np.int64))
    where = np.abs(new[0] - old[0]) > 0
    for i in range(4):
        flicker = np.abs(new[i + 1] - new[i])[where].mean() - np.abs(old[i + 1] - old[i])[where].mean()
        assert flicker < 0.5


def test_a_chain_tells_the_skin_and_lays_out_the_mesh_once(
    tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"mesh": 0, "skin": 0}
    weigh = skin_weight

    def counted_mesh(face: Face) -> Mesh:
        counts["mesh"] += 1
        return Mesh(face)

    def counted_weight(*args: Any) -> Any:
        counts["skin"] += 1
        return weigh(*args)

    monkeypatch.setattr(shared, "Mesh", counted_mesh)
    monkeypatch.setattr(face_grid, "skin_weight", counted_weight)
    format = stream("yuv420p", 260, 260)
    before, someone = portrait(format, (130.4, 126.2), 200)
    chain = EffectChain([beauty(name, 0.5, tables) for name in EFFECTS], format)
    painted(chain, before, [someone])
    assert not chain.stats.skipped, chain.stats.first
    assert counts == {"mesh": 1, "skin": 1}
