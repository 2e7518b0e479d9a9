"""From FFmpeg's colour tags to what a code means."""

from __future__ import annotations

from facefx.values import Color
from facefx.values.color import Matrix

__all__ = ["color_of", "matrix_of"]

# ITU-T H.273 table 4: matrix coefficients that we can compute with.
_MATRICES: dict[int, Matrix] = {
    1: "bt709",
    4: "bt601",  # FCC: within 0.3 % of BT.601
    5: "bt601",
    6: "bt601",
    7: "bt709",  # SMPTE 240M: nearest is BT.709
    9: "bt2020",
    10: "bt2020",
}
_FULL = 2


def matrix_of(space: int, height: int) -> Matrix:
    """Resolve a matrix tag: an unspecified one means BT.601 below 720 lines and BT.709 from there on.

    >>> matrix_of(2, 576), matrix_of(2, 1080), matrix_of(9, 576)
    ('bt601', 'bt709', 'bt2020')
    """
    return _MATRICES.get(space, "bt601" if height < 720 else "bt709")


def color_of(
    *, space: int, primaries: int, transfer: int, range_tag: int, chroma_location: int, pixels: str,
    depth: int, height: int,
) -> Color:  # fmt: skip
    """Put a stream's tags together; the yuvj formats are full range whatever the tag says."""
    return Color(
        matrix=matrix_of(space, height),
        full_range=range_tag == _FULL or pixels.startswith("yuvj"),
        depth=depth,
        primaries=primaries,
        transfer=transfer,
        space=space,
        range_tag=range_tag,
        chroma_location=chroma_location,
    )
