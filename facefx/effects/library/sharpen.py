"""sharpen: the detail of eyes, brows and lips, or of the whole face."""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facefx.effects.effect import Effect, Rectangle
from facefx.effects.face_grid import face_grid, grown, on_squares, wide_mask
from facefx.effects.guided import shrink
from facefx.effects.kernels import window
from facefx.effects.masks import Grid, Mesh, Points
from facefx.effects.skin import skin_outline
from facefx.effects.skin_effect import StrengthParams
from facefx.effects.tone import add_change
from facefx.values import Face, Patch

__all__ = ["Sharpen"]

# Lengths are in face diameters (Mesh.size).

# Sigma of what counts as detail: lashes and the hairs of a brow.
_DETAIL = 0.005
# A blur of more pixels than this is made on a copy that is shrunk, which costs less.
_MOST_SIGMA_PX = 2.5
# A blur is cut off here, in sigma.
_REACH = 2.5
# The blurred edge of a mask is made so many times as steep: outside a feature, or inside a face, where it
# has then ended a square before the outline.
_WIDER, _NARROWER = 2.5, 5.0
# Detail gains so many times itself at full strength.
_GAIN = 1.0
# In parts of black to white: detail up to the first is grain and is left alone; no more than the second is
# added anywhere, so that hard edges get no halo.
_GRAIN, _MOST = 0.008, 0.08
_FEATURES = ("left_eye", "right_eye", "left_brow", "right_brow", "lips_outer")


class SharpenParams(StrengthParams):
    """Parameters of sharpen."""

    strength: float = Field(0.5, ge=0.0, le=1.0, description="How much detail gains: 0 changes nothing.")
    on: Literal["features", "face"] = Field(
        "features", description="Eyes, brows and lips, or the whole face, skin too."
    )


class Sharpen(Effect):
    """Bring out the detail of eyes, brows and lips: an unsharp mask on luma.

    Grain is not amplified, edges get no halo, and no code leaves the legal range. The two fields of an
    interlaced picture are sharpened each by itself.
    """

    name = "sharpen"
    family = "colour"
    needs = frozenset({"box", "landmarks"})
    Params = SharpenParams
    params: SharpenParams

    def region(self, face: Face) -> Rectangle | None:
        """The features and the fade around them, or the face; None where nothing is to be done."""
        if not self.params.strength:
            return None
        place = face_grid(self.shared, face, self.format)
        if not place.presence:
            return None
        if self.params.on == "face":
            return place.region
        points = np.concatenate(self._outlines(place.mesh))
        return on_squares(points, place.step, self.format, 2.5 * place.fade)

    def apply(self, patch: Patch, face: Face) -> None:
        """Sharpen the luma."""
        region = self.region(face)
        rectangle = Patch.rectangle(self.format, region) if region else None
        if rectangle is None:
            return
        part, place = window(patch, rectangle), face_grid(self.shared, face, self.format)
        grid = Grid.shrunk(part, place.step)
        mask = wide_mask(self._outlines(place.mesh), grid, place.fade)
        # On the whole face the fade ends at its outline; around features it begins within.
        mask = _NARROWER * mask - (_NARROWER - 1) if self.params.on == "face" else _WIDER * mask
        weight = grown(np.clip(mask, 0, 1, out=mask), grid, part, 0)
        fields = 2 if self.format.field_order else 1
        sigma = _DETAIL * place.mesh.size
        for i in range(fields):
            luma = part.planes[0][i::fields]
            change = self._detail(luma, sigma, fields)
            scale = self.params.strength * place.presence * _GAIN
            change = cv2.multiply(change, weight[i::fields], scale=scale, dtype=cv2.CV_32F)
            add_change(luma, change, self.format.color.luma_range)

    def _outlines(self, mesh: Mesh) -> list[Points]:
        if self.params.on == "face":
            return [skin_outline(mesh)]
        return [mesh.outline(name) for name in _FEATURES]

    def _detail(self, luma: NDArray[Any], sigma: float, fields: int) -> NDArray[np.float32]:
        """What a plane has beyond its blurred self, without grain, and nowhere too much; in codes."""
        black, white = self.format.color.luma_range
        codes, times = luma.astype(np.float32), 1
        while sigma / times > _MOST_SIGMA_PX:
            times *= 2
        detail = codes - _blurred(codes, sigma, times, fields)
        grain, most = _GRAIN * (white - black), _MOST * (white - black)
        detail -= np.clip(detail, -grain, grain)
        return np.asarray(np.clip(detail, -most, most, out=detail))


def _blurred(codes: NDArray[np.float32], sigma: float, times: int, fields: int) -> NDArray[np.float32]:
    """Return a Gaussian blur of one field's lines, made on squares of so many luma pixels."""
    down = max(times // fields, 1)
    rows, columns = -(-codes.shape[0] // down), -(-codes.shape[1] // times)
    small = shrink(codes, times, down, (columns, rows))
    # Means of squares, grown linearly, are a blur already: of a quarter square squared.
    sigmas = [
        math.sqrt(max((length / step) ** 2 - (0.25 if step > 1 else 0.0), 0.01))
        for length, step in ((sigma, times), (sigma / fields, down))
    ]
    # OpenCV's own width, for four sigma on each side, takes twice the time.
    sides = [2 * math.ceil(_REACH * each) + 1 for each in sigmas]
    small = cv2.GaussianBlur(small, sides, sigmas[0], sigmaY=sigmas[1], borderType=cv2.BORDER_REPLICATE)
    if times == down == 1:
        return np.asarray(small)
    whole = cv2.resize(small, (columns * times, rows * down), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole[: codes.shape[0], : codes.shape[1]])
