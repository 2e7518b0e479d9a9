"""The source of a live stream: opened, read, and opened again while it is worth waiting for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from facefx.errors import SourceError
from facefx.live.ports import Arrival, Source, Stream

__all__ = ["Listener", "Puller"]

_LONGEST_PAUSE_S = 1.0


class Listener(Protocol):
    """Who hears of the source, all in the puller's thread."""

    def connected(self, stream: Stream) -> None:
        """It is open; for the first time, or again."""

    def arrived(self, arrival: Arrival) -> None:
        """A frame or a packet has come."""

    def away(self, error: SourceError) -> None:
        """It is not there; it is tried again."""


class Puller:
    """Reads a source for as long as it lasts.

    wait_s: how long it may take to appear; linger_s: how long it may be gone since it last gave something.
    retry_s: the first pause between two tries, doubled up to a second.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        listener: Listener,
        clock: Callable[[], float],
        *,
        wait_s: float,
        linger_s: float,
        retry_s: float,
    ) -> None:
        self._open_source, self._listener, self._clock = open_source, listener, clock
        self._patience_s, self._linger_s = wait_s, linger_s
        self._first_pause_s = self._pause_s = retry_s
        self._since_s = clock()
        self._seen = False
        self._source: Source | None = None
        self._stopping = threading.Event()

    def run(self) -> str:
        """Read until it ends or is stopped; return why it ended.

        Raises SourceError where it never appeared; what else the source or the listener raises.
        """
        self._since_s = self._clock()
        while not self._stopping.is_set():
            try:
                self._read()
                return "stopped" if self._stopping.is_set() else "the source ended"
            except SourceError as error:
                if self._stopping.is_set():
                    break
                if self._clock() - self._since_s >= self._patience_s:
                    if not self._seen:
                        raise
                    return f"the source went away: {error}"
                self._listener.away(error)
            self._stopping.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, max(_LONGEST_PAUSE_S, self._first_pause_s))
        return "stopped"

    def stop(self) -> None:
        """End it soon; from any thread."""
        self._stopping.set()
        source = self._source
        if source is not None:
            source.close()

    def _read(self) -> None:
        with self._opened() as (source, stream):
            self._listener.connected(stream)
            for arrival in source.items():
                if self._stopping.is_set():
                    return
                self._seen, self._since_s = True, self._clock()
                self._patience_s, self._pause_s = self._linger_s, self._first_pause_s
                self._listener.arrived(arrival)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Source, Stream]]:
        source = self._open_source()
        self._source = source
        try:
            if self._stopping.is_set():  # `stop` may have come before there was anything to close
                raise SourceError("the stream was stopped")
            yield source, source.open()
        finally:
            self._source = None
            source.close()
