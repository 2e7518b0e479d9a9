"""A photo as one frame in planes that effects can edit, with all that must come through unharmed.

A JPEG and a lossy WebP are edited in their own planes. Whatever else, and whatever is to become another
kind of file, is edited as the RGB or grey samples that a viewer shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.errors import DamagedError, UnsupportedError
from facefx.values import Color, FrameBatch, Patch, PixelFormat, Planes, StreamFormat
from facefx.video.guard import Limits
from facefx.video.still_exif import orientation_of
from facefx.video.still_heif import Heif, read_heif
from facefx.video.still_jpeg import Jpeg, read_jpeg
from facefx.video.still_kinds import (
    STILL_LIMITS,
    StillKind,
    TargetKind,
    check_pixels,
    checked_kind,
    read_bytes,
)
from facefx.video.still_pixels import Samples, pasted_samples, planes_of
from facefx.video.still_png import Png, check_whole, read_png
from facefx.video.still_webp import WebP, read_webp

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = [
    "Container", "Still", "decode_samples", "decoded_still", "open_still", "read_container", "still_of",
    "take_container", "turn_of",
]  # fmt: skip

Container = Jpeg | Png | WebP | Heif

# What a viewer does with the stored picture, as a display matrix says it: degrees anticlockwise, and
# whether the picture is flipped top to bottom before. Source: CIPA DC-008 §4.6.5, tag Orientation.
_TURNS = {
    1: (0, False), 2: (180, True), 3: (180, False), 4: (0, True),
    5: (270, True), 6: (270, False), 7: (90, True), 8: (90, False),
}  # fmt: skip
_TIME_BASE = Fraction(1, 1000)
# Packed formats that the decoders of PNG and WebP give: samples, their type, and which are R, G, B, alpha.
_PACKED: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "gray": (1, "u1", (0,)),
    "ya8": (2, "u1", (0, 1)),
    "gray16be": (1, ">u2", (0,)),
    "ya16be": (2, ">u2", (0, 1)),
    "rgb24": (3, "u1", (0, 1, 2)),
    "rgba": (4, "u1", (0, 1, 2, 3)),
    "argb": (4, "u1", (1, 2, 3, 0)),
    "bgra": (4, "u1", (2, 1, 0, 3)),
    "rgb48be": (3, ">u2", (0, 1, 2)),
    "rgba64be": (4, ">u2", (0, 1, 2, 3)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """One decoded photo.

    format, planes: what effects see and edit; rotation and mirrored from the orientation. samples: the
    stored RGB or grey where the planes are only a view of them, else None. grid: a JPEG's planes with the
    rest of their last blocks, of which planes are the visible part. alpha: (h, w), as stored.
    """

    path: Path
    kind: StillKind
    container: Container
    format: StreamFormat
    planes: Planes
    samples: Samples | None = None
    grid: Planes = ()
    alpha: NDArray[Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the stored picture."""
        return self.format.width, self.format.height

    @property
    def batch(self) -> FrameBatch:
        """The photo as a stream of one frame."""
        zero = np.zeros(1, np.int64)
        return FrameBatch(self.format, (self.planes,), zero, zero)

    def with_patches(self, patches: Sequence[Patch], whole: bool) -> Still:
        """A photo of its own memory with the patches pasted; see pasted_samples for `whole`."""
        if self.samples is not None:
            return replace(self, samples=pasted_samples(self.samples, self.planes, patches, whole))
        grid = tuple(plane.copy() for plane in self.grid or self.planes)
        planes = _visible(grid, self.format)
        for patch in patches:
            patch.paste(planes)
            _hide_rest(patch, grid, planes)
        return replace(self, planes=planes, grid=grid if self.grid else ())


def _visible(grid: Planes, format: StreamFormat) -> Planes:
    shapes = format.pixels.plane_shapes(format.width, format.height)
    return tuple(plane[: shape[0], : shape[1]] for plane, shape in zip(grid, shapes, strict=True))


def _hide_rest(patch: Patch, grid: Planes, planes: Planes) -> None:
    """Repeat the edge beyond the picture where a patch reaches it: the rest of a block is in the file too."""
    format = patch.format
    right, bottom = patch.x + patch.width == format.width, patch.y + patch.height == format.height
    for i, (whole, seen) in enumerate(zip(grid, planes, strict=True)):
        shift_x, shift_y = (format.pixels.shift_x, format.pixels.shift_y) if i else (0, 0)
        top, left = patch.y >> shift_y, patch.x >> shift_x
        height, width = seen.shape
        if right:
            rows = slice(top, -(-(patch.y + patch.height) >> shift_y))
            whole[rows, width:] = seen[rows, -1:]
        if bottom:
            # With the corner where the patch reaches both edges.
            columns = slice(left, None if right else -(-(patch.x + patch.width) >> shift_x))
            whole[height:, columns] = whole[height - 1 : height, columns]


