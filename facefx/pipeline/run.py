"""One video in, the same video out with its faces changed; published only when verified."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from facefx.config import RunConfig
from facefx.errors import FacefxError, UsageError
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.plan import Plan, make_plan
from facefx.pipeline.report import RunReport
from facefx.pipeline.stages import BlendStage, DecodeStage, DetectStage, EncodeStage
from facefx.storage import Publication, publishing, same_place, sha256_file, staged
from facefx.telemetry.ledger import Ledger
from facefx.video.fidelity import Contract, FidelityReport, verify
from facefx.video.info import MediaInfo
from facefx.video.probe import probe
from facefx.video.sink import SinkReport
from facefx.video.source import Damage

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
    startup_s: float = 0.0
    frames: int = 0

    @property
    def written(self) -> SinkReport:
        """What the sink says it wrote, once it has finished."""
        assert self.encode.report is not None
        return self.encode.report

    @property
    def damage(self) -> Damage:
        """What of the source could not be read."""
        assert self.decode.source is not None
        return self.decode.source.damage


def run_video(
    source: str,
    output: str,
    config: RunConfig,
    progress: Progress | None = None,
    started: float | None = None,
    hashes: bool = True,
) -> RunReport:
    """Process one video and publish it under its name, whole and verified, or not at all.

    source, output: paths or URLs. progress: called with (frames done, frames expected) after
    each batch. started: time.time() at which the caller began, for the start-up figure. hashes:
    put the sha256 of both files into the report, for which they are read once more.

    Raises any error of the tree; then nothing stands under the output's name that was not there.
    """
    began = time.time() if started is None else started
    if same_place(source, output):
        raise UsageError(f"{output}: output is the input; give it another name")
    with staged(source) as local, publishing(output) as publication, _named(publication):
        info = probe(local)
        plan = make_plan(config, info, Path(output))
        job = _build(local, publication.path, info, plan, config, began)
        _process(job, progress)
        checked = verify(local, publication.path, _contract(job))
        checked.raise_if_broken()
        report = _report(job, source, output, checked)
        if hashes:
            report.hash_files(sha256_file(local), sha256_file(publication.path))
        publication.commit()
    return report


@contextmanager
def _named(publication: Publication) -> Iterator[None]:
    """Have errors speak of the output's own name: nobody knows the temporary one."""
    try:
        yield
    except FacefxError as error:
        error.args = (str(error).replace(str(publication.path), publication.url), *error.args[1:])
        raise


def _build(local: Path, target: Path, info: MediaInfo, plan: Plan, config: RunConfig, began: float) -> _Job:
    ledger = Ledger(["decode", "detect", "blend", "encode"])
    job = _Job(
        info,
        plan,
        config,
        ledger,
        DecodeStage(local, info, plan),
        DetectStage(plan, info.video),
        BlendStage(plan, info.video.format),
        EncodeStage(target, info, plan),
    )

    def on_first() -> None:
        job.startup_s = time.time() - began

    job.encode.on_first = on_first
    return job


def _process(job: _Job, progress: Progress | None) -> None:
    runner = InlineRunner(job.decode, (job.detect, job.blend, job.encode), job.ledger, job.config.threads)
    with closing(runner.stream()) as stream:
        for work in stream:
            job.frames += len(work.batch)
            if progress is not None:
                progress(job.frames, job.info.video.frames_expected)


def _contract(job: _Job) -> Contract:
    plan = job.plan
    return Contract(
        audio=plan.audio,
        metadata=plan.metadata,
        from_s=plan.from_s,
        to_s=plan.to_s,
        removed=frozenset(extra.stream for extra in job.written.removed if extra.stream is not None),
        codec=plan.encode.codec,
        on_damage=plan.on_damage,
        readable=job.damage.decoded if plan.on_damage == "keep" else None,
        written=job.written.frames,
    )


def _report(job: _Job, source: str, output: str, checked: FidelityReport) -> RunReport:
    assert job.detect.analyzer is not None
    assert job.blend.chain is not None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes, but bytes on macOS
    faces = job.detect.analyzer.stats.to_json()
    return RunReport(
        source=source,
        output=output,
        plan=job.plan,
        frames=job.frames,
        faces=faces,
        effects=job.blend.chain.stats.to_json(),
        carried=_carried(job.written),
        damage=asdict(job.damage),
        fidelity=checked.to_json(),
        stages=job.ledger.rows(),
        startup_s=job.startup_s,
        wall_s=job.ledger.wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_rss_bytes=usage.ru_maxrss * scale,
        notes=_notes(job),
    )


def _carried(written: SinkReport) -> dict[str, object]:
    return {
        "packets_by_stream": {str(stream): count for stream, count in written.copied.items()},
        "removed": [asdict(extra) for extra in written.removed],
        "dropped_tags": list(written.dropped_tags),
    }


def _notes(job: _Job) -> tuple[str, ...]:
    """What a person should know without reading the whole report."""
    assert job.blend.chain is not None
    stats = job.blend.chain.stats
    notes = [f"removed {extra.kind}: {extra.reason}" for extra in job.written.removed]
    if job.damage:
        notes.append(f"the input is damaged: {job.damage}")
    for reason, count in {**stats.blackouts, **stats.skipped}.items():
        what = "blacked out" if reason in stats.blackouts else "left without the effect"
        notes.append(f"{count} frames {what}: {reason} ({stats.first.get(reason, '')})")
    return tuple(notes)
