"""The last try of a task that took its workers with it: in a child process that may die of it alone."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from facefx.archive.tasks import AloneTask, Recipe, task_name
from facefx.archive.work import LocalTools, Tools, execute, private_folder
from facefx.errors import FidelityError, InputError, ModelError, PoisonError, StageError, error_class
from facefx.pipeline.runner import Done, Failed, Failure, LocalRunner

__all__ = ["AloneFailedError", "main", "run_alone"]

_TASK, _OUTCOME, _LOG = "task.pickle", "outcome.pickle", "log.txt"
_LAST_BYTES = 4000  # of the child's words that go into the evidence


class AloneFailedError(StageError):
    """The child lived and reported the task's own failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def run_alone(alone: AloneTask, tools: Tools) -> Any:
    """Carry a task out in a child process with the recipe's limits of memory and time.

    Raises AloneFailedError with the task's own failure; PoisonError with the child's last words if it died.
    """
    with private_folder(tools, "alone") as folder:
        (folder / _TASK).write_bytes(pickle.dumps(alone))
        ended = _child(folder, alone.recipe)
        try:
            outcome = pickle.loads((folder / _OUTCOME).read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError):
            raise _poison(alone, f"{ended}. The child's last words: {_last_words(folder)}") from None
    match outcome:
        case Done(result=result):
            return result
        case Failed(failure=failure) if _is_its_own(failure):
            raise AloneFailedError(failure)
        case Failed(failure=failure):  # such as the library that found no memory, in its own words
            raise _poison(alone, f"failed in a child process {_limit(alone.recipe)}: {failure.message}")
    raise StageError(f"{task_name(alone.task)}: the child answered with {outcome!r}")


def _is_its_own(failure: Failure) -> bool:
    """True for an error that a lane could have met as well and lived."""
    error = error_class(failure.kind)
    return issubclass(error, InputError | FidelityError) and not issubclass(error, ModelError)


def _poison(alone: AloneTask, how: str) -> PoisonError:
    return PoisonError(
        f"{task_name(alone.task)}: took its worker with it three times, and then {how}; the file is set aside"
    )


def _limit(recipe: Recipe) -> str:
    return f"(its limit was {recipe.alone_memory_bytes / 2**30:.1f} GiB of memory)"


def _child(folder: Path, recipe: Recipe) -> str:
    """Run the child to its end, whatever that is; say how it ended."""
    with (folder / _LOG).open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "facefx.archive.alone", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(recipe.alone_timeout_s)
        except subprocess.TimeoutExpired:
            return f"a child process did not end within {recipe.alone_timeout_s:g} s"
        finally:
            with suppress(ProcessLookupError):  # also what the child itself has started
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    limit = _limit(recipe)
    if code < 0:
        return f"a child process was ended by {signal.Signals(-code).name} {limit}"
    return f"a child process ended with {code} {limit}"


def _last_words(folder: Path) -> str:
    said = (folder / _LOG).read_bytes()[-_LAST_BYTES:].decode(errors="replace")
    return said.strip() or "none"


def main(folder: Path) -> None:
    """What the child does: take the task from the folder, carry it out, and leave its outcome there."""
    alone: AloneTask = pickle.loads((folder / _TASK).read_bytes())
    limit = alone.recipe.alone_memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with LocalTools.opened(folder, where="a child process") as tools:
        runner: LocalRunner[Any, Any] = LocalRunner(lambda task: execute(task, tools))
        runner.submit(alone.task)
        (outcome,) = runner.wait(0)
    whole = folder / f"{_OUTCOME}.part"
    whole.write_bytes(pickle.dumps(outcome))
    whole.replace(folder / _OUTCOME)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
