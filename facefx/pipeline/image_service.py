"""One photo after another in memory: bytes in, bytes out, with nets that are loaded once and kept.

The steps, the plan and the bytes are StillRunner's; what differs from photo to photo here are the effects,
which come with each request.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from facefx.config import RunConfig
from facefx.effects.chain import ChainStats, EffectChain
from facefx.effects.effect import EffectSpec
from facefx.effects.kernels import use_one_thread
from facefx.effects.remote import read_remote_chain
from facefx.errors import FacefxError, TooLargeError, UnsupportedError
from facefx.faces.analysis import Analysis
from facefx.faces.detector import Detector, DetectorSpec, make_detector
from facefx.pipeline.nets import Nets, make_chain
from facefx.pipeline.plan import effect_specs, make_analysis, needs_landmarks
from facefx.pipeline.stills import Coded, StillPlan, code_still, look_at_still, plan_still
from facefx.values import StreamFormat
from facefx.video.guard import Limits
from facefx.video.still_fidelity import verify_bytes
from facefx.video.still_kinds import TargetKind, checked_kind
from facefx.video.still_source import Still, still_of
from facefx.video.still_write import Written

__all__ = ["ImageAnswer", "ImageRequest", "ImageService", "ImageSettings", "media_type", "target_of"]

Entry = str | Mapping[str, Mapping[str, Any] | None]
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_NAME = Path("image")  # what messages call it: a request has no file name
_TYPES: dict[str, TargetKind] = {"image/jpeg": "jpeg", "image/png": "png", "image/webp": "webp"}
_ALSO = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
# Requests differ in size and effects; what fits them is kept for this many kinds of them.
_RECIPES, _CHAINS, _DETECTORS = 128, 32, 4


class ImageSettings(BaseModel):
    """What an image service may be told once for all requests.

    files: whether effects may name files of this machine; never where strangers ask. verify: read every
    answer back and hold it against what was asked, as `facefx run` does, for about a third more time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    effects: tuple[str | dict[str, dict[str, Any]], ...] = ("solid",)
    detector: str = "auto"
    landmarker: str = "auto"
    device: str = "cpu"
    metadata: Literal["keep", "strip"] = "keep"
    max_bytes: int = Field(20 << 20, gt=0)
    max_pixels: int = Field(25_000_000, gt=0)
    files: bool = False
    verify: bool = False


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One photo and what is to be done to it; what is None is as the service's settings say.

    data: a JPEG, PNG or WebP file. target: kind to answer with; None: the same kind. select: which faces.
    """

    data: bytes = field(repr=False)
    effects: tuple[Entry, ...] | None = None
    target: TargetKind | None = None
    select: str = "all"
    metadata: Literal["keep", "strip"] | None = None


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """The photo with its faces changed.

    size: width and height as stored. boxes: of the faces, xyxy in the stored picture. notes: what was left
    out or went wrong, in words. coded: how its pixels were coded. times_s: by stage, and waiting first.
    """

    data: bytes = field(repr=False)
    kind: TargetKind
    size: tuple[int, int]
    boxes: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...]
    coded: str
    times_s: Mapping[str, float]


def target_of(media: str) -> TargetKind | None:
    """The kind that a media type stands for; None for any other.

    >>> target_of("image/jpeg; q=0.8"), target_of("text/html")
    ('jpeg', None)
    """
    plain = media.partition(";")[0].strip().lower()
    return _TYPES.get(_ALSO.get(plain, plain))


def media_type(kind: TargetKind) -> str:
    """The media type of a kind.

    >>> media_type("webp")
    'image/webp'
    """
    return f"image/{kind}"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A list of effects that was checked. config: of the photo's plan."""

    config: RunConfig
    effects: tuple[EffectSpec, ...]
    analysis: Analysis


