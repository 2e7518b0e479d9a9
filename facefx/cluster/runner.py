"""Tasks on a cluster: lanes in placement groups, lost ones replaced; the driver's side."""

from __future__ import annotations

import heapq
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from facefx.cluster.failure import error_of
from facefx.cluster.lane import Answer, GroupActor, Lane, LaneSettings, LaneTools, Ready
from facefx.cluster.placement import Group, Placement
from facefx.errors import ClusterError
from facefx.pipeline.runner import Done, Failed, Failure, Lost, Outcome

__all__ = ["RayRunner"]

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger("facefx.cluster")

_START_S = 120.0
# A process that dies while it starts, three times in a row, will not do better the fourth time.
_STARTS = 3
_LEAVE_S = 5.0
# One lane, one core: threads that a library starts by itself would take the neighbours'.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True, eq=False)
class _Slot:
    """Room for one lane or graph, and who is in it. A lane is starting until `waiting` is empty."""

    number: int
    starts: int = 0
    deadline: float = 0.0
    group: Any = None
    actors: list[Any] = field(default_factory=list)
    waiting: dict[Any, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    where: str = ""
    host: str = ""
    task: Any = None
    answer: Any = None

    @property
    def up(self) -> bool:
        return bool(self.actors) and not self.waiting

    @property
    def idle(self) -> bool:
        return self.up and self.answer is None


class RayRunner(Generic[T, R]):
    """Runs tasks in lanes or graphs as a placement lays them out; implements pipeline's Runner.

    work: a module-level function, called in a lane as work(task, tools). start_s: the longest that a lane
    may take to start or to be replaced. limit_s: the longest that a task may take; a lane that takes longer
    hangs, and is lost with its task. Ray must be connected (`facefx.cluster.connect`).

    Raises what a lane that cannot work says of itself (ModelError for a GPU that is not there), and
    ClusterError if none starts in time.
    """

    def __init__(
        self,
        work: Callable[[T, LaneTools], R],
        placement: Placement,
        *,
        settings: LaneSettings | None = None,
        start_s: float = _START_S,
        limit_s: Callable[[T], float] = lambda task: math.inf,
    ) -> None:
        self._work, self._placement = work, placement
        self._settings = settings or LaneSettings()
        self._start_s, self._limit_s = start_s, limit_s
        self._limits: list[tuple[float, int, _Slot]] = []  # a heap: who is late first
        self._submitted = 0
        self._outcomes: list[Outcome[T, R]] = []
        self._slots = [_Slot(number) for number in range(placement.lanes)]
        # Kept up to date, so that a task's cost does not grow with the number of lanes.
        self._starting: set[int] = set()
        self._idle: dict[int, _Slot] = {}
        self._hosts: dict[str, set[int]] = {}
        self._due: dict[Any, _Slot] = {}
        try:
            for slot in self._slots:
                self._start(slot)
            while not any(slot.up for slot in self._slots):
                self._watch(1.0, tolerant=False)
        except BaseException:
            self.close()
            raise

    @property
    def lanes(self) -> int:
        """How many tasks can run at once now."""
        return len(self._slots) - len(self._starting)

    @property
    def free(self) -> int:
        """How many more tasks may be submitted now."""
        return len(self._idle)

    def pids(self) -> Mapping[str, Mapping[str, int]]:
        """The processes of every lane that is up, by its `where` and their stages in order."""
        names = [",".join(group.names) for group in self._placement.groups]
        return {slot.where: {name: slot.pids[name] for name in names} for slot in self._slots if slot.up}

    def submit(self, task: T, prefer: str = "") -> None:
        """Begin a task in a free lane: the preferred one, else one of its machine, else any."""
        if not self._idle:
            raise ClusterError("no lane is free; wait for an outcome before the next task is submitted")
        near = sorted(self._idle.keys() & self._hosts.get(prefer.split("/")[0], set()))
        best = next((number for number in near if self._idle[number].where == prefer), None)
        slot = self._idle.pop(best if best is not None else near[0] if near else min(self._idle))
        slot.task = task
        slot.answer = slot.actors[-1].run.remote(task)
        self._due[slot.answer] = slot
        self._submitted += 1
        slot.deadline = time.monotonic() + self._limit_s(task)
        if math.isfinite(slot.deadline):
            heapq.heappush(self._limits, (slot.deadline, self._submitted, slot))

    def wait(self, timeout_s: float) -> Sequence[Outcome[T, R]]:
        """What has ended since the last call; also returns, with nothing, when a lane has come up.

        Raises ClusterError when the last lane is gone and none can be had.
        """
        end = time.monotonic() + timeout_s
        free = self.free
        while not self._outcomes and self.free == free and self._due:
            left = end - time.monotonic()
            self._watch(max(0.0, min(left, 1.0)), tolerant=True)
            if left <= 0:
                break
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def close(self) -> None:
        """End every process and give the placement groups back; what still runs is not waited for.

        A process that starts is: until it is dead it may still make itself a folder to work in.
        """
        if not ray.is_initialized():
            return
        starting = [ref for slot in self._slots for ref in slot.waiting]
        leaving = [slot.actors[-1].leave.remote() for slot in self._slots if slot.idle]
        with suppress(RayError):  # only idle lanes are asked; one that is dead has nothing to give back
            ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVE_S)
        for slot in self._slots:
            self._end(slot)
        self._slots.clear()
        ray.wait(starting, num_returns=len(starting), timeout=_LEAVE_S)

    def __enter__(self) -> RayRunner[T, R]:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _start(self, slot: _Slot) -> None:
        """Ask for a placement group and its actors; nothing is waited for."""
        slot.starts += 1
        slot.deadline = time.monotonic() + self._start_s
        slot.group = placement_group(list(self._placement.bundles), strategy="STRICT_PACK")
        *others, own = self._placement.groups
        name = f"lane {slot.number}"
        peers = []
        for group in others:
            actor = self._actor(GroupActor, group, slot).remote(f"{name}, {','.join(group.names)}")
            peers.append((actor, group.names))
        lane = self._actor(Lane, own, slot).remote(
            self._work, self._settings, name, peers, own.names, self._placement.window_bytes
        )
        slot.actors = [*(actor for actor, _ in peers), lane]
        slot.waiting = {
            actor.ready.remote(self._device(group)): ",".join(group.names)
            for actor, group in zip(slot.actors, self._placement.groups, strict=True)
        }
        self._starting.add(slot.number)
        self._due.update(dict.fromkeys(slot.waiting, slot))

    def _device(self, group: Group) -> str:
        """What a process must prove: only those with nets load any."""
        if group.gpus:
            return self._placement.device
        return "cpu" if "detect" in group.names or "landmark" in group.names else ""

    def _actor(self, kind: type, group: Group, slot: _Slot) -> Any:
        """A class as an actor of this group: no restarts, no retries, one GPU or none."""
        env = dict(_ONE_THREAD)
        if not group.gpus:
            env["CUDA_VISIBLE_DEVICES"] = ""
        return ray.remote(kind).options(
            num_cpus=group.cpus,
            num_gpus=group.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": env},
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                slot.group, placement_group_bundle_index=group.bundle
            ),
        )

    def _watch(self, timeout_s: float, *, tolerant: bool) -> None:
        """Take one step: see what has answered, what is late and what is gone."""
        for ref in self._ready(timeout_s):
            slot = self._due.pop(ref, None)
            if slot is None:
                continue  # of a lane that was replaced a moment ago
            if slot.waiting:
                self._greet(slot, ref, tolerant=tolerant)
            else:
                self._finish(slot, ref)
        now = time.monotonic()
        while self._limits and self._limits[0][0] < now:
            deadline, _, slot = heapq.heappop(self._limits)
            if slot.answer is not None and slot.deadline == deadline:
                self._lose(slot, f"the lane has not answered for {self._limit_s(slot.task):g} s")
        if self._starting:
            for slot in [slot for slot in self._slots if slot.waiting and now > slot.deadline]:
                self._drop(slot, f"it did not start within {self._start_s:g} s: {_state(slot)}")

    def _ready(self, timeout_s: float) -> list[Any]:
        """All that has answered; waits for the first."""
        if not self._due:
            return []
        refs = list(self._due)
        # A wait costs in proportion to what it looks at: with many lanes, one for all that is ready.
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        if not ready and timeout_s > 0:
            ready, _ = ray.wait(refs, num_returns=1, timeout=timeout_s)
        return list(ready)

    def _greet(self, slot: _Slot, ref: Any, *, tolerant: bool) -> None:
        """A process says that it is ready, or why it never will be."""
        try:
            said: Ready | Failure = ray.get(ref)
        except RayError as error:
            if slot.starts >= _STARTS:
                self._drop(slot, f"a process died {slot.starts} times while it started: {_name(error)}")
            else:
                self._replace(slot)
            return
        if isinstance(said, Failure):
            if not tolerant or not any(other.up for other in self._slots):
                raise error_of(said)
            self._drop(slot, said.message)
            return
        slot.pids[slot.waiting.pop(ref)] = said.pid
        slot.host = said.host
        slot.where = f"{said.host}/lane {slot.number}"
        if not slot.waiting:
            slot.starts = 0
            self._starting.discard(slot.number)
            self._hosts.setdefault(slot.host, set()).add(slot.number)
            self._idle[slot.number] = slot
            _log.info("lane ready", extra={"lane": slot.where, "pids": dict(slot.pids)})

    def _finish(self, slot: _Slot, ref: Any) -> None:
        """A task has ended, with or without its lane."""
        task, where = slot.task, slot.where
        try:
            answer: Answer = ray.get(ref)
        except RayTaskError as error:  # the lane lives: its answer could not be sent
            answer = Answer(failure=Failure.of(error.cause or error, where))
        except RayError as error:
            answer = Answer(lost=f"the lane is gone: {_name(error)}")
        if answer.lost:
            self._lose(slot, answer.lost)
            return
        slot.task, slot.answer = None, None
        self._idle[slot.number] = slot
        if answer.failure is not None:
            self._outcomes.append(Failed(task, answer.failure))
        else:
            self._outcomes.append(Done(task, answer.result, where))

    def _lose(self, slot: _Slot, reason: str) -> None:
        """A lane is gone, or as good as gone: its task is handed back, and another lane takes its place."""
        self._outcomes.append(Lost(slot.task, reason, slot.where))
        _log.warning("lane lost", extra={"lane": slot.where, "reason": reason})
        slot.task = None
        self._replace(slot)

    def _replace(self, slot: _Slot) -> None:
        self._end(slot)
        self._start(slot)

    def _drop(self, slot: _Slot, why: str) -> None:
        """Give a place up; the last one takes the run with it."""
        self._end(slot)
        self._slots.remove(slot)
        _log.warning("lane given up", extra={"lane": slot.number, "reason": why})
        if not self._slots:
            raise ClusterError(
                f"no worker can be had: {why}; see `ray status` for what is in use and what died"
            )

    def _end(self, slot: _Slot) -> None:
        """End the processes of a place, dead or alive, and give its resources back."""
        for actor in slot.actors:
            ray.kill(actor)
        if slot.group is not None:
            remove_placement_group(slot.group)
        for ref in (*slot.waiting, slot.answer):
            self._due.pop(ref, None)
        self._idle.pop(slot.number, None)
        self._starting.discard(slot.number)
        self._hosts.get(slot.host, set()).discard(slot.number)
        slot.group, slot.answer, slot.where = None, None, ""
        slot.actors, slot.waiting, slot.pids = [], {}, {}


def _name(error: RayError) -> str:
    """A Ray error in one line: its class, and of its message the first."""
    lines = _COLOURS.sub("", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _state(slot: _Slot) -> str:
    """What the scheduler says of a placement group."""
    with suppress(RayError, GetTimeoutError, KeyError):
        table = placement_group_table(slot.group)
        return f"placement group {table['state']}, {table['stats']['scheduling_state']}"
    return "its placement group is gone"
