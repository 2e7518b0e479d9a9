"""Any URL as a local file: stage what is read, publish what was written, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from facefx.errors import FacefxError, SinkError, SourceError, UsageError
from facefx.storage.options import StorageOptions
from facefx.storage.urls import is_device, is_local, local_path, sha256_file

__all__ = ["Publication", "publishing", "sha256_of", "staged"]


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, inner = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UsageError(
            f"{url}: no storage for this kind of URL ({error}); use a path, file:// or s3://"
        ) from error
    return fs, inner


@contextmanager
def staged(url: str, options: StorageOptions | None = None) -> Iterator[Path]:
    """Give the source as a local file; a remote one is copied for the length of the block.

    Raises SourceError if it cannot be fetched. A local path is given as it is, unread.
    """
    if is_local(url):
        yield local_path(url)
        return
    fs, inner = _filesystem(url)
    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        target = Path(folder) / (Path(inner).name or "source")
        try:
            fs.get_file(inner, str(target))
        except OSError as error:
            raise SourceError(
                f"{url}: cannot be fetched: {error}; check the address and credentials"
            ) from error
        yield target


def sha256_of(url: str, options: StorageOptions | None = None) -> str:
    """Hex sha256 of any source, read once. Raises SourceError if it cannot be fetched."""
    with staged(url, options) as path:
        return sha256_file(path)


class Publication:
    """An output on its way: write to `path`, then commit(); without it nothing appears.

    path lies beside a local destination (the final step is a rename), else in a private folder
    (the final step is one upload). It ends in the destination's suffix, since muxers go by it.
    """

    def __init__(self, url: str, options: StorageOptions | None = None, *, owner: str = "") -> None:
        self.url = url
        self._folder: Path | None = None
        if is_local(url):
            self._target = local_path(url)
            _check_destination(self._target)
            token = secrets.token_hex(4)
            self.path = self._target.with_name(f".{self._target.stem[:80]}.{token}.part{self._target.suffix}")
        else:
            self._folder = Path(tempfile.mkdtemp(prefix="facefx-"))
            self.path = self._folder / Path(url).name

    def write(self, data: bytes) -> None:
        """Put the whole of the output under its temporary name; again, if it is to be another.

        Raises SinkError where the disk is full or refuses.
        """
        try:
            self.path.write_bytes(data)
        except OSError as error:
            raise _refused(self.url, error) from error

    def commit(self) -> None:
        """Give the output its name; replaces what stood there.

        Raises SinkError if the destination refuses.
        """
        try:
            if self._folder is None:
                _sync(self.path)
                self.path.replace(self._target)
            else:
                fs, inner = _filesystem(self.url)
                fs.put_file(str(self.path), inner)
        except OSError as error:
            raise _refused(self.url, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written so far; safe to call again."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _refused(url: str, error: OSError) -> SinkError:
    return SinkError(
        f"{url}: cannot be written: {error.strerror or error}; make room there or choose another place"
    )


def _check_destination(target: Path) -> None:
    """Refuse at once what would fail after hours of work."""
    parent = target.parent
    if target.is_dir():
        raise SinkError(f"{target}: is a folder, expected the name of a file to write")
    if is_device(target):
        # The finished file takes the place of what has its name, and nobody means a device to go.
        raise SinkError(f"{target}: is a device or a pipe, expected the name of a file to write")
    if not parent.is_dir():
        raise SinkError(f"{target}: folder {parent} does not exist; make it first")
    try:
        with tempfile.TemporaryFile(dir=parent):  # has no name, so that no Ctrl-C can leave it behind
            pass
    except OSError as error:
        raise SinkError(
            f"{target}: cannot write into {parent}: {error.strerror}; "
            "choose another folder or change its rights"
        ) from error


def _sync(path: Path) -> None:
    """Have the bytes on the disk before the name: a crash must not leave a good name on a bad file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def publishing(url: str, options: StorageOptions | None = None, *, owner: str = "") -> Iterator[Publication]:
    """Publish what the block writes if it calls commit(); remove it in every other case.

    Errors of the block speak of the output's own name: nobody knows the temporary one.
    """
    publication = Publication(url, options, owner=owner)
    try:
        yield publication
    except FacefxError as error:
        error.args = (str(error).replace(str(publication.path), publication.url), *error.args[1:])
        raise
    finally:
        publication.discard()
