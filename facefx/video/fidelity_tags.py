"""The promises about names and places: languages, chapters, tags, and nothing else that shows a face."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from facefx.video.fidelity_contract import Clause, Pair
from facefx.video.fidelity_facts import FileFacts, StreamFacts
from facefx.video.fidelity_streams import tracks
from facefx.video.fidelity_time import seconds

__all__ = ["CARRIED_TAGS", "TAG_CLAUSES"]

# A chapter is a place to seek to; containers count it from different zeros (MKV moves pictures, not it).
_CHAPTER_S = Fraction(1, 10)

# AVDisposition bits (libavformat/avformat.h) that the containers write and read back: measured, FFmpeg 8.1.
_DEFAULT = 1
_DISPOSITIONS = {
    "mov": {_DEFAULT: "default"},
    "matroska": {_DEFAULT: "default", 2: "dub", 4: "original", 8: "comment", 64: "forced",
                 128: "hearing_impaired", 256: "visual_impaired"},
}  # fmt: skip
_LANGUAGES = ("mov", "matroska", "mpegts")
_CHAPTERS = ("mov", "matroska")

# What "keep" carries, by what a container has a place for: measured, written and read back with FFmpeg 8.1.
_MOV_TAGS = frozenset({"title", "artist", "album", "date", "comment", "genre", "copyright", "creation_time"})
_MP4_TAGS = _MOV_TAGS | {
    "album_artist", "composer", "description", "episode_id", "keywords", "network", "show", "synopsis",
}  # fmt: skip
CARRIED_TAGS = _MP4_TAGS | {"author", "publisher"}
_TITLED = ("mov", "matroska")  # containers whose tracks have names

# What "strip" leaves: how the file is built, never who made it, when, where or with what.
_BUILT = re.compile(
    r"major_brand|minor_version|compatible_brands|language|duration|vendor_id|"
    r"bps|number_of_frames|number_of_bytes|_statistics_\w+|variant_bitrate|filename|mimetype"
)
_OURS = re.compile(r"(Lavf|Lavc|facefx)\b.*|Lav[fc][\d.]+.*", re.ASCII)
_HANDLERS = frozenset({"VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler", "TimeCodeHandler"})
_VENDORS = frozenset({"FFMP", "[0][0][0][0]"})

_FONTS = ("font/", "application/x-truetype-font", "application/x-font", "application/vnd.ms-opentype")
_HARMLESS_DATA = frozenset({"scte_35", "smpte_2038", "epg"})


def languages(pair: Pair) -> Clause:
    """Language and flags (default, forced …) of every copied track, where the container has them."""
    expected, got = [], []
    for kind in ("audio", "subtitle"):
        for track in tracks(pair, kind):
            wanted, found = _labels(pair, track.source), _labels(pair, track.output)
            shared = {name for name in wanted if name in found}
            expected.append(_label_text(track.output, wanted, shared))
            got.append(_label_text(track.output, found, shared))
    return Clause("languages", expected == got, "; ".join(expected) or "none", "; ".join(got) or "none")


def _labels(pair: Pair, stream: StreamFacts) -> dict[str, str]:
    """Labels of a track that both containers can hold."""
    labels = {}
    families = (pair.source.family, pair.output.family)
    if all(family in _LANGUAGES for family in families):
        labels["language"] = stream.language
    flags = dict(_DISPOSITIONS.get(families[0], {}))
    for bit, name in _DISPOSITIONS.get(families[1], {}).items():
        if bit not in flags or (bit == _DEFAULT and not _any_default(pair, stream.kind)):
            continue  # a container without a default track gives the first one that flag
        labels[name] = "yes" if stream.disposition & bit else "no"
    return labels


def _any_default(pair: Pair, kind: str) -> bool:
    return any(stream.disposition & _DEFAULT for stream in pair.kept(kind))


def _label_text(stream: StreamFacts, labels: Mapping[str, str], shared: set[str]) -> str:
    words = [labels["language"]] if "language" in shared else []
    words += sorted(name for name in shared - {"language"} if labels[name] == "yes")
    return f"{stream.kind} {' '.join(words) or 'without labels'}"


def chapters(pair: Pair) -> Clause:
    """Every chapter, at its place and under its name."""
    wanted = list(_wanted_chapters(pair))
    zero = int(pair.shown[0]) * pair.output.video.time_base if len(pair.shown) else Fraction(0)
    found = [(chapter.start_s - zero, chapter.metadata.get("title", "")) for chapter in pair.output.chapters]
    ok = len(wanted) == len(found)
    for (start_s, title), (found_s, name) in zip(wanted, found, strict=False):
        ok = ok and abs(start_s - found_s) <= _CHAPTER_S and title == name
    return Clause("chapters", ok, _chapter_text(wanted), _chapter_text(found))


def _wanted_chapters(pair: Pair) -> Iterator[tuple[Fraction, str]]:
    """(seconds after the first picture, title) of every chapter that the excerpt touches."""
    low, high = pair.asked
    for chapter in pair.source.chapters:
        if (high is not None and chapter.start_s >= high) or (low is not None and chapter.end_s <= low):
            continue
        start_s = chapter.start_s if low is None else max(chapter.start_s, pair.first_s)
        yield start_s - pair.first_s, chapter.metadata.get("title", "")


def _chapter_text(chapters: list[tuple[Fraction, str]]) -> str:
    return ", ".join(f"{name or 'untitled'} at {seconds(start)}" for start, name in chapters) or "none"


def metadata(pair: Pair) -> Clause:
    """Keep: the listed tags carried. Strip: nothing left that tells of a person, a place or a device."""
    if pair.contract.metadata == "strip":
        left = [
            f"{place}: {key}={value}"
            for place, key, value in _tags(pair.output)
            if not _technical(key, value)
        ]
        return Clause("metadata", not left, "nothing personal", "; ".join(left) or "nothing personal")
    source, output = _lower(pair.source.metadata), _lower(pair.output.metadata)
    names = sorted(_carried(pair.output, source) & source.keys())
    wanted = [(key, source[key], output.get(key, "")) for key in names] + list(_titles(pair))
    lost = [f"{key}={got or 'missing'}" for key, value, got in wanted if not _same_value(key, value, got)]
    expected = ", ".join(f"{key}={value}" for key, value, _ in wanted)
    return Clause("metadata", not lost, expected or "no tags", "; ".join(lost) or "the same")


def _carried(output: FileFacts, tags: Mapping[str, str]) -> frozenset[str]:
    """Names of the tags that the output's container has a place for."""
    if output.family != "mov":
        return CARRIED_TAGS if output.family in ("matroska", "flv") else frozenset()
    if output.metadata.get("major_brand") != "qt  ":
        return _MP4_TAGS
    # QuickTime has one place for artist and author.
    return _MOV_TAGS - {"artist"} if "author" in tags else _MOV_TAGS


