"""The plan: everything that a result depends on, fixed before the first frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import facefx
from facefx.config import RunConfig
from facefx.effects.effect import EffectSpec
from facefx.effects.presets import read_chain
from facefx.effects.registry import effect_class, wants
from facefx.errors import ConfigError, FacesError
from facefx.faces.analysis import Analysis
from facefx.faces.detector import DetectorSpec, choose_detector
from facefx.faces.landmarker import LandmarkerSpec, choose_landmarker
from facefx.faces.live_policy import BEAUTY_INTERVAL_S, LivePolicy
from facefx.faces.policy import FacePolicy
from facefx.video.codecs import EncodeSettings, ResolvedEncode, resolve
from facefx.video.info import MediaInfo

__all__ = [
    "Blending",
    "Plan",
    "effect_specs",
    "encode_settings",
    "hides",
    "make_analysis",
    "make_plan",
    "needs_landmarks",
]


class Blending(Protocol):
    """What of a plan says how faces are changed."""

    @property
    def effects(self) -> tuple[EffectSpec, ...]:
        """The chain, in its order."""

    @property
    def seed_bytes(self) -> bytes:
        """What effects seed their noise from."""

    @property
    def detector(self) -> DetectorSpec:
        """Its device is where effects' nets run too."""


@dataclass(frozen=True, kw_only=True)
class Plan(Analysis):
    """What is to be done to one video. For one plan, every runner gives the same bytes.

    encode has no "auto" left in it; detector and landmarker name their nets by sha256. A worker that
    lacks what the plan names fails; it never falls back. analysed: empty, unless faces come from a
    table of a longer part or of another version, which may differ from what a look now would give.
    """

    effects: tuple[EffectSpec, ...]
    encode: ResolvedEncode
    audio: Literal["keep", "drop"]
    metadata: Literal["keep", "strip"]
    extra_video: Literal["refuse", "drop"]
    seed: str | None
    analysed: str = ""

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values; a secret seed is replaced by its hash."""
        return plain_plan(self)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of all that the result depends on; why a choice was made is not part of it."""
        plain = without_reasons(self.to_json())
        # What a plan does without leaves no trace: seeds derive from this, and old ones must stay.
        for absent in ("landmarker", "analysed"):
            if not plain[absent]:
                del plain[absent]
        return hashlib.sha256(json.dumps(_plain_numbers(plain), sort_keys=True).encode()).hexdigest()

    @property
    def sink_settings(self) -> EncodeSettings:
        """What the sink is told: the plan's choices by name, with no "auto" left to be settled anew."""
        return EncodeSettings(
            codec=self.encode.encoder,
            crf=self.encode.crf,
            preset=self.encode.preset,
            threads=self.encode.threads,
            audio=self.audio,
            metadata=self.metadata,
            extra_video=self.extra_video,
            lossless=self.encode.lossless,
        )

    @property
    def seed_bytes(self) -> bytes:
        """What effects seed their noise from."""
        return self.seed.encode() if self.seed is not None else bytes.fromhex(self.digest)


def _plain_numbers(value: Any) -> Any:
    """The same value with every whole float as an int: 8 and 8.0 are one setting.

    >>> _plain_numbers({"crf": 23.0, "parts": [0.5, 2.0]})
    {'crf': 23, 'parts': [0.5, 2]}
    """
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encode_settings(config: RunConfig) -> EncodeSettings:
    """The part of the settings that the sink reads, as the user gave it."""
    encode = config.encode
    return EncodeSettings(
        codec=encode.codec,
        crf=encode.crf,
        preset=encode.preset,
        threads=encode.threads,
        audio=config.audio,
        metadata=config.metadata,
        extra_video=config.extra_video,
        lossless=encode.lossless,
    )


