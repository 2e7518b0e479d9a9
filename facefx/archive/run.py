"""One run over an archive, from the lease to the report."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from facefx.archive.account import write_account
from facefx.archive.job import ArchiveJob, Event, Progress, choose
from facefx.archive.journal import Journal
from facefx.archive.naming import TEMPLATE, OutputNames
from facefx.archive.records import (
    CommitRecord,
    FileFacts,
    RunFacts,
    VideoCost,
    now,
    status_of,
    tail,
    versions_here,
)
from facefx.archive.state import State
from facefx.archive.tasks import Recipe, Task, VideoRef
from facefx.errors import ExitCode, RecordsError
from facefx.pipeline.runner import Failure, Runner
from facefx.storage import Lease, SourceEntry, Store, SweepReport, find_sources

__all__ = ["ArchiveRequest", "RunSummary", "run_archive"]

_log = logging.getLogger("facefx.archive")

Watch = Callable[[Progress], None]
_LEASE_S = 60.0
_LOOK_S = 2.0  # how often the store is asked whether the run is to end
_TELL_S = 5.0  # how often it is told how far the run is


@dataclass(frozen=True, slots=True)
class ArchiveRequest:
    """What is wanted. sources: folders, globs, lists, URLs; template, container: of the outputs' names.

    only: "all" videos that are not done yet, except those that were quarantined by an earlier run with the
    same files and plan; "troubled": just what an earlier run failed to do, quarantined ones too.
    """

    sources: tuple[str, ...]
    recipe: Recipe
    template: str = TEMPLATE
    container: str | None = None
    only: Literal["all", "troubled"] = "all"


@dataclass(slots=True)
class RunSummary:
    """What a run did. skipped: done before; troubled: quarantined or failed, by this run or one before."""

    run: str
    facts: RunFacts
    done: int = 0
    skipped: int = 0
    quarantined: int = 0
    failed: int = 0
    reused: int = 0
    redone: int = 0
    lost: int = 0
    frames: int = 0
    report: str = ""
    manifest: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """What the shell gets."""
        return ExitCode(self.facts.exit_code)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "facts": self.facts.to_json(), "exit_code": int(self.exit_code)}


@dataclass(slots=True)
class _Sorted:
    """The videos by what is to happen to them. settled: keys of those to which nothing does."""

    todo: list[VideoRef] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    skipped: int = 0


def run_archive(
    request: ArchiveRequest,
    open_runner: Callable[[], AbstractContextManager[Runner[Task, Any]]],
    *,
    lanes: Callable[[], str] = lambda: "",
    on_event: Callable[[Event], None] = lambda event: None,
    watch: Watch = lambda progress: None,
) -> RunSummary:
    """Bring every video of an archive to its end, from wherever an earlier run left it.

    open_runner: gives the workers; asked only when there is something to do. lanes: who they were, in words.

    Raises LeaseHeldError while another run lives; RecordsError where the target is of another plan; any
    error that all videos would meet. One video's failure raises nothing: it is in the summary.
    """
    store = Store(request.recipe.target, request.recipe.target_options)
    state, run = State(store), _run_name()
    entries = find_sources(request.sources, request.recipe.source_options, exclude=(request.recipe.target,))
    refs = _refs(request, entries)
    owner = f"{platform.node()}/{os.getpid()}/{run}"
    with Lease(store, state.lease_name(), owner, _LEASE_S) as lease, Journal(state, run) as journal:
        state.forget_stop()
        _check_plan(state.read_job(), request.recipe)
        _sweep(store, journal)
        records = {record.key: _slim(record) for record in state.records()}
        sorted_ = _sort(refs, records, _sizes(store, refs), request)
        for key in sorted_.settled & state.segment_keys():
            state.remove_segments(key)  # of a run that was killed between the record and this
        work = _Run(request, state, lease, journal, on_event, watch)
        progress = work.carry_out(sorted_.todo, open_runner)
        if progress.lost:
            _sweep(store, journal)  # a worker that was killed may have been in the middle of a file
        return work.account(run, refs, sorted_, progress, lanes())


def _sweep(store: Store, journal: Journal) -> None:
    """Take away what nobody will finish; under the lease, and with no worker at work."""
    swept = store.sweep(older_than_s=0)
    if swept != SweepReport():
        journal.note("swept", str(swept))


def _refs(request: ArchiveRequest, entries: Sequence[SourceEntry]) -> list[VideoRef]:
    names = OutputNames(request.recipe.target, request.template, request.container or "auto").assign(entries)
    return [
        VideoRef(VideoRef.key_of(output), entry.url, entry.relative, output, entry.size_bytes, entry.version)
        for entry, output in zip(entries, names, strict=True)
    ]


def _run_name() -> str:
    """Sorts by time; no two runs have the same."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}-{secrets.token_hex(2)}"


