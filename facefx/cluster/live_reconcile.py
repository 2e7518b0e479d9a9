"""Makes what is what should be: every stream with one lane, every lane with a stream.

No lane is replaced that may still be at work, and nothing is reaped that cannot be seen: while the store is
away, lanes are judged by what they and the cluster's head say, and orphans wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from facefx.cluster.live_keeper import STOP_S, Keeper
from facefx.cluster.live_policy import Policy, Verdict, judge
from facefx.cluster.live_ray import alive_nodes, find
from facefx.cluster.live_stream import Kept
from facefx.cluster.live_sweep import Sweeper
from facefx.errors import FacefxError, LeaseHeldError, ResourcesError, StoreAwayError
from facefx.live.record import StreamRecord
from facefx.live.store import KEEP_ENDED_S

__all__ = ["Reconciler"]

_log = logging.getLogger("facefx.cluster")


class Reconciler:
    """Looks at everything, one look after the other, in one thread."""

    def __init__(self, keeper: Keeper, policy: Policy) -> None:
        self._keeper, self._policy = keeper, policy
        self._sweeper = Sweeper(keeper, policy.orphan_s)

    def look(self) -> bool:
        """See how everything is, and do what is to be done; False where the store could not be seen."""
        stored = self._stored()
        alive = alive_nodes()
        if stored is not None:
            self._adopt_stored(stored)
        for kept in self._keeper.all():
            if kept.lock.acquire(blocking=False):  # else a user's call is at it
                try:
                    self._look_at(kept, stored, alive)
                finally:
                    kept.lock.release()
        self._sweeper.look(stored)
        self._keeper.launcher.look()
        return stored is not None

    def _stored(self) -> dict[str, StreamRecord] | None:
        try:
            return {record.id: record for record in self._keeper.store.list()}
        except StoreAwayError:
            return None
        except FacefxError as error:
            _log.error("the store's records cannot be read", extra={"reason": str(error)})
            return None

    def _adopt_stored(self, stored: Mapping[str, StreamRecord]) -> None:
        """Streams of before we were started: with their lanes, if these are there."""
        known = {kept.id for kept in self._keeper.all()}
        for record in stored.values():
            if record.id not in known and not record.over and record.owner is not None:
                self._keeper.adopt(record, find(record.owner.actor))

    def _look_at(self, kept: Kept, stored: Mapping[str, StreamRecord] | None, alive: frozenset[str]) -> None:
        there = kept.actor is not None
        kept.listen(self._policy)
        if stored is not None:
            with suppress(StoreAwayError):
                lost = there and kept.actor is None  # its last words may be younger than what was read
                known = self._keeper.store.get(kept.id) if lost else stored.get(kept.id)
                kept.compare(known, self._keeper.store)
        verdict = judge(kept.facts(alive), self._policy)
        match verdict:
            case Verdict.KILL:
                self._note(kept, "lane killed: it says nothing")
                kept.kill()
            case Verdict.REPLACE:
                self._replace(kept, seen=stored is not None)
            case Verdict.GIVE_UP:
                self._give_up(kept)
            case Verdict.END:
                self._end(kept)

    def _replace(self, kept: Kept, *, seen: bool) -> None:
        try:
            if self._keeper.launcher.again(kept, seen=seen):
                self._note(kept, "lane replaced")
        except LeaseHeldError:
            self._note(kept, "another owner is written down")  # who it is, the next look at the store tells
        except ResourcesError as error:
            kept.record = kept.record.with_beat(error=str(error))
            kept.gone_s = time.monotonic()

    def _give_up(self, kept: Kept) -> None:
        why = "its lane was lost long ago"
        if kept.lost:
            why = f"given up after {kept.lost} lanes were lost in a row"
        last = f"; the last: {kept.record.error}" if kept.record.error else ""
        kept.end(replace(kept.record.beat, state="failed", error=f"{why}{last}"))
        self._note(kept, "stream given up")

    def _end(self, kept: Kept) -> None:
        """It is over: its lane may end in order, then it and its room go; its record stays for a while."""
        now = time.monotonic()
        if not kept.ending_s:
            kept.ending_s = now
            if kept.actor is not None:
                kept.actor.stop.remote()
        if kept.watch is None or now - kept.ending_s > STOP_S:
            kept.release()
        if now - kept.ending_s > KEEP_ENDED_S:
            self._keeper.forget(kept)

    def _note(self, kept: Kept, text: str) -> None:
        facts = {"stream": kept.id, "lost": kept.lost, "reason": kept.record.error}
        _log.warning(text, extra=facts)
