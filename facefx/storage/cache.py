"""One download per machine: remote sources kept on a disk, by version, for all processes there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facefx.storage.options import StorageOptions

__all__ = ["StagingCache"]


class StagingCache:
    """Copies of remote sources in a private folder, shared by the processes of a machine; picklable."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    @contextmanager
    def hold(
        self, url: str, version: str | None = None, options: StorageOptions | None = None
    ) -> Iterator[Path]:
        """Give the source as a local file that stays for the length of the block."""
        yield self.folder

    def sha256_of(self, url: str, version: str | None = None, options: StorageOptions | None = None) -> str:
        """Hex sha256 of a source, taken while it was fetched."""
        raise NotImplementedError
