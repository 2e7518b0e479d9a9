"""One segment over several processes: the same bytes, bounded memory, and no error or loss goes astray."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from test_runner import TINY, outcomes, placed, until
from works import Order, work

from facefx.cluster.connect import Cluster
from facefx.cluster.graph import allot
from facefx.cluster.lane import LaneSettings
from facefx.cluster.placement import place
from facefx.cluster.runner import RayRunner
from facefx.pipeline.runner import Done, Failed, Lost
from facefx.pipeline.segment import Nets, SegmentJob, run_segment
from jobs import files_of, jobs_of

pytest_plugins = ("ray_cluster",)

Runner = RayRunner[Order, Any]
PLACEMENTS = ("lane", "split", "stages", "decode,detect|landmark,blend|encode")
EFFECTS = ("smooth", "solid")  # with landmarks: all five stages have something to do


@pytest.fixture(scope="module")
def clip(media: Path) -> Path:
    return media / "formats" / "fps2997_640x360.mp4"


@pytest.fixture(scope="module")
def inline(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[SegmentJob]:
    """What one process makes of the clip."""
    jobs = jobs_of(clip, tmp_path_factory.mktemp("inline"), *EFFECTS)
    with Nets() as nets:
        for job in jobs:
            run_segment(job, nets)
    return jobs


@pytest.fixture(scope="module")
def split(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    settings = LaneSettings(tmp_path_factory.mktemp("lanes"))
    with RayRunner(work, placed(cluster, "split"), settings=settings) as runner:
        yield runner


def moved(job: SegmentJob, folder: Path) -> SegmentJob:
    """The same segment with targets in another folder."""
    return replace(job, piece=folder / job.piece.name, faces=folder / "faces.parquet")


@pytest.mark.parametrize("asked", PLACEMENTS)
def test_every_placement_makes_the_same_bytes(
    cluster: Cluster, inline: list[SegmentJob], tmp_path: Path, asked: str
) -> None:
    with RayRunner(work, placed(cluster, asked), settings=LaneSettings(tmp_path / "lanes")) as runner:
        for job in inline:
            again = moved(job, tmp_path)
            runner.submit(Order("segment", again))
            (outcome,) = outcomes(runner, 1)
            assert isinstance(outcome, Done), outcome
            assert files_of(again) == files_of(job)
            assert [row["stage"] for row in outcome.result.stages] == list(STAGES)
            assert all(row["frames"] for row in outcome.result.stages)


STAGES = ("decode", "detect", "landmark", "blend", "encode")


def test_groups_run_what_of_their_stages_a_job_has() -> None:
    groups = [("decode",), ("detect",), ("landmark",), ("blend", "encode")]
    assert allot(groups, ("decode", "faces", "blend", "encode")) == [
        ("decode",),
        ("faces",),
        (),
        ("blend", "encode"),
    ]


def test_a_stage_that_fails_fails_the_task_with_its_kind_and_the_graph_goes_on(
    split: Runner, media: Path, inline: list[SegmentJob], tmp_path: Path
) -> None:
    before = split.pids()
    (damaged,) = jobs_of(media / "formats" / "truncated_faststart.mp4", tmp_path, segment_s=None)
    split.submit(Order("segment", damaged))
    (outcome,) = outcomes(split, 1)
    assert isinstance(outcome, Failed), outcome
    assert (outcome.failure.kind, outcome.failure.exit_code) == ("DamagedError", 3)
    assert "truncated_faststart.mp4" in outcome.failure.message
    assert outcome.failure.damaged is not None
    assert "segment_stages.py" in outcome.failure.log  # where it happened, in the other process
    assert not damaged.piece.exists()
    assert _is_done(split, moved(inline[0], tmp_path))
    assert split.pids() == before


def test_a_target_that_cannot_be_written_fails_by_name(
    split: Runner, inline: list[SegmentJob], tmp_path: Path
) -> None:
    split.submit(Order("segment", replace(inline[0], piece=tmp_path / "no" / "folder.piece")))
    (outcome,) = outcomes(split, 1)
    assert isinstance(outcome, Failed), outcome
    assert (outcome.failure.kind, outcome.failure.exit_code) == ("SinkError", 3)
    assert _is_done(split, moved(inline[0], tmp_path))


def test_frames_that_cannot_travel_keep_their_segment_in_one_process(
    split: Runner, media: Path, tmp_path: Path
) -> None:
    job = jobs_of(media / "formats" / "fps2997_640x360.mp4", tmp_path, segment_s=None)[0]
    video = replace(job.info.video, side_data=("a53_cc",))
    split.submit(Order("segment", replace(job, info=replace(job.info, video=video))))
    (outcome,) = outcomes(split, 1)
    assert isinstance(outcome, Done), outcome
    assert outcome.result.frames == 150
    assert ray.get(split._slots[0].actors[-1].seen.remote()) == (0, 1)


def _is_done(runner: Runner, job: SegmentJob) -> bool:
    runner.submit(Order("segment", job))
    (outcome,) = outcomes(runner, 1)
    return isinstance(outcome, Done)


def test_a_dead_process_of_a_graph_loses_the_segment_only(
    cluster: Cluster, clip: Path, tmp_path: Path
) -> None:
    jobs = jobs_of(clip, tmp_path, *EFFECTS)
    with RayRunner(work, placed(cluster, "stages"), settings=LaneSettings(tmp_path / "lanes")) as runner:
        for victim in STAGES:
            (pids,) = runner.pids().values()
            assert list(pids) == list(STAGES)
            jobs[0].piece.unlink(missing_ok=True)
            runner.submit(Order("segments", jobs * 40))
            until(jobs[0].piece.exists)  # it is in the midst of its work
            os.kill(pids[victim], signal.SIGKILL)
            (outcome,) = outcomes(runner, 1)
            assert isinstance(outcome, Lost), outcome
            until(lambda: (runner.wait(0.5), runner.lanes == 1)[1])
            assert {*next(iter(runner.pids().values())).values()}.isdisjoint(pids.values())
        assert _is_done(runner, jobs[0])


def test_frames_in_flight_stay_within_the_credits_and_look_ahead_never_starves(
    split: Runner, inline: list[SegmentJob], tmp_path: Path
) -> None:
    batch, lane = TINY.batch_bytes, split._slots[0].actors[-1]
    window = split._placement.window_bytes
    most = {}
    try:
        for credits in (batch, 10 * batch):  # the first is far less than what detection looks ahead
            ray.get(lane.__ray_call__.remote(_allow, credits))
            assert _is_done(split, moved(inline[0], tmp_path))
            most[credits] = ray.get(lane.seen.remote())[0]
    finally:
        ray.get(lane.__ray_call__.remote(_allow, window))
    look_ahead = 2 * 30 * TINY.frame_bytes
    assert 0 < most[batch] <= look_ahead + 3 * batch
    assert most[batch] < most[10 * batch] <= 10 * batch


def _allow(lane: Any, credits: int) -> None:
    lane._conductor._window_bytes = credits


def test_the_store_stays_flat_over_many_segments_and_is_empty_after_them(
    split: Runner, media: Path, tmp_path: Path
) -> None:
    jobs = jobs_of(media / "clips" / "man_headpose_480x270.mp4", tmp_path, segment_s=None)
    used: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            used.append(_store_used())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(30):
            assert _is_done(split, jobs[0])
    finally:
        stop.set()
        watcher.join()
    until(lambda: _store_used() < 1 << 20)
    early, late = max(used[: len(used) // 3]), max(used[-len(used) // 3 :])
    assert 0 < late <= 1.5 * early
    assert max(used) <= split._placement.window_bytes


def _store_used() -> int:
    """Bytes in the object store of the one node."""
    resources, available = ray.cluster_resources(), ray.available_resources()
    return int(resources["object_store_memory"] - available.get("object_store_memory", 0))


def test_nothing_of_a_graph_stays_in_the_store_when_it_is_closed_at_work(
    cluster: Cluster, clip: Path, tmp_path: Path
) -> None:
    jobs = jobs_of(clip, tmp_path, *EFFECTS)
    runner: Runner = RayRunner(work, placed(cluster, "stages"))
    runner.submit(Order("segments", jobs * 40))
    until(jobs[0].piece.exists)
    runner.close()
    until(lambda: _store_used() < 1 << 16)


def test_a_grouping_of_a_graph_that_is_too_large_for_the_store_is_refused(cluster: Cluster) -> None:
    from facefx.errors import ResourcesError

    with pytest.raises(ResourcesError, match="MiB of object store"):
        place("split", 1, cluster.nodes, replace(TINY, frame_bytes=3840 * 2160 * 3 // 2))


def test_a_plan_with_a_kept_table_runs_over_the_same_graph(
    split: Runner, inline: list[SegmentJob], media: Path, tmp_path: Path
) -> None:
    job = inline[0]
    table = tmp_path / "kept.parquet"
    assert job.faces is not None
    shutil.copyfile(job.faces, table)
    kept = replace(moved(job, tmp_path), table=table, faces=None)
    with Nets() as nets:
        run_segment(kept, nets)
    alone = kept.piece.read_bytes()
    kept.piece.unlink()
    assert _is_done(split, kept)
    assert kept.piece.read_bytes() == alone
