"""What a person sees of a running stream: its newest frame, small, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facefx.pipeline.pictures import upright_rgb
from facefx.values import FrameBatch, Patch, Planes

__all__ = ["Newest", "Picture", "Preview", "make_preview"]

_LONG_SIDE = 480
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Picture:
    """A small upright picture. jpeg: its bytes; width, height in pixels."""

    jpeg: bytes
    width: int
    height: int


Preview = tuple[Picture | None, Picture]


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """The frame that went out last.

    before: its planes as they came, kept only where nobody is hidden. hidden: whoever is in it is.
    """

    batch: FrameBatch
    patches: Sequence[Patch]
    before: Planes | None
    hidden: bool


def make_preview(newest: Newest) -> Preview:
    """Draw (before, after); before is None where faces are hidden."""
    batch = newest.batch
    after = tuple(np.array(plane) for plane in batch.view(0))
    for patch in newest.patches:  # the output may have pasted them already, which changes nothing
        patch.paste(after)
    return None if newest.before is None else _picture(batch, newest.before), _picture(batch, after)


def _picture(batch: FrameBatch, planes: Planes) -> Picture:
    rgb = upright_rgb(batch.format, planes)
    height, width = rgb.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Picture(encoded.tobytes(), size[0], size[1])
