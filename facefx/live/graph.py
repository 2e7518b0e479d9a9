"""The pipeline's stages for one live stream, frame by frame; effects are changed between two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from facefx.effects.kernels import use_one_thread
from facefx.errors import FacefxError, StageError
from facefx.faces.live import LiveAnalyzer
from facefx.faces.live_policy import LivePolicy
from facefx.pipeline.live_plan import LivePlan
from facefx.pipeline.loop import guarded
from facefx.pipeline.nets import Nets, make_chain
from facefx.pipeline.stage import Stage, Work
from facefx.pipeline.stages import BlendStage, DetectStage, LandmarkStage
from facefx.values import FrameBatch, Patch
from facefx.video.info import VideoInfo

__all__ = ["LiveGraph", "Made", "StageFailed", "check_plan"]


T = TypeVar("T")


class Made(NamedTuple):
    """What was made of one frame: its patches, and how many faces it has."""

    patches: tuple[Patch, ...]
    faces: int


class StageFailed(Exception):
    """A stage raised at one frame; the cause, an error of the tree, is chained."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


def check_plan(plan: LivePlan, video: VideoInfo, nets: Nets) -> None:
    """Load what a plan needs and prepare its chain once, so that what fails does before any frame.

    Raises EffectError, ConfigError, ModelError.
    """
    nets.detector(plan.detector)
    if plan.landmarker is not None:
        nets.mesh(plan.landmarker)
    make_chain(plan.effects, video.format, plan.seed_bytes, nets, plan.detector.device).close()


class LiveGraph:
    """Detect ▶ landmark ▶ blend. One thread makes, uses and closes it; nets stay the caller's to close.

    spent is told of each stage's name and seconds.
    """

    def __init__(self, plan: LivePlan, video: VideoInfo, nets: Nets, clock: Callable[[], float]) -> None:
        self.plan = plan
        self._video, self._nets, self._clock = video, nets, clock
        self._detect = DetectStage(plan, video, nets=nets)
        self._landmark: LandmarkStage | None = None
        self._blend: BlendStage | None = None

    @property
    def analyzer(self) -> LiveAnalyzer:
        """Who follows the faces, once everything is set up."""
        assert isinstance(self._detect.analyzer, LiveAnalyzer), "the plan's policy is live"
        return self._detect.analyzer

    @property
    def effects(self) -> dict[str, object]:
        """What the chain did so far."""
        chain = None if self._blend is None else self._blend.chain
        return {} if chain is None else chain.stats.to_json()

    def setup(self) -> None:
        """Load and prepare everything, and look once, which makes the nets' memory."""
        use_one_thread()
        guarded(self._detect.name, self._detect.setup)
        self._prepare(self.plan)
        detector = self._nets.detector(self.plan.detector)
        guarded(self._detect.name, lambda: detector.detect(_blank(self._video), [0]))

    def process(self, plan: LivePlan, batch: FrameBatch, spent: dict[str, float]) -> Made:
        """Make the patches of a batch of one frame, and count its faces; spent: filled with seconds by stage.

        The batch is looked at through views of its own, so that whoever covers it meanwhile may write to it.

        Raises StageFailed.
        """
        if plan is not self.plan:
            self._step("blend", spent, lambda: self._change(plan))
        work = Work(FrameBatch(batch.format, (batch.view(0),), batch.pts, batch.index))
        work = self._run(self._detect, work, spent)
        if self._landmark is not None:
            work = self._run(self._landmark, work, spent)
        assert self._blend is not None
        work = self._run(self._blend, work, spent)
        return Made(work.patches, 0 if work.faces is None else len(work.faces))

    def close(self) -> None:
        """Let every stage go."""
        for stage in (self._blend, self._landmark, self._detect):
            if stage is not None:
                stage.close()

    def _run(self, stage: Stage, work: Work, spent: dict[str, float]) -> Work:
        return self._step(stage.name, spent, lambda: _only(stage, work))

    def _step(self, name: str, spent: dict[str, float], call: Callable[[], T]) -> T:
        began = self._clock()
        try:
            return guarded(name, call)
        except FacefxError as error:
            raise StageFailed(name) from error
        finally:
            spent[name] = spent.get(name, 0.0) + self._clock() - began

    def _change(self, plan: LivePlan) -> None:
        """Put a new chain in the old one's place; faces that are followed stay."""
        old = self._blend
        self._prepare(plan)
        if old is not None:
            old.close()
        assert isinstance(plan.policy, LivePolicy), "a live plan's policy is live"
        self.analyzer.adopt(plan.policy)
        self.plan = plan

    def _prepare(self, plan: LivePlan) -> None:
        """Make the blend stage, and the landmark stage where it is needed and not there."""
        landmark = self._landmark if plan.landmarker == self.plan.landmarker else None
        if plan.landmarker is not None and landmark is None:
            landmark = LandmarkStage(plan.landmarker, self._video, nets=self._nets)
            landmark.setup()
        blend = BlendStage(plan, self._video.format, nets=self._nets)
        blend.setup()
        self._landmark, self._blend = landmark, blend


def _only(stage: Stage, work: Work) -> Work:
    """What a stage that keeps nothing back makes of a frame."""
    made = stage.process(work)
    if len(made) != 1:
        raise StageError(f"stage {stage.name} of a live stream: expected each frame back, got {len(made)}")
    return made[0]


def _blank(video: VideoInfo) -> FrameBatch:
    """A black frame."""
    black = Patch.black(video.format, 0)
    zero = np.zeros(1, np.int64)
    return FrameBatch(video.format, (black.planes,), zero, zero)
