"""Which tags travel: a list of those that may, never of those that may not.

"keep": tags that tell what a work is. Not among them, in any mode: places (GPS), the device and its serial
numbers, embedded pictures, and whatever an unknown application wrote. "strip": languages only.
Chapter titles stay in both, they are how a player navigates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["KEPT_FILE_TAGS", "KEPT_STREAM_TAGS", "TagChoice", "choose_file_tags", "choose_stream_tags"]

KEPT_FILE_TAGS = frozenset(
    {"title", "artist", "album", "album_artist", "composer", "author", "comment", "description", "synopsis",
     "keywords", "copyright", "date", "year", "creation_time", "genre", "track", "show", "episode_id",
     "season_number", "episode_sort", "network", "publisher", "language", "service_name", "service_provider"}
)  # fmt: skip
# What MP4 calls a track's title.
_ALIASES = {"name": "title"}
KEPT_STREAM_TAGS = frozenset({"title", "language", "handler_name", "comment", "timecode", "creation_time"})
_STRIPPED_STREAM_TAGS = frozenset({"language"})
# What a muxer writes of itself: true of the old file only, so it is left out without a word.
_MUXER_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "bps", "number_of_frames",
     "number_of_bytes", "vendor_id", "variant_bitrate", "rotate", "filename", "mimetype", "alpha_mode",
     "metadatacreator", "hasmetadata", "haskeyframes", "hasvideo", "hasaudio", "cankeyframes", "datasize",
     "lasttimestamp", "lastkeyframetimestamp", "audiosize", "videosize", "filesize"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TagChoice:
    """Tags that are written, and the names of those that are dropped and worth telling."""

    kept: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


def choose_file_tags(tags: Mapping[str, str], policy: Literal["keep", "strip"]) -> TagChoice:
    """Choose among the tags of a file."""
    return _choose(tags, KEPT_FILE_TAGS if policy == "keep" else frozenset())


def choose_stream_tags(tags: Mapping[str, str], policy: Literal["keep", "strip"]) -> TagChoice:
    """Choose among the tags of one stream."""
    named = {_ALIASES.get(key.lower(), key): value for key, value in tags.items()}
    own = {key: value for key, value in tags.items() if key.lower() not in _ALIASES}
    return _choose(named | own, KEPT_STREAM_TAGS if policy == "keep" else _STRIPPED_STREAM_TAGS)


def _choose(tags: Mapping[str, str], allowed: frozenset[str]) -> TagChoice:
    """Names count without case and without a language suffix ("title-eng"), as FFmpeg reads them."""
    kept, dropped = {}, []
    for key, value in tags.items():
        name = key.lower().split("-")[0]
        if name in allowed:
            kept[name if key.isupper() else key] = value
        elif name not in _MUXER_TAGS and not name.startswith("_statistics"):
            dropped.append(key)
    return TagChoice(kept, tuple(sorted(dropped)))
