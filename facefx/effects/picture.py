"""Pictures that a user hands in: read, checked, turned as the stream is, in the stream's own codes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects import emoji
from facefx.effects.colour import image_codes
from facefx.effects.files import BUILTIN, check_pinned, read_file
from facefx.errors import EffectError
from facefx.values import StreamFormat

__all__ = [
    "Sticker",
    "decode_still",
    "is_built_in",
    "make_sticker",
    "picture_bytes",
    "place",
    "place_alpha",
    "read_picture",
    "sha256_of",
    "to_stored",
]

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_MAX_BYTES = 32 << 20
_MAX_SIDE_PX = 16384
_KEPT_SIDE_PX = 2048

Plane = NDArray[Any]


def is_built_in(path: str) -> bool:
    """True for builtin:NAME, a picture that needs no file."""
    return path.startswith(BUILTIN)


def _built_in(path: str, effect: str) -> str:
    name = path.removeprefix(BUILTIN)
    if name not in emoji.PICTURES:
        known = ", ".join(BUILTIN + known for known in emoji.PICTURES)
        raise EffectError(f"effect {effect}: {path} is unknown: expected one of {known}")
    return name


def sha256_of(path: str, effect: str) -> str:
    """Return the sha256 of a picture's file, in hex; of a built-in picture, that of what it is drawn from.

    Raises EffectError.
    """
    if is_built_in(path):
        return emoji.digest(_built_in(path, effect))
    return hashlib.sha256(_bytes(path, effect)).hexdigest()


def read_picture(path: str, effect: str, sha256: str | None = None) -> NDArray[np.float32]:
    """Return (h, w, 4) red, green, blue, alpha in 0..1, as a viewer shows it (EXIF applied).

    Empty borders are cut off; a picture larger than 2048 px is shrunk.

    Raises EffectError where the file is missing, broken, empty, or not the one that was pinned.
    """
    data = b"" if is_built_in(path) else _bytes(path, effect)
    check_pinned(path, effect, sha256, hashlib.sha256(data).hexdigest() if data else sha256_of(path, effect))
    rgba = _decoded(data, path, effect) if data else emoji.draw(_built_in(path, effect))
    rows, columns = np.flatnonzero(rgba[..., 3].any(1)), np.flatnonzero(rgba[..., 3].any(0))
    if not len(rows):
        raise EffectError(f"effect {effect}: {path} shows nothing: every pixel is transparent")
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ratio = _KEPT_SIDE_PX / max(rgba.shape[:2])
    if ratio < 1:
        size = (max(1, round(rgba.shape[1] * ratio)), max(1, round(rgba.shape[0] * ratio)))
        # Weighted by alpha, so that what lies under transparent pixels does not show at edges.
        rgba[..., :3] *= rgba[..., 3:]
        rgba = cv2.resize(rgba, size, interpolation=cv2.INTER_AREA)
        rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
    return np.clip(rgba, 0, 1)


def picture_bytes(path: str | Path, effect: str) -> bytes:
    """Return what a picture's file holds.

    Raises EffectError.
    """
    too_large = f"larger than {_MAX_BYTES >> 20} MB: use a smaller picture"
    return read_file(path, effect, _MAX_BYTES, too_large, "picture")


def _bytes(path: str, effect: str) -> bytes:
    data = picture_bytes(path, effect)
    if not data.startswith((_PNG, _JPEG)):
        raise EffectError(f"effect {effect}: {path} is not a picture: expected a PNG or JPEG file")
    return data


def _decoded(data: bytes, path: str, effect: str) -> NDArray[np.float32]:
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        if max(width, height) > _MAX_SIDE_PX:
            raise EffectError(
                f"effect {effect}: {path} is {width} × {height} px: expected at most {_MAX_SIDE_PX} a side"
            )
    pixels = decode_still(data, path, effect)
    parts = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    if parts.ndim == 2:
        parts = np.repeat(parts[..., None], 3, axis=2)
    alpha = parts[..., 3:4] if parts.shape[2] == 4 else np.ones_like(parts[..., :1])
    return np.concatenate([parts[..., 2::-1], alpha], axis=2)


def decode_still(data: bytes, path: str, effect: str) -> NDArray[Any]:
    """Decode a PNG or JPEG: OpenCV's grey, BGR or BGRA of 8 or 16 bits, as a viewer shows it.

    Raises EffectError.
    """
    # A JPEG is turned by its EXIF tag only when it is asked for in colour.
    flag = cv2.IMREAD_COLOR if data.startswith(_JPEG) else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise EffectError(f"effect {effect}: {path} cannot be decoded: {error.err}") from error
    if pixels is None:
        raise EffectError(f"effect {effect}: {path} cannot be decoded: the picture is damaged")
    return np.asarray(pixels)


def to_stored(picture: NDArray[Any], format: StreamFormat) -> NDArray[Any]:
    """Turn a picture so that a player, which turns the stored frame, shows it upright.

    A player flips the stored picture top to bottom where `mirrored`, then turns it by `rotation`.
    """
    turned = np.rot90(picture, -round(format.rotation / 90) % 4)
    return np.ascontiguousarray(turned[::-1] if format.mirrored else turned)


@dataclass(frozen=True, slots=True)
class Sticker:
    """A picture in stream codes at several sizes, each half the one before, largest first.

    levels: (planes, alpha) with planes (Y, U, V), all (h, w) in the stream's type, alpha 0..255.
    aspect: width by height in stored pixels. mean: (Y, U, V) of what is opaque.
    """

    levels: tuple[tuple[tuple[Plane, Plane, Plane], Plane], ...]
    aspect: float
    mean: tuple[int, int, int]

    def level(self, width: float) -> tuple[tuple[Plane, Plane, Plane], Plane]:
        """The smallest size that is still as wide as wanted; the largest if none is."""
        fitting = [level for level in self.levels if level[1].shape[1] >= width]
        return fitting[-1] if fitting else self.levels[0]


def make_sticker(rgba: NDArray[np.float32], format: StreamFormat) -> Sticker:
    """Convert a picture for one stream: once."""
    rgba = to_stored(rgba, format)
    alpha = rgba[..., 3:]
    yuv = image_codes(rgba[..., :3], format.color)
    weighted = np.concatenate([yuv * alpha, alpha], axis=2)
    pyramid = [weighted]
    while min(pyramid[-1].shape[:2]) >= 2:
        pyramid.append(cv2.resize(pyramid[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    total = weighted.sum(axis=(0, 1))
    y, u, v = (round(float(part / total[3])) for part in total[:3])
    aspect = rgba.shape[1] / rgba.shape[0] / (float(format.sample_aspect) or 1.0)
    return Sticker(_levels(pyramid, format), aspect, (y, u, v))


def _levels(
    pyramid: list[NDArray[np.float32]], format: StreamFormat
) -> tuple[tuple[tuple[Plane, Plane, Plane], Plane], ...]:
    """Undo the weights; where nothing is opaque take the next size's colour, so that edges have no rim."""
    dtype = format.pixels.dtype
    below = pyramid[-1].sum(axis=(0, 1), keepdims=True)
    below = below[..., :3] / np.maximum(below[..., 3:], 1e-6)
    done = []
    for weighted in reversed(pyramid):
        height, width = weighted.shape[:2]
        alpha = weighted[..., 3]
        spread = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
        own = weighted[..., :3] / np.maximum(alpha, 1e-6)[..., None]
        below = np.where((alpha > 1 / 512)[..., None], own, spread).astype(np.float32)
        y, u, v = (np.ascontiguousarray(np.rint(below[..., i]).astype(dtype)) for i in range(3))
        done.append(((y, u, v), np.rint(alpha * 255).astype(np.uint8)))
    return tuple(reversed(done))


