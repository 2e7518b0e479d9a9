"""One download per machine: remote sources kept on a disk, by version, for all processes there.

    <folder>/<key>.lock          shared by those who hold the source or fetch it, exclusive to remove it
    <folder>/<key>.fetch         exclusive while it is fetched; holds the size in bytes
    <folder>/<key>.part/         what is being fetched
    <folder>/<key>/file/<name>   the source, whole; beside it its sha256

All locks are flock's, which the kernel lets go of with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facefx.errors import SourceError
from facefx.storage.backend import Backend, connect
from facefx.storage.local import changed, refused
from facefx.storage.options import StorageOptions
from facefx.storage.publish import sha256_of
from facefx.storage.urls import is_local, local_path, name_of, shown

__all__ = ["StagingCache"]


class StagingCache:
    """Copies of remote sources in a private folder, shared by the processes of a machine; picklable.

    limit_bytes: what is kept; of what nobody holds, the longest unused goes first. What is held stays,
    even where that is more than the limit. The folder must be on a disk of this machine.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = Path(folder).absolute(), limit_bytes
        self._backends: dict[tuple[str, StorageOptions], Backend] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.folder, self.limit_bytes)

    @contextmanager
    def hold(
        self, url: str, version: str | None = None, options: StorageOptions | None = None
    ) -> Iterator[Path]:
        """Give the source as a local file that stays for the length of the block; not to be written to.

        version: the one that was found; None for the present one. A local source is given where it lies.
        Raises SourceError if the source is of another version or changes while it is fetched, or cannot
        be had; SinkError if this disk does not take it.
        """
        if is_local(url):
            _expect(url, version, options)
            yield local_path(url)
            return
        with self._held(url, version, options) as kept:
            yield kept / "file" / name_of(url)

    def sha256_of(self, url: str, version: str | None = None, options: StorageOptions | None = None) -> str:
        """Hex sha256 of a source, taken while it was fetched; of a local one, read now."""
        if is_local(url):
            _expect(url, version, options)
            return sha256_of(url)
        with self._held(url, version, options) as kept:
            return (kept / "sha256").read_text()

    def used_bytes(self) -> int:
        """What is kept or being fetched."""
        return sum(_size(path) for path in self.folder.glob("*.fetch"))

    @contextmanager
    def _held(self, url: str, version: str | None, options: StorageOptions | None) -> Iterator[Path]:
        """The folder of one source, fetched if need be, kept from removal."""
        options = options or StorageOptions()
        backend = self._backend(url, options)
        if not version:
            entry = backend.stat(url)
            version = entry.version if entry else ""
        # The same address can be another object at another endpoint.
        text = "\n".join([url, version, options.endpoint_url or ""])
        kept = self.folder / hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]
        with self._room_made_for(kept), _locked(_beside(kept, ".lock"), fcntl.LOCK_SH) as lock:
            if not kept.is_dir():
                with _locked(_beside(kept, ".fetch"), fcntl.LOCK_EX) as fetch:
                    if not kept.is_dir():
                        self._fetch(backend, url, version, kept, fetch)
            os.utime(lock)
            try:
                yield kept
            finally:
                os.utime(lock)

    @contextmanager
    def _room_made_for(self, kept: Path) -> Iterator[None]:
        """Make the folder before, and keep the limit after."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise refused(str(self.folder), error) from error
        try:
            yield
        finally:
            self._make_room()

    def _fetch(self, backend: Backend, url: str, version: str, kept: Path, fetch: int) -> None:
        entry = backend.stat(url)
        if entry is None:
            raise SourceError(f"{shown(url)}: cannot be fetched: is not there; check the address")
        if version and entry.version != version:
            raise changed(url, version, entry.version)
        part = _beside(kept, ".part")
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        try:
            os.truncate(fetch, 0)
            os.pwrite(fetch, str(entry.size_bytes).encode(), 0)
            self._make_room()
            part.mkdir(mode=0o700)
            target = part / "file" / name_of(url)
            digest = backend.get(url, target, version or None)
            target.chmod(0o600)
            (part / "sha256").write_text(digest)
            part.rename(kept)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            with suppress(OSError):
                os.truncate(fetch, 0)
            if isinstance(error, OSError):
                raise refused(str(self.folder), error) from error
            raise

    def _make_room(self) -> None:
        """Remove what nobody holds, the longest unused first, until the limit is kept; and all remains."""
        with _locked(self.folder / ".room", fcntl.LOCK_EX):
            used = self.used_bytes()
            for lock in sorted(self.folder.glob("*.lock"), key=_used_at):
                kept = lock.with_suffix("")
                if used > self.limit_bytes or not kept.is_dir():
                    size = _size(_beside(kept, ".fetch"))
                    used -= size if _removed(kept) else 0

    def _backend(self, url: str, options: StorageOptions) -> Backend:
        place = ("/".join(url.split("/")[:3]), options)
        if place not in self._backends:
            self._backends[place] = connect(url, options)
        return self._backends[place]


def _expect(url: str, version: str | None, options: StorageOptions | None) -> None:
    """A local source must be the one that was found."""
    if not version:
        return
    entry = connect(url, options).stat(url)
    if entry is None or entry.version != version:
        raise changed(url, version, entry.version if entry else "none: it is gone")


def _beside(kept: Path, suffix: str) -> Path:
    return kept.with_name(kept.name + suffix)


def _size(fetch: Path) -> int:
    with suppress(FileNotFoundError):
        return int(fetch.read_text() or 0)
    return 0


def _used_at(lock: Path) -> float:
    with suppress(FileNotFoundError):
        return lock.stat().st_mtime
    return 0.0


def _removed(kept: Path) -> bool:
    """Remove one source unless somebody holds or fetches it."""
    try:
        with _locked(_beside(kept, ".lock"), fcntl.LOCK_EX | fcntl.LOCK_NB):
            # The name goes first, in one step: a killed process must leave no half source under it.
            doomed = _beside(kept, ".part")
            shutil.rmtree(doomed, ignore_errors=True)
            with suppress(FileNotFoundError):
                kept.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            for suffix in (".fetch", ".lock"):
                _beside(kept, suffix).unlink(missing_ok=True)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    """A lock file's descriptor, locked. Raises BlockingIOError if that was asked not to wait."""
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise refused(str(path), error) from error
        try:
            fcntl.flock(descriptor, how)
            # Whoever removed the source removed this file as well, and others lock a new one.
            if _is_at(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
