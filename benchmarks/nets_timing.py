"""The clock of both halves of bench_nets; NumPy only, for MediaPipe's environment has no facefx."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Looker", "main"]

WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Looker:
    """A loaded net. look is what is timed; read makes plain numbers of its answer, untimed."""

    look: Callable[[NDArray[np.uint8]], Any]
    read: Callable[[Any], NDArray[Any]]


def main(load: Callable[[str], Looker]) -> None:
    """Time nets on pictures: PICTURES.npz ANSWERS.npz CALLS NET… on the command line.

    Each picture gets a net that is loaded anew, so that what it tracks is in that picture. Written by
    `net/picture/ms` (CALLS,) and `net/picture/answer`. The process, with all threads that it will
    start, keeps to one core.
    """
    pictures, answers, calls, *names = sys.argv[1:]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found: dict[str, NDArray[Any]] = {}
    with np.load(pictures) as kept:
        for key in kept.files:
            picture = np.ascontiguousarray(kept[key])
            for name in names:
                looker = load(name)
                for _ in range(WARM_UP):
                    answer = looker.look(picture)
                found[f"{name}/{key}/answer"] = looker.read(answer)
                found[f"{name}/{key}/ms"] = _time(looker, picture, int(calls))
    np.savez(answers, **found)  # type: ignore[arg-type]


def _time(looker: Looker, picture: NDArray[np.uint8], calls: int) -> NDArray[np.float64]:
    took = np.empty(calls)
    for i in range(calls):
        start = time.perf_counter()
        looker.look(picture)
        took[i] = (time.perf_counter() - start) * 1e3
    return took
