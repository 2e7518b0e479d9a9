"""Assets that facefx draws itself, so that there is something to try without a file: `builtin:NAME`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.files import BUILTIN
from facefx.errors import EffectError

__all__ = ["builtin_names", "draw_builtin"]


Rgba = NDArray[np.uint8]
Points = NDArray[np.float64]
Rgb = tuple[int, int, int]
Drawn = tuple[tuple[Rgba, ...], tuple[int, ...]]

# Drawn so many times as large, then averaged down.
_FINE = 2
_SHIFT = 4


class _Canvas:
    """A transparent picture of a size in pixels on which shapes are laid over each other."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self._rgba = np.zeros((height * _FINE, width * _FINE, 4), np.float32)

    def fill(self, corners: Points, rgb: Rgb, opacity: float = 1.0, light: float = 0.0) -> None:
        """Fill a (n, 2) outline. light: how much brighter it is in the canvas's middle than at its sides."""
        rows, columns, mask = self._drawn(corners)
        across = np.linspace(-1, 1, self._rgba.shape[1], dtype=np.float32)[columns]
        bright = 1 + light * (0.5 - across**2)
        colour = np.clip(np.array(rgb, np.float32)[None] / 255 * bright[:, None], 0, 1)
        alpha = mask * np.float32(opacity)
        over = np.concatenate((np.broadcast_to(colour, (*mask.shape[:2], 3)) * alpha, alpha), axis=2)
        self._rgba[rows, columns] = over + self._rgba[rows, columns] * (1 - alpha)

    def erase(self, corners: Points) -> None:
        """Make an outline transparent again."""
        rows, columns, mask = self._drawn(corners)
        self._rgba[rows, columns] *= 1 - mask

    def _drawn(self, corners: Points) -> tuple[slice, slice, NDArray[np.float32]]:
        """The rows and columns that an outline touches, and how much of each sample it covers, (h, w, 1)."""
        corners = corners * _FINE
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, self._rgba.shape[1::-1])
        mask = np.zeros((high - low)[::-1], np.uint8)
        places = np.rint((corners - low - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [places], 255, cv2.LINE_AA, _SHIFT)
        rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
        return rows, columns, mask[..., None].astype(np.float32) / np.float32(255)

    def done(self) -> Rgba:
        """The picture, (h, w, 4), not premultiplied."""
        small = cv2.resize(self._rgba, self.size, interpolation=cv2.INTER_AREA)
        small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
        return np.asarray(np.rint(np.clip(small, 0, 1) * 255), np.uint8)


def builtin_names() -> tuple[str, ...]:
    """What `builtin:NAME` may name."""
    return tuple(_DRAWN)


def draw_builtin(path: str, effect: str) -> Drawn:
    """Draw an asset by its path: frames, and how long each is shown in ms. The same pixels each time.

    Raises EffectError for a name that is unknown.
    """
    name = path.removeprefix(BUILTIN)
    if name not in _DRAWN:
        close = difflib.get_close_matches(name, _DRAWN, n=1)
        meant = f", did you mean {BUILTIN}{close[0]}?" if close else ""
        raise EffectError(
            f"effect {effect}: {path} is unknown{meant}: expected {BUILTIN} and one of {', '.join(_DRAWN)}"
        )
    return _kept(name)


@cache
def _kept(name: str) -> Drawn:
    drawn = _DRAWN[name]()
    frames = drawn if isinstance(drawn, tuple) else (drawn,)
    for frame in frames:
        frame.flags.writeable = False
    return frames, (80,) * len(frames)


def _around(x: float, y: float, half_x: float, half_y: float, power: float = 2.0) -> Points:
    """A circle's or, with more power, a rounded rectangle's outline."""
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    cos, sin = np.cos(angles), np.sin(angles)
    round_x = np.sign(cos) * np.abs(cos) ** (2 / power)
    round_y = np.sign(sin) * np.abs(sin) ** (2 / power)
    return np.stack((x + half_x * round_x, y + half_y * round_y), axis=1)


def _smooth(corners: list[tuple[float, float]]) -> Points:
    """An outline through rounded corners: each is cut off, four times (Chaikin 1974)."""
    points = np.array(corners)
    for _ in range(4):
        following = np.roll(points, -1, axis=0)
        points = np.stack((0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following), axis=1)
        points = points.reshape(-1, 2)
    return points


def _both_sides(half: list[tuple[float, float]], middle: float) -> list[tuple[float, float]]:
    """A right half and its mirror image, as one outline."""
    return half + [(2 * middle - x, y) for x, y in reversed(half)]


def _heart(x: float, y: float, half: float) -> Points:
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    across = 16 * np.sin(t) ** 3
    down = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack((x + across * half / 16, y + (down + 2) * half / 16), axis=1)


def _hearts() -> Rgba:
    """Two hearts, one for each eye."""
    canvas = _Canvas(640, 300)
    for x in (160, 480):
        canvas.fill(_heart(x, 150, 128), (150, 8, 34))
        canvas.fill(_heart(x, 148, 118), (228, 26, 58))
        canvas.fill(_around(x - 58, 88, 26, 16), (255, 170, 182), 0.75)
    return canvas.done()


def _moustache() -> Rgba:
    """A moustache with its ends turned up."""
    canvas = _Canvas(640, 240)
    half: list[tuple[float, float]] = [
        (320, 60), (362, 34), (430, 52), (500, 112), (560, 122), (592, 84), (584, 44), (622, 66), (626, 128),
        (580, 184), (490, 196), (400, 170), (342, 128), (320, 104),
    ]  # fmt: skip
    canvas.fill(_smooth(_both_sides(half, 320)), (34, 22, 16), light=0.5)
    for side in (-1, 1):
        for i in range(5):
            strand = [(350 + 26 * i, 70 + 9 * i), (440 + 16 * i, 112 + 9 * i), (520 + 8 * i, 148 + 3 * i)]
            edge = strand + [(x - 3, y + 6) for x, y in reversed(strand)]
            canvas.fill(_smooth([(320 + side * (x - 320), y) for x, y in edge]), (92, 62, 44), 0.5)
    return canvas.done()


def _spectacles(frame: Rgb, lens: Rgb, opacity: float) -> Rgba:
    """The front of a pair of glasses, its hinges at the sides, its bridge in the middle."""
    canvas = _Canvas(960, 330)
    bridge: list[tuple[float, float]] = [(480, 96), (540, 92), (556, 128), (520, 122), (480, 118)]
    canvas.fill(_smooth(_both_sides(bridge, 480)), frame)
    for side in (-1, 1):
        x = 480 + side * 240
        hinge = [(x + side * 190, 62), (x + side * 240, 66), (x + side * 240, 112), (x + side * 190, 132)]
        canvas.fill(np.array(hinge), frame)
        canvas.fill(_around(x, 168, 214, 148, 3.2), frame, light=0.15)
        inner = _around(x, 170, 186, 121, 3.0)
        canvas.erase(inner)
        canvas.fill(inner, lens, opacity)
        gleam = [(x - 110, 92), (x - 60, 84), (x - 110, 236), (x - 140, 210)]
        canvas.fill(_smooth([(px, py) for px, py in gleam]), (255, 255, 255), 0.22)
    return canvas.done()


def _hat() -> Rgba:
    """A top hat; its brim's front edge is where it sits."""
    canvas = _Canvas(1000, 720)
    felt: Rgb = (30, 30, 36)
    canvas.fill(_around(500, 610, 480, 92), felt, light=0.5)
    # Both edges of the band are seen from a little above, as the brim is.
    low, high = (np.array([(500 + half * x, y + 44 * (1 - x * x) ** 0.5) for x in np.linspace(-1, 1, 41)])
                 for half, y in ((244, 604), (249, 500)))  # fmt: skip
    canvas.fill(np.concatenate((low, [(772, 90), (228, 90)])), felt, light=0.9)
    canvas.fill(np.concatenate((low, high[::-1])), (168, 24, 36), light=0.7)
    canvas.fill(_around(500, 90, 272, 46), (48, 48, 56), light=0.4)
    return canvas.done()


def _sparkle() -> tuple[Rgba, ...]:
    """Four stars that twinkle one after the other, in twelve frames."""
    places = ((78, 84, 60), (182, 60, 42), (196, 178, 64), (70, 196, 40))
    frames = []
    for i in range(12):
        canvas = _Canvas(256, 256)
        for k, (x, y, half) in enumerate(places):
            bright = 0.5 - 0.5 * np.cos(2 * np.pi * (i / 12 - k / 4))
            canvas.fill(
                _around(x, y, half * (0.3 + 0.7 * bright), half * (0.3 + 0.7 * bright), 0.55), (255, 214, 70)
            )
            canvas.fill(_around(x, y, half * 0.5 * bright + 1, half * 0.5 * bright + 1, 0.6), (255, 250, 220))
        frames.append(canvas.done())
    return tuple(frames)


def _mask() -> Rgba:
    """A masquerade mask around the eyes, in the layout of textures."""
    canvas = _Canvas(1024, 1024)
    half: list[tuple[float, float]] = [
        (512, 318), (560, 296), (640, 250), (760, 232), (870, 236), (972, 190), (950, 290), (904, 380),
        (830, 450), (720, 474), (630, 452), (566, 404), (512, 396),
    ]  # fmt: skip
    outer = _smooth(_both_sides(half, 512))
    canvas.fill(outer, (212, 170, 60))
    middle = np.array((512, 345))
    canvas.fill(middle + (outer - middle) * (0.965, 0.9), (84, 18, 78), light=0.5)
    for side in (-1, 1):
        for x, y, size in ((800, 290, 15), (862, 300, 11), (740, 280, 11), (680, 292, 8)):
            canvas.fill(_around(512 + side * (x - 512), y, size, size, 1.0), (242, 206, 110))
    return canvas.done()


def _grid() -> Rgba:
    """A chequered texture with numbers' places, for checking how the mesh lies."""
    side, step = 1024, 64
    rows, columns = np.mgrid[:side, :side] // step
    even = ((rows + columns) % 2).astype(bool)
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., 0] = np.where(even, 40 + columns * 13, 235)
    rgba[..., 1] = np.where(even, 90, 235)
    rgba[..., 2] = np.where(even, 40 + rows * 13, 235)
    rgba[..., 3] = 190
    return rgba


_DRAWN: Mapping[str, Callable[[], Rgba | tuple[Rgba, ...]]] = MappingProxyType(
    {
        "glasses": lambda: _spectacles((24, 22, 24), (190, 205, 215), 0.16),
        "sunglasses": lambda: _spectacles((40, 22, 14), (26, 20, 24), 0.9),
        "hat": _hat,
        "hearts": _hearts,
        "moustache": _moustache,
        "sparkle": _sparkle,
        "mask": _mask,
        "grid": _grid,
    }
)
