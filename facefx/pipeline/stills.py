"""One photo in, the same photo out with its faces changed; published only when verified."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import facefx
from facefx.config import RunConfig
from facefx.effects.chain import EffectChain
from facefx.effects.effect import EffectSpec
from facefx.effects.kernels import use_one_thread
from facefx.effects.registry import effect_class
from facefx.errors import ConfigError, FacefxError, UsageError
from facefx.faces.analysis import Analysis
from facefx.faces.detector import Detector, DetectorSpec, make_detector
from facefx.faces.landmarker import FaceLandmarker
from facefx.faces.live import make_analyzer
from facefx.faces.mesh import MeshNet
from facefx.pipeline.nets import Nets, check_nets, make_chain
from facefx.pipeline.plan import effect_specs, make_analysis, needs_landmarks, plain_plan
from facefx.pipeline.report import process_cost
from facefx.storage import Publication, is_local, local_path, publishing, same_place, sha256_file, staged
from facefx.values import Faces, Patch
from facefx.video.fidelity import FidelityReport
from facefx.video.still_fidelity import Promise, verify_still
from facefx.video.still_kinds import STILL_SUFFIXES, TargetKind, is_photo_head, target_kind
from facefx.video.still_meta import Removal
from facefx.video.still_source import Still, open_still
from facefx.video.still_webp import WebP
from facefx.video.still_write import Written, untouched, written

__all__ = [
    "Coded", "StillPlan", "StillReport", "StillRunner", "code_still", "is_still", "look_at_still",
    "plan_still", "run_still", "still_scales",
]  # fmt: skip

_FINEST = 2560


@dataclass(frozen=True, kw_only=True)
class StillPlan(Analysis):
    """What is to be done to one photo. For one plan and one photo, the bytes are the same.

    target: kind of file to write. lossless: whether every sample is to be kept.
    """

    effects: tuple[EffectSpec, ...]
    target: TargetKind
    lossless: bool
    metadata: Literal["keep", "strip"]
    seed: str | None

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values; a secret seed is replaced by its hash."""
        return plain_plan(self)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of all that the result depends on; why a choice was made is not part of it."""
        plain = self.to_json()
        for choice in (plain["detector"], plain["landmarker"]):
            if choice is not None:
                del choice["reason"]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    @property
    def seed_bytes(self) -> bytes:
        """What effects seed their noise from."""
        return self.seed.encode() if self.seed is not None else bytes.fromhex(self.digest)

    @property
    def hides(self) -> bool:
        """True if an effect of the chain hides faces."""
        return any(effect_class(spec.name).family == "privacy" for spec in self.effects)


@dataclass(slots=True)
class StillReport:
    """The account of one photo; to_json() is what `--report` writes.

    coded: what became of its pixels, in words. removed: what the source had and the output has not.
    wall_s, cpu_s: of this photo alone. peak_rss_bytes: of the process until then.
    """

    source: str
    output: str
    plan: StillPlan
    size: tuple[int, int]
    faces: dict[str, Any]
    effects: dict[str, Any]
    coded: str
    removed: tuple[Removal, ...]
    fidelity: FidelityReport
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    notes: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "facefx": facefx.__version__,
            "kind": "photo",
            "source": self.source,
            "output": self.output,
            "sha256": self.sha256,
            "width": self.size[0],
            "height": self.size[1],
            "faces": self.faces,
            "effects": self.effects,
            "coded": self.coded,
            "carried": {"removed": [asdict(removal) for removal in self.removed]},
            "notes": list(self.notes),
            "fidelity": self.fidelity.to_json(),
            "plan_sha256": self.plan.digest,
            "plan": self.plan.to_json(),
            "wall_s": round(self.wall_s, 4),
            "cpu_s": round(self.cpu_s, 4),
            "peak_rss_bytes": self.peak_rss_bytes,
        }


def is_still(path: str) -> bool:
    """True for a photo: by its first bytes where it is a local file, else by its suffix.

    A file that is named like a photo counts as one whatever it holds: its error then speaks of photos.
    """
    if Path(path).suffix.lower() in STILL_SUFFIXES:
        return True
    if not is_local(path) or not local_path(path).is_file():
        return False
    try:
        with local_path(path).open("rb") as file:
            return is_photo_head(file.read(64))
    except OSError:
        return False


def still_scales(detector: DetectorSpec, size: tuple[int, int]) -> tuple[int, ...]:
    """Long sides at which a photo is looked at: finer than a video's where it is larger than those are.

    A photo is looked at once, so that a face of 30 pixels in a group of 24 megapixels can be afforded;
    empty: the detector's own choice is fine enough.

    >>> still_scales(DetectorSpec("yunet", ()), (6000, 4000))
    (2400, 600, 150)
    >>> still_scales(DetectorSpec("yunet", ()), (1280, 720))
    ()
    """
    long_side = max(size)
    if detector.name != "yunet" or detector.scales or long_side <= 3200:
        return detector.scales
    finest = round(min(0.4 * long_side, _FINEST))
    return finest, finest // 4, finest // 16


class StillRunner:
    """Does photo after photo with one set of settings; nets are loaded once.

    Raises ConfigError, EffectError, ModelError when made.
    """

    def __init__(self, config: RunConfig) -> None:
        _check_settings(config)
        use_one_thread()
        self._config = config
        self._effects = effect_specs(config)
        self._analysis = make_analysis(config, landmarks=needs_landmarks(self._effects))
        self._detectors: dict[DetectorSpec, Detector] = {}
        self._nets = Nets()
        check_nets(self._effects, self._nets, self._analysis.detector.device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the nets go; safe to call twice."""
        for detector in self._detectors.values():
            detector.close()
        self._detectors.clear()
        self._nets.close()

    def plan(self, still: Still, target: TargetKind) -> StillPlan:
        """Fix every choice for one photo."""
        return plan_still(self._config, self._analysis, self._effects, still, target)

    def run(self, source: str, output: str, *, hashes: bool = True) -> StillReport:
        """Process one photo and publish it under its name, whole and verified, or not at all.

        source, output: paths or URLs. hashes: put the sha256 of both files into the report.

        Raises any error of the tree; then nothing stands under the output's name that was not there.
        """
        began, (spent_s, _) = time.perf_counter(), process_cost()
        target = target_kind(output)
        if same_place(source, output):
            raise UsageError(f"{output}: output is the input; give it another name")
        with staged(source) as local, publishing(output) as publication:
            still = open_still(local, target, lossless=self._config.encode.lossless)
            plan = self.plan(still, target)
            faces, looked = self._look(still, plan)
            device = plan.detector.device
            chain = make_chain(plan.effects, still.format, plan.seed_bytes, self._nets, device)
            with closing(chain):
                patches = chain.frame(0, still.planes, faces.of_frame(0))
            written, checked = _write(still, plan, patches, publication)
            report = StillReport(
                source=source,
                output=output,
                plan=plan,
                size=still.size,
                faces={**looked, "boxes": _rounded(faces)},
                effects=chain.stats.to_json(),
                coded=written.how,
                removed=written.removed,
                fidelity=checked,
                wall_s=0.0,
                cpu_s=0.0,
                peak_rss_bytes=0,
                notes=_notes(written, chain),
            )
            if hashes:
                report.sha256 = {"source": sha256_file(local), "output": sha256_file(publication.path)}
            publication.commit()
        cpu_s, report.peak_rss_bytes = process_cost()
        report.wall_s, report.cpu_s = time.perf_counter() - began, cpu_s - spent_s
        return report

    def _look(self, still: Still, plan: StillPlan) -> tuple[Faces, dict[str, Any]]:
        if plan.detector not in self._detectors:
            self._detectors[plan.detector] = make_detector(plan.detector)
        return look_at_still(still, plan, self._detectors[plan.detector])


