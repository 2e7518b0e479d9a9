"""One video in, the same video out with its faces changed; published only when verified."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from facefx.config import RunConfig
from facefx.errors import UsageError
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.plan import Plan, make_plan
from facefx.pipeline.report import RunReport
from facefx.pipeline.stages import BlendStage, DecodeStage, DetectStage, EncodeStage
from facefx.storage import publishing, same_place, sha256_file, staged
from facefx.telemetry.ledger import Ledger
from facefx.video.probe import MediaInfo, probe

__all__ = ["Progress", "run_video"]

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Job:
    """One run's own things, so that the steps below need no long argument lists."""

    info: MediaInfo
    plan: Plan
    config: RunConfig
    ledger: Ledger
    decode: DecodeStage
    detect: DetectStage
    blend: BlendStage
    encode: EncodeStage


def run_video(
    source: str,
    output: str,
    config: RunConfig,
    progress: Progress | None = None,
    started: float | None = None,
) -> RunReport:
    """Process one video and publish it under its name, whole and verified, or not at all.

    source, output: paths or URLs. progress: called with (frames done, frames expected) after
    each batch. started: time.time() at which the caller began, for the start-up figure.

    Raises any error of the tree; then nothing stands under the output's name that was not there.
    """
    began = time.time() if started is None else started
    if same_place(source, output):
        raise UsageError(f"{output}: output is the input; give it another name")
    with staged(source) as local, publishing(output) as publication:
        info = probe(local)
        suffix = publication.path.suffix
        plan = make_plan(config, info, suffix)
        job = _build(local, publication.path, info, plan, config)
        _process(job, progress)
        checked = _verify(job, local, publication.path)
        report = _report(job, source, output, checked, began)
        report.hash_files(sha256_file(local), sha256_file(publication.path))
        checked.raise_if_broken()
        publication.commit()
    return report


def _build(local: Path, target: Path, info: MediaInfo, plan: Plan, config: RunConfig) -> _Job:
    ledger = Ledger(["decode", "detect", "blend", "encode"])
    format = info.video.format
    return _Job(
        info,
        plan,
        config,
        ledger,
        DecodeStage(local, plan),
        DetectStage(plan, format),
        BlendStage(plan, format),
        EncodeStage(target, info, plan, ledger.mark_first_frame),
    )


def _process(job: _Job, progress: Progress | None) -> None:
    runner = InlineRunner(job.decode, (job.detect, job.blend, job.encode), job.ledger, job.config.threads)
    done = 0
    with closing(runner.stream()) as stream:  # type: ignore[type-var]
        for work in stream:
            done += len(work.batch)
            if progress is not None:
                progress(done, job.info.video.frames_expected)
