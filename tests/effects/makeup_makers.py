"""Faces and pictures for the tests of make-up: a real mesh, put where a test wants it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from effect_makers import channels, within
from numpy.typing import NDArray

from facefx.effects.effect import Effect
from facefx.effects.library.blush import Blush
from facefx.effects.library.brows import Brows
from facefx.effects.library.contour import Contour
from facefx.effects.library.eyeliner import Eyeliner
from facefx.effects.library.eyeshadow import Eyeshadow
from facefx.effects.library.lipstick import Lipstick
from facefx.effects.masks import Mesh
from facefx.values import Face, FaceSource, Planes, StreamFormat

EFFECTS: dict[str, type[Effect]] = {
    "lipstick": Lipstick,
    "blush": Blush,
    "eyeshadow": Eyeshadow,
    "eyeliner": Eyeliner,
    "brows": Brows,
    "contour": Contour,
}
SMILING, CLOSED, OPEN_EYED = "portrait_1.jpg", "hopper_1.jpg", "astronaut_1.png"


def real_mesh(
    models: Path,
    centre: tuple[float, float],
    size: float,
    *,
    still: str = SMILING,
    yaw: float = 0.0,
    turned: float = 0.0,
) -> Face:
    """A person's mesh of that diameter. yaw: degrees that the head turns; turned: degrees clockwise."""
    with np.load(models / "golden" / "stills.npz") as kept:
        points = kept[f"{still}/mesh0"][0].astype(np.float64)
    picture = {SMILING: (820, 1024), CLOSED: (512, 600), OPEN_EYED: (512, 512)}[still]
    points = points * (*picture, picture[0])
    points -= points.mean(axis=0)
    cos, sin = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    points = points @ np.array(((cos, 0, -sin), (0, 1, 0), (sin, 0, cos)))
    cos, sin = math.cos(math.radians(turned)), math.sin(math.radians(turned))
    points = points @ np.array(((cos, sin, 0), (-sin, cos, 0), (0, 0, 1)))
    whole = as_face(points.astype(np.float32))
    scaled = points * (size / Mesh(whole).size)
    scaled[:, :2] += centre
    return as_face(scaled.astype(np.float32))


def as_face(points: NDArray[np.float32], track_id: int = 1) -> Face:
    """A face with these landmarks."""
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0).tolist(), points[:, :2].max(axis=0).tolist()
    return Face(0, track_id, (x0, y0, x1, y1), 0.9, FaceSource.DETECTED, points, "mediapipe-468")


def moved_by(someone: Face, x: float, y: float, track_id: int | None = None) -> Face:
    """The same face elsewhere."""
    assert someone.landmarks is not None
    points = someone.landmarks + np.array((x, y, 0), np.float32)
    return replace(as_face(points), track_id=track_id or someone.track_id)


def changes(before: Planes, done: Planes) -> list[NDArray[np.int64]]:
    """By how many codes each sample of Y, U and V changed."""
    pairs = zip(channels(before), channels(done), strict=True)
    return [new.astype(np.int64) - old for old, new in pairs]


def inside(format: StreamFormat, outline: NDArray[np.float32], grown_px: float = 0.0) -> NDArray[np.bool_]:
    """(h, w) luma pixels in an outline, grown or shrunk."""
    reach = math.ceil(abs(grown_px))
    # With what lies beyond the picture, from where an outline may grow into it.
    around = replace(format, width=format.width + 2 * reach, height=format.height + 2 * reach)
    mask = within(around, outline + np.float32(reach))
    if reach:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        change = cv2.dilate if grown_px > 0 else cv2.erode
        grown = change(mask.astype(np.uint8), disc)[reach:-reach, reach:-reach]
        return np.asarray(grown, np.bool_)
    return mask


def allowed(format: StreamFormat, mesh: Mesh, name: str) -> NDArray[np.bool_]:
    """(h, w) luma pixels that an effect may touch, said once more and in another way."""
    from facefx.effects.skin import skin_outline

    soft = 0.035 * mesh.size
    if name == "lipstick":
        return inside(format, mesh.outline("lips_outer"), 0.018 * mesh.size + 1)
    if name in ("blush", "contour"):
        features = [mesh.outline(f"{side}_{part}") for side in ("left", "right") for part in ("eye", "brow")]
        barred = [within(format, outline) for outline in (*features, mesh.outline("lips_outer"))]
        return np.asarray(within(format, skin_outline(mesh)) & ~np.any(barred, axis=0), np.bool_)
    touched: NDArray[np.bool_] = np.zeros((format.height, format.width), bool)
    for side in ("left", "right"):
        eye, brow = mesh.outline(f"{side}_eye"), mesh.outline(f"{side}_brow")
        if name == "brows":
            touched |= inside(format, brow, soft)
            continue
        around = cv2.convexHull(np.concatenate((eye, brow))).reshape(-1, 2)
        touched |= inside(format, around, 0.05 * mesh.size) & ~inside(format, eye, -0.45 * soft)
    return touched


def picture_of(
    format: StreamFormat, codes: tuple[float, float, float], texture: float = 0.0, seed: int = 0
) -> Planes:
    """One colour everywhere, in codes of 8 bits, with luma texture of that deviation."""
    unit = 1 << (format.pixels.depth - 8)
    generator = np.random.default_rng(seed)
    planes: list[NDArray[Any]] = []
    shapes = format.pixels.plane_shapes(format.width, format.height)
    for i, shape in enumerate(shapes):
        base: Any = codes[0] if i == 0 else codes[1:] if len(shape) == 3 else codes[i]
        values = np.zeros(shape) + np.multiply(base, unit)
        if i == 0 and texture:
            values += generator.normal(0, texture * unit, shape)
        planes.append(np.rint(values).astype(format.pixels.dtype))
    return tuple(planes)
