"""Small files below one root: records, leases, lists; each written whole or not at all."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facefx.errors import UsageError
from facefx.storage.backend import Backend, Exclusive, Found, SweepReport, connect
from facefx.storage.options import StorageOptions
from facefx.storage.urls import is_local, joined, local_path, safe_relative, shown

__all__ = ["Entry", "Exclusive", "Store", "SweepReport"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a store. rel: below the store's root. version: changes whenever the content does.

    It is the etag on S3, "size:mtime_ns:inode" on a disk, and what fsspec tells elsewhere.
    """

    rel: str
    url: str
    size_bytes: int
    version: str
    modified_s: float


class Store:
    """Files below a root URL, on a disk, on S3 or wherever fsspec leads; picklable, for many threads.

    owner: goes into the names of temporary files, so that a sweep can tell whose they are. Folders are
    made as they are needed; those named .facefx, and all in them, are for their owner's eyes only.
    Raises UsageError for a kind of URL that nothing here can reach.
    """

    def __init__(self, url: str, options: StorageOptions | None = None, *, owner: str = "") -> None:
        self.options, self.owner = options or StorageOptions(), owner
        # A worker elsewhere may have another working directory.
        self.url = str(local_path(url).absolute()) if is_local(url) else joined(url, "")
        self._backend: Backend = connect(self.url, self.options, owner)

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (type(self), self.url, self.options, self.owner)

    def __repr__(self) -> str:
        return f"Store({shown(self.url)!r})"

    @property
    def exclusive(self) -> Exclusive:
        """How create() keeps others out: "atomic" by the store itself, "settled" by waiting for them.

        S3 is asked once, with a small file that is removed again.
        """
        return self._backend.exclusive(self.url)

    def url_of(self, rel: str) -> str:
        """The URL of a file of this store. Raises UsageError for a path that leads outside."""
        return joined(self.url, rel)

    def read(self, rel: str) -> bytes:
        """The whole of a file. Raises SourceError if it is not there or cannot be read."""
        return self._backend.read(self.url_of(rel))

    def write(self, rel: str, data: bytes) -> None:
        """Put a whole file in place of what stood there. Raises SinkError."""
        self._backend.write(self.url_of(rel), data)

    def create(self, rel: str, data: bytes) -> bool:
        """Put a whole file if none is there; False if there is one already. Raises SinkError.

        Of several that try at once, one is told True. `exclusive` says what that rests on.
        """
        return self._backend.create(self.url_of(rel), data)

    def put(self, rel: str, path: Path) -> None:
        """Copy a local file here, whole or not at all. Raises SinkError."""
        self._backend.put(self.url_of(rel), path)

    def get(self, rel: str, path: Path) -> None:
        """Copy a file from here to a local path, whole or not at all. Raises SourceError, SinkError."""
        self._backend.get(self.url_of(rel), path)

    def stat(self, rel: str) -> Entry | None:
        """What is known of a file; None if it is not there. Raises SourceError."""
        entry = self._backend.stat(self.url_of(rel))
        return None if entry is None else self._entry(entry)

    def exists(self, rel: str) -> bool:
        """True if the file is there."""
        return self.stat(rel) is not None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file whose rel begins with the prefix, sorted by rel; temporary files of ours left out."""
        yield from map(self._entry, self._backend.list(self._prefix(prefix)))

    def remove(self, rel: str) -> None:
        """Remove a file; nothing happens if it is not there. Raises SinkError."""
        self._backend.remove([self.url_of(rel)])

    def remove_tree(self, folder: str) -> int:
        """Remove every file below a folder of this store, and count them. Raises SinkError."""
        if not safe_relative(folder):
            raise UsageError(f"{shown(self.url)}: a store is not removed whole; name a folder in it")
        doomed: builtins.list[str] = [entry.url for entry in self._backend.list(self.url_of(folder) + "/")]
        self._backend.remove(doomed)
        return len(doomed)

    def sweep(self, prefix: str = "", *, older_than_s: float, owner: str | None = None) -> SweepReport:
        """Remove temporary files and pending uploads that dead processes left behind, and count them.

        What is younger than older_than_s is let be, unless it is the named owner's. S3 does not tell whose
        an upload is: there age alone decides, by the store's own clock.
        """
        return self._backend.sweep(self._prefix(prefix), older_than_s, owner)

    def _prefix(self, prefix: str) -> str:
        url = self.url_of(prefix)
        return url + "/" if prefix.endswith("/") or url == self.url else url

    def _entry(self, item: Found) -> Entry:
        rel = item.url[len(self.url.rstrip("/")) + 1 :]
        return Entry(rel, item.url, item.size_bytes, item.version, item.modified_s)


def _made(kind: type[Store], url: str, options: StorageOptions, owner: str) -> Store:
    return kind(url, options, owner=owner)
