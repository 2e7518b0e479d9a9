"""What a person sees of an archive: a bar while it runs, a line for each video, a summary."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from facefx.cli.archive_options import Lanes
from facefx.errors import UsageError

if TYPE_CHECKING:
    from facefx.archive.job import Event, Progress
    from facefx.archive.run import ArchiveRequest, RunSummary
    from facefx.archive.tasks import Task
    from facefx.pipeline.runner import Runner

__all__ = ["say", "show_run", "show_status"]

_QUIET = frozenset({"prepared", "segment"})  # on a terminal the bar says it


def say(text: str) -> None:
    """One line on stderr, as it is."""
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def show_run(request: ArchiveRequest, lanes: Lanes, as_json: bool) -> None:
    """Carry a request out under a bar, and sum it up.

    Raises typer.Exit with the run's exit code where it is not 0.
    """
    from facefx.archive.run import run_archive
    from facefx.archive.scratch import default_root, sweep_scratch

    open_runner, words = _workers(request, lanes)
    # Ray's own words on workers that die go to stdout, which is for the summary alone.
    with redirect_stdout(sys.stderr), _watched() as (on_event, watch):
        summary = run_archive(request, open_runner, lanes=words, on_event=on_event, watch=watch)
    sweep_scratch(lanes.scratch or default_root())  # of workers that were killed on this machine
    if as_json:
        sys.stdout.write(json.dumps(summary.to_json(), indent=2) + "\n")
    _sum_up(summary)
    if summary.exit_code:
        raise typer.Exit(int(summary.exit_code))


def _workers(
    request: ArchiveRequest, lanes: Lanes
) -> tuple[Callable[[], AbstractContextManager[Runner[Task, Any]]], Callable[[], str]]:
    """Who does the work, and who they are in words.

    Raises UsageError.
    """
    if lanes.runner == "inline":
        from facefx.archive.inline import inline_runner

        if lanes.workers not in (None, 1) or lanes.placement not in ("auto", "lane"):
            raise UsageError("--runner inline is one process: --workers and --placement need --runner ray")
        return partial(inline_runner, lanes.scratch), lambda: "this process"
    if lanes.runner != "ray":
        raise UsageError(f"--runner {lanes.runner!r}: expected ray or inline")
    from facefx.cluster.archive import RayWorkers

    workers = RayWorkers(
        request.recipe,
        placement=lanes.placement,
        workers=lanes.workers,
        address=lanes.address or os.environ.get("RAY_ADDRESS"),
        cpus=max(lanes.workers or 0, os.cpu_count() or 1),
        scratch=lanes.scratch,
        say=say,
    )
    return workers.opened, lambda: workers.words


@contextmanager
def _watched() -> Iterator[tuple[Callable[[Event], None], Callable[[Progress], None]]]:
    """A bar on a terminal; elsewhere, as in the log of a job, a line for all that happens."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda event: say(f"{event.kind}: {event.text}"), lambda progress: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[also]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        videos = bars.add_task("videos", total=None, also="")
        segments = bars.add_task("segments", total=None, also="")

        def watch(progress: Progress) -> None:
            failed = f"{progress.failed} set aside" if progress.failed else ""
            bars.update(videos, completed=progress.settled, total=progress.videos, also=failed)
            now = f"{progress.running} at work, {progress.frames} frames"
            bars.update(segments, completed=progress.segments_done, total=progress.segments, also=now)

        def tell(event: Event) -> None:
            if event.kind not in _QUIET:
                console.print(f"{event.kind}: {event.text}", highlight=False, markup=False, soft_wrap=True)

        yield tell, watch


def _sum_up(summary: RunSummary) -> None:
    counts = [
        f"{summary.done} done",
        f"{summary.skipped} skipped (done before)",
        f"{summary.quarantined} quarantined",
        f"{summary.failed} failed",
    ]
    say(f"{summary.facts.target}: {', '.join(counts)}")
    if summary.lost or summary.reused:
        say(
            f"{summary.lost} tasks lost their worker, {summary.redone} segments begun again, "
            f"{summary.reused} segments taken over from an earlier run"
        )
    say(f"manifest: {summary.manifest}")
    say(f"report:   {summary.report}")
    say(f"exit={int(summary.exit_code)}")


def show_status(status: dict[str, Any], as_json: bool) -> None:
    """Say how an archive stands."""
    if as_json:
        typer.echo(json.dumps(status, indent=2))
        return
    typer.echo(f"{status['target']}: {status['state']}")
    counts = status["records"]
    typer.echo(f"{counts['done']} done, {counts['quarantined']} quarantined, {counts['failed']} failed")
    progress = status["progress"]
    if progress is not None:
        typer.echo(
            f"last run: {progress['done'] + progress['failed']} of {progress['videos']} videos settled, "
            f"{progress['segments_done']} of {progress['segments']} segments, "
            f"{progress['frames']} frames in {progress['seconds']:.0f} s (at {progress['at']})"
        )
    for trouble in status["troubled"]:
        typer.echo(f"{trouble['status']}: {trouble['source']}: {trouble['reason']}")
