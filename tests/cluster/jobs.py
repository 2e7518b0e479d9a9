"""Segments to be made in the tests."""

from __future__ import annotations

from pathlib import Path

from facefx.config import EncodeConfig, RunConfig
from facefx.pipeline.plan import make_plan
from facefx.pipeline.segment import SegmentJob
from facefx.pipeline.stitch import spans_of
from facefx.video.probe import probe


def jobs_of(
    source: Path,
    folder: Path,
    *effects: str,
    segment_s: float | None = 2.0,
    codec: str = "auto",
    on_damage: str = "fail",
) -> list[SegmentJob]:
    """A clip's segments, with targets in a folder."""
    info = probe(source)
    config = RunConfig(
        effects=list(effects) or ["solid"],
        encode=EncodeConfig(preset=None if codec != "auto" else "ultrafast", codec=codec),
        device="cpu",
        on_damage=on_damage,
    )
    plan = make_plan(config, info, Path("out.mkv"))
    folder.mkdir(parents=True, exist_ok=True)
    return [
        SegmentJob(
            source, info, plan, span, folder / f"{span.number}.piece", folder / f"{span.number}.parquet"
        )
        for span in spans_of(source, info, segment_s, None, None)
    ]


def files_of(job: SegmentJob) -> tuple[bytes, bytes]:
    assert job.faces is not None
    return job.piece.read_bytes(), job.faces.read_bytes()
