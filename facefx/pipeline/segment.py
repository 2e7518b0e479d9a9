"""One segment of a video: looked at with margins, so that nobody can tell where the cuts are.

The graph of a whole run over a part of it. What comes out is a piece (the encoded packets, see
`video/piece.py`) and a table of faces, which `stitch` puts together. Local track numbers may reach an
effect's seed, so bytes are the same for one plan and one way of cutting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from facefx.errors import StageError
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.nets import Nets
from facefx.pipeline.report import process_cost
from facefx.pipeline.segment_stages import (
    SegmentBlend,
    SegmentDecode,
    SegmentDetect,
    SegmentEncode,
    SegmentKept,
    SegmentLandmark,
)
from facefx.pipeline.span import SegmentJob, Span
from facefx.pipeline.stage import Source, Stage
from facefx.storage import sha256_file
from facefx.telemetry.ledger import Ledger, StageRow

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


class SegmentSource(Source, Protocol):
    """The first stage of a segment."""

    @property
    def told(self) -> dict[str, Any]:
        """What it did, as plain values; asked after the end, before or after close."""


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


def make_source(job: SegmentJob, threads: int = 1) -> SegmentSource:
    """Make the first stage, "decode"; none of its batches straddles the segment's ends.

    threads: of the decoder; frames do not depend on them.
    """
    return SegmentDecode(job, threads)


def make_stage(name: str, job: SegmentJob, nets: Nets) -> SegmentStage:
    """Make a later stage by its name.

    Work of the margins is passed on by every stage: by blend without patches, and encode does not look at
    its pixels. The encode stage's files get their names in finish_result.

    Raises StageError for a name that is not in stage_names(job).
    """
    if name not in stage_names(job)[1:]:
        raise StageError(f"a segment of this plan has no stage {name!r}: expected {stage_names(job)[1:]}")
    match name:
        case "detect":
            return SegmentDetect(job, nets)
        case "landmark":
            return SegmentLandmark(job, nets)
        case "faces":
            return SegmentKept(job)
        case "blend":
            return SegmentBlend(job, nets)
        case _:
            return SegmentEncode(job)


def run_segment(
    job: SegmentJob, nets: Nets, progress: Progress | None = None, threads: int = 1
) -> SegmentResult:
    """Make one segment in this process; its files appear whole, or not at all.

    progress: called with (own frames done, about how many there are). threads: of the runner; what is made
    does not depend on them.

    Raises any error of the tree.
    """
    (spent_s, _), expected = process_cost(), _expected(job)
    source = make_source(job)
    stages = [make_stage(name, job, nets) for name in stage_names(job)[1:]]
    encode = stages[-1]
    assert isinstance(encode, SegmentEncode)
    ledger = Ledger(stage_names(job))
    try:
        with closing(InlineRunner(source, stages, ledger, threads).stream()) as stream:
            for _ in stream:
                if progress is not None:
                    progress(encode.frames, expected)
        told = {source.name: source.told, **{stage.name: stage.told for stage in stages}}
        cpu_s = process_cost()[0] - spent_s
        return finish_result(job, encode, told, ledger.rows(), ledger.wall_s, cpu_s)
    finally:
        encode.discard()


def _expected(job: SegmentJob) -> int:
    """About how many frames are the segment's own."""
    video, (lo, hi) = job.info.video, job.own
    start, end = video.start_pts if lo is None else lo, video.end_pts if hi is None else hi
    return round(video.frames_expected * max(end - start, 0) / max(video.end_pts - video.start_pts, 1))


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
    name, decode's included. rows: of the ledger.

    Raises SinkError.
    """
    assert isinstance(encode, SegmentEncode)
    head = encode.finish(told)
    return SegmentResult(
        number=job.span.number,
        frames=encode.frames,
        pts_first=head.pts_first,
        pts_last=head.pts_last,
        faces=_plain(told.get("detect")),
        landmarks=_plain(told.get("landmark")),
        effects=dict(told["blend"]),
        damage=dict(told["decode"]),
        stages=[row.to_json() for row in rows],
        wall_s=round(wall_s, 4),
        cpu_s=round(cpu_s, 4),
        piece_bytes=job.piece.stat().st_size,
        piece_sha256=sha256_file(job.piece),
        faces_sha256="" if job.faces is None else sha256_file(job.faces),
    )


def _plain(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if told is None else dict(told)
