"""One holder at a time, over any store, without trusting anybody's clock.

A lease is a chain of small files, rel.00000001, rel.00000002, …: the highest number is the lease. Each is
created exclusively by its holder, and only he writes to it: he counts in it as long as he lives. To take
over is to create the next number, which one of several can do. A holder who sees a higher number knows
that he has lost. The last file stays when a lease is given back, marked so, that numbers never come again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from facefx.errors import InputError, LeaseHeldError, SourceError
from facefx.storage.store import Store
from facefx.storage.urls import shown

__all__ = ["Holder", "Lease"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as it tells of itself.

    machine: the boot of the kernel and the space of its process numbers; "" where that cannot be known.
    count: goes up while the holder lives. since_s: by the holder's clock, for people only.
    """

    owner: str
    host: str
    machine: str
    pid: int
    started: str
    token: str
    ttl_s: float
    since_s: float
    count: int = 0
    released: bool = False

    @classmethod
    def myself(cls, owner: str, ttl_s: float) -> Holder:
        """This process."""
        pid = os.getpid()
        return cls(
            owner=owner,
            host=socket.gethostname(),
            machine=_machine(),
            pid=pid,
            started=_started(pid) or "",
            token=secrets.token_hex(8),
            ttl_s=ttl_s,
            since_s=time.time(),
        )

    def is_here(self) -> bool:
        """True if the holder's process number means something on this machine."""
        return bool(self.machine) and (self.machine, self.host) == (_machine(), socket.gethostname())

    def is_gone(self) -> bool:
        """True if it has given the lease back, or was a process here that has ended."""
        return self.released or (self.is_here() and _started(self.pid) != self.started)


