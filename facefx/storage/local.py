"""Files on this machine's disks."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from facefx.errors import SinkError, SourceError
from facefx.storage.backend import Exclusive, Found, SweepReport, is_temporary, owner_of, temporary_name
from facefx.storage.urls import local_path, sha256_file, shown

__all__ = ["LocalBackend", "changed", "found", "refused", "sync_file", "sync_folder", "whole"]

# What a file system without hard links answers.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
# Our own folder beside the outputs: faces are personal data.
PRIVATE = ".facefx"


def refused(url: str, error: OSError) -> SinkError:
    """The error of a disk that does not take our bytes."""
    return SinkError(
        f"{shown(url)}: cannot be written: {error.strerror or error}; make room there or choose another place"
    )


def changed(url: str, expected: str, got: str) -> SourceError:
    """The error of a source that is not the one that was found before."""
    return SourceError(
        f"{shown(url)}: changed since it was found: expected version {expected}, got {got}; "
        "leave sources alone while they are processed, and run again"
    )


def found(url: str, status: os.stat_result) -> Found:
    """What a disk tells of a file."""
    version = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    return Found(url, status.st_size, version, status.st_mtime)


def sync_file(path: Path) -> None:
    """Have the bytes on the disk before the name: a crash must not leave a good name on a bad file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Have a new name on the disk; where a file system cannot do that for folders, it did all it can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _begun(target: Path, owner: str) -> Path:
    """An empty file beside the target, in a folder made for it; private below a folder of ours."""
    private = PRIVATE in target.parts
    part = target.with_name(temporary_name(target.name, owner))
    for left in reversed(range(3)):
        for folder in reversed(target.parents):  # mkdir(parents=True) gives its mode to the last one only
            folder.mkdir(exist_ok=True, mode=0o700 if PRIVATE in folder.parts else 0o777)
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
            break
        except FileNotFoundError:  # another process removed the folder, which was empty
            if not left:
                raise
    return part


@contextmanager
def whole(target: Path, owner: str = "") -> Iterator[Path]:
    """A name beside the target to write to; the block's end gives it the target's name, an error none."""
    part = _begun(target, owner)
    try:
        yield part
        sync_file(part)
        part.replace(target)
        sync_folder(target.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


class LocalBackend:
    """Files on this machine's disks; a new file is written beside its place and then renamed."""

    def __init__(self, owner: str = "") -> None:
        self._owner = owner

    def exclusive(self, url: str) -> Exclusive:
        """Hard links, or O_EXCL where there are none: both are the kernel's."""
        return "atomic"

    def read(self, url: str) -> bytes:
        """The whole of a file."""
        try:
            return local_path(url).read_bytes()
        except OSError as error:
            raise SourceError(
                f"{shown(url)}: cannot be read: {error.strerror}; check the path and its rights"
            ) from error

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """The bytes of a file from start up to stop."""
        try:
            with local_path(url).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:
            raise SourceError(
                f"{shown(url)}: cannot be read: {error.strerror}; check the path and its rights"
            ) from error

    def write(self, url: str, data: bytes) -> None:
        """Put a whole file in place of what stood there."""
        try:
            with whole(local_path(url), self._owner) as part:
                part.write_bytes(data)
        except OSError as error:
            raise refused(url, error) from error

    def create(self, url: str, data: bytes) -> bool:
        """Put a whole file if none is there."""
        target = local_path(url)
        try:
            part = _begun(target, self._owner)
            try:
                part.write_bytes(data)
                sync_file(part)
                return _name_once(part, target, data)
            finally:
                with suppress(FileNotFoundError):
                    part.unlink()
        except OSError as error:
            raise refused(url, error) from error

    def put(self, url: str, path: Path) -> None:
        """Copy a local file there."""
        try:
            with whole(local_path(url), self._owner) as part:
                shutil.copyfile(path, part)
        except OSError as error:
            raise refused(url, error) from error

    def get(self, url: str, path: Path, version: str | None = None) -> str:
        """Copy a file to another place."""
        before = self.stat(url)
        if before is None:
            raise SourceError(f"{shown(url)}: is not there; check the path")
        if version and before.version != version:
            raise changed(url, version, before.version)
        self.put(str(path), local_path(url))
        after = self.stat(url)
        if after is None or after.version != before.version:
            path.unlink(missing_ok=True)
            raise changed(url, before.version, after.version if after else "none: it is gone")
        return sha256_file(path)

    def stat(self, url: str) -> Found | None:
        """What is known of a file; a folder is none."""
        try:
            path = local_path(url)
            return None if path.is_dir() else found(url, path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceError(
                f"{shown(url)}: cannot be read: {error.strerror}; check the path and its rights"
            ) from error

    def list(self, url: str) -> Iterator[Found]:
        """All files whose path begins with this one; temporary ones of ours left out."""
        yield from (item for item in _walk(url) if not is_temporary(item.url))

    def remove(self, urls: Sequence[str]) -> None:
        """Remove files, and the folders of ours that this leaves empty."""
        for url in urls:
            path = local_path(url)
            try:
                path.unlink(missing_ok=True)
                for folder in path.parents:
                    if PRIVATE not in folder.parts:
                        break
                    folder.rmdir()
            except NotADirectoryError:
                continue
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                    raise refused(url, error) from error

    def sweep(self, url: str, older_than_s: float, owner: str | None) -> SweepReport:
        """Remove temporary files of ours."""
        files = count = 0
        for item in list(_walk(url)):
            whose = owner_of(item.url.rpartition("/")[2])
            if whose is None or not (
                (owner and whose == owner) or time.time() - item.modified_s >= older_than_s
            ):
                continue
            self.remove([item.url])
            files, count = files + 1, count + item.size_bytes
        return SweepReport(files, count)


def _name_once(part: Path, target: Path, data: bytes) -> bool:
    """Give a filled file its name unless that is taken."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _claim(target, data)
    sync_folder(target.parent)
    return True


def _claim(target: Path, data: bytes) -> bool:
    """Where there are no hard links the name comes first: a crash in here leaves a short file."""
    try:
        with target.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    except OSError:
        target.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
    return True


def _walk(url: str) -> Iterator[Found]:
    """Files whose path begins with url, sorted; links to folders are not followed."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise SourceError(
                f"{shown(str(error.filename))}: cannot be listed: {error.strerror}; check the folder's rights"
            ) from error

    prefix = str(local_path(url).absolute()) + ("/" if url.endswith("/") and url.strip("/") else "")
    names = []
    for folder, _, files in os.walk(prefix.rpartition("/")[0] or "/", onerror=unreadable):
        paths = (f"{folder.rstrip('/')}/{name}" for name in files)
        names += [path for path in paths if path.startswith(prefix)]
    for path in sorted(names):
        with suppress(FileNotFoundError):
            yield found(path, Path(path).stat())
