"""Runs that are killed at any step are gone on with: one output, one record, the same bytes, nothing left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_makers import DRIVER, SEGMENTS, STEPS, Archive, order, put_clips, sha256
from programs import Program

from facefx.archive.scratch import sweep_scratch
from facefx.archive.state import STATE
from facefx.archive.tasks import FinishTask, Task
from facefx.archive.work import Tools, execute
from facefx.errors import ExitCode

KILLED = "-9"
TESTS = Path(__file__).parents[1]


class Driver:
    """A process that runs archives, each in a fork of its own."""

    def __init__(self) -> None:
        self._program = Program(f"import sys; sys.path.insert(0, sys.argv[1])\n{DRIVER}", str(TESTS))

    def begin(self, archive: Archive, step: str = "", nth: int = 1) -> None:
        assert self._program.process.stdin is not None
        self._program.process.stdin.write(order(archive, step=step, nth=nth) + "\n")
        self._program.process.stdin.flush()

    def run(self, archive: Archive, step: str = "", nth: int = 1) -> str:
        """Run to its end; the exit code."""
        self.begin(archive, step, nth)
        return self._program.said()

    def close(self) -> None:
        self._program.close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_clips(tmp_path_factory.mktemp("source"), "a.mp4")


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What comes of it when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    archive = Archive(str(source), str(folder / "out"), folder / "scratch")
    archive.run()
    return archive


@pytest.fixture
def archive(source: Path, tmp_path: Path) -> Archive:
    return Archive(str(source), str(tmp_path / "out"), tmp_path / "scratch")


def same_end(archive: Archive, undisturbed: Archive) -> None:
    """One output, one record, the bytes of a run that nobody disturbed, and nothing else."""
    assert archive.outputs() == undisturbed.outputs()
    ours, theirs = archive.records(), undisturbed.records()
    assert {name: record.stable() for name, record in ours.items()} == {
        name: record.stable() for name, record in theirs.items()
    }
    key = ours["a.mp4"].key
    faces = f"{STATE}/faces/video={key}/part.parquet"
    assert sha256(Path(archive.target) / faces) == sha256(Path(undisturbed.target) / faces)
    assert archive.strays() == []


# Which segments are in the store when the step comes.
STORED = {"half a piece": 0, "before a segment's result": 0, "after a segment's result": 1}


@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed_is_gone_on_with(
    driver: Driver, archive: Archive, undisturbed: Archive, step: str
) -> None:
    assert driver.run(archive, step) == KILLED
    settled = step in ("between record and removal", "within removal")
    # What has its name is complete, with all that belongs to it.
    assert list(archive.outputs()) == (["a.mp4"] if settled or step == "between output and record" else [])
    assert archive.statuses() == ({"a.mp4": "done"} if settled else {})
    summary = archive.run()
    assert summary.exit_code == ExitCode.DONE
    stored = STORED.get(step, SEGMENTS)
    expected = (0, 1, 0) if settled else (1, 0, stored)
    assert (summary.done, summary.skipped, summary.reused) == expected
    assert archive.kinds()["segment"] == (0 if settled else SEGMENTS - stored)
    # A worker takes away what dead ones left; where nothing was to be done there was none.
    assert sweep_scratch(archive.scratch) == settled
    same_end(archive, undisturbed)


def test_a_run_killed_twice_at_different_steps_is_gone_on_with(
    driver: Driver, archive: Archive, undisturbed: Archive
) -> None:
    assert driver.run(archive, "half a piece", nth=2) == KILLED
    assert driver.run(archive, "half an output") == KILLED
    assert archive.run().reused == SEGMENTS
    same_end(archive, undisturbed)


def test_the_lease_of_a_killed_run_is_taken_over_at_once(
    driver: Driver, archive: Archive, undisturbed: Archive
) -> None:
    """A minute of waiting after each crash would be the rule on one machine."""
    assert driver.run(archive, "before the output") == KILLED
    assert driver.run(archive) == "0"
    same_end(archive, undisturbed)


def damaged(suffix: str, harm: Callable[[Path], None]) -> Callable[[Task, Tools], object]:
    """Work as ever, but as a video is to be put together, the first segment's file is harmed, once."""
    done: list[str] = []

    def work(task: Task, tools: Tools) -> object:
        if isinstance(task, FinishTask) and not done:
            folder = Path(task.recipe.target) / STATE / "segments" / task.key
            harmed = min(folder.glob(f"*{suffix}"))
            harm(harmed)
            done.append(harmed.name)
        return execute(task, tools)

    return work


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".piece", ".faces"])
@pytest.mark.parametrize("harm", [flip, Path.unlink], ids=["flipped", "gone"])
def test_a_stored_segment_that_was_damaged_is_noticed_and_made_again(
    archive: Archive, undisturbed: Archive, suffix: str, harm: Callable[[Path], None]
) -> None:
    summary = archive.run(damaged(suffix, harm))
    assert (summary.exit_code, summary.done) == (ExitCode.DONE, 1)
    assert archive.kinds()["segment"] == SEGMENTS + 1
    assert (summary.redone, summary.reused) == (1, 0)
    same_end(archive, undisturbed)


def test_a_segments_result_that_was_damaged_is_no_result(
    driver: Driver, archive: Archive, undisturbed: Archive
) -> None:
    assert driver.run(archive, "before the sheet") == KILLED
    result = min((Path(archive.target) / STATE / "segments").rglob("*.json"))
    result.write_text("{")
    summary = archive.run()
    assert (summary.done, summary.reused) == (1, SEGMENTS - 1)
    same_end(archive, undisturbed)


def test_a_segment_that_is_damaged_again_and_again_does_not_go_round_for_ever(archive: Archive) -> None:
    def work(task: Task, tools: Tools) -> object:
        if isinstance(task, FinishTask):
            for piece in (Path(task.recipe.target) / STATE / "segments").rglob("*.piece"):
                flip(piece)
        return execute(task, tools)

    summary = archive.run(work)
    assert (summary.exit_code, archive.statuses()) == (ExitCode.PARTIAL, {"a.mp4": "failed"})
    assert "are not as they were made" in archive.records()["a.mp4"].reason
    assert archive.run().exit_code == ExitCode.DONE


def test_segments_of_another_version_of_a_video_are_not_used(
    driver: Driver, tmp_path: Path, undisturbed: Archive
) -> None:
    source = put_clips(tmp_path / "in", "a.mp4")
    archive = Archive(str(source), str(tmp_path / "out"), tmp_path / "scratch")
    whole = (source / "a.mp4").read_bytes()
    # Same length, same time, another content: only its hash tells.
    (source / "a.mp4").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert driver.run(archive, "after a segment's result") == KILLED
    (source / "a.mp4").write_bytes(whole)
    assert archive.run().reused == 0
    assert archive.outputs() == undisturbed.outputs()
    assert archive.strays() == []
