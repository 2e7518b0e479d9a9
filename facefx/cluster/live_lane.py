"""The process of one live stream: a session in a thread, heard of by the store, answering while it runs.

Nobody restarts it but the supervisor, which first makes sure that it is gone; see live_fence for a lane that
is cut off. An error of the tree ends the stream; any other ends the lane, and another takes over.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from facefx.cluster.lane import Ready, prove
from facefx.cluster.live_fence import FENCE_S, Fence
from facefx.cluster.live_metrics import LaneMetrics, Sample
from facefx.cluster.live_ray import node_id, still_alive
from facefx.errors import ExitCode, FacefxError, LeaseHeldError, StoreAwayError, UsageError
from facefx.live.directory import Effects
from facefx.live.record import Beat, StreamRecord, StreamState
from facefx.pipeline.nets import Nets
from facefx.pipeline.runner import Failure

__all__ = ["LaneStore", "LiveLane", "LiveLaneSettings", "LiveSession", "MakeSession"]

T = TypeVar("T")

_log = logging.getLogger("facefx.cluster")

_COUNTERS = ("frames_in", "frames_out", "late", "reconnects")
_BY_REASON = ("dropped", "covered", "failed", "sound")
_STOP_S = 2.0
_BEGIN_S = 10.0
_WATCH_S = 20.0
# What the kernel sees of a lane that ended itself.
_CUT, _BROKEN = 75, 70


class SessionStats(Protocol):
    """What a session counts; facefx.live.stats.LiveStats is the real one."""

    @property
    def tracks(self) -> Mapping[str, Any]:
        """What the next session needs to go on with the same tracks."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""

    def samples(self) -> Iterable[Sample]:
        """Numbers for an exporter."""


class LiveSession(Protocol):
    """What a lane runs; facefx.live.session.LiveSession is the real one."""

    def run(self) -> Any:
        """Work until the source ends for good, or stop() is called."""

    def stop(self) -> None:
        """End run() soon; from any thread."""

    def set_effects(self, effects: Effects) -> None:
        """Change the effects from the next frame on; from any thread. Raises EffectError."""

    def stats(self) -> SessionStats:
        """How it goes; from any thread, and soon."""

    def preview(self) -> tuple[Any, Any] | None:
        """The newest frame before and after, as things with a `jpeg`; from any thread."""


class LaneStore(Protocol):
    """As much of a StreamStore as a lane needs."""

    def claim(self, record: StreamRecord) -> StreamRecord:
        """See StreamStore."""

    def heartbeat(self, id: str, token: str, beat: Beat) -> StreamRecord | None:
        """See StreamStore."""


MakeSession = Callable[[Mapping[str, Any], Mapping[str, Any] | None, Nets], LiveSession]
"""Makes a session from the settings as plain values, the tracker state of before, and nets of its own."""


@dataclass(frozen=True, slots=True)
class LiveLaneSettings:
    """What every lane is given by the supervisor, never by a user.

    make, open_store, prove: module-level functions; prove raises where a device cannot be had. beat_s: time
    between heartbeats. fence_s: how long a lane goes on that nobody hears.
    """

    make: MakeSession
    open_store: Callable[[], LaneStore] = field(repr=False)
    beat_s: float = 1.0
    fence_s: float = FENCE_S
    prove: Callable[[str], Ready] = prove


