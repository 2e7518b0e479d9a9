"""OpenGL without a window: fragment shaders that turn a patch's planes into new ones, read back exactly.

The only file that knows moderngl, which the extra `gl` brings. Where there is no GPU, Mesa's llvmpipe draws.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from facefx.errors import EffectError

if TYPE_CHECKING:
    import moderngl

__all__ = ["Device", "Painter", "Picture", "builtin_shader", "builtin_shaders", "find_device"]

Plane = NDArray[Any]
Device = Literal["cpu", "gpu"]
Uniforms = Mapping[str, Any]

_INSTALL = "on Debian: apt-get install libegl1 libgl1-mesa-dri"
_VERSION = 330
_MOST_DEVICES = 8
_SOFTWARE = re.compile(r"llvmpipe|softpipe|swrast|swiftshader", re.IGNORECASE)
# One library leads to all functions of OpenGL, so that libGL.so need not be there.
_LIBRARY = "libEGL.so.1"
# A triangle over all that there is.
_VERTICES = """#version 330 core
void main() {
    gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}
"""
# Textures grow in steps, so that a face that comes nearer does not ask for new ones in every frame.
_GRID_PX = 128
# 0:12(5): error: …   0(12) : error C1503: …   ERROR: 0:12: …
_PLACES = re.compile(r"^(?:ERROR: )?0[:(](\d+)\)?(?:\(\d+\))? ?:? ?(?:error)?:? ?(.*)$", re.MULTILINE)
_FOLDER, _SUFFIX = "shaders", ".frag"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a shader sees. planes: Y, U, V or Y alone, uint8 or uint16. mask: (h, w) uint8 of luma.

    mesh: (p, 3) float32 or None. chroma_step: luma pixels between chroma samples.
    """

    planes: Sequence[Plane]
    mask: NDArray[np.uint8]
    mesh: NDArray[np.float32] | None
    chroma_step: tuple[int, int]


@cache
def builtin_shaders() -> tuple[str, ...]:
    """Names of the shaders that come with the package."""
    folder = files("facefx.effects").joinpath(_FOLDER)
    names = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def builtin_shader(name: str) -> str:
    """The source of a shader that comes with the package."""
    return _resource(name + _SUFFIX)


def _resource(name: str) -> str:
    return files("facefx.effects").joinpath(_FOLDER, name).read_text(encoding="utf-8")


def find_device(who: str) -> Device:
    """Where shaders run on this machine: on a GPU if there is one.

    who: begins the message.

    Raises EffectError where there is no OpenGL.
    """
    context = _open(who, None)
    try:
        return _device(context)
    finally:
        context.release()


