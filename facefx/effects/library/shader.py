"""shader, mesh-shader: a fragment shader on the face."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, WithJsonSchema

from facefx.effects.effect import EffectParams
from facefx.effects.files import BUILTIN, check_pinned, pinned_path, read_file
from facefx.effects.gl import Device, Painter, Picture, builtin_shader, builtin_shaders, find_device
from facefx.effects.masked import MaskedEffect, MaskedParams, Planes3
from facefx.errors import EffectError
from facefx.values import Color, Face, Patch, StreamFormat

__all__ = ["MeshShader", "Shader"]

Plane = NDArray[Any]

_MAX_BYTES = 64 << 10


class ShaderParams(MaskedParams):
    """Parameters of shader and mesh-shader."""

    path: Annotated[str, WithJsonSchema({"type": "string", "format": "path"})] = Field(
        min_length=1,
        description="A file with a GLSL function `vec3 effect(vec2 at)`, as docs/shaders.md describes it; or "
        f"{', '.join(BUILTIN + name for name in builtin_shaders())}.",
    )
    amount: float = Field(0.5, ge=0.0, le=1.0, description="The shader's own: what it is says the shader.")
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto",
        description="Where it runs; auto is settled when the plan is made, since results differ by a code "
        "or two.",
    )
    sha256: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="Of the source; filled in when the plan is made, so that a changed shader is an error.",
    )


class Shader(MaskedEffect):
    """Run a fragment shader (GLSL 3.30) over the face: a shipped one, or a file of one's own.

    Needs the extra `gl`. Without a GPU the CPU draws. What a shader is given and what it returns:
    docs/shaders.md. A context belongs to the thread that paints, which makes it at its first face.
    """

    name = "shader"
    family = "colour"
    caution = (
        "Cosmetic only. A shader of one's own is a program, and one that never ends stops the run: read it "
        "before you use it."
    )
    Params = ShaderParams
    params: ShaderParams

    @classmethod
    def pinned(cls, params: EffectParams) -> EffectParams:
        """Compile it, and fix its source by sha256, its absolute path, and the kind of device.

        Raises EffectError where there is no OpenGL, or where it cannot be read or does not compile.
        """
        assert isinstance(params, ShaderParams)
        path = pinned_path(params.path)
        source, sha256 = _source(cls.name, path, params.sha256)
        device = find_device(_who(cls.name)) if params.device == "auto" else params.device
        Painter(source, _who(cls.name), path, device).close()
        return params.model_copy(update={"path": path, "sha256": sha256, "device": device})

    def prepare(self, format: StreamFormat, seed: bytes) -> None:
        """Compile it once, to know that this machine can.

        Raises EffectError where it cannot, or where the source is not the one that was pinned.
        """
        super().prepare(format, seed)
        self._painters: dict[int, Painter] = {}
        self._source, _ = _source(self.name, self.params.path, self.params.sha256)
        device = self.params.device
        self._device: Device = find_device(_who(self.name)) if device == "auto" else device
        self._make().close()
        self._fixed = _fixed(format)

    def close(self) -> None:
        """Let the contexts go."""
        while self._painters:
            self._painters.popitem()[1].close()

    def paint(self, planes: Planes3, patch: Patch, face: Face) -> Sequence[Plane | None]:
        """Draw luma, then U and V together, each at its own size."""
        thread = threading.get_ident()
        painter = self._painters.get(thread)
        if painter is None:
            painter = self._painters[thread] = self._make()
        pixels = self.format.pixels
        mesh = None
        if face.landmarks is not None:
            mesh = face.landmarks - np.array((patch.x, patch.y, 0), np.float32)
        picture = Picture(
            planes, self.outline(face).luma_mask(patch), mesh, (1 << pixels.shift_x, 1 << pixels.shift_y)
        )
        return painter.paint(picture, self._uniforms(patch, face), 2 if self.format.field_order else 1)

    def _uniforms(self, patch: Patch, face: Face) -> dict[str, Any]:
        x0, y0, x1, y1 = face.xyxy
        seed = self.track_seed(face.track_id)
        return {
            **self._fixed,
            "size": (patch.width, patch.height),
            "origin": (patch.x, patch.y),
            "box": (x0 - patch.x, y0 - patch.y, x1 - patch.x, y1 - patch.y),
            "unit": max(x1 - x0, y1 - y0),
            "seconds": float(face.pts * self.format.time_base),
            "strength": self.params.strength,
            "amount": self.params.amount,
            "seed": (seed & 0xFFFFFFFF, seed >> 32),
            "landmarks": 0 if face.landmarks is None else len(face.landmarks),
        }

    def _make(self) -> Painter:
        return Painter(self._source, _who(self.name), self.params.path, self._device)


class MeshShader(Shader):
    """Run a fragment shader that needs the face's landmarks; otherwise the same as shader.

    A face whose mesh was not found is left alone.
    """

    name = "mesh-shader"
    needs = frozenset({"box", "landmarks"})


def _who(name: str) -> str:
    return f"effect {name}"


def _source(name: str, path: str, sha256: str) -> tuple[str, str]:
    """A shader's text and its sha256.

    Raises EffectError where it cannot be read, is not the one expected, or says what is not its to say.
    """
    who = _who(name)
    if path.startswith(BUILTIN):
        builtin = path.removeprefix(BUILTIN)
        if builtin not in builtin_shaders():
            raise EffectError(f"{who}: no shader {path}: expected one of {', '.join(builtin_shaders())}")
        data = builtin_shader(builtin).encode()
    else:
        too_large = f"larger than {_MAX_BYTES >> 10} KiB: expected a shader's source"
        data = read_file(path, name, _MAX_BYTES, too_large, "shader")
    got = hashlib.sha256(data).hexdigest()
    check_pinned(path, name, sha256, got)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EffectError(f"{who}: {path} is no text: expected a shader's source") from error
    if "#version" in text:
        raise EffectError(f"{who}: {path}: leave #version out: it is 330, and stands before the contract")
    return text, got


def _fixed(format: StreamFormat) -> dict[str, Any]:
    """Uniforms that are the same in every frame of a stream."""
    color = format.color
    low, high = color.chroma_range
    return {
        "luma_codes": color.luma_range,
        "chroma_codes": (low, color.neutral, high),
        **_matrices(color),
        **_directions(format),
    }


def _matrices(color: Color) -> dict[str, tuple[float, ...]]:
    """Between YUV and RGB, column by column, as OpenGL wants them. Source: ITU-T H.273 §8.3."""
    red, blue = color.luma_weights
    green = 1 - red - blue
    yuv = np.array(
        (
            (red, green, blue),
            (-red / (2 * (1 - blue)), -green / (2 * (1 - blue)), 0.5),
            (0.5, -green / (2 * (1 - red)), -blue / (2 * (1 - red))),
        )
    )
    return {
        "yuv_of_rgb": tuple(yuv.T.ravel().tolist()),
        "rgb_of_yuv": tuple(np.linalg.inv(yuv).T.ravel().tolist()),
    }


def _directions(format: StreamFormat) -> dict[str, tuple[float, float]]:
    """Where viewers' up and right point in the stored picture.

    A player flips the stored picture top to bottom where `mirrored`, then turns it by `rotation`.
    """
    turn = math.radians(format.rotation)
    cos, sin = round(math.cos(turn)), round(math.sin(turn))
    flip = -1 if format.mirrored else 1
    # A player's turn takes (x, y), y downwards, to (x cos + y sin, y cos − x sin); here it is undone.
    return {"up": (sin, -cos * flip), "right": (cos, sin * flip)}
