"""A worker's private folder on its own disk, and the removal of those whose workers died."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facefx.errors import SinkError

__all__ = ["default_root", "scratch_folder", "sweep_scratch"]

_PREFIX = "worker-"
_LOCK = ".alive"


def default_root() -> Path:
    """The folder below which workers of this user keep what passes through their hands."""
    return Path(tempfile.gettempdir()) / f"facefx-{os.getuid()}"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Give a new folder that only this user can read; it goes with the block.

    A worker that is killed leaves its folder behind: it holds a lock in it, which the kernel lets go, so
    the next one on this machine sees that nobody lives there and removes it.

    Raises SinkError where root cannot be written.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep_scratch(root)
        folder = root / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        # Made under another name first: a sweep must not find it before it is locked.
        hidden = root / f".{folder.name}"
        hidden.mkdir(mode=0o700)
        lock = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        hidden.rename(folder)
    except OSError as error:
        raise SinkError(
            f"{root}: no scratch folder can be made: {error.strerror}; choose another with --scratch"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep_scratch(root: Path) -> int:
    """Remove the folders of workers that are gone; return how many there were."""
    gone = 0
    for folder in root.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:
            continue  # its owner is taking it away just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
            gone += 1
        finally:
            os.close(lock)
    return gone
