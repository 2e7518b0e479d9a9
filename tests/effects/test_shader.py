"""Shaders on a face: exact planes in and out, the contract as it is written, and errors at the start."""

from __future__ import annotations

import re
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from effect_makers import (
    ODD_BOXES,
    channels,
    core,
    face,
    flat,
    noise,
    painted,
    real_face,
    run,
    stream,
)
from numpy.typing import NDArray
from shader_makers import BOX, FORMATS, IDENTITY, WHOLE, Writer, after, need_opengl, writer

import facefx
from facefx.effects import gl
from facefx.effects.chain import EffectChain
from facefx.effects.gl import builtin_shaders
from facefx.effects.kernels import blur
from facefx.effects.library.filter import Filter
from facefx.effects.library.shader import Shader
from facefx.effects.registry import make_effect, make_spec
from facefx.errors import EffectError
from facefx.values import FieldOrder


@pytest.fixture(autouse=True, scope="module")
def opengl() -> None:
    """Without OpenGL these tests are skipped, which a strict run does not allow."""
    need_opengl()


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """Writes a shader and says where."""
    return writer(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_planes_go_in_and_come_back_exactly(name: str, written: Writer) -> None:
    format = stream(name)
    before = noise(format, 1)
    for old, new in zip(before, after(Shader.of(path=written(IDENTITY)), format, before), strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("name", ["yuv420p", "yuvj422p", "nv12", "gray10le", "interlaced"])
@pytest.mark.parametrize("shader", builtin_shaders())
def test_every_shipped_shader_changes_the_face_and_nothing_else(shader: str, name: str) -> None:
    format = stream(name)
    before = noise(format, 3)
    done = after(Shader.of(path=f"builtin:{shader}"), format, before)
    reach = core(format, (40.3 - 12, 30.6 - 12, 110.2 + 12, 100.9 + 12), "box")
    assert np.array_equal(done[0][~reach], before[0][~reach])
    moved = sum(
        np.abs(a.astype(int) - b).sum() for a, b in zip(channels(before), channels(done), strict=True)
    )
    assert moved > 3000 or (shader == "gray" and len(before) == 1)
    for i, plane in enumerate(channels(done)):
        low, high = format.color.chroma_range if i else format.color.luma_range
        assert low <= plane.min() <= plane.max() <= high


@pytest.mark.parametrize("name", FORMATS)
def test_no_strength_is_the_same_bits(name: str) -> None:
    format = stream(name)
    chain = EffectChain([Shader.of(path="builtin:negate", strength=0)], format)
    assert chain.frame(0, noise(format, 1), [face(BOX)]) == []


@pytest.mark.parametrize("shader", builtin_shaders())
def test_more_strength_changes_more(shader: str) -> None:
    format = stream("yuv444p")
    before, steps = noise(format, 4), []
    for strength in (0.25, 0.5, 0.75, 1.0):
        done = after(Shader.of(path=f"builtin:{shader}", strength=strength), format, before)
        steps.append(np.abs(np.stack(done).astype(int) - np.stack(before)))
    assert all((b >= a - 1).all() for a, b in pairwise(steps))
    assert np.all(np.diff([step.sum() for step in steps]) > 0)


@pytest.mark.parametrize("name", ["yuv420p", "yuvj422p", "yuv420p10le", "nv12", "gray"])
def test_negate_and_posterise_are_those_of_libavfilter(name: str) -> None:
    format = stream(name)
    before = noise(format, 5)
    for kind, ours, theirs in (("negate", {}, {}), ("posterise", {"amount": 0.6}, {"levels": 6})):
        shader = after(Shader.of(path=f"builtin:{kind}", **ours), format, before)
        filtered = run(Filter.of(kind=kind, **theirs), format, before, BOX)
        for i, (a, b) in enumerate(zip(channels(shader), channels(filtered), strict=True)):
            # Codes half way between two shades may fall to either side.
            apart = np.abs(a.astype(int) - b) > 1
            assert apart.mean() < (0 if kind == "negate" else 0.02) + 1e-9, f"{kind}, plane {i}"


def test_gray_takes_the_colours_and_leaves_luma() -> None:
    format = stream("yuv420p10le")
    before = noise(format, 6)
    y, u, v = after(Shader.of(path="builtin:gray", **WHOLE), format, before)
    assert np.array_equal(y, before[0])
    assert set(np.unique(u[20:45, 25:50])) == set(np.unique(v[20:45, 25:50])) == {512}


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le"])
def test_blur_is_the_blur_of_our_own_kernels(name: str) -> None:
    format = stream(name, 320, 320)
    rough = noise(format, 2)
    shifts = [format.pixels.shift_x if i else 0 for i in range(len(rough))]
    before = tuple(
        cv2.GaussianBlur(plane, (0, 0), 4 >> shift) for plane, shift in zip(rough, shifts, strict=True)
    )
    done = after(Shader.of(path="builtin:blur", amount=0.8, **WHOLE), format, before, (60, 60, 260, 260))
    for i, (old, new) in enumerate(zip(before, done, strict=True)):
        shift = format.pixels.shift_x if i else 0
        ours = blur(old, 8 / (1 << shift), 8 / (1 << shift))
        middle = slice(110 >> shift, 210 >> shift), slice(110 >> shift, 210 >> shift)
        off = np.abs(ours[middle].astype(int) - new[middle]) / (1 << (format.pixels.depth - 8))
        assert off.max() <= 2


def test_mosaic_has_one_shade_a_cell_and_it_is_the_mean() -> None:
    format = stream("yuvj444p", 320, 320)
    before = tuple(cv2.GaussianBlur(plane, (0, 0), 4) for plane in noise(format, 2))
    # A quarter of a face of 160 px: cells of 40 px, which lie still in the picture.
    done = after(Shader.of(path="builtin:mosaic", amount=1.0, **WHOLE), format, before, (80, 80, 240, 240))
    for old, new in zip(before, done, strict=True):
        for x in (80, 120, 160, 200):
            cell, mean = new[120:160, x : x + 40], old[120:160, x : x + 40].mean()
            assert cell.min() == cell.max()
            assert abs(float(cell[0, 0]) - mean) < 4


@pytest.mark.parametrize("shader", builtin_shaders())
def test_a_box_that_stirs_on_a_still_picture_does_not_flicker(
    shader: str, media: Path, models_dir: Path
) -> None:
    format, before, someone = real_face(media, models_dir, "portrait_1.jpg", 0.5)
    chain, frames = EffectChain([Shader.of(path=f"builtin:{shader}")], format), []
    x0, y0, x1, y1 = (int(v) for v in someone.xyxy)
    for i, away in enumerate((0.0, 0.3, -0.3, 0.2)):
        box = (x0 + 0.5 + away, y0 + 0.5 - away, x1 + 0.5 + away, y1 + 0.5 - away)
        frames.append(painted(chain, before, [face(box, pts=i)])[0][0].astype(int))
    chain.close()
    assert np.mean([np.abs(b - a)[y0:y1, x0:x1].mean() for a, b in pairwise(frames)]) < 0.5


def test_fields_are_never_mixed() -> None:
    format = stream("yuv420p", field_order=FieldOrder.TOP_FIRST)
    before = flat(format, (60, 100, 160))
    for plane, other in zip(before, (190, 160, 90), strict=True):
        plane[1::2] = other
    for old, new in zip(before, after(Shader.of(path="builtin:blur"), format, before), strict=True):
        assert np.abs(old.astype(int) - new).max() <= 1


@pytest.mark.parametrize("shader", ["blur", "glow"])
def test_the_same_frame_gives_the_same_bytes_whatever_came_before(shader: str) -> None:
    format = stream("yuv420p")
    chain = EffectChain([Shader.of(path=f"builtin:{shader}")], format, b"seed")
    painted(chain, noise(format, 5), [face((0, 0, 161, 121)), face((10, 10, 60, 70), 2)])
    again = painted(chain, noise(format, 7), [face(BOX)])[0]
    chain.close()
    fresh = after(Shader.of(path=f"builtin:{shader}"), format, noise(format, 7))
    assert all(np.array_equal(a, b) for a, b in zip(again, fresh, strict=True))


@pytest.mark.parametrize("name", ["yuv420p", "yuv411p", "interlaced", "nv12", "gray", "gray10le"])
def test_tiny_faces_and_faces_cut_by_each_edge_are_drawn_too(name: str) -> None:
    format = stream(name)
    after(Shader.of(path="builtin:blur"), format, noise(format, 1), *ODD_BOXES)


@pytest.fixture
def open_contexts(monkeypatch: pytest.MonkeyPatch) -> list[gl.Painter]:
    """Those that were made and not yet closed."""
    alive: list[gl.Painter] = []
    make, close = gl.Painter.__init__, gl.Painter.close

    def made(painter: gl.Painter, *arguments: Any) -> None:
        make(painter, *arguments)
        alive.append(painter)

    def closed(painter: gl.Painter) -> None:
        close(painter)
        alive.remove(painter)

    monkeypatch.setattr(gl.Painter, "__init__", made)
    monkeypatch.setattr(gl.Painter, "close", closed)
    return alive


def test_each_thread_that_paints_has_its_own_context_and_any_closes_them(
    open_contexts: list[gl.Painter],
) -> None:
    format = stream("yuv420p")
    before, done = noise(format, 1), []
    chain = EffectChain([Shader.of(path="builtin:negate")], format, b"seed")
    # Here first, so that this thread still holds its context when another begins.
    done.append(painted(chain, before, [face(BOX)])[0])
    for _ in range(2):
        thread = threading.Thread(target=lambda: done.append(painted(chain, before, [face(BOX)])[0]))
        thread.start()
        thread.join()
    assert len(open_contexts) > 1
    chain.close()
    assert open_contexts == []
    assert not chain.stats.skipped, chain.stats.first
    assert all(np.array_equal(a[0], b[0]) for a, b in pairwise(done))
    assert not np.array_equal(done[0][0], before[0])


def test_closing_a_chain_lets_the_contexts_go(open_contexts: list[gl.Painter]) -> None:
    format = stream("yuv420p")
    chain = EffectChain([Shader.of(path="builtin:gray"), Filter.of()], format)
    assert open_contexts == []
    painted(chain, noise(format, 1), [face(BOX)])
    assert len(open_contexts) == 1
    chain.close()
    chain.close()
    assert open_contexts == []


def test_videos_photos_and_previews_close_their_chains(
    media: Path, tmp_path: Path, open_contexts: list[gl.Painter]
) -> None:
    clip, photo = media / "clips" / "woman_room_1280x720.mp4", media / "stills" / "portrait_1.jpg"
    effect = "shader:path=builtin:negate"
    assert facefx.run(clip, tmp_path / "out.mp4", effect, to_s=0.1, threads=2).effects["patches"] > 0
    assert open_contexts == []
    facefx.run(photo, tmp_path / "out.jpg", effect)
    assert open_contexts == []
    facefx.preview(clip, effect, at=0.0)
    assert open_contexts == []


@pytest.mark.parametrize("shader", ["glow", "outline"])
def test_a_face_looks_the_same_at_any_resolution(shader: str, media: Path, models_dir: Path) -> None:
    looks: list[NDArray[Any]] = []
    for scale in (0.5, 1.0):
        format, before, someone = real_face(media, models_dir, "portrait_1.jpg", scale)
        chain = EffectChain([Shader.of(path=f"builtin:{shader}")], format)
        y = painted(chain, before, [someone])[0][0]
        chain.close()
        x0, y0, x1, y1 = (int(v) for v in someone.xyxy)
        looks.append(cv2.resize(y[y0:y1, x0:x1], (96, 96), interpolation=cv2.INTER_AREA).astype(float))
    assert np.abs(looks[0] - looks[1]).mean() < 7  # lines are thresholds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vec3 effect(vec2 at) {\n  return foo;\n}", r"mine.frag does not compile: line 2: .*foo"),
        ("float x;", r"mine.frag does not compile: .*effect"),
        ("#version 330\n" + IDENTITY, r"mine.frag: leave #version out"),
        ("x" * (65 << 10), r"mine.frag is larger than 64 KiB"),
    ],
)
@pytest.mark.parametrize("effect", ["shader", "mesh-shader"])
def test_a_shader_that_does_not_work_is_one_line_at_the_start(
    effect: str, text: str, message: str, written: Writer
) -> None:
    path = written(text)
    with pytest.raises(EffectError, match=f"effect {effect}: .*{message}") as caught:
        make_spec(effect, {"path": path})
    assert "\n" not in str(caught.value)


