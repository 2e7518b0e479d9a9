"""A changed rectangle of one frame: the only pixels that travel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facefx.errors import ShapeError
from facefx.values.frames import Planes, StreamFormat

__all__ = ["Patch"]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The planes of one rectangle of one frame, writable and owned by the patch.

    frame: position in the batch. x, y: origin in luma pixels of the stored picture, aligned to
    the chroma grid (four lines where 4:2:0 is interlaced). planes: in the stream's pixel format.
    """

    format: StreamFormat
    frame: int
    x: int
    y: int
    planes: Planes

    def __post_init__(self) -> None:
        format = self.format
        if self.x % format.column_step or self.y % format.line_step:
            raise ShapeError(
                f"patch origin must be a multiple of ({format.column_step}, {format.line_step}), "
                f"got ({self.x}, {self.y})"
            )
        shapes = tuple([plane.shape for plane in self.planes])
        expected = format.pixels.plane_shapes(shapes[0][1], shapes[0][0])
        if shapes != expected:
            raise ShapeError(f"patch planes must be {expected}, got {shapes}")

    @property
    def width(self) -> int:
        """Luma pixels across."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """Luma lines."""
        return int(self.planes[0].shape[0])

    @staticmethod
    def rectangle(
        format: StreamFormat, xyxy: tuple[float, float, float, float]
    ) -> tuple[int, int, int, int] | None:
        """Widen a box to the chroma grid and cut it at the picture's edges: x0, y0, x1, y1, or None if empty.

        Edges of an odd-sized picture are legal ends although they lie off the grid.
        """
        step_x, step_y = format.column_step, format.line_step
        x0 = max(0, int(xyxy[0] // step_x) * step_x)
        y0 = max(0, int(xyxy[1] // step_y) * step_y)
        x1 = min(format.width, -int(-xyxy[2] // step_x) * step_x)
        y1 = min(format.height, -int(-xyxy[3] // step_y) * step_y)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    @staticmethod
    def cut(
        format: StreamFormat, frame: int, planes: Planes, xyxy: tuple[float, float, float, float]
    ) -> Patch | None:
        """Copy the rectangle around a box out of a frame's planes; None if it lies outside."""
        rectangle = Patch.rectangle(format, xyxy)
        if rectangle is None:
            return None
        x0, y0, x1, y1 = rectangle
        shift_x, shift_y = format.pixels.shift_x, format.pixels.shift_y
        luma = planes[0][y0:y1, x0:x1].copy()
        part = slice(y0 >> shift_y, -(-y1 >> shift_y)), slice(x0 >> shift_x, -(-x1 >> shift_x))
        chroma = [plane[part].copy() for plane in planes[1:]]
        return Patch(format, frame, x0, y0, (luma, *chroma))

    @staticmethod
    def black(format: StreamFormat, frame: int) -> Patch:
        """A patch that covers the whole frame with legal black."""
        color = format.color
        codes = (color.luma_range[0], color.neutral, color.neutral)
        shapes = format.pixels.plane_shapes(format.width, format.height)
        planes = tuple(
            np.full(shape, code, format.pixels.dtype) for shape, code in zip(shapes, codes, strict=False)
        )
        return Patch(format, frame, 0, 0, planes)

    def paste(self, planes: Planes) -> None:
        """Write the patch into a frame's planes, in place."""
        pixels, top, left = self.format.pixels, self.y, self.x
        for target, part in zip(planes, self.planes, strict=True):
            rows, columns = part.shape[:2]
            target[top : top + rows, left : left + columns] = part
            # Every plane after the first is chroma, of the same size.
            top, left = self.y >> pixels.shift_y, self.x >> pixels.shift_x

    def overlay(self, other: Patch) -> None:
        """Copy the part of `other` that lies under this patch into it, in place.

        Two faces that overlap are cut from the same frame: without this, pasting the second
        would bring back what the first had hidden.
        """
        x0, y0 = max(self.x, other.x), max(self.y, other.y)
        x1 = min(self.x + self.width, other.x + other.width)
        y1 = min(self.y + self.height, other.y + other.height)
        if x0 >= x1 or y0 >= y1:
            return
        for i, (mine, theirs) in enumerate(zip(self.planes, other.planes, strict=True)):
            sx, sy = (self.format.pixels.shift_x, self.format.pixels.shift_y) if i else (0, 0)
            rows, columns = -(-y1 >> sy) - (y0 >> sy), -(-x1 >> sx) - (x0 >> sx)
            top, left = (y0 - self.y) >> sy, (x0 - self.x) >> sx
            from_top, from_left = (y0 - other.y) >> sy, (x0 - other.x) >> sx
            mine[top : top + rows, left : left + columns] = theirs[
                from_top : from_top + rows, from_left : from_left + columns
            ]

    def changed(self, planes: Planes) -> bool:
        """True where any sample differs from the frame it was cut from."""
        original = Patch.cut(
            self.format, self.frame, planes, (self.x, self.y, self.x + self.width, self.y + self.height)
        )
        return original is None or any(
            not np.array_equal(a, b) for a, b in zip(self.planes, original.planes, strict=True)
        )
