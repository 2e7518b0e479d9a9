"""What a worker does for an archive: prepare a video, process a segment, put a video together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from facefx.archive.contact import contact_sheet
from facefx.archive.publish import record_of
from facefx.archive.scratch import default_root, scratch_folder
from facefx.archive.state import State
from facefx.archive.tasks import (
    AloneTask,
    ChooseTask,
    Chosen,
    Finished,
    FinishTask,
    Prepared,
    PrepareTask,
    Recipe,
    SegmentTask,
    Task,
    VideoRef,
    segment_name,
)
from facefx.config import RunConfig
from facefx.errors import ConfigError, FacesError, PieceError, SinkError, SourceError, StagingError
from facefx.faces.analysis import Analysis
from facefx.pipeline.kept import opened_table, video_facts
from facefx.pipeline.nets import check_nets
from facefx.pipeline.plan import effect_specs, make_analysis, make_plan
from facefx.pipeline.segment import Nets, SegmentJob, SegmentResult, run_segment
from facefx.pipeline.stitch import spans_of, stitch
from facefx.storage import StagingCache, Store, is_local, sha256_file, speaking_of
from facefx.video.info import MediaInfo
from facefx.video.probe import probe

__all__ = ["CACHE_BYTES", "LocalTools", "Tools", "execute", "private_folder"]

_SHA256 = "sha256:"  # how the identity of a local video begins

CACHE_BYTES = 64 << 30
"""Room for staged sources on a worker's disk, if nobody says otherwise."""


class Tools(Protocol):
    """What a lane lends to a task.

    scratch: a private folder on this machine, empty between tasks. where: the lane's name, for evidence.
    """

    nets: Nets
    cache: StagingCache
    scratch: Path
    where: str

    def run_segment(self, job: SegmentJob) -> SegmentResult:
        """Process a segment: in this process, or spread over several."""


