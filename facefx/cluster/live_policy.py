"""What is to be done about a stream, from what is known of it. Nothing here asks anybody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["Facts", "Life", "Policy", "Verdict", "judge"]

Life = Literal["there", "gone"]


class Verdict(Enum):
    """What to do. END: it is over, its lane and room are to be given back."""

    LEAVE = "leave"
    KILL = "kill"
    REPLACE = "replace"
    GIVE_UP = "give up"
    END = "end"


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in seconds.

    silent_s: a lane that has neither answered nor been heard of for so long hangs. cut_s: a lane on a machine
    that the cluster has lost may go on for so long (its fence, and more than a margin). most_lost: lanes
    lost in a row, none of which stayed for steady_s, before a stream is given up; between them back_off_s,
    doubled each time up to most_back_off_s, the first at once. abandoned_s: a record whose owner was heard of
    longer ago has nobody who waits for its stream. orphan_s: a lane or room that nobody knows may be one that
    is just being made for so long.
    """

    silent_s: float = 10.0
    start_s: float = 120.0
    cut_s: float = 12.0
    most_lost: int = 5
    steady_s: float = 20.0
    back_off_s: float = 1.0
    most_back_off_s: float = 30.0
    abandoned_s: float = 900.0
    orphan_s: float = 20.0

    def pause_s(self, lost: int) -> float:
        """How long to wait before the next lane, when so many were lost in a row.

        >>> [Policy().pause_s(lost) for lost in (1, 2, 3, 4, 9)]
        [0.0, 1.0, 2.0, 4.0, 30.0]
        """
        return 0.0 if lost <= 1 else min(self.most_back_off_s, self.back_off_s * 2.0 ** (lost - 2))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stream now.

    life: of its lane, which is gone when the cluster says so. over: the stream has ended or failed. started:
    its lane has begun. node_alive: the machine where the lane is or was counts as alive. silent_s: since
    anything was heard of the lane. lost: lanes lost in a row. gone_s: since the last of them was.
    """

    life: Life
    over: bool = False
    started: bool = True
    node_alive: bool = True
    silent_s: float = 0.0
    lost: int = 0
    gone_s: float = 0.0


def judge(facts: Facts, policy: Policy) -> Verdict:
    """Decide.

    A lane that is there and says nothing is killed first, and replaced once it is gone. One whose machine was
    lost may still push: its place stays empty until its own fence has ended it.
    """
    if facts.over:
        return Verdict.END
    if facts.life == "there":
        limit_s = policy.silent_s if facts.started else policy.start_s
        return Verdict.KILL if facts.silent_s > limit_s else Verdict.LEAVE
    if facts.lost >= policy.most_lost or facts.silent_s > policy.abandoned_s:
        return Verdict.GIVE_UP
    if not facts.node_alive and facts.silent_s <= policy.cut_s:
        return Verdict.LEAVE
    return Verdict.LEAVE if facts.gone_s < policy.pause_s(facts.lost) else Verdict.REPLACE