class LiveLane:
    """One lane; every answer is a value, an error included. It begins one stream, and ends with it."""

    def __init__(self, settings: LiveLaneSettings, where: str) -> None:
        self._settings, self._where = settings, where
        self._nets = Nets()
        self._run: _Run | None = None
        self._begun = threading.Event()

    def ready(self, device: str) -> Ready | Failure:
        """Prove that this process has what the stream names, its nets' library loaded."""
        return _told(lambda: self._settings.prove(device), self._where)

    def begin(self, record: StreamRecord, device: str) -> str | Failure:
        """Begin a stream on a device that this lane has; the answer is the node where it runs."""
        return _told(lambda: self._begin(record, device), self._where)

    def watch(self) -> Beat | None:
        """Wait until the stream is over; the answer says how, None where it is not after a while.

        Who asked may be gone: no call stays for ever, or they would fill the lane.
        """
        if not self._begun.wait(_WATCH_S) or self._run is None:
            return None
        return self._run.wait(_WATCH_S)

    def record(self) -> StreamRecord | None:
        """What this lane runs and owns, as it is now; None for one that has not begun."""
        return self._run.record if self._run else None

    def stats(self) -> dict[str, Any] | Failure:
        """What the session counts and measures."""
        return _told(lambda: dict(self._running().session.stats().to_json()), self._where)

    def preview(self) -> tuple[bytes | None, bytes] | Failure | None:
        """The newest frame before and after, as JPEG; before is None where faces are hidden."""
        return _told(lambda: _jpegs(self._running().session.preview()), self._where)

    def set_effects(self, effects: Effects) -> StreamRecord | Failure:
        """Change the effects; the answer is the record with them."""
        return _told(lambda: self._running().set_effects(effects), self._where)

    def stop(self) -> None:
        """End the stream soon."""
        if self._run is not None:
            self._run.stop()

    def _begin(self, record: StreamRecord, device: str) -> str:
        if self._run is not None:
            if self._run.record.token == record.token:
                return node_id()
            raise UsageError(f"{self._where}: runs stream {self._run.record.id}, not {record.id}")
        self._settings.prove(device)
        settings = {**record.settings, "device": device}
        session = self._settings.make(settings, record.tracker, self._nets)
        self._run = _Run(session, record, self._settings)
        self._begun.set()
        return node_id()

    def _running(self) -> _Run:
        if not self._begun.wait(_BEGIN_S) or self._run is None:
            raise UsageError(f"{self._where}: no stream has begun here yet; ask again")
        return self._run


