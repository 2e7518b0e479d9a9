"""What is done to the frames of a live stream: as a plan of a video, less what only a file has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from facefx.config import RunConfig
from facefx.effects.effect import EffectSpec
from facefx.errors import EffectError
from facefx.faces.analysis import Analysis
from facefx.pipeline.plan import (
    effect_specs,
    hides,
    make_analysis,
    needs_landmarks,
    plain_plan,
    without_reasons,
)

__all__ = ["LivePlan", "changed_plan", "make_live_plan"]


@dataclass(frozen=True, kw_only=True)
class LivePlan(Analysis):
    """How faces are found and changed. seed: a secret for seeded noise, None to derive one."""

    effects: tuple[EffectSpec, ...]
    seed: str | None

    @cached_property
    def hides(self) -> bool:
        """True where some effect is there to hide faces: then no frame goes out that nobody looked at."""
        return hides(self.effects)

    @property
    def seed_bytes(self) -> bytes:
        """What effects seed their noise from."""
        if self.seed is not None:
            return self.seed.encode()
        plain = without_reasons(plain_plan(self))
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).digest()

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values; a secret seed is replaced by its hash."""
        return plain_plan(self)


def make_live_plan(config: RunConfig) -> LivePlan:
    """Fix every choice for a live stream: detector, landmarker, chain. config: its policy must be live.

    Raises EffectError, ConfigError, ModelError.
    """
    effects = effect_specs(config)
    analysis = make_analysis(config, landmarks=needs_landmarks(effects))
    return LivePlan(**vars(analysis), effects=effects, seed=config.seed)


def changed_plan(
    plan: LivePlan, config: RunConfig, effects: Sequence[str | dict[str, dict[str, Any]]]
) -> LivePlan:
    """The plan with another chain, checked; who looks stays, how often and for what is decided anew.

    Raises EffectError, ConfigError, ModelError.
    """
    wanted = {**config.model_dump(exclude_unset=True), "effects": effects, "detector": plan.detector.name}
    try:
        changed = RunConfig.model_validate(wanted)
    except ValidationError as error:
        raise EffectError(
            f"effects: expected a list of `name:param=value` or {{name: {{param: value}}}}, got {effects!r}"
        ) from error
    return replace(make_live_plan(changed), detector=plan.detector)
