"""A remote file read in places: only what is asked for is fetched."""

from __future__ import annotations

import io

from facefx.storage.backend import Backend, connect
from facefx.storage.options import StorageOptions

__all__ = ["RangedFile", "opened_in_places"]

# What is asked for comes with what follows it: an index is read in small steps, a request takes a moment.
_BLOCK = 256 << 10


class RangedFile(io.RawIOBase):
    """A file of known size behind a URL, seekable; each read fetches what it does not have.

    fetched_bytes: what came over the wire so far. Reading raises SourceError where the store fails.
    """

    def __init__(self, backend: Backend, url: str, size_bytes: int) -> None:
        self._backend, self._url, self._size = backend, url, size_bytes
        self._at = 0
        self._start, self._held = 0, b""
        self.fetched_bytes = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place and say where that is; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes, fewer only at the end of the file."""
        stop = self._size if size < 0 else min(self._size, self._at + size)
        if stop <= self._at:
            return b""
        if not self._start <= self._at <= stop <= self._start + len(self._held):
            until = min(self._size, max(stop, self._at + _BLOCK))
            self._held = self._backend.read_range(self._url, self._at, until)
            self._start = self._at
            self.fetched_bytes += len(self._held)
        begin = self._at - self._start
        data = self._held[begin : begin + stop - self._at]
        self._at += len(data)
        return data


def opened_in_places(url: str, size_bytes: int, options: StorageOptions | None = None) -> RangedFile:
    """Open a file of any storage for reading in places; nothing is fetched yet.

    Raises UsageError for a kind of URL that nothing here can reach.
    """
    return RangedFile(connect(url, options), url, size_bytes)
