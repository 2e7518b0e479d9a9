"""A lane that nobody can hear must not go on: another may run its stream by now.

A lane may work as long as one of several places says within a time that it is alive in the eyes of those who
would replace it: the store that takes its heartbeat, or the cluster's head that counts its machine as alive.
Who replaces a lane that is not known to be dead waits longer than that time. So a store that is away stops
no stream, nor does a supervisor that is; a machine that is cut off from both stops its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

__all__ = ["FENCE_S", "Fence"]

_log = logging.getLogger("facefx.cluster")

FENCE_S = 8.0
"""How long a lane goes on unheard; below what Ray's head takes to count a machine as dead."""


class Fence:
    """Asks places whether we are still heard, each in a thread of its own, for any may hang.

    places: by name, what asks; True where we are heard, False where it cannot tell. limit_s: how long we may
    go on without a True. cut: called once, in a thread of this object, when that is over.
    """

    def __init__(
        self,
        places: Mapping[str, Callable[[], bool]],
        cut: Callable[[str], None],
        *,
        limit_s: float = FENCE_S,
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cut, self._limit_s, self._every_s, self._clock = cut, limit_s, every_s, clock
        self._over = threading.Event()
        self._heard = dict.fromkeys(places, clock())
        self._threads = [
            threading.Thread(target=self._ask, args=(name, place), name=f"fence {name}", daemon=True)
            for name, place in places.items()
        ]
        self._threads.append(threading.Thread(target=self._watch, name="fence", daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._over.set()

    def _ask(self, name: str, place: Callable[[], bool]) -> None:
        while not self._over.is_set():
            began = self._clock()
            try:
                if place():
                    # What was asked for then was true then; the answer may have taken long.
                    self._heard[name] = began
            except Exception as error:  # noqa: BLE001 - whatever it is, we were not heard
                _log.warning("a place cannot be asked", extra={"place": name, "kind": type(error).__name__})
            self._over.wait(self._every_s)

    def _watch(self) -> None:
        while not self._over.wait(min(0.2, self._limit_s / 4)):
            silent_s = self._clock() - max(self._heard.values())
            if silent_s > self._limit_s:
                self._over.set()
                self._cut(f"neither {' nor '.join(self._heard)} has heard of this lane for {silent_s:.1f} s")
