"""Shaders for tests: written to a file, run on one frame, asked for one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from effect_makers import (
    NAMES,
    Box,
    face,
    flat,
    painted,
    stream,
)

from facefx.effects import gl
from facefx.effects.chain import EffectChain
from facefx.effects.library.shader import Shader
from facefx.errors import EffectError
from facefx.values import Planes, StreamFormat

Writer = Callable[..., str]

FORMATS = (*NAMES, "interlaced")
BOX = (40.3, 30.6, 110.2, 100.9)
WHOLE = {"shape": "box", "grow": 1.5, "feather": 0.0}
IDENTITY = "vec3 effect(vec2 at) { return yuv(at); }"


def need_opengl() -> None:
    """Skip where there is none."""
    try:
        gl.find_device("tests")
    except EffectError as error:
        pytest.skip(str(error))


def writer(folder: Path) -> Writer:
    """Writes a shader into a folder, and says where."""

    def write(text: str, name: str = "mine.frag") -> str:
        (folder / name).write_text(text, encoding="utf-8")
        return str(folder / name)

    return write


def after(effect: Shader, format: StreamFormat, before: Planes, *boxes: Box) -> Planes:
    """One frame; the effect is closed again, and must not have failed."""
    chain = EffectChain([effect], format, b"seed")
    faces = [face(box, i + 1) for i, box in enumerate(boxes or (BOX,))]
    done, _ = painted(chain, before, faces)
    chain.close()
    assert not chain.stats.skipped, chain.stats.first
    return done


def value(written: Writer, expression: str, format: StreamFormat | None = None, **changes: Any) -> int:
    """The luma code in the middle of a face that a shader gives an expression in 0..1 as."""
    format = format or stream("yuvj444p")
    text = f"vec3 effect(vec2 at) {{ return vec3({expression}, 0.0, 0.0); }}"
    shader = Shader.of(path=written(text), **WHOLE)
    chain = EffectChain([shader], format, b"seed")
    done, _ = painted(chain, flat(format, (100, 120, 140)), [replace(face(BOX), **changes)])
    chain.close()
    assert not chain.stats.skipped, chain.stats.first
    return int(done[0][65, 75])
