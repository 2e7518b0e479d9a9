"""Any URL as a local file: stage what is read, publish what was written, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facefx.errors import FacefxError, SinkError, SourceError
from facefx.storage.backend import connect, temporary_name
from facefx.storage.local import refused, sync_file, sync_folder
from facefx.storage.options import StorageOptions
from facefx.storage.urls import is_device, is_local, local_path, name_of, sha256_file

__all__ = ["Publication", "publishing", "sha256_of", "staged"]


@contextmanager
def staged(url: str, options: StorageOptions | None = None) -> Iterator[Path]:
    """Give the source as a local file; a remote one is copied for the length of the block.

    Raises SourceError if it cannot be fetched. A local path is given as it is, unread.
    """
    if is_local(url):
        yield local_path(url)
        return
    backend = connect(url, options)
    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        target = Path(folder) / name_of(url)
        backend.get(url, target)
        yield target


def sha256_of(url: str, options: StorageOptions | None = None) -> str:
    """Hex sha256 of any source, read once. Raises SourceError if it cannot be fetched."""
    if is_local(url):
        try:
            return sha256_file(local_path(url))
        except OSError as error:
            raise SourceError(
                f"{url}: cannot be read: {error.strerror}; check the path and its rights"
            ) from error
    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        return connect(url, options).get(url, Path(folder) / name_of(url))


class Publication:
    """An output on its way: write to `path`, then commit(); without it nothing appears.

    path lies beside a local destination (the final step is a rename), else in a private folder
    (the final step is one upload, which is checked). It ends in the destination's suffix, since muxers go
    by it. owner: goes into a temporary name beside a local destination, see Store.sweep.
    """

    def __init__(self, url: str, options: StorageOptions | None = None, *, owner: str = "") -> None:
        self.url = url
        self._folder: Path | None = None
        if is_local(url):
            self._target = local_path(url)
            _check_destination(self._target)
            self.path = self._target.with_name(temporary_name(self._target.name, owner))
        else:
            # Before the work, not after it: a kind of URL that nobody knows.
            self._backend = connect(url, options, owner)
            self._folder = Path(tempfile.mkdtemp(prefix="facefx-"))
            self.path = self._folder / name_of(url)

    def write(self, data: bytes) -> None:
        """Put the whole of the output under its temporary name; again, if it is to be another.

        Raises SinkError where the disk is full or refuses.
        """
        try:
            self.path.write_bytes(data)
        except OSError as error:
            raise refused(self.url, error) from error

    def commit(self) -> None:
        """Give the output its name; replaces what stood there.

        Raises SinkError if the destination refuses.
        """
        try:
            if self._folder is None:
                sync_file(self.path)
                self.path.replace(self._target)
                sync_folder(self._target.parent)
            else:
                self._backend.put(self.url, self.path)
        except OSError as error:
            raise refused(self.url, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written so far; safe to call again."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


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


@contextmanager
def publishing(url: str, options: StorageOptions | None = None, *, owner: str = "") -> Iterator[Publication]:
    """Publish what the block writes if it calls commit(); remove it in every other case.

    Errors of the block speak of the output's own name: nobody knows the temporary one.
    """
    publication = Publication(url, options, owner=owner)
    try:
        with speaking_of(publication.path, publication.url):
            yield publication
    finally:
        publication.discard()


@contextmanager
def speaking_of(path: Path, name: str) -> Iterator[None]:
    """Let errors of the block name what the user knows: nobody knows the temporary place, path."""
    try:
        yield
    except FacefxError as error:
        error.args = (str(error).replace(str(path), name), *error.args[1:])
        raise
