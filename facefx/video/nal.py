"""H.264's units in a packet: what they are, and one way to write them as the other.

Source: ITU-T H.264 §7.3.1, §7.4.1 and annex B; ISO/IEC 14496-15 §5.3.3.1 (avcC).
"""

from __future__ import annotations

from collections.abc import Iterator

from facefx.errors import SourceError

__all__ = ["IDR", "is_picture", "kinds_of", "lengths_to_kinds", "make_avcc", "to_lengths", "units"]

IDR = 5
_SPS, _PPS = 7, 8
_START = b"\0\0\1"
# Profiles whose avcC says more: chroma format and depths.
_HIGH = frozenset((100, 110, 122, 144))


def is_picture(kind: int) -> bool:
    """True for a unit that holds a part of a picture.

    >>> is_picture(IDR), is_picture(7)
    (True, False)
    """
    return 1 <= kind <= IDR


def units(data: bytes) -> Iterator[bytes]:
    r"""The units of an Annex B packet, without their start codes.

    >>> list(units(b"\0\0\0\1\x67a\0\0\1\x68b"))
    [b'ga', b'hb']
    """
    at = data.find(_START)
    while at >= 0:
        following = data.find(_START, at + 3)
        unit = data[at + 3 : following if following >= 0 else len(data)]
        # The zero of a longer start code, and zeros behind a unit, belong to none.
        unit = unit.rstrip(b"\0")
        if unit:
            yield unit
        at = following


def kinds_of(data: bytes) -> list[int]:
    """The types of the units of an Annex B packet, in order."""
    kinds, at = [], data.find(_START)
    while 0 <= at < len(data) - 3:
        kinds.append(data[at + 3] & 31)
        at = data.find(_START, at + 3)
    return kinds


def lengths_to_kinds(data: bytes, config: bytes) -> list[int]:
    """The types of the units of an avcc packet.

    Raises SourceError where lengths and packet do not agree.
    """
    width = (config[4] & 3) + 1 if len(config) > 4 else 4
    kinds, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + width], "big")
        at += width
        if not 0 < size <= len(data) - at:
            raise SourceError("an avcc packet whose lengths do not fit it; send lengths, not start codes")
        kinds.append(data[at] & 31)
        at += size
    return kinds


def to_lengths(data: bytes) -> bytes:
    """An Annex B packet as an avcc one with lengths of four bytes; parameter sets are left to the config."""
    return b"".join(
        len(unit).to_bytes(4, "big") + unit for unit in units(data) if unit[0] & 31 not in (_SPS, _PPS)
    )


def make_avcc(headers: bytes) -> bytes:
    """The avcC of a stream from its parameter sets in Annex B, with lengths of four bytes.

    Raises SourceError where one is missing.
    """
    sets = list(units(headers))
    sps = [unit for unit in sets if unit[0] & 31 == _SPS]
    pps = [unit for unit in sets if unit[0] & 31 == _PPS]
    if len(sps) != 1 or not pps:
        raise SourceError(f"expected one SPS and a PPS, got {len(sps)} and {len(pps)}")
    profile = sps[0][1]
    parts = [bytes((1, profile, sps[0][2], sps[0][3], 0xFF, 0xE1)), _sized(sps[0]), bytes((len(pps),))]
    parts += [_sized(unit) for unit in pps]
    if profile in _HIGH:
        parts.append(_chroma_and_depth(sps[0]))
    return b"".join(parts)


def _sized(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def _chroma_and_depth(sps: bytes) -> bytes:
    """What an avcC of a high profile says beyond: chroma format, luma and chroma depth, no extensions."""
    bits = _Bits(sps[4:])
    bits.exp_golomb()  # seq_parameter_set_id
    chroma = bits.exp_golomb()
    if chroma == 3:
        bits.take()
    luma_depth, chroma_depth = bits.exp_golomb(), bits.exp_golomb()
    return bytes((0xFC | chroma, 0xF8 | luma_depth, 0xF8 | chroma_depth, 0))


class _Bits:
    """Reads a unit's first bits, which come before any byte that had to be escaped."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data[:8])
        self._at = 0

    def take(self) -> int:
        self._at += 1
        return int(self._bits[self._at - 1])

    def exp_golomb(self) -> int:
        zeros = 0
        while not self.take():
            zeros += 1
        value = 1
        for _ in range(zeros):
            value = value * 2 + self.take()
        return value - 1
