"""What a kind of storage must be able to do, and which kind a URL belongs to."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from facefx.errors import SinkError, SourceError
from facefx.storage.options import StorageOptions
from facefx.storage.urls import is_local, scheme_of, shown

__all__ = [
    "Backend",
    "Exclusive",
    "Found",
    "SweepReport",
    "Unavailable",
    "connect",
    "fetching",
    "is_temporary",
    "owner_of",
    "settled",
    "storing",
    "temporary_name",
]

Exclusive = Literal["atomic", "settled"]
# So long a writer waits for others that may be about to write, where the store cannot exclude them.
SETTLE_S = 1.0
_TEMPORARY = re.compile(r"\.[^/]*\.(?:([a-z0-9]{1,32})-)?[0-9a-f]{8}\.part(\.[^./]*)?$")


@dataclass(frozen=True, slots=True)
class Found:
    """A file as its storage tells of it. version: changes whenever the content does; may be ""."""

    url: str
    size_bytes: int
    version: str
    modified_s: float


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep took away: temporary files with their bytes, and uploads that were never completed."""

    temp_files: int = 0
    temp_bytes: int = 0
    pending_uploads: int = 0


class Unavailable(Exception):
    """The storage refused or could not be reached; the text is the reason, without the address."""


class Backend(Protocol):
    """One kind of storage, reached with one set of options. Takes whole URLs; for many threads.

    Raises SourceError from what reads, SinkError from what writes.
    """

    def exclusive(self, url: str) -> Exclusive:
        """How create() keeps others out below this URL; may try it there."""

    def read(self, url: str) -> bytes:
        """The whole of a file."""

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """The bytes of a file from start up to stop."""

    def write(self, url: str, data: bytes) -> None:
        """Put a whole file in place of what stood there."""

    def create(self, url: str, data: bytes) -> bool:
        """Put a whole file if none is there."""

    def put(self, url: str, path: Path) -> None:
        """Copy a local file there, whole or not at all."""

    def get(self, url: str, path: Path, version: str | None = None) -> str:
        """Copy a file to a local path, whole or not at all; give its sha256.

        Raises SourceError if it is of another version, before or after; SinkError if the local disk refuses.
        """

    def stat(self, url: str) -> Found | None:
        """What is known of a file; None if there is none."""

    def list(self, url: str) -> Iterator[Found]:
        """All files whose URL begins with this one, in order of their URLs."""

    def remove(self, urls: Sequence[str]) -> None:
        """Remove files; what is not there is no error."""

    def sweep(self, url: str, older_than_s: float, owner: str | None) -> SweepReport:
        """Remove what dead processes left whose URL begins with this one."""


def connect(url: str, options: StorageOptions | None = None, owner: str = "") -> Backend:
    """The storage that a URL lies in. Raises UsageError for an unknown kind; reaches out to nobody yet."""
    options = options or StorageOptions()
    if is_local(url):
        from facefx.storage.local import LocalBackend

        return LocalBackend(owner)
    if scheme_of(url) in {"s3", "s3a"}:
        from facefx.storage.s3 import S3Backend

        return S3Backend(options, owner)
    from facefx.storage.remote import RemoteBackend

    return RemoteBackend(url, options, owner)


@contextmanager
def fetching(url: str) -> Iterator[None]:
    """Tell what kept us from reading, by the address that people know."""
    try:
        yield
    except Unavailable as error:
        raise SourceError(f"{shown(url)}: cannot be fetched: {error}") from error


@contextmanager
def storing(url: str) -> Iterator[None]:
    """Tell what kept us from writing, by the address that people know."""
    try:
        yield
    except Unavailable as error:
        raise SinkError(f"{shown(url)}: cannot be written: {error}") from error


def owner_of(name: str) -> str | None:
    """Whose temporary file this is; "" where it does not say, None if it is no temporary file of ours.

    >>> owner_of(".clip.run7-00c0ffee.part.mp4"), owner_of(".clip.00c0ffee.part"), owner_of("clip.part")
    ('run7', '', None)
    """
    match = _TEMPORARY.fullmatch(name)
    return None if match is None else match[1] or ""


def is_temporary(url: str) -> bool:
    """True for the name of a file of ours that is not whole yet."""
    return owner_of(url.rpartition("/")[2]) is not None


def temporary_name(name: str, owner: str = "") -> str:
    """A name for a file on its way to be `name`; hidden, told apart by sweeps, ends in the same suffix.

    >>> owner_of(temporary_name("clip.mp4", "Run 7"))
    'run7'
    """
    stem, dot, suffix = name.rpartition(".")
    whose = re.sub(r"[^a-z0-9]", "", owner.lower())[:32]
    token = (whose + "-" if whose else "") + secrets.token_hex(4)
    # 255 bytes are what a name may have, and a letter may have four of them.
    return f".{(stem if dot and stem else name)[:40]}.{token}.part{dot + suffix[:8] if dot and stem else ''}"


def settled(there: Callable[[], bool], place: Callable[[], None], mine: Callable[[], bool]) -> bool:
    """Create a file where the storage cannot exclude others: write, wait, and see whose it is.

    Of several writers the last one wins, as long as none pauses for more than a second between looking
    and writing.
    """
    if there():
        return False
    place()
    time.sleep(SETTLE_S)
    return mine()
