"""What lanes do with an archive's tasks in the tests; a module of its own, for their processes import it."""

from __future__ import annotations

import os
import signal
from typing import Any

from facefx.archive.tasks import SegmentTask, Task
from facefx.archive.work import Tools, execute


def deadly(task: Task, tools: Tools) -> Any:
    """Work as ever, but die of every segment of bad.mp4; alone, in a child process, that does no harm."""
    if isinstance(task, SegmentTask) and task.video.relative == "bad.mp4":
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(task, tools)
