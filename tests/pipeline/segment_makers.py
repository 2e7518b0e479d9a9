"""Videos cut anywhere, their segments made, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from facefx.config import RunConfig, load_config
from facefx.faces.kept import FacesTable
from facefx.faces.table import TableHeader
from facefx.pipeline.plan import Plan, make_plan
from facefx.pipeline.segment import Nets, SegmentJob, SegmentResult, Span, run_segment
from facefx.pipeline.stitch import StitchReport, stitch
from facefx.values import Faces
from facefx.video.info import MediaInfo
from facefx.video.probe import probe

# The fastest each encoder has: what is tested is what lies around it.
FASTEST = {
    "libx264": "ultrafast",
    "libx265": "ultrafast",
    "libsvtav1": "13",
    "libvpx-vp9": "8",
    "libvpx": "16",
}


def config(*effects: str, **settings: Any) -> RunConfig:
    return load_config(None, {**settings, "effects": effects or ("solid",)})


def quick_plan(info: MediaInfo, output: Path, *effects: str, **settings: Any) -> Plan:
    """A plan with the encoder's fastest preset, unless another one is asked for."""
    plan = make_plan(config(*effects, **settings), info, output)
    preset = FASTEST.get(plan.encode.encoder)
    if preset is None:
        return plan
    encode = {"preset": preset, **settings.pop("encode", {})}
    return make_plan(config(*effects, **settings, encode=encode), info, output)


def cut_at(cuts: Sequence[int], low: int | None = None, high: int | None = None) -> tuple[Span, ...]:
    """Segments with these pts between them, keyframe or not."""
    edges = [low, *cuts, high]
    return tuple(Span(number, len(edges) - 1, lo, hi) for number, (lo, hi) in enumerate(pairwise(edges)))


def cut_every(info: MediaInfo, seconds: float, phase_s: float = 0.0) -> tuple[Span, ...]:
    """Segments of so many seconds, keyframe or not; phase_s: how much later all cuts are."""
    video, step = info.video, seconds / info.video.format.time_base
    cuts, at = [], video.start_pts + (phase_s or seconds) / video.format.time_base
    while at < video.end_pts:
        cuts.append(round(at))
        at += step
    return cut_at(cuts)


class Work:
    """One video's segments in a folder. output: the stitched file, with the table of faces beside it."""

    def __init__(self, source: Path, folder: Path, *effects: str, suffix: str = "", **settings: Any) -> None:
        self.source, self.folder, self.info = source, folder, probe(source)
        self.output, self.faces = folder / f"output{suffix or source.suffix}", folder / "faces.parquet"
        self.plan = quick_plan(self.info, self.output, *effects, **settings)
        self.parts: list[tuple[Path, Path | None]] = []

    def job(self, span: Span, table: Path | None = None) -> SegmentJob:
        piece, faces = self.folder / f"{span.number}.piece", self.folder / f"{span.number}.faces"
        return SegmentJob(
            self.source, self.info, self.plan, span, piece, faces if table is None else None, table
        )

    def make(self, spans: Sequence[Span], table: Path | None = None) -> list[SegmentResult]:
        """Make every segment, in the order given."""
        with Nets() as nets:
            results = [run_segment(self.job(span, table), nets) for span in spans]
        jobs = [self.job(span, table) for span in sorted(spans, key=lambda span: span.number)]
        self.parts = [(job.piece, job.faces) for job in jobs]
        return results

    def stitch(self, table: Path | None = None) -> StitchReport:
        self.report = stitch(
            self.source,
            self.info,
            self.plan,
            self.parts,
            self.output,
            self.faces if table is None else None,
            table=table,
        )
        return self.report


def rows_of(path: Path) -> tuple[Faces, TableHeader]:
    """All rows of a table of faces, and its header."""
    with FacesTable(path) as table:
        parts = list(table.rows(landmarks=table.header.analysis.landmarker is not None))
        return (Faces.join(parts) if parts else Faces.from_rows(())), table.header
