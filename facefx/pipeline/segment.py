"""One segment of a video: looked at with margins, so that nobody can tell where the cuts are.

The graph of a whole run over a part of it. What comes out is a piece (the encoded packets, see
`video/piece.py`) and a table of faces, which `stitch` puts together. Local track numbers may reach an
effect's seed, so bytes are the same for one plan and one way of cutting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from facefx.pipeline.nets import Nets
from facefx.pipeline.span import SegmentJob, Span
from facefx.pipeline.stage import Source, Stage
from facefx.telemetry.ledger import StageRow

__all__ = [
    "STAGE_NAMES",
    "Nets",
    "SegmentJob",
    "SegmentResult",
    "SegmentSource",
    "SegmentStage",
    "Span",
    "finish_result",
    "make_source",
    "make_stage",
    "run_segment",
    "stage_names",
]

STAGE_NAMES = ("decode", "detect", "landmark", "blend", "encode")
"""The graph's stages in order; a plan may do without landmark, and with a table "faces" looks instead."""

Progress = Callable[[int, int], None]


@runtime_checkable
class SegmentSource(Source, Protocol):
    """The first stage of a segment."""

    @property
    def told(self) -> dict[str, Any]:
        """What it did, as plain values; asked after the end, before or after close."""


@runtime_checkable
class SegmentStage(Stage, Protocol):
    """A later stage of a segment."""

    @property
    def told(self) -> dict[str, Any]:
        """What it did, as plain values; asked after flush, before or after close."""


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """The account of one segment; picklable.

    frames, pts_first, pts_last, damage: of its own range. faces, landmarks: None where nobody looked.
    stages: the ledger's rows. faces_sha256: "" without a table of faces.
    """

    number: int
    frames: int
    pts_first: int | None
    pts_last: int | None
    faces: dict[str, Any] | None
    landmarks: dict[str, Any] | None
    effects: dict[str, Any]
    damage: dict[str, Any]
    stages: list[dict[str, Any]]
    wall_s: float
    cpu_s: float
    piece_bytes: int
    piece_sha256: str
    faces_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> SegmentResult:
        """Read what to_json gave."""
        return SegmentResult(**plain)


def stage_names(job: SegmentJob) -> tuple[str, ...]:
    """The stages of one job, in order, the source first."""
    if job.table is not None:
        return ("decode", "faces", "blend", "encode")
    if job.plan.landmarker is None:
        return tuple(name for name in STAGE_NAMES if name != "landmark")
    return STAGE_NAMES


def make_source(job: SegmentJob) -> SegmentSource:
    """Make the first stage, "decode"; none of its batches straddles the segment's ends."""
    raise NotImplementedError


def make_stage(name: str, job: SegmentJob, nets: Nets) -> SegmentStage:
    """Make a later stage by its name.

    Work of the margins is passed on by every stage: by blend without patches, and encode does not look at
    its pixels. The encode stage's files get their names in finish_result.
    """
    raise NotImplementedError


def run_segment(
    job: SegmentJob, nets: Nets, progress: Progress | None = None, threads: int = 1
) -> SegmentResult:
    """Make one segment in this process; its files appear whole, or not at all.

    progress: called with (own frames done, about how many there are).

    Raises any error of the tree.
    """
    raise NotImplementedError


def finish_result(
    job: SegmentJob,
    encode: SegmentStage,
    told: Mapping[str, Mapping[str, Any]],
    rows: Sequence[StageRow],
    wall_s: float,
    cpu_s: float,
) -> SegmentResult:
    """Give a segment's files their names and its account its form.

    encode: the stage of that name after its flush; it may be closed already. told: of each stage by its
    name, decode's included, encode's not. rows: of the ledger.

    Raises FidelityError where the encoder kept a frame for itself, SinkError.
    """
    raise NotImplementedError
