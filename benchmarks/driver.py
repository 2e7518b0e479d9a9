"""What an archive's driver costs on a real Ray: lanes that answer at once, so that nothing else is left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from benchmarks.lib import ROOT, say
from facefx.archive.account import rewrite_account
from facefx.archive.inline import inline_runner
from facefx.archive.job import Event
from facefx.archive.run import ArchiveRequest, run_archive
from facefx.archive.state import State
from facefx.archive.tasks import (
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
)
from facefx.cluster.archive import RayWorkers
from facefx.cluster.connect import connected
from facefx.cluster.placement import Demand, place
from facefx.cluster.runner import RayRunner
from facefx.config import RunConfig
from facefx.demo import portrait_frames
from facefx.faces.analysis import Analysis
from facefx.pipeline.plan import Plan, make_analysis
from facefx.pipeline.runner import Runner
from facefx.pipeline.segment import SegmentResult, Span
from facefx.storage import Store
from facefx.video.clip import write_clip
from facefx.video.info import MediaInfo

__all__ = [
    "Canned",
    "Cost",
    "archive_cost",
    "bare_cost",
    "canned_answers",
    "record_cost",
    "segment_times",
    "wait_cost",
]


@dataclass(frozen=True, slots=True)
class Cost:
    """What `count` things took of the driver: its own thread's CPU, its process's CPU, and time."""

    count: int
    thread_s: float
    process_s: float
    wall_s: float

    def per_thousand(self) -> tuple[float, float, float]:
        """Each for a thousand."""
        scale = 1000 / max(self.count, 1)
        return self.thread_s * scale, self.process_s * scale, self.wall_s * scale


class _Meter:
    """Notes three clocks at a moment, and their distance to another."""

    def __init__(self) -> None:
        self._at = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        return time.thread_time(), time.process_time(), time.perf_counter()

    def cost(self, count: int) -> Cost:
        """From the beginning to now."""
        return Cost(count, *(now - then for now, then in zip(self._now(), self._at, strict=True)))


@dataclass(frozen=True)
class Canned:
    """The work of an archive, done once before: answers at once with what a real segment answered.

    segments: of every video.
    """

    info: MediaInfo
    plan: Plan
    analysis: Analysis
    result: SegmentResult
    record: dict[str, Any]
    segments: int

    def __call__(self, task: Task, tools: object = None) -> Any:
        """What a lane is asked for."""
        match task:
            case ChooseTask():
                return Chosen(self.analysis)
            case PrepareTask():
                return Prepared("canned", self.info, self.plan, self.spans, ())
            case SegmentTask():
                return replace(self.result, number=task.span.number)
            case FinishTask():
                record = {**self.record, "key": task.key, "segments": self.segments}
                state = State(Store(task.recipe.target, task.recipe.target_options))
                state.store.write(
                    f".facefx/commits/{task.key}.json", json.dumps(record, sort_keys=True).encode()
                )
                return Finished(record)
        raise AssertionError(task)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The cuts of every video."""
        edges = [None, *(600 * (i + 1) for i in range(self.segments - 1)), None]
        return tuple(Span(i, self.segments, edges[i], edges[i + 1]) for i in range(self.segments))


def canned_answers(folder: Path, segments: int) -> Canned:
    """Do the work once, in earnest, on a short clip, and keep what a worker said."""
    (folder / "in").mkdir()
    write_clip(folder / "in" / "clip.mp4", (shown.batch for shown in portrait_frames(320, 180, seconds=2)))
    said: dict[str, Any] = {}
    recipe = Recipe(RunConfig(detector="blazeface"), str(folder / "out"))

    @contextmanager
    def listened() -> Iterator[Runner[Task, Any]]:
        with inline_runner(folder / "scratch") as runner:
            wait = runner.wait

            def noted(timeout_s: float) -> Any:
                outcomes = wait(timeout_s)
                said.update({type(one.task).__name__: one.result for one in outcomes})  # type: ignore[union-attr]
                return outcomes

            runner.wait = noted  # type: ignore[method-assign]
            yield runner

    run_archive(ArchiveRequest((str(folder / "in"),), recipe), listened)
    prepared: Prepared = said["PrepareTask"]
    analysis = make_analysis(recipe.config, landmarks=False)
    finished: Finished = said["FinishTask"]
    return Canned(prepared.info, prepared.plan, analysis, said["SegmentTask"], finished.record, segments)


@contextmanager
def _two_lanes(canned: Canned) -> Iterator[Runner[Task, Any]]:
    """Two lanes on a Ray of their own, which answer at once."""
    # What lanes import lies in the repository's root.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with connected(None, cpus=2, store_bytes=200 << 20) as cluster:
        placement = place("lane", 2, cluster.nodes, Demand())
        runner: RayRunner[Task, Any]
        with RayRunner(canned, placement) as runner:
            while runner.lanes < 2:
                runner.wait(1.0)
            yield runner


