"""Where the records of live streams are kept, so that nobody writes to what is no longer his."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from facefx.errors import ConfigError, LeaseHeldError
from facefx.live.record import Beat, StreamRecord

__all__ = ["KEEP_ENDED_S", "KEEP_S", "MemoryStore", "StreamStore", "open_store", "same_token", "stale"]

KEEP_S = 24 * 3600.0
"""A record that nobody has touched for so long goes by itself, supervisor or not."""
KEEP_ENDED_S = 3600.0
"""And so long after its stream has ended: a lane that was cut off must still be able to see that."""


class StreamStore(Protocol):
    """Keeps records; every write is whole or not at all, and refused to all but the present owner.

    Every method raises StoreAwayError, within a few seconds, where the store cannot be reached, and may be
    called from any thread. An ownership is settled by epochs (claim), everything else by tokens.
    """

    def claim(self, record: StreamRecord) -> StreamRecord:
        """Make the record's owner the owner, and write the record; the answer is what is kept now.

        Raises LeaseHeldError where an owner of the same or a higher epoch is written down already, unless
        it is the very one; a record without owner can only be new.
        """

    def put(self, record: StreamRecord, token: str) -> None:
        """Write the settings of a record that this token's owner has; owner and heartbeat stay as they are.

        Raises LeaseHeldError where the token is not the present owner's, or there is no record.
        """

    def heartbeat(self, id: str, token: str, beat: Beat) -> StreamRecord | None:
        """Say how it goes; the answer is the record as it is now, None where the store knows no such stream.

        A stream that is over stays so: only another owner, by a claim, begins it again.

        Raises LeaseHeldError where the token is not the present owner's, or the stream was ended.
        """

    def get(self, id: str) -> StreamRecord | None:
        """The record of a stream."""

    def list(self) -> list[StreamRecord]:
        """All records, by id."""

    def delete(self, id: str, token: str) -> None:
        """Forget a stream; one that is not there is no mistake.

        Raises LeaseHeldError where the token is not the present owner's.
        """

    def close(self) -> None:
        """Give connections back."""


def same_token(ours: str, theirs: str) -> bool:
    """Compare secrets in the same time whatever they hold."""
    return hmac.compare_digest(ours.encode(), theirs.encode())


def stale(id: str) -> LeaseHeldError:
    """What an owner is told who is none any more."""
    return LeaseHeldError(f"stream {id}: another lane owns it by now, or it was ended; this one must stop")


def open_store(url: str) -> StreamStore:
    """Open a store by its URL: memory: for this process, redis://, rediss:// or unix:// for a Redis.

    The server is not asked yet.

    Raises ConfigError for any other URL.
    """
    scheme = url.partition(":")[0]
    if url in ("", "memory:"):
        return MemoryStore()
    if scheme in ("redis", "rediss", "unix"):
        from facefx.live.redis_store import RedisStore

        return RedisStore(url)
    raise ConfigError(
        f"store of streams: scheme {scheme!r} is unknown; expected memory:, redis://host:port/db, "
        "rediss:// for TLS, or unix:///path"
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """beat_s, touched_s: when the owner, and anybody, last wrote."""

    record: StreamRecord
    beat_s: float
    touched_s: float


class MemoryStore:
    """Records in this process's memory; they go with it.

    clock: seconds that only grow; wall: Unix time.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._clock, self._wall = clock, wall
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def claim(self, record: StreamRecord) -> StreamRecord:
        """See StreamStore."""
        with self._lock:
            kept = self._find(record.id)
            if kept and record.owner and same_token(kept.token, record.token):
                return kept
            if kept and kept.epoch >= record.epoch:
                raise stale(record.id)
            return self._beat(record, record.beat)

    def put(self, record: StreamRecord, token: str) -> None:
        """See StreamStore."""
        with self._lock:
            kept = self._owned(record.id, token)
            if kept is None:
                raise stale(record.id)
            written = replace(kept, settings=record.settings)
            self._kept[record.id] = _Kept(written, self._kept[record.id].beat_s, self._clock())

    def heartbeat(self, id: str, token: str, beat: Beat) -> StreamRecord | None:
        """See StreamStore."""
        with self._lock:
            kept = self._owned(id, token)
            if kept is None:
                return None
            if kept.over and not beat.over:
                raise stale(id)
            return self._beat(kept, beat)

    def get(self, id: str) -> StreamRecord | None:
        """See StreamStore."""
        with self._lock:
            return self._find(id)

    def list(self) -> list[StreamRecord]:
        """See StreamStore."""
        with self._lock:
            found = [self._find(id) for id in sorted(self._kept)]
            return [record for record in found if record is not None]

    def delete(self, id: str, token: str) -> None:
        """See StreamStore."""
        with self._lock:
            if self._owned(id, token) is not None:
                del self._kept[id]

    def close(self) -> None:
        """See StreamStore."""

    def _beat(self, record: StreamRecord, beat: Beat) -> StreamRecord:
        now = self._clock()
        written = replace(record, beat=beat, heartbeat_s=self._wall(), silent_s=0.0)
        self._kept[record.id] = _Kept(written, now, now)
        return written

    def _find(self, id: str) -> StreamRecord | None:
        kept = self._kept.get(id)
        if kept is None:
            return None
        now = self._clock()
        if now - kept.touched_s > (KEEP_ENDED_S if kept.record.over else KEEP_S):
            del self._kept[id]
            return None
        return replace(kept.record, silent_s=now - kept.beat_s)

    def _owned(self, id: str, token: str) -> StreamRecord | None:
        kept = self._find(id)
        if kept is not None and not same_token(kept.token, token):
            raise stale(id)
        return kept
