"""A video that takes its workers with it is tried once more, alone and within limits; the rest goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from archive_makers import Archive, put_clips

from facefx.archive.job import MOST_LOSSES
from facefx.archive.tasks import FinishTask, PrepareTask, SegmentTask, Task, task_name
from facefx.archive.work import LocalTools, execute
from facefx.errors import ExitCode
from facefx.pipeline.runner import LocalRunner, Lost, Outcome, Runner


class Losing(LocalRunner[Task, Any]):
    """A worker that goes away with each deadly task; alone, in a child, that is tried in earnest."""

    def __init__(self, work: Callable[[Task], Any], deadly: Callable[[Task], bool]) -> None:
        super().__init__(work)
        self._deadly = deadly
        self.lost: Counter[str] = Counter()

    def wait(self, timeout_s: float) -> Sequence[Outcome[Task, Any]]:
        if self._tasks and self._deadly(self._tasks[0]):
            task = self._tasks.popleft()
            self.lost[type(task).__name__] += 1
            return (Lost(task, "killed by SIGKILL", "lane 0"),)
        return super().wait(timeout_s)


def losing(archive: Archive, kind: type, name: str = "bad.mp4") -> Callable[[], Any]:
    """Workers that go away with tasks of this kind of the bad video."""

    @contextmanager
    def opened() -> Iterator[Runner[Task, Any]]:
        with LocalTools.opened(archive.scratch, where="lane 0") as tools:
            yield Losing(
                lambda task: execute(task, tools),
                lambda task: isinstance(task, kind) and task_name(task).startswith(name),
            )

    return opened


def archive_of(tmp_path: Path, **limits: Any) -> Archive:
    source = put_clips(tmp_path / "in", "bad.mp4", "good.mp4")
    return Archive(str(source), str(tmp_path / "out"), tmp_path / "scratch", recipe=limits)


@pytest.mark.parametrize("kind", [PrepareTask, SegmentTask, FinishTask])
def test_what_was_innocent_is_done_alone_with_the_same_bytes(tmp_path: Path, kind: type) -> None:
    """Its lanes may have died of a neighbour that took all memory."""
    archive = archive_of(tmp_path, segment_s=None)
    summary = archive.run(open_runner=losing(archive, kind))
    assert (summary.exit_code, summary.done, summary.lost) == (ExitCode.DONE, 2, MOST_LOSSES)
    assert archive.kinds()["alone"] == 1
    outputs = archive.outputs()
    assert outputs["bad.mp4"] == outputs["good.mp4"]
    assert archive.strays() == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"alone_memory_bytes": 96 << 20}, "0.1 GiB of memory"),
        ({"alone_memory_bytes": 700 << 20}, "0.7 GiB of memory"),
        ({"alone_timeout_s": 0.05}, "did not end within 0.05 s"),
    ],
    ids=["memory for nothing", "memory for the start only", "time"],
)
def test_what_breaks_the_limits_alone_is_quarantined_with_evidence_and_the_rest_goes_on(
    tmp_path: Path, limits: dict[str, Any], said: str
) -> None:
    archive = archive_of(tmp_path, **limits)
    summary = archive.run(open_runner=losing(archive, SegmentTask))
    assert (summary.exit_code, summary.done, summary.quarantined) == (ExitCode.PARTIAL, 1, 1)
    record = archive.records()["bad.mp4"]
    assert (record.status, record.kind) == ("quarantined", "PoisonError")
    assert "bad.mp4: segment 1 of 3" in record.reason
    assert "three times" in record.reason
    assert said in record.reason, record.reason
    assert "alone" in record.where
    assert list(archive.outputs()) == ["good.mp4"]
    assert archive.strays() == []
