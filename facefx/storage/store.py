"""Small files below one root: records, leases, lists; each written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facefx.storage.options import StorageOptions

__all__ = ["Entry", "Store", "SweepReport"]

Exclusive = Literal["atomic", "settled"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a store. rel: below the store's root. version: changes with each other content."""

    rel: str
    url: str
    size_bytes: int
    version: str
    modified_s: float


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep took away."""

    temp_files: int = 0
    temp_bytes: int = 0
    pending_uploads: int = 0


class Store:
    """Files below a root URL, on a disk, on S3 or wherever fsspec leads; picklable, for many threads.

    owner: goes into the names of temporary files, so that a sweep can tell whose they are.
    Raises UsageError for a kind of URL that nothing here can reach.
    """

    def __init__(self, url: str, options: StorageOptions | None = None, *, owner: str = "") -> None:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The root."""
        raise NotImplementedError

    @property
    def exclusive(self) -> Exclusive:
        """How create() excludes others: "atomic" by the store itself, "settled" by our own protocol."""
        raise NotImplementedError

    def url_of(self, rel: str) -> str:
        """The URL of a file of this store."""
        raise NotImplementedError

    def read(self, rel: str) -> bytes:
        """The whole of a file. Raises SourceError if it is not there or cannot be read."""
        raise NotImplementedError

    def write(self, rel: str, data: bytes) -> None:
        """Put a whole file in place of what stood there. Raises SinkError."""
        raise NotImplementedError

    def create(self, rel: str, data: bytes) -> bool:
        """Put a whole file if none is there; False if there is one already. Raises SinkError."""
        raise NotImplementedError

    def put(self, rel: str, path: Path) -> None:
        """Copy a local file here, whole or not at all. Raises SinkError."""
        raise NotImplementedError

    def get(self, rel: str, path: Path) -> None:
        """Copy a file from here to a local path. Raises SourceError, SinkError."""
        raise NotImplementedError

    def stat(self, rel: str) -> Entry | None:
        """What is known of a file; None if it is not there."""
        raise NotImplementedError

    def exists(self, rel: str) -> bool:
        """True if the file is there."""
        raise NotImplementedError

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file whose rel begins with the prefix, sorted by rel; temporary files of ours left out."""
        raise NotImplementedError

    def remove(self, rel: str) -> None:
        """Remove a file; nothing happens if it is not there."""
        raise NotImplementedError

    def remove_tree(self, prefix: str = "") -> int:
        """Remove every file below a folder of this store, and count them."""
        raise NotImplementedError

    def sweep(self, prefix: str = "", *, older_than_s: float, owner: str | None = None) -> SweepReport:
        """Remove temporary files and pending uploads that dead processes left behind."""
        raise NotImplementedError
