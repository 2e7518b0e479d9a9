"""What a stage is, and what passes from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from facefx.values import Faces, FrameBatch, Patch

__all__ = ["Finder", "Source", "Stage", "Work"]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A batch on its way through the graph, with the facts and patches gathered so far."""

    batch: FrameBatch
    faces: Faces | None = None
    patches: tuple[Patch, ...] = ()


class Stage(Protocol):
    """A step of the graph; whoever runs it calls setup, process…, flush, close in one thread.

    process may keep work back (look-ahead) and hand it out later; flush hands out the rest.
    close is bounded in time, may follow a failed setup, and may be called twice.
    """

    name: str

    def setup(self) -> None:
        """Load what is dear to load."""

    def process(self, work: Work) -> Sequence[Work]:
        """Take one piece of work; return what is ready, in order."""

    def flush(self) -> Sequence[Work]:
        """Return what was kept back; the source has ended."""

    def close(self) -> None:
        """Give back what setup took."""


class Finder(Stage, Protocol):
    """The stage that says where the faces are: by looking, or from what was kept."""

    @property
    def found(self) -> dict[str, Any]:
        """What was looked at and found, for a report."""


class Source(Protocol):
    """The first stage: it has no input."""

    name: str

    def setup(self) -> None:
        """Open what is read."""

    def items(self) -> Iterator[Work]:
        """Yield work until the source ends; may be left at any time."""

    def close(self) -> None:
        """Give back what setup took."""
