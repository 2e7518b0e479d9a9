"""Pictures that move: read whole at the start, within limits, and one of them chosen by time.

A still is an animation of one frame. Files: PNG, APNG, JPEG, WebP, GIF; a folder of numbered pictures; or
`builtin:NAME`, which is drawn by facefx itself.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.builtin import draw_builtin
from facefx.effects.files import BUILTIN, check_pinned
from facefx.effects.picture import decode_still, picture_bytes
from facefx.effects.picture_size import picture_kind, picture_size
from facefx.errors import EffectError

__all__ = ["Animation", "read_animation", "sha256_of_asset"]

Rgba = NDArray[np.uint8]

_MAX_SIDE_PX = 8192
_MAX_FRAMES = 500
# Of all frames together, as they are decoded: four bytes each.
_MAX_PIXELS = 48 << 20
# No more is kept of a still, and of a frame of an animation: a face is seldom larger.
_KEPT_STILL_PX, _KEPT_FRAME_PX = 2048, 1024
# Browsers show frames that last less than the first for the second, and so do those who make them.
_SHORTEST_MS, _USUAL_MS = 11, 100
_NUMBERED = re.compile(r"(\d+)\.(png|jpe?g|webp)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Animation:
    """Frames, all of one size, and when each ends.

    frames: (h, w, 4) uint8 red, green, blue, alpha each, not premultiplied, as a viewer sees them.
    ends_ms: from the start of a round; one round follows the other.
    """

    frames: tuple[Rgba, ...]
    ends_ms: tuple[int, ...]

    def at(self, seconds: float) -> int:
        """The frame that is shown so many seconds after time 0; rounds go on before it, too.

        >>> Animation((BLANK, BLANK), (100, 300)).at(0.31), Animation((BLANK, BLANK), (100, 300)).at(-0.05)
        (0, 1)
        """
        if len(self.frames) == 1:
            return 0
        # A frame that begins with a picture is shown on it, whatever its time was rounded to.
        within = (seconds * 1000 + 0.5) % self.ends_ms[-1]
        return bisect_right(self.ends_ms, within)


BLANK: Rgba = np.zeros((1, 1, 4), np.uint8)
"""A frame of one transparent pixel."""


def sha256_of_asset(path: str, effect: str) -> str:
    """Return the sha256, in hex, of a file, of the names and bytes in a folder, or of what is drawn.

    Raises EffectError.
    """
    if path.startswith(BUILTIN):
        frames, _ = draw_builtin(path, effect)
        return hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest()
    if not Path(path).is_dir():
        return hashlib.sha256(picture_bytes(path, effect)).hexdigest()
    whole = hashlib.sha256()
    for file in _numbered(Path(path), effect):
        whole.update(f"{file.name}\n{hashlib.sha256(picture_bytes(file, effect)).hexdigest()}\n".encode())
    return whole.hexdigest()


def read_animation(path: str, effect: str, sha256: str = "", fps: float = 25.0) -> Animation:
    """Read a picture or an animation.

    sha256: what it must have; "" takes any. fps: of a folder's pictures, which do not tell.

    Raises EffectError, in one line, where it is missing, broken, too large, shows nothing, or is not
    the one that was pinned.
    """
    frames, durations = _read(path, effect, sha256, fps)
    if not any(frame[..., 3].any() for frame in frames):
        raise EffectError(f"effect {effect}: {path} shows nothing: every pixel is transparent")
    kept = _KEPT_STILL_PX if len(frames) == 1 else _KEPT_FRAME_PX
    lasting = [_USUAL_MS if time < _SHORTEST_MS else time for time in durations]
    return Animation(tuple(_shrunk(frame, kept) for frame in frames), tuple(accumulate(lasting)))


def _read(path: str, effect: str, sha256: str, fps: float) -> tuple[Sequence[Rgba], Sequence[int]]:
    if not path.startswith(BUILTIN) and not Path(path).is_dir():
        data = picture_bytes(path, effect)  # once: what is held against the plan is what is shown
        check_pinned(path, effect, sha256, hashlib.sha256(data).hexdigest())
        return _decoded(data, path, effect)
    check_pinned(path, effect, sha256, sha256_of_asset(path, effect))
    if path.startswith(BUILTIN):
        return draw_builtin(path, effect)
    frames = _folder(Path(path), effect)
    return frames, [round(1000 / fps)] * len(frames)


def _numbered(folder: Path, effect: str) -> list[Path]:
    """The pictures of a folder by the number that their names end in."""
    numbers = {file: match for file in folder.iterdir() if (match := _NUMBERED.search(file.name))}
    if not numbers:
        raise EffectError(
            f"effect {effect}: folder {folder} holds no numbered PNG, JPEG or WebP pictures (1.png, …)"
        )
    if len(numbers) > _MAX_FRAMES:
        raise EffectError(
            f"effect {effect}: folder {folder} holds {len(numbers)} pictures: expected at most {_MAX_FRAMES}"
        )
    return sorted(numbers, key=lambda file: (int(numbers[file][1]), file.name))


def _folder(folder: Path, effect: str) -> list[Rgba]:
    frames: list[Rgba] = []
    for file in _numbered(folder, effect):
        shown, _ = _decoded(picture_bytes(file, effect), str(file), effect)
        if shown[0].shape != (frames or shown)[0].shape:
            raise EffectError(
                f"effect {effect}: {file} is {_size(shown[0])} px, those before it {_size(frames[0])}: "
                "expected one size"
            )
        frames.append(shown[0])
        _check_pixels(len(frames), shown[0].shape[1], shown[0].shape[0], str(folder), effect)
    return frames


def _decoded(data: bytes, path: str, effect: str) -> tuple[list[Rgba], list[int]]:
    """Decode a file: its frames and how long each lasts in ms."""
    kind = picture_kind(data)
    if not kind:
        raise EffectError(f"effect {effect}: {path} is not a picture: expected a PNG, JPEG, WebP or GIF file")
    size = picture_size(data)
    if size is None:
        raise EffectError(f"effect {effect}: {path} cannot be decoded: the picture is damaged")
    width, height = size
    if max(size) > _MAX_SIDE_PX:
        raise EffectError(
            f"effect {effect}: {path} is {width} × {height} px: expected at most {_MAX_SIDE_PX} a side"
        )
    _check_pixels(1, width, height, path, effect)
    if kind == "moving":
        return _moving(data, (width, height), path, effect)
    return [_rgba(decode_still(data, path, effect))], [_USUAL_MS]


def _check_pixels(count: int, width: int, height: int, path: str, effect: str) -> None:
    most = min(_MAX_FRAMES, _MAX_PIXELS // max(width * height, 1))
    if count > most:
        raise EffectError(
            f"effect {effect}: {path} has more than {most} frames of {width} × {height} px: expected at most "
            f"{_MAX_FRAMES} frames, {_MAX_PIXELS >> 20} million pixels in all"
        )


def _moving(data: bytes, size: tuple[int, int], path: str, effect: str) -> tuple[list[Rgba], list[int]]:
    """Decode GIF, WebP or APNG; one frame more than is allowed at most, so that no file fills the memory."""
    decode = getattr(cv2, "imdecodeanimation", None)
    if decode is None:
        raise EffectError(
            f"effect {effect}: {path}: OpenCV {cv2.__version__} reads no animations: install 4.12"
        )
    most = min(_MAX_FRAMES, _MAX_PIXELS // (size[0] * size[1])) + 1
    try:
        whole, found = decode(np.frombuffer(data, np.uint8), 0, most)
        frames = [_rgba(frame) for frame in found.frames]
    except cv2.error as error:
        raise EffectError(f"effect {effect}: {path} cannot be decoded: {error.err}") from error
    if not whole or not frames:
        raise EffectError(f"effect {effect}: {path} cannot be decoded: the animation is damaged")
    _check_pixels(len(frames), *size, path, effect)
    return frames, [int(time) for time in found.durations]


def _rgba(pixels: NDArray[Any]) -> Rgba:
    """OpenCV's grey, BGR or BGRA of 8 or 16 bits."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * (255 / np.iinfo(pixels.dtype).max)).astype(np.uint8)
    code = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    return np.asarray(cv2.cvtColor(pixels, code[1 if pixels.ndim == 2 else pixels.shape[2]]), np.uint8)


def _shrunk(frame: Rgba, side: int) -> Rgba:
    """At most so many pixels a side; what lies under transparent pixels does not show at edges."""
    ratio = side / max(frame.shape[:2])
    if ratio >= 1:
        return frame
    size = max(1, round(frame.shape[1] * ratio)), max(1, round(frame.shape[0] * ratio))
    alpha = frame[..., 3:].astype(np.float32)
    weighted = np.concatenate((frame[..., :3] * alpha, alpha), axis=2)
    small = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    small[..., :3] /= np.maximum(small[..., 3:], 1e-3)
    return np.asarray(np.rint(np.clip(small, 0, 255)), np.uint8)


def _size(frame: Rgba) -> str:
    return f"{frame.shape[1]} × {frame.shape[0]}"
