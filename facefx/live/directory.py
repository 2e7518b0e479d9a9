"""What whoever serves live streams asks: start, look, change, stop. Who runs them stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from facefx.live.record import StreamRecord
from facefx.live.settings import LiveSettings

__all__ = ["Effects", "StreamDirectory"]

Effects = Sequence[str | dict[str, Any]]


class StreamDirectory(Protocol):
    """Live streams by their ids. Every method may be called from any thread, and ends within a bounded time.

    Every method raises ClusterError where whoever runs the streams does not answer.
    """

    def start(self, settings: LiveSettings, id: str | None = None) -> StreamRecord:
        """Begin a stream; one that runs under this id already is answered as it is.

        Raises UsageError for an id that cannot be one or settings that contradict those of the stream that
        runs, StoreAwayError where the record cannot be written, ResourcesError where there is no room.
        """

    def get(self, id: str) -> StreamRecord | None:
        """A stream's record; None for one that nobody knows."""

    def list(self) -> list[StreamRecord]:
        """All records, by id; those of streams that ended a moment ago too."""

    def set_effects(self, id: str, effects: Effects) -> StreamRecord:
        """Change what a stream does to faces, from its next frame on.

        Raises EffectError for an effect that cannot be, UsageError for a stream that does not run.
        """

    def stop(self, id: str) -> None:
        """End a stream; one that has ended already, or that nobody knows, is no mistake."""

    def stats(self, id: str) -> dict[str, Any]:
        """What a running stream counts and measures, as LiveStats.to_json has it.

        Raises UsageError for a stream that does not run.
        """

    def preview(self, id: str) -> tuple[bytes | None, bytes] | None:
        """The newest frame before and after as JPEG, None where there is none yet.

        Before is None where faces are hidden.

        Raises UsageError for a stream that does not run.
        """
