"""The account of a run: of every thread, what its time went to, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Account", "Kind", "Part", "ThreadAccount"]


class Kind(StrEnum):
    """What a stretch of a thread's time was spent on."""

    WORK = "work"
    WAIT_IN = "wait_in"
    WAIT_OUT = "wait_out"
    SETUP = "setup"
    OUTSIDE = "outside"

    @property
    def words(self) -> str:
        """The kind as a reader is told it."""
        return _WORDS[self]


_WORDS = {
    Kind.WORK: "working",
    Kind.WAIT_IN: "waiting for input",
    Kind.WAIT_OUT: "waiting for room",
    Kind.SETUP: "setting up",
    Kind.OUTSIDE: "outside the stages",
}


@dataclass(slots=True)
class Part:
    """All that one thread spent on one thing, in seconds.

    name: the stage; for Kind.OUTSIDE the work's own name. cpu_s: by the thread's CPU clock, of work
    only (without threads that a codec starts).
    """

    name: str
    kind: Kind
    seconds: float = 0.0
    cpu_s: float = 0.0
    calls: int = 0
    frames: int = 0


@dataclass(frozen=True, slots=True)
class ThreadAccount:
    """One thread's life, alive_s long, and its parts in the order in which they first came."""

    thread: str
    alive_s: float
    parts: tuple[Part, ...]

    @property
    def counted_s(self) -> float:
        """What the parts add up to."""
        return sum(part.seconds for part in self.parts)

    @property
    def rest_s(self) -> float:
        """What no part was stamped for: the loop between the stamps, and waiting for the interpreter."""
        return self.alive_s - self.counted_s

    def stages(self) -> tuple[str, ...]:
        """The stages that worked or waited on this thread."""
        inside = (part.name for part in self.parts if part.kind not in (Kind.SETUP, Kind.OUTSIDE))
        return tuple(dict.fromkeys(inside))

    def seconds(self, name: str, *kinds: Kind) -> float:
        """The sum of the parts of one name and of these kinds."""
        return sum(part.seconds for part in self.parts if part.name == name and part.kind in kinds)


@dataclass(frozen=True, slots=True)
class Account:
    """A whole run: total_s from its start to its end, frames that came out, threads (main first).

    >>> work = Part("detect", Kind.WORK, 1.5, calls=3, frames=24)
    >>> account = Account(2.0, 24, (ThreadAccount("main", 2.0, (work,)),))
    >>> account.threads[0].rest_s
    0.5
    >>> Account.from_json(account.to_json()) == account
    True
    """

    total_s: float
    frames: int
    threads: tuple[ThreadAccount, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The account as plain values; what was not stamped stands beside what was."""
        return {
            "total_s": self.total_s,
            "frames": self.frames,
            "threads": [
                {
                    "thread": thread.thread,
                    "alive_s": thread.alive_s,
                    "rest_s": thread.rest_s,
                    "parts": [asdict(part) for part in thread.parts],
                }
                for thread in self.threads
            ],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Account:
        """The account that to_json() wrote.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        threads = (
            ThreadAccount(str(row["thread"]), float(row["alive_s"]), _parts(row["parts"]))
            for row in plain["threads"]
        )
        return cls(float(plain["total_s"]), int(plain["frames"]), tuple(threads))


def _parts(rows: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(
        Part(
            str(row["name"]),
            Kind(row["kind"]),
            float(row["seconds"]),
            float(row["cpu_s"]),
            int(row["calls"]),
            int(row["frames"]),
        )
        for row in rows
    )