def place(source: Plane, rectangle: tuple[float, float, float, float], shape: tuple[int, int]) -> Plane:
    """Return (h, w) with the source resized into a rectangle of it, whole pixels.

    rectangle: x0, y0, x1, y1, may reach beyond the result. What lies outside it means nothing.
    """
    return _placed(source, rectangle, shape, cv2.BORDER_REPLICATE)


def place_alpha(source: Plane, rectangle: tuple[float, float, float, float], shape: tuple[int, int]) -> Plane:
    """Do the same with an alpha: 0 outside the rectangle."""
    return _placed(source, rectangle, shape, cv2.BORDER_CONSTANT)


def _placed(
    source: Plane, rectangle: tuple[float, float, float, float], shape: tuple[int, int], border: int
) -> Plane:
    height, width = shape
    left, top = round(rectangle[0]), round(rectangle[1])
    right, bottom = max(round(rectangle[2]), left + 1), max(round(rectangle[3]), top + 1)
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        target = np.zeros(shape, source.dtype)
        size = (right - left, bottom - top)
        target[top:bottom, left:right] = cv2.resize(source, size, interpolation=cv2.INTER_LINEAR)
        return target
    # Cut by the picture's edge: only the part that shows is made, however large the whole would be.
    scale_x, scale_y = (right - left) / source.shape[1], (bottom - top) / source.shape[0]
    matrix = np.array(
        [[scale_x, 0, left + scale_x / 2 - 0.5], [0, scale_y, top + scale_y / 2 - 0.5]], np.float64
    )
    # A colour at the rim is mixed with itself, never with the 0 beyond: that would be a dark line.
    return np.asarray(
        cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    )
