"""One frame under consideration, and one sight of a face in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from facefx.faces.signature import QUIET, Change, Signature
from facefx.values import FaceSource, FrameBatch

__all__ = ["Box", "Moment", "Row", "Sighting", "Track"]

Box = tuple[float, float, float, float]


@dataclass(slots=True, eq=False)
class Track:
    """One face through time; numbered when its first box is handed out."""

    number: int | None = None


@dataclass(slots=True, eq=False)
class Sighting:
    """One face that a look saw.

    previous, next: the same face at the look before and after, where they could be linked.
    last_high: pts of the last sure sighting of that chain. kept: it counts. paired: a gap that
    starts here was filled. answered: a start that this end could lead to has come. size: side of the
    square of the same area.
    """

    moment: Moment
    xyxy: Box
    confidence: float
    high: bool
    previous: Sighting | None = None
    next: Sighting | None = None
    last_high: int | None = None
    kept: bool = False
    track: Track | None = None
    paired: bool = False
    answered: bool = False
    centre: tuple[float, float] = field(init=False)
    size: float = field(init=False)

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.xyxy
        self.centre = ((x0 + x1) / 2, (y0 + y1) / 2)
        self.size = math.sqrt(max(1.0, (x1 - x0) * (y1 - y0)))

    @property
    def pts(self) -> int:
        """When it was."""
        return self.moment.pts

    @property
    def is_end(self) -> bool:
        """Nothing that counts continues it at the next look."""
        return self.next is None or not self.next.kept

    @property
    def is_start(self) -> bool:
        """Nothing that counts leads to it from the look before."""
        return self.previous is None or not self.previous.kept


class Row(NamedTuple):
    """One box that a frame gets."""

    track: Track
    xyxy: Box
    confidence: float
    source: FaceSource


@dataclass(slots=True, eq=False)
class Moment:
    """One frame, kept until its faces are final; then the batch is let go.

    at: position in its run of frames. scene: frames with no cut between them share it. sightings:
    what a look saw here, None where nobody looked. whole: it was
    more than a glance.
    """

    at: int
    pts: int
    batch: FrameBatch | None
    position: int
    signature: Signature
    change: Change = QUIET
    cell: int = 0
    scene: int = 0
    sightings: list[Sighting] | None = None
    whole: bool = False
    rows: list[Row] = field(default_factory=list)
    final: bool = False
