"""Encoder options: how each encoder is asked for a quality, made deterministic and told the HDR data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from facefx.values import FieldOrder
from facefx.video.codecs import ResolvedEncode
from facefx.video.info import Hdr, VideoInfo

__all__ = ["encoder_options", "steady_x264"]

# libavutil/pixdesc.c: names of AVChromaLocation.
_SITINGS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
# prores_ks's option by the name that FFmpeg gives the source's profile.
_PRORES = {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq", "4444": "4444", "XQ": "4444xq"}
_AVX_512F = 13  # OpenCV's core/hal/interface.h: CV_CPU_AVX_512F, which its Python does not name
_QSCALE = {"mpeg2video", "mpeg4", "mjpeg"}


def encoder_options(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    """Options for the encoder's context; every thread count is written out, never left to the machine."""
    options = _RECIPES.get(resolved.encoder, _plain)(resolved, video)
    siting = video.format.color.chroma_location
    if 0 < siting < len(_SITINGS):
        options["chroma_sample_location"] = _SITINGS[siting]
    return options


def _x264(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    params = {"threads": str(resolved.threads), "lookahead-threads": "1"}
    params |= steady_x264()
    if not video.variable_rate:
        # Else the stream would claim one picture a tick (90000 a second), and MPEG-TS readers believe it.
        params["force-cfr"] = "1"
    if video.format.field_order:
        # The header's own word: each frame's flag comes too late for it, and MP4 readers believe the header.
        params["bff" if video.format.field_order == FieldOrder.BOTTOM_FIRST else "tff"] = "1"
    if video.hdr:
        params.update(_named(video.hdr, "mastering-display", "cll"))
    options = {"preset": resolved.preset or "medium", "x264-params": _joined(params)}
    return options | _quality(resolved, {"qp": "0"})


def steady_x264() -> dict[str, str]:
    """Parameters without which x264 makes other bytes of the same frames from run to run.

    Its macroblock tree in AVX-512 reads memory that nobody has written where a row is no whole number of 16
    macroblocks; the results lie a hundredth of a dB apart.
    """
    return {"asm": "avx2"} if _has_avx512() else {}


@cache
def _has_avx512() -> bool:
    import cv2  # asks the processor itself, on every system

    return bool(cv2.checkHardwareSupport(_AVX_512F))


def _x265(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    pools = "none" if resolved.threads == 1 else str(resolved.threads)
    params = {"log-level": "none", "pools": pools, "frame-threads": "1"}
    if resolved.lossless:
        params["lossless"] = "1"
    if video.hdr:
        params.update(_named(video.hdr, "master-display", "max-cll"))
    options = {"preset": resolved.preset or "medium", "x265-params": _joined(params)}
    return options | _quality(resolved, {})


def _svtav1(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    params = {"lp": str(resolved.threads)}
    hdr = video.hdr
    if hdr and hdr.primaries and hdr.luminance:
        gx, gy, bx, by, rx, ry, wx, wy = _in_gbrw([f"{value / 50000:.5f}" for value in hdr.primaries])
        low, high = (f"{value / 10000:.4f}" for value in hdr.luminance)
        params["mastering-display"] = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
    if hdr and hdr.light_level:
        params["content-light"] = "{},{}".format(*hdr.light_level)
    options = {"preset": resolved.preset or "8", "svtav1-params": _joined(params)}
    return options | _quality(resolved, {})


def _vp9(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    options = {"deadline": "good", "cpu-used": resolved.preset or "4", "row-mt": "0", "b": "0"}
    return options | _quality(resolved, {"lossless": "1"})


def _vp8(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    # libvpx reads crf as a floor under a bit rate: 20 Mb/s keeps the rate out of the way.
    options = {"deadline": "good", "cpu-used": resolved.preset or "4", "b": "20000000"}
    return options | _quality(resolved, {})


def _prores(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    profile = _PRORES.get(resolved.profile or "", "auto")
    return {"profile": profile, "vendor": "apl0"}


def _ffv1(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    return {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}


def _plain(resolved: ResolvedEncode, video: VideoInfo) -> dict[str, str]:
    """Encoders with a quantiser scale; without B-frames, so that pts are dts."""
    options = {"flags": "+qscale", "global_quality": str(round((resolved.crf or 2) * 118))}
    if resolved.encoder != "mjpeg":
        options["bf"] = "0"
    return options


_RECIPES: Mapping[str, Callable[[ResolvedEncode, VideoInfo], dict[str, str]]] = {
    "libx264": _x264,
    "libx265": _x265,
    "libsvtav1": _svtav1,
    "libvpx-vp9": _vp9,
    "libvpx": _vp8,
    "prores_ks": _prores,
    "ffv1": _ffv1,
}


def _quality(resolved: ResolvedEncode, lossless: dict[str, str]) -> dict[str, str]:
    if resolved.lossless:
        return lossless
    return {} if resolved.crf is None else {"crf": f"{resolved.crf:g}"}


def _named(hdr: Hdr, mastering: str, light: str) -> dict[str, str]:
    """x264's and x265's way to write SMPTE ST 2086 and CTA-861.3: whole steps, green first."""
    params = {}
    if hdr.primaries and hdr.luminance:
        gx, gy, bx, by, rx, ry, wx, wy = _in_gbrw([str(value) for value in hdr.primaries])
        low, high = hdr.luminance
        params[mastering] = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
    if hdr.light_level:
        params[light] = "{},{}".format(*hdr.light_level)
    return params


def _in_gbrw(rgbw: list[str]) -> tuple[str, ...]:
    rx, ry, gx, gy, bx, by, wx, wy = rgbw
    return gx, gy, bx, by, rx, ry, wx, wy


def _joined(params: Mapping[str, str]) -> str:
    return ":".join(f"{key}={value}" for key, value in params.items())
