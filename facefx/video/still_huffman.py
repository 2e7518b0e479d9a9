"""Entropy coding of JPEG: quantised coefficients to bytes, with tables made for the picture.

All symbols of a strip of blocks are worked out at once: NumPy codes a 12-megapixel photo in about a
second. Source: ITU-T T.81 annex F.1.2 (coding), annex K.2 (tables).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strip", "Table", "encode_scan", "make_tables"]

Ints = NDArray[np.int64]
_ZRL, _EOB = 0xF0, 0x00
_LONGEST = 16


@dataclass(frozen=True, slots=True)
class Strip:
    """Blocks in the order of the scan: (n, 64) quantised coefficients in zigzag order, and of each its plane.

    coefficients[:, 0] is the difference to the plane's block before.
    """

    coefficients: NDArray[np.int16]
    plane: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Table:
    """A Huffman table: how many codes of each length, the symbols by length, and their codes."""

    counts: bytes
    symbols: bytes

    @property
    def body(self) -> bytes:
        """As in a DHT segment, without class and number."""
        return self.counts + self.symbols

    def codes(self) -> tuple[Ints, Ints]:
        """(256,) code and (256,) length of each symbol; length 0: it has none. Source: T.81 annex C."""
        codes, lengths = np.zeros(256, np.int64), np.zeros(256, np.int64)
        code, at = 0, 0
        for length, count in enumerate(self.counts, 1):
            for symbol in self.symbols[at : at + count]:
                codes[symbol], lengths[symbol] = code, length
                code += 1
            at += count
            code <<= 1
        return codes, lengths


@dataclass(frozen=True, slots=True)
class _Items:
    """Symbols of a strip in order: the symbol, its table (2 · class + group), extra bits and how many."""

    symbol: Ints
    table: Ints
    extra: Ints
    width: Ints


def make_tables(strips: Iterable[Strip]) -> dict[int, Table]:
    """The best tables for these strips: 0 DC of luma, 1 DC of the rest, 2 and 3 AC."""
    counts = np.zeros((4, 256), np.int64)
    for strip in strips:
        items = _items(strip)
        counts += np.bincount(items.table * 256 + items.symbol, minlength=1024).reshape(4, 256)
    return {number: _best(counts[number].tolist()) for number in range(4) if counts[number].any()}


def encode_scan(strips: Iterable[Strip], tables: dict[int, Table]) -> bytes:
    """Code all strips as one scan, stuffed and padded."""
    codes, lengths = np.zeros((4, 256), np.int64), np.zeros((4, 256), np.int64)
    for number, table in tables.items():
        codes[number], lengths[number] = table.codes()
    parts: list[bytes] = []
    rest, rest_width = 0, 0
    for strip in strips:
        items = _items(strip)
        code = codes[items.table, items.symbol] << items.width | items.extra
        width = lengths[items.table, items.symbol] + items.width
        packed, rest, rest_width = _pack(
            np.concatenate([[rest], code]), np.concatenate([[rest_width], width])
        )
        parts.append(packed)
    if rest_width:
        padding = 8 - rest_width
        parts.append(bytes((rest << padding | (1 << padding) - 1,)))
    return b"".join(parts).replace(b"\xff", b"\xff\0")


def _bit_length(values: Ints) -> Ints:
    """How many bits each magnitude needs; exact: float64 holds the integers."""
    return np.asarray(np.frexp(np.abs(values).astype(np.float64))[1], np.int64)


def _items(strip: Strip) -> _Items:
    """Work out a strip's symbols: a DC, its runs and levels, an end of block where zeros follow."""
    blocks = strip.coefficients
    n = len(blocks)
    group = (strip.plane > 0).astype(np.int64)
    row, column = np.nonzero(blocks[:, 1:])
    level = blocks[row, column + 1].astype(np.int64)
    first = np.ones(len(row), bool)
    first[1:] = row[1:] != row[:-1]
    before = np.where(first, -1, np.concatenate([[0], column[:-1]])) if len(row) else column
    run = column - before - 1
    last = np.full(n, -1, np.int64)
    last[row] = column  # the last assignment to a row is its last coefficient
    ends = last < 62
    per_level = (run >> 4) + 1
    per_block = 1 + np.bincount(row, weights=per_level, minlength=n).astype(np.int64) + ends
    start = np.cumsum(per_block) - per_block
    total = int(per_block.sum())
    # What is not overwritten below is a run of sixteen zeros.
    symbol = np.full(total, _ZRL, np.int64)
    table = np.repeat(group + 2, per_block)
    extra, width = np.zeros(total, np.int64), np.zeros(total, np.int64)
    dc = blocks[:, 0].astype(np.int64)
    symbol[start] = width[start] = _bit_length(dc)
    table[start] = group
    extra[start] = _extra(dc, width[start])
    so_far = np.cumsum(per_level)
    base = so_far[first] - per_level[first]
    at = start[row] + so_far - np.repeat(base, np.diff(np.append(np.flatnonzero(first), len(row))))
    size = _bit_length(level)
    symbol[at] = (run & 15) << 4 | size
    extra[at], width[at] = _extra(level, size), size
    symbol[(start + per_block - 1)[ends]] = _EOB
    return _Items(symbol, table, extra, width)


