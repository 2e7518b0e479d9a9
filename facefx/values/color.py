"""What the numbers in a plane mean: matrix, range and depth, and RGB → YUV once per meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Color", "Matrix"]

Matrix = Literal["bt601", "bt709", "bt2020"]

# Source: ITU-R BT.601-7 §2.5.1, BT.709-6 §3.2, BT.2020-2 table 4: luma weights of red and blue.
_LUMA: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Color:
    """The meaning of luma and chroma codes.

    matrix is what we compute with; primaries, transfer and space are the file's own tags
    (ITU-T H.273 numbers, 2 = unspecified), carried untouched.
    """

    matrix: Matrix = "bt709"
    full_range: bool = False
    depth: int = 8
    primaries: int = 2
    transfer: int = 2
    space: int = 2
    range_tag: int = 0
    chroma_location: int = 0

    @property
    def peak(self) -> int:
        """Largest code that the depth can hold."""
        return (1 << self.depth) - 1

    @property
    def luma_range(self) -> tuple[int, int]:
        """Codes of black and white."""
        return (0, self.peak) if self.full_range else (16 << (self.depth - 8), 235 << (self.depth - 8))

    @property
    def chroma_range(self) -> tuple[int, int]:
        """Lowest and highest legal chroma codes."""
        return (0, self.peak) if self.full_range else (16 << (self.depth - 8), 240 << (self.depth - 8))

    @property
    def neutral(self) -> int:
        """Chroma code of grey."""
        return 1 << (self.depth - 1)

    def from_rgb(self, red: float, green: float, blue: float) -> tuple[int, int, int]:
        """Convert one colour, each part 0..1 (non-linear), to (Y, U, V) codes.

        Source: ITU-T H.273 §8.3, equations for quantisation with and without full range.

        >>> Color("bt709").from_rgb(0, 0, 0), Color("bt601").from_rgb(1, 1, 1)
        ((16, 128, 128), (235, 128, 128))
        """
        k_red, k_blue = _LUMA[self.matrix]
        luma = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
        u = (blue - luma) / (2 * (1 - k_blue))
        v = (red - luma) / (2 * (1 - k_red))
        black, white = self.luma_range
        low, high = self.chroma_range
        span = self.peak if self.full_range else high - low
        y_code = round(black + luma * (white - black))
        return (
            y_code,
            min(max(round(self.neutral + u * span), low), high),
            min(max(round(self.neutral + v * span), low), high),
        )

    @property
    def luma_weights(self) -> tuple[float, float]:
        """(red, blue) weights of luma for this matrix."""
        return _LUMA[self.matrix]
