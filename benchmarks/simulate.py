"""An archive of any size in virtual time: the driver is the real one, lanes and store are played.

The clock moves by the CPU time that the real driver takes for its decisions and its journal, by what Ray
costs it for each task (as measured beside this), by the store's replies where the driver waits for them,
and while it has nothing to do, to the moment at which the next lane ends its task.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from benchmarks.driver import Canned
from benchmarks.scale_values import Costs, Figures, Site, Window
from facefx.archive.job import ArchiveJob
from facefx.archive.journal import Journal
from facefx.archive.state import State
from facefx.archive.tasks import (
    AloneTask,
    FinishTask,
    Prepared,
    PrepareTask,
    Recipe,
    SegmentTask,
    Task,
    VideoRef,
)
from facefx.config import RunConfig
from facefx.pipeline.runner import Done, Failure, Lost, Outcome
from facefx.pipeline.segment import Span
from facefx.storage import Store

__all__ = ["PlayedRunner", "simulate"]

# What facefx.archive.run does every so often.
_LOOK_S, _TELL_S = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class _Account:
    """How far everything was at a moment."""

    now: float
    spent: dict[str, float]
    tasks: int
    idle_s: float
    moved_s: float
    footage_s: float


class _Clock:
    """Virtual time, and where the driver's part of it went."""

    def __init__(self, cpu: Callable[[], float]) -> None:
        self.now = 0.0
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._cpu = cpu
        self._mark = cpu()

    def spend(self, what: str, seconds: float) -> None:
        """The driver is at it for so long."""
        self.now += seconds
        self.spent[what] += seconds

    @contextmanager
    def played(self) -> Iterator[None]:
        """Within it our own work is not the driver's; what came before it was."""
        self.spend("decisions and journal", self._cpu() - self._mark)
        try:
            yield
        finally:
            self._mark = self._cpu()


class _SlowStore:
    """Of a store what the driver uses; nothing is kept, every reply takes its time."""

    url = "s3://bucket/out"

    def __init__(self, clock: _Clock, site: Site, dice: random.Random) -> None:
        self._clock, self._latency, self._dice = clock, dict(site.store_s), dice

    def _reply(self, kind: str) -> None:
        with self._clock.played():
            self._clock.spend("the store", self._latency[kind] * self._dice.lognormvariate(0, 0.4))

    def write(self, rel: str, data: bytes) -> None:
        """Take it."""
        self._reply("write")

    def exists(self, rel: str) -> bool:
        """Nothing is there."""
        self._reply("read")
        return False

    def remove_tree(self, folder: str) -> int:
        """Look, and remove what there would be."""
        self._reply("list")
        self._reply("remove")
        return 0


@dataclass(slots=True)
class _Lanes:
    """Who is free, by machine."""

    per_node: int
    free: set[int] = field(default_factory=set)

    def take(self, prefer: str) -> int:
        """The lane itself, one of its machine, or any."""
        if prefer:
            own = int(prefer.split("/")[1])
            node = own // self.per_node * self.per_node
            near: list[int] = [own, *range(node, node + self.per_node)]
            for lane in near:
                if lane in self.free:
                    self.free.remove(lane)
                    return lane
        return self.free.pop()


