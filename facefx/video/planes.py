"""NumPy over a frame's planes: read-only views that keep the picture alive, writable ones to paste into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facefx.values import Planes, StreamFormat

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

__all__ = ["read_views", "write_views"]


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
    shapes = format.pixels.plane_shapes(format.width, format.height)
    return tuple(
        _raw_view(plane, shape, format.pixels.dtype)
        for plane, shape in zip(frame.planes, shapes, strict=True)
    )


def _raw_view(plane: VideoPlane, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Lines are padded, and run backwards where line_size is negative."""
    data: NDArray[Any] = np.frombuffer(memoryview(plane), dtype)
    lines = data.reshape(shape[0], abs(plane.line_size) // dtype.itemsize)
    if plane.line_size < 0:
        lines = lines[::-1]
    if len(shape) == 3:
        return lines[:, : shape[1] * shape[2]].reshape(shape)
    return lines[:, : shape[1]]
