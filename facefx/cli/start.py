"""When this process began, so that start-up can be told whole, imports included."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["process_start"]

_IMPORTED = time.time()


def process_start() -> float:
    """Seconds since the epoch at which the process began; on Linux by the kernel, else by the first import.

    Source: proc(5), /proc/pid/stat field 22 (clock ticks since boot).
    """
    with suppress(OSError, ValueError, IndexError):
        after_name = Path("/proc/self/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        since_boot = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)
    return _IMPORTED