def turn_of(orientation: int) -> tuple[int, bool]:
    """Rotation in degrees anticlockwise and mirroring, as StreamFormat has them, for EXIF's 1 to 8.

    >>> turn_of(6), turn_of(2)
    ((270, False), (180, True))
    """
    return _TURNS[orientation]


def read_container(path: Path, limits: Limits = STILL_LIMITS) -> tuple[Container, StillKind]:
    """Read a photo's file without decoding a pixel.

    Raises SourceError, DamagedError, UnsupportedError.
    """
    data, kind = read_bytes(path)
    return take_container(data, kind, path, limits), kind


def take_container(data: bytes, kind: StillKind, path: Path, limits: Limits = STILL_LIMITS) -> Container:
    """Read a photo's file from its bytes, without decoding a pixel. path: its name, for messages.

    Raises SourceError, DamagedError, UnsupportedError, TooLargeError.
    """
    readers: dict[StillKind, Callable[[bytes, Path], Container]] = {
        "jpeg": read_jpeg,
        "png": read_png,
        "webp": read_webp,
        "heif": read_heif,
    }
    container = readers[kind](data, path)
    check_pixels(path, *container.size, limits)
    return container


def open_still(
    path: Path, target: TargetKind, *, lossless: bool = False, limits: Limits = STILL_LIMITS
) -> Still:
    """Read and decode a photo that is to become a file of kind `target`.

    lossless: its samples are to be kept exactly, so that they are edited as a viewer shows them.

    Raises SourceError, DamagedError for a file that does not decode whole, UnsupportedError.
    """
    container, kind = read_container(path, limits)
    return decoded_still(container, kind, path, target, lossless=lossless)


def still_of(
    data: bytes, path: Path, target: TargetKind, *, lossless: bool = False, limits: Limits = STILL_LIMITS
) -> Still:
    """The same of a photo whose bytes are at hand. path: its name, for messages.

    Raises what open_still raises.
    """
    kind = checked_kind(data, path)
    container = take_container(data, kind, path, limits)
    return decoded_still(container, kind, path, target, lossless=lossless)


def decoded_still(
    container: Container, kind: StillKind, path: Path, target: TargetKind, *, lossless: bool = False
) -> Still:
    """Decode a photo of which the file has been read; see open_still.

    Raises DamagedError for a file that does not decode whole, UnsupportedError.
    """
    if kind == target and not lossless:
        if isinstance(container, Jpeg) and not container.is_rgb:
            return _native_jpeg(path, container)
        if isinstance(container, WebP) and not container.lossless:
            return _native_webp(path, container)
    samples, alpha = decode_samples(container, path)
    pixels, color, planes = planes_of(samples)
    format = _format(pixels, samples.shape[1], samples.shape[0], color, container)
    return Still(path, kind, container, format, planes, samples=samples, alpha=alpha)


def _format(pixels: PixelFormat, width: int, height: int, color: Color, container: Container) -> StreamFormat:
    orientation = 1 if isinstance(container, Heif) else orientation_of(container.metadata.exif)
    rotation, mirrored = turn_of(orientation)
    return StreamFormat(pixels, width, height, _TIME_BASE, color, rotation, mirrored)


def _native_jpeg(path: Path, jpeg: Jpeg) -> Still:
    """Decode a JPEG's own planes, with the rest of the blocks that its edge cuts."""
    jpeg.tables(path)  # a decoder makes do without them, but it cannot be coded again
    (width, height), parts = jpeg.size, jpeg.components
    across, down = max(part.h for part in parts), max(part.v for part in parts)
    # A scan of a single plane has as many blocks as the size says: no more may be asked for.
    plain = jpeg.progressive or jpeg.separate
    step_x, step_y = (8, 8) if plain else (8 * across, 8 * down)
    padded = -(-width // step_x) * step_x, -(-height // step_y) * step_y
    frame = _decoded("mjpeg", jpeg.image_only(padded), path, padded)
    color = Color("bt601", full_range=True, range_tag=2)
    try:
        pixels = PixelFormat.of(frame.format.name)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"{path}: a JPEG with planes of unusual sizes ({frame.format.name}); save it anew or as PNG first"
        ) from error
    grid = tuple(_plane(frame, i, shape) for i, shape in enumerate(pixels.plane_shapes(*padded)))
    format = _format(pixels, width, height, color, jpeg)
    return Still(path, "jpeg", jpeg, format, _visible(grid, format), grid=grid)


