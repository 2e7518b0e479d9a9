"""A painted face with all that retouching is about: eyes, teeth, gums, dark circles, spots and a mole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from effect_makers import mesh_face
from numpy.typing import NDArray

from facefx.effects.colour import image_codes
from facefx.effects.effect import Effect
from facefx.effects.library.blemish import Blemish
from facefx.effects.library.circles import Circles
from facefx.effects.library.eyes import Eyes
from facefx.effects.library.lut import Lut
from facefx.effects.library.ruddy import Ruddy
from facefx.effects.library.sharpen import Sharpen
from facefx.effects.library.teeth import Teeth
from facefx.effects.library.whiten import Whiten
from facefx.effects.masks import Mesh
from facefx.faces.topology import topology
from facefx.values import Face, Planes, StreamFormat

Rgb = tuple[int, int, int]

WALL, SKIN, SPOT, MOLE = (60, 90, 70), (200, 152, 130), (182, 118, 104), (70, 48, 42)
LIPS, TEETH, GUMS, HOLLOW = (170, 84, 84), (205, 192, 150), (165, 82, 80), (32, 16, 16)
WHITE, IRIS, PUPIL, CIRCLE = (196, 186, 180), (96, 74, 52), (16, 14, 14), (164, 122, 112)

# In face diameters from the middle of the face: middles, and half axes.
SPOTS = ((0.2, 0.12), (-0.22, 0.16), (0.02, -0.38))
MOLE_AT = (-0.18, 0.06)
SPOT_RADIUS = 0.012
_MOUTH = (0.0, 0.28, 0.11, 0.03)

EFFECTS: dict[str, tuple[type[Effect], dict[str, Any]]] = {
    "whiten": (Whiten, {}),
    "ruddy": (Ruddy, {}),
    "sharpen": (Sharpen, {}),
    "sharpen the face": (Sharpen, {"on": "face"}),
    "eyes": (Eyes, {}),
    "teeth": (Teeth, {}),
    "circles": (Circles, {}),
    "blemish": (Blemish, {}),
    "lut": (Lut, {}),
    "lut on the face": (Lut, {"on": "face"}),
}


def beauty(name: str, strength: float, folder: Path) -> Effect:
    """One of EFFECTS. folder: where the colour table lies, written by the first to need it."""
    kind, params = EFFECTS[name]
    more = {"path": warm_cube(folder)} if kind is Lut else {}
    return kind.of(strength=strength, **params, **more)


def warm_cube(folder: Path) -> str:
    """The path of a 3D table of 9 that makes colours warmer and contrasts softer."""
    path = folder / "warm.cube"
    if not path.exists():
        write_cube(path, lambda rgb: rgb * (0.9, 0.84, 0.72) + (0.08, 0.07, 0.06))
    return str(path)


def write_cube(path: Path, curve: Any, side: int = 9, head: str = "") -> str:
    """Write a 3D table of what a function makes of (n, 3) colours."""
    blue, green, red = np.meshgrid(*[np.linspace(0, 1, side)] * 3, indexing="ij")
    rgb = curve(np.stack([red, green, blue], -1).reshape(-1, 3))
    rows = [" ".join(f"{part:.6f}" for part in colour) for colour in rgb.tolist()]
    path.write_text(f"{head}LUT_3D_SIZE {side}\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def smiling(centre: tuple[float, float], size: float, turned: float = 0.0, track_id: int = 1) -> Face:
    """mesh_face with an open mouth."""
    face = mesh_face(centre, size, turned, track_id)
    assert face.landmarks is not None
    points = face.landmarks.copy()
    loop = list(topology("mediapipe-468").regions["lips_inner"])
    # The table begins at a corner and goes round below, as the outer lips do.
    angles = np.arange(len(loop)) * (2 * np.pi / len(loop)) + np.pi
    ellipse = np.stack([np.cos(angles) * _MOUTH[2], -np.sin(angles) * _MOUTH[3] + _MOUTH[1]], 1)
    points[loop, :2] = Pose(centre, size, turned).place(ellipse)
    return replace(face, landmarks=points)


@dataclass(frozen=True)
class Pose:
    """Where a face is: its middle and diameter in pixels, and how many degrees it is turned clockwise."""

    centre: tuple[float, float]
    size: float
    turned: float = 0.0

    def place(self, places: Any) -> NDArray[np.float32]:
        """Bring (n, 2) places in face diameters from the middle to the picture."""
        cos, sin = np.cos(np.radians(self.turned)), np.sin(np.radians(self.turned))
        turn = np.array(((cos, sin), (-sin, cos)))
        return np.asarray(np.asarray(places, np.float64) @ turn * self.size + self.centre, np.float32)

    def disc(self, place: tuple[float, float], radius: float) -> NDArray[np.float32]:
        """(24, 2) corners of a disc."""
        angles = np.arange(24) * (np.pi / 12)
        return self.place(np.array(place) + radius * np.stack([np.cos(angles), np.sin(angles)], 1))


def portrait(
    format: StreamFormat, centre: tuple[float, float], size: float, turned: float = 0.0, grain: float = 2.0
) -> tuple[Planes, Face]:
    """A painted face in a stream's codes, and where it is. grain: codes of 8 bits."""
    face = smiling(centre, size, turned)
    return in_codes(format, paint(format, face, Pose(centre, size, turned), grain)), face


