"""One target of a live output: a queue and a thread of its own, which opens it again when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from facefx.errors import FacefxError, SinkError
from facefx.video.live_values import CodedUnit

__all__ = ["Sink", "Target", "TargetState"]

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 32 << 20
_FIRST_WAIT_S, _LONGEST_WAIT_S, _SOUND_S = 0.1, 1.0, 5.0
_IDLE_S = 0.5
_CUT_S = 3.0


class Sink(Protocol):
    """What a target writes to, from its own thread; close() from any."""

    def open(self) -> None:
        """Connect. Raises a FacefxError where that fails."""

    def write(self, unit: CodedUnit) -> None:
        """Take a unit; the first is a key frame."""

    def idle(self) -> None:
        """Called now and then where nothing comes."""

    def finish(self) -> None:
        """End in an orderly way."""

    def close(self) -> None:
        """Let go; whoever waits in another method comes back."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target fares. label: redacted. reopened: times it was opened after the first.

    dropped: units (pictures and packets of sound) that it never got; last_error: redacted.
    """

    label: str
    connected: bool = False
    opened: int = 0
    written: int = 0
    dropped: int = 0
    last_error: str | None = None

    @property
    def reopened(self) -> int:
        """Times it was opened after the first."""
        return max(0, self.opened - 1)


class Target:
    """Takes units without ever waiting, and writes them in a thread of its own.

    make: a fresh sink for the n-th opening. want_keyframe: asked for one whenever a picture cannot be decoded
    without. stale_s: units that waited longer while it was opened are dropped: a viewer wants what is now.
    patience_s: where the oldest unit waits longer, no more are taken.
    """

    def __init__(
        self,
        label: str,
        make: Callable[[int], Sink],
        want_keyframe: Callable[[], None],
        stale_s: float = 0.5,
        patience_s: float = 3.0,
    ) -> None:
        self._make, self._want_keyframe = make, want_keyframe
        self._stale_s, self._patience_s = stale_s, patience_s
        self._state = TargetState(label)
        self._queue: deque[tuple[float, CodedUnit]] = deque()
        self._bytes = 0
        self._skipping = True  # until a key frame
        self._last: dict[str, int] = {}
        self._news = threading.Condition()
        self._closing = self._abandoned = False
        self._sink: Sink | None = None
        self._thread = threading.Thread(target=self._run, name="live-target", daemon=True)
        self._thread.start()

    @property
    def state(self) -> TargetState:
        """How it fares now."""
        return self._state

    def push(self, unit: CodedUnit) -> None:
        """Take a unit, or count it as dropped; never waits."""
        with self._news:
            if not self._takes(unit):
                self._count(dropped=1)
                return
            self._queue.append((time.monotonic(), unit))
            self._bytes += len(unit.data)
            self._news.notify_all()

    def end(self) -> None:
        """Let it write what it has, and finish."""
        with self._news:
            self._closing = True
            self._news.notify_all()

    def join(self, until: float) -> None:
        """Wait for it to finish, after end(); at `until`, by time.monotonic(), it is cut off."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._abandoned = True
            sink = self._sink
            if sink is not None:
                sink.close()
            self._thread.join(_CUT_S)

    def _takes(self, unit: CodedUnit) -> bool:
        """Decide on a unit; a gap in the pictures lasts until the next key frame."""
        if self._closing:
            return False
        waited_s = time.monotonic() - self._queue[0][0] if self._queue else 0.0
        if self._bytes > _MOST_BYTES or waited_s > self._patience_s:
            self._skip()
            return False
        if self._last.get(unit.kind, unit.dts - 1) >= unit.dts:
            if unit.kind == "video":
                self._skip()
            return False
        if self._skipping and not (unit.kind == "video" and unit.keyframe):
            return False
        self._skipping = False
        self._last[unit.kind] = unit.dts
        return True

    def _skip(self) -> None:
        if not self._skipping:
            self._skipping = True
            self._want_keyframe()

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        number = 0
        while not self._abandoned:
            since = time.monotonic()
            try:
                if self._serve(number):
                    return
            except FacefxError as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001 - kept as the target's error, the others go on
                self._failed(f"{self._state.label}: {type(error).__name__}: {error}")
            finally:
                self._hang_up()
            number = self._state.opened
            wait_s = (
                _FIRST_WAIT_S if time.monotonic() - since > _SOUND_S else min(2 * wait_s, _LONGEST_WAIT_S)
            )
            with self._news:
                if self._news.wait_for(lambda: self._closing, wait_s):
                    self._drop_queue()
                    return

    def _serve(self, number: int) -> bool:
        """Open, and write until it fails; True when it was ended in an orderly way."""
        sink = self._sink = self._make(number)
        sink.open()
        self._opened()
        while True:
            unit = self._take()
            if unit is None and self._closing:
                sink.finish()
                return True
            if unit is None:
                sink.idle()
                continue
            sink.write(unit)
            with self._news:
                self._count(written=1)

    def _take(self) -> CodedUnit | None:
        with self._news:
            if not self._queue and not self._closing:
                self._news.wait(_IDLE_S)
            if not self._queue:
                return None
            _, unit = self._queue.popleft()
            self._bytes -= len(unit.data)
            return unit

    def _opened(self) -> None:
        """Begin with a key frame that is fresh."""
        with self._news:
            self._state = replace(self._state, connected=True, opened=self._state.opened + 1)
            if self._queue and time.monotonic() - self._queue[0][0] > self._stale_s:
                self._drop_queue()
            if not self._queue:
                self._skipping = True
                self._want_keyframe()

    def _failed(self, reason: str) -> None:
        _LOG.warning("live target failed: %s", reason)
        with self._news:
            self._state = replace(self._state, connected=False, last_error=reason)
            # What is left cannot be decoded without what was lost.
            self._drop_queue()

    def _hang_up(self) -> None:
        sink, self._sink = self._sink, None
        with self._news:
            self._state = replace(self._state, connected=False)
        if sink is not None:
            try:
                sink.close()
            except (FacefxError, OSError) as error:
                _LOG.warning("live target did not close: %s", SinkError(str(error)))

    def _drop_queue(self) -> None:
        """Drop what waits; called with the lock held."""
        self._count(dropped=len(self._queue))
        self._queue.clear()
        self._bytes = 0
        self._skipping = True

    def _count(self, written: int = 0, dropped: int = 0) -> None:
        state = self._state
        self._state = replace(state, written=state.written + written, dropped=state.dropped + dropped)
