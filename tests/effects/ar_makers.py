"""Heads whose pose is known, and assets whose pixels are, for the tests of stickers, textures and models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from effect_makers import flat, painted
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.effect import Effect
from facefx.effects.pose import View
from facefx.effects.registry import make_effect, make_spec
from facefx.effects.uv import layout
from facefx.values import Face, FaceSource, Planes, StreamFormat

Points = NDArray[np.float64]


def turn(pitch: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> Points:
    """(3, 3): chin up, to the subject's left, clockwise as shown; in degrees."""
    (p_cos, p_sin), (y_cos, y_sin), (r_cos, r_sin) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in (pitch, yaw, roll)
    )
    nod = np.array(((1, 0, 0), (0, p_cos, p_sin), (0, -p_sin, p_cos)))
    shake = np.array(((y_cos, 0, -y_sin), (0, 1, 0), (y_sin, 0, y_cos)))
    tilt = np.array(((r_cos, -r_sin, 0), (r_sin, r_cos, 0), (0, 0, 1)))
    return np.asarray(tilt @ nod @ shake)


def head(
    format: StreamFormat,
    centre: tuple[float, float],
    size: float,
    *,
    pts: int = 0,
    track_id: int = 1,
    **angles: float,
) -> Face:
    """The mean face as a player shows it, stored as the stream is. centre: in the stored picture."""
    view = View.of(format)
    shown = layout().shape @ turn(**angles).T * size
    points = np.empty_like(shown)
    points[:, :2] = view.to_stored(shown[:, :2]) + centre
    points[:, 2] = shown[:, 2] / view.depth
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0).tolist(), points[:, :2].max(axis=0).tolist()
    return Face(
        pts, track_id, (x0, y0, x1, y1), 0.9, FaceSource.DETECTED, points.astype(np.float32), "mediapipe-468"
    )


def asset(path: Path, rgba: NDArray[np.uint8]) -> str:
    """Write (h, w, 4) red, green, blue, alpha as a PNG."""
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgba[..., [2, 1, 0, 3]]))
    return str(path)


def disc(side: int = 200, rgb: tuple[int, int, int] = (255, 255, 255)) -> NDArray[np.uint8]:
    """A disc that fills a square picture, with smooth edges; what is transparent is black."""
    large = np.zeros((side * 4, side * 4), np.uint8)
    cv2.circle(large, (side * 2, side * 2), side * 2 - 4, 255, -1)
    alpha = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[alpha > 0, :3] = rgb
    rgba[..., 3] = alpha
    return rgba


def made(name: str, **params: Any) -> Effect:
    """An effect as a plan makes it: checked and pinned."""
    return make_effect(make_spec(name, params))


def shown(
    effect: Effect | Sequence[Effect], format: StreamFormat, planes: Planes | None, *faces: Face
) -> Planes:
    """One frame; on black where no planes are given."""
    effects = [effect] if isinstance(effect, Effect) else list(effect)
    neutral = format.color.neutral
    before = planes or flat(format, (format.color.luma_range[0], neutral, neutral))
    chain = EffectChain(effects, format, b"")
    done, _ = painted(chain, before, faces)
    assert not chain.stats.skipped, chain.stats.first
    return done


def weight(luma: NDArray[Any], black: int) -> Points:
    """How bright each pixel is above black."""
    return np.asarray(luma.astype(np.float64) - black)


def centroid(bright: Points) -> tuple[float, float]:
    """(x, y) of the middle of what is bright, pixel i reaching from i to i + 1."""
    total = bright.sum()
    rows, columns = np.mgrid[: bright.shape[0], : bright.shape[1]] + 0.5
    return float((bright * columns).sum() / total), float((bright * rows).sum() / total)