def _titles(pair: Pair) -> Iterator[tuple[str, str, str]]:
    """Names of the copied tracks: (place, expected, got); MP4 calls a name so, others title."""
    if not {pair.source.family, pair.output.family} <= set(_TITLED):
        return
    for kind in ("audio", "subtitle"):
        for track in tracks(pair, kind):
            wanted = _title(track.source)
            if wanted:
                yield f"title of stream {track.output.index}", wanted, _title(track.output)


def _title(stream: StreamFacts) -> str:
    tags = _lower(stream.metadata)
    return tags.get("title") or tags.get("name", "")


def _tags(facts: FileFacts) -> Iterator[tuple[str, str, str]]:
    """Every tag in a file: (where, key, value)."""
    for key, value in facts.metadata.items():
        yield "file", key, value
    for stream in facts.streams:
        for key, value in stream.metadata.items():
            yield f"stream {stream.index}", key, value


def _technical(key: str, value: str) -> bool:
    """True for what a muxer writes of itself."""
    name = key.lower()
    if name == "encoder":
        return bool(_OURS.fullmatch(value))
    if name == "handler_name":
        return value in _HANDLERS
    if name == "vendor_id":
        return value in _VENDORS
    return bool(_BUILT.fullmatch(name))


def _lower(tags: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items()}


def _same_value(key: str, wanted: str, got: str) -> bool:
    """Equal; a time of creation to the second, which is all that the containers store."""
    return wanted[:19] == got[:19] if key == "creation_time" else wanted == got


def pictures(pair: Pair) -> Clause:
    """No cover, thumbnail, second video, picture attachment or unknown data is left in the output."""
    left = [text for stream in pair.output.streams if (text := _leftover(pair, stream))]
    return Clause("pictures", not left, "nothing beside the main picture", "; ".join(left) or "nothing")


def _leftover(pair: Pair, stream: StreamFacts) -> str:
    if stream is pair.output.video or stream.kind in ("audio", "subtitle"):
        return ""
    place = f"stream {stream.index}"
    if stream.kind == "video":
        return (
            f"{place}: {'cover or thumbnail' if stream.still else 'a second video stream'} ({stream.codec})"
        )
    if stream.kind == "attachment":
        mime = stream.metadata.get("mimetype", "unknown")
        return "" if mime.startswith(_FONTS) else f"{place}: attachment of type {mime}"
    if stream.codec in _HARMLESS_DATA or _is_chapter_track(pair.output, stream):
        return ""
    if "timecode" in stream.metadata and pair.contract.metadata == "keep":
        return ""
    return f"{place}: {stream.kind} stream ({stream.codec})"


def _is_chapter_track(facts: FileFacts, stream: StreamFacts) -> bool:
    """True for the text track in which QuickTime keeps chapters: one entry at each chapter's start."""
    starts = [int(chapter.start_s / stream.time_base) for chapter in facts.chapters]
    return facts.family == "mov" and bool(starts) and list(stream.index_times) == starts


TAG_CLAUSES = (languages, chapters, metadata, pictures)