def plan_still(
    config: RunConfig, analysis: Analysis, effects: tuple[EffectSpec, ...], still: Still, target: TargetKind
) -> StillPlan:
    """Fix every choice for one photo; analysis and effects: of the settings."""
    scales = still_scales(analysis.detector, still.size)
    chosen = {**vars(analysis), "detector": replace(analysis.detector, scales=scales)}
    return StillPlan(
        **chosen,
        effects=effects,
        target=target,
        lossless=config.encode.lossless,
        metadata=config.metadata,
        seed=config.seed,
    )


def look_at_still(
    still: Still, plan: Analysis, detector: Detector, mesh: MeshNet | None = None
) -> tuple[Faces, dict[str, Any]]:
    """Find a photo's faces, and say how they were looked for: the same graph as a video's, over one frame.

    detector: the plan's; it stays the caller's. mesh: the plan's, lent; else it is loaded for this photo.

    Raises WeightsMismatchError, ConfigError, ModelError.
    """
    analyzer = make_analyzer(detector, plan.policy, still.format)
    ((batch, faces),) = [*analyzer.push(still.batch), *analyzer.flush()]
    if plan.landmarker is not None:
        landmarker = FaceLandmarker(plan.landmarker, still.format, net=mesh)
        try:
            faces = landmarker.process(batch, faces)
        finally:
            landmarker.close()
    return faces, analyzer.stats.to_json()