class Painter:
    """One shader in a context of its own. Only the thread that made it may paint with it.

    who, name: begin the message of an error: the effect, and where the source comes from.

    Raises EffectError where there is no OpenGL, or where the source does not compile.
    """

    def __init__(self, source: str, who: str, name: str, device: Device) -> None:
        self._who = who
        self._context = _open(who, device)
        try:
            with self._errors():
                self._programs = [_program(self._context, source, who, name, plane) for plane in (0, 1)]
            self._arrays = [self._context.vertex_array(program, []) for program in self._programs]
        except BaseException:
            self._context.release()
            raise
        self._textures: dict[str, moderngl.Texture] = {}
        self._targets: dict[str, moderngl.Framebuffer] = {}

    @property
    def renderer(self) -> str:
        """What draws, by its own name."""
        return str(self._context.info["GL_RENDERER"])

    def paint(self, picture: Picture, uniforms: Uniforms, fields: int = 1) -> list[Plane]:
        """Return new planes, as many and as large as the old ones.

        uniforms: by name, as the contract names them; one that the shader does not use is passed over.
        fields: 2 where lines of the two fields must not mix.

        Raises EffectError where the device fails.
        """
        with self._context, self._errors():
            self._fill("mask_plane", picture.mask[..., None], "f1")
            mesh = picture.mesh
            self._fill("mesh", np.zeros((1, 1, 3), np.float32) if mesh is None else mesh[None], "f4")
            new = [np.empty_like(plane, order="C") for plane in picture.planes]
            for field in range(fields):
                lines = [plane[field::fields] for plane in picture.planes]
                if lines[0].size:
                    done = self._field(
                        lines, picture.chroma_step, {**uniforms, "fields": fields, "field": field}
                    )
                    for target, part in zip(new, done, strict=True):
                        target[field::fields] = part
        return new

    def _field(self, planes: Sequence[Plane], step: tuple[int, int], uniforms: Uniforms) -> list[Plane]:
        kind = "f1" if planes[0].dtype == np.uint8 else "nu2"
        colours = len(planes) == 3
        self._fill("luma_plane", planes[0][..., None], kind)
        uv = np.stack(planes[1:], axis=-1) if colours else np.zeros((1, 1, 2), planes[0].dtype)
        self._fill("chroma_plane", uv, kind)
        given = {
            **uniforms,
            "chroma_step": step if colours else (0, 0),
            "peak": np.iinfo(planes[0].dtype).max,
        }
        new = [self._draw(0, planes[0].shape, planes[0].dtype, given)[..., 0]]
        if colours and planes[1].size:
            made = self._draw(1, planes[1].shape, planes[0].dtype, given)
            new += [made[..., 0], made[..., 1]]
        return new + list(planes[len(new) :])

    def _draw(self, plane: int, shape: Sequence[int], dtype: Any, uniforms: Uniforms) -> Plane:
        program, components = self._programs[plane], plane + 1
        for unit, name in enumerate(("luma_plane", "chroma_plane", "mask_plane", "mesh")):
            self._textures[name].use(unit)
            _set(program, name, unit)
        for name, value in uniforms.items():
            _set(program, name, value)
        rows, columns = shape
        kind = "f1" if dtype == np.uint8 else "nu2"
        target = self._target(f"target_{plane}", columns, rows, components, kind)
        target.use()
        self._context.viewport = 0, 0, columns, rows
        self._arrays[plane].render(self._context.TRIANGLES, vertices=3)
        part = 0, 0, columns, rows
        codes = target.read(viewport=part, components=components, alignment=1, dtype=kind)
        return np.frombuffer(codes, dtype).reshape(rows, columns, components)

    def _fill(self, name: str, values: Plane, kind: str) -> None:
        """Put (h, w, components) into the upper left corner of a texture that is large enough."""
        rows, columns, components = values.shape
        texture = self._texture(name, columns, rows, components, kind)
        texture.write(np.ascontiguousarray(values), viewport=(0, 0, columns, rows), alignment=1)

    def _texture(self, name: str, columns: int, rows: int, components: int, kind: str) -> moderngl.Texture:
        known = self._textures.get(name)
        size = (columns, rows) if known is None else (max(columns, known.width), max(rows, known.height))
        if known is not None and (known.size, known.components, known.dtype) == (size, components, kind):
            return known
        if known is not None:
            known.release()
        size = -(-size[0] // _GRID_PX) * _GRID_PX, -(-size[1] // _GRID_PX) * _GRID_PX
        made = self._context.texture(size, components, dtype=kind)
        made.filter = self._context.LINEAR, self._context.LINEAR
        made.repeat_x = made.repeat_y = False
        self._textures[name] = made
        return made

    def _target(self, name: str, columns: int, rows: int, components: int, kind: str) -> moderngl.Framebuffer:
        known = self._textures.get(name)
        texture = self._texture(name, columns, rows, components, kind)
        if texture is not known:
            old = self._targets.get(name)
            self._targets[name] = self._context.framebuffer([texture])
            self._targets[name].use()
            if old is not None:
                old.release()  # not while it is the one in use
        return self._targets[name]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import moderngl

        try:
            yield
        except moderngl.Error as error:
            raise EffectError(f"{self._who}: OpenGL: {' '.join(str(error).split())}") from error
        trouble = self._context.error
        if trouble != "GL_NO_ERROR":
            raise EffectError(f"{self._who}: OpenGL: {trouble} on {self.renderer}")

    def close(self) -> None:
        """Let the context go, and all that is in it."""
        self._textures.clear()
        self._targets.clear()
        self._context.release()


def _open(who: str, device: Device | None) -> moderngl.Context:
    """A context on the first device of a kind; on a GPU before the CPU where none is named."""
    try:
        import moderngl
    except ImportError as error:
        raise EffectError(f"{who}: moderngl is missing: pip install 'facefx[gl]'") from error
    software, reason = None, ""
    for index in range(_MOST_DEVICES):
        try:
            context = moderngl.create_context(
                standalone=True,
                backend="egl",
                require=_VERSION,
                libgl=_LIBRARY,
                libegl=_LIBRARY,
                device_index=index,
            )
        except Exception as error:  # noqa: BLE001 - glcontext raises nothing finer; told below
            # A device that cannot be opened hides none behind it.
            reason = reason or " ".join(str(error).split())
            continue
        found = _device(context)
        if found == (device or "gpu"):
            if software is not None:
                software.release()
            return context
        if found == "cpu" and device is None and software is None:
            software = context
        else:
            context.release()
    if software is not None:
        return software
    if device is not None and not reason.endswith("not loaded"):
        raise EffectError(f"{who}: device={device}: OpenGL has none on this machine; {_INSTALL} for cpu")
    raise EffectError(f"{who}: no OpenGL {_VERSION / 100:.1f} by way of EGL ({reason}): {_INSTALL}")


def _device(context: moderngl.Context) -> Device:
    return "cpu" if _SOFTWARE.search(context.info["GL_RENDERER"]) else "gpu"


def _program(context: moderngl.Context, source: str, who: str, name: str, plane: int) -> moderngl.Program:
    import moderngl

    head = f"#version {_VERSION} core\n#define PLANE {plane}\n{_resource('contract.glsl')}\n#line 1\n"
    try:
        return context.program(vertex_shader=_VERTICES, fragment_shader=head + source)
    except moderngl.Error as error:
        raise EffectError(f"{who}: {name} does not compile: {_complaint(str(error))}") from error


def _complaint(log: str) -> str:
    r"""The first thing that a compiler or linker complains about, with the shader's own line.

    >>> _complaint("GLSL Compiler failed\n\nfragment_shader\n===\n0:2(18): error: `foo' undeclared\n")
    "line 2: `foo' undeclared"
    >>> _complaint("GLSL Linker failed\n\nProgram\n===\nerror: unresolved reference to function `effect'")
    "unresolved reference to function `effect'"
    """
    found = _PLACES.search(log)
    if found:
        return f"line {found[1]}: {found[2].strip()}"
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("=")]
    return lines[-1].removeprefix("error:").strip() if lines else "no reason given"


def _set(program: moderngl.Program, name: str, value: Any) -> None:
    member = program.get(name, None)
    if member is not None:
        member.value = value