class Lease:
    """The right to work on something, held by one process at a time, and kept alive by a thread of its own.

    rel: where it lies in the store. A holder that has ended on this machine is succeeded at once, any other
    when it has not counted for its ttl by our own clock: acquire() watches it for so long.
    lost: set when another holds the lease, or when it could not be renewed and others may take it.
    """

    def __init__(self, store: Store, rel: str, owner: str, ttl_s: float = 60.0) -> None:
        # A renewal that hangs must fail while there is time for another.
        patience = min(store.options.read_timeout_s, ttl_s / 12)
        quick = replace(store.options, connect_timeout_s=patience, read_timeout_s=patience, retries=1)
        self._store, self._quick = store, Store(store.url, quick, owner=store.owner)
        self._rel, self._owner, self._ttl_s = rel, owner, ttl_s
        self.lost = threading.Event()
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._mine: Holder | None = None
        self._number, self._renewed_at, self._pid = 0, 0.0, 0

    def acquire(self) -> None:
        """Take the lease. Raises LeaseHeldError, naming the holder and what to do; waits at most its ttl."""
        seen: tuple[Holder, int, float] | None = None
        while True:
            number, holder = self._top()
            if holder is not None and not holder.is_gone():
                if seen is None:
                    seen = (holder, number, time.monotonic())
                    _log.info("%s: watching %s for %g s", self._shown(), holder.host, holder.ttl_s)
                self._watch(seen, number, holder)
                if time.monotonic() - seen[2] < holder.ttl_s:
                    time.sleep(holder.ttl_s / 20)
                    continue
            if self._take(number + 1):
                return

    def last_holder(self) -> Holder | None:
        """Who took the lease last, for people to read; None where nobody ever did.

        One that is_gone() holds it no more; whether one elsewhere still lives, only acquire() finds out.
        """
        return self._top()[1]

    def renew(self) -> None:
        """Tell the others that the holder lives; sets lost where another has taken over.

        Called by the lease's own thread, three times within a ttl. Raises InputError if the store fails.
        """
        with self._mutex:
            if self._mine is None or self.lost.is_set():
                return
            now = time.monotonic()
            if not self._holds():
                self.lost.set()
                return
            self._mine = replace(self._mine, count=self._mine.count + 1)
            self._quick.write(self._name(self._number), _packed(self._mine))
            self._renewed_at = now

    def release(self) -> None:
        """Give the lease back; safe to call again. If the store fails, others get it after the ttl."""
        self._stop.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join()
        with self._mutex, suppress(InputError):
            mine, self._thread = self._mine, None
            if mine is None or self._pid != os.getpid() or self.lost.is_set():
                return
            if self._holds():
                self._quick.write(self._name(self._number), _packed(replace(mine, released=True)))
            self._mine = None

    def check(self) -> None:
        """Raises LeaseHeldError if the lease was lost; to be called before what only a holder may do."""
        if self.lost.is_set():
            raise LeaseHeldError(
                f"{self._shown()}: this run has lost its hold: another took over, or the store could not be "
                f"reached for {self._ttl_s:g} s; let the other one finish, or run again"
            )

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _watch(self, seen: tuple[Holder, int, float], number: int, holder: Holder) -> None:
        """Raise if the holder lives: it is a process here, or it has counted since it was seen first."""
        first, first_number, _ = seen
        if holder.is_here() or number != first_number or holder.count != first.count:
            age_s = max(0.0, time.time() - holder.since_s)
            raise LeaseHeldError(
                f"{self._shown()}: held by {holder.owner} on {holder.host}, process {holder.pid}, for about "
                f"{age_s:.0f} s; wait for it to end, or stop it there and run again"
            )

    def _take(self, number: int) -> bool:
        """Create the next file of the chain, and see that no higher one was there."""
        mine, now = Holder.myself(self._owner, self._ttl_s), time.monotonic()
        if not self._store.create(self._name(number), _packed(mine)):
            return False
        numbers = self._numbers(self._store)
        if max(numbers, default=0) != number:
            self._store.remove(self._name(number))
            return False
        with self._mutex:
            self._mine, self._number, self._renewed_at, self._pid = mine, number, now, os.getpid()
            self.lost.clear()
            self._stop.clear()
        self._thread = threading.Thread(target=self._beat, name="facefx-lease", daemon=True)
        self._thread.start()
        with suppress(InputError):  # they mean nothing any more
            for old in numbers:
                if old < number:
                    self._store.remove(self._name(old))
        return True

    def _holds(self) -> bool:
        """True if no other has the lease."""
        if max(self._numbers(self._quick), default=0) != self._number:
            return False
        # Where the store cannot exclude others, two may have been told that they created the file.
        if self._mine is None or self._store.exclusive == "atomic":
            return True
        holder = _unpacked(self._quick.read(self._name(self._number)), self._shown())
        return holder.token == self._mine.token

    def _beat(self) -> None:
        """Renew until told to stop; give up early enough that no other can have taken over by then."""
        pause_s = self._ttl_s / 3
        while not self._stop.wait(pause_s) and not self.lost.is_set():
            pause_s = self._ttl_s / 3
            try:
                self.renew()
            except InputError as error:
                _log.warning("%s: not renewed: %s", self._shown(), error)
                pause_s = self._ttl_s / 12
                if time.monotonic() - self._renewed_at > self._ttl_s * 2 / 3:
                    self.lost.set()

    def _top(self) -> tuple[int, Holder | None]:
        """The highest number of the chain and who wrote it; 0 and None where nobody has."""
        while True:
            number = max(self._numbers(self._store), default=0)
            if not number:
                return 0, None
            try:
                data = self._store.read(self._name(number))
            except SourceError:
                if self._store.exists(self._name(number)):
                    raise
                continue  # a successor has removed it
            return number, _unpacked(data, self._shown())

    def _numbers(self, store: Store) -> list[int]:
        tails = [entry.rel[len(self._rel) + 1 :] for entry in store.list(self._rel + ".")]
        return [int(tail) for tail in tails if tail.isdecimal()]

    def _name(self, number: int) -> str:
        return f"{self._rel}.{number:08d}"

    def _shown(self) -> str:
        return shown(self._store.url_of(self._rel))


def _packed(holder: Holder) -> bytes:
    return json.dumps(asdict(holder), sort_keys=True).encode()


def _unpacked(data: bytes, where: str) -> Holder:
    try:
        return Holder(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise LeaseHeldError(
            f"{where}: is no lease of this version ({error}); see who works there, then remove it"
        ) from error


def _machine() -> str:
    """This boot of this kernel, and this container's space of process numbers."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks; None if it has ended. Numbers of processes come again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie has ended, and waits for its parent to notice.
    return None if fields[0] in {"Z", "X"} else fields[19]
