"""What a decoded frame says beside its pixels: the way up, static HDR data, captions."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from av.sidedata.sidedata import SideDataContainer, Type

from facefx.video.info import Hdr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame

__all__ = ["FrameFacts", "frame_facts", "is_mirrored"]

# libavutil/mastering_display_metadata.h: AVRational display_primaries[3][2], white_point[2],
# min_luminance, max_luminance, int has_primaries, has_luminance; then unsigned MaxCLL, MaxFALL.
_MASTERING = struct.Struct("=20i2i")
_LIGHT_LEVEL = struct.Struct("=2I")
_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """Facts of the first frame that hold for its stream."""

    rotation: int = 0
    mirrored: bool = False
    display_matrix: tuple[int, ...] | None = None
    hdr: Hdr | None = None
    names: tuple[str, ...] = ()


def frame_facts(frame: VideoFrame) -> FrameFacts:
    """Read a decoded frame's side data."""
    # PyAV's stub says that a mapping's keys are walked; its container walks the items.
    # A frame and its own side_data hold each other: the picture would stay until Python looks for cycles.
    items = cast("Iterable[SideData]", SideDataContainer(frame))  # type: ignore[call-arg]
    raw = {item.type: bytes(item) for item in items}
    matrix = None
    if Type.DISPLAYMATRIX in raw:
        matrix = _MATRIX.unpack(raw[Type.DISPLAYMATRIX][: _MATRIX.size])
    mirrored = is_mirrored(matrix)
    return FrameFacts(
        rotation=round(frame.rotation / 90) * 90,
        mirrored=mirrored,
        display_matrix=matrix,
        hdr=_hdr(raw.get(Type.MASTERING_DISPLAY_METADATA), raw.get(Type.CONTENT_LIGHT_LEVEL)),
        names=tuple(sorted(kind.name.lower() for kind in raw)),
    )


def is_mirrored(matrix: tuple[int, ...] | None) -> bool:
    """True where a display matrix flips the picture: its linear part has a negative determinant."""
    return matrix is not None and matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0


def _hdr(mastering: bytes | None, light: bytes | None) -> Hdr | None:
    primaries, luminance, level = None, None, None
    if mastering is not None and len(mastering) >= _MASTERING.size:
        values = _MASTERING.unpack(mastering[: _MASTERING.size])
        if values[20]:
            primaries = tuple(_steps(values[i], values[i + 1], 50000) for i in range(0, 16, 2))
        if values[21]:
            luminance = (_steps(values[16], values[17], 10000), _steps(values[18], values[19], 10000))
    if light is not None and len(light) >= _LIGHT_LEVEL.size:
        # CTA-861.3: zero for both means unknown, which is the same as not saying anything.
        level = _LIGHT_LEVEL.unpack(light[: _LIGHT_LEVEL.size])
        level = level if any(level) else None
    if primaries is None and luminance is None and level is None:
        return None
    return Hdr(primaries, luminance, level)


def _steps(numerator: int, denominator: int, scale: int) -> int:
    return round(numerator * scale / denominator) if denominator else 0
