"""What lanes do with an archive's tasks in the tests; a module of its own, for their processes import it."""

from __future__ import annotations

import os
import signal
from typing import Any

from facefx.archive.tasks import FinishTask, SegmentTask, Task
from facefx.archive.work import Tools, execute


def deadly(task: Task, tools: Tools) -> Any:
    """Work as ever, but die of every segment of bad.mp4; alone, in a child process, that does no harm."""
    if isinstance(task, SegmentTask) and task.video.relative == "bad.mp4":
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(task, tools)


def torn(task: Task, tools: Tools) -> Any:
    """Work as ever, but die once of a video's end, when a file of it is about to get its name."""
    marker = tools.scratch.parent / "torn"
    if isinstance(task, FinishTask) and not marker.exists():
        marker.touch()
        name_it = os.replace

        def die(source: Any, target: Any) -> None:
            if str(target).startswith(task.recipe.target):
                os.kill(os.getpid(), signal.SIGKILL)
            name_it(source, target)

        vars(os)["replace"] = die
    return execute(task, tools)
