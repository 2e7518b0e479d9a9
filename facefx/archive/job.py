"""The driver of an archive: which task comes next, and what follows from how it ended.

It never touches a pixel and keeps no more in memory than the videos that are being worked on; all that
must outlive it lies in the store.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from facefx.archive.tasks import (
    AloneTask,
    ChooseTask,
    Chosen,
    Finished,
    FinishTask,
    Prepared,
    PrepareTask,
    Recipe,
    SegmentTask,
    Task,
    VideoRef,
    task_name,
)
from facefx.errors import ExitCode, FacefxError, ModelError, PieceError, PoisonError, StageError, error_class
from facefx.pipeline.plan import effect_specs, needs_landmarks
from facefx.pipeline.runner import Done, Failed, Failure, Lost, Outcome, Runner
from facefx.pipeline.segment import SegmentResult, Span

__all__ = ["ArchiveJob", "Event", "Progress", "choose"]

Kind = Literal["prepared", "segment", "lost", "alone", "done", "failed"]

MOST_LOSSES = 3
"""So often a task may lose its worker before it is tried once more, alone."""

_MOST_MENDED = 2  # so often stored segments of a video may turn out to be damaged
_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a video; facts are plain values for a log line."""

    kind: Kind
    video: VideoRef
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """How far a run is. segments: of the videos that were prepared; reused: left by an earlier run;
    lost: tasks that lost their worker; redone: segments begun more than once.
    """

    videos: int
    done: int = 0
    failed: int = 0
    segments: int = 0
    segments_done: int = 0
    reused: int = 0
    lost: int = 0
    redone: int = 0
    frames: int = 0
    running: int = 0

    @property
    def settled(self) -> int:
        """Videos of which nothing more will be heard."""
        return self.done + self.failed


@dataclass(slots=True)
class _Video:
    """A video that is being worked on; number: how many were opened before it."""

    ref: VideoRef
    number: int
    prepared: Prepared | None = None
    todo: deque[Span] = field(default_factory=deque)
    results: dict[int, SegmentResult] = field(default_factory=dict)
    redone: int = 0
    reused: int = 0
    mended: int = 0
    lane: str = ""

    @property
    def complete(self) -> bool:
        return self.prepared is not None and len(self.results) == len(self.prepared.spans)


