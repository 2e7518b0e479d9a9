"""Frames that travel: native planes with their time and their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ShapeError, UnsupportedError
from facefx.values.color import Color

__all__ = [
    "MAX_BATCH",
    "MAX_BATCH_BYTES",
    "FieldOrder",
    "FrameBatch",
    "PixelFormat",
    "Planes",
    "StreamFormat",
    "frames_in_batch",
]

MAX_BATCH = 16
MAX_BATCH_BYTES = 32 << 20


def frames_in_batch(frame_bytes: int) -> int:
    """How many frames of a size one batch holds: as many as both limits allow, and at least one.

    >>> frames_in_batch(1280 * 720 * 3 // 2), frames_in_batch(7680 * 4320 * 3)
    (16, 1)
    """
    return max(1, min(MAX_BATCH, MAX_BATCH_BYTES // max(1, frame_bytes)))


_BYTE, _WORD = np.dtype("u1"), np.dtype("<u2")

Array = NDArray[Any]
Planes = tuple[Array, ...]


class FieldOrder(IntEnum):
    """How the lines of a frame lie in time."""

    PROGRESSIVE = 0
    TOP_FIRST = 1
    BOTTOM_FIRST = 2


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A pixel format by FFmpeg's name: planes, chroma shifts (log2) and depth.

    layout "semiplanar" (nv12): plane 1 is (h, w, 2), U and V side by side; "gray" has luma only.
    """

    name: str
    layout: Literal["planar", "semiplanar", "gray"]
    shift_x: int
    shift_y: int
    depth: int

    @staticmethod
    def of(name: str) -> PixelFormat:
        """Look a format up by FFmpeg's name.

        Raises UnsupportedError, by name, for formats that no stage can edit natively.

        >>> PixelFormat.of("yuv420p10le").depth
        10
        """
        try:
            return _FORMATS[name]
        except KeyError:
            known = ", ".join(_FORMATS)
            raise UnsupportedError(
                f"pixel format {name!r} cannot be processed natively: expected one of {known}; "
                "convert the video first"
            ) from None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of every plane (little endian)."""
        return _BYTE if self.depth == 8 else _WORD

    @property
    def full_range_name(self) -> bool:
        """True for the yuvj family, whose name itself says full range."""
        return self.name.startswith("yuvj")

    def chroma_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of a chroma plane: rounded up, as every codec does."""
        return -(-width >> self.shift_x), -(-height >> self.shift_y)

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, ...], ...]:
        """Return the array shape of each plane for a picture of that size."""
        if self.layout == "gray":
            return ((height, width),)
        chroma_w, chroma_h = self.chroma_size(width, height)
        if self.layout == "semiplanar":
            return ((height, width), (chroma_h, chroma_w, 2))
        return ((height, width), (chroma_h, chroma_w), (chroma_h, chroma_w))


def _table() -> dict[str, PixelFormat]:
    shifts = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0)}
    table: dict[str, PixelFormat] = {}
    for ratio, (x, y) in shifts.items():
        table[f"yuv{ratio}p"] = PixelFormat(f"yuv{ratio}p", "planar", x, y, 8)
        if ratio != "411":
            table[f"yuvj{ratio}p"] = PixelFormat(f"yuvj{ratio}p", "planar", x, y, 8)
        if ratio in ("420", "422", "444"):
            table[f"yuv{ratio}p10le"] = PixelFormat(f"yuv{ratio}p10le", "planar", x, y, 10)
    table["nv12"] = PixelFormat("nv12", "semiplanar", 1, 1, 8)
    table["gray"] = PixelFormat("gray", "gray", 0, 0, 8)
    table["gray10le"] = PixelFormat("gray10le", "gray", 0, 0, 10)
    return table


_FORMATS = _table()


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What every frame of one video stream shares.

    width, height: of the stored picture, before rotation. rotation: degrees anticlockwise that a
    player turns the stored picture (FFmpeg's sign: PyAV's frame.rotation), a multiple of 90;
    mirrored: the display matrix also flips it.
    """

    pixels: PixelFormat
    width: int
    height: int
    time_base: Fraction
    color: Color = field(default_factory=Color)
    rotation: int = 0
    mirrored: bool = False
    sample_aspect: Fraction = Fraction(0, 1)
    field_order: FieldOrder = FieldOrder.PROGRESSIVE

    @property
    def line_step(self) -> int:
        """Lines that a patch's origin and height must be a multiple of: interlaced 4:2:0 has four."""
        step = 1 << self.pixels.shift_y
        return step * 2 if self.field_order else step

    @property
    def column_step(self) -> int:
        """Columns that a patch's origin and width must be a multiple of."""
        return 1 << self.pixels.shift_x

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame without padding."""
        shapes = self.pixels.plane_shapes(self.width, self.height)
        return sum(int(np.prod(shape)) for shape in shapes) * self.pixels.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Up to 16 frames (32 MB) of one stream, in presentation order, in their own planes.

    planes: for each frame its plane views, in the stream's pixel format; they are the decoder's
    own reference pictures, so nobody writes into them. A sequence that is no tuple makes them when
    asked, and answers for their shapes. pts: (n,) int64 in format.time_base.
    index: (n,) int64, position since the start of the stream. interlaced: (n,) uint8 FieldOrder.
    native: the decoder's frame objects, opaque, which own the memory that planes point to.

    Raises ShapeError if the parts do not fit each other.
    """

    format: StreamFormat
    planes: Sequence[Planes]
    pts: NDArray[np.int64]
    index: NDArray[np.int64]
    native: tuple[object, ...] = ()
    domain: str = "host"

    def __post_init__(self) -> None:
        n = len(self.planes)
        if self.pts.shape != (n,) or self.index.shape != (n,):
            raise ShapeError(
                f"a batch of {n} frames needs pts and index of shape ({n},), "
                f"got {self.pts.shape}, {self.index.shape}"
            )
        if n > MAX_BATCH:
            raise ShapeError(f"a batch holds at most {MAX_BATCH} frames, got {n}")
        if self.native and len(self.native) != n:
            raise ShapeError(f"native must hold {n} frames or none, got {len(self.native)}")
        expected = self.format.pixels.plane_shapes(self.format.width, self.format.height)
        for frame in self.planes if isinstance(self.planes, tuple) else ():
            shapes = tuple(plane.shape for plane in frame)
            if shapes != expected:
                raise ShapeError(f"{self.format.pixels.name} planes must be {expected}, got {shapes}")

    def __len__(self) -> int:
        return len(self.planes)

    def view(self, i: int) -> Planes:
        """Plane views of frame i; read only by agreement."""
        return self.planes[i]

    def select(self, start: int, stop: int) -> FrameBatch:
        """The frames start..stop as a batch of their own; no pixel is copied."""
        part = slice(start, stop)
        return FrameBatch(
            self.format, self.planes[part], self.pts[part], self.index[part], self.native[part], self.domain
        )