def _sizes(store: Store, refs: Sequence[VideoRef]) -> dict[str, int]:
    """The outputs that are there, by name."""
    names = {ref.output for ref in refs}
    return {entry.rel: entry.size_bytes for entry in store.list() if entry.rel in names}


def _slim(record: CommitRecord) -> CommitRecord:
    """What `_sort` needs: whole, the records of a hundred thousand videos would fill a driver's memory."""
    return replace(
        record, review=(), plan={}, nets=(), versions={}, notes=(), details={}, run=VideoCost(finished_at="")
    )


def _sort(
    refs: Sequence[VideoRef],
    records: Mapping[str, CommitRecord],
    sizes: Mapping[str, int],
    request: ArchiveRequest,
) -> _Sorted:
    """What is done is skipped while source and output are the same; what was given up waits for `retry`."""
    sorted_ = _Sorted()
    for ref in refs:
        record = records.get(ref.key)
        same = record is not None and (record.identity, record.source.size_bytes) == (
            ref.version,
            ref.size_bytes,
        )
        if record is not None and same and _is_published(record, sizes.get(ref.output)):
            sorted_.skipped += 1
            sorted_.settled.add(ref.key)
        elif request.only == "troubled":
            if record is not None and record.status != "done":
                sorted_.todo.append(ref)
        elif record is not None and same and record.status == "quarantined":
            sorted_.settled.add(ref.key)
        else:
            sorted_.todo.append(ref)
    return sorted_


def _is_published(record: CommitRecord, size_bytes: int | None) -> bool:
    """True if the output that was recorded still stands; one that somebody removed is made again."""
    return record.status == "done" and record.output is not None and record.output.size_bytes == size_bytes


