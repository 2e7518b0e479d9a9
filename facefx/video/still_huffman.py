"""Entropy coding of JPEG: quantised coefficients to bytes, with tables made for the picture.

All symbols of a strip of blocks are worked out at once: NumPy codes a 12-megapixel photo in about a
second. Source: ITU-T T.81 annex F.1.2 (coding), annex K.2 (tables).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strip", "Table", "encode_scan"]

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
    """What is coded of a strip, in order: every DC, every level, and runs of sixteen zeros between.

    row: 256 · table + symbol. extra: a value's own bits, and how many. ends: indices of items behind which
    their block ends early; end_row: of the mark that says so.
    """

    row: NDArray[np.int16]
    extra: NDArray[np.uint16]
    width: NDArray[np.uint8]
    ends: NDArray[np.int64]
    end_row: NDArray[np.int16]

    def counts(self) -> NDArray[np.int64]:
        """(4, 256): how often each table codes each symbol."""
        rows = np.bincount(self.row, minlength=1024) + np.bincount(self.end_row, minlength=1024)
        return rows.reshape(4, 256)


def encode_scan(strips: Iterable[Strip]) -> tuple[dict[int, Table], bytes]:
    """Code all strips as one scan, stuffed and padded, with the best tables for them.

    The tables: 0 DC of luma, 1 DC of the rest, 2 and 3 AC.
    """
    parts = [_items(strip) for strip in strips]
    counts = np.sum([items.counts() for items in parts], axis=0)
    tables = {number: _best(counts[number].tolist()) for number in range(4) if counts[number].any()}
    codes, lengths = np.zeros((4, 256), np.uint64), np.zeros((4, 256), np.int64)
    for number, table in tables.items():
        codes[number], lengths[number] = table.codes()
    return tables, _coded(parts, codes.reshape(-1), lengths.reshape(-1))


def _coded(parts: Iterable[_Items], codes: NDArray[np.uint64], lengths: NDArray[np.int64]) -> bytes:
    packed: list[bytes] = []
    rest, rest_width = 0, 0
    for items in parts:
        code = codes[items.row] << items.width
        code |= items.extra
        width = lengths[items.row] + items.width
        # A block's end is coded with its last item: at most 16 + 11 + 16 bits.
        end_length = lengths[items.end_row]
        code[items.ends] = code[items.ends] << end_length.astype(np.uint64) | codes[items.end_row]
        width[items.ends] += end_length
        if rest_width:
            code, width = np.insert(code, 0, rest), np.insert(width, 0, rest_width)
        whole, rest, rest_width = _pack(code, width)
        packed.append(whole)
    if rest_width:
        padding = 8 - rest_width
        packed.append(bytes((rest << padding | (1 << padding) - 1,)))
    return b"".join(packed).replace(b"\xff", b"\xff\0")


def _items(strip: Strip) -> _Items:
    """Work out a strip's symbols: a DC, its runs and levels, an end of block where zeros follow."""
    flat = strip.coefficients.reshape(-1)
    group = (strip.plane > 0).astype(np.int16) << 8
    coded = flat != 0
    coded[::64] = True  # a DC is coded whatever it is
    at = np.flatnonzero(coded)
    value = flat[at]
    sizes, extras = _value_bits()
    index = value.view(np.uint16)
    width, extra = sizes[index], extras[index]
    run = (np.diff(at, prepend=-1) - 1).astype(np.int16)
    dc = np.flatnonzero((at & 63) == 0)
    run[dc] = 0
    row = group[at >> 6]
    row += (run & 15) << 4
    row += width
    row += 512
    row[dc] -= 512
    last = np.append(dc[1:], len(at)) - 1
    early = np.flatnonzero((at[last] & 63) < 63)
    ends, end_row = last[early], group[early] + (512 + _EOB)
    long = np.flatnonzero(run > 15)
    if not len(long):
        return _Items(row, extra, width, ends, end_row)
    times = run[long] >> 4
    before = np.repeat(long, times)
    zeros = np.repeat(row[long] & ~255 | _ZRL, times)
    ends = ends + np.searchsorted(before, ends, side="right")
    return _Items(
        np.insert(row, before, zeros), np.insert(extra, before, 0), np.insert(width, before, 0), ends, end_row
    )


@cache
def _value_bits() -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """(65536,) size and own bits of each int16, by its bits as uint16. Source: T.81 F.1.2.1."""
    value = np.arange(1 << 16).astype(np.uint16).view(np.int16).astype(np.int64)
    size = np.asarray(np.frexp(np.abs(value).astype(np.float64))[1], np.int64)  # exact: float64 holds them
    bits = np.where(value < 0, value + (1 << size) - 1, value)
    return size.astype(np.uint8), bits.astype(np.uint16)


def _pack(code: NDArray[np.uint64], width: NDArray[np.int64]) -> tuple[bytes, int, int]:
    """Put codes of 1 to 64 bits one behind the other: whole bytes, and the bits that are left."""
    end = np.cumsum(width)
    total = int(end[-1])
    start = end - width
    index = start >> 6
    room = 64 - (start & 63) - width
    over = np.flatnonzero(room < 0)
    beyond = -room[over]
    room[over] = 0
    high = code << room.astype(np.uint64)
    high[over] = code[over] >> beyond.astype(np.uint64)
    words = np.zeros(total // 64 + 2, np.uint64)
    edge = np.flatnonzero(np.diff(index, prepend=-1))
    words[index[edge]] = np.bitwise_or.reduceat(high, edge)
    # The last code of a word is the only one that may reach into the next.
    words[index[over] + 1] |= code[over] << (64 - beyond).astype(np.uint64)
    raw = words.astype(">u8").tobytes()
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
    lengths = [0] * len(counts)
    # The least frequent first; of equal ones the larger symbol, as the standard asks.
    trees = [(count, -symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    heapify(trees)
    while len(trees) > 1:
        count, symbol, members = heappop(trees)
        more, _, others = heappop(trees)
        members = members + others
        for member in members:
            lengths[member] += 1
        heappush(trees, (count + more, symbol, members))
    return lengths
