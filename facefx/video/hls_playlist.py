"""HLS playlists, read and written. Source: RFC 8216."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urljoin

from facefx.errors import SourceError, UnsupportedError

__all__ = ["Entry", "Playlist", "read_playlist", "write_playlist"]

_ATTRIBUTE = re.compile(r'([A-Z0-9\-]+)=("[^"]*"|[^,]*)')
_MOST_ENTRIES = 20_000
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One segment. url: absolute where it was read, a file's name where it is written. init: its EXT-X-MAP.

    begun_s: Unix time of its first frame; broken: it does not follow the one before (EXT-X-DISCONTINUITY).
    """

    sequence: int
    url: str
    duration_s: float
    init: str | None = None
    broken: bool = False
    begun_s: float | None = None
    span: Span | None = None
    init_span: Span | None = None


@dataclass(frozen=True, slots=True)
class Playlist:
    """A media playlist, or the variants of a master one: (bits a second, URL)."""

    entries: tuple[Entry, ...] = ()
    target_s: int = 1
    complete: bool = False
    variants: tuple[tuple[int, str], ...] = ()
    broken_before: int = 0


@dataclass(slots=True)
class _Draft:
    """What the lines so far say of the segment to come."""

    base: str
    sequence: int = 0
    duration_s: float = 0.0
    broken: bool = False
    init: str | None = None
    init_span: Span | None = None
    begun_s: float | None = None
    span: Span | None = None
    end: int = 0
    bandwidth: int | None = None
    target_s: int = 1
    complete: bool = False
    broken_before: int = 0
    entries: list[Entry] = field(default_factory=list)
    variants: list[tuple[int, str]] = field(default_factory=list)


def read_playlist(text: str, base: str) -> Playlist:
    """Read a playlist; its addresses are made absolute by `base`, and not looked at further.

    Raises SourceError for what is no playlist, UnsupportedError for an encrypted one.
    """
    lines = [line.strip() for line in text.splitlines()]
    if not lines or lines[0] != "#EXTM3U":
        raise SourceError("not an HLS playlist: expected #EXTM3U in the first line")
    draft = _Draft(base)
    try:
        for line in lines[1:]:
            _read_line(line, draft)
    except (ValueError, OverflowError) as error:
        raise SourceError(f"an HLS playlist cannot be read: {type(error).__name__} in a line") from error
    return Playlist(
        tuple(draft.entries), draft.target_s, draft.complete, tuple(draft.variants), draft.broken_before
    )


def write_playlist(entries: Sequence[Entry], target_s: int, broken_before: int, complete: bool) -> str:
    """Write a media playlist of fMP4 segments. broken_before: discontinuities that have left it."""
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target_s}",
        f"#EXT-X-MEDIA-SEQUENCE:{entries[0].sequence if entries else 0}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{broken_before}", "#EXT-X-INDEPENDENT-SEGMENTS",
    ]  # fmt: skip
    init = None
    for entry in entries:
        if entry.broken:
            lines.append("#EXT-X-DISCONTINUITY")
        if entry.init != init:
            init = entry.init
            lines.append(f'#EXT-X-MAP:URI="{init}"')
        if entry.begun_s is not None:
            moment = datetime.fromtimestamp(entry.begun_s, UTC).isoformat(timespec="milliseconds")
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{moment.replace('+00:00', 'Z')}")
        lines += [f"#EXTINF:{entry.duration_s:.5f},", entry.url]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if complete else []), ""])


def _read_line(line: str, draft: _Draft) -> None:
    if not line:
        return
    if not line.startswith("#"):
        _read_address(line, draft)
        return
    name, _, value = line.partition(":")
    if name == "#EXTINF":
        draft.duration_s = float(value.partition(",")[0])
    elif name == "#EXT-X-BYTERANGE":
        draft.span = _span(value, draft.end)
    elif name == "#EXT-X-MAP":
        attributes = _attributes(value)
        draft.init = urljoin(draft.base, attributes["URI"]) if "URI" in attributes else None
        draft.init_span = _span(attributes["BYTERANGE"], 0) if "BYTERANGE" in attributes else None
    elif name == "#EXT-X-KEY" and _attributes(value).get("METHOD") != "NONE":
        raise UnsupportedError("the HLS stream is encrypted (EXT-X-KEY), which is not read; publish it open")
    elif name == "#EXT-X-STREAM-INF":
        draft.bandwidth = int(_attributes(value).get("BANDWIDTH", "0"))
    else:
        _read_mark(name, value, draft)


def _read_mark(name: str, value: str, draft: _Draft) -> None:
    if name == "#EXT-X-DISCONTINUITY":
        draft.broken = True
    elif name == "#EXT-X-MEDIA-SEQUENCE":
        draft.sequence = int(value)
    elif name == "#EXT-X-DISCONTINUITY-SEQUENCE":
        draft.broken_before = int(value)
    elif name == "#EXT-X-TARGETDURATION":
        draft.target_s = min(max(1, round(float(value))), 3600)
    elif name == "#EXT-X-PROGRAM-DATE-TIME":
        draft.begun_s = datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    elif name == "#EXT-X-ENDLIST":
        draft.complete = True


def _read_address(line: str, draft: _Draft) -> None:
    url = urljoin(draft.base, line)
    if draft.bandwidth is not None:
        draft.variants.append((draft.bandwidth, url))
        draft.bandwidth = None
        return
    if len(draft.entries) >= _MOST_ENTRIES:
        raise ValueError("too many segments")
    draft.entries.append(
        Entry(
            draft.sequence, url, draft.duration_s, draft.init, draft.broken, draft.begun_s, draft.span,
            draft.init_span,
        )
    )  # fmt: skip
    draft.end = sum(draft.span) if draft.span else 0
    draft.sequence += 1
    draft.broken, draft.begun_s, draft.span = False, None, None


def _span(value: str, end: int) -> Span:
    """Length and start, "1000@0"; without a start it follows the last one."""
    length, mark, start = value.partition("@")
    return int(start) if mark else end, int(length)


def _attributes(value: str) -> dict[str, str]:
    return {name: text.strip('"') for name, text in _ATTRIBUTE.findall(value)}