def run_still(source: str, output: str, config: RunConfig, *, hashes: bool = True) -> StillReport:
    """Process one photo and publish it under its name, whole and verified, or not at all.

    Raises any error of the tree; then nothing stands under the output's name that was not there.
    """
    with StillRunner(config) as runner:
        return runner.run(source, output, hashes=hashes)


def _check_settings(config: RunConfig) -> None:
    """Refuse what means nothing for a photo, rather than pass over it."""
    encode = config.encode
    asked = {
        "an excerpt (from, to)": config.from_s is not None or config.to_s is not None,
        "a codec": encode.codec != "auto",
        "crf": encode.crf is not None,
        "a preset": encode.preset is not None,
        "on_damage keep": config.on_damage != "fail",
    }
    wrong = [name for name, given in asked.items() if given]
    if wrong:
        raise ConfigError(f"{', '.join(wrong)}: for videos only; a photo is coded as its source was")


def _write(
    still: Still, plan: StillPlan, patches: Sequence[Patch], publication: Publication
) -> tuple[Written, FidelityReport]:
    """Write the photo under its temporary name and read it back; the first that is close enough stays.

    Raises FidelityError if none is what was promised.
    """
    coded = code_still(still, plan, patches)
    for choice in coded.choices:
        publication.write(choice.data)
        checked = verify_still(coded.promise(choice), publication.path)
        if checked.ok:
            return choice, checked
    checked.raise_if_broken()
    raise FacefxError(f"{still.path}: no way to write it was found")


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A photo with its patches, and its files to choose from: the first that keeps its promise is taken."""

    still: Still
    edited: Still
    patches: tuple[Patch, ...]
    plan: StillPlan
    choices: Iterator[Written]

    def promise(self, choice: Written) -> Promise:
        """What a choice must keep."""
        plan = self.plan
        return Promise(
            self.still, self.edited, self.patches, plan.target, plan.metadata, choice.metadata, choice.exact
        )


def code_still(still: Still, plan: StillPlan, patches: Sequence[Patch], data: bytes | None = None) -> Coded:
    """Paste the patches, and code the photo; where nothing changed, its own file is kept.

    data: the source's bytes, where they are at hand.
    """
    changed = [patch for patch in patches if patch.changed(still.planes)]
    # Edited in ten bits, a pixel of sixteen would keep its lowest six under a cover of its own colour.
    whole = plan.hides and still.samples is not None and still.samples.dtype.itemsize > 1
    if changed or still.kind != plan.target or (plan.lossless and _is_lossy(still)):
        edited = still.with_patches(patches, whole) if changed else still
        choices = written(edited, plan.target, plan.metadata, lossless=plan.lossless)
    else:
        edited, choices = still, iter((untouched(still, plan.metadata, data),))
    return Coded(still, edited, tuple(patches) if changed else (), plan, choices)


def _is_lossy(still: Still) -> bool:
    return isinstance(still.container, WebP) and not still.container.lossless


def _rounded(faces: Faces) -> list[list[float]]:
    return [[round(value, 1) for value in box] for box in faces.xyxy.tolist()]


def _notes(choice: Written, chain: EffectChain) -> tuple[str, ...]:
    """What a person should know without reading the whole report."""
    notes = [f"left out {removal.what}: {removal.reason}" for removal in choice.removed]
    stats = chain.stats
    for reason in {**stats.blackouts, **stats.skipped}:
        what = "blacked out" if reason in stats.blackouts else "left without the effect"
        first = stats.first.get(reason, "")
        notes.append(f"{what}: {reason}" + f" ({first})" * bool(first))
    return tuple(notes)
