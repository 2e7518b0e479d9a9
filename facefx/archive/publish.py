"""The record of a video that was put together: everything that an auditor may ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facefx.archive.records import (
    CommitRecord,
    FileFacts,
    NetUse,
    VideoCost,
    now,
    versions_here,
)
from facefx.archive.tasks import FinishTask
from facefx.models.catalog import get_card
from facefx.pipeline.faces_count import FacesCount, summed
from facefx.pipeline.plan import Plan
from facefx.pipeline.segment import SegmentResult
from facefx.pipeline.stitch import StitchReport
from facefx.storage import Store, sha256_file

__all__ = ["record_of"]


def record_of(
    task: FinishTask, report: StitchReport, output: Path, source_sha256: str, store: Store, wall_s: float
) -> CommitRecord:
    """Take everything down. output: the finished file, still on this machine; wall_s: of the stitching."""
    video, results = task.video, task.results
    return CommitRecord(
        key=video.key,
        status="done",
        source=FileFacts(video.url, video.relative, video.size_bytes, source_sha256),
        identity=video.version,
        output=FileFacts(
            store.url_of(video.output), video.output, output.stat().st_size, sha256_file(output)
        ),
        duration_s=round(task.info.video.duration_s, 3),
        frames=report.frames,
        segments=len(task.spans),
        faces=report.faces or FacesCount(),
        review=report.review,
        review_more=report.review_more,
        plan_sha256=task.plan.digest,
        plan=task.plan.to_json(),
        nets=_nets(task.plan),
        versions=versions_here(),
        notes=_notes(task, report),
        details=_details(task, report),
        run=VideoCost(
            finished_at=now(),
            wall_s=round(wall_s + sum(result.wall_s for result in results), 3),
            cpu_s=round(sum(result.cpu_s for result in results), 3),
            seconds=_seconds(results, wall_s),
            redone=task.redone,
            reused=task.reused,
        ),
    )


def _details(task: FinishTask, report: StitchReport) -> dict[str, Any]:
    """The accounts of stitching and effects, by names that people know, not of files on a worker's disk."""
    details = report.to_json()
    names = {"source": task.video.relative, "output": task.video.output}
    effects = summed([result.effects for result in task.results])
    return {**details, "fidelity": {**details["fidelity"], **names}, "effects": effects}


def _nets(plan: Plan) -> tuple[NetUse, ...]:
    """Every net that the plan looks with, with its licence."""
    if plan.landmarker is None:
        return plan.detector.nets
    return (*plan.detector.nets, get_card(plan.landmarker.net).use)


def _notes(task: FinishTask, report: StitchReport) -> tuple[str, ...]:
    """What a person should know without reading the whole record."""
    notes = [f"removed {extra.kind}: {extra.reason}" for extra in report.sink.removed]
    if task.plan.analysed:
        notes.append(f"faces as found {task.plan.analysed}, which a new look may find otherwise")
    if report.damage:
        notes.append(f"the input is damaged: {report.damage}")
    if report.split:
        notes.append(
            f"{report.split} faces could not be followed across a cut and have a number on each side"
        )
    effects = summed([result.effects for result in task.results])
    for kind, said in (("blackouts", "blacked out"), ("skipped", "left without the effect")):
        for reason, count in effects.get(kind, {}).items():
            notes.append(f"{count} times {said}: {reason}")
    return tuple(notes)


def _seconds(results: Sequence[SegmentResult], stitching_s: float) -> dict[str, float]:
    """Working time by stage, over all segments."""
    seconds: Counter[str] = Counter()
    for result in results:
        for row in result.stages:
            seconds[row["stage"]] += row["busy_s"] + row["setup_s"]
    return {**{stage: round(spent, 3) for stage, spent in seconds.items()}, "stitch": round(stitching_s, 3)}
