"""An HLS stream as one file of bytes that no address can get out of."""

from __future__ import annotations

import threading
import time

from facefx.errors import FacefxError, SourceError, UnsupportedError
from facefx.video.hls_fetch import Fetcher
from facefx.video.hls_playlist import Entry, Playlist, read_playlist
from facefx.video.live_rules import SourceRules, redact_url

__all__ = ["HlsReader"]

_MOST_PLAYLIST, _MOST_SEGMENT = 2 << 20, 128 << 20
_FIRST_S = 0.5  # between two looks at a playlist that should have a new segment


class HlsReader:
    """Gives the segments' bytes one after the other, from the newest on; for whoever reads in one thread.

    complete: the playlist says that nothing follows; it is then read from its start. error: why reading
    ended, where it did not end by itself: a demuxer takes an exception for an end.
    """

    def __init__(self, url: str, rules: SourceRules, open_timeout_s: float, read_timeout_s: float) -> None:
        self._url, self.label = url, redact_url(url)
        self._fetcher = Fetcher(rules, open_timeout_s)
        self._read_timeout_s = read_timeout_s
        self._gone = threading.Event()
        self._data, self._at = b"", 0
        self._next: int | None = None
        self._init: tuple[str, tuple[int, int] | None] | None = None
        self._list = Playlist()
        self.complete = False
        self.demuxer = "mpegts"
        self.error: FacefxError | None = None

    def begin(self) -> None:
        """Fetch the playlist, the best of its variants, and the first segment."""
        self._look()
        if self._list.variants:
            self._url = max(self._list.variants)[1]
            self._look()
        if not self._list.entries:
            raise SourceError(f"{self.label}: the playlist holds no segment yet; try again later")
        self.complete = self._list.complete
        first = self._list.entries[0 if self.complete else -1]
        self._next = first.sequence
        self._load(first, joined=False)
        if self._data[4:8] in (b"ftyp", b"styp", b"moof", b"moov"):
            self.demuxer = "mov"
        elif self._data[:1] != b"\x47":
            raise UnsupportedError(
                f"{self.label}: a segment is neither MPEG-TS nor fMP4, and nothing else is read"
            )

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; waits for more. b"" at the end, of which `error` says why."""
        try:
            while self._at >= len(self._data):
                if not self._advance():
                    return b""
        except FacefxError as error:
            self.error = error
            return b""
        piece = self._data[self._at : self._at + (size if size > 0 else len(self._data))]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Hang up; a read that waits ends."""
        self._gone.set()
        self._fetcher.close()

    def _advance(self) -> bool:
        """Load the next segment; False at the end of a complete playlist, or when closed."""
        end = time.monotonic() + self._read_timeout_s + 3 * self._list.target_s
        while not self._gone.is_set():
            entry = self._wanted()
            if entry is not None:
                self._load(entry, joined=True)
                return True
            if self._list.complete:
                return False
            if time.monotonic() > end:
                raise SourceError(f"{self.label}: no new segment came in time; the publisher is away")
            self._gone.wait(min(_FIRST_S, self._list.target_s / 2))
            if not self._gone.is_set():
                self._look()
        return False

    def _wanted(self) -> Entry | None:
        """The segment that follows, where the playlist has it."""
        entries = self._list.entries
        if self._next is None or not entries or entries[-1].sequence < self._next:
            if entries and self._next is not None and entries[-1].sequence < self._next - 1 - len(entries):
                raise SourceError(f"{self.label}: the playlist began anew; open it again")
            return None
        if entries[0].sequence > self._next:
            raise SourceError(f"{self.label}: segments have left the playlist unread; open it again")
        return entries[self._next - entries[0].sequence]

    def _load(self, entry: Entry, *, joined: bool) -> None:
        """Fetch a segment, behind its header where that is another one."""
        init = None if entry.init is None else (entry.init, entry.init_span)
        if joined and (entry.broken or init != self._init):
            raise SourceError(f"{self.label}: the stream is broken here (discontinuity); open it again")
        head = b""
        if not joined and init is not None:
            head = self._fetcher.get(init[0], _MOST_SEGMENT, init[1])[0]
        body = self._fetcher.get(entry.url, _MOST_SEGMENT, entry.span)[0]
        self._init, self._data, self._at = init, head + body, 0
        self._next = entry.sequence + 1

    def _look(self) -> None:
        """Fetch the playlist."""
        data, self._url = self._fetcher.get(self._url, _MOST_PLAYLIST)
        try:
            self._list = read_playlist(data.decode("utf-8", "replace"), self._url)
        except (SourceError, UnsupportedError) as error:
            raise type(error)(f"{self.label}: {error}") from error
