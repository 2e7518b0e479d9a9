"""All live streams of a cluster, as users ask for them; runs inside the supervisor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from facefx.cluster.failure import error_of
from facefx.cluster.live_launch import Launcher
from facefx.cluster.live_stream import Kept
from facefx.errors import ClusterError, LeaseHeldError, StoreAwayError, UsageError
from facefx.live.directory import Effects
from facefx.live.record import Beat, StreamRecord, check_id
from facefx.live.store import StreamStore
from facefx.pipeline.runner import Failure

__all__ = ["STOP_S", "Keeper"]

STOP_S = 3.0
"""How long a lane may take to end in order."""
_ASK_S = 5.0
_BUSY_S = 5.0
# How long Ray lets a process that hangs live on after it was killed, and some more.
_KILL_S = 6.0


class Keeper:
    """What is known of every stream. Every method may be called from any thread.

    Ray must be connected. Nobody else may look after streams in the same cluster at the same time.
    """

    def __init__(self, store: StreamStore, launcher: Launcher) -> None:
        self.store, self.launcher = store, launcher
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        self._closing = False

    def start(self, settings: Mapping[str, Any], id: str) -> StreamRecord:
        """Begin a stream, or answer the one that runs.

        Raises UsageError, ConfigError, StoreAwayError, ResourcesError, ClusterError.
        """
        fresh = Kept(
            StreamRecord(check_id(id), dict(settings), created_s=time.time()), self.launcher.needs(settings)
        )
        before = self.store.get(id)
        if before is not None and not before.over:
            return self._known(before)
        with fresh.lock:
            running = self._enter(fresh)
            if running is not None:
                return running.record
            try:
                self.launcher.first(fresh, before.epoch + 1 if before is not None else 1)
            except BaseException:
                self.forget(fresh)
                raise
            return fresh.record

    def get(self, id: str) -> StreamRecord | None:
        """What is known of a stream. Raises StoreAwayError where that is nothing, and may not be all."""
        kept = self._find(id)
        return kept.record if kept is not None else self.store.get(id)

    def list(self) -> tuple[StreamRecord, ...]:
        """All streams that are known, by id; without the store those that were seen before it went away."""
        found: dict[str, StreamRecord] = {}
        with suppress(StoreAwayError):
            found = {record.id: record for record in self.store.list()}
        found |= {kept.id: kept.record for kept in self.all()}
        return tuple(found[id] for id in sorted(found))

    def set_effects(self, id: str, effects: Effects) -> StreamRecord:
        """Change a stream's effects, and write that down. Raises UsageError, EffectError, ClusterError."""
        kept = self._running(id)
        with _held(kept):
            if kept.actor is None:
                raise ClusterError(f"stream {id}: its lane is being replaced; ask again")
            try:
                said = ray.get(kept.actor.set_effects.remote(effects), timeout=_ASK_S)
            except RayError as error:
                raise ClusterError(f"stream {id}: its lane does not answer; ask again") from error
            if isinstance(said, Failure):
                raise error_of(said)
            kept.record = replace(kept.record, settings=said.settings)
            with suppress(StoreAwayError):
                kept.tell(self.store)
            return kept.record

    def stop(self, id: str) -> None:
        """End a stream. Raises StoreAwayError where it is unknown and the store cannot be asked."""
        kept = self._find(id)
        if kept is None:
            self._end_unknown(id)
            return
        with _held(kept):
            if not kept.record.over:
                kept.end(replace(kept.record.beat, state="ended", error=""))
                with suppress(StoreAwayError):
                    kept.tell(self.store)
                _part(kept)

    def actor_of(self, id: str) -> str:
        """The name of the lane that runs a stream. Raises UsageError for one that does not run."""
        owner = self._running(id).record.owner
        if owner is None:
            raise UsageError(f"stream {id}: has not begun yet; ask again")
        return owner.actor

    def close(self) -> None:
        """End every stream and give everything back."""
        with self._lock:
            self._closing = True
        for kept in self.all():
            with suppress(ClusterError):
                self.stop(kept.id)
        self.launcher.spares.close()

    def all(self) -> tuple[Kept, ...]:
        """The streams in memory."""
        with self._lock:
            return tuple(self._kept.values())

    def adopt(self, record: StreamRecord, actor: Any | None) -> Kept | None:
        """Look after a stream that we did not start; None where one of its id is here already."""
        with self._lock:
            if self._closing or record.id in self._kept:
                return None
            kept = self._kept[record.id] = Kept(record, self.launcher.needs(record.settings))
        kept.heard_s = time.monotonic() - record.silent_s
        if actor is not None:
            kept.attach(actor)
        return kept

    def forget(self, kept: Kept) -> None:
        """Let a stream go from memory, which has no lane any more."""
        with self._lock:
            if self._kept.get(kept.id) is kept:
                del self._kept[kept.id]

    def _known(self, record: StreamRecord) -> StreamRecord:
        kept = self._find(record.id)
        return kept.record if kept is not None else record

    def _find(self, id: str) -> Kept | None:
        with self._lock:
            return self._kept.get(id)

    def _running(self, id: str) -> Kept:
        kept = self._find(id)
        if kept is None or kept.record.over:
            raise UsageError(f"stream {check_id(id)}: does not run; see which do, or start it")
        return kept

    def _enter(self, fresh: Kept) -> Kept | None:
        """Take the stream's place in memory; the answer is who has it already."""
        with self._lock:
            if self._closing:
                raise ClusterError("the supervisor of live streams is closing; ask again")
            there = self._kept.get(fresh.id)
            if there is not None and not there.record.over:
                return there
            if there is not None and there.killed and time.monotonic() - there.gone_s < _KILL_S:
                raise ClusterError(f"stream {fresh.id}: its last lane is still being ended; ask again")
            self._kept[fresh.id] = fresh
            return None

    def _end_unknown(self, id: str) -> None:
        """A stream that only the store knows of: what was found after a restart is not looked at yet."""
        record = self.store.get(check_id(id))
        if record is not None and not record.over:
            with suppress(LeaseHeldError):
                self.store.heartbeat(id, record.token, replace(record.beat, state="ended"))


def _part(kept: Kept) -> None:
    """Let a lane end in order, then end it, and give its room back. The caller holds the stream's lock."""
    if kept.actor is not None and kept.started and kept.watch is not None:
        # A session that hangs answers neither.
        ray.wait([kept.watch, kept.actor.stop.remote()], num_returns=1, timeout=_ASK_S)
        ended, _ = ray.wait([kept.watch], timeout=STOP_S)
        if ended:
            with suppress(RayError):
                last = ray.get(kept.watch)
                if isinstance(last, Beat):
                    kept.record = replace(kept.record, beat=replace(last, state="ended"))
            kept.watch = None
    kept.release()


@contextmanager
def _held(kept: Kept) -> Iterator[None]:
    """A stream to oneself; a lane that is being begun may keep it for long."""
    if not kept.lock.acquire(timeout=_BUSY_S):
        raise ClusterError(f"stream {kept.id}: is being started; ask again")
    try:
        yield
    finally:
        kept.lock.release()
