"""Who runs tasks, and how a task can end: the protocol between an archive and its workers."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from facefx.errors import ExitCode, FacefxError

__all__ = ["Done", "Failed", "Failure", "LocalRunner", "Lost", "Outcome", "Runner"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as plain values, so that it crosses processes whole.

    kind: the error's class. where: the worker that saw it. log: its traceback, for evidence. damaged:
    (decoded, expected) frames where a source was readable in part only.
    """

    kind: str
    message: str
    exit_code: int
    where: str = ""
    log: str = ""
    damaged: tuple[int, int] | None = None

    @classmethod
    def of(cls, error: BaseException, where: str = "") -> Failure:
        """Take down an error as it was raised; one that carries another's failure stands for that.

        >>> Failure.of(FacefxError("a.mp4: broken")).message
        'a.mp4: broken'
        """
        carried = getattr(error, "failure", None)
        if isinstance(carried, Failure):
            return carried
        known = isinstance(error, FacefxError)
        decoded, expected = getattr(error, "decoded", None), getattr(error, "expected", None)
        return cls(
            kind=type(error).__name__,
            message=str(error) if known else f"{type(error).__name__}: {error}",
            exit_code=int(error.exit_code) if isinstance(error, FacefxError) else int(ExitCode.INTERNAL),
            where=where,
            log="".join(traceback.format_exception(error)),
            damaged=None if decoded is None or expected is None else (decoded, expected),
        )


@dataclass(frozen=True, slots=True)
class Done(Generic[T, R]):
    """The task was carried out; where: the lane that did it."""

    task: T
    result: R
    where: str = ""


@dataclass(frozen=True, slots=True)
class Failed(Generic[T]):
    """The task itself failed: doing it again would fail again, as far as anybody knows."""

    task: T
    failure: Failure


@dataclass(frozen=True, slots=True)
class Lost(Generic[T]):
    """The worker went away with the task; the task may be innocent."""

    task: T
    reason: str
    where: str = ""


Outcome = Done[T, R] | Failed[T] | Lost[T]


class Runner(Protocol[T, R]):
    """Carries tasks out, as many at once as it has lanes. Used from one thread.

    A task ends in exactly one outcome. A lost lane is replaced by the runner itself, while the cluster
    allows it; where none can be had any more, wait raises.
    """

    @property
    def lanes(self) -> int:
        """How many tasks can run at once now."""

    @property
    def free(self) -> int:
        """How many more tasks may be submitted now."""

    def submit(self, task: T, prefer: str = "") -> None:
        """Begin a task; prefer: the lane (its `where`) that has the task's source at hand."""

    def wait(self, timeout_s: float) -> Sequence[Outcome[T, R]]:
        """What has ended since the last call; waits for the first, at most so long."""

    def close(self) -> None:
        """Let every worker go at once; what still runs is not waited for."""


class LocalRunner(Generic[T, R]):
    """One task at a time, in the caller's own process and thread: `wait` does the work."""

    where = "this process"

    def __init__(self, work: Callable[[T], R]) -> None:
        self._work = work
        self._tasks: deque[T] = deque()

    @property
    def lanes(self) -> int:
        """One: the caller."""
        return 1

    @property
    def free(self) -> int:
        """Room for the one task that the next wait carries out."""
        return 1 - len(self._tasks)

    def submit(self, task: T, prefer: str = "") -> None:
        """Keep the task for the next wait."""
        self._tasks.append(task)

    def wait(self, timeout_s: float) -> Sequence[Outcome[T, R]]:
        """Carry out what was submitted."""
        if not self._tasks:
            return ()
        task = self._tasks.popleft()
        try:
            return (Done(task, self._work(task), self.where),)
        except Exception as error:  # noqa: BLE001 - handed on as an outcome, with its whole traceback
            return (Failed(task, Failure.of(error, self.where)),)

    def close(self) -> None:
        """Drop what was not begun."""
        self._tasks.clear()