class _Run:
    """A session at work, and the threads that speak for it."""

    def __init__(self, session: LiveSession, record: StreamRecord, settings: LiveLaneSettings) -> None:
        self.session, self._settings = session, settings
        self._lock = threading.Lock()
        self._record = record
        self._before = dict(record.counters)
        self._end: Beat | None = None
        self._over, self._told, self._beat_soon = threading.Event(), threading.Event(), threading.Event()
        self._heard_of = threading.Event()
        self._speaking = threading.Lock()
        self._metrics = LaneMetrics()
        self._store = settings.open_store()
        places = {"the store": self._heard, "the cluster": still_alive}
        self._fence = Fence(places, self._cut, limit_s=settings.fence_s, every_s=settings.beat_s)
        for name, target in (("session", self._work), ("heartbeat", self._speak)):
            threading.Thread(target=target, name=f"{name} {record.id}", daemon=True).start()

    @property
    def record(self) -> StreamRecord:
        """As it is now, whoever may have heard of it."""
        with self._lock:
            return replace(self._record, beat=self._beat())

    def wait(self, limit_s: float) -> Beat | None:
        """Until the stream is over and the store was told, where it could be."""
        if not self._over.wait(limit_s):
            return None
        self._told.wait(_STOP_S)
        return self._end

    def stop(self) -> None:
        """End soon."""
        self.session.stop()

    def set_effects(self, effects: Effects) -> StreamRecord:
        """Change effects here; the supervisor writes them down."""
        self.session.set_effects(effects)
        with self._lock:
            self._record = replace(self._record, settings={**self._record.settings, "effects": list(effects)})
        return self.record

    def _work(self) -> None:
        """The session's own thread."""
        beat = Beat("ended")
        try:
            self.session.run()
        except FacefxError as error:
            beat = Beat("failed", error=str(error))
            if error.exit_code == ExitCode.INTERNAL:
                self._break(error)
        except Exception as error:  # noqa: BLE001 - not ours: this process cannot be trusted any more
            self._break(error)
        with self._lock:
            now = self._beat()
            self._end = replace(now, state=beat.state, error=beat.error)
        self._fence.close()
        self._over.set()
        self._beat_soon.set()

    def _break(self, error: BaseException) -> None:
        """Leave word, and end this process: the supervisor starts another, or gives up with this reason."""
        _log.error("a live session failed", exc_info=error)
        with self._lock:
            beat = replace(self._beat(), error=f"{type(error).__name__}: {error}"[:500])
        self._speaking.acquire(timeout=_STOP_S)  # and kept: no later heartbeat says that all is well
        try:
            self._store.heartbeat(self._record.id, self._record.token, beat)
        except (StoreAwayError, LeaseHeldError) as away:
            _log.warning("nobody could be told", extra={"reason": str(away)})
        os._exit(_BROKEN)

    def _beat(self) -> Beat:
        """How it goes now; the counters of earlier owners are in it."""
        if self._end is not None:
            return self._end
        stats = self.session.stats()
        plain = stats.to_json()
        counters = dict(self._before)
        for name, value in counters_of(plain).items():
            counters[name] = counters.get(name, 0) + value
        tracker = dict(stats.tracks) or self._record.tracker
        return Beat(state_of(plain), counters, tracker, str(plain.get("error") or ""))

    def _speak(self) -> None:
        """The thread of heartbeats; it ends when the store knows of the end."""
        while True:
            self._beat_soon.wait(self._settings.beat_s)
            self._beat_soon.clear()
            last = self._over.is_set()
            try:
                self._metrics.take(self.session.stats().samples())
                with self._speaking:
                    self._tell()
                if last:
                    break
            except StoreAwayError as error:
                _log.warning("the store is away", extra={"stream": self._record.id, "reason": str(error)})
            except LeaseHeldError as error:
                self._disowned(str(error))
                break
            except Exception:  # noqa: BLE001 - whatever it was, the next heartbeat must come
                _log.exception("a heartbeat failed")
        self._told.set()

    def _tell(self) -> None:
        """One heartbeat; a store that forgot us, or knows an earlier owner only, is told who we are."""
        mine = self.record
        try:
            known = self._store.heartbeat(mine.id, mine.token, mine.beat)
        except LeaseHeldError:
            known = None
        if known is None:
            known = self._store.claim(mine)
        if known.over and not mine.over:
            raise LeaseHeldError(f"stream {mine.id}: was ended; this lane must stop")
        self._heard_of.set()

    def _heard(self) -> bool:
        """True if the store has taken a heartbeat since we were last asked."""
        heard = self._heard_of.is_set()
        self._heard_of.clear()
        return heard

    def _disowned(self, reason: str) -> None:
        """Another lane runs the stream, or nobody shall."""
        if not self._over.is_set():
            self._cut(reason)

    def _cut(self, reason: str) -> None:
        """Push nothing more: the session gets a moment to end in order, then this process ends."""
        _log.error("lane cut off", extra={"stream": self._record.id, "reason": reason})
        threading.Thread(target=self.session.stop, name="stop", daemon=True).start()
        self._over.wait(_STOP_S)
        os._exit(_CUT)


def _jpegs(shown: tuple[Any, Any] | None) -> tuple[bytes | None, bytes] | None:
    if shown is None:
        return None
    before, after = shown
    return None if before is None else before.jpeg, after.jpeg


def state_of(plain: Mapping[str, Any]) -> StreamState:
    """The state in a session's stats; a session that has ended is seen by its own thread."""
    state = plain.get("state")
    return state if state in ("starting", "running", "reconnecting") else "running"


def counters_of(plain: Mapping[str, Any]) -> dict[str, int]:
    """What of a session's stats only grows, by name, or by name and reason.

    >>> counters_of({"frames_out": 3, "dropped": {"late": 1}, "faces": 2, "state": "running"})
    {'frames_out': 3, 'dropped.late': 1}
    """
    found = {name: int(plain[name]) for name in _COUNTERS if name in plain}
    for name in _BY_REASON:
        found |= {f"{name}.{reason}": int(count) for reason, count in plain.get(name, {}).items()}
    return found


def _told(call: Callable[[], T], where: str) -> T | Failure:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
        return Failure.of(error, where)
