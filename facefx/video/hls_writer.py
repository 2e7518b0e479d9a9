"""HLS as fMP4 segments: every file appears whole, the playlist last, and what is old goes.

Source: RFC 8216; ISO/IEC 14496-12 (boxes).
"""

from __future__ import annotations

import glob
import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error

from facefx.errors import FacefxError, SinkError
from facefx.video.hls_playlist import Entry, Playlist, read_playlist, write_playlist
from facefx.video.live_encode import LiveEncode, LiveEncoder
from facefx.video.live_sinks import add_streams, mux_unit
from facefx.video.live_values import CodedUnit, LiveStream

if TYPE_CHECKING:
    from av.container import OutputContainer

__all__ = ["HlsSink"]

_OPTIONS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer+frag_discont",
    "flush_packets": "1",
    "avoid_negative_ts": "make_non_negative",  # not "make_zero": the clock goes on over a break
    "max_interleave_delta": "1000000",
}
_KEPT = 3  # segments that stay on disk behind the playlist's oldest
_GAP_S = 0.75  # a longer step in time is a break, not a long picture


@dataclass(slots=True)
class _Key:
    """A key frame's pts in seconds, and the Unix time at which it came."""

    at_s: float
    begun_s: float


class HlsSink:
    """A playlist and its segments in one folder. An existing playlist is gone on with, behind a break.

    A segment ends at the first key frame after settings.segment_s.
    """

    def __init__(self, path: Path, stream: LiveStream, encoder: LiveEncoder, settings: LiveEncode) -> None:
        self._path, self._stream, self._encoder = path, stream, encoder
        self._segment_s, self._window = settings.segment_s, settings.window
        self._target_s = math.ceil(settings.segment_s + settings.gop_s)
        self._entries: deque[Entry] = deque()
        self._left: deque[Entry] = deque()
        self._sequence = self._broken_before = 0
        self._broken = False
        self._part: OutputContainer | None = None
        self._last_s: float | None = None

    def open(self) -> None:
        """Look at what is there."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._resume()
        except OSError as error:
            raise self._error(error, "opening") from error

    def write(self, unit: CodedUnit) -> None:
        """Mux a unit; a segment that is complete with it appears, then the playlist that names it."""
        try:
            if unit.kind == "video":
                self._look_at(unit)
            if self._part is not None:
                mux_unit(self._part, self._targets, unit)
                self._collect()
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error, "writing") from error

    def idle(self) -> None:
        """Nothing to do."""

    def finish(self) -> None:
        """Write the last segment, and say that nothing follows."""
        try:
            self._end_part()
            self._publish(complete=True)
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error, "finishing") from error

    def close(self) -> None:
        """Let go; the playlist stays as it is."""
        part, self._part = self._part, None
        if part is not None:
            with suppress(av.error.FFmpegError, OSError):
                part.close()

    def _look_at(self, unit: CodedUnit) -> None:
        """Begin a part, and note where fragments will begin."""
        at = float(unit.pts * unit.time_base)
        gap = self._last_s is not None and at - self._last_s > _GAP_S
        if unit.keyframe and (self._part is None or gap):
            self._end_part()
            self._begin_part()
        self._last_s = at
        if unit.keyframe:
            self._keys.append(_Key(at, time.time()))
        self._end_s = at + float((unit.duration or 0) * unit.time_base)

    def _begin_part(self) -> None:
        """A muxer of its own: its first bytes are the header of the segments that follow."""
        self._boxes = _Boxes()
        self._keys: deque[_Key] = deque()
        self._open: list[bytes] = []
        self._head: list[bytes] = []
        self._init: str | None = None
        self._part = av.open(self._boxes, "w", format="mp4", container_options=_OPTIONS)
        self._targets = add_streams(self._part, self._path, self._stream, self._encoder)
        self._part.start_encoding()

    def _end_part(self) -> None:
        """Flush the muxer; its last segment may be short."""
        part, self._part = self._part, None
        if part is None:
            return
        part.close()
        self._keys.append(_Key(self._end_s, time.time()))
        self._collect()
        if self._open:
            self._close_segment(self._keys[0].at_s)
        self._broken = True

    def _collect(self) -> None:
        """Take the boxes that are complete: header, fragments."""
        for kind, box in self._boxes.take():
            if kind in (b"ftyp", b"moov"):
                self._head.append(box)
            elif kind in (b"moof", b"mdat"):
                self._open.append(box)
                if kind == b"mdat":
                    self._fragment()

    def _fragment(self) -> None:
        """A fragment has ended where the second key frame from here begins."""
        first = self._keys.popleft()
        if len(self._open) == 2:
            self._begun = first
        until = self._keys[0].at_s
        if until - self._begun.at_s >= self._segment_s - 0.02:
            self._close_segment(until)

    def _close_segment(self, until_s: float) -> None:
        if self._init is None:
            self._init = f"{self._path.stem}-{self._sequence:06d}-init.mp4"
            _write_whole(self._path.with_name(self._init), b"".join(self._head))
        name = f"{self._path.stem}-{self._sequence:06d}.m4s"
        _write_whole(self._path.with_name(name), b"".join(self._open))
        duration = max(0.001, until_s - self._begun.at_s)
        self._target_s = max(self._target_s, round(duration))
        self._entries.append(
            Entry(self._sequence, name, duration, self._init, self._broken, self._begun.begun_s)
        )
        self._sequence += 1
        self._broken, self._open = False, []
        self._publish(complete=False)

    def _publish(self, complete: bool) -> None:
        """Write the playlist, then delete what nobody can still be reading."""
        while len(self._entries) > self._window:
            gone = self._entries.popleft()
            self._broken_before += gone.broken
            self._left.append(gone)
        if self._entries:
            text = write_playlist(tuple(self._entries), self._target_s, self._broken_before, complete)
            _write_whole(self._path, text.encode())
        while len(self._left) > _KEPT:
            self._delete(self._left.popleft())

    def _delete(self, entry: Entry) -> None:
        self._path.with_name(entry.url).unlink(missing_ok=True)
        if entry.init and not any(entry.init == other.init for other in (*self._left, *self._entries)):
            self._path.with_name(entry.init).unlink(missing_ok=True)

    def _resume(self) -> None:
        """Go on behind what an earlier output left; what its playlist does not name is removed."""
        old = self._old()
        self._sequence = old.entries[-1].sequence + 1 if old.entries else 0
        self._broken_before = old.broken_before
        if old.complete:
            self._broken_before += sum(entry.broken for entry in old.entries)
        else:
            self._entries.extend(old.entries)
        self._broken = bool(old.entries)
        kept = {name for entry in self._entries for name in (entry.url, entry.init)}
        stem = glob.escape(self._path.stem)
        for pattern in (f"{stem}-[0-9]*.m4s", f"{stem}-[0-9]*-init.mp4"):
            for file in self._path.parent.glob(pattern):
                if file.name not in kept:
                    file.unlink(missing_ok=True)

    def _old(self) -> Playlist:
        try:
            old = read_playlist(self._path.read_text(encoding="utf-8"), "")
        except (FileNotFoundError, UnicodeDecodeError, FacefxError):
            return Playlist()
        safe = tuple(
            replace(entry, url=Path(entry.url).name, init=Path(entry.init).name)
            for entry in old.entries
            if entry.init and self._path.with_name(Path(entry.url).name).exists()
        )
        return replace(old, entries=safe)

    def _error(self, error: Exception, doing: str) -> SinkError:
        reason = getattr(error, "strerror", None) or str(error)
        return SinkError(f"{self._path}: {doing} failed: {reason}; is there space, and the right to write?")


class _Boxes:
    """A file that is cut into MP4 boxes as it is written."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._data += data
        return len(data)

    def take(self) -> list[tuple[bytes, bytes]]:
        """The boxes that are complete: type and whole bytes."""
        found = []
        while len(self._data) >= 8:
            size = int.from_bytes(self._data[:4], "big")
            if size == 1 and len(self._data) >= 16:
                size = int.from_bytes(self._data[8:16], "big")
            if size < 8 or len(self._data) < size:
                break
            found.append((bytes(self._data[4:8]), bytes(self._data[:size])))
            del self._data[:size]
        return found


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody sees a part of it."""
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(data)
    draft.replace(path)