def _native_webp(path: Path, webp: WebP) -> Still:
    """Decode a lossy WebP's own planes; alpha apart."""
    _by_opencv(webp.image_only(), path, cv2.IMREAD_UNCHANGED)  # refuses what the other passes over: cut data
    frame = _decoded("webp", webp.image_only(), path, webp.size)
    pixels, color = PixelFormat.of("yuv420p"), Color("bt601", space=5, range_tag=1)
    if frame.format.name not in ("yuv420p", "yuva420p"):
        raise UnsupportedError(f"{path}: a WebP that decodes as {frame.format.name}; convert it first")
    format = _format(pixels, *webp.size, color, webp)
    planes = tuple(_plane(frame, i, shape) for i, shape in enumerate(pixels.plane_shapes(*webp.size)))
    alpha = _plane(frame, 3, planes[0].shape) if frame.format.name == "yuva420p" else None
    return Still(path, "webp", webp, format, planes, alpha=alpha)


def decode_samples(container: Container, path: Path) -> tuple[Samples, NDArray[Any] | None]:
    """Decode a photo as a viewer shows it, before its turn: RGB or grey, and alpha where it has one.

    Raises DamagedError, UnsupportedError.
    """
    if isinstance(container, Heif):
        return container.decode(path)
    if isinstance(container, Jpeg):
        return _jpeg_samples(container, path), None
    name = "png" if isinstance(container, Png) else "webp"
    if isinstance(container, Png):
        check_whole(container, path)
    elif not container.lossless:
        return _webp_samples(container, path)
    frame = _decoded(name, container.image_only(), path, container.size)
    samples, alpha = _unpacked(frame, path)
    if isinstance(container, WebP) and not container.has_alpha:
        alpha = None
    if isinstance(container, Png) and container.clear_grey is not None:
        alpha = np.where(samples[..., 0] == container.clear_grey, 0, 255).astype(np.uint8)
    return samples, alpha


def _decoded(codec: str, data: bytes, path: Path, size: tuple[int, int]) -> VideoFrame:
    """Decode one picture whole, or fail."""
    context: Any = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    context.options = {"err_detect": "explode", "max_pixels": str(size[0] * size[1] + (1 << 20))}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise _spoilt(path) from error
    if len(frames) != 1 or (frames[0].width, frames[0].height) != size or frames[0].is_corrupt:
        raise _spoilt(path)
    frame: VideoFrame = frames[0]
    return frame


def _spoilt(path: Path) -> DamagedError:
    return DamagedError(
        f"{path}: the photo does not decode whole: it is damaged or cut short; get a better copy",
        decoded=0,
        expected=1,
    )


def _plane(frame: VideoFrame, number: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Copy one 8-bit plane."""
    plane = frame.planes[number]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: shape[0], : shape[1]].copy()


def _unpacked(frame: VideoFrame, path: Path) -> tuple[Samples, NDArray[Any] | None]:
    """Samples and alpha of a decoded frame of one packed plane."""
    name = frame.format.name
    if name in ("pal8", "monob", "monow"):
        # Exact: indices are looked up, one bit becomes 0 or 255.
        frame = frame.reformat(format="rgba" if name == "pal8" else "gray")
    if frame.format.name not in _PACKED:
        raise UnsupportedError(f"{path}: decodes as {name}, which is not carried; convert it first")
    count, kind, order = _PACKED[frame.format.name]
    raw = _plane(frame, 0, (frame.height, frame.width * count * np.dtype(kind).itemsize))
    parts = raw.view(kind).reshape(frame.height, frame.width, count)
    parts = parts.astype(np.dtype(kind).newbyteorder("="))
    colour = order[:3] if count >= 3 else order[:1]
    alpha = parts[..., order[-1]].copy() if count in (2, 4) else None
    if name == "pal8" and alpha is not None and bool((alpha == 255).all()):
        alpha = None
    return np.ascontiguousarray(parts[..., colour]), alpha


def _jpeg_samples(jpeg: Jpeg, path: Path) -> Samples:
    """RGB or grey by the library that most viewers use; what it only warns about, the other refuses."""
    _decoded("mjpeg", jpeg.image_only(), path, jpeg.size)
    grey = len(jpeg.components) == 1
    return _by_opencv(jpeg.image_only(), path, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)


def _webp_samples(webp: WebP, path: Path) -> tuple[Samples, NDArray[Any] | None]:
    parts = _by_opencv(webp.image_only(), path, cv2.IMREAD_UNCHANGED)
    return np.ascontiguousarray(parts[..., :3]), parts[..., 3].copy() if parts.shape[2] == 4 else None


def _by_opencv(data: bytes, path: Path, flag: int) -> Samples:
    """(h, w, c) with red first."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise _spoilt(path) from error
    if pixels is None:
        raise _spoilt(path)
    if pixels.ndim == 2:
        return np.asarray(pixels[..., None])
    return np.asarray(np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=2))
