"""Colour tables that a user hands in (.cube): read, checked, turned into tables of a stream's codes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefx.effects.files import check_pinned, read_file
from facefx.errors import EffectError
from facefx.values import Color

__all__ = ["CodeTable", "Cube", "code_table", "read_cube"]

_MAX_BYTES = 64 << 20
# Source: Adobe, "Cube LUT Specification" 1.0 (2013): keywords, and sizes of 2 to 256 and 2 to 65536. A cube
# of 129 is the largest that grading tools write.
_MOST_1D, _MOST_3D = 65536, 129
# Larger numbers are no colours.
_LARGEST = 65504.0
_SIZES = ("LUT_1D_SIZE", "LUT_3D_SIZE")
_DOMAINS = {"DOMAIN_MIN": 0, "DOMAIN_MAX": 1}
# Of DaVinci Resolve: the lowest and highest input of all three.
_RANGES = ("LUT_1D_INPUT_RANGE", "LUT_3D_INPUT_RANGE")

# OpenCV looks values up in pictures of fewer rows.
_MOST_ROWS = 32767
_NODES = 33


@dataclass(frozen=True, slots=True)
class Cube:
    """A colour table: non-linear R'G'B' to non-linear R'G'B', 1 = white.

    values: (n, 3) for one curve a part, or (n, n, n, 3) by blue, green, red. low, high: (3,) the inputs
    of the first and the last entry. sha256: of the file, in hex.
    """

    values: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    sha256: str

    def look_up(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, 3) outputs of (n, 3) inputs, linear (1D) or tetrahedral (3D) between entries.

        Inputs beyond the first and last entry get theirs.
        """
        last = self.values.shape[0] - 1
        place = np.clip((rgb - self.low) / (self.high - self.low), 0, 1) * last
        if self.values.ndim == 4:
            return _tetrahedral(self.values, place)
        entries = np.arange(last + 1)
        return np.stack([np.interp(place[:, i], entries, self.values[:, i]) for i in range(3)], 1).astype(
            np.float32
        )


def _tetrahedral(values: NDArray[np.float32], place: NDArray[np.float32]) -> NDArray[np.float32]:
    """From the darkest corner of a cell to the brightest, along its edges, the part that is largest first."""
    side = values.shape[0]
    corner = np.minimum(place.astype(np.intp), side - 2)
    parts = place - corner
    strides = np.array([1, side, side * side])
    flat = values.reshape(-1, 3)
    at = corner @ strides
    order = np.argsort(-parts, axis=1, kind="stable")
    found = flat[at].astype(np.float32)
    for axis in order.T:
        following = at + strides[axis]
        found += np.take_along_axis(parts, axis[:, None], 1) * (flat[following] - flat[at])
        at = following
    return np.asarray(found, np.float32)


def read_cube(path: str, effect: str, sha256: str | None = None) -> Cube:
    """Read a .cube file.

    Raises EffectError, one line, where the file is missing, broken, of a wrong size, or not the one that
    was pinned.
    """
    data = read_file(path, effect, _MAX_BYTES, f"larger than {_MAX_BYTES >> 20} MB", "colour table")
    got = hashlib.sha256(data).hexdigest()
    check_pinned(path, effect, sha256, got)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EffectError(f"effect {effect}: {path} is not a .cube file: it is not text") from error
    try:
        return _parsed(text, got)
    except _Broken as error:
        raise EffectError(f"effect {effect}: {path} is not a .cube file that can be used: {error}") from None


class _Broken(Exception):
    """What is wrong with a file."""


def _parsed(text: str, sha256: str) -> Cube:
    size, domain, rows = "", [np.zeros(3, np.float32), np.ones(3, np.float32)], list[str]()
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        keyword = line.split(maxsplit=1)[0].upper() if line else ""
        if not keyword or keyword.startswith("#") or keyword == "TITLE":
            continue
        if keyword in _SIZES:
            if size:
                raise _Broken(f"line {number}: a second size")
            size, count = keyword, _size(line, keyword, number)
        elif keyword in _DOMAINS:
            domain[_DOMAINS[keyword]] = _numbers(line, 3, number)
        elif keyword in _RANGES:
            low, high = _numbers(line, 2, number)
            domain = [np.full(3, low, np.float32), np.full(3, high, np.float32)]
        elif keyword[0].isalpha():
            raise _Broken(f"line {number}: unknown keyword {keyword[:40]}")
        else:
            rows.append(line)
    if not size:
        raise _Broken("LUT_1D_SIZE or LUT_3D_SIZE is missing")
    if not (domain[0] < domain[1]).all():
        raise _Broken("DOMAIN_MIN must lie below DOMAIN_MAX")
    values = _values(rows, count if size == _SIZES[0] else count**3)
    shape = (count, 3) if size == _SIZES[0] else (count, count, count, 3)
    return Cube(values.reshape(shape), domain[0], domain[1], sha256)


