"""Entropy coding of JPEG: what is coded is what a decoder of another hand reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from still_makers import Pixels, scene
from still_readers import jpeg_planes, jpeg_segments, psnr, rgb_of

from facefx.video.still_huffman import Strip, Table, encode_scan
from facefx.video.still_jpeg import Component
from facefx.video.still_jpeg_code import JpegRecipe, encode_jpeg, fresh_recipe

Codes = dict[str, int]


def codes_of(table: Table) -> Codes:
    """Bits → symbol, by counting up as ITU-T T.81 annex C says."""
    found: Codes = {}
    code, symbols = 0, iter(table.symbols)
    for length, count in enumerate(table.counts, 1):
        for _ in range(count):
            found[format(code, f"0{length}b")] = next(symbols)
            code += 1
        code <<= 1
    return found


class Bits:
    """Reads a scan bit by bit."""

    def __init__(self, coded: bytes) -> None:
        plain = coded.replace(b"\xff\0", b"\xff")
        self.text = "".join(format(byte, "08b") for byte in plain)
        self.at = 0

    def take(self, count: int) -> int:
        part = self.text[self.at : self.at + count]
        self.at += count
        return int(part, 2) if part else 0

    def symbol(self, codes: Codes) -> int:
        start = self.at
        while self.text[start : self.at] not in codes:
            self.at += 1
            assert self.at - start <= 16
        return codes[self.text[start : self.at]]

    def value(self, size: int) -> int:
        raw = self.take(size)
        return raw if size == 0 or raw >> (size - 1) else raw - (1 << size) + 1


def blocks_in(coded: bytes, tables: dict[int, Table], planes: NDArray[np.uint8]) -> Iterator[list[int]]:
    """Decode blocks one by one. Source: ITU-T T.81 annex F.2.2."""
    bits, codes = Bits(coded), {number: codes_of(table) for number, table in tables.items()}
    for plane in planes.tolist():
        group = min(plane, 1)
        block = [bits.value(bits.symbol(codes[group]))]
        while len(block) < 64:
            symbol = bits.symbol(codes[group + 2])
            if symbol == 0:
                block += [0] * (64 - len(block))
            elif symbol == 0xF0:
                block += [0] * 16
            else:
                block += [0] * (symbol >> 4) + [bits.value(symbol & 15)]
        yield block
    assert set(bits.text[bits.at :]) <= {"1"}, "padded with ones"
    assert len(bits.text) - bits.at < 8


def strip(blocks: NDArray[np.int16], planes: int = 3) -> Strip:
    return Strip(blocks, (np.arange(len(blocks)) % planes).astype(np.uint8))


def check(strips: list[Strip]) -> None:
    tables, coded = encode_scan(strips)
    wanted = np.concatenate([one.coefficients for one in strips])
    planes = np.concatenate([one.plane for one in strips])
    assert np.array_equal(np.array(list(blocks_in(coded, tables, planes))), wanted)
    assert b"\xff" not in coded.replace(b"\xff\0", b""), "no marker comes about by chance"


@pytest.mark.parametrize("filled", [0.0, 0.02, 0.3, 1.0])
def test_every_block_is_read_back_as_it_was(filled: float) -> None:
    rng = np.random.default_rng(int(filled * 100))
    blocks = rng.integers(-1023, 1024, (300, 64)).astype(np.int16)
    blocks[rng.random((300, 64)) >= filled] = 0
    blocks[:, 0] = rng.integers(-2047, 2048, 300)
    check([strip(blocks[:7]), strip(blocks[7:200]), strip(blocks[200:])])


@pytest.mark.parametrize("at", [1, 15, 16, 17, 18, 32, 33, 34, 48, 49, 50, 62, 63])
def test_long_runs_of_zeros_end_where_they_should(at: int) -> None:
    blocks = np.zeros((6, 64), np.int16)
    blocks[::2, at] = [1, -1, 1023]
    blocks[4, 63] = -512
    check([strip(blocks)])


def test_values_at_every_power_of_two_keep_their_sign() -> None:
    powers = [sign * (1 << n) + step for n in range(10) for sign in (1, -1) for step in (-1, 0, 1)]
    blocks = np.zeros((len(powers), 64), np.int16)
    blocks[:, 0] = blocks[:, 5] = np.clip(powers, -1023, 1023)
    check([strip(blocks, 1)])


def test_one_block_of_nothing_can_be_coded() -> None:
    check([strip(np.zeros((1, 64), np.int16))])


def test_codes_are_no_longer_than_sixteen_bits_however_rare_a_symbol_is() -> None:
    symbols = [(run, size) for run in range(8) for size in (1, 2, 3)][:22]
    counts = [
        1,
        2,
    ]  # with the one that is nobody's Fibonacci's numbers: each code one bit longer than the next
    while len(counts) < len(symbols):
        counts.append(counts[-1] + counts[-2])
    blocks = np.zeros((sum(counts), 64), np.int16)
    at = 0
    for (run, size), count in zip(symbols, counts, strict=True):
        blocks[at : at + count, 1 + run] = 1 << (size - 1)
        at += count
    table = encode_scan([strip(blocks, 1)])[0][2]
    codes = codes_of(table)
    assert sorted(codes.values()) == sorted({0, *(run << 4 | size for run, size in symbols)})
    assert max(map(len, codes)) == 16
    assert all("0" in code for code in codes), "the code of all ones is nobody's"
    assert not [(a, b) for a in codes for b in codes if a != b and b.startswith(a)]
    check([strip(blocks[:40], 1), strip(blocks[-40:], 1)])


def test_frequent_symbols_get_the_short_codes() -> None:
    blocks = np.zeros((1000, 64), np.int16)
    blocks[:900, 1], blocks[900:, 1] = 1, 3
    codes = {symbol: code for code, symbol in codes_of(encode_scan([strip(blocks, 1)])[0][2]).items()}
    assert len(codes[0x01]) < len(codes[0x02])


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (67, 45), (640, 17)], ids=str)
@pytest.mark.parametrize("planes", [1, 3])
def test_other_decoders_show_the_picture_that_was_coded(size: tuple[int, int], planes: int) -> None:
    rng = np.random.default_rng(1)
    parts = tuple(rng.integers(0, 256, size[::-1], np.uint8) for _ in range(planes))
    data = encode_jpeg(parts, size, fresh_recipe(planes, 100)).to_bytes()
    for before, after in zip(parts, jpeg_planes(data), strict=True):
        assert np.abs(before.astype(int) - after).max() <= 2
    assert rgb_of(data).shape[:2] == size[::-1]


def test_picture_of_several_strips_is_coded_without_a_seam() -> None:
    y, x = np.mgrid[:1040, :2080]
    plane = ((x + 3 * y) // 40 % 200 + 20).astype(np.uint8)
    data = encode_jpeg((plane,) * 3, (2080, 1040), fresh_recipe(3, 95)).to_bytes()
    assert psnr(jpeg_planes(data)[0], plane) > 40


@pytest.mark.parametrize("factors", [((2, 2), (1, 1)), ((2, 1), (1, 1)), ((1, 2), (1, 1)), ((2, 2), (2, 1))])
def test_planes_of_any_sampling_are_interleaved_as_decoders_expect(
    factors: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    (high_h, high_v), (low_h, low_v) = factors
    picture = scene(64, 64)
    small = np.ascontiguousarray(picture[:: high_v // low_v, :: high_h // low_h])
    parts = (picture[..., 0].copy(), small[..., 1].copy(), small[..., 2].copy())
    recipe = fresh_recipe(3, 95)
    components = (
        Component(1, high_h, high_v, 0),
        Component(2, low_h, low_v, 1),
        Component(3, low_h, low_v, 1),
    )
    data = encode_jpeg(parts, (64, 64), JpegRecipe(components, recipe.tables)).to_bytes()
    for before, after in zip(parts, jpeg_planes(data), strict=True):
        assert psnr(before, after) > 38


def test_steps_above_255_make_an_extended_jpeg_that_is_read() -> None:
    plane: Pixels = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    recipe = JpegRecipe((Component(1, 1, 1, 0),), {0: (8,) + (300,) * 63})
    data = encode_jpeg((plane,), (64, 64), recipe).to_bytes()
    assert [marker for marker, _ in jpeg_segments(data)].count(0xC1) == 1
    assert psnr(rgb_of(data), plane) > 25


def test_quality_100_has_steps_of_one() -> None:
    assert set(fresh_recipe(3, 100).tables[0]) == {1}
    assert max(fresh_recipe(1, 1).tables[0]) == 255
    assert fresh_recipe(3, 50).tables[1][:4] == (17, 18, 18, 24)
