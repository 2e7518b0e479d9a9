"""One run at a time: a second is refused, one is ended from elsewhere, and everybody can see who works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from archive_makers import Archive, Work, put_clips
from programs import Program

from facefx.archive.again import purge_archive, status_of_archive
from facefx.archive.run import RunSummary
from facefx.archive.state import STATE
from facefx.archive.tasks import SegmentTask, Task
from facefx.archive.work import Tools, execute
from facefx.errors import ExitCode, LeaseHeldError
from facefx.storage import Store

# Holds a lease as a run in another process does, until it is told to end, or killed.
HOLDER = """
import sys
from facefx.storage import Lease, Store
lease = Lease(Store(sys.argv[1]), sys.argv[2], "somebody else's run")
lease.acquire()
print("held", flush=True)
input()
lease.release()
print("released", flush=True)
input()
"""


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    source = put_clips(tmp_path / "in", "a.mp4", "b.mp4")
    return Archive(str(source), str(tmp_path / "out"), tmp_path / "scratch")


class Held:
    """Work that stops before its second segment, until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._segments = 0

    def __call__(self, task: Task, tools: Tools) -> object:
        if isinstance(task, SegmentTask):
            self._segments += 1
            if self._segments == 2:
                self.reached.set()
                assert self.go_on.wait(60)
        return execute(task, tools)


@contextmanager
def running(archive: Archive, work: Work) -> Iterator[list[RunSummary]]:
    """A run in another thread; its summary is in the list once the block has ended."""
    ended: list[RunSummary] = []
    thread = threading.Thread(target=lambda: ended.append(archive.run(work)))
    thread.start()
    try:
        yield ended
    finally:
        if isinstance(work, Held):
            work.go_on.set()
        thread.join(60)


def test_a_second_run_is_refused_and_told_who_works_while_the_first_goes_on_unharmed(
    archive: Archive,
) -> None:
    held = Held()
    with running(archive, held) as ended:
        assert held.reached.wait(60)
        second = Archive(archive.source, archive.target, archive.scratch)
        with pytest.raises(LeaseHeldError, match=r"held by .* process") as refused:
            second.run()
        assert refused.value.exit_code == ExitCode.BAD_INPUT
        assert "a run is at work" in status_of_archive(archive.state)["state"]
        with pytest.raises(LeaseHeldError):
            purge_archive(archive.state, everything=True)
    assert [summary.exit_code for summary in ended] == [ExitCode.DONE]
    assert status_of_archive(archive.state)["state"] == "no run is at work"


def test_a_run_that_is_cancelled_ends_and_a_later_one_goes_on_from_there(archive: Archive) -> None:
    held = Held()
    with running(archive, held) as ended:
        assert held.reached.wait(60)
        archive.state.ask_to_stop()
    (summary,) = ended
    assert int(summary.exit_code) == 130
    assert summary.done == 0
    status = status_of_archive(archive.state)
    assert (status["state"], status["records"]["done"]) == ("no run is at work", 0)
    again = archive.run()
    assert (again.exit_code, again.done) == (ExitCode.DONE, 2)
    assert again.reused == 2
    assert archive.strays() == []


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others look every two seconds whether they are to end."""
    monkeypatch.setattr("facefx.archive.run._LOOK_S", 0.0)


def test_a_word_to_end_that_nobody_heard_does_not_end_the_next_run(archive: Archive) -> None:
    archive.state.ask_to_stop()
    assert archive.run().exit_code == ExitCode.DONE


def test_status_says_who_works_and_that_a_killed_run_was_broken_off(archive: Archive, program: type) -> None:
    archive.run()
    holder: Program = program(HOLDER, archive.target, archive.state.lease_name())
    assert holder.said() == "held"
    state = status_of_archive(archive.state)["state"]
    assert "somebody else's run" in state
    assert f"process {holder.process.pid}" in state
    holder.kill()
    assert "broken off" in status_of_archive(archive.state)["state"]
    archive.run()
    assert status_of_archive(archive.state)["state"] == "no run is at work"


def test_a_run_that_lost_its_lease_ends_instead_of_working_beside_another(archive: Archive) -> None:
    def work(task: Task, tools: Tools) -> object:
        if isinstance(task, SegmentTask):
            store = Store(archive.target)
            (lease,) = [entry.rel for entry in store.list(f"{STATE}/lease.json.")]
            store.write(lease[:-8] + "00000099", store.read(lease))  # another took over
            monkey.setattr("facefx.storage.Lease.check", _renewed(check))
        return execute(task, tools)

    from facefx.storage import Lease

    check = Lease.check
    with pytest.MonkeyPatch.context() as monkey, pytest.raises(LeaseHeldError, match="lost its hold"):
        archive.run(work)
    assert list(archive.outputs()) == []


def _renewed(check: object) -> object:
    """Have the lease renewed now instead of in twenty seconds."""

    def checked(lease: object) -> None:
        lease.renew()  # type: ignore[attr-defined]
        check(lease)  # type: ignore[operator]

    return checked


def test_progress_is_told_while_a_run_works(archive: Archive) -> None:
    held = Held()
    with running(archive, held):
        assert held.reached.wait(60)
        progress = status_of_archive(archive.state)["progress"]
        assert (progress["running"], progress["videos"]) == (True, 2)
    progress = status_of_archive(archive.state)["progress"]
    assert (progress["running"], progress["done"], progress["segments_done"]) == (False, 2, 6)