def _size(line: str, keyword: str, number: int) -> int:
    most = _MOST_1D if keyword == _SIZES[0] else _MOST_3D
    words = line.split()
    count = int(words[1]) if len(words) == 2 and words[1].isascii() and words[1].isdigit() else 0
    if not 2 <= count <= most:
        raise _Broken(f"line {number}: {keyword} must be 2 to {most}, got {' '.join(words[1:])[:40]!r}")
    return count


def _numbers(line: str, count: int, number: int) -> NDArray[np.float32]:
    try:
        found = np.array([float(word) for word in line.split()[1:]], np.float32)
    except ValueError:
        found = np.zeros(0, np.float32)
    if len(found) != count or not np.isfinite(found).all():
        raise _Broken(f"line {number}: expected {count} numbers, got {line[:60]!r}")
    return found


def _values(rows: list[str], count: int) -> NDArray[np.float32]:
    if len(rows) != count:
        raise _Broken(f"expected {count} lines of colours for its size, got {len(rows)}")
    words = [row.split() for row in rows]
    odd = next((row for row, parts in zip(rows, words, strict=True) if len(parts) != 3), None)
    if odd is not None:
        raise _Broken(f"expected three numbers a line, got {odd[:60]!r}")
    try:
        values = np.array(words, np.float64)
    except ValueError as error:
        raise _Broken(f"expected numbers: {error}") from None
    if not (np.abs(values) <= _LARGEST).all():
        raise _Broken("its colours are not finite")
    return values.astype(np.float32)


@dataclass(frozen=True, slots=True)
class CodeTable:
    """What a colour table adds to each colour of a stream, in codes: a picture to look up in.

    changes: (codes · nodes, nodes, 4) of Y, U, V: for every luma code a tile of U (down) by V (across).
        The fourth is empty: OpenCV looks four numbers up in half the time of three.
    nodes: per tile and way, evenly spread over the chroma codes. scale: nodes by chroma code.
    """

    changes: NDArray[np.float32]
    nodes: int
    scale: float


def code_table(cube: Cube, color: Color) -> CodeTable:
    """Convert a colour table to a stream's own codes: once for a format.

    The stream's non-linear R'G'B' is taken as it is for the table's: display-referred, as sRGB and BT.709
    are. Luma has an entry for every code, chroma one for every eighth (of 8 bits), straight lines between.
    What lies outside the R'G'B' cube keeps its distance to it, so that a table that changes nothing changes
    no code.

    Source: ITU-T H.273 §8.3, the same equations as Color.from_rgb, and their inverse.
    """
    codes = color.peak + 1
    nodes = min(_NODES, _MOST_ROWS // codes)
    at = np.linspace(0, color.peak, nodes, dtype=np.float32)
    changes = np.zeros((codes, nodes, nodes, 4), np.float32)
    k_red, k_blue = color.luma_weights
    k_green = 1 - k_red - k_blue
    black, white = color.luma_range
    span = color.peak if color.full_range else color.chroma_range[1] - color.chroma_range[0]
    v, u = np.meshgrid((at - color.neutral) / span, (at - color.neutral) / span)
    red_less_luma, blue_less_luma = 2 * (1 - k_red) * v, 2 * (1 - k_blue) * u
    green_less_luma = -(k_red * red_less_luma + k_blue * blue_less_luma) / k_green
    offsets = (
        np.stack([red_less_luma, green_less_luma, blue_less_luma], -1).reshape(1, -1, 3).astype(np.float32)
    )
    # A few luma codes at a time: all of them at once would be hundreds of megabytes.
    for first in range(0, codes, 64):
        luma = (np.arange(first, min(first + 64, codes), dtype=np.float32) - black) / (white - black)
        rgb = np.clip(luma[:, None, None] + offsets, 0, 1, dtype=np.float32).reshape(-1, 3)
        gain = (cube.look_up(rgb) - rgb).reshape(len(luma), nodes, nodes, 3)
        luma_gain = gain @ np.array([k_red, k_green, k_blue], np.float32)
        part = slice(first, first + len(luma))
        changes[part, ..., 0] = luma_gain * (white - black)
        changes[part, ..., 1] = (gain[..., 2] - luma_gain) * (span / (2 * (1 - k_blue)))
        changes[part, ..., 2] = (gain[..., 0] - luma_gain) * (span / (2 * (1 - k_red)))
    return CodeTable(changes.reshape(codes * nodes, nodes, 4), nodes, (nodes - 1) / color.peak)