def test_a_missing_binary_or_changed_file_is_told(tmp_path: Path, written: Writer) -> None:
    with pytest.raises(EffectError, match=r"shader .*none.frag cannot be read: No such file"):
        make_spec("shader", {"path": str(tmp_path / "none.frag")})
    (tmp_path / "binary.frag").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EffectError, match="is no text"):
        make_spec("shader", {"path": str(tmp_path / "binary.frag")})
    with pytest.raises(EffectError, match="no shader builtin:nope: expected one of blur, glow"):
        make_spec("shader", {"path": "builtin:nope"})
    spec = make_spec("shader", {"path": written(IDENTITY)})
    assert re.fullmatch("[0-9a-f]{64}", spec.params["sha256"])
    written(IDENTITY + "\n")
    with pytest.raises(EffectError, match="changed since the plan was made"):
        make_effect(spec).prepare(stream(), b"")


def test_the_device_is_settled_when_the_plan_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec("shader", {"path": "builtin:gray"})
    assert spec.params["device"] == gl.find_device("x")
    other = "gpu" if spec.params["device"] == "cpu" else "cpu"
    monkeypatch.setattr(gl, "_device", lambda context: spec.params["device"])
    with pytest.raises(EffectError, match=f"effect shader: device={other}: OpenGL has none on this machine"):
        make_spec("shader", {"path": "builtin:gray", "device": other})


def test_what_is_missing_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gl, "_LIBRARY", "libNowhere.so.1")
    told = r"shader: no OpenGL 3.3 by way of EGL \(libNowhere.so.1 not loaded\): .*apt-get install libegl1"
    with pytest.raises(EffectError, match=told):
        make_spec("shader", {"path": "builtin:gray"})
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(EffectError, match=r"effect shader: moderngl is missing: pip install 'facefx\[gl\]'"):
        make_spec("shader", {"path": "builtin:gray"})
