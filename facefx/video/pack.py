"""Frames that change their process: a batch that pickles, and frames made of it again.

A decoder's frame cannot travel: its memory is FFmpeg's. What travels is its planes, copied once, by whoever
carries them, and what it says of itself; at the other end a frame lies upon that memory, without another
copy, and an encoder makes the same bytes from it as from the decoder's own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type
from numpy.typing import NDArray

from facefx.errors import UnsupportedError
from facefx.values import FieldOrder, FrameBatch, Planes, StreamFormat
from facefx.video.guard import foreign_errors
from facefx.video.planes import write_views

if TYPE_CHECKING:
    from av.filter.context import FilterContext
    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

    from facefx.video.info import MediaInfo

__all__ = [
    "PackedBatch",
    "Packing",
    "can_pack",
    "can_pack_batch",
    "is_lent",
    "own_frame",
    "own_pixels",
    "pack",
    "unpack",
]

# Encoders read lines in vectors, which begin where a decoder's lines would and may end behind the last.
_ALIGN, _SLACK = 64, 2048
# What no encoder of ours takes from a frame: the sink writes it from MediaInfo, or it tells of the old bits.
_IDLE = frozenset(
    kind.name.lower()
    for kind in (
        Type.DISPLAYMATRIX,
        Type.MASTERING_DISPLAY_METADATA,
        Type.CONTENT_LIGHT_LEVEL,
        Type.AMBIENT_VIEWING_ENVIRONMENT,
        Type.SPHERICAL,
        Type.SEI_UNREGISTERED,
        Type.MOTION_VECTORS,
        Type.VIDEO_ENC_PARAMS,
        Type.FILM_GRAIN_PARAMS,
        Type.GOP_TIMECODE,
        Type.S12M_TIMECODE,
        Type.AFD,
    )
)
_PANSCAN = Type.PANSCAN.name.lower()
# libavcodec/defs.h, AVPanScan: int id, width, height in 1/16 pixel, then positions.
_PANSCAN_SIZE = struct.Struct("=3i")
_KINDS = frozenset(kind.name.lower() for kind in Type)


@dataclass(frozen=True, slots=True)
class Packing:
    """Whether frames can travel; false with the reason."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True, eq=False)
class PackedBatch:
    """A FrameBatch that pickles: with protocol 5 its pixels travel out of band, and lie in one block then.

    planes: of each frame, whole lines with their padding, (h, bytes a line) uint8; the decoder's own memory
    until it has travelled, and read only. duration: (n,) int64 in format.time_base. order: (n,) uint8
    FieldOrder. color: (n, 4) range, primaries, transfer and space by FFmpeg's numbers. tail: nothing; a
    vector that begins in the last line may end in it.
    """

    format: StreamFormat
    planes: tuple[tuple[NDArray[np.uint8], ...], ...]
    pts: NDArray[np.int64]
    index: NDArray[np.int64]
    duration: NDArray[np.int64]
    order: NDArray[np.uint8]
    color: NDArray[np.int32]
    tail: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels, padding included."""
        return sum(plane.nbytes for planes in self.planes for plane in planes)


def can_pack(info: MediaInfo) -> Packing:
    """Say whether a source's frames can be rebuilt in another process; what its first frame says decides.

    >>> bool(Packing()), bool(Packing("closed captions"))
    (True, False)
    """
    # The names of a container's own side data ("Stereo 3D") are not of a frame and reach the sink by info.
    names = {name for name in info.video.side_data if name in _KINDS} - {_PANSCAN}
    return _packing(names)


def can_pack_batch(batch: FrameBatch) -> Packing:
    """The same of frames at hand: captions may begin anywhere, and a frame may leave the field order."""
    names: set[str] = set()
    for native in batch.native:
        frame = cast("VideoFrame", native)
        if batch.format.field_order and not frame.interlaced_frame:
            return Packing("a progressive frame in an interlaced stream, whose field order cannot be read")
        # PyAV's stub says that a mapping's keys are walked; its container walks the items.
        items = cast("Iterable[SideData]", SideDataContainer(frame))  # type: ignore[call-arg]
        names.update(item.type.name.lower() for item in items if not _is_whole_panscan(item, batch.format))
    return _packing(names)


def _packing(names: set[str]) -> Packing:
    held = sorted(names - _IDLE)
    return Packing(f"{', '.join(held)} beside the pictures cannot be put back" if held else "")


def _is_whole_panscan(item: SideData, format: StreamFormat) -> bool:
    """MPEG-2's decoder says of every frame that all of it is to be shown, as its encoder assumes."""
    if item.type != Type.PANSCAN:
        return False
    _, width, height = _PANSCAN_SIZE.unpack_from(bytes(item))
    return (width, height) in ((0, 0), (16 * format.width, 16 * format.height))


