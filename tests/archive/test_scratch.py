"""Workers' folders on a machine's disk: private, kept while their worker lives, gone with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from facefx.archive.scratch import scratch_folder, sweep_scratch, wait_for_scratch

_HOLD = """
import sys
from pathlib import Path
from facefx.archive.scratch import scratch_folder

with scratch_folder(Path(sys.argv[1]), "run1") as folder:
    (folder / "frames").write_bytes(bytes(999))
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def living_worker(root: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that works in a folder of its own until it is told to end."""
    command = [sys.executable, "-c", _HOLD, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            yield worker, Path(worker.stdout.readline().strip())
        finally:
            worker.kill()


def folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()]


def test_a_living_workers_folder_is_never_swept(tmp_path: Path) -> None:
    with living_worker(tmp_path) as (_, folder):
        assert sweep_scratch(tmp_path) == 0
        assert (folder / "frames").stat().st_size == 999
        assert folder.stat().st_mode & 0o077 == 0


def test_a_killed_workers_folder_goes_with_the_next_sweep(tmp_path: Path) -> None:
    with living_worker(tmp_path) as (worker, _):
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert sweep_scratch(tmp_path) == 1
        assert folders(tmp_path) == []


def test_a_worker_killed_before_it_held_its_lock_leaves_nothing_for_ever(tmp_path: Path) -> None:
    (tmp_path / "worker-run1-123-abc").mkdir()
    with scratch_folder(tmp_path) as folder:
        assert folders(tmp_path) == [folder]


def test_a_run_waits_for_its_killed_workers_and_for_no_other_runs(tmp_path: Path) -> None:
    with living_worker(tmp_path) as (worker, folder):
        assert not wait_for_scratch(tmp_path, "run1", 0.0)
        assert folder.is_dir()
        assert wait_for_scratch(tmp_path, "run2", 0.0)
        os.kill(worker.pid, signal.SIGKILL)  # not waited for: that is what is to be waited for
        assert wait_for_scratch(tmp_path, "run1", 30.0)
        assert folders(tmp_path) == []


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep_scratch(tmp_path / "none") == 0
    assert wait_for_scratch(tmp_path / "none", "run1", 0.0)


def _come_and_go(root: str, turns: int) -> int:
    """Make folders while others sweep; say how many were taken away under our feet."""
    taken = 0
    for _ in range(turns):
        with scratch_folder(Path(root)) as folder:
            taken += not (folder / ".alive").exists()
    return taken


def test_workers_that_start_at_once_do_not_sweep_each_other(tmp_path: Path) -> None:
    with get_context("spawn").Pool(4) as pool:
        assert pool.starmap(_come_and_go, [(str(tmp_path), 200)] * 4) == [0] * 4
    assert folders(tmp_path) == []
