"""Tasks on a real Ray: what comes back, who is lost, who is replaced, and what is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from works import Order, work

from facefx.cluster.connect import Cluster
from facefx.cluster.lane import LaneSettings
from facefx.cluster.placement import Demand, Placement, place
from facefx.cluster.runner import RayRunner
from facefx.errors import ClusterError, ModelError
from facefx.pipeline.runner import Done, Failed, Lost, Outcome

pytest_plugins = ("ray_cluster",)

Runner = RayRunner[Order, Any]
TINY = Demand(frame_bytes=640 * 360 * 3 // 2, look_ahead_s=0.5)
_WAIT_S = 60.0


def placed(cluster: Cluster, asked: str, workers: int = 1, device: str = "cpu") -> Placement:
    return place(asked, workers, cluster.nodes, replace(TINY, device=device))


def outcomes(runner: Runner, count: int) -> list[Outcome[Order, Any]]:
    found: list[Outcome[Order, Any]] = []
    end = time.monotonic() + _WAIT_S
    while len(found) < count and time.monotonic() < end:
        found += runner.wait(1.0)
    return found


def done(runner: Runner, *orders: Order) -> list[Outcome[Order, Any]]:
    for order in orders:
        runner.submit(order)
    return outcomes(runner, len(orders))


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_S
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pair(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Two lanes, shared by tests that leave them alive."""
    root = tmp_path_factory.mktemp("lanes")
    with RayRunner(work, placed(cluster, "lane", 2), settings=LaneSettings(root)) as runner:
        until(lambda: (runner.wait(0.5), runner.lanes == 2)[1])
        yield runner


def test_a_result_comes_back_with_its_task_and_its_lane(pair: Runner) -> None:
    (outcome,) = done(pair, Order("echo", 7))
    assert isinstance(outcome, Done)
    assert (outcome.task, outcome.result) == (Order("echo", 7), 7)
    assert outcome.where in pair.pids()


def test_two_lanes_are_two_processes_without_a_gpu(pair: Runner) -> None:
    assert (pair.lanes, pair.free) == (2, 2)
    found = done(pair, Order("where"), Order("where"))
    results = [outcome.result for outcome in found if isinstance(outcome, Done)]
    assert {where: {"decode,detect,landmark,blend,encode": pid} for where, pid, _ in results} == pair.pids()
    assert {visible for _, _, visible in results} == {""}
    assert pair.free == 2


def test_a_task_goes_to_the_lane_that_is_preferred(pair: Runner) -> None:
    for where in [*pair.pids(), *reversed([*pair.pids()])]:
        pair.submit(Order("where"), prefer=where)
        (outcome,) = outcomes(pair, 1)
        assert isinstance(outcome, Done)
        assert (outcome.where, outcome.result[0]) == (where, where)


def test_more_tasks_than_lanes_are_refused(pair: Runner) -> None:
    pair.submit(Order("echo"))
    pair.submit(Order("echo"))
    with pytest.raises(ClusterError, match="no lane is free"):
        pair.submit(Order("echo"))
    assert len(outcomes(pair, 2)) == 2


def test_a_lane_keeps_to_one_thread(pair: Runner) -> None:
    (outcome,) = done(pair, Order("threads"))
    assert isinstance(outcome, Done)
    assert outcome.result == (1, "1")


def test_an_error_of_the_task_is_no_loss_and_keeps_kind_and_code(pair: Runner) -> None:
    before = pair.pids()
    found = done(pair, Order("damaged"), Order("bug"))
    failures = {outcome.failure.kind: outcome.failure for outcome in found if isinstance(outcome, Failed)}
    damaged, bug = failures["DamagedError"], failures["ZeroDivisionError"]
    assert (damaged.message, damaged.exit_code, damaged.damaged) == ("a.mp4: broken", 3, (3, 5))
    assert (bug.message, bug.exit_code) == ("ZeroDivisionError: of the task's own", 1)
    assert "works.py" in bug.log
    assert bug.where in before
    assert pair.pids() == before


def test_a_result_that_cannot_travel_fails_the_task_alone(pair: Runner) -> None:
    before = pair.pids()
    (outcome,) = done(pair, Order("unpicklable"))
    assert isinstance(outcome, Failed)
    assert "pickle" in outcome.failure.message
    assert pair.pids() == before


def test_a_killed_lane_is_lost_replaced_and_works_again(pair: Runner, tmp_path: Path) -> None:
    before = pair.pids()
    (outcome,) = done(pair, Order("die once", str(tmp_path / "died")))
    assert isinstance(outcome, Lost)
    assert "ActorDied" in outcome.reason
    assert outcome.where in before
    assert pair.lanes == 1
    assert isinstance(done(pair, Order("echo"))[0], Done)  # the other goes on meanwhile
    until(lambda: (pair.wait(0.5), pair.lanes == 2)[1])
    again = done(pair, Order("die once", str(tmp_path / "died")), Order("echo"))
    assert [type(outcome) for outcome in again] == [Done, Done]
    assert pair.pids() != before


def test_a_lane_killed_from_outside_loses_its_task_only(pair: Runner) -> None:
    pair.submit(Order("sleep", 60))
    (busy,) = [pids for where, pids in pair.pids().items() if where == _busy(pair)]
    os.kill(next(iter(busy.values())), signal.SIGKILL)
    (outcome,) = outcomes(pair, 1)
    assert isinstance(outcome, Lost)
    assert outcome.task == Order("sleep", 60)
    until(lambda: (pair.wait(0.5), pair.lanes == 2)[1])


