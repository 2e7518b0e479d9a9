"""What an archive asks of its workers: plain values that cross processes, and what comes back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import facefx
from facefx.config import RunConfig
from facefx.effects.who import Who
from facefx.errors import UsageError
from facefx.faces.analysis import Analysis
from facefx.pipeline.plan import Plan, effect_specs, hidden_seed, plain_plan, without_reasons
from facefx.pipeline.segment import SegmentResult, Span
from facefx.storage import StorageOptions
from facefx.video.info import MediaInfo

__all__ = [
    "AloneTask",
    "ChooseTask",
    "Chosen",
    "FinishTask",
    "Finished",
    "PrepareTask",
    "Prepared",
    "Recipe",
    "SegmentTask",
    "Task",
    "VideoRef",
    "task_limit_s",
    "task_name",
]

# A worker that hangs must not hold its video for ever. 4K in HEVC takes half a minute a second on one core.
_LEAST_LIMIT_S, _SLOWEST, _SLOWEST_BYTES = 600.0, 150.0, 1e6
# Part of every segment's name: raise it when the same plan would make other bytes, or other files of it.
_SEGMENT_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that the results of one archive depend on, besides the videos.

    Raises UsageError where an effect is for certain tracks: each segment numbers its own.

    target: URL of the folder of outputs. analysis: how faces are found, fixed once for all videos by a
    worker; None until then. kept: URL of another archive's target whose stored faces are used: nobody
    looks again. alone_memory_bytes, alone_timeout_s: limits of a segment's last try.
    """

    config: RunConfig
    target: str
    segment_s: float | None = 20.0
    source_options: StorageOptions = field(default_factory=StorageOptions)
    target_options: StorageOptions = field(default_factory=StorageOptions)
    analysis: Analysis | None = None
    kept: str | None = None
    alone_memory_bytes: int = 8 << 30
    alone_timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        for spec in effect_specs(self.config) if self.kept is None else ():
            if Who.parse(spec.who).names_tracks:
                raise UsageError(
                    f"effect {spec.name}: who={spec.who!r}: tracks have no numbers while an archive is made; "
                    "choose by place or size, or use facefx archive render on an archive that is done"
                )

    def to_json(self) -> dict[str, Any]:
        """What is fixed, as plain values: the same for every run that may share a target."""
        config = self.config.model_dump(mode="json", exclude={"threads"})
        config["effects"] = [spec.entry() for spec in effect_specs(self.config)]
        del config["select"]  # each effect says it itself by now
        config["seed"] = hidden_seed(self.config.seed)
        analysis = None if self.analysis is None else without_reasons(plain_plan(self.analysis))
        return {
            "facefx": facefx.__version__,
            "segment_format": _SEGMENT_FORMAT,
            "segment_s": self.segment_s,
            "config": json.loads(json.dumps(config, default=str)),
            "analysis": analysis,
            "kept": self.kept,
        }

    @property
    def digest(self) -> str:
        """Hex sha256 of what is fixed."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def with_analysis(self, analysis: Analysis) -> Recipe:
        """The same, with the way of looking settled."""
        return replace(self, analysis=analysis)


@dataclass(frozen=True, slots=True)
class VideoRef:
    """One video of an archive. key: names its records; relative, output: below source root and target."""

    key: str
    url: str
    relative: str
    output: str
    size_bytes: int
    version: str

    @staticmethod
    def key_of(output: str) -> str:
        """The key of the video whose result has this relative name: no two results share a name.

        >>> VideoRef.key_of("a/b.mp4") == VideoRef.key_of("a/b.mp4"), len(VideoRef.key_of("x"))
        (True, 24)
        """
        return hashlib.sha256(output.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class ChooseTask:
    """Settle how faces are found, on a machine that will look for them."""

    recipe: Recipe
    landmarks: bool
    key: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settled analysis."""

    analysis: Analysis


@dataclass(frozen=True, slots=True)
class PrepareTask:
    """Stage a video, identify it, probe it, plan it, cut it, and see which segments are there already."""

    recipe: Recipe
    video: VideoRef

    @property
    def key(self) -> str:
        """The video's key."""
        return self.video.key


@dataclass(frozen=True, slots=True)
class Prepared:
    """A video ready to be worked on. done: results of the segments that an earlier run left."""

    identity: str
    info: MediaInfo
    plan: Plan
    spans: tuple[Span, ...]
    done: tuple[SegmentResult, ...]


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """Process one segment and put it into the store."""

    recipe: Recipe
    video: VideoRef
    identity: str
    info: MediaInfo
    plan: Plan
    span: Span

    @property
    def key(self) -> str:
        """The video's key."""
        return self.video.key

    @property
    def name(self) -> str:
        """The segment's name in the store: of its input, its place in it, and its plan."""
        return segment_name(self.identity, self.plan, self.span)


@dataclass(frozen=True, slots=True)
class FinishTask:
    """Put the segments together, verify, publish, and write the commit record."""

    recipe: Recipe
    video: VideoRef
    identity: str
    info: MediaInfo
    plan: Plan
    spans: tuple[Span, ...]
    results: tuple[SegmentResult, ...]
    redone: int = 0
    reused: int = 0

    @property
    def key(self) -> str:
        """The video's key."""
        return self.video.key


@dataclass(frozen=True, slots=True)
class Finished:
    """The video is published, and its record (as JSON) is in the store."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AloneTask:
    """The last try of a task that took its worker with it three times: in a child with limits."""

    task: PrepareTask | SegmentTask | FinishTask

    @property
    def key(self) -> str:
        """The video's key."""
        return self.task.key

    @property
    def recipe(self) -> Recipe:
        """The task's recipe."""
        return self.task.recipe


Task = ChooseTask | PrepareTask | SegmentTask | FinishTask | AloneTask


def segment_name(identity: str, plan: Plan, span: Span) -> str:
    """Number and hash: sorts in order of time, and is the same only for the same work."""
    plain = [_SEGMENT_FORMAT, identity, plan.digest, span.number, span.count, span.lo, span.hi]
    digest = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
    return f"{span.number:06d}-{digest[:32]}"


def task_limit_s(task: Task) -> float:
    """How long a task may take before its worker is taken for dead: far more than any was seen to take."""
    match task:
        case ChooseTask():
            return _LEAST_LIMIT_S
        case SegmentTask():
            lasts_s = task.info.video.duration_s / task.span.count
            return _LEAST_LIMIT_S + _SLOWEST * (lasts_s + 10)
        case AloneTask():
            return task.recipe.alone_timeout_s + _LEAST_LIMIT_S
    return _LEAST_LIMIT_S + 3 * task.video.size_bytes / _SLOWEST_BYTES


def task_name(task: Task) -> str:
    """A task in a few words, for a log."""
    match task:
        case AloneTask():
            return f"{task_name(task.task)}, alone"
        case ChooseTask():
            return "choosing the nets"
        case PrepareTask():
            return f"{task.video.relative}: preparing"
        case SegmentTask():
            return f"{task.video.relative}: segment {task.span.number + 1} of {task.span.count}"
        case FinishTask():
            return f"{task.video.relative}: finishing"
