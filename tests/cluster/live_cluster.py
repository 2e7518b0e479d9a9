"""Directories over one cluster: each begins its supervisor, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from live_sessions import make

from facefx.cluster.live import LiveDirectory
from facefx.cluster.live_policy import Policy
from facefx.cluster.live_ray import find, lane_names
from facefx.cluster.supervisor import SupervisorSettings
from facefx.live.record import StreamRecord
from facefx.live.redis_store import RedisStore
from facefx.live.settings import LiveSettings

WAIT_S = 60.0
PLAYS = {"source": "plays", "targets": [], "effects": ["mosaic"], "device": "cpu"}
QUICK = Policy(silent_s=3.0, start_s=60.0, back_off_s=0.2, most_lost=3, orphan_s=1.0)


class Live:
    """A directory, and what tests ask of it."""

    def __init__(self, **settings: Any) -> None:
        known: dict[str, Any] = {"make": make, "policy": QUICK, "look_s": 0.1, "beat_s": 0.2} | settings
        self.directory = LiveDirectory(SupervisorSettings(**known))

    def start(self, id: str, words: str = "plays", out: Path | None = None, **more: Any) -> StreamRecord:
        targets = (str(out),) if out is not None else ()
        return self.directory.start(LiveSettings(source=words, **{"targets": targets, **more}), id)

    def record(self, id: str) -> StreamRecord:
        found = self.directory.get(id)
        assert found is not None
        return found

    def until_state(self, id: str, *states: str) -> StreamRecord:
        until(lambda: self.record(id).state in states)
        return self.record(id)

    def until_runs(self, id: str, epoch: int = 1) -> StreamRecord:
        """Its lane has been heard of."""
        until(lambda: self.record(id).epoch >= epoch and self.record(id).state != "starting")
        record = self.record(id)
        assert record.state == "running", record
        return record

    def lane_pid(self, id: str) -> int:
        owner = self.record(id).owner
        assert owner is not None
        actor = ray.get_actor(owner.actor, namespace="facefx")
        return int(ray.get(actor.ready.remote(""), timeout=WAIT_S).pid)

    def kill_lane(self, id: str) -> int:
        pid = self.lane_pid(id)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_supervisor(self) -> int:
        pid: int = ray.get(self.directory._actor.pid.remote(), timeout=WAIT_S)
        os.kill(pid, signal.SIGKILL)
        return pid


def until(there: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not there():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def until_gone(pid: int) -> None:
    """The process has ended; one that waits for its parent to see so counts."""
    until(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())


def pushers(out: Path) -> list[int]:
    """The processes that wrote frames, in the order of their first."""
    return list(dict.fromkeys(int(line.split()[0]) for line in out.read_text().splitlines()))


def spare_is_ready() -> bool:
    """One that is nobody's has loaded."""
    for name in lane_names():
        actor = find(name)
        if actor is not None and ray.get(actor.record.remote(), timeout=60) is None:
            ray.get(actor.ready.remote("cpu"), timeout=60)
            time.sleep(0.3)  # the supervisor looks ten times a second
            return True
    return False


def written(store: RedisStore, id: str = "a") -> StreamRecord:
    record = store.get(id)
    assert record is not None
    return record
