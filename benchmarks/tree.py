"""What a process and everything that it started have cost, by the kernel's own count."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "cost_of"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU-seconds so far, and memory now: what no two processes share."""

    cpu_s: float
    private_mb: float


def cost_of(root: int | None = None) -> Cost:
    """The cost of a process (this one if none is named) with all its descendants.

    CPU of children that have ended and were waited for is in their parents' figures; that of one whose
    parent died is lost, so nothing is to be killed while it is measured.
    """
    tree: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            tree.setdefault(int(fields[1]), []).append(int(folder.name))
            ticks[int(folder.name)] = sum(map(int, fields[11:15]))  # proc(5): utime stime cutime cstime
    waiting, found = [os.getpid() if root is None else root], []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += tree.get(pid, [])
    cpu_s = sum(ticks.get(pid, 0) for pid in found) * _TICK_S
    return Cost(cpu_s, sum(_private_kb(pid) for pid in found) / 1024)


def _private_kb(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0