@dataclass(slots=True)
class LocalTools:
    """Tools of a worker that does everything in its own process."""

    nets: Nets
    cache: StagingCache
    scratch: Path
    where: str

    @classmethod
    @contextmanager
    def opened(
        cls,
        root: Path | None = None,
        *,
        where: str,
        owner: str = "",
        cache: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> Iterator[Self]:
        """Lend tools for the length of a block.

        root: folder below which scratch space and the cache of sources lie; cache: another for the latter,
        which all workers of a machine may share. owner: the run that the scratch space is for.

        Raises SinkError where root cannot be written.
        """
        root = default_root() if root is None else root
        with scratch_folder(root, owner) as scratch, Nets() as nets:
            yield cls(nets, StagingCache(cache or root / "sources", cache_bytes), scratch, where)

    def run_segment(self, job: SegmentJob) -> SegmentResult:
        """Process a segment here."""
        return run_segment(job, self.nets)


def execute(task: Task, tools: Tools) -> Any:
    """Carry a task out; what it returns crosses processes.

    Raises any error of the tree, in the words of the source's and the output's own names.
    """
    match task:
        case ChooseTask():
            _check_look(task.recipe.config)
            chosen = make_analysis(task.recipe.config, landmarks=task.landmarks)
            check_nets(effect_specs(task.recipe.config), tools.nets, chosen.detector.device)
            return Chosen(chosen)
        case PrepareTask():
            return _prepare(task, tools)
        case SegmentTask():
            return _segment(task, tools)
        case FinishTask():
            return _finish(task, tools)
        case AloneTask():
            from facefx.archive.alone import run_alone  # which needs this module in its child

            return run_alone(task, tools)


def _check_look(config: RunConfig) -> None:
    """A live policy's faces depend on all that came before, so a video that is cut would not be itself."""
    if config.policy.look == "live":
        raise ConfigError(
            "policy.look is live, which an archive cannot use: its videos are worked on in segments; "
            "leave it out, or use facefx run"
        )


def _state(recipe: Recipe) -> State:
    return State(Store(recipe.target, recipe.target_options))


def _prepare(task: PrepareTask, tools: Tools) -> Prepared:
    recipe, video = task.recipe, task.video
    with _source(recipe, video, tools) as local:
        identity = _identity(video, tools, recipe)
        info = probe(local)
        info.require_supported()
        kept = _kept_analysis(recipe, video, local, info, tools)
        plan = make_plan(recipe.config, info, Path(video.output), kept, recipe.analysis)
        spans = spans_of(local, info, recipe.segment_s, recipe.config.from_s, recipe.config.to_s)
    with _of_the_store():
        stored = _state(recipe).segments(video.key)
    named = {segment_name(identity, plan, span) for span in spans}
    done = tuple(result for name, result in stored.items() if name in named)
    return Prepared(identity, info, plan, spans, done)


def _identity(video: VideoRef, tools: Tools, recipe: Recipe) -> str:
    """What a video is: its content where it lies on a disk, what a store says of it elsewhere."""
    if is_local(video.url):
        return f"{_SHA256}{tools.cache.sha256_of(video.url, video.version, recipe.source_options)}"
    return f"{video.url} {video.version} {video.size_bytes}"


def _sha256_of(task: FinishTask, tools: Tools) -> str:
    """The source's hash: taken when it was prepared, or while it was fetched."""
    if task.identity.startswith(_SHA256):
        return task.identity.removeprefix(_SHA256)
    return tools.cache.sha256_of(task.video.url, task.video.version, task.recipe.source_options)


def _kept_analysis(
    recipe: Recipe, video: VideoRef, local: Path, info: MediaInfo, tools: Tools
) -> Analysis | None:
    """How the faces were found that an earlier archive kept of this very video; None where nobody asks."""
    if recipe.kept is None:
        return None
    with (
        private_folder(tools, "kept") as folder,
        opened_table(str(_kept_table(recipe, video, folder))) as table,
    ):
        table.check_video(video_facts(local, video.url, info))
        return table.header.analysis


def _kept_table(recipe: Recipe, video: VideoRef, folder: Path) -> Path:
    assert recipe.kept is not None
    state = State(Store(recipe.kept, recipe.target_options))
    table, name = folder / "kept.parquet", state.faces_name(video.key)
    with _of_the_store():
        if not state.store.exists(name):
            raise FacesError(
                f"{video.relative}: {state.store.url} keeps no faces of it; finish it there first, or "
                "process it anew with facefx archive run"
            )
        state.store.get(name, table)
    return table


def _segment(task: SegmentTask, tools: Tools) -> SegmentResult:
    recipe, video, name = task.recipe, task.video, task.name
    state = _state(recipe)
    with _of_the_store():
        stored = state.segment(video.key, name)
    if stored is not None:
        return stored  # its worker died after the work and before the word
    with _source(recipe, video, tools) as local, private_folder(tools, name) as folder:
        table = None if recipe.kept is None else _kept_table(recipe, video, folder)
        job = SegmentJob(
            local=local,
            info=replace(task.info, path=str(local)),
            plan=task.plan,
            span=task.span,
            piece=folder / "piece",
            faces=folder / "faces.parquet" if table is None else None,
            table=table,
        )
        result = tools.run_segment(job)
        state.put_segment(video.key, name, job.piece, job.faces, result)
    return result


def _finish(task: FinishTask, tools: Tools) -> Finished:
    recipe, video = task.recipe, task.video
    state, began = _state(recipe), time.monotonic()
    with _source(recipe, video, tools) as local, private_folder(tools, video.key) as folder:
        pieces = _fetched(state, task, folder)
        target = folder / f"output{Path(video.output).suffix}"
        faces = folder / "faces.parquet" if recipe.kept is None else None
        table = None if recipe.kept is None else _kept_table(recipe, video, folder)
        with speaking_of(target, state.store.url_of(video.output)):
            sha256 = _sha256_of(task, tools)
            report = stitch(
                local,
                replace(task.info, path=str(local)),
                task.plan,
                pieces,
                target,
                faces,
                name=video.url,
                sha256=sha256,
                table=table,
            )
            record = record_of(task, report, target, sha256, state.store, time.monotonic() - began)
            _publish(state, task, target, faces or table, folder)
        state.write_record(record)
    state.remove_segments(video.key)
    return Finished(record.to_json())


def _fetched(state: State, task: FinishTask, folder: Path) -> list[tuple[Path, Path | None]]:
    """The segments as local files; what is not as it was made is removed from the store, to be made again.

    Raises PieceError.
    """
    fetched, damaged = [], []
    for span, result in zip(task.spans, task.results, strict=True):
        name = segment_name(task.identity, task.plan, span)
        with _of_the_store():
            files = state.get_segment(task.key, name, folder, faces=task.recipe.kept is None)
        if files is None or _sums(*files) != (result.piece_sha256, result.faces_sha256):
            state.remove_segment(task.key, name)
            damaged.append(str(span.number + 1))
        else:
            fetched.append(files)
    if damaged:
        raise PieceError(
            f"{task.video.relative}: segments {', '.join(damaged)} are not as they were made, and "
            "were removed from the store; they are made again"
        )
    return fetched


def _sums(piece: Path, faces: Path | None) -> tuple[str, str]:
    return sha256_file(piece), "" if faces is None else sha256_file(faces)


def _publish(state: State, task: FinishTask, target: Path, faces: Path | None, folder: Path) -> None:
    """Everything that belongs to an output, and the output last: what has its name is complete."""
    sheet = folder / "sheet.jpg"
    sheet.write_bytes(contact_sheet(target))
    state.store.put(state.sheet_name(task.key), sheet)
    if faces is not None:
        state.store.put(state.faces_name(task.key), faces)
    state.store.put(task.video.output, target)


@contextmanager
def _source(recipe: Recipe, video: VideoRef, tools: Tools) -> Iterator[Path]:
    """The video as a local file, the very version that the archive was planned with."""
    with ExitStack() as held:
        with _of_the_store():
            local = held.enter_context(tools.cache.hold(video.url, video.version, recipe.source_options))
        with speaking_of(local, video.url):
            yield local


@contextmanager
def _of_the_store() -> Iterator[None]:
    """What a store does not give, of sources or of its own files, is no fault of the video: try again."""
    try:
        yield
    except SourceError as error:
        raise StagingError(str(error)) from error


@contextmanager
def private_folder(tools: Tools, name: str) -> Iterator[Path]:
    """A folder for one task, empty at first and gone after it."""
    folder = tools.scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise SinkError(
            f"{folder}: cannot be made: {error.strerror}; choose another place with --scratch"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
