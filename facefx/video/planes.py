"""NumPy over a frame's planes: read-only views that keep the picture alive, writable ones to paste into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from facefx.values import Planes, StreamFormat
from facefx.video.guard import foreign_errors

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

__all__ = ["FrameViews", "read_views", "write_views"]


class FrameViews(Sequence[Planes]):
    """The plane views of some frames, each made when it is asked for and held by nobody but the asker.

    A view kept for the life of a batch would be one more reference to the picture, and libav copies a
    picture before a write if anybody else refers to it. The frames' size and pixel format were checked.
    """

    __slots__ = ("_format", "_frames", "_path")

    def __init__(self, frames: Sequence[VideoFrame], format: StreamFormat, path: str | Path) -> None:
        self._frames = frames
        self._format = format
        self._path = path

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, i: int) -> Planes: ...

    @overload
    def __getitem__(self, i: slice) -> FrameViews: ...

    def __getitem__(self, i: int | slice) -> Planes | FrameViews:
        if isinstance(i, slice):
            return FrameViews(self._frames[i], self._format, self._path)
        try:
            return read_views(self._frames[i], self._format)
        except Exception:  # entering the context costs a tenth of the views
            with foreign_errors(self._path, "reading a picture"):
                raise


def read_views(frame: VideoFrame, format: StreamFormat) -> Planes:
    """View a decoded frame's planes without a copy.

    The arrays are read only and each holds its own reference to the decoder's picture: they stay true
    when the frame object is made writable or dropped. A plane that cannot be lent (a bottom-up picture,
    an odd nv12) is copied.
    """
    shapes = format.pixels.plane_shapes(format.width, format.height)
    views = []
    for plane, shape in zip(frame.planes, shapes, strict=True):
        view: NDArray[Any] | None = None
        if plane.line_size > 0:
            view = np.from_dlpack(plane)
        if view is None or view.shape != shape:
            view = _raw_view(plane, shape, format.pixels.dtype).copy()
            view.flags.writeable = False
        views.append(view)
    return tuple(views)


def write_views(frame: VideoFrame, format: StreamFormat) -> Planes:
    """View the planes of a frame that was made writable; they die with the frame."""
    pixels = format.pixels
    shapes, dtype = pixels.plane_shapes(format.width, format.height), pixels.dtype
    return tuple([_raw_view(plane, shape, dtype) for plane, shape in zip(frame.planes, shapes, strict=True)])


def _raw_view(plane: VideoPlane, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Lines are padded, and run backwards where line_size is negative."""
    line = plane.line_size
    inner = (dtype.itemsize,) if len(shape) == 2 else (shape[2] * dtype.itemsize, dtype.itemsize)
    view: NDArray[Any] = np.ndarray(shape, dtype, cast("bytearray", plane), strides=(abs(line), *inner))
    return view[::-1] if line < 0 else view
