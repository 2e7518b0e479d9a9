"""One way to make the segments of a clip, in a process of its own, measured once it is warm.

    python -m benchmarks.archive_child WAY CLIP FOLDER LANES SEGMENT_S TURNS

WAY: inline, lane, split, stages or data (Ray Data's map_batches over the same segments).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.lib import CRF, PRESET
from benchmarks.tree import cost_of
from facefx.config import EncodeConfig, RunConfig
from facefx.pipeline.plan import make_plan
from facefx.pipeline.segment import Nets, SegmentJob, run_segment
from facefx.pipeline.stitch import spans_of
from facefx.video.probe import probe

_IDLE_S = 4.0
_SETTLE_S = 5.0
Turn = Callable[[list[SegmentJob]], None]


@dataclass(slots=True)
class Measured:
    """What the segments took. idle_cpu_s: of all processes in a second without work; mb: private memory
    after each turn; store_mb: of the object store in use then.
    """

    frames: int
    wall_s: float
    cpu_s: float
    idle_cpu_s: float
    mb: list[float] = field(default_factory=list)
    store_mb: list[float] = field(default_factory=list)


def jobs_of(clip: Path, folder: Path, segment_s: float) -> list[SegmentJob]:
    """The clip's segments, each with targets of its own."""
    info = probe(clip)
    config = RunConfig(
        effects=("solid",), encode=EncodeConfig(codec="libx264", preset=PRESET, crf=float(CRF))
    )
    plan = make_plan(config, info, Path("out.mp4"))
    return [
        SegmentJob(clip, info, plan, span, folder / f"{span.number}.piece", folder / f"{span.number}.faces")
        for span in spans_of(clip, info, segment_s)
    ]


def measure(
    turn: Turn, jobs: list[SegmentJob], frames: int, turns: int, store: Callable[[], float]
) -> Measured:
    """Warm up on one segment, see what idling costs, then make all segments `turns` times."""
    turn(jobs[:1])
    before = cost_of()
    time.sleep(_IDLE_S)  # idling is what is measured
    idle = (cost_of().cpu_s - before.cpu_s) / _IDLE_S
    done = Measured(frames * turns, 0.0, 0.0, idle)
    for _ in range(turns):
        began, start = time.perf_counter(), cost_of()
        turn(jobs)
        spent = cost_of()
        done.wall_s += time.perf_counter() - began
        done.cpu_s += spent.cpu_s - start.cpu_s
        done.mb.append(spent.private_mb)
        done.store_mb.append(store())
    return done


@contextmanager
def inline() -> Iterator[Turn]:
    """Every segment in this process."""
    nets = Nets()

    def turn(jobs: list[SegmentJob]) -> None:
        for job in jobs:
            run_segment(job, nets)

    try:
        yield turn
    finally:
        nets.close()


def segment_work(job: SegmentJob, tools: Any) -> int:
    """What a lane does."""
    return int(tools.run_segment(job).frames)


@contextmanager
def on_ray(way: str, lanes: int) -> Iterator[Turn]:
    """Every segment in a lane or graph of a local Ray."""
    from facefx.cluster.connect import connected
    from facefx.cluster.placement import Demand, place
    from facefx.cluster.runner import RayRunner
    from facefx.pipeline.runner import Done

    stages = ("decode", "detect", "blend", "encode")
    with connected(cpus=max(lanes, 2), store_bytes=1500 << 20) as cluster:
        placement = place(way, lanes, cluster.nodes, Demand(stages=stages, frame_bytes=1280 * 720 * 3 // 2))
        with RayRunner(segment_work, placement) as runner:
            while runner.lanes < lanes:
                runner.wait(1.0)

            def turn(jobs: list[SegmentJob]) -> None:
                waiting, running = list(jobs), 0
                while waiting or running:
                    while waiting and runner.free:
                        runner.submit(waiting.pop(0))
                        running += 1
                    for outcome in runner.wait(5.0):
                        running -= 1
                        if not isinstance(outcome, Done):
                            raise SystemExit(f"a segment was not made: {outcome}")

            yield turn


class DataWorker:
    """What Ray Data calls: the same segments, one a row."""

    def __init__(self) -> None:
        self._nets = Nets()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the segments of a batch."""
        import pickle

        frames = [run_segment(pickle.loads(bytes(job)), self._nets).frames for job in batch["job"]]
        return {"frames": frames}


@contextmanager
def on_ray_data(lanes: int) -> Iterator[Turn]:
    """Every segment by Ray Data, with as many actors as lanes."""
    import pickle

    import ray

    from facefx.cluster.connect import connected

    with connected(cpus=max(lanes, 2) + 1, store_bytes=1500 << 20):
        import ray.data

        def turn(jobs: list[SegmentJob]) -> None:
            rows = [{"job": pickle.dumps(job)} for job in jobs]
            made = ray.data.from_items(rows).map_batches(
                DataWorker, batch_size=1, num_cpus=1, compute=ray.data.ActorPoolStrategy(size=lanes)
            )
            if made.count() != len(jobs):
                raise SystemExit("Ray Data has lost segments")

        yield turn


def main(way: str, clip: Path, folder: Path, lanes: int, segment_s: float, turns: int) -> None:
    """Measure and tell."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = jobs_of(clip, folder, segment_s)
    frames = probe(clip).video.frames_expected
    ways = {"inline": inline(), "data": on_ray_data(lanes)}
    with ways.get(way) or on_ray(way, lanes) as turn:
        measured = measure(turn, jobs, frames, turns, _store_mb if way != "inline" else float)
    print(json.dumps({**asdict(measured), "segments": len(jobs)}))


def _store_mb() -> float:
    """What stays in use: the cluster hears of what was let go a moment later, a leak would not go away."""
    import ray

    end, total = time.monotonic() + _SETTLE_S, ray.cluster_resources()["object_store_memory"]
    while (
        used := total - ray.available_resources().get("object_store_memory", 0)
    ) and time.monotonic() < end:
        time.sleep(0.1)
    return float(used) / 2**20


if __name__ == "__main__":
    _, way, clip, folder, lanes, segment_s, turns = sys.argv
    main(way, Path(clip), Path(folder), int(lanes), float(segment_s), int(turns))
