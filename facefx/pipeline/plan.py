"""The plan: everything that a result depends on, fixed before the first frame."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import facefx
from facefx.config import RunConfig
from facefx.effects.effect import EffectSpec
from facefx.effects.registry import order_chain, parse_effect
from facefx.faces.detector import DetectorSpec, choose_detector
from facefx.faces.policy import FacePolicy
from facefx.video.codecs import EncodeSettings, ResolvedEncode, resolve
from facefx.video.info import MediaInfo

__all__ = ["Plan", "encode_settings", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What is to be done to one video. For one plan, every runner gives the same bytes.

    encode has no "auto" left in it; detector names its nets by sha256. A worker that lacks what
    the plan names fails; it never falls back.
    """

    effects: tuple[EffectSpec, ...]
    detector: DetectorSpec
    policy: FacePolicy
    encode: ResolvedEncode
    audio: Literal["keep", "drop"]
    metadata: Literal["keep", "strip"]
    extra_video: Literal["refuse", "drop"]
    on_damage: Literal["fail", "keep"]
    from_s: float | None
    to_s: float | None
    device: str
    seed: str | None
    version: str = facefx.__version__

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values; a secret seed is replaced by its hash."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        if self.seed is not None:
            plain["seed"] = "sha256:" + hashlib.sha256(self.seed.encode()).hexdigest()
        return plain

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of all that the result depends on; why a choice was made is not part of it."""
        plain = self.to_json()
        for choice in (plain["detector"], plain["encode"]):
            del choice["reason"]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

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


def effect_specs(config: RunConfig) -> tuple[EffectSpec, ...]:
    """The chain that the settings ask for, parameters checked, in the order in which it runs."""
    specs = []
    for effect in config.effects:
        if isinstance(effect, str):
            specs.append(parse_effect(effect))
        else:
            specs.extend(EffectSpec.checked(name, params) for name, params in effect.items())
    return tuple(order_chain(specs))


def _policy(config: RunConfig, detector: str) -> FacePolicy:
    chosen = config.policy.model_dump(exclude_none=True)
    return FacePolicy.for_detector(detector, **chosen)


def make_plan(config: RunConfig, info: MediaInfo, output: Path) -> Plan:
    """Fix every choice for one video: detector, codec, chain.

    output: its suffix chooses the container.

    Raises EffectError, ConfigError, ModelError, UnsupportedError.
    """
    effects = effect_specs(config)
    detector = choose_detector(config.detector, device=config.device)
    return Plan(
        effects=effects,
        detector=detector,
        policy=_policy(config, detector.name),
        encode=resolve(encode_settings(config), info, output),
        audio=config.audio,
        metadata=config.metadata,
        extra_video=config.extra_video,
        on_damage=config.on_damage,
        from_s=config.from_s,
        to_s=config.to_s,
        device=config.device,
        seed=config.seed,
    )
