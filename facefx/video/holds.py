"""What a container cannot hold although FFmpeg says that it can: refused up front, by name.

The muxers fail at the last byte, or write a stream of unknown kind that no player plays.
Source: libavformat/movenc.c, mpegtsenc.c and flvenc.c of FFmpeg 8, and what they did to real files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.stream import Stream

    from facefx.video.info import StreamInfo

__all__ = ["cannot_hold"]

_TS = {
    "audio": frozenset(
        {"mp1", "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus", "s302m"}
    ),
    "subtitle": frozenset({"dvb_subtitle", "dvb_teletext", "arib_caption"}),
}
_ONLY_MP4 = frozenset({"flac", "opus", "truehd"})
_FLV_RATES = frozenset({11025, 22050, 44100})


def cannot_hold(container: str, stream: StreamInfo, template: Stream) -> str:
    """Say why a container cannot hold a copy of this sound or these subtitles; "" if it may.

    template: the source's stream, for what only the decoder's parameters say.
    """
    codec = stream.codec or "unknown"
    if container == "ts" and stream.kind in _TS and codec not in _TS[stream.kind]:
        return "MPEG-TS has no number for it"
    if stream.kind != "audio":
        return ""
    if container == "mov" and codec in _ONLY_MP4:
        return "QuickTime has no name for it"
    pcm = codec.startswith("pcm_")
    if container in ("mp4", "m4v") and pcm and not _is_laid_out(template):
        return "the source does not say which channel is which, and MP4 asks for it"
    if container == "flv" and pcm and stream.sample_rate not in _FLV_RATES:
        return f"FLV has no number for its rate of {stream.sample_rate} Hz"
    return ""


def _is_laid_out(template: Stream) -> bool:
    """True where the channels have places ("stereo"), not only a number ("2 channels")."""
    layout = getattr(template.codec_context, "layout", None)
    return layout is not None and not layout.name.endswith("channels")