def _extra(value: Ints, size: Ints) -> Ints:
    """A value's own bits: itself, or one's complement where it is negative. Source: T.81 F.1.2.1."""
    return np.asarray(np.where(value < 0, value + (1 << size) - 1, value))


def _pack(code: Ints, width: Ints) -> tuple[bytes, int, int]:
    """Put codes of at most 32 bits one behind the other: whole bytes, and the bits that are left."""
    end = np.cumsum(width)
    start = end - width
    total = int(end[-1])
    words = np.zeros(total // 32 + 2, np.uint64)
    window = code.astype(np.uint64) << (64 - width - (start & 31)).astype(np.uint64)
    window[width == 0] = 0
    index = start >> 5
    edge = np.flatnonzero(np.concatenate([[True], index[1:] != index[:-1]]))
    # Bits never overlap, so that adding is joining.
    words[index[edge]] += np.add.reduceat(window >> np.uint64(32), edge)
    words[index[edge] + 1] += np.add.reduceat(window & np.uint64(0xFFFFFFFF), edge)
    raw = words.astype(">u4").tobytes()
    whole, left = total // 8, total % 8
    return raw[:whole], raw[whole] >> (8 - left) if left else 0, left


def _best(counts: Sequence[int]) -> Table:
    """Huffman's code for these counts, no code longer than 16 bits and none of all ones."""
    lengths = _code_lengths([*counts, 1])  # the 257th keeps the code of all ones for nobody
    bits = [0] * (max(lengths) + 2)
    for length in lengths:
        bits[length] += 1
    bits[0] = 0
    for length in range(len(bits) - 1, _LONGEST, -1):
        while bits[length] > 0:
            shorter = length - 2
            while bits[shorter] == 0:
                shorter -= 1
            bits[length] -= 2
            bits[length - 1] += 1
            bits[shorter + 1] += 2
            bits[shorter] -= 1
    bits = (bits + [0] * _LONGEST)[: _LONGEST + 1]
    longest = max(length for length in range(_LONGEST + 1) if bits[length])
    bits[longest] -= 1
    symbols = sorted((symbol for symbol in range(256) if lengths[symbol]), key=lambda s: (lengths[s], s))
    return Table(bytes(bits[1:]), bytes(symbols))


def _code_lengths(counts: list[int]) -> list[int]:
    """Lengths of an unlimited Huffman code. Source: T.81 figure K.1."""
    frequency: list[Any] = list(counts)
    lengths = [0] * len(counts)
    other = [-1] * len(counts)
    while True:
        alive = [i for i, count in enumerate(frequency) if count]
        if len(alive) < 2:
            return lengths
        # The least frequent two; of equal ones the larger symbol, as the standard asks.
        a, b = sorted(alive, key=lambda i: (frequency[i], -i))[:2]
        frequency[a] += frequency[b]
        frequency[b] = 0
        for tree, joined in ((a, b), (b, None)):
            node = tree
            lengths[node] += 1
            while other[node] >= 0:
                node = other[node]
                lengths[node] += 1
            if joined is not None:
                other[node] = joined
