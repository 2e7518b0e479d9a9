"""One client's coded frames: effects on each, tracks over all, nothing raw where faces are to be hidden."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from facefx.config import RunConfig
from facefx.effects.chain import EffectChain
from facefx.effects.effect import EffectSpec
from facefx.effects.kernels import use_one_thread
from facefx.effects.remote import read_remote_chain
from facefx.errors import EffectError, InputError, SourceError
from facefx.faces.analysis import Analysis
from facefx.faces.landmarker import FaceLandmarker
from facefx.live.frame_look import Finder, make_finder
from facefx.pipeline.nets import Nets, make_chain
from facefx.pipeline.plan import hides, make_analysis, needs_landmarks
from facefx.values import Face, Faces, FrameBatch, Patch, StreamFormat
from facefx.video.frame_codec import CodecRules, Coded, Coding, Received, open_codec

__all__ = ["FrameResult", "FrameSession", "FrameSettings", "Serving", "cover_whole", "serving"]

_log = logging.getLogger("facefx.live")
_MOST_SELECT = 200


class FrameSettings(BaseModel):
    """What a client asks for when it opens its stream of frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    coding: Coding = Field("h264", description="h264 (Annex B), avcc, or picture (JPEG, PNG, WebP)")
    effects: tuple[str | dict[str, dict[str, Any]], ...] = Field(
        ("solid",), description="the chain, as in a settings file; files cannot be named"
    )
    select: str = Field(
        "all", max_length=_MOST_SELECT, description="which faces, for effects that do not say so"
    )
    timescale: int = Field(90_000, ge=1, le=1_000_000_000, description="ticks of pts in a second")
    config: bytes = Field(b"", max_length=65_536, description="the avcC of an avcc stream")
    rotation: int = Field(
        0, ge=0, le=270, multiple_of=90, description="degrees anticlockwise that a player turns the pictures"
    )
    late_s: float | None = Field(
        None, gt=0, le=60, description="a frame that waited longer is dropped; unset: none is"
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """What the server fixes for all its clients: how faces are found, and what a frame may ask for."""

    analysis: Analysis
    rules: CodecRules = field(default_factory=CodecRules)


def serving(config: RunConfig | None = None, rules: CodecRules | None = None) -> Serving:
    """Fix detector, landmarker and device once; config: its effects are not used, clients bring their own.

    Raises ConfigError, ModelError.
    """
    given = config or RunConfig()
    live = given.model_copy(update={"policy": given.policy.model_copy(update={"look": "live"})})
    return Serving(make_analysis(live, landmarks=True), rules or CodecRules())


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What became of one frame.

    data: the coded frame, b"" where it was dropped. dropped: why, "" where it was not. covered: why the whole
    frame is black, "" where it is not. config: new parameter sets (avcC) of an avcc stream. seconds: of each
    step, and "total" of them all; "waited" before.
    """

    pts: int
    data: bytes = b""
    key_frame: bool = False
    config: bytes = b""
    faces: tuple[Face, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    dropped: str = ""
    covered: str = ""


@dataclass(slots=True)
class _Stages:
    """What works on frames of one format."""

    format: StreamFormat
    finder: Finder
    landmarker: FaceLandmarker | None
    chain: EffectChain


class FrameSession:
    """Frames of one client in order: decoded, looked at, changed, coded again. One thread at a time.

    The nets are lent and outlive it. Where the chain hides faces, a frame that could not be looked at, or
    whose effects failed, leaves covered whole; where it does not, it leaves as it came. A frame that cannot
    be decoded, or that waited too long, is dropped: nothing leaves. Tracks go on for as long as the pictures
    keep their format. looking: makes what finds faces.

    Raises EffectError, ConfigError, ModelError, SourceError for settings that cannot be had.
    """

    def __init__(
        self,
        settings: FrameSettings,
        served: Serving,
        nets: Nets,
        *,
        looking: Callable[[Analysis, StreamFormat, Nets], Finder] = make_finder,
    ) -> None:
        use_one_thread()
        self._settings, self._served, self._nets, self._looking = settings, served, nets, looking
        self._effects = _remote_chain(settings.effects, settings.select)
        self._codec = open_codec(
            settings.coding,
            served.rules,
            Fraction(1, settings.timescale),
            config=settings.config,
            rotation=settings.rotation,
        )
        self._seed = os.urandom(16)
        self._stages: _Stages | None = None
        self._last: int | None = None
        self.counts: Counter[str] = Counter()

    @property
    def hides(self) -> bool:
        """True where the chain hides faces, so that nothing may leave raw."""
        return hides(self._effects)

    def set_effects(self, entries: Sequence[str | dict[str, dict[str, Any]]], select: str = "all") -> None:
        """Change the chain from the next frame on; tracks go on.

        Raises EffectError, ModelError; the chain is as it was then.
        """
        specs = _remote_chain(entries, select)
        stages = self._stages
        if stages is not None:
            chain = self._chain(specs, stages.format)
            old, stages.chain = stages.chain, chain
            stages.finder.hide(hides(specs))
            if stages.landmarker is None and needs_landmarks(specs):
                stages.landmarker = self._landmarker(stages.format)
            old.close()
        self._effects = specs

    def push(self, data: bytes, pts: int, *, key_frame: bool = False, waited_s: float = 0.0) -> FrameResult:
        """Do one frame. key_frame: what leaves must begin anew. waited_s: how long it lay here before.

        Raises SourceError where pts do not rise, SinkError where a frame cannot be coded again.
        """
        if self._last is not None and pts <= self._last:
            raise SourceError(
                f"pts {pts} after {self._last}: pts must rise; send no B-frames (x264: tune zerolatency)"
            )
        self._last = pts
        seconds: dict[str, float] = {"waited": waited_s}
        began = time.perf_counter()
        result = self._one(data, pts, key_frame, seconds)
        seconds["total"] = time.perf_counter() - began
        self._count(result)
        return result

    def close(self) -> None:
        """Let effects and codec go; safe to call twice."""
        if self._stages is not None:
            self._leave(self._stages)
            self._stages = None
        self._codec.close()

    def _one(self, data: bytes, pts: int, key_frame: bool, seconds: dict[str, float]) -> FrameResult:
        try:
            with _timed(seconds, "decode"):
                received = self._codec.decode(data, pts)
        except InputError as error:
            return FrameResult(pts, seconds=seconds, dropped=f"undecodable: {error}")
        if received is None:
            return FrameResult(pts, seconds=seconds, dropped="no picture")
        late_s = self._settings.late_s
        if late_s is not None and seconds["waited"] > late_s:
            return FrameResult(pts, seconds=seconds, dropped="late")
        faces, patches, covered = self._work(received.batch, seconds)
        with _timed(seconds, "encode"):
            coded = self._encode(received, patches, key_frame)
        found = () if faces is None else tuple(faces.of_frame(0))
        return FrameResult(pts, coded.data, coded.key_frame, coded.config, found, seconds, "", covered)

    def _encode(self, received: Received, patches: Sequence[Patch], key_frame: bool) -> Coded:
        return self._codec.encode(received, patches, key_frame=key_frame)

    def _work(self, batch: FrameBatch, seconds: dict[str, float]) -> tuple[Faces | None, list[Patch], str]:
        """Find the faces and make the patches: the faces, the patches, and why all is covered."""
        stages = self._stages_for(batch.format)
        try:
            with _timed(seconds, "detect"):
                faces = stages.finder.look(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody has looked at the frame
            self._note("detect", error)
            return None, *self._unseen(batch, error)
        if stages.landmarker is not None:
            try:
                with _timed(seconds, "landmark"):
                    faces = stages.landmarker.process(batch, faces)
            except Exception as error:  # noqa: BLE001 - effects do without, and privacy then covers the box
                self._note("landmark", error)
        before = stages.chain.stats.blackouts.total()
        with _timed(seconds, "blend"):
            patches = stages.chain.frame(0, batch.view(0), faces.of_frame(0))
        failed = stages.chain.stats.blackouts.total() > before
        return faces, patches, "an effect failed" if failed else ""

    def _unseen(self, batch: FrameBatch, error: Exception) -> tuple[list[Patch], str]:
        if not self.hides:
            return [], ""
        return [cover_whole(batch.format)], f"not looked at: {type(error).__name__}"

    def _note(self, stage: str, error: Exception) -> None:
        reason = f"{stage}: {type(error).__name__}"
        self.counts[f"failed {reason}"] += 1
        if self.counts[f"failed {reason}"] == 1:
            _log.warning("%s failed: %s", stage, " ".join(str(error).split()))

    def _count(self, result: FrameResult) -> None:
        self.counts["frames"] += 1
        self.counts["faces"] += len(result.faces)
        if result.dropped:
            self.counts[f"dropped {result.dropped.partition(':')[0]}"] += 1
        if result.covered:
            self.counts[f"covered {result.covered.partition(':')[0]}"] += 1

    def _stages_for(self, format: StreamFormat) -> _Stages:
        if self._stages is None or self._stages.format != format:
            chain = self._chain(self._effects, format)
            if self._stages is not None:
                self._leave(self._stages)
            finder = self._looking(self._served.analysis, format, self._nets)
            finder.hide(self.hides)
            landmarker = self._landmarker(format) if needs_landmarks(self._effects) else None
            self._stages = _Stages(format, finder, landmarker, chain)
        return self._stages

    def _chain(self, effects: Sequence[EffectSpec], format: StreamFormat) -> EffectChain:
        device = self._served.analysis.detector.device
        return make_chain(effects, format, self._seed, self._nets, device)

    def _landmarker(self, format: StreamFormat) -> FaceLandmarker:
        spec = self._served.analysis.landmarker
        assert spec is not None
        return FaceLandmarker(spec, format, net=self._nets.mesh(spec))

    def _leave(self, stages: _Stages) -> None:
        stages.chain.close()
        if stages.landmarker is not None:
            stages.landmarker.close()


def _remote_chain(entries: Sequence[str | dict[str, dict[str, Any]]], select: str) -> tuple[EffectSpec, ...]:
    if len(select) > _MOST_SELECT:
        raise EffectError(f"select has {len(select)} characters, at most {_MOST_SELECT}")
    return read_remote_chain(entries, select)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = time.perf_counter() - began


def cover_whole(format: StreamFormat, frame: int = 0) -> Patch:
    """A patch that makes a whole frame black; frame: position in the batch."""
    color, pixels = format.color, format.pixels
    codes = (color.luma_range[0], color.neutral, color.neutral)
    planes = tuple(
        np.full(shape, code, pixels.dtype)
        for shape, code in zip(pixels.plane_shapes(format.width, format.height), codes, strict=False)
    )
    return Patch(format, frame, 0, 0, planes)