class ImageService:
    """Does photo after photo on a thread of its own; may be asked from any.

    Nets are loaded and run once when it is made, so that no request pays for that; chains of effects are
    kept for requests that ask for the same. Its memory is bounded by the settings' limits, whatever comes.

    Raises ConfigError, EffectError, ModelError when made.
    """

    def __init__(self, settings: ImageSettings | None = None) -> None:
        self.settings = settings or ImageSettings()
        self._limits = Limits(max_pixels=self.settings.max_pixels)
        self._nets = Nets()
        self._recipes: _Kept[str, _Recipe] = _Kept(_RECIPES, lambda recipe: None)
        self._chains: _Kept[Hashable, EffectChain] = _Kept(_CHAINS, EffectChain.close)
        self._detectors: _Kept[DetectorSpec, Detector] = _Kept(_DETECTORS, Detector.close)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._closed = False
        self._began: float | None = None
        try:
            self._worker.submit(self._warm).result()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, *, wait: bool = True) -> None:
        """Finish what was begun, and let the nets go; safe to call twice. wait: until that is done."""
        if self._closed:
            return
        self._closed = True
        self._worker.submit(self._let_go)
        self._worker.shutdown(wait)

    def submit(self, request: ImageRequest) -> Future[ImageAnswer]:
        """Have one photo done in its turn; whoever calls bounds how many wait."""
        return self._worker.submit(self._do, request, time.perf_counter())

    def process(self, request: ImageRequest) -> ImageAnswer:
        """Do one photo.

        Raises TooLargeError before anything is decoded, SourceError, DamagedError, UnsupportedError for what
        is no whole photo of a kind that is carried, EffectError, and what StillRunner raises.
        """
        return self.submit(request).result()

    @property
    def busy_s(self) -> float:
        """For how long the photo that is at work has been so; 0 where none is."""
        began = self._began
        return 0.0 if began is None else time.perf_counter() - began

    def check(self, request: ImageRequest) -> None:
        """Refuse what can be refused without decoding; safe from any thread.

        Raises TooLargeError, SourceError, UnsupportedError.
        """
        size, most = len(request.data), self.settings.max_bytes
        if size > most:
            raise TooLargeError(f"{_NAME}: {size} bytes, limit {most}; shrink it first")
        if checked_kind(request.data, _NAME) == "heif":
            raise UnsupportedError(f"{_NAME}: is a HEIF photo: expected JPEG, PNG or WebP; convert it first")

    def _warm(self) -> None:
        """Load every net that the usual requests need, and run each once."""
        use_one_thread()
        recipe = self._recipe(ImageRequest(b""))
        spec = recipe.analysis.detector
        self._detectors.get(spec, lambda: make_detector(spec))
        mesh = make_analysis(recipe.config, landmarks=True).landmarker
        if mesh is not None:
            self._nets.mesh(mesh)

    def _let_go(self) -> None:
        for kept in (self._chains, self._detectors, self._recipes):
            kept.clear()
        self._nets.close()

    def _do(self, request: ImageRequest, asked: float) -> ImageAnswer:
        self._began = time.perf_counter()
        try:
            return self._answer(request, _Times(asked))
        finally:
            self._began = None

    def _answer(self, request: ImageRequest, times: _Times) -> ImageAnswer:
        self.check(request)
        recipe = self._recipe(request)
        target = request.target or _same(checked_kind(request.data, _NAME))
        with times.of("decode"):
            still = still_of(request.data, _NAME, target, limits=self._limits)
        plan = plan_still(recipe.config, recipe.analysis, recipe.effects, still, target)
        with times.of("detect"):
            detector = self._detectors.get(plan.detector, lambda: make_detector(plan.detector))
            mesh = self._nets.mesh(plan.landmarker) if plan.landmarker else None
            faces, _ = look_at_still(still, plan, detector, mesh)
        with times.of("blend"):
            chain = self._chain(plan, still)
            patches = chain.frame(0, still.planes, faces.of_frame(0))
        with times.of("encode"):
            coded = code_still(still, plan, patches, request.data)
            choice = self._chosen(coded)
        boxes = tuple(tuple(round(value, 1) for value in box) for box in faces.xyxy.tolist())
        notes = (*_left_out(choice), *_went_wrong(chain.stats))
        return ImageAnswer(choice.data, target, still.size, boxes, notes, choice.how, times.spent_s)

    def _recipe(self, request: ImageRequest) -> _Recipe:
        """The settings for a request, checked; kept for the next that asks for the same."""
        effects = self.settings.effects if request.effects is None else request.effects
        metadata = request.metadata or self.settings.metadata
        return self._recipes.get(repr((effects, request.select, metadata)), lambda: self._read(request))

    def _read(self, request: ImageRequest) -> _Recipe:
        settings = self.settings
        effects = settings.effects if request.effects is None else request.effects
        config = RunConfig(
            effects=tuple(_plain(entry) for entry in effects),
            select=request.select,
            detector=settings.detector,
            landmarker=settings.landmarker,
            device=settings.device,
            metadata=request.metadata or settings.metadata,
        )
        strange = request.effects is not None and not settings.files
        specs = read_remote_chain(effects, request.select) if strange else effect_specs(config)
        return _Recipe(config, specs, make_analysis(config, landmarks=needs_landmarks(specs)))

    def _chain(self, plan: StillPlan, still: Still) -> EffectChain:
        """Effects ready for pictures of this format; its statistics start anew."""
        key: tuple[tuple[EffectSpec, ...], StreamFormat, bytes] = (
            plan.effects,
            still.format,
            plan.seed_bytes,
        )
        device = plan.detector.device
        chain = self._chains.get(
            key, lambda: make_chain(plan.effects, still.format, plan.seed_bytes, self._nets, device)
        )
        chain.stats = ChainStats()
        return chain

    def _chosen(self, coded: Coded) -> Written:
        """The first file that keeps its promise; without verification the first.

        The quality of a lossy WebP is found by looking at what came of it, so that one is always verified.

        Raises FidelityError if none does.
        """
        verify = self.settings.verify or coded.plan.target == "webp"
        for choice in coded.choices:
            if not verify:
                return choice
            checked = verify_bytes(coded.promise(choice), choice.data, _NAME)
            if checked.ok:
                return choice
        checked.raise_if_broken()
        raise FacefxError(f"{_NAME}: no way to write it was found")


class _Times:
    """Seconds by stage; what lies before the first is waiting."""

    def __init__(self, asked: float) -> None:
        self.spent_s: dict[str, float] = {"wait": time.perf_counter() - asked}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.spent_s[stage] = time.perf_counter() - began


class _Kept(Generic[K, V]):
    """The values that were asked for last, so many of them; what goes is let go of. For one thread."""

    def __init__(self, most: int, let_go: Callable[[V], None]) -> None:
        self._most, self._let_go = most, let_go
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = make()
        while len(self._values) >= self._most:
            self._let_go(self._values.popitem(last=False)[1])
        self._values[key] = value
        return value

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> Sequence[V]:
        return tuple(self._values.values())

    def clear(self) -> None:
        while self._values:
            self._let_go(self._values.popitem()[1])


def _same(kind: str) -> TargetKind:
    return _TYPES[f"image/{kind}"]


def _plain(entry: Entry) -> str | dict[str, dict[str, Any]]:
    if isinstance(entry, str):
        return entry
    return {name: dict(params or {}) for name, params in entry.items()}


def _left_out(choice: Written) -> Sequence[str]:
    return [f"left out {removal.what}: {removal.reason}" for removal in choice.removed]


def _went_wrong(stats: ChainStats) -> Sequence[str]:
    return [f"blacked out: {reason}" for reason in stats.blackouts] + [
        f"left without the effect: {reason}" for reason in stats.skipped
    ]