def plain_plan(plan: Analysis) -> dict[str, Any]:
    """A plan, of a video or a photo, or an analysis, as plain values; a seed is replaced by its hash."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(plan), default=str))
    if "effects" in plain:
        plain["effects"] = [spec.plain() for spec in getattr(plan, "effects", ())]
    if "seed" in plain:
        plain["seed"] = hidden_seed(plain["seed"])
    return plain


def without_reasons(plain: dict[str, Any]) -> dict[str, Any]:
    """Plain values of a plan or an analysis, less the words on why a choice was made: they change nothing."""
    for name in ("detector", "encode", "landmarker"):
        if plain.get(name) is not None:
            del plain[name]["reason"]
    return plain


def hidden_seed(seed: str | None) -> str | None:
    """A seed as it may be shown: its hash."""
    return None if seed is None else "sha256:" + hashlib.sha256(seed.encode()).hexdigest()


def effect_specs(config: RunConfig) -> tuple[EffectSpec, ...]:
    """The chain that the settings ask for, parameters checked, in the order in which it runs."""
    return read_chain(config.effects, config.select)


def needs_landmarks(effects: Sequence[EffectSpec]) -> bool:
    """True if any effect of the chain asks for more than boxes."""
    return any("landmarks" in wants(spec) for spec in effects)


def hides(effects: Sequence[EffectSpec]) -> bool:
    """True if any effect of the chain is there to hide a face."""
    return any(effect_class(spec.name).family == "privacy" for spec in effects)


def make_analysis(config: RunConfig, *, landmarks: bool) -> Analysis:
    """Fix how faces are found; landmarks: whether a landmarker is part of it.

    Raises ConfigError, ModelError.
    """
    detector = choose_detector(config.detector, device=config.device)
    return Analysis(
        detector=detector,
        policy=_policy(config, detector.name),
        landmarker=_landmarker(config) if landmarks else None,
        on_damage=config.on_damage,
        from_s=config.from_s,
        to_s=config.to_s,
        device=config.device,
    )


def make_plan(
    config: RunConfig,
    info: MediaInfo,
    output: Path,
    kept: Analysis | None = None,
    looking: Analysis | None = None,
) -> Plan:
    """Fix every choice for one video: detector, landmarker, codec, chain.

    output: its suffix chooses the container. kept: how faces were found that are not looked for again.
    looking: how faces are to be found, where that was fixed before, for many videos at once.

    Raises EffectError, ConfigError, ModelError, UnsupportedError, FacesError.
    """
    effects = effect_specs(config)
    landmarks = needs_landmarks(effects)
    if kept is not None:
        looking = _take(kept, config, landmarks)
    elif looking is None:
        looking = make_analysis(config, landmarks=landmarks)
    chosen = {
        **vars(looking),
        "from_s": config.from_s,
        "to_s": config.to_s,
        "on_damage": config.on_damage,
        "version": facefx.__version__,
    }
    return Plan(
        **chosen,
        effects=effects,
        encode=resolve(encode_settings(config), info, output),
        audio=config.audio,
        metadata=config.metadata,
        extra_video=config.extra_video,
        seed=config.seed,
        analysed=_otherwise(looking, config),
    )


def _landmarker(config: RunConfig) -> LandmarkerSpec:
    """The landmarker; a live policy waits for no later frame, so every frame is looked at."""
    chosen = choose_landmarker(config.landmarker, config.device)
    return replace(chosen, leap_s=0.0) if config.policy.look == "live" else chosen


def _policy(config: RunConfig, detector: str) -> FacePolicy | LivePolicy:
    chosen = config.policy.model_dump(exclude_none=True, exclude={"look"})
    if config.policy.look == "ahead":
        return FacePolicy.for_detector(detector, **chosen)
    return LivePolicy.for_detector(detector, **{**chosen, "look_interval_s": _live_interval_s(config)})


def _live_interval_s(config: RunConfig) -> float:
    """How often a live policy looks: at every frame where faces are to be hidden."""
    given = "look_interval_s" in config.policy.model_fields_set
    if not hides(effect_specs(config)):
        return config.policy.look_interval_s if given else BEAUTY_INTERVAL_S
    if given:
        raise ConfigError(
            "policy.look_interval_s cannot be set where policy.look is live and faces are hidden: "
            "every frame is looked at then; leave it out"
        )
    return 0.0


def _take(kept: Analysis, config: RunConfig, landmarks: bool) -> Analysis:
    """What of a kept analysis a plan uses; never less than the settings ask for."""
    _check_range(kept, config)
    _check_choices(kept, config, landmarks)
    if landmarks and kept.landmarker is None:
        needing = [spec.name for spec in effect_specs(config) if needs_landmarks([spec])]
        raise FacesError(
            f"the table of faces holds no landmarks, which {', '.join(needing)} needs; "
            "make it again with: facefx analyze --landmarks"
        )
    landmarker = kept.landmarker if landmarks else None
    return replace(
        kept,
        detector=replace(kept.detector, reason=_as_kept(kept.detector.reason)),
        landmarker=landmarker and replace(landmarker, reason=_as_kept(landmarker.reason)),
    )


def _as_kept(reason: str) -> str:
    return f"not asked again, the faces were kept; then: {reason}"


def _check_range(kept: Analysis, config: RunConfig) -> None:
    """A frame that nobody looked at must not pass for one without faces."""
    early = kept.from_s is not None and (config.from_s is None or config.from_s < kept.from_s)
    late = kept.to_s is not None and (config.to_s is None or config.to_s > kept.to_s)
    if early or late:
        options = [
            f"--{name} {value:g}"
            for name, value in (("from", kept.from_s), ("to", kept.to_s))
            if value is not None
        ]
        raise FacesError(
            f"the table of faces covers a part of the video only: render that part with {' '.join(options)}, "
            "or analyze the whole video"
        )


def _check_choices(kept: Analysis, config: RunConfig, landmarks: bool) -> None:
    """Refuse settings, where they are given, that the kept analysis was not made with."""
    given = config.model_fields_set
    pairs = {
        "detector": (config.detector, kept.detector.name),
        "device": (config.device, kept.device),
    }
    if landmarks and kept.landmarker is not None:
        pairs["landmarker"] = (config.landmarker, kept.landmarker.name)
    for name, (wanted, had) in pairs.items():
        if name in given and wanted not in ("auto", had):
            raise ConfigError(f"{name} {wanted!r} is asked for, but the faces were found with {had!r}")
    if "policy" in given and _policy(config, kept.detector.name) != kept.policy:
        raise ConfigError("the face policy asked for is not the one that the faces were found with")


def _otherwise(found: Analysis, config: RunConfig) -> str:
    """Say how faces were found, where a look now could come to others."""
    whole = (found.from_s, found.to_s) == (config.from_s, config.to_s)
    if whole and found.version == facefx.__version__:
        return ""
    return f"from {found.from_s} to {found.to_s} s by facefx {found.version}"
