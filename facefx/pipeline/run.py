"""One video in, the same video out with its faces changed; published only when verified."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facefx.config import RunConfig
from facefx.errors import UsageError
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.plan import Plan, make_plan
from facefx.pipeline.report import RunReport, process_cost
from facefx.pipeline.stage import Finder, Stage
from facefx.pipeline.stages import BlendStage, DecodeStage, DetectStage, EncodeStage, LandmarkStage
from facefx.pipeline.tracing import entered, ledger_of
from facefx.storage import publishing, same_place, sha256_file, staged
from facefx.telemetry.ledger import Ledger
from facefx.video.fidelity import Contract, FidelityReport, verify
from facefx.video.info import MediaInfo
from facefx.video.probe import probe
from facefx.video.sink import SinkReport
from facefx.video.source import Damage

if TYPE_CHECKING:
    from facefx.faces.kept import FacesTable

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
    find: Finder
    landmark: LandmarkStage | None
    blend: BlendStage
    encode: EncodeStage
    table: FacesTable | None = None
    startup_s: float = 0.0
    frames: int = 0

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What the plan needs, behind the decoder."""
        meshed = () if self.landmark is None else (self.landmark,)
        return (self.find, *meshed, self.blend, self.encode)

    @property
    def landmarks(self) -> dict[str, Any] | None:
        """What was looked at for landmarks, now or when the table was made; None where nobody needs them."""
        if self.plan.landmarker is not None and self.table is not None:
            return self.table.header.landmarks
        return None if self.landmark is None else self.landmark.found

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
    faces: str | None = None,
    trace: Path | None = None,
) -> RunReport:
    """Process one video and publish it under its name, whole and verified, or not at all.

    source, output: paths or URLs. progress: called with (frames done, frames expected) after
    each batch. started: time.time() at which the caller began, for the start-up figure. hashes:
    put the sha256 of both files into the report, for which they are read once more. faces: a table of
    this video's faces, path or URL: they are taken from there, and no net is loaded.
    trace: local file for every stamp of the ledger; that of a run that fails is written too.

    Raises any error of the tree; then nothing stands under the output's name that was not there.
    """
    began = time.time() if started is None else started
    if same_place(source, output):
        raise UsageError(f"{output}: output is the input; give it another name")
    if faces is not None and same_place(faces, output):
        raise UsageError(f"{output}: output is the table of faces; give it another name")
    with (
        ledger_of(source, output, trace, began) as ledger,
        entered(ledger, "fetch", staged(source)) as local,
        entered(ledger, "fetch", _opened(faces)) as table,
        publishing(output) as publication,
    ):
        with ledger.outside("probe"):
            info = probe(local)
            if table is not None:
                _check_video(table, local, source, info)
        with ledger.outside("plan"):
            plan = make_plan(config, info, Path(output), table.header.analysis if table else None)
            job = _build(local, publication.path, info, plan, config, began, table, ledger)
        _process(job, progress)
        job.encode.sink = None  # with its encoder's look-ahead, before verify needs memory of its own
        with ledger.outside("verify"):
            checked = verify(local, publication.path, _contract(job))
            checked.raise_if_broken()
        with ledger.outside("report"):
            report = _report(job, source, output, checked)
        if hashes:
            with ledger.outside("hash"):
                report.hash_files(sha256_file(local), sha256_file(publication.path))
        with ledger.outside("publish"):
            publication.commit()
        report.account = ledger.account()
    return report


def _build(
    local: Path,
    target: Path,
    info: MediaInfo,
    plan: Plan,
    config: RunConfig,
    began: float,
    table: FacesTable | None,
    ledger: Ledger,
) -> _Job:
    format = info.video.format
    meshed = (
        None if table is not None or plan.landmarker is None else LandmarkStage(plan.landmarker, info.video)
    )
    decode, find = DecodeStage(local, info, plan), _finder(info, plan, table)
    blend, encode = BlendStage(plan, format), EncodeStage(target, info, plan)
    ledger.declare([stage.name for stage in (decode, find, meshed, blend, encode) if stage is not None])
    job = _Job(info, plan, config, ledger, decode, find, meshed, blend, encode, table)

    def on_first() -> None:
        job.startup_s = time.time() - began
        ledger.mark("first frame out")

    job.encode.on_first = on_first
    return job


def _finder(info: MediaInfo, plan: Plan, table: FacesTable | None) -> Finder:
    """Who says where the faces are: the detector, or a table from which they were kept."""
    if table is None:
        return DetectStage(plan, info.video)
    from facefx.pipeline.kept import KeptStage

    looked = table.header.analysis
    part = (looked.from_s, looked.to_s) != (plan.from_s, plan.to_s)
    return KeptStage(table, landmarks=plan.landmarker is not None, part=part)


def _opened(faces: str | None) -> AbstractContextManager[FacesTable | None]:
    """The table of faces where one is given; only then is pyarrow loaded, which takes its time."""
    if faces is None:
        return nullcontext()
    from facefx.pipeline.kept import opened_table

    return opened_table(faces)


def _check_video(table: FacesTable, local: Path, source: str, info: MediaInfo) -> None:
    from facefx.pipeline.kept import video_facts

    table.check_video(video_facts(local, source, info))


def _process(job: _Job, progress: Progress | None) -> None:
    runner = InlineRunner(job.decode, job.stages, job.ledger, job.config.threads)
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
    assert job.blend.chain is not None
    cpu_s, peak = process_cost()
    return RunReport(
        source=source,
        output=output,
        plan=job.plan,
        frames=job.frames,
        faces=job.find.found,
        landmarks=job.landmarks,
        effects=job.blend.chain.stats.to_json(),
        carried=_carried(job.written),
        damage=asdict(job.damage),
        fidelity=checked.to_json(),
        stages=job.ledger.rows(),
        startup_s=job.startup_s,
        wall_s=job.ledger.wall_s,
        cpu_s=cpu_s,
        peak_rss_bytes=peak,
        table=None if job.table is None else _table(job.table),
        notes=_notes(job),
    )


def _carried(written: SinkReport) -> dict[str, object]:
    return {
        "packets_by_stream": {str(stream): count for stream, count in written.copied.items()},
        "removed": [asdict(extra) for extra in written.removed],
        "dropped_tags": list(written.dropped_tags),
    }


def _table(table: FacesTable) -> dict[str, Any]:
    """Where the faces came from, without having been looked for."""
    header = table.header
    return {"name": table.name, "facefx": header.analysis.version, "seen": asdict(header.seen)}


def _notes(job: _Job) -> tuple[str, ...]:
    """What a person should know without reading the whole report."""
    assert job.blend.chain is not None
    stats = job.blend.chain.stats
    notes = [f"removed {extra.kind}: {extra.reason}" for extra in job.written.removed]
    if job.plan.analysed:
        notes.append(f"faces as found {job.plan.analysed}, which a new look may find otherwise")
    if job.damage:
        notes.append(f"the input is damaged: {job.damage}")
    for reason, count in {**stats.blackouts, **stats.skipped}.items():
        if reason not in stats.first:  # nothing failed: what the effect needs was not there
            notes.append(f"{count} times a face was left without the effect in a frame: {reason}")
            continue
        what = "blacked out" if reason in stats.blackouts else "left without the effect"
        notes.append(f"{count} frames {what}: {reason} ({stats.first[reason]})")
    return tuple(notes)
