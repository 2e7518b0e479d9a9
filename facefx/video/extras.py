"""What else in a file could show a face or tell of a person, and what cannot be carried at all.

The rule: nothing that may hold a picture leaves unseen. Cover art, thumbnail tracks and picture
attachments are removed. A second video stream is content: it is refused, unless the user agrees to lose
it (extra_video="drop"). Data streams are kept only where their kind is known to hold no picture and no place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from facefx.video.describe import StreamNotes
from facefx.video.info import Chapter, Extra, StreamInfo, VideoInfo
from facefx.video.isobmff import Track

if TYPE_CHECKING:
    from av.stream import Stream

__all__ = ["FONT_TYPES", "KEPT_DATA", "find_extras", "find_unsupported", "is_picture_beside"]

# Data streams that hold neither pictures nor places: ad markers, ancillary data, programme guides.
KEPT_DATA = frozenset({"scte_35", "smpte_2038", "epg"})
FONT_TYPES = ("font/", "application/x-truetype-font", "application/x-font", "application/vnd.ms-opentype")
_BESIDE = frozenset({"attached_pic", "timed_thumbnails", "still_image"})
_PICTURE_CODECS = frozenset({"png", "bmp", "gif", "webp", "tiff"})
_DYNAMIC = {
    "dynamic_hdr_plus": "HDR10+ dynamic metadata",
    "HDR10+ Dynamic Metadata (SMPTE 2094-40)": "HDR10+ dynamic metadata",
    "dynamic_hdr_vivid": "HDR Vivid dynamic metadata",
}


def is_picture_beside(stream: Stream) -> bool:
    """True for a video stream that is no video: cover art, thumbnails, a still."""
    flags = {flag.name for flag in stream.disposition}
    return bool(flags & _BESIDE) or stream.name in _PICTURE_CODECS


def find_extras(
    streams: Sequence[StreamInfo],
    video: VideoInfo,
    chapters: Sequence[Chapter],
    notes: Mapping[int, StreamNotes],
) -> tuple[Extra, ...]:
    """List what does not travel with the main picture, with the reason."""
    found = [extra for stream in streams if (extra := _extra(stream, video.index, chapters)) is not None]
    names = set(video.side_data)
    found += [
        Extra(video.index, "dynamic_hdr", "removed", f"{text}: no encoder writes it; static HDR data stays")
        for text in sorted({_DYNAMIC[name] for name in names & set(_DYNAMIC)})
    ]
    if any("LCEVC" in name for name in notes.get(video.index, StreamNotes()).side_data):
        found.append(Extra(video.index, "enhancement", "removed", "LCEVC layer: its base is changed"))
    return tuple(found)


def _extra(stream: StreamInfo, main: int, chapters: Sequence[Chapter]) -> Extra | None:
    if stream.index == main:
        return None
    flags = set(stream.disposition)
    if stream.kind == "video":
        if flags & {"timed_thumbnails"}:
            return Extra(stream.index, "thumbnails", "removed", "thumbnails may show faces")
        if flags & _BESIDE or stream.codec in _PICTURE_CODECS:
            return Extra(stream.index, "cover", "removed", f"{stream.codec} cover art may show a face")
        what = f"a second video stream ({stream.codec} {stream.width}x{stream.height})"
        return Extra(stream.index, "second_video", "refused", f"{what} may show faces")
    if stream.kind == "attachment":
        mime = stream.metadata.get("mimetype", "")
        if mime.startswith(FONT_TYPES):
            return None
        what = f"attachment of type {mime or 'unknown'}"
        return Extra(stream.index, "attachment", "removed", f"{what} may hold a picture")
    if stream.kind == "data" and stream.codec not in KEPT_DATA:
        if "timecode" in stream.metadata:
            return Extra(stream.index, "timecode", "rewritten", "written anew from the timecode tag")
        if chapters and stream.codec == "bin_data" and stream.packets == len(chapters):
            return Extra(stream.index, "chapter_track", "rewritten", "written anew from the chapters")
        what = f"data stream of kind {stream.codec or 'unknown'}"
        return Extra(stream.index, "data", "removed", f"{what} may hold places or pictures")
    if stream.kind == "unknown":
        return Extra(stream.index, "unknown", "removed", "stream of unknown kind")
    return None


def find_unsupported(
    streams: Sequence[StreamInfo], video: VideoInfo, tracks: Sequence[Track]
) -> tuple[str, ...]:
    """Say what cannot be carried unharmed, one reason an entry; () for a file that can be processed."""
    main = next(stream for stream in streams if stream.index == video.index)
    names = " ".join(video.side_data).lower()
    reasons = []
    if "dovi" in names or "dolby vision" in names:
        reasons.append("Dolby Vision cannot be carried: it describes the old picture; convert to HDR10 first")
    if main.metadata.get("alpha_mode") == "1":
        reasons.append("an alpha channel (alpha_mode) cannot be carried; convert it first")
    if "multilayer" in main.disposition or "lhvC" in _entry_boxes(tracks):
        reasons.append("multi-layer (stereo) video cannot be carried: one eye would be lost; extract one")
    if any(track.entry in ("encv", "enca") for track in tracks):
        reasons.append("the file is encrypted (Common Encryption); decrypt it first")
    edited = [number for number, track in enumerate(tracks) if track.several_edits]
    if edited:
        listed = ", ".join(str(number) for number in edited)
        reasons.append(
            f"several edits in the edit list of track {listed} cannot be carried: expected at most a delay "
            "and one cut; export the file again without them"
        )
    return tuple(reasons)


def _entry_boxes(tracks: Sequence[Track]) -> set[str]:
    return {name for track in tracks for name in track.boxes}
