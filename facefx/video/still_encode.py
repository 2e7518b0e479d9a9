"""An edited photo to the bytes of a file, its metadata with it.

What a source's kind does to its pixels is done no second time where it can be helped: a JPEG is coded with
its own tables and chroma sampling, PNG and lossless WebP keep every sample, a lossy WebP gets the first
quality at which what no effect touched stays close.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from facefx.errors import SinkError, UnsupportedError
from facefx.values import Planes
from facefx.video.still_jpeg import Jpeg
from facefx.video.still_jpeg_code import JpegRecipe, encode_jpeg, fresh_recipe
from facefx.video.still_kinds import TargetKind
from facefx.video.still_pixels import Samples, to_ycbcr
from facefx.video.still_png import Png, read_png
from facefx.video.still_source import Still
from facefx.video.still_webp import WebP, read_webp

__all__ = ["FRESH_QUALITY", "WEBP_QUALITIES", "Encoded", "Image", "encode_still"]

FRESH_QUALITY = 95
"""Quality of a JPEG that is made from another kind of file: chroma at full size, differences not seen."""

WEBP_QUALITIES = (80, 90, 95, 100)
"""Tried in this order for a lossy WebP that must be coded anew."""

_WEBP_SIDE = 16383
Image = Jpeg | Png | WebP


@dataclass(frozen=True, slots=True)
class Encoded:
    """A coded picture with no metadata yet; how: in words, for the report. exact: no sample was lost."""

    image: Image
    how: str
    exact: bool


def encode_still(still: Still, target: TargetKind, *, lossless: bool = False) -> Iterator[Encoded]:
    """Code a photo as `target`: the first choice, then what to take if that is not close enough.

    Raises UnsupportedError where the kind of file cannot hold it.
    """
    if target == "jpeg":
        yield _jpeg(still, lossless)
    elif target == "png":
        yield Encoded(_png(still), "PNG, every sample kept", exact=True)
    else:
        yield from _webps(still, lossless)


def _jpeg(still: Still, lossless: bool) -> Encoded:
    if lossless:
        raise UnsupportedError(f"{still.path}: a JPEG cannot be lossless; write a .png or .webp")
    if still.alpha is not None and bool((still.alpha != np.iinfo(still.alpha.dtype).max).any()):
        raise UnsupportedError(f"{still.path}: is transparent, which a JPEG cannot be; write a .png or .webp")
    if isinstance(still.container, Jpeg):
        jpeg = still.container
        recipe = JpegRecipe(jpeg.components, jpeg.tables(still.path), again=True)
        planes: Planes = still.grid
        if still.samples is not None:
            if any((part.h, part.v) != (1, 1) for part in jpeg.components):
                raise UnsupportedError(f"{still.path}: an RGB JPEG with shrunk planes; convert it first")
            planes = tuple(still.samples[..., i] for i in range(3))
        return Encoded(
            encode_jpeg(planes, still.size, recipe), "JPEG with the source's own tables", exact=False
        )
    assert still.samples is not None
    samples = _eight_bits(still.samples)
    planes = (samples[..., 0],) if samples.shape[2] == 1 else to_ycbcr(samples, 8)
    jpeg = encode_jpeg(planes, still.size, fresh_recipe(len(planes), FRESH_QUALITY))
    return Encoded(jpeg, f"JPEG of quality {FRESH_QUALITY}, 4:4:4", exact=False)


def _eight_bits(samples: Samples) -> NDArray[np.uint8]:
    if samples.dtype == np.uint8:
        return samples
    return np.asarray((samples.astype(np.uint32) * 255 + 32767) // 65535, np.uint8)


def _png(still: Still) -> Png:
    assert still.samples is not None
    parts = [still.samples] if still.alpha is None else [still.samples, still.alpha[..., None]]
    stacked = np.concatenate(parts, axis=2)
    deep = stacked.dtype != np.uint8
    names = {1: ("gray", "gray16be"), 2: ("ya8", "ya16be"), 3: ("rgb24", "rgb48be"), 4: ("rgba", "rgba64be")}
    raw = np.ascontiguousarray(stacked.astype(">u2") if deep else stacked)
    frame = _packed_frame(raw, names[stacked.shape[2]][deep])
    return read_png(_coded(still, "png", frame, {"pred": "mixed"}), still.path)


def _webps(still: Still, lossless: bool) -> Iterator[Encoded]:
    if max(still.size) > _WEBP_SIDE:
        raise UnsupportedError(f"{still.path}: {still.size}: a WebP has at most {_WEBP_SIDE} pixels a side")
    if still.samples is not None:
        if still.samples.dtype != np.uint8:
            raise UnsupportedError(f"{still.path}: has 16 bits a sample, a WebP has 8; write a .png")
        yield Encoded(_lossless_webp(still), "lossless WebP", exact=True)
        return
    for quality in WEBP_QUALITIES:
        frame = _planar_frame(still)
        data = _coded(still, "libwebp", frame, {"quality": str(quality)})
        yield Encoded(read_webp(data, still.path), f"WebP of quality {quality}", exact=False)


def _lossless_webp(still: Still) -> WebP:
    assert still.samples is not None
    samples = still.samples if still.samples.shape[2] == 3 else np.repeat(still.samples, 3, axis=2)
    alpha = still.alpha if still.alpha is not None else np.full(samples.shape[:2], 255, np.uint8)
    frame = _packed_frame(np.dstack([samples[..., ::-1], alpha]), "bgra")
    return read_webp(_coded(still, "libwebp", frame, {"lossless": "1", "quality": "75"}), still.path)


def _planar_frame(still: Still) -> av.VideoFrame:
    planes = still.planes if still.alpha is None else (*still.planes, still.alpha)
    frame = av.VideoFrame(*still.size, "yuv420p" if still.alpha is None else "yuva420p")
    for target, plane in zip(frame.planes, planes, strict=True):
        _fill(target, plane)
    return frame


def _packed_frame(pixels: NDArray[Any], name: str) -> av.VideoFrame:
    frame = av.VideoFrame(pixels.shape[1], pixels.shape[0], name)
    _fill(frame.planes[0], np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1))
    return frame


def _fill(plane: Any, data: NDArray[np.uint8]) -> None:
    lines = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
    lines[: data.shape[0], : data.shape[1]] = data
    plane.update(lines)


def _coded(still: Still, codec: str, frame: av.VideoFrame, options: dict[str, str]) -> bytes:
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base, context.thread_count = Fraction(1, 1), 1
    context.options = options
    frame.pts = 0
    try:
        return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    except av.error.FFmpegError as error:
        raise SinkError(f"{still.path}: the {codec} encoder failed: {error.strerror}") from error
