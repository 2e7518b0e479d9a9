"""The work threads that all sessions of frames share: each has nets of its own, loaded once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from facefx.errors import ConfigError, ResourcesError
from facefx.live.frames import FrameResult, FrameSession, FrameSettings, Serving
from facefx.pipeline.nets import Nets

__all__ = ["FrameService", "OpenSession"]

T = TypeVar("T")
MakeSession = Callable[[FrameSettings, Serving, Nets], FrameSession]


@dataclass(slots=True, eq=False)
class _Worker:
    """One thread, its nets, how many sessions it works for, and since when it has been at one call."""

    pool: ThreadPoolExecutor
    nets: Nets = field(default_factory=Nets)
    sessions: int = 0
    since: float | None = None

    def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Work, in the thread."""
        self.since = time.monotonic()
        try:
            return call(*arguments)
        finally:
            self.since = None


class FrameService:
    """Opens sessions, each on the work thread that has the fewest, up to a number in all.

    Nothing here waits for work to be done: every call but `warm` and `close` returns at once. What waits for
    a thread is bounded by whoever grants credits: sessions × frames in flight. workers: threads; each loads
    its own nets, for a net works for one thread at a time. make: makes a session, in its thread.
    """

    def __init__(
        self, served: Serving, *, workers: int = 1, sessions: int = 8, make: MakeSession = FrameSession
    ) -> None:
        if workers < 1 or sessions < 1:
            raise ConfigError(f"workers and sessions must be 1 or more, got {workers} and {sessions}")
        self.served = served
        self._most, self._make = sessions, make
        self._lock = threading.Lock()
        self._workers = [
            _Worker(ThreadPoolExecutor(1, thread_name_prefix=f"facefx-frames-{i}")) for i in range(workers)
        ]
        self._counts: Counter[str] = Counter()
        self._running: set[OpenSession] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warm(self) -> None:
        """Load the nets of every thread, so that no session pays for it.

        Raises ModelError, ConfigError.
        """
        for loading in [worker.pool.submit(self._load, worker.nets) for worker in self._workers]:
            loading.result()

    def open(self, settings: FrameSettings) -> OpenSession:
        """Give a session its place; whether its settings can be had tells `ready`.

        Raises ResourcesError where all places are taken.
        """
        with self._lock:
            taken = sum(worker.sessions for worker in self._workers)
            if self._closed or taken >= self._most:
                raise ResourcesError(
                    f"all {self._most} places for streams of frames are taken; try again later"
                )
            worker = min(self._workers, key=lambda worker: worker.sessions)
            worker.sessions += 1
            self._counts["opened"] += 1
            session = OpenSession(self, worker, settings)
            self._running.add(session)
        return session

    @property
    def sessions(self) -> int:
        """How many sessions have a place now."""
        with self._lock:
            return sum(worker.sessions for worker in self._workers)

    @property
    def busy_s(self) -> float:
        """How long the thread that has been at one call for longest has been at it; 0.0 where all rest."""
        now = time.monotonic()
        began = [since for worker in self._workers if (since := worker.since) is not None]
        return now - min(began) if began else 0.0

    def stats(self) -> dict[str, Any]:
        """Sessions now and in all, and what became of frames, by reason; of sessions that ended."""
        with self._lock:
            now = sum(worker.sessions for worker in self._workers)
            return {"sessions": now, "places": self._most, **dict(self._counts)}

    def close(self) -> None:
        """Close every session, and let threads and nets go; what is under work is waited for."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for session in running:
            session.close()
        for worker in self._workers:
            worker.pool.shutdown(wait=True)
            worker.nets.close()

    def _load(self, nets: Nets) -> None:
        analysis = self.served.analysis
        nets.detector(analysis.detector)
        if analysis.landmarker is not None:
            nets.mesh(analysis.landmarker)

    def _make_session(self, settings: FrameSettings, nets: Nets) -> FrameSession:
        return self._make(settings, self.served, nets)

    def _left(self, session: OpenSession, worker: _Worker, counts: Counter[str]) -> None:
        with self._lock:
            worker.sessions -= 1
            self._running.discard(session)
            self._counts.update(counts)


class OpenSession:
    """A session's place on a work thread; calls return futures, which are done in the order of the calls."""

    def __init__(self, service: FrameService, worker: _Worker, settings: FrameSettings) -> None:
        self._service, self._worker = service, worker
        self._session: FrameSession | None = None
        self._waiting: set[Future[Any]] = set()
        self._closed = False
        self.ready: Future[None] = self._submit(self._begin, settings)

    def push(self, data: bytes, pts: int, *, key_frame: bool = False) -> Future[FrameResult]:
        """Have one frame done; see FrameSession.push."""
        came = time.perf_counter()
        return self._submit(self._push, data, pts, key_frame, came)

    def set_effects(
        self, effects: Sequence[str | dict[str, dict[str, Any]]], select: str = "all"
    ) -> Future[None]:
        """Change the chain for the frames that are pushed from now on; see FrameSession.set_effects."""
        return self._submit(self._update, effects, select)

    def close(self) -> None:
        """Give the place back when what is under work is done; what waits is cancelled. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        for future in list(self._waiting):
            future.cancel()
        try:
            self._worker.pool.submit(self._end)
        except RuntimeError:  # the service has closed: its thread is gone, and so is all work
            self._end()

    def _submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        try:
            future = self._worker.pool.submit(self._worker.run, call, *arguments)
        except RuntimeError as error:
            raise ResourcesError("the service has closed; connect again") from error
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def _begin(self, settings: FrameSettings) -> None:
        self._session = self._service._make_session(settings, self._worker.nets)

    def _push(self, data: bytes, pts: int, key_frame: bool, came: float) -> FrameResult:
        assert self._session is not None
        return self._session.push(data, pts, key_frame=key_frame, waited_s=time.perf_counter() - came)

    def _update(self, effects: Sequence[str | dict[str, dict[str, Any]]], select: str) -> None:
        assert self._session is not None
        self._session.set_effects(effects, select)

    def _end(self) -> None:
        session, self._session = self._session, None
        try:
            if session is not None:
                session.close()
        finally:
            self._service._left(self, self._worker, Counter() if session is None else session.counts)