def bare_cost(canned: Canned, folder: Path, count: int) -> Cost:
    """The runner alone: segments given to two lanes, one after another."""
    recipe = Recipe(RunConfig(detector="blazeface"), str(folder / "bare"), analysis=canned.analysis)
    video = VideoRef("0" * 24, "s3://bucket/in/video.mp4", "video.mp4", "video.mp4", 1, "v1")
    span = canned.spans[0]
    task = SegmentTask(recipe, video, "canned", canned.info, canned.plan, span)
    with _two_lanes(canned) as runner:
        _spin(runner, task, 200)  # the first calls load and connect
        meter = _Meter()
        _spin(runner, task, count)
        return meter.cost(count)


def _spin(runner: Runner[Task, Any], task: Task, count: int) -> None:
    begun = ended = 0
    while ended < count:
        while runner.free and begun < count:
            runner.submit(task)
            begun += 1
        ended += len(runner.wait(1.0))


def archive_cost(canned: Canned, folder: Path, videos: int) -> tuple[Cost, Cost]:
    """A whole run over as many videos: what its segments cost, and what the rest of the run did.

    The first: from the first prepared video to the last that was finished, with prepare and finish tasks, the
    state machine, the journal and a local store. The second, by video: listing, sorting, records, report.
    """
    sources = folder / "sources"
    sources.mkdir()
    for i in range(videos):
        (sources / f"video-{i:05d}.mp4").write_bytes(b"canned")
    recipe = Recipe(RunConfig(detector="blazeface"), str(folder / "archive"))
    meters: list[_Meter] = []
    costs: list[Cost] = []

    def heard(event: Event) -> None:
        if event.kind == "prepared" and not meters:
            meters.append(_Meter())
        if event.kind == "done":
            costs[:] = [meters[0].cost(videos * canned.segments)]

    whole = _Meter()
    starting: list[Cost] = []

    @contextmanager
    def lanes() -> Iterator[Runner[Task, Any]]:
        start = _Meter()
        with _two_lanes(canned) as runner:
            starting.append(start.cost(1))
            yield runner

    summary = run_archive(ArchiveRequest((str(sources),), recipe), lanes, on_event=heard)
    if summary.done != videos:
        raise SystemExit(f"{summary.done} of {videos} canned videos were done")
    all_ = whole.cost(videos)
    less = (costs[0], starting[0])
    rest = Cost(
        videos,
        all_.thread_s - sum(one.thread_s for one in less),
        all_.process_s - sum(one.process_s for one in less),
        all_.wall_s - sum(one.wall_s for one in less),
    )
    return costs[0], rest


def record_cost(folder: Path, videos: int) -> tuple[Cost, Cost]:
    """Reading all records of a finished archive, and writing its manifest and report anew."""
    state = State(Store(str(folder / "archive")))
    meter = _Meter()
    read = sum(1 for _ in state.records())
    reading = meter.cost(read)
    if read != videos:
        raise SystemExit(f"{read} of {videos} records")
    meter = _Meter()
    rewrite_account(state)
    return reading, meter.cost(videos)


class _Sleeper:
    """Keeps every call but the first waiting."""

    def sleep(self, seconds: float) -> None:
        """Hold this actor's one thread."""
        time.sleep(seconds)


def segment_times(folder: Path, clips: Sequence[Path]) -> list[float]:
    """CPU-seconds of a lane for a frame, of every segment of real clips: two lanes at once, in earnest."""
    sources = folder / "real"
    sources.mkdir()
    for clip in clips:
        (sources / clip.name).symlink_to(clip)
    recipe = Recipe(RunConfig(), str(folder / "real-out"), segment_s=2.0)
    seconds: list[float] = []

    def heard(event: Event) -> None:
        if event.kind == "segment" and event.facts["frames"] > 0:
            seconds.append(event.facts["cpu_s"] / event.facts["frames"])

    workers = RayWorkers(recipe, placement="lane", workers=2, cpus=2)
    summary = run_archive(ArchiveRequest((str(sources),), recipe), workers.opened, on_event=heard)
    if summary.exit_code:
        raise SystemExit(f"exit {int(summary.exit_code)} from an archive of {[clip.name for clip in clips]}")
    return seconds


def wait_cost(counts: tuple[int, ...], times: int) -> dict[int, float]:
    """CPU-seconds of the driver's thread for one look at so many unfinished tasks."""
    costs = {}
    with connected(None, cpus=2, store_bytes=100 << 20):
        sleeper: Any = ray.remote(num_cpus=0)(_Sleeper).remote()
        refs = [sleeper.sleep.remote(3600) for _ in range(max(counts))]
        for count in counts:
            some = refs[:count]
            ray.wait(some, num_returns=count, timeout=0)
            began = time.thread_time()
            for _ in range(times):
                ray.wait(some, num_returns=count, timeout=0)
            costs[count] = (time.thread_time() - began) / times
            say(f"  a look at {count} tasks: {1e6 * costs[count]:.0f} us")
        ray.kill(sleeper)
    return costs
