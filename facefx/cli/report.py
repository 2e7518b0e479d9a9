"""What a person sees of a run: progress while it lasts, a summary and a report when it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from facefx.errors import SinkError, UsageError

__all__ = ["carry_out", "check_report", "progress_bar", "summary", "write_report"]

Advance = Callable[[int, int], None]


class _Account(Protocol):
    """Anything that can say what was done as plain values."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


class _Work(Protocol):
    """Something to be done that tells how far it is."""

    def __call__(self, *, progress: Advance | None) -> _Account:
        """Do it; progress is called with (frames done, frames expected), None where nobody watches."""


def carry_out(report: Path | None, work: _Work, done: str, files: Sequence[str]) -> None:
    """Do some work under a progress bar, then write its report and a summary.

    done: what may be said of the output afterwards, such as "verified". files: paths or URLs of what is
    read and written, none of which the report may replace.
    """
    if report is not None:
        check_report(report, files)
    console = Console(stderr=True)
    with progress_bar(console) as advance:
        result = work(progress=advance).to_json()
    if report is not None:
        write_report(report, result)
    summary(console, result, done)


def check_report(path: Path, files: Sequence[str]) -> None:
    """Refuse a report that could not be written, or would replace one of the files, before the work.

    Raises SinkError, UsageError.
    """
    from facefx.storage import is_device, publishing, same_place

    for file in files:
        if same_place(str(path), file):
            raise UsageError(f"{path}: the report would replace {file}; give it another name")
    if is_device(path):
        return  # it takes it as it comes
    with publishing(str(path)):
        pass


def write_report(path: Path, result: dict[str, Any]) -> None:
    """Write a report as JSON; in place, since it may be a device such as /dev/stdout.

    Raises SinkError.
    """
    try:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: the report cannot be written: {error.strerror}; make room there") from error


@contextmanager
def progress_bar(console: Console) -> Iterator[Advance | None]:
    """Show frames, fps and time left on a terminal; nothing anywhere else."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.0f} fps"),
        TimeRemainingColumn(),
    )
    began = time.perf_counter()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("frames", total=None, fps=0.0)

        def advance(done: int, expected: int) -> None:
            fps = done / max(time.perf_counter() - began, 1e-6)
            bar.update(task, completed=done, total=expected or None, fps=fps)

        yield advance


def summary(console: Console, report: dict[str, Any], done: str) -> None:
    """Say what was done in a few lines, and where the time went."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    faces, plan = report["faces"], report["plan"]
    say(
        f"{report['output']}: {report['frames']} frames, {faces['tracks']} faces tracked, "
        f"{report['frames'] / max(report['wall_s'], 1e-6):.0f} fps, {done}"
    )
    say(f"detector: {plan['detector']['reason']}")
    if plan.get("landmarker"):
        say(f"landmarker {plan['landmarker']['name']}: {plan['landmarker']['reason']}")
    for note in report["notes"]:
        say(f"note: {note}")
    if console.is_terminal:
        table = Table("stage", "working s", "waiting for input s", "for room s", "ms/frame", box=None)
        for row in report["stages"]:
            each = 1000 * row["busy_s"] / max(report["frames"], 1)
            spent = (row["busy_s"], row["wait_in_s"], row["wait_out_s"], each)
            table.add_row(row["stage"], *(f"{value:.2f}" for value in spent))
        console.print(table)