def pack(batch: FrameBatch) -> PackedBatch:
    """View a batch so that it pickles, with all that an encoder takes from its frames; no pixel is copied.

    Nobody may write into the frames until it has travelled. Raises UnsupportedError where `can_pack_batch`
    says no.
    """
    packing = can_pack_batch(batch)
    if not packing:
        raise UnsupportedError(f"frames cannot change their process: {packing.reason}; use one process")
    frames = [cast("VideoFrame", native) for native in batch.native]
    with foreign_errors("frames", "packing pictures"):
        orders = _orders(frames, batch.format)
    return PackedBatch(
        format=batch.format,
        planes=tuple(tuple(_lines(plane) for plane in frame.planes) for frame in frames),
        pts=batch.pts,
        index=batch.index,
        duration=np.array([frame.duration for frame in frames], np.int64),
        order=np.array(orders, np.uint8),
        color=np.array([_color(frame) for frame in frames], np.int32).reshape(len(frames), 4),
        tail=np.zeros(_SLACK, np.uint8),
    )


def unpack(packed: PackedBatch) -> FrameBatch:
    """Make a batch whose frames lie upon the packed pixels; they stay in memory as long as any frame does.

    The frames are the reader's own, the pixels are not: `make_writable` copies them, as with a decoder's.
    """
    format_ = packed.format
    planes = [_views(lines, format_) for lines in packed.planes]
    with foreign_errors("frames", "making frames of packed pixels"):
        native = tuple(_frames(packed, planes))
    # Copies: a number that somebody keeps must not keep the pixels that it travelled with.
    return FrameBatch(format_, tuple(planes), packed.pts.copy(), packed.index.copy(), native)


def is_lent(frame: VideoFrame) -> bool:
    """True for a frame of `unpack` whose pixels are another's still, so that a write would copy them."""
    return isinstance(frame.opaque, _SecondOwner)


def own_frame(frame: VideoFrame, format: StreamFormat) -> VideoFrame:
    """A frame of the same size as one of `unpack`, with memory of its own: for `own_pixels`."""
    own = _upon(write_views(frame, format), format)
    own.make_writable()
    own.opaque = None  # it holds the lent pixels
    return own


def own_pixels(frame: VideoFrame, own: VideoFrame, format: StreamFormat) -> None:
    """Make a writable frame of `own_frame` the same to an encoder as a progressive one of `unpack`."""
    own.pict_type, own.pts, own.time_base = frame.pict_type, frame.pts, frame.time_base
    for target, plane in zip(write_views(own, format), write_views(frame, format), strict=True):
        target[...] = plane
    own.duration = frame.duration
    own.color_range, own.color_primaries, own.color_trc, own.colorspace = _color(frame)


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    """A plane's memory, whole lines; a bottom-up picture is turned over, which is a copy."""
    raw: NDArray[np.uint8] = np.frombuffer(cast("bytearray", plane), np.uint8)
    lines = raw.reshape(plane.height, abs(plane.line_size))
    if plane.line_size < 0:
        lines = lines[::-1].copy()
    lines.flags.writeable = False
    return lines


def _views(lines: tuple[NDArray[np.uint8], ...], format: StreamFormat) -> Planes:
    """The pixels of padded lines, read only."""
    dtype, views = format.pixels.dtype, []
    for plane, shape in zip(lines, format.pixels.plane_shapes(format.width, format.height), strict=True):
        inner = (dtype.itemsize,) if len(shape) == 2 else (shape[2] * dtype.itemsize, dtype.itemsize)
        view: NDArray[Any] = np.ndarray(shape, dtype, plane.data, strides=(plane.shape[1], *inner))
        view.flags.writeable = False
        views.append(view)
    return tuple(views)