def paint(format: StreamFormat, face: Face, pose: Pose, grain: float) -> NDArray[np.float32]:
    """(h, w, 3) sRGB parts of a painted face."""
    fine = 4  # samples a pixel, each way
    picture = np.empty((format.height * fine, format.width * fine, 3), np.uint8)
    picture[...] = WALL
    for outline, colour in outlines(face, pose):
        cv2.fillPoly(picture, [np.rint(outline * fine * 16).astype(np.int32)], colour, shift=4)
    small = cv2.resize(picture, (format.width, format.height), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(3).normal(0, grain, small.shape[:2])[..., None]
    return np.asarray(np.clip((small + noise) / 255, 0, 1), np.float32)


def outlines(face: Face, pose: Pose) -> Iterator[tuple[NDArray[np.float32], Rgb]]:
    """All that is painted, from below to above."""
    mesh = Mesh(face)
    oval = mesh.outline("face_oval")
    yield oval.mean(axis=0) + 1.3 * (oval - oval.mean(axis=0)), SKIN
    for x in (*np.linspace(-0.24, -0.12, 7).tolist(), *np.linspace(0.12, 0.24, 7).tolist()):
        yield pose.disc((x, -0.065), 0.022), CIRCLE
    for spot in SPOTS:
        yield pose.disc(spot, SPOT_RADIUS), SPOT
    yield pose.disc(MOLE_AT, SPOT_RADIUS), MOLE
    for side, x in (("left", 0.18), ("right", -0.18)):
        yield mesh.outline(f"{side}_brow"), HOLLOW
        yield mesh.outline(f"{side}_eye"), WHITE
        yield pose.disc((x, -0.12), 0.022), IRIS
        yield pose.disc((x, -0.12), 0.009), PUPIL
    yield mesh.outline("lips_outer"), LIPS
    yield mesh.outline("lips_inner"), HOLLOW
    for x in (-0.05, -0.025, 0.0, 0.025, 0.05):
        yield pose.place(tooth(x)), TEETH
    for x in (-0.05, 0.0, 0.05):
        yield pose.disc((x, 0.302), 0.005), GUMS


def tooth(x: float) -> NDArray[np.float64]:
    """(4, 2) corners of a tooth, in face diameters from the middle of the face."""
    return np.array([(x - 0.0125, 0.266), (x + 0.0125, 0.266), (x + 0.0125, 0.292), (x - 0.0125, 0.292)])


def in_codes(format: StreamFormat, rgb: NDArray[np.float32]) -> Planes:
    """A picture in a stream's planes; chroma is the mean of the pixels that share it."""
    pixels, dtype = format.pixels, format.pixels.dtype
    planes = [image_codes(rgb, format.color)[..., i] for i in range(3)]
    luma = np.rint(planes[0]).astype(dtype)
    if pixels.layout == "gray":
        return (luma,)
    wide, high = 1 << pixels.shift_x, 1 << pixels.shift_y
    chroma = []
    for plane in planes[1:]:
        plane = np.pad(plane, ((0, -plane.shape[0] % high), (0, -plane.shape[1] % wide)), mode="edge")
        means = plane.reshape(plane.shape[0] // high, high, plane.shape[1] // wide, wide).mean(axis=(1, 3))
        chroma.append(np.rint(means).astype(dtype))
    return (luma, np.stack(chroma, -1)) if pixels.layout == "semiplanar" else (luma, *chroma)


def differences(before: Planes, done: Planes) -> list[NDArray[np.int64]]:
    """Codes that each of Y, U, V gained."""
    gained: list[NDArray[np.int64]] = []
    for old, new in zip(before, done, strict=True):
        change = new.astype(np.int64) - old
        gained += [change] if change.ndim == 2 else [change[..., 0], change[..., 1]]
    return gained
