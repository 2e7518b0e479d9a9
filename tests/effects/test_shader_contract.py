"""What docs/shaders.md promises to shaders: places, codes, uniforms, the mesh."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from effect_makers import (
    channels,
    face,
    flat,
    mesh_face,
    noise,
    painted,
    stream,
)
from shader_makers import BOX, WHOLE, Writer, after, need_opengl, value, writer

from facefx.effects.chain import EffectChain
from facefx.effects.colour import codes, image_codes
from facefx.effects.gl import builtin_shader, builtin_shaders
from facefx.effects.library.shader import MeshShader, Shader
from facefx.effects.picture import to_stored
from facefx.values import Color, FieldOrder, Patch

ROOT = Path(__file__).resolve().parent.parent.parent
# Of the pixel at 75, 65, in a patch of the face's box grown as far as its size allows.
PATCH = (22, 13, 128, 119)


@pytest.fixture(autouse=True, scope="module")
def opengl() -> None:
    """Without OpenGL these tests are skipped, which a strict run does not allow."""
    need_opengl()


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """Writes a shader and says where."""
    return writer(tmp_path)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "nv12", "gray10le", "yuv444p"])
def test_textures_hold_codes_exactly(name: str, written: Writer) -> None:
    fetch = """
    vec3 effect(vec2 at) {
        vec2 luma = texelFetch(luma_plane, ivec2(at), 0).rr * peak;
        vec3 made = vec3((luma.x - luma_codes.x + 1.0) / (luma_codes.y - luma_codes.x), 0.0, 0.0);
        if (PLANE == 1) {
            vec2 uv = texelFetch(chroma_plane, ivec2(at / chroma_step), 0).rg * peak;
            made.yz = (uv - 1.0 - chroma_codes.y) / (chroma_codes.z - chroma_codes.x);
        }
        return made;
    }"""
    format = stream(name)
    before = noise(format, 2)
    changed = channels(after(Shader.of(path=written(fetch), **WHOLE), format, before))
    for i, (old, new) in enumerate(zip(channels(before), changed, strict=True)):
        sx, sy = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        low, high = format.color.chroma_range if i else format.color.luma_range
        part = slice(40 >> sy, 90 >> sy), slice(50 >> sx, 100 >> sx)
        wanted = (old[part].astype(int) + (-1 if i else 1)).clip(low, high)
        assert np.array_equal(new[part], wanted)


def test_a_field_knows_its_own_lines(written: Writer) -> None:
    lines = "vec3 effect(vec2 at) { return vec3(floor(at.y) / 255.0, 0.0, 0.0); }"
    for fields in (FieldOrder.PROGRESSIVE, FieldOrder.TOP_FIRST):
        format = stream("yuvj420p", field_order=fields)
        y, _, _ = after(Shader.of(path=written(lines), **WHOLE), format, noise(format, 1))
        assert (np.diff(y[30:100, 75].astype(int)) == 1).all()


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("at.x / 255.0", 75.5 - PATCH[0]),
        ("at.y / 255.0", 65.5 - PATCH[1]),
        ("(at + origin).x / 255.0", 75.5),
        ("size.x / 255.0", PATCH[2] - PATCH[0]),
        ("box.x / 255.0", 40.3 - PATCH[0]),
        ("box.w / 255.0", 100.9 - PATCH[1]),
        ("unit / 255.0", 70.3),
        ("seconds / 10.0", 255 * 0.4),
        ("amount", 127.5),
        ("strength", 255),
        ("mask(at)", 255),
        ("luma(at)", 100),
        ("chroma(at).x + 0.5", 119.5),
        ("float(landmarks) / 255.0", 0),
        ("to_yuv(to_rgb(yuv(at))).x", 100),
    ],
)
def test_uniforms_are_what_the_contract_says(expression: str, code: float, written: Writer) -> None:
    region = Shader.of(path="builtin:gray", **WHOLE)
    region.format = stream("yuvj444p")
    assert Patch.rectangle(region.format, region.region(face(BOX)) or BOX) == PATCH
    assert abs(value(written, expression, pts=100) - code) <= 1


def test_rgb_is_that_of_the_stream(written: Writer) -> None:
    for matrix in ("bt601", "bt709", "bt2020"):
        format = stream("yuv444p10le", color=Color(matrix, depth=10))
        before = flat(format, codes("#c06030", Color(matrix, depth=10)))
        shader = "vec3 effect(vec2 at) { return to_yuv(to_rgb(yuv(at)).bgr); }"
        done = after(Shader.of(path=written(shader), **WHOLE), format, before)
        wanted = image_codes(np.array([[(0x30, 0x60, 0xC0)]], np.float32) / 255, format.color)[0, 0]
        for plane, code in zip(done, wanted.tolist(), strict=True):
            assert abs(int(plane[60, 70]) - code) <= 1.5


def test_landmarks_are_where_they_are_and_a_face_without_is_left_alone(written: Writer) -> None:
    spot = "vec3 effect(vec2 at) { return vec3(1.0 - step(0.75, distance(at, landmark(33).xy)), 0.0, 0.0); }"
    format = stream("yuvj444p")
    someone = mesh_face((80, 62), 90)
    assert someone.landmarks is not None
    x, y = someone.landmarks[33, :2]
    effect = MeshShader.of(path=written(spot), **WHOLE)
    chain = EffectChain([effect], format)
    done, _ = painted(chain, flat(format, (100, 128, 128)), [someone])
    rows, columns = np.nonzero(done[0] == 255)
    assert abs(rows.mean() + 0.5 - y) < 0.5
    assert abs(columns.mean() + 0.5 - x) < 0.5
    chain.frame(0, flat(format, (100, 128, 128)), [replace(someone, landmarks=None)])
    assert chain.stats.skipped == {"mesh-shader: no landmarks": 1}
    chain.close()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_up_and_right_are_the_viewers(rotation: int, mirrored: bool, written: Writer) -> None:
    format = stream("yuvj444p", 140, 140, rotation=rotation, mirrored=mirrored)
    middle = "(at - (box.xy + box.zw) / 2.0) / unit"
    for axis, along in (("up", 0), ("right", 1)):
        shader = f"vec3 effect(vec2 at) {{ return vec3(0.5 + 0.5 * dot({middle}, {axis}), 0.0, 0.0); }}"
        done = after(
            Shader.of(path=written(shader), **WHOLE), format, flat(format, (9, 128, 128)), (45, 45, 95, 95)
        )
        ramp = np.linspace(191, 64, 50) if axis == "up" else np.linspace(64, 191, 50)
        picture = np.repeat(np.expand_dims(ramp, 1 - along), 50, axis=1 - along)
        seen = done[0][45:95, 45:95].astype(float)
        assert np.abs(seen - to_stored(picture, format)).max() < 2


def test_a_seed_belongs_to_a_person_and_a_plan(written: Writer) -> None:
    bits = "float(seed.x & 255u) / 255.0"
    assert value(written, bits) == value(written, bits, pts=7)
    assert len({value(written, bits, track_id=i) for i in range(6)}) > 3


def test_the_page_describes_all_of_the_contract_and_every_shipped_shader() -> None:
    page = (ROOT / "docs" / "shaders.md").read_text(encoding="utf-8")
    contract = (ROOT / "facefx" / "effects" / "shaders" / "contract.glsl").read_text(encoding="utf-8")
    named = re.findall(r"^uniform (\w+ \w+);", contract, re.MULTILINE)
    named += re.findall(r"^((?:float|vec\d) [a-z]\w*\([^)]*\)) \{", contract, re.MULTILINE)
    assert len(named) > 25
    assert [name for name in named if f"`{name}`" not in page] == []
    assert [name for name in builtin_shaders() if f"`builtin:{name}`" not in page] == []
    assert all(builtin_shader(name).startswith("//") for name in builtin_shaders())


def test_the_time_of_a_stream_is_in_seconds(written: Writer) -> None:
    format = replace(stream("yuvj444p"), time_base=Fraction(1, 90000))
    assert value(written, "seconds", format, pts=45000) == 128
