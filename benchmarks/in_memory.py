"""Pictures as batches and faces as pixels, without a file between: what bench_cover and tests judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.effects.chain import EffectChain
from facefx.effects.registry import make_effect, parse_effect
from facefx.faces.analyze import FaceAnalyzer
from facefx.values import Color, Faces, FrameBatch, PixelFormat, StreamFormat

__all__ = ["analyzed", "hidden_lumas", "still"]


def still(bgr: NDArray[np.uint8]) -> FrameBatch:
    """A picture as a batch of one 4:2:0 frame, BT.601; an odd last line or column is left out."""
    height, width = bgr.shape[0] // 2 * 2, bgr.shape[1] // 2 * 2
    packed = cv2.cvtColor(bgr[:height, :width], cv2.COLOR_BGR2YUV_I420).ravel()
    luma, chroma, shape = height * width, height * width // 4, (height // 2, width // 2)
    planes = (
        packed[:luma].reshape(height, width),
        packed[luma : luma + chroma].reshape(shape),
        packed[luma + chroma :].reshape(shape),
    )
    format = StreamFormat(PixelFormat.of("yuv420p"), width, height, Fraction(1, 25), Color("bt601"))
    return FrameBatch(format, (planes,), np.zeros(1, np.int64), np.zeros(1, np.int64))


def analyzed(analyzer: FaceAnalyzer, batches: Iterable[FrameBatch]) -> Iterator[tuple[FrameBatch, Faces]]:
    """Push everything through, and flush."""
    for batch in batches:
        yield from analyzer.push(batch)
    yield from analyzer.flush()


def hidden_lumas(
    pairs: Iterable[tuple[FrameBatch, Faces]], effect: str = "solid"
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The luma of every frame, before and after the effect; nothing is encoded. 8-bit streams only."""
    chain: EffectChain | None = None
    for batch, faces in pairs:
        chain = chain or EffectChain([make_effect(parse_effect(effect))], batch.format, b"cover")
        for i in range(len(batch)):
            planes = batch.view(i)
            patches = chain.frame(i, planes, faces.of_frame(i))
            if not patches:
                yield planes[0], planes[0]
                continue
            changed = tuple(plane.copy() for plane in planes)
            for patch in patches:
                patch.paste(changed)
            yield planes[0], changed[0]
