"""An archive on a real Ray: the same bytes wherever its tasks run, and whoever dies of them."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from archive_makers import Archive, put_clips
from archive_works import deadly, torn

from facefx.archive.job import MOST_LOSSES, Event
from facefx.archive.tasks import ChooseTask, Task
from facefx.archive.work import execute
from facefx.cli import main
from facefx.cluster.archive import RayWorkers
from facefx.cluster.connect import Cluster
from facefx.cluster.lane import LaneSettings
from facefx.cluster.placement import Demand, place
from facefx.cluster.runner import RayRunner
from facefx.errors import ExitCode
from facefx.pipeline.runner import Lost, Runner

pytest_plugins = ("ray_cluster",)

NAMES = ("a.mp4", "day/b.mkv")


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What one process makes of it."""
    folder = tmp_path_factory.mktemp("inline")
    source = put_clips(folder / "in", *NAMES)
    archive = Archive(str(source), str(folder / "out"), folder / "scratch")
    assert archive.run().exit_code == ExitCode.DONE
    return archive


@contextmanager
def lanes(
    cluster: Cluster, archive: Archive, placement: str = "lane", workers: int = 2, work: Any = execute
) -> Iterator[Runner[Task, Any]]:
    """Workers whose frames are small enough for the object store of the tests' cluster."""
    demand = Demand(
        stages=("decode", "detect", "blend", "encode"), frame_bytes=320 * 240 * 3 // 2, look_ahead_s=0.5
    )
    chosen = place(placement, workers, cluster.nodes, demand)
    with RayRunner(work, chosen, settings=LaneSettings(archive.scratch)) as runner:
        yield runner


@pytest.mark.parametrize(("placement", "workers"), [("lane", 1), ("lane", 2), ("split", 1), ("stages", 1)])
def test_no_placement_and_no_number_of_workers_changes_a_byte(
    cluster: Cluster, inline: Archive, tmp_path: Path, placement: str, workers: int
) -> None:
    archive = Archive(inline.source, str(tmp_path / "out"), tmp_path / "scratch")
    summary = archive.run(open_runner=lambda: lanes(cluster, archive, placement, workers))
    assert (summary.exit_code, summary.done, summary.lost) == (ExitCode.DONE, 2, 0)
    assert archive.outputs() == inline.outputs()
    ours, theirs = archive.records(), inline.records()
    assert {name: one.stable() for name, one in ours.items()} == {
        name: one.stable() for name, one in theirs.items()
    }
    assert archive.strays() == []


@pytest.mark.parametrize("seed", range(2))
def test_a_lane_that_is_killed_costs_at_most_its_one_segment(
    cluster: Cluster, inline: Archive, tmp_path: Path, seed: int
) -> None:
    archive = Archive(inline.source, str(tmp_path / "out"), tmp_path / "scratch")
    asked = RayWorkers(archive.request().recipe, placement="lane", workers=2, scratch=archive.scratch)
    killed: list[int] = []

    def kill(event: Event) -> None:
        if event.kind == "segment" and not killed:
            assert asked.runner is not None
            pids = [pid for pids in asked.runner.pids().values() for pid in pids.values()]
            killed.append(random.Random(seed).choice(sorted(pids)))
            os.kill(killed[0], signal.SIGKILL)

    summary = archive.run(open_runner=asked.opened, on_event=kill)
    assert killed
    assert (summary.exit_code, summary.done) == (ExitCode.DONE, 2)
    assert summary.lost <= 1
    assert summary.redone <= 1
    assert archive.outputs() == inline.outputs()


def test_a_half_written_file_of_a_killed_lane_does_not_outlive_the_run(
    cluster: Cluster, inline: Archive, tmp_path: Path
) -> None:
    archive = Archive(inline.source, str(tmp_path / "out"), tmp_path / "scratch")
    summary = archive.run(open_runner=lambda: lanes(cluster, archive, work=torn))
    assert (summary.exit_code, summary.lost) == (ExitCode.DONE, 1)
    assert archive.outputs() == inline.outputs()
    assert [name for name in archive.files() if ".part" in name] == []


@pytest.mark.parametrize("pause_s", [0.0, 1.0])
def test_nothing_of_a_killed_lane_or_of_one_that_starts_outlives_the_run(
    cluster: Cluster, tmp_path: Path, pause_s: float
) -> None:
    archive = Archive(str(tmp_path), str(tmp_path / "out"), tmp_path / "scratch")
    asked = RayWorkers(archive.request().recipe, placement="lane", workers=2, scratch=archive.scratch)
    with asked.opened() as runner:
        assert asked.runner is not None
        for pids in asked.runner.pids().values():
            os.kill(pids["decode,detect,blend,encode"], signal.SIGKILL)
        runner.submit(ChooseTask(archive.request().recipe, landmarks=False))
        while not (lost := runner.wait(5.0)):
            pass
        assert isinstance(lost[0], Lost)
        runner.wait(pause_s)  # the lane that takes its place has begun, or not yet
    assert [path.name for path in archive.scratch.glob("*worker-*")] == []


@pytest.mark.parametrize(
    ("limits", "bad"), [({}, "done"), ({"alone_timeout_s": 0.05}, "quarantined")], ids=["innocent", "guilty"]
)
def test_a_video_that_kills_three_lanes_is_tried_alone_and_the_rest_goes_on(
    cluster: Cluster, inline: Archive, tmp_path: Path, limits: dict[str, Any], bad: str
) -> None:
    source = put_clips(tmp_path / "in", "bad.mp4", "good.mp4")
    archive = Archive(
        str(source), str(tmp_path / "out"), tmp_path / "scratch", recipe={"segment_s": None, **limits}
    )

    summary = archive.run(open_runner=lambda: lanes(cluster, archive, work=deadly))
    assert archive.statuses() == {"bad.mp4": bad, "good.mp4": "done"}
    assert summary.lost == MOST_LOSSES
    assert archive.kinds()["alone"] == 1
    if bad == "done":
        assert len(set(archive.outputs().values())) == 1


@pytest.mark.parametrize(
    ("options", "expected", "words"),
    [
        (("--workers", "9"), 3, "9"),
        (("--placement", "sideways"), 2, "sideways"),
        (("--placement", "stages", "--workers", "4"), 3, "need"),
    ],
)
def test_what_the_cluster_cannot_give_is_said_before_anything_hangs(
    cluster: Cluster,
    inline: Archive,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    expected: int,
    words: str,
) -> None:
    code = main(["archive", "run", inline.source, str(tmp_path / "out"), *options])
    said = capsys.readouterr().err.strip().splitlines()
    assert code == expected, said
    assert said[-1].startswith("error: "), said
    assert words in said[-1]
