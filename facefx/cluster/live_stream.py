"""One stream as the supervisor keeps it: its record, its lane, and what was last heard of it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError

from facefx.cluster.live_policy import Facts, Policy
from facefx.cluster.live_ray import find
from facefx.cluster.live_room import LaneNeeds, free_room
from facefx.errors import LeaseHeldError
from facefx.live.record import Beat, StreamRecord
from facefx.live.store import StreamStore, same_token
from facefx.pipeline.runner import Failure

__all__ = ["Kept"]


@dataclass(slots=True, eq=False)
class Kept:
    """A stream in the supervisor's memory; whoever changes it holds its lock.

    watch: answers when the lane's stream is over, and fails when the lane is gone. begun: answers when it
    has started. ping: an answer that is due. heard_s, gone_s, began_s: times of our own clock. lost: lanes
    lost in a row. killed: the last one by us. ending_s: when it was first seen to be over. untold: the store
    does not know all of this.
    """

    record: StreamRecord
    needs: LaneNeeds
    lock: threading.RLock = field(default_factory=threading.RLock)
    actor: Any = None
    group: Any = None
    watch: Any = None
    begun: Any = None
    ping: Any = None
    heard_s: float = field(default_factory=time.monotonic)
    began_s: float = 0.0
    gone_s: float = 0.0
    ending_s: float = 0.0
    lost: int = 0
    killed: bool = False
    untold: bool = False

    @property
    def id(self) -> str:
        """The stream's."""
        return self.record.id

    @property
    def started(self) -> bool:
        """True if its lane has begun."""
        return self.begun is None

    def attach(self, actor: Any, begun: Any = None) -> None:
        """Look after this lane; begun: what it answers to its begin, None if that was long ago."""
        self.actor, self.begun, self.ping = actor, begun, None
        self.watch = actor.watch.remote()
        self.began_s = self.heard_s = time.monotonic()
        self.killed = False

    def refs(self) -> list[Any]:
        """Answers that are worth waking up for."""
        return [ref for ref in (self.watch, self.begun) if ref is not None]

    def facts(self, alive: frozenset[str]) -> Facts:
        """What is known now. alive: the machines that count as alive."""
        now = time.monotonic()
        owner = self.record.owner
        return Facts(
            life="there" if self.actor is not None else "gone",
            over=self.record.over,
            started=self.started,
            node_alive=owner is not None and owner.node in alive,
            silent_s=now - self.heard_s,
            lost=self.lost,
            gone_s=now - self.gone_s,
        )

    def listen(self, policy: Policy) -> None:
        """Take in what the lane has answered, and ask again; nothing is waited for."""
        if self.actor is None:
            return
        if self.ping is None:
            self.ping = self.actor.record.remote()
        for ref in _ready([self.begun, self.ping, self.watch]):
            if self.actor is None:
                return
            try:
                self._take(ref, ray.get(ref))
            except ActorUnavailableError:
                self._ask_again(ref)  # it may live, behind a network that does not work now
            except RayActorError as error:
                self.lose(policy, _first_line(error))
            except RayError as error:  # the lane lives, its answer could not be made
                self._take(ref, Failure.of(error))

    def kill(self) -> None:
        """End a lane that says nothing; that it is gone is then seen by its answers."""
        ray.kill(self.actor)
        self.heard_s = self.gone_s = time.monotonic()
        self.killed = True

    def lose(self, policy: Policy, reason: str) -> None:
        """The lane is gone; its room stays reserved for the next."""
        now = time.monotonic()
        self.lost = 1 if self.started and now - self.began_s > policy.steady_s else self.lost + 1
        self.gone_s = now
        self.actor = self.watch = self.begun = self.ping = None
        if not self.record.over:
            why = self.record.error or f"the lane was lost: {reason}"
            self.record = self.record.with_beat(state="reconnecting", error=why)

    def release(self) -> None:
        """End the lane, dead or alive, and give its room back."""
        if self.actor is not None and self.watch is not None and self.started:
            self.kill()  # it has not ended in order
        elif self.actor is not None:
            ray.kill(self.actor)
        free_room(self.group)
        self.actor = self.watch = self.begun = self.ping = self.group = None

    def end(self, beat: Beat) -> None:
        """The stream is over, whatever the store may hear of it."""
        self.record = replace(self.record, beat=beat)
        self.untold = True

    def take_over(self, record: StreamRecord) -> None:
        """Another owner was written down than the one we know; his lane is ours to look after."""
        self.release()
        self.record = record
        self.heard_s = time.monotonic() - record.silent_s
        actor = None if record.over or record.owner is None else find(record.owner.actor)
        if actor is not None:
            self.attach(actor)
            self.heard_s = time.monotonic() - record.silent_s

    def compare(self, stored: StreamRecord | None, store: StreamStore) -> None:
        """Bring memory and store to one, where the store can be seen.

        Raises StoreAwayError.
        """
        if stored is not None and stored.epoch > self.record.epoch:
            self.take_over(stored)
        elif stored is not None and same_token(stored.token, self.record.token):
            self.heard_s = max(self.heard_s, time.monotonic() - stored.silent_s)
            if stored.over and not self.record.over:
                self.record = replace(self.record, beat=stored.beat)
            elif self.actor is None and not self.record.over:
                self.record = replace(self.record, beat=_last_words(self.record.beat, stored.beat))
        if self.untold or (stored is None and self.record.over):
            self.tell(store)

    def tell(self, store: StreamStore) -> None:
        """Write down what was decided here.

        Raises StoreAwayError; then the store remains untold.
        """
        self.untold = True
        mine = self.record
        try:
            if not mine.over:
                store.put(mine, mine.token)
                self.untold = False
                return
            self.untold = store.heartbeat(mine.id, mine.token, mine.beat) is None
        except LeaseHeldError:
            pass  # it knows an earlier owner, or none, or a later one
        if self.untold:
            with suppress(LeaseHeldError):  # of a later owner: the next look at the store tells which
                store.claim(mine)
            self.untold = False

    def _ask_again(self, ref: Any) -> None:
        if ref is self.watch:
            self.watch = self.actor.watch.remote()
        elif ref is self.begun:
            self.begun = self.actor.begin.remote(self.record, self.needs.device)
        elif ref is self.ping:
            self.ping = None

    def _take(self, ref: Any, said: Any) -> None:
        if ref is self.watch and said is None:
            self.watch = self.actor.watch.remote()
        elif ref is self.watch:
            self.watch = None
            self.end(said if isinstance(said, Beat) else Beat("failed", error=str(said)))
        elif ref is self.begun:
            self.begun = None
            self.heard_s = time.monotonic()
            if isinstance(said, Failure):
                self.end(Beat("failed", self.record.counters, self.record.tracker, said.message))
            elif self.record.owner is not None:
                self.record = replace(self.record, owner=replace(self.record.owner, node=said))
        elif ref is self.ping:
            self.ping = None
            if isinstance(said, StreamRecord) and same_token(said.token, self.record.token):
                self.heard_s = time.monotonic()
                self.record = replace(self.record, beat=said.beat, heartbeat_s=time.time())


def _ready(refs: list[Any]) -> list[Any]:
    due = [ref for ref in refs if ref is not None]
    ready, _ = ray.wait(due, num_returns=len(due), timeout=0) if due else ([], [])
    return list(ready)


def _last_words(ours: Beat, stored: Beat) -> Beat:
    """Of a lane that is gone: what it told the store may be younger than what it told us."""
    newer = stored if sum(stored.counters.values()) >= sum(ours.counters.values()) else ours
    return replace(newer, state=ours.state, error=stored.error or ours.error)


def _first_line(error: RayError) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or ' ').splitlines()[0][:200]}"