def _orders(frames: Sequence[VideoFrame], format: StreamFormat) -> list[FieldOrder]:
    """Which field of each frame comes first: PyAV does not say, but a filter tells them apart."""
    orders = [
        FieldOrder.BOTTOM_FIRST if frame.interlaced_frame else FieldOrder.PROGRESSIVE for frame in frames
    ]
    if any(orders):
        entry, leave, _graph = _filter(format, "select", r"eq(interlace_type\,TOPFIRST)")
        for i, frame in enumerate(frames):
            entry.push(frame)
            with suppress(av.error.BlockingIOError):
                leave.pull()
                orders[i] = FieldOrder.TOP_FIRST
    return orders


def _filter(format: StreamFormat, name: str, argument: str) -> tuple[FilterContext, FilterContext, Graph]:
    """One filter between an entry and an exit; whoever uses them holds the graph."""
    graph = Graph()
    entry = graph.add(
        "buffer",
        video_size=f"{format.width}x{format.height}",
        pix_fmt=format.pixels.name,
        time_base=f"{format.time_base.numerator}/{format.time_base.denominator}",
    )
    leave = graph.add("buffersink")
    graph.link_nodes(entry, graph.add(name, argument), leave).configure()
    return entry, leave, graph


def _color(frame: VideoFrame) -> tuple[int, int, int, int]:
    return int(frame.color_range), int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)


class _SecondOwner:
    """One more reference to a frame's pixels, for which libav copies them before a write."""

    def __init__(self, frame: VideoFrame) -> None:
        self._luma = np.from_dlpack(frame.planes[0])


class _Lent:
    """Says of read-only memory that it may be written, which DLPack asks for; nobody ever does."""

    def __init__(self, plane: NDArray[Any]) -> None:
        self._plane = plane
        self.__array_interface__ = {**plane.__array_interface__, "data": (plane.ctypes.data, False)}


def _frames(packed: PackedBatch, planes: list[Planes]) -> Iterator[VideoFrame]:
    format_ = packed.format
    frames: Iterable[VideoFrame] = (_upon(frame_planes, format_) for frame_planes in planes)
    if packed.order.any():
        frames = _in_fields(frames, format_, [FieldOrder(int(order)) for order in packed.order])
    for i, frame in enumerate(frames):
        frame.pts, frame.time_base = int(packed.pts[i]), format_.time_base
        frame.duration = int(packed.duration[i])
        frame.color_range, frame.color_primaries, frame.color_trc, frame.colorspace = (
            int(number) for number in packed.color[i]
        )
        yield frame


def _upon(planes: Planes, format: StreamFormat) -> VideoFrame:
    """A frame on memory that is not its own: libav copies it before a write, for it has two owners."""
    odd = format.width % (1 << format.pixels.shift_x) or format.height % (1 << format.pixels.shift_y)
    if odd or any(plane.ctypes.data % _ALIGN or plane.strides[0] % _ALIGN for plane in planes):
        return _copied(planes, format)  # PyAV takes no odd sizes, encoders read aligned vectors
    lent = tuple(np.asarray(_Lent(plane)) for plane in planes)
    frame = av.VideoFrame.from_dlpack(lent, format.pixels.name, format.width, format.height)
    frame.opaque = _SecondOwner(frame)
    return frame


def _copied(planes: Planes, format: StreamFormat) -> VideoFrame:
    frame = av.VideoFrame(format.width, format.height, format.pixels.name)
    for target, plane in zip(write_views(frame, format), planes, strict=True):
        target[:] = plane
    return frame


def _in_fields(
    frames: Iterable[VideoFrame], format: StreamFormat, orders: Sequence[FieldOrder]
) -> Iterator[VideoFrame]:
    """Say which field comes first: PyAV sets it nowhere, a filter does; no pixel is touched."""
    setters = {
        FieldOrder.TOP_FIRST: _filter(format, "setfield", "tff"),
        FieldOrder.BOTTOM_FIRST: _filter(format, "setfield", "bff"),
    }
    for frame, order in zip(frames, orders, strict=True):
        if not order:
            yield frame
            continue
        entry, leave, _ = setters[order]
        entry.push(frame)
        yield cast("VideoFrame", leave.pull())
