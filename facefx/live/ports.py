"""What a session needs of its source and its output, whoever they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from facefx.values import FrameBatch, Patch
from facefx.video.info import VideoInfo

__all__ = ["Arrival", "Output", "Source", "Stream"]


class Stream(Protocol):
    """What an open source says of itself. label: without keys."""

    @property
    def video(self) -> VideoInfo:
        """The picture."""

    @property
    def label(self) -> str:
        """Where it comes from, to be shown."""


class Arrival(Protocol):
    """One frame or one packet of sound. arrived_s: time.monotonic() when its packet was read."""

    @property
    def arrived_s(self) -> float:
        """When it came."""

    @property
    def batch(self) -> FrameBatch | None:
        """A frame, decoded."""

    @property
    def packet(self) -> Any | None:
        """A packet to be copied: a dataclass with pts, dts and time_base."""


class Source(Protocol):
    """Opened once, read once, closed from any thread."""

    def open(self) -> Stream:
        """Wait for the stream.

        Raises SourceError where it is not there (yet), UnsupportedError where it cannot be used.
        """

    def items(self) -> Iterator[Arrival]:
        """Give what comes; ends where a file ends. Raises SourceError where a publisher went away."""

    def close(self) -> None:
        """Let go of it, which ends a wait in `open` or `items`."""


class Output(Protocol):
    """Encodes once, for every target; used by one thread at a time."""

    def write(self, batch: FrameBatch, patches: Sequence[Patch]) -> None:
        """Paste, encode and send; may change the batch's native frames."""

    def copy(self, packet: Any) -> None:
        """Send a packet of sound."""

    @property
    def targets_state(self) -> Any:
        """How each target fares."""

    def close(self) -> None:
        """Finish every target."""