class _Run:
    """One run's own things."""

    def __init__(
        self,
        request: ArchiveRequest,
        state: State,
        lease: Lease,
        journal: Journal,
        on_event: Callable[[Event], None],
        watch: Watch,
    ) -> None:
        self._request, self._recipe = request, request.recipe
        self._state, self._lease, self._journal = state, lease, journal
        self._on_event, self._watch = on_event, watch
        self._began, self._started = time.monotonic(), now()
        self._looked = self._told = 0.0
        self._stopped = False

    def carry_out(
        self, todo: Sequence[VideoRef], open_runner: Callable[[], AbstractContextManager[Runner[Task, Any]]]
    ) -> Progress:
        """Do what is to be done."""
        progress = Progress(len(todo))
        if not todo:
            return progress
        with open_runner() as runner:
            if self._recipe.kept is None:
                self._recipe = choose(self._recipe, runner)
            self._settle_job()
            job = ArchiveJob(
                self._recipe,
                todo,
                runner,
                on_failed=self._give_up,
                on_event=self._tell,
                stop=self._is_to_stop,
            )
            for progress in job.run():
                self._watch(progress)
                self._say_how_far(progress)
        return progress

    def _settle_job(self) -> None:
        """See that the target is not of another plan, before anything is written that results depend on."""
        _check_plan(self._state.read_job(), self._recipe)
        request = self._request
        self._state.write_job(self._recipe, request.sources, request.template, request.container)

    def _give_up(self, video: VideoRef, failure: Failure, task: str) -> None:
        """Keep the evidence, so that the rest can go on."""
        status = status_of(failure.kind)
        record = CommitRecord(
            key=video.key,
            status=status,
            source=FileFacts(video.url, video.relative, video.size_bytes),
            identity=video.version,
            versions=versions_here(),
            reason=failure.message,
            kind=failure.kind,
            where=f"{task}, on {failure.where}" if failure.where else task,
            run=VideoCost(finished_at=now(), log=tail(failure.log)),
        )
        self._state.write_record(record)
        if status == "quarantined":
            self._state.remove_segments(video.key)

    def _tell(self, event: Event) -> None:
        self._journal.write(event)
        self._on_event(event)

    def _is_to_stop(self) -> bool:
        """True once the lease is lost or somebody asks for an end; the store is asked every now and then."""
        self._lease.check()
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            self._stopped = self._state.asked_to_stop()
        return self._stopped

    def _say_how_far(self, progress: Progress) -> None:
        if time.monotonic() - self._told < _TELL_S:
            return
        self._told = time.monotonic()
        self._state.write_progress(self._plain(progress, running=True))
        self._journal.keep()

    def _plain(self, progress: Progress, *, running: bool) -> dict[str, Any]:
        return {
            **asdict(progress),
            "running": running,
            "tasks": progress.running,
            "started_at": self._started,
            "at": now(),
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def account(
        self, run: str, refs: Sequence[VideoRef], sorted_: _Sorted, progress: Progress, lanes: str
    ) -> RunSummary:
        """Write manifest and report over all records, and sum the run up."""
        keys = {ref.key for ref in refs}
        summary = RunSummary(
            run,
            self._facts(len(refs), sorted_, progress, lanes),
            done=progress.done,
            skipped=sorted_.skipped,
            reused=progress.reused,
            redone=progress.redone,
            lost=progress.lost,
            frames=progress.frames,
        )
        written = write_account(self._state, summary.facts, keys)
        summary.quarantined, summary.failed = written.quarantined, written.failed
        summary.facts = written.facts
        summary.report, summary.manifest = written.report, written.manifest
        self._state.write_progress(self._plain(progress, running=False))
        return summary

    def _facts(self, videos: int, sorted_: _Sorted, progress: Progress, lanes: str) -> RunFacts:
        job = self._state.require_job()  # where nothing was to be done, nobody has settled the recipe again
        return RunFacts(
            sources=self._request.sources,
            target=self._recipe.target,
            recipe_sha256=job["recipe_sha256"],
            recipe=job["recipe"],
            started_at=self._started,
            finished_at=now(),
            exit_code=int(ExitCode.INTERRUPTED if self._stopped else ExitCode.DONE),
            videos=videos,
            skipped=sorted_.skipped,
            interrupted=self._stopped,
            lanes=lanes,
            lost=progress.lost,
            redone=progress.redone,
            wall_s=round(time.monotonic() - self._began, 3),
            versions=versions_here(),
        )


def _check_plan(before: dict[str, Any] | None, recipe: Recipe) -> None:
    """Refuse a target that another plan has worked on; how faces are found is compared once it is settled."""
    if before is None:
        return
    old, new = dict(before["recipe"]), recipe.to_json()
    if recipe.analysis is None:
        del old["analysis"], new["analysis"]
    differing = list(_differences(old, new))
    if differing:
        raise RecordsError(
            f"{recipe.target}: was made by another plan (differing: {', '.join(differing)}); choose another "
            "target, or give this one up with: facefx archive purge --all"
        )


def _differences(before: dict[str, Any], now_: dict[str, Any], path: str = "") -> Iterator[str]:
    """Names of what differs between two recipes.

    >>> list(_differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}))
    ['b.c']
    """
    for key in sorted({*before, *now_}):
        old, new = before.get(key), now_.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key}"