class PlayedRunner:
    """Implements pipeline's Runner: each task takes its time, and none is done."""

    def __init__(
        self, lanes: int, site: Site, costs: Costs, canned: Canned, clock: _Clock, dice: random.Random
    ) -> None:
        self._site, self._costs, self._canned, self._clock, self._dice = site, costs, canned, clock, dice
        self._count = lanes
        self._lanes = _Lanes(site.lanes_per_node, set(range(lanes)))
        self._ends: list[tuple[float, int, int, Task | None, bool]] = []
        self._sources: defaultdict[int, set[str]] = defaultdict(set)
        self._seconds: dict[str, float] = {}
        self._serial = self._returning = 0
        self._since: dict[int, float] = {}
        self._idle_s = 0.0
        self._tasks = 0
        self._footage_s = self._moved_s = 0.0

    def account(self) -> _Account:
        """How far everything is; lanes that wait now count as waiting until now."""
        now = self._clock.now
        waiting = sum(now - self._since.get(lane, 0.0) for lane in self._lanes.free)
        return _Account(
            now,
            dict(self._clock.spent),
            self._tasks,
            self._idle_s + waiting,
            self._moved_s,
            self._footage_s,
        )

    @property
    def lanes(self) -> int:
        """Lanes that are up."""
        return self._count - self._returning

    @property
    def free(self) -> int:
        """Lanes that are up and idle."""
        return len(self._lanes.free)

    def submit(self, task: Task, prefer: str = "") -> None:
        """Begin it, and settle when and how it will end."""
        with self._clock.played():
            self._clock.spend("Ray", self._costs.task_s / 2)
            lane = self._lanes.take(prefer)
            seconds = self._takes(task, lane)
            dies = self._dice.random() < self._site.lost
            if dies:
                seconds *= self._dice.random()
            self._push(self._clock.now + seconds, lane, task, dies)
            self._tasks += 1
            self._idle_s += self._clock.now - self._since.get(lane, 0.0)

    def wait(self, timeout_s: float) -> Sequence[Outcome[Task, Any]]:
        """All that has ended by now; if nothing has, the clock moves on to the next end."""
        with self._clock.played():
            end = self._clock.now + timeout_s
            self._look()
            if self._ends and self._ends[0][0] > self._clock.now:
                self._clock.now = min(self._ends[0][0], end)
                self._look()
            outcomes: list[Outcome[Task, Any]] = []
            while self._ends and self._ends[0][0] <= self._clock.now:
                at, _, lane, task, dies = heapq.heappop(self._ends)
                self._since[lane] = at
                if task is None:  # the lane's successor is up
                    self._returning -= 1
                    self._lanes.free.add(lane)
                    continue
                outcomes.append(self._outcome(task, lane, dies))
            return outcomes

    def close(self) -> None:
        """Nothing is left."""

    def _look(self) -> None:
        self._clock.spend("Ray", self._costs.look_s + self._costs.ref_s * len(self._ends))

    def _push(self, at: float, lane: int, task: Task | None, dies: bool) -> None:
        self._serial += 1
        heapq.heappush(self._ends, (at, self._serial, lane, task, dies))

    def _outcome(self, task: Task, lane: int, dies: bool) -> Outcome[Task, Any]:
        self._clock.spend("Ray", self._costs.task_s / 2)
        if dies:
            self._returning += 1
            self._sources[lane // self._site.lanes_per_node].clear()
            self._push(self._clock.now + self._site.start_s, lane, None, False)
            return Lost(task, "its machine is gone", self._where(lane))
        self._lanes.free.add(lane)
        if isinstance(task, SegmentTask):
            self._footage_s += min(self._site.segment_s, self._seconds[task.key])
        inner = task.task if isinstance(task, AloneTask) else task
        result = self._prepared(inner) if isinstance(inner, PrepareTask) else self._answer(inner)
        return Done(task, result, self._where(lane))

    def _where(self, lane: int) -> str:
        return f"machine {lane // self._site.lanes_per_node}/{lane}"

    def _answer(self, task: Task) -> Any:
        if isinstance(task, FinishTask):
            from facefx.archive.tasks import Finished

            return Finished(self._canned.record)
        return self._canned(task)

    def _prepared(self, task: PrepareTask) -> Prepared:
        """Cut a video of the archive's usual lengths."""
        count = max(1, round(self._length(task.key) / self._site.segment_s))
        spans = tuple(Span(i, count, i or None, i + 1 if i + 1 < count else None) for i in range(count))
        return Prepared("v1", self._canned.info, self._canned.plan, spans, ())

    def _length(self, key: str) -> float:
        if key not in self._seconds:
            middle, sigma = self._site.video_s
            drawn = middle * self._dice.lognormvariate(0, sigma)
            self._seconds[key] = min(max(drawn, self._site.segment_s), self._site.longest_s)
        return self._seconds[key]

    def _takes(self, task: Task, lane: int) -> float:
        """Seconds of a lane: bytes moved, frames made."""
        task = task.task if isinstance(task, AloneTask) else task
        site, length = self._site, self._length(task.key)
        node, moved, seconds = lane // site.lanes_per_node, 0.5, 0.0
        if task.key not in self._sources[node]:
            self._sources[node].add(task.key)
            moved += length * site.bytes_per_s / site.lane_bytes_per_s
        if isinstance(task, SegmentTask):
            frames = site.frames_per_s * min(site.segment_s, length)
            seconds = frames * self._dice.choice(site.frame_s)
        if isinstance(task, FinishTask):  # pieces in, the whole hashed and out
            moved += 3 * length * site.bytes_per_s / site.lane_bytes_per_s
        self._moved_s += moved
        return seconds + moved


def simulate(
    lanes: int,
    window: Window,
    site: Site,
    costs: Costs,
    canned: Canned,
    cpu: Callable[[], float] = time.thread_time,
) -> Figures:
    """Play an archive larger than the window; cpu: the clock by which the driver's own work is told."""
    dice = random.Random(site.seed)
    clock = _Clock(cpu)
    state = State(cast(Store, _SlowStore(clock, site, dice)))
    recipe = Recipe(RunConfig(detector="blazeface"), "s3://bucket/out", analysis=canned.analysis)
    runner = PlayedRunner(lanes, site, costs, canned, clock, dice)
    videos = [_video(i) for i in range(4 * lanes + 100 + round(lanes * (window.warm_s + window.s) / 100))]
    with Journal(state, "run") as journal:
        visits = _Visits(clock, state, journal, window.warm_s + window.s)
        job = ArchiveJob(recipe, videos, runner, on_failed=_no_failure, on_event=journal.write, stop=visits)
        before: _Account | None = None
        for _ in job.run():
            if before is None and clock.now >= window.warm_s:
                before = runner.account()
    if before is None or not visits.ended:
        raise SystemExit(f"{len(videos)} played videos did not last for {window}")
    return _figures(lanes, before, runner.account(), job.progress.lost)


def _figures(lanes: int, before: _Account, after: _Account, lost: int) -> Figures:
    seconds = after.now - before.now
    spent = {name: (after.spent[name] - before.spent.get(name, 0.0)) / seconds for name in after.spent}
    return Figures(
        lanes=lanes,
        seconds=seconds,
        tasks=after.tasks - before.tasks,
        lost=lost,
        busy=1 - (after.idle_s - before.idle_s) / (lanes * seconds),
        share=sum(spent.values()),
        spent=spent,
        moving=(after.moved_s - before.moved_s) / (lanes * seconds),
        tasks_per_s=(after.tasks - before.tasks) / seconds,
        video_hours_per_hour=(after.footage_s - before.footage_s) / seconds,
    )


class _Visits:
    """What the driver of run.py does beside the job, in the same rhythm: asked after every step."""

    def __init__(self, clock: _Clock, state: State, journal: Journal, until_s: float) -> None:
        self._clock, self._state, self._journal, self._until_s = clock, state, journal, until_s
        self._looked = self._told = 0.0

    def __call__(self) -> bool:
        now = self._clock.now
        if now - self._looked > _LOOK_S:
            self._looked = now
            self._state.asked_to_stop()
        if now - self._told > _TELL_S:
            self._told = now
            self._state.write_progress({"videos": 1})
            self._journal.keep()
        return self.ended

    @property
    def ended(self) -> bool:
        """True once the time is over."""
        return self._clock.now >= self._until_s


def _video(number: int) -> VideoRef:
    name = f"2026/11/25/officer-{number % 977:04d}/{number:07d}.mp4"
    return VideoRef(VideoRef.key_of(name), f"s3://bucket/in/{name}", name, name, 10**9, "etag-of-it")


def _no_failure(video: VideoRef, failure: Failure, task: str) -> None:
    raise SystemExit(f"{video.relative}: {task}: {failure.message}")
