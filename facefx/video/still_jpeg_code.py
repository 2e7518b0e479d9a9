"""Planes to a JPEG file with given quantisation tables: what a photo already had comes back the same.

A decoded block, transformed and divided by the very table it came from, gives the coefficients that it
was made of, since rounding to whole samples moves each by less than half a step; for samples that were cut
at black or white see still_clipped. So a photo that is coded again loses next to nothing, in RGB nothing
is converted, and chroma is neither enlarged nor shrunk.

Source: ITU-T T.81 annex A.3 (transform), figure A.6 (zigzag), annex K.1 (tables).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.values import Planes
from facefx.video.still_clipped import settle_clipped, transformed
from facefx.video.still_huffman import Strip, encode_scan
from facefx.video.still_jpeg import Component, Jpeg, Segment

__all__ = ["JpegRecipe", "encode_jpeg", "fresh_recipe"]

_ZIGZAG = np.array([
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,
    7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31,
    39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
])  # fmt: skip
_LUMA = (
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40,
    58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103,
    104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
)  # fmt: skip
_CHROMA = (17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *[99] * 50)
_STRIP_BLOCKS = 1 << 16
_NEAR_BLOCKS = 1 << 10  # so many blocks, as float32 and transformed, stay in a core's own cache
_AC_LIMIT, _DC_LIMIT = 1023, 1024
_JFIF = Segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")


@dataclass(frozen=True, slots=True)
class JpegRecipe:
    """How planes are coded: the components, and 64 values in zigzag order for each table's number.

    again: the planes were decoded from a file with these very tables.
    """

    components: tuple[Component, ...]
    tables: dict[int, tuple[int, ...]]
    again: bool = False


def fresh_recipe(planes: int, quality: int) -> JpegRecipe:
    """The usual tables at a quality of 1 to 100, chroma at full size, for one plane or three.

    Source: the scaling is that of the Independent JPEG Group's library, jpeg_quality_scaling.
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (
        tuple(min(max((value * scale + 50) // 100, 1), 255) for value in table) for table in (_LUMA, _CHROMA)
    )
    parts = tuple(Component(i + 1, 1, 1, min(i, 1)) for i in range(planes))
    return JpegRecipe(parts, {0: luma, 1: chroma} if planes > 1 else {0: luma})


def encode_jpeg(planes: Planes, size: tuple[int, int], recipe: JpegRecipe) -> Jpeg:
    """Code planes as a baseline JPEG of that size.

    planes: uint8, one for each component, at least as large as the picture's share of it; samples
    beyond (the last blocks' rest) are coded as they are, or repeated from the edge where missing.
    """
    parts = recipe.components if len(recipe.components) > 1 else (_alone(recipe.components[0]),)
    high, wide = max(part.v for part in parts), max(part.h for part in parts)
    grid = -(-size[0] // (8 * wide)), -(-size[1] // (8 * high))
    coefficients = [
        _quantised(plane, (grid[1] * part.v, grid[0] * part.h), recipe.tables[part.table], recipe.again)
        for plane, part in zip(planes, parts, strict=True)
    ]
    tables, coded = encode_scan(_strips(coefficients, parts, grid))
    return Jpeg((_JFIF, *_segments(size, parts, recipe, tables, coded)))


def _alone(part: Component) -> Component:
    """A single component has no factors to speak of: one block is one unit."""
    return Component(part.id, 1, 1, part.table)


def _transform(table: Sequence[int]) -> NDArray[np.float32]:
    """(64, 64): 64 samples of a block times this are its coefficients in steps of the table, zigzag."""
    k = np.arange(8)
    basis = np.cos((2 * k[None, :] + 1) * k[:, None] * (np.pi / 16)) / 2
    basis[0] /= np.sqrt(2)
    both = np.kron(basis, basis)[_ZIGZAG] / np.array(table, np.float64)[:, None]
    return np.ascontiguousarray(both.T, np.float32)


def _quantised(
    plane: NDArray[Any], blocks: tuple[int, int], table: Sequence[int], again: bool
) -> NDArray[np.int16]:
    """(rows, columns, 64) coefficients of a plane laid out on that many blocks."""
    rows, columns = blocks
    missing = ((0, max(0, rows * 8 - plane.shape[0])), (0, max(0, columns * 8 - plane.shape[1])))
    if missing != ((0, 0), (0, 0)):
        plane = np.pad(plane, missing, mode="edge")
    transform = _transform(table)
    out = np.empty((rows * columns, 64), np.int16)
    cut: list[tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]] = []
    step = max(1, _NEAR_BLOCKS // columns)
    for top in range(0, rows, step):
        lines = np.ascontiguousarray(plane[top * 8 : min(top + step, rows) * 8, : columns * 8])
        # Eight samples of a line are moved as one number.
        eights = lines.view(np.uint64).reshape(-1, 8, columns).transpose(0, 2, 1)
        cells = np.ascontiguousarray(eights).view(np.uint8).reshape(-1, 64)
        samples = cells.astype(np.float32)
        samples -= 128
        steps = transformed(samples, transform)
        np.rint(steps, out=steps)
        if again and (lines.min() == 0 or lines.max() == 255):
            where = np.flatnonzero(((cells == 0) | (cells == 255)).any(axis=1))
            cut.append((where + top * columns, samples[where], steps[where]))
        np.clip(steps, -_DC_LIMIT, _AC_LIMIT, out=steps)
        out[top * columns : top * columns + len(steps)] = steps
    if cut:
        where, samples, steps = (np.concatenate(parts) for parts in zip(*cut, strict=True))
        settle_clipped(steps, samples, transform, np.array(table))
        out[where] = np.clip(steps, -_DC_LIMIT, _AC_LIMIT)
    return out.reshape(rows, columns, 64)


def _strips(
    coefficients: Sequence[NDArray[np.int16]], parts: Sequence[Component], grid: tuple[int, int]
) -> Iterator[Strip]:
    """The blocks in the order of an interleaved scan, some rows of units at a time."""
    columns, rows = grid
    per_unit = sum(part.h * part.v for part in parts)
    kinds = np.concatenate([np.full(part.h * part.v, i, np.uint8) for i, part in enumerate(parts)])
    step = max(1, _STRIP_BLOCKS // (columns * per_unit))
    before = [0] * len(parts)
    for top in range(0, rows, step):
        units = []
        count = min(step, rows - top)
        for i, part in enumerate(parts):
            lines = coefficients[i][top * part.v : (top + count) * part.v]
            cells = lines.reshape(count, part.v, columns, part.h, 64).transpose(0, 2, 1, 3, 4)
            cells = cells.reshape(count * columns, part.h * part.v, 64).copy()
            dc = cells[..., 0].reshape(-1).astype(np.int32)
            cells[..., 0] = np.diff(dc, prepend=before[i]).reshape(cells.shape[:2])
            before[i] = int(dc[-1])
            units.append(cells)
        blocks = np.concatenate(units, axis=1).reshape(-1, 64)
        yield Strip(blocks, np.tile(kinds, count * columns))


def _segments(
    size: tuple[int, int],
    parts: Sequence[Component],
    recipe: JpegRecipe,
    tables: dict[int, Any],
    coded: bytes,
) -> Iterator[Segment]:
    """The picture's segments in the order in which a decoder needs them."""
    wide = any(value > 255 for table in recipe.tables.values() for value in table)
    for number, values in sorted(recipe.tables.items()):
        raw = b"".join(value.to_bytes(2 if wide else 1, "big") for value in values)
        yield Segment(0xDB, bytes(((16 if wide else 0) + number,)) + raw)
    frame = b"\x08" + size[1].to_bytes(2, "big") + size[0].to_bytes(2, "big") + bytes((len(parts),))
    listed = b"".join(bytes((part.id, part.h << 4 | part.v, part.table)) for part in parts)
    yield Segment(0xC1 if wide else 0xC0, frame + listed)
    for number, table in tables.items():
        yield Segment(0xC4, bytes((number // 2 << 4 | number % 2,)) + table.body)
    scan = bytes((len(parts),)) + b"".join(
        bytes((part.id, 0x11 if i else 0x00)) for i, part in enumerate(parts)
    )
    yield Segment(0xDA, scan + b"\0\x3f\0", coded)
