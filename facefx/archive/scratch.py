"""A worker's private folder on its own disk, and the removal of those whose workers died."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facefx.errors import SinkError

__all__ = ["default_root", "scratch_folder", "sweep_scratch", "wait_for_scratch"]

_PREFIX = "worker-"
_LOCK = ".alive"
_GATE = ".gate"
_LOOK_S = 0.05


def default_root() -> Path:
    """The folder below which workers of this user keep what passes through their hands."""
    return Path(tempfile.gettempdir()) / f"facefx-{os.getuid()}"


@contextmanager
def scratch_folder(root: Path, owner: str = "") -> Iterator[Path]:
    """Give a new folder that only this user can read; it goes with the block.

    owner: name of the run that it is for, by which wait_for_scratch tells whose it is; a file's name. A
    worker that is killed leaves its folder behind: it holds a lock in it, which the kernel lets go, so the
    next one on this machine sees that nobody lives there and removes it.

    Raises SinkError where root cannot be written.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _one_at_a_time(root):
            _sweep(root)
            folder = root / f"{_PREFIX}{owner or 'any'}-{os.getpid()}-{secrets.token_hex(4)}"
            folder.mkdir(mode=0o700)
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
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
    if not root.is_dir():
        return 0
    with _one_at_a_time(root):
        return _sweep(root)


def wait_for_scratch(root: Path, owner: str, timeout_s: float) -> bool:
    """Remove what a run's workers leave behind on this machine; False where one still lives after timeout_s.

    A worker that was told to end, or killed a moment ago, takes its time to be gone.
    """
    end = time.monotonic() + timeout_s
    while True:
        sweep_scratch(root)
        if not any(root.glob(f"{_PREFIX}{owner}-*")):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_S)


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Let nobody else make or sweep folders: one without a lock is a dead worker's, not one just made."""
    gate = os.open(root / _GATE, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
    finally:
        os.close(gate)


def _sweep(root: Path) -> int:
    gone = [folder for folder in root.glob(f"{_PREFIX}*") if not _is_held(folder)]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return len(gone)


def _is_held(folder: Path) -> bool:
    """True while the worker of a folder lives, which holds its lock."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        return False  # killed between the folder and the lock, or taken away just now
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
