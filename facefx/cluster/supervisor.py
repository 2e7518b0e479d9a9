"""The actor that looks after live streams: one of a cluster, found by its name, restarted by Ray itself.

It may die at any time: what it knows is in the store and in the lanes, and both are asked again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from facefx.cluster.failure import error_of
from facefx.cluster.lane import Ready, prove
from facefx.cluster.live_fence import FENCE_S
from facefx.cluster.live_keeper import Keeper
from facefx.cluster.live_lane import LiveLaneSettings, MakeSession
from facefx.cluster.live_launch import LaneRoom, Launcher
from facefx.cluster.live_policy import Policy
from facefx.cluster.live_ray import NAMESPACE, find
from facefx.cluster.live_reconcile import Reconciler
from facefx.errors import StoreAwayError
from facefx.live.directory import Effects
from facefx.live.record import Beat, StreamRecord
from facefx.live.store import open_store
from facefx.pipeline.runner import Failure

__all__ = ["SUPERVISOR", "Supervisor", "SupervisorSettings", "SupervisorStore", "supervisor"]

T = TypeVar("T")

_log = logging.getLogger("facefx.cluster")

SUPERVISOR = "live-supervisor"
_BEAT_CALLS, _USER_CALLS = 8, 32
_BEAT_WAIT_S = 2.0
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """What whoever serves streams decides, never a user.

    make, prove: make a lane's session, and see that a lane has its device; module-level functions. store: URL
    of the records, as open_store takes it; memory: keeps them in the supervisor, whose restart asks the
    lanes. look_s: time between two looks.
    """

    make: MakeSession
    store: str = field(default="memory:", repr=False)
    room: LaneRoom = field(default_factory=LaneRoom)
    policy: Policy = field(default_factory=Policy)
    look_s: float = 0.5
    beat_s: float = 1.0
    fence_s: float = FENCE_S
    prove: Callable[[str], Ready] = prove


class Supervisor:
    """Every answer is a value, an error included."""

    def __init__(self, settings: SupervisorSettings) -> None:
        memory = settings.store in ("", "memory:")
        self._store = open_store(settings.store)
        lane = LiveLaneSettings(
            make=settings.make,
            open_store=SupervisorStore if memory else partial(open_store, settings.store),
            beat_s=settings.beat_s,
            fence_s=settings.fence_s,
            prove=settings.prove,
        )
        self._keeper = Keeper(self._store, Launcher(self._store, lane, settings.room))
        self._reconciler = Reconciler(self._keeper, settings.policy)
        self._look_s = settings.look_s
        self._closing = threading.Event()
        self._loop = threading.Thread(target=self._look, name="looks", daemon=True)
        self._loop.start()

    def pid(self) -> int:
        """Of this process."""
        return os.getpid()

    def start(self, settings: Mapping[str, Any], id: str) -> StreamRecord | Failure:
        """See Keeper."""
        return _told(lambda: self._keeper.start(settings, id))

    def get(self, id: str) -> StreamRecord | Failure | None:
        """See Keeper."""
        return _told(lambda: self._keeper.get(id))

    def list(self) -> tuple[StreamRecord, ...] | Failure:
        """See Keeper."""
        return _told(self._keeper.list)

    def set_effects(self, id: str, effects: Effects) -> StreamRecord | Failure:
        """See Keeper."""
        return _told(lambda: self._keeper.set_effects(id, effects))

    def stop(self, id: str) -> Failure | None:
        """See Keeper."""
        return _told(lambda: self._keeper.stop(id))

    def actor_of(self, id: str) -> str | Failure:
        """See Keeper."""
        return _told(lambda: self._keeper.actor_of(id))

    def claim(self, record: StreamRecord) -> StreamRecord | Failure:
        """For lanes whose store is ours."""
        return _told(lambda: self._store.claim(record))

    def heartbeat(self, id: str, token: str, beat: Beat) -> StreamRecord | Failure | None:
        """For lanes whose store is ours."""
        return _told(lambda: self._store.heartbeat(id, token, beat))

    def close(self) -> None:
        """End every stream, and look no more."""
        self._closing.set()
        self._loop.join()
        self._keeper.close()
        self._store.close()

    def _look(self) -> None:
        while not self._closing.is_set():
            try:
                self._reconciler.look()
            except Exception:  # noqa: BLE001 - the next look may do better; who looks after streams does not end
                _log.exception("a look at the streams failed")
            self._closing.wait(_PAUSE_S)  # a lane that cannot be reached answers that at once
            refs = [ref for kept in self._keeper.all() for ref in kept.refs()]
            if refs:
                ray.wait(refs, num_returns=1, timeout=self._look_s)
            else:
                self._closing.wait(self._look_s)


class SupervisorStore:
    """The supervisor's own memory, as a lane reaches it; implements LaneStore."""

    def claim(self, record: StreamRecord) -> StreamRecord:
        """See StreamStore."""
        known: StreamRecord = self._ask("claim", record)
        return known

    def heartbeat(self, id: str, token: str, beat: Beat) -> StreamRecord | None:
        """See StreamStore."""
        known: StreamRecord | None = self._ask("heartbeat", id, token, beat)
        return known

    def _ask(self, what: str, *args: Any) -> Any:
        actor = find(SUPERVISOR)
        if actor is None:
            raise StoreAwayError("the supervisor of live streams is not there; streams go on")
        # Heartbeats have threads of their own there: users who wait keep nobody from being heard.
        asked = getattr(actor, what).options(concurrency_group="beats").remote(*args)
        try:
            said = ray.get(asked, timeout=_BEAT_WAIT_S)
        except RayError as error:
            raise StoreAwayError(
                f"the supervisor of live streams does not answer ({type(error).__name__}); streams go on"
            ) from error
        if isinstance(said, Failure):
            raise error_of(said)
        return said


def supervisor(settings: SupervisorSettings) -> Any:
    """The cluster's supervisor; begun with these settings where there is none yet."""
    # No runtime_env: its lanes would inherit it, and see as few GPUs as it does.
    make = ray.remote(concurrency_groups={"beats": _BEAT_CALLS})(Supervisor).options(
        name=SUPERVISOR,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=_USER_CALLS,
    )
    return make.remote(settings)


def _told(call: Callable[[], T]) -> T | Failure:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
        return Failure.of(error)
