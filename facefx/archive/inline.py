"""The runner of an archive that needs no cluster: every task in this process, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facefx.archive.tasks import Task
from facefx.archive.work import LocalTools, execute
from facefx.pipeline.runner import LocalRunner, Runner

__all__ = ["inline_runner"]


@contextmanager
def inline_runner(root: Path | None = None) -> Iterator[Runner[Task, Any]]:
    """Give a runner of one lane. root: folder for scratch space and staged sources.

    Raises SinkError where root cannot be written.
    """
    with LocalTools.opened(root, where=LocalRunner.where) as tools:
        yield LocalRunner(lambda task: execute(task, tools))
