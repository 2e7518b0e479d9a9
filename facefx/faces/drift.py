"""Where the picture around a box went from one frame to the next, from miniatures alone."""

from __future__ import annotations

import math

import cv2
import numpy as np

from facefx.faces.moment import Box
from facefx.faces.motion import grown
from facefx.faces.signature import Signature

__all__ = ["drift"]

# A face and a little around it; less than this many samples each way have too little structure.
_AROUND = 1.3
_LEAST_SAMPLES = 8
# Luma steps (standard deviation): a flat patch matches itself anywhere.
_LEAST_CONTRAST = 4.0
# Share of the two patches' energy that one shift must explain. Noise and unrelated pictures stay below 0.1.
_RESPONSE = 0.2


def drift(before: Signature, after: Signature, box: Box) -> tuple[float, float] | None:
    """Pixels that the picture in and around a box moved, or None where no single shift explains it.

    Source: Kuglin and Hines 1975, phase correlation, as cv2.phaseCorrelate does it.
    """
    height, width = before.small.shape
    x0, y0, x1, y1 = (side / before.step for side in grown(box, _AROUND))
    columns = slice(max(0, int(x0)), min(width, math.ceil(x1)))
    rows = slice(max(0, int(y0)), min(height, math.ceil(y1)))
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if min(size) < _LEAST_SAMPLES:
        return None
    first, second = (signature.small[rows, columns].astype(np.float32) for signature in (before, after))
    if min(first.std(), second.std()) < _LEAST_CONTRAST:
        return None
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    (dx, dy), response = cv2.phaseCorrelate(first, second, window)
    if response < _RESPONSE:
        return None
    return float(dx) * before.step, float(dy) * before.step
