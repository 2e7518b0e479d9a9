"""Colours that a user names, in the codes of a stream: converted once, when an effect is prepared."""

from __future__ import annotations

import re
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, WithJsonSchema

from facefx.values import Color

__all__ = ["NAMES", "Colour", "codes", "image_codes", "parse_colour", "rgb_matrix"]

NAMES = {
    "black": "#000000",
    "white": "#ffffff",
    "grey": "#808080",
    "gray": "#808080",
    "red": "#ff0000",
    "green": "#008000",
    "blue": "#0000ff",
    "yellow": "#ffff00",
    "orange": "#ffa500",
    "magenta": "#ff00ff",
    "cyan": "#00ffff",
}

# H.273 numbers of what is not like BT.709 to the eye.
_PRIMARIES_2020, _TRANSFER_PQ, _TRANSFER_HLG = 9, 16, 18
# Source: ITU-R BT.2087-0 §3, linear BT.709 → BT.2020.
_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
_SDR_WHITE_NITS = 203.0  # ITU-R BT.2408-7 §2.1: where SDR white lies in an HDR picture


def parse_colour(text: str) -> str:
    """Return a colour as #rrggbb from a name, #rgb or #rrggbb.

    Raises ValueError.

    >>> parse_colour("black"), parse_colour("0F8")
    ('#000000', '#00ff88')
    """
    known = NAMES.get(text.strip().lower())
    if known:
        return known
    digits = text.strip().lower().removeprefix("#")
    if not re.fullmatch(r"[0-9a-f]{3}|[0-9a-f]{6}", digits):
        raise ValueError(f"expected #rrggbb or one of {', '.join(NAMES)}")
    return "#" + (digits if len(digits) == 6 else "".join(part * 2 for part in digits))


Colour = Annotated[str, AfterValidator(parse_colour), WithJsonSchema({"type": "string", "format": "colour"})]
"""A parameter that is a colour, sRGB; kept as #rrggbb."""


def codes(colour: str, color: Color) -> tuple[int, int, int]:
    """Return the (Y, U, V) codes of an sRGB colour in a stream.

    >>> codes("#000000", Color("bt709")), codes("white", Color("bt601", full_range=True))
    ((16, 128, 128), (255, 128, 128))
    """
    digits = parse_colour(colour)[1:]
    rgb = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    red, green, blue = _encoded(rgb, color).tolist()
    return color.from_rgb(red, green, blue)


def image_codes(rgb: NDArray[Any], color: Color) -> NDArray[np.float32]:
    """Return (h, w, 3) Y, U, V codes, not rounded, of (h, w, 3) sRGB parts 0..1.

    Source: ITU-T H.273 §8.3, the same equations as Color.from_rgb.
    """
    k_red, k_blue = color.luma_weights
    parts = _encoded(np.asarray(rgb, np.float32), color)
    luma = parts @ np.array([k_red, 1 - k_red - k_blue, k_blue], np.float32)
    black, white = color.luma_range
    low, high = color.chroma_range
    span = color.peak if color.full_range else high - low
    u = color.neutral + (parts[..., 2] - luma) * (span / (2 * (1 - k_blue)))
    v = color.neutral + (parts[..., 0] - luma) * (span / (2 * (1 - k_red)))
    planes = [black + luma * (white - black), np.clip(u, low, high), np.clip(v, low, high)]
    return np.stack(planes, axis=-1).astype(np.float32)


def rgb_matrix(color: Color) -> NDArray[np.float64]:
    """(3, 4) from (Y, U, V, 1) codes to red, green, blue parts 0..1 of the stream's own non-linear RGB.

    Source: ITU-T H.273 §8.3, inverted.
    """
    black, white = color.luma_range
    low, high = color.chroma_range
    swing = 2 / (color.peak if color.full_range else high - low)
    red, blue = color.luma_weights
    green = 1 - red - blue
    luma = 1 / (white - black)
    u, v = swing * (1 - blue), swing * (1 - red)
    parts = np.array([[luma, 0, v], [luma, -u * blue / green, -v * red / green], [luma, u, 0]])
    zero = parts @ np.array([black, color.neutral, color.neutral])
    return np.column_stack([parts, -zero])


def _encoded(rgb: NDArray[Any], color: Color) -> NDArray[Any]:
    """Give sRGB parts as the stream's own non-linear RGB.

    In an SDR stream of BT.709 or BT.601 primaries they are the same. In HDR, white would blind:
    it is put at the level where a broadcaster puts SDR white.
    """
    wide, hdr = color.primaries == _PRIMARIES_2020, color.transfer in (_TRANSFER_PQ, _TRANSFER_HLG)
    if not wide and not hdr:
        return rgb
    linear = np.clip(rgb, 0, 1) ** 2.4
    if wide:
        linear = linear @ _TO_2020.T
    if color.transfer == _TRANSFER_PQ:
        encoded = _pq(linear * (_SDR_WHITE_NITS / 10000))
    elif color.transfer == _TRANSFER_HLG:
        encoded = _hlg((linear * (_SDR_WHITE_NITS / 1000)) ** (1 / 1.2))
    else:
        encoded = linear ** (1 / 2.4)
    return np.asarray(np.clip(encoded, 0, 1), rgb.dtype)


def _pq(light: NDArray[Any]) -> NDArray[Any]:
    """Light, 1 = 10,000 nits, to PQ. Source: ITU-R BT.2100-2 table 4."""
    power = light**0.1593017578125
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def _hlg(scene: NDArray[Any]) -> NDArray[Any]:
    """Scene light, 1 = peak, to HLG. Source: ITU-R BT.2100-2 table 5."""
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper))