def _busy(runner: Runner) -> str:
    return next(slot.where for slot in runner._slots if slot.answer is not None)


def test_scratch_space_goes_with_its_lane(cluster: Cluster, tmp_path: Path) -> None:
    with RayRunner(work, placed(cluster, "lane"), settings=LaneSettings(tmp_path)) as runner:
        (outcome,) = done(runner, Order("scratch"))
        assert isinstance(outcome, Done)
        assert Path(outcome.result).parent == tmp_path
        assert Path(outcome.result).exists()
    assert not Path(outcome.result).exists()


def actors_alive() -> list[str]:
    from ray.util.state import list_actors

    return [actor.actor_id for actor in list_actors() if actor.state not in ("DEAD",)]


def running(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("asked", ["lane", "split"])
def test_close_ends_every_process_at_once_also_a_busy_one(cluster: Cluster, asked: str) -> None:
    before = ray.available_resources()
    runner: Runner = RayRunner(work, placed(cluster, asked, 1))
    pids = [pid for group in runner.pids().values() for pid in group.values()]
    assert len(running(pids)) == len(pids)
    runner.submit(Order("sleep", 60))
    began = time.monotonic()
    runner.close()
    until(lambda: not running(pids))
    assert time.monotonic() - began < 10
    until(lambda: ray.available_resources().get("CPU", 0) >= before["CPU"])
    from ray.util import placement_group_table

    states = {group["state"] for group in placement_group_table().values()}
    assert states <= {"REMOVED"} | ({"CREATED"} if before["CPU"] < 8 else set())


@pytest.mark.parametrize(("asked", "processes"), [("lane", 1), ("stages", 5)])
def test_a_declared_gpu_that_is_not_there_fails_by_name(cluster: Cluster, asked: str, processes: int) -> None:
    placement = placed(cluster, asked, device="auto")
    assert placement.device == "cuda:0"
    assert len(placement.groups) == processes
    with pytest.raises(ModelError, match=r"the cluster declares GPU [01], but net 'blazeface-short' cannot"):
        RayRunner(work, placement)


def test_no_lane_in_time_is_an_error_that_says_what_the_scheduler_says(cluster: Cluster) -> None:
    placement = placed(cluster, "lane", 8)
    full = replace(placement, bundles=({"CPU": 9.0},), lanes=1)
    with pytest.raises(ClusterError, match=r"did not start within 2 s: placement group PENDING, INFEASIBLE"):
        RayRunner(work, full, start_s=2.0)


def test_a_lane_that_cannot_be_replaced_leaves_the_others_then_ends_the_run(cluster: Cluster) -> None:
    placement = placed(cluster, "lane", 2)
    runner: Runner
    with RayRunner(work, placement, start_s=20.0) as runner:
        until(lambda: (runner.wait(0.5), runner.lanes == 2)[1])
        runner._placement = replace(placement, bundles=({"CPU": 99.0},))
        runner._start_s = 1.0
        assert isinstance(done(runner, Order("die"))[0], Lost)
        assert isinstance(done(runner, Order("echo"))[0], Done)
        runner.submit(Order("die"))
        with pytest.raises(ClusterError, match="no worker can be had"):
            until(lambda: (runner.wait(0.5), False)[1])


def test_a_lane_that_hangs_is_lost_with_its_task_and_replaced(cluster: Cluster) -> None:
    """A worker that never answers would hold its video, and in the end the whole run, for ever."""
    runner: Runner
    limits = {"sleep": 0.5, "echo": _WAIT_S}
    with RayRunner(work, placed(cluster, "lane"), limit_s=lambda order: limits[order.what]) as runner:
        (lost,) = done(runner, Order("sleep", 10 * _WAIT_S))
        assert isinstance(lost, Lost)
        assert "has not answered for 0.5 s" in lost.reason
        until(lambda: (runner.wait(0.5), runner.free == 1)[1])
        (answer,) = done(runner, Order("echo", "alive"))
        assert isinstance(answer, Done)
        assert answer.result == "alive"


def test_every_gpu_lane_sees_one_gpu_and_all_of_a_graph_the_same(cluster: Cluster) -> None:
    """What Ray shows to actors laid out as ours are; no net is loaded, for there is no such device."""
    node = replace(cluster.nodes[0], cpus=2.0)  # so that each lane has a GPU of its own
    demand = replace(TINY, device="cuda:0")
    assert sorted(_visible(place("lane", 2, [node], demand))) == [["0"], ["1"]]
    graphs = _visible(place("stages", 2, [node], demand))
    for graph in graphs:
        assert [visible == "" for visible in graph] == [True, False, False, True, True]
    assert sorted(sorted({*graph} - {""}) for graph in graphs) == [["0"], ["1"]]


def _visible(placement: Placement) -> list[list[str]]:
    runner: Runner = object.__new__(RayRunner)
    runner._placement, runner._work, runner._settings, runner._start_s = placement, work, LaneSettings(), 60
    from facefx.cluster.runner import _Slot

    runner._slots = [_Slot(number) for number in range(placement.lanes)]
    runner._starting, runner._idle, runner._hosts, runner._due = set(), {}, {}, {}
    try:
        for slot in runner._slots:
            runner._start(slot)
        look = [
            [actor.__ray_call__.remote(lambda _: os.environ["CUDA_VISIBLE_DEVICES"]) for actor in slot.actors]
            for slot in runner._slots
        ]
        return [ray.get(refs, timeout=_WAIT_S) for refs in look]
    finally:
        runner.close()
