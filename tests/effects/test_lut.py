"""lut: tables that cannot be used fail at the start; those that can give what a grading tool gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beauty_makers import differences, portrait, smiling, write_cube
from effect_makers import NAMES, after, noise, painted, stream, within

from facefx.effects.chain import EffectChain
from facefx.effects.cube import Cube, code_table, read_cube
from facefx.effects.effect import EffectSpec
from facefx.effects.library.lut import Lut
from facefx.effects.masks import Mesh
from facefx.effects.registry import make_effect
from facefx.errors import EffectError
from facefx.values import Color, Patch

ONE_D = "LUT_1D_SIZE 3\n0 0 0\n0.5 0.6 0.4\n1 1 1\n"


def soft(rgb: Any) -> Any:
    """A look with curves, and parts that depend on each other."""
    grey = rgb.mean(axis=1, keepdims=True)
    return np.clip(0.85 * rgb**0.9 + 0.1 * grey + (0.04, 0.02, 0.0), 0, 1)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "LUT_1D_SIZE or LUT_3D_SIZE is missing"),
        ("0 0 0\n1 1 1\n", "LUT_1D_SIZE or LUT_3D_SIZE is missing"),
        ("LUT_3D_SIZE 1\n0 0 0\n", "line 1: LUT_3D_SIZE must be 2 to 129, got '1'"),
        ("LUT_3D_SIZE 200\n", "LUT_3D_SIZE must be 2 to 129, got '200'"),
        ("LUT_3D_SIZE -5\n", "LUT_3D_SIZE must be 2 to 129, got '-5'"),
        ("LUT_3D_SIZE two\n", "LUT_3D_SIZE must be 2 to 129, got 'two'"),
        ("LUT_1D_SIZE 70000\n", "LUT_1D_SIZE must be 2 to 65536, got '70000'"),
        ("LUT_3D_SIZE 2\n" + "0 0 0\n" * 7, "expected 8 lines of colours for its size, got 7"),
        ("LUT_3D_SIZE 2\n" + "0 0 0\n" * 9, "expected 8 lines of colours for its size, got 9"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1\n", "expected three numbers a line, got '1 1'"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 .x\n", "expected numbers"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 -nan\n", "not finite"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 1e9\n", "not finite"),
        ("LUT_1D_SIZE 2\nLUT_3D_SIZE 2\n", "line 2: a second size"),
        ("LUT_1D_SIZE 2\nDOMAIN_MIN 0 0\n", "line 2: expected 3 numbers"),
        ("LUT_1D_SIZE 2\nDOMAIN_MIN 1 1 1\n0 0 0\n1 1 1\n", "DOMAIN_MIN must lie below DOMAIN_MAX"),
        ("CURVES 4\n", "line 1: unknown keyword CURVES"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line_at_the_start(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path / "a.cube", text)
    with pytest.raises(
        EffectError, match=r"effect lut: .*a\.cube is not a \.cube file that can be used: "
    ) as error:
        EffectSpec.checked("lut", {"path": path})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_that_is_missing_or_no_text_is_one_line_too(tmp_path: Path) -> None:
    with pytest.raises(EffectError, match=r"colour table .*none.cube cannot be read: No such file"):
        EffectSpec.checked("lut", {"path": str(tmp_path / "none.cube")})
    (tmp_path / "b.cube").write_bytes(b"\xff\xfe\x00LUT")
    with pytest.raises(EffectError, match=r"is not a \.cube file: it is not text"):
        EffectSpec.checked("lut", {"path": str(tmp_path / "b.cube")})


def test_a_table_that_changes_after_the_plan_is_an_error_before_any_frame(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cube", ONE_D)
    spec = EffectSpec.checked("lut", {"path": path})
    assert len(spec.params["sha256"]) == 64
    EffectChain([make_effect(spec)], stream())
    written(tmp_path / "a.cube", ONE_D.replace("0.6", "0.7"))
    with pytest.raises(EffectError, match="changed since the plan was made: expected sha256"):
        EffectChain([make_effect(spec)], stream())


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_an_hdr_stream_is_refused_at_the_start(tmp_path: Path, transfer: int, name: str) -> None:
    format = stream("yuv420p10le", color=Color("bt2020", depth=10, transfer=transfer))
    with pytest.raises(EffectError, match=f"effect lut: expected an SDR stream, got {name}"):
        EffectChain([Lut.of(path=written(tmp_path / "a.cube", ONE_D))], format)


def test_comments_titles_and_domains_are_read(tmp_path: Path) -> None:
    text = '# by hand\nTITLE "LUT_3D_SIZE 7"\n\nLUT_1D_SIZE 2\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 2 2 2\n'
    text += "0 0 0\n1 1 1\n"
    cube = read_cube(written(tmp_path / "a.cube", "\ufeff" + text.replace("\n", "\r\n")), "lut")
    assert np.allclose(cube.look_up(np.array([[0.0, 1.0, 2.0]], np.float32)), [[0.0, 0.5, 1.0]])
    ranged = "LUT_1D_SIZE 2\nLUT_1D_INPUT_RANGE 0.0 0.5\n0 0 0\n1 1 1\n"
    cube = read_cube(written(tmp_path / "a.cube", ranged), "lut")
    assert np.allclose(cube.look_up(np.array([[0.0, 0.25, 0.7]], np.float32)), [[0.0, 0.5, 1.0]])


def test_red_runs_fastest_and_a_table_between_its_entries_is_straight(tmp_path: Path) -> None:
    path = write_cube(
        tmp_path / "a.cube", lambda rgb: rgb @ np.array([[0.5, 0, 0], [0, 0.7, 0], [0.2, 0, 1]]), 5
    )
    rgb = np.random.default_rng(1).random((500, 3)).astype(np.float32)
    wanted = rgb @ np.array([[0.5, 0, 0], [0, 0.7, 0], [0.2, 0, 1]])
    assert np.abs(read_cube(path, "lut").look_up(rgb) - wanted).max() < 1e-5


def test_between_entries_the_tetrahedron_of_the_three_parts_order_counts(tmp_path: Path) -> None:
    values = np.zeros((2, 2, 2, 3), np.float32)  # blue, green, red
    values[1, 1, 1] = 1.0  # white alone
    cube = Cube(values, np.zeros(3, np.float32), np.ones(3, np.float32), "")
    # Along every edge but the last one nothing comes; the last one brings the least part.
    assert np.allclose(
        cube.look_up(np.array([[0.9, 0.5, 0.3], [0.2, 0.9, 0.6]], np.float32)), [[0.3] * 3, [0.2] * 3]
    )


@pytest.mark.parametrize("name", [*NAMES, "interlaced"])
@pytest.mark.parametrize("on", ["skin", "face", "frame"])
def test_a_table_that_changes_nothing_changes_no_code(tmp_path: Path, name: str, on: str) -> None:
    format = stream(name)
    path = write_cube(tmp_path / "same.cube", lambda rgb: rgb, 9)
    before, someone = noise(format, 4), smiling((80, 62), 100)
    done = after(format, before, Lut.of(path=path, on=on), someone)
    assert all(np.array_equal(a, b) for a, b in zip(before, done, strict=True))


@pytest.mark.parametrize(
    "color", [Color("bt709"), Color("bt601", full_range=True), Color("bt2020", depth=10)]
)
def test_codes_come_out_as_by_way_of_rgb(tmp_path: Path, color: Color) -> None:
    cube = read_cube(write_cube(tmp_path / "soft.cube", soft, 17), "lut")
    format = stream("yuv444p10le" if color.depth == 10 else "yuv444p", 64, 64, color=color)
    rgb = np.random.default_rng(2).random((64, 64, 3))
    codes = np.array([[color.from_rgb(*pixel) for pixel in row] for row in rgb.tolist()])
    planes = tuple(np.ascontiguousarray(codes[..., i]).astype(format.pixels.dtype) for i in range(3))
    done = after(format, planes, Lut.of(path=str(tmp_path / "soft.cube"), on="frame"), smiling((30, 30), 50))
    looked_up = cube.look_up(rgb.reshape(-1, 3).astype(np.float32)).reshape(64, 64, 3)
    wanted = np.array([[color.from_rgb(*pixel) for pixel in row] for row in looked_up.tolist()])
    off = np.abs(np.stack(done, -1) - wanted) / (1 << (color.depth - 8))
    assert off.mean() < 0.5
    assert off.max() <= 2


def test_each_luma_sample_gets_what_its_own_code_does(tmp_path: Path) -> None:
    """Else fine texture is graded by the mean of the samples that share a chroma sample."""
    path = write_cube(tmp_path / "soft.cube", soft)
    luma = np.random.default_rng(3).integers(40, 200, (64, 64)).astype(np.uint8)
    done = []
    for name, size in (("yuv420p", 32), ("yuv444p", 64)):
        planes = (luma, np.full((size, size), 112, np.uint8), np.full((size, size), 152, np.uint8))
        made = Lut.of(path=path, on="frame")
        done.append(after(stream(name, 64, 64), planes, made, smiling((30, 30), 50))[0].astype(int))
    assert np.abs(done[0] - luma).max() > 5
    assert np.abs(done[0] - done[1]).max() <= 1


def test_the_table_is_converted_for_each_luma_code(tmp_path: Path) -> None:
    cube = read_cube(write_cube(tmp_path / "soft.cube", soft), "lut")
    eight, ten = code_table(cube, Color("bt709")), code_table(cube, Color("bt709", depth=10))
    assert eight.changes.shape == (256 * 33, 33, 4)
    # OpenCV looks up in pictures of fewer than 32768 rows.
    assert ten.changes.shape == (1024 * 31, 31, 4)


@pytest.mark.parametrize("on", ["skin", "face"])
def test_eyes_get_the_look_of_the_face_but_not_of_the_skin(tmp_path: Path, on: str) -> None:
    format = stream("yuv420p", 260, 260)
    before, someone = portrait(format, (130.4, 126.2), 200)
    done = after(format, before, Lut.of(path=write_cube(tmp_path / "soft.cube", soft), on=on), someone)
    luma = differences(before, done)[0]
    eye = within(format, Mesh(someone).outline("left_eye"))
    assert luma[eye].any() == (on == "face")
    assert luma[150:160, 100:110].all()


def test_a_frame_is_graded_once_however_many_faces_it_shows(tmp_path: Path) -> None:
    format = stream("yuv420p", 260, 200)
    path = write_cube(tmp_path / "soft.cube", soft)
    one, two = smiling((70, 90), 100, track_id=4), smiling((180, 90), 100, track_id=2)
    before = noise(format, 7)
    alone = after(format, before, Lut.of(path=path, on="frame"), one)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(alone, after(format, before, Lut.of(path=path, on="frame"), one, two), strict=True)
    )
    chain = EffectChain([Lut.of(path=path, on="frame")], format)
    for pts in (0, 1, 1):  # a stream that repeats a time is graded again
        done, _ = painted(chain, before, [replace(one, pts=pts), replace(two, pts=pts)])
        assert all(np.array_equal(a, b) for a, b in zip(alone, done, strict=True))


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le"])
def test_lines_of_two_fields_are_never_mixed(tmp_path: Path, name: str) -> None:
    format = stream("interlaced", 100, 100)
    before = noise(format, 1)
    other = tuple(plane.copy() for plane in before)
    for plane in other:
        plane[1::2] = 128
    made = Lut.of(path=write_cube(tmp_path / "soft.cube", soft), on="frame")
    one, two = (after(format, planes, made, smiling((50, 50), 60)) for planes in (before, other))
    assert all(np.array_equal(a[::2], b[::2]) for a, b in zip(one, two, strict=True))


def test_half_strength_is_half_the_change(tmp_path: Path) -> None:
    format = stream("yuv420p")
    path = write_cube(tmp_path / "soft.cube", soft)
    before, someone = noise(format, 3), smiling((80, 62), 100)
    whole, half = (
        differences(before, after(format, before, Lut.of(path=path, on="frame", strength=s), someone))
        for s in (1.0, 0.5)
    )
    inner = (before[0] > 40) & (before[0] < 200)
    assert np.abs(half[0] - whole[0] / 2)[inner].max() <= 1


def test_nothing_is_painted_on_a_patch_beside_the_face(tmp_path: Path) -> None:
    format = stream("yuv420p")
    made = Lut.of(path=write_cube(tmp_path / "soft.cube", soft), on="face")
    made.prepare(format, b"")
    patch = Patch.cut(format, 0, noise(format, 3), (0, 0, 161, 121))
    assert patch is not None
    made.apply(patch, smiling((-300, 62), 100))
    assert not patch.changed(noise(format, 3))
