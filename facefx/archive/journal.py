"""A run's log: a JSON line for each thing that happened, kept beside the outputs while it grows."""

from __future__ import annotations

import json
import logging
from types import TracebackType
from typing import Self

from facefx.archive.job import Event
from facefx.archive.records import now
from facefx.archive.state import State

__all__ = ["Journal"]

_log = logging.getLogger("facefx.archive")

# Beyond this a part is closed and another begun, so that keeping it stays cheap where files cannot grow.
_PART_BYTES = 1 << 20


class Journal:
    """Collects lines, and keeps them in the store from time to time and at the end."""

    def __init__(self, state: State, run: str) -> None:
        self._state, self._run = state, run
        self._lines = bytearray()
        self._part = 0
        self._kept = 0

    def write(self, event: Event) -> None:
        """Note what happened to a video."""
        self._add(event.kind, event.text, {"video": event.video.relative, **_short(event.facts)})

    def note(self, kind: str, text: str) -> None:
        """Note what happened to the run."""
        self._add(kind, text, {})

    def keep(self) -> None:
        """Bring what is new into the store."""
        if len(self._lines) == self._kept:
            return
        self._state.write_log(f"{self._run}.{self._part:04d}", bytes(self._lines))
        self._kept = len(self._lines)
        if self._kept > _PART_BYTES:
            self._part, self._kept = self._part + 1, 0
            self._lines.clear()

    def _add(self, event: str, text: str, facts: dict[str, object]) -> None:
        _log.info(text, extra={"event": event})
        line = {**facts, "at": now(), "event": event, "text": text}
        self._lines += json.dumps(line, sort_keys=True, default=str).encode() + b"\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.note("ended", f"{type(error).__name__}: {error}")
        self.keep()


def _short(facts: dict[str, object]) -> dict[str, object]:
    """Only what fits a line: numbers and short words; the rest stands in the record."""
    return {
        key: value for key, value in facts.items() if isinstance(value, int | float | str) and key != "text"
    }
