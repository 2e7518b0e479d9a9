"""The stages that a plan is made of; the same objects run inline, as actors and live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from facefx.effects.chain import EffectChain
from facefx.effects.kernels import use_one_thread
from facefx.errors import FacefxError
from facefx.faces.analysis import Analysis
from facefx.faces.landmarker import FaceLandmarker, LandmarkerSpec
from facefx.faces.live import Analyzer, make_analyzer
from facefx.pipeline.nets import Nets, make_chain
from facefx.pipeline.plan import Blending, Plan
from facefx.pipeline.stage import Work
from facefx.values import Faces, FrameBatch, StreamFormat
from facefx.video.info import MediaInfo, VideoInfo
from facefx.video.sink import SinkReport, VideoSink
from facefx.video.source import VideoSource

__all__ = ["BlendStage", "DecodeStage", "DetectStage", "EncodeStage", "LandmarkStage"]


class DecodeStage:
    """Bytes → frames: the source of the graph."""

    name = "decode"

    def __init__(self, path: Path, info: MediaInfo, analysis: Analysis, threads: int = 1) -> None:
        self._path = path
        self._info = info
        self._analysis = analysis
        self._threads = threads
        self.source: VideoSource | None = None

    def setup(self) -> None:
        """Open the file behind its guard."""
        self.source = VideoSource(
            self._path,
            on_damage=self._analysis.on_damage,
            from_s=self._analysis.from_s,
            to_s=self._analysis.to_s,
            threads=self._threads,
            info=self._info,
        )

    def items(self) -> Iterator[Work]:
        """Yield batches in presentation order."""
        assert self.source is not None
        for batch in self.source.batches():
            yield Work(batch)

    def close(self) -> None:
        """Close the file."""
        if self.source is not None:
            self.source.close()


class DetectStage:
    """Frames → faces: looks where it must, tracks and fills; keeps back what its policy looks ahead.

    anchor_pts: where the grid of looks begins, for a stretch that is to give what the whole would.
    counted: lo ≤ pts < hi of the frames that `found` counts. nets: whose detector is used; otherwise its own.
    """

    name = "detect"

    def __init__(
        self,
        analysis: Analysis,
        video: VideoInfo,
        anchor_pts: int | None = None,
        *,
        counted: tuple[int | None, int | None] = (None, None),
        nets: Nets | None = None,
    ) -> None:
        self._analysis = analysis
        self._video = video
        self._anchor = anchor_pts
        self._counted = counted
        self._nets, self._owned = nets or Nets(), nets is None
        self.analyzer: Analyzer | None = None

    @property
    def found(self) -> dict[str, Any]:
        """What was looked at and found so far, for a report."""
        assert self.analyzer is not None
        return self.analyzer.stats.to_json()

    def setup(self) -> None:
        """Load the nets that the plan names."""
        self.analyzer = make_analyzer(
            self._nets.detector(self._analysis.detector),
            self._analysis.policy,
            self._video.format,
            anchor_pts=self._anchor,
            frame_period=_period(self._video),
            counted=self._counted,
        )

    def process(self, work: Work) -> Sequence[Work]:
        """Take a batch; hand out those whose faces are final."""
        assert self.analyzer is not None
        return _with_faces(self.analyzer.push(work.batch))

    def flush(self) -> Sequence[Work]:
        """Conclude from what was seen; nothing more comes."""
        assert self.analyzer is not None
        return _with_faces(self.analyzer.flush())

    def close(self) -> None:
        """Let the nets go, where they are its own."""
        if self._owned:
            self._nets.close()


def _period(video: VideoInfo) -> Fraction | None:
    """Seconds from frame to frame, where that is the same throughout."""
    rate = None if video.variable_rate else video.average_rate
    return 1 / rate if rate else None


def _with_faces(ready: Sequence[tuple[FrameBatch, Faces]]) -> list[Work]:
    return [Work(batch, faces) for batch, faces in ready]


class LandmarkStage:
    """Faces → faces with landmarks: follows each track's mesh; keeps back twice its spec's leap_s, if any.

    anchor_pts: where the grid of key frames begins, for a stretch that is to give what the whole would.
    nets: whose net is used; otherwise its own.
    """

    name = "landmark"

    def __init__(
        self,
        spec: LandmarkerSpec,
        video: VideoInfo,
        anchor_pts: int | None = None,
        *,
        nets: Nets | None = None,
    ) -> None:
        self._spec = spec
        self._video = video
        self._anchor = anchor_pts
        self._nets = nets
        self.landmarker: FaceLandmarker | None = None

    @property
    def found(self) -> dict[str, Any]:
        """What was looked at and found so far, for a report."""
        assert self.landmarker is not None
        return self.landmarker.stats.to_json()

    def setup(self) -> None:
        """Load the net that the plan names."""
        use_one_thread()
        self.landmarker = FaceLandmarker(
            self._spec,
            self._video.format,
            net=None if self._nets is None else self._nets.mesh(self._spec),
            anchor_pts=self._anchor,
            frame_period=_period(self._video),
        )

    def process(self, work: Work) -> Sequence[Work]:
        """Take a batch and its faces; hand out those whose landmarks are final."""
        assert self.landmarker is not None
        assert work.faces is not None
        return _with_faces(self.landmarker.push(work.batch, work.faces))

    def flush(self) -> Sequence[Work]:
        """Look at what still waits; nothing more comes."""
        assert self.landmarker is not None
        return _with_faces(self.landmarker.flush())

    def close(self) -> None:
        """Let the net go."""
        if self.landmarker is not None:
            self.landmarker.close()


class BlendStage:
    """Faces → patches: the effects, in the chain's order.

    nets: whose nets are used, where an effect needs one; otherwise its own.
    """

    name = "blend"

    def __init__(self, plan: Blending, format: StreamFormat, *, nets: Nets | None = None) -> None:
        self._plan = plan
        self._format = format
        self._nets, self._owned = nets or Nets(), nets is None
        self.chain: EffectChain | None = None

    def setup(self) -> None:
        """Load nets, convert colours and pictures once."""
        use_one_thread()
        plan = self._plan
        self.chain = make_chain(plan.effects, self._format, plan.seed_bytes, self._nets, plan.detector.device)

    def process(self, work: Work) -> Sequence[Work]:
        """Make the patches of every frame of the batch."""
        chain, faces = self.chain, work.faces
        assert chain is not None
        assert faces is not None
        batch, patches = work.batch, []
        for i, found in enumerate(faces.by_frame(len(batch))):
            # A view is for what looks at the picture.
            patches += chain.frame(i, batch.view(i) if found else (), found)
        return [Work(batch, faces, tuple(patches))]

    def flush(self) -> Sequence[Work]:
        """Keeps nothing back."""
        return ()

    def close(self) -> None:
        """Let the effects go, and the nets where they are its own."""
        if self.chain is not None:
            self.chain.close()
        if self._owned:
            self._nets.close()


class EncodeStage:
    """Frames and patches → bytes: pastes the patches, encodes, copies what is not video."""

    name = "encode"

    def __init__(self, path: Path, info: MediaInfo, plan: Plan) -> None:
        self._path = path
        self._info = info
        self._plan = plan
        self.on_first: Callable[[], None] | None = None
        self.sink: VideoSink | None = None
        self.report: SinkReport | None = None

    def setup(self) -> None:
        """Open the output under its temporary name."""
        self.sink = VideoSink(
            self._path, self._info, self._plan.sink_settings, from_s=self._plan.from_s, to_s=self._plan.to_s
        )

    def process(self, work: Work) -> Sequence[Work]:
        """Write one batch."""
        assert self.sink is not None
        self.sink.write(work.batch, work.patches)
        if self.on_first is not None:
            self.on_first()
            self.on_first = None
        return [work]

    def flush(self) -> Sequence[Work]:
        """Write what the encoder and the copied streams still hold, and close the file."""
        assert self.sink is not None
        self.report = self.sink.finish()
        return ()

    def close(self) -> None:
        """Let go of an unfinished output."""
        if self.sink is not None:
            # On the way out of an error a second one must not hide the first.
            with suppress(FacefxError):
                self.sink.close()
