"""A contact sheet: what an output shows, at a glance, as one small JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefx.errors import SinkError
from facefx.faces.picture import Upright, colour_planes, shrink_planes
from facefx.telemetry.drawing import Drawing, Label
from facefx.telemetry.raster import png
from facefx.values import Planes, StreamFormat
from facefx.video.glimpse import glimpses
from facefx.video.info import MediaInfo
from facefx.video.probe import probe

__all__ = ["MOST_BYTES", "clock", "contact_sheet", "to_sdr"]

MOST_BYTES = 60_000

_GAP, _LABEL = 6, 20
_AREA = 240 * 135  # pixels of a thumbnail, whatever its shape
_ACROSS = 990
_SHAPES = (0.3, 3.4)  # narrowest and widest that is still shown whole at that area
_QUALITIES = (85, 75, 65, 55, 45, 35, 25)

# ITU-T H.273 table 3.
_PQ, _HLG = 16, 18
# ITU-R BT.2408 §2.1: what a diffuse white has in HDR, in cd/m²; and what HLG is made for.
_WHITE_NITS, _HLG_NITS = 203.0, 1000.0
_KNEE = 0.8
# Linear BT.2020 to BT.709, red first. Source: ITU-R BT.2087-0 §2.2, inverted.
_TO_709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    np.float32,
)


def contact_sheet(path: Path, info: MediaInfo | None = None, most: int = 12) -> bytes:
    """Show up to `most` frames of a video, spread over its length, upright, the time below each.

    path: of an output, never of an input: the sheet shows what is to be seen of faces. info: what probe
    found, where that is known. Give JPEG of at most 60 kB.

    Raises SourceError, UnsupportedError.
    """
    info = info or probe(path)
    layout = _Layout.of(info.video.format)
    cells = [
        (_thumbnail(info.video.format, glimpse.planes, layout), clock(glimpse.time_s))
        for glimpse in glimpses(path, info, most)
    ]
    return _coded(path, _sheet(cells, layout))


def clock(seconds: float) -> str:
    """A time as a player shows it, to the tenth.

    >>> clock(7.26), clock(605), clock(3725.04)
    ('0:07.3', '10:05.0', '1:02:05.0')
    """
    tenths = round(max(seconds, 0.0) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


@dataclass(frozen=True, slots=True)
class _Layout:
    """The size of a thumbnail and how many stand side by side."""

    width: int
    height: int
    columns: int

    @classmethod
    def of(cls, format: StreamFormat) -> _Layout:
        upright = Upright(format)
        shape = min(max(upright.width / upright.height, _SHAPES[0]), _SHAPES[1])
        width = round(sqrt(_AREA * shape))
        return cls(width, round(width * upright.height / upright.width), max(1, _ACROSS // width))


def _thumbnail(format: StreamFormat, planes: Planes, layout: _Layout) -> NDArray[np.uint8]:
    """A frame, blue first, as a viewer sees it."""
    upright = Upright(format)
    width, height = upright.stored_size(layout.width, layout.height)
    parts = colour_planes(shrink_planes(planes, width, height), format.color)
    parts = to_sdr(parts, format.color.transfer)
    turned = upright.turn(np.clip(np.rint(parts), 0, 255).astype(np.uint8))
    return np.ascontiguousarray(turned.transpose(1, 2, 0))


def to_sdr(parts: NDArray[np.float32], transfer: int) -> NDArray[np.float32]:
    """Bring (3, h, w) B, G, R codes of 0..255 from HDR to what an ordinary screen shows; others as they are.

    A diffuse white becomes nearly white; what is brighter is pressed together above it, hues kept.

    Source: ITU-R BT.2100-2 tables 4 and 5.
    """
    if transfer not in (_PQ, _HLG):
        return parts
    codes = np.asarray(np.clip(parts[::-1] / 255, 0, 1), np.float32)
    linear = _from_pq(codes) if transfer == _PQ else _from_hlg(codes)
    rgb = np.maximum(np.einsum("ij,jhw->ihw", _TO_709, linear / _WHITE_NITS), 0)
    brightest = np.maximum(rgb.max(axis=0), np.float32(1e-6))
    above = 1 - np.exp(-np.maximum(brightest - _KNEE, 0) / (2 * (1 - _KNEE)))
    pressed = np.where(brightest > _KNEE, _KNEE + (1 - _KNEE) * above, brightest)
    return np.asarray(255 * (rgb * (pressed / brightest))[::-1] ** (1 / 2.2), np.float32)


def _from_pq(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Codes of the perceptual quantiser as cd/m²."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = codes ** (1 / m2)
    return np.asarray(10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1), np.float32)


def _from_hlg(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Codes of hybrid log-gamma as cd/m² on a screen of 1000."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    luma = np.einsum("i,ihw->hw", np.array([0.2627, 0.6780, 0.0593], np.float32), scene)
    return np.asarray(_HLG_NITS * scene * np.maximum(luma, 1e-6) ** 0.2, np.float32)


def _sheet(cells: list[tuple[NDArray[np.uint8], str]], layout: _Layout) -> NDArray[np.uint8]:
    columns = min(layout.columns, len(cells))
    step_x, step_y = layout.width + _GAP, layout.height + _LABEL + _GAP
    page = Drawing(columns * step_x + _GAP, ceil(len(cells) / columns) * step_y + _GAP)
    corners = [(_GAP + i % columns * step_x, _GAP + i // columns * step_y) for i in range(len(cells))]
    for (x, y), (_, time) in zip(corners, cells, strict=True):
        page.text(Label(x + layout.width / 2, y + layout.height + 15, time, "ink", 12, "middle"))
    drawn = cv2.imdecode(np.frombuffer(png(page, "dark"), np.uint8), cv2.IMREAD_COLOR)
    sheet = np.asarray(cv2.resize(drawn, (page.width, page.height), interpolation=cv2.INTER_AREA), np.uint8)
    for (x, y), (picture, _) in zip(corners, cells, strict=True):
        sheet[y : y + layout.height, x : x + layout.width] = picture
    return sheet


def _coded(path: Path, sheet: NDArray[np.uint8]) -> bytes:
    """JPEG of the best quality that is small enough; pictures of noise alone are made smaller too."""
    while True:
        for quality in _QUALITIES:
            fine, coded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not fine:
                raise SinkError(
                    f"{path}: its contact sheet of {sheet.shape[:2]} pixels does not fit into a JPEG"
                )
            if coded.size <= MOST_BYTES:
                return bytes(coded.tobytes())
        size = (sheet.shape[1] * 2 // 3, sheet.shape[0] * 2 // 3)
        sheet = np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), np.uint8)
