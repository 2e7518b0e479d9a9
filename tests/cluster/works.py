"""What lanes are asked to do in the tests; in a module of its own, for their processes import it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facefx.cluster.lane import LaneTools
from facefx.errors import DamagedError
from facefx.pipeline.segment import SegmentJob


@dataclass(frozen=True)
class Order:
    """What to do, and with what."""

    what: str
    with_: Any = None


def work(order: Order, tools: LaneTools) -> Any:
    match order.what:
        case "echo":
            return order.with_
        case "where":
            return tools.where, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")
        case "threads":
            import cv2

            return cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"]
        case "scratch":
            (tools.scratch / "x").write_text("x")
            return str(tools.scratch)
        case "damaged":
            raise DamagedError("a.mp4: broken", decoded=3, expected=5)
        case "bug":
            raise ZeroDivisionError("of the task's own")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if not Path(order.with_).exists():
            Path(order.with_).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(order.with_)
        case "unpicklable":
            return (piece for piece in "ab")
        case "segment":
            assert isinstance(order.with_, SegmentJob)
            return tools.run_segment(order.with_)
        case "segments":
            for job in order.with_:
                tools.run_segment(job)
    return None
