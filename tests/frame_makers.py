"""Frames that carry their number, coded in memory; what finds faces where a test says; services of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from facefx.config import RunConfig
from facefx.faces.analysis import Analysis
from facefx.live.frame_look import Finder
from facefx.live.frame_service import FrameService
from facefx.live.frames import FrameSession, Serving, serving
from facefx.pipeline.nets import Nets
from facefx.values import Face, Faces, FaceSource, FrameBatch, StreamFormat

SIZE = (160, 96)
TICKS = 3000  # of 90,000 a second: 30 frames a second
_BITS = 8
Box = tuple[float, float, float, float]
LEFT: Box = (16.0, 16.0, 64.0, 64.0)


def luma(number: int) -> NDArray[np.uint8]:
    """Eight columns, one a bit of the number, dark or bright."""
    bits = [(number >> bit) & 1 for bit in range(_BITS)]
    row = np.repeat(np.array([60 + 130 * bit for bit in bits], np.uint8), SIZE[0] // _BITS)
    return np.ascontiguousarray(np.broadcast_to(row, SIZE[::-1]))


def number_of(plane: NDArray[Any]) -> int:
    """The number that a frame's lowest lines show."""
    columns = plane[-16:].reshape(16, _BITS, -1).mean(axis=(0, 2))
    return sum(1 << bit for bit, mean in enumerate(columns) if mean > 125)


def picture(number: int, size: tuple[int, int] = SIZE, pixels: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame(*size, pixels)
    for i, plane in enumerate(frame.planes):
        lines = np.full((plane.height, plane.line_size), 128, np.uint8)
        if i == 0 and size == SIZE:
            lines[:, : size[0]] = luma(number)
        plane.update(lines.tobytes())
    frame.pts, frame.time_base = number * TICKS, Fraction(1, 90_000)
    return frame


def packets(
    numbers: Sequence[int], size: tuple[int, int] = SIZE, *, b_frames: int = 0, separate: bool = False
) -> tuple[bytes, list[bytes]]:
    """The parameter sets, where they are to be apart, and a packet for each number, in decoding order."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.time_base, context.thread_count = Fraction(1, 90_000), 1
    tune = {} if b_frames else {"tune": "zerolatency"}
    context.options = {"preset": "veryfast", "bf": str(b_frames), "g": "250", **tune}
    if separate:
        context.flags |= 1 << 22  # global header
    context.open()
    made = []
    for number in numbers:
        made += [bytes(packet) for packet in context.encode(picture(number, size))]
    made += [bytes(packet) for packet in context.encode(None)]
    return bytes(context.extradata or b""), made


def jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = *size, "yuvj420p"
    context.time_base, context.color_range = Fraction(1, 25), 2
    frame = picture(number, size, "yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


class Reader:
    """Decodes what leaves, as a viewer would: every packet gives its frame at once."""

    def __init__(self, coding: str = "h264", config: bytes = b"") -> None:
        self._context: Any = av.CodecContext.create("mjpeg" if coding == "picture" else "h264", "r")
        self._context.flags |= 1 << 19  # low delay
        if config:
            self._context.extradata = config

    def luma(self, data: bytes) -> NDArray[np.uint8]:
        (frame,) = self._context.decode(av.Packet(data))
        return np.asarray(frame.to_ndarray(format=frame.format.name)[: frame.height])


class Finding:
    """Finds a face at a place in every frame; act is called before, and may raise or take its time."""

    def __init__(self, box: Box | None = LEFT, act: Callable[[int], None] = lambda pts: None) -> None:
        self.box, self.act = box, act
        self.seen: list[int] = []
        self.hides: list[bool] = []

    def __call__(self, analysis: Analysis, format: StreamFormat, nets: Nets) -> Finder:
        return self

    def look(self, batch: FrameBatch) -> Faces:
        pts = int(batch.pts[0])
        self.seen.append(pts)
        self.act(pts)
        rows: Iterator[tuple[int, Face]] = iter(())
        if self.box is not None:
            rows = iter([(0, Face(pts, 7, self.box, 0.9, FaceSource.DETECTED))])
        return Faces.from_rows(rows)

    def hide(self, yes: bool) -> None:
        self.hides.append(yes)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""

    async def poll() -> None:
        while not true():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), 10)


async def free(frames: FrameService) -> None:
    """Wait until nobody has a place."""
    await until(lambda: frames.sessions == 0)


async def left(frames: FrameService) -> None:
    """Wait until it is known of every client that it has gone, even where its frame is under work."""
    await until(lambda: all(session._closed for session in frames._running))


def served(**rules: Any) -> Serving:
    """With nets that ship."""
    from facefx.video.frame_codec import CodecRules

    return serving(RunConfig(detector="blazeface"), CodecRules(**rules))


def service(finding: Finding | None = None, **more: Any) -> FrameService:
    """A service whose sessions find faces as told; none of them loads a net."""
    return FrameService(served(), make=partial(FrameSession, looking=finding or Finding()), **more)