class ArchiveJob:
    """Brings every video to an end: published, or failed with evidence.

    on_failed: told of a video that is given up, with what it failed of and in which task; it keeps the
    evidence. on_event: told of everything else, as it happens. stop: asked about every half second; once
    it says true, nothing new is begun and run returns, with the rest undone.

    Raises what every video would fail of (a net that is missing, no worker left to be had).
    """

    def __init__(
        self,
        recipe: Recipe,
        videos: Sequence[VideoRef],
        runner: Runner[Task, Any],
        *,
        on_failed: Callable[[VideoRef, Failure, str], None],
        on_event: Callable[[Event], None] = lambda event: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._recipe, self._runner = recipe, runner
        self._on_failed, self._on_event, self._stop = on_failed, on_event, stop
        self._waiting: deque[VideoRef] = deque(videos)
        self._active: dict[str, _Video] = {}
        self._opened = 0
        # Begun videos that may have a segment to give, by the machine that has them at hand ("" for any), the
        # oldest first; one that has none is passed over.
        self._giving: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._freed: deque[str] = deque()
        self._again: deque[Task] = deque()
        self._losses: Counter[str] = Counter()
        self._running = 0
        self.progress = Progress(len(videos))

    def run(self) -> Iterator[Progress]:
        """Work until every video is settled; yields after each step, so that a caller can show it."""
        while self._running or self._again or self._active or self._waiting:
            if self._stop():
                return
            self._fill()
            for outcome in self._runner.wait(_WAIT_S):
                self._running -= 1
                self._settle(outcome)
            self.progress.running = self._running
            yield self.progress

    def _fill(self) -> None:
        while self._runner.free > 0:
            lane = self._freed.popleft() if self._freed else ""
            task = self._next(_machine(lane))
            if task is None:
                break
            video = self._active.get(task.key)
            own = video.lane if video else ""
            self._runner.submit(task, prefer=own if isinstance(task, FinishTask) else lane or own)
            self._running += 1
        self._freed.clear()

    def _next(self, machine: str) -> Task | None:
        """What was lost comes first, then what completes a video, then what a begun video still needs.

        A machine goes on with the videos that it has fetched; it opens a new one when those have no segment
        to give, and helps with another's, which it must fetch as well, when there is none to open. So few
        are open at a time, lanes never wait for a video to be prepared, and few files travel twice.
        """
        if self._again:
            return self._again.popleft()
        video = self._giver(machine) or self._giver("")
        if video is None and self._waiting and len(self._active) < 2 * self._runner.lanes + 2:
            ref = self._waiting.popleft()
            self._active[ref.key] = _Video(ref, self._opened)
            self._opened += 1
            return PrepareTask(self._recipe, ref)
        if video is None:
            others = filter(None, map(self._giver, list(self._giving)))
            video = min(others, key=lambda other: other.number, default=None)
        return None if video is None else self._segment(video, video.todo.popleft())

    def _giver(self, machine: str) -> _Video | None:
        """The oldest video at hand there that has a segment to give."""
        giving = self._giving.get(machine, [])
        while giving:
            video = self._active.get(giving[0][1])
            if video is not None and video.todo:
                return video
            heapq.heappop(giving)
        self._giving.pop(machine, None)
        return None

    def _segment(self, video: _Video, span: Span) -> SegmentTask:
        assert video.prepared is not None
        prepared = video.prepared
        return SegmentTask(self._recipe, video.ref, prepared.identity, prepared.info, prepared.plan, span)

    def _settle(self, outcome: Outcome[Task, Any]) -> None:
        task = outcome.task
        video = self._active.get(task.key)
        if video is None:
            return  # given up already, because of another of its segments
        match outcome:
            case Done():
                video.lane = outcome.where or video.lane
                self._freed.append(outcome.where)
                self._done(video, task, outcome.result)
            case Failed():
                self._failed(video, task, outcome.failure)
            case Lost():
                self._lost(video, task, outcome)

    def _done(self, video: _Video, task: Task, result: Any) -> None:
        match result:
            case Prepared():
                self._prepared(video, result)
            case SegmentResult():
                video.results[result.number] = result
                self.progress.segments_done += 1
                self.progress.frames += result.frames
                self._tell("segment", video, task_name(task), result.to_json())
                self._complete(video)
            case Finished():
                del self._active[video.ref.key]
                self.progress.done += 1
                self._tell("done", video, f"{video.ref.relative} → {video.ref.output}", result.record)
            case _:
                raise StageError(f"{task_name(task)}: expected a result of an archive's task, got {result!r}")

    def _prepared(self, video: _Video, prepared: Prepared) -> None:
        video.prepared = prepared
        video.results = {result.number: result for result in prepared.done}
        video.todo = deque(span for span in prepared.spans if span.number not in video.results)
        heapq.heappush(self._giving[_machine(video.lane)], (video.number, video.ref.key))
        self.progress.segments += len(prepared.spans)
        self.progress.segments_done += len(prepared.done)
        if video.mended:
            video.redone += len(video.todo)
            self.progress.redone += len(video.todo)
        else:
            video.reused = len(prepared.done)
            self.progress.reused += video.reused
        self._tell(
            "prepared",
            video,
            f"{video.ref.relative}: {len(prepared.spans)} segments, {len(prepared.done)} there already",
        )
        self._complete(video)

    def _complete(self, video: _Video) -> None:
        """Once its last segment is there, a video is put together before anything new begins."""
        if not video.complete:
            return
        assert video.prepared is not None
        prepared = video.prepared
        self._again.append(
            FinishTask(
                self._recipe,
                video.ref,
                prepared.identity,
                prepared.info,
                prepared.plan,
                prepared.spans,
                tuple(video.results[span.number] for span in prepared.spans),
                video.redone,
                video.reused,
            )
        )

    def _failed(self, video: _Video, task: Task, failure: Failure) -> None:
        if _every_video_would(failure):
            raise Fatal(failure)
        if failure.kind == PieceError.__name__ and video.mended < _MOST_MENDED:
            self._mend(video, failure)
            return
        del self._active[video.ref.key]
        self._again = deque(other for other in self._again if other.key != video.ref.key)
        self.progress.failed += 1
        self._on_failed(video.ref, failure, task_name(task))
        self._tell("failed", video, f"{video.ref.relative}: {failure.message}", {"error": failure.kind})

    def _mend(self, video: _Video, failure: Failure) -> None:
        """A stored segment was damaged where it was kept, and is gone now: see anew what there is."""
        assert video.prepared is not None
        video.mended += 1
        self.progress.segments -= len(video.prepared.spans)
        self.progress.segments_done -= len(video.results)
        video.prepared = None
        video.results.clear()
        self._tell("lost", video, failure.message)
        self._again.append(PrepareTask(self._recipe, video.ref))

    def _lost(self, video: _Video, task: Task, outcome: Lost[Task]) -> None:
        name = task_name(task)
        self.progress.lost += 1
        self._losses[name] += 1
        if isinstance(task, SegmentTask):
            video.redone += 1
            self.progress.redone += 1
        # Its machine may be gone: whoever comes next goes on with what was at hand there.
        for entry in self._giving.pop(_machine(outcome.where), []):
            heapq.heappush(self._giving[""], entry)
        tries = self._losses[name]
        self._tell(
            "lost", video, f"{name}: {outcome.reason} ({tries} of {MOST_LOSSES})", {"where": outcome.where}
        )
        if tries < MOST_LOSSES:
            self._again.appendleft(task)
        elif isinstance(task, PrepareTask | SegmentTask | FinishTask):
            self._tell("alone", video, f"{name}: once more, in a child process with limits")
            self._again.appendleft(AloneTask(task))
        else:
            self._failed(video, task, _deadly(name, outcome))

    def _tell(self, kind: Kind, video: _Video, text: str, facts: Mapping[str, Any] | None = None) -> None:
        self._on_event(Event(kind, video.ref, text, dict(facts or {})))


def _machine(lane: str) -> str:
    """Where a lane is, of its `where`."""
    return lane.split("/")[0]


def _every_video_would(failure: Failure) -> bool:
    """True for an error that is no video's own: a net that cannot be had."""
    return issubclass(error_class(failure.kind), ModelError)


def _deadly(name: str, outcome: Lost[Task]) -> Failure:
    return Failure.of(
        PoisonError(
            f"{name}: {2 * MOST_LOSSES} workers went away with it, the last: {outcome.reason}; "
            "look at the file and at the workers' logs, then retry"
        ),
        outcome.where,
    )


class Fatal(FacefxError):
    """A worker's error that every other video would meet as well; carries that error's own exit code."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.exit_code = ExitCode(failure.exit_code)


def choose(recipe: Recipe, runner: Runner[Task, Any]) -> Recipe:
    """Have a worker settle how faces are found: it has the device and the nets, the driver may not.

    Raises the worker's error, or that no worker lives long enough to answer.
    """
    task = ChooseTask(recipe, needs_landmarks(effect_specs(recipe.config)))
    for _ in range(MOST_LOSSES):
        runner.submit(task)
        outcomes: Sequence[Outcome[Task, Any]] = ()
        began = time.monotonic()
        while not outcomes:
            outcomes = runner.wait(_WAIT_S)
            if time.monotonic() - began > 300:
                raise StageError("choosing the nets: no worker has answered for 300 s; see their logs")
        match outcomes[0]:
            case Done(result=Chosen(analysis)):
                return recipe.with_analysis(analysis)
            case Failed(failure=failure):
                raise Fatal(failure)
            case _:
                continue
    raise StageError(f"choosing the nets: {MOST_LOSSES} workers died of it; see their logs")
