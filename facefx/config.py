"""What a user may set, in one place: from YAML, from the command line, or from Python.

An unknown key is an error: a typo in a privacy setting must not pass unseen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from facefx.errors import ConfigError

__all__ = ["EncodeConfig", "PolicyConfig", "RunConfig", "load_config", "parse_time"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncodeConfig(_Settings):
    """How the output is encoded."""

    codec: str = Field("auto", description="auto follows the source; else libx264, libx265, libsvtav1, …")
    crf: float | None = Field(None, ge=0, le=63, description="constant quality; smaller is better and larger")
    preset: str | None = Field(None, description="the encoder's own speed preset")
    threads: int = Field(
        1, ge=1, le=64, description="encoder threads; part of the plan: other bytes per value"
    )
    lossless: bool = Field(False, description="keep every sample exactly, where the encoder can")


class PolicyConfig(_Settings):
    """When a face counts and how far a fact reaches; see docs/limits.md before turning these."""

    look: Literal["ahead", "live"] = Field(
        "ahead",
        description="ahead: conclude from later frames too; live: from earlier ones alone",
    )
    look_interval_s: float = Field(
        0.25,
        gt=0,
        le=0.25,
        description="longest time between two looks; live: 0.1, or every frame to hide",
    )
    high: float | None = Field(
        None, ge=0.3, le=1, description="a detection this sure starts a face; unset: what fits the detector"
    )
    low: float = Field(0.3, ge=0.3, le=1, description="a detection this sure continues a face")


class RunConfig(_Settings):
    """Everything that `facefx run` can be told, except input and output."""

    effects: tuple[str | dict[str, dict[str, Any]], ...] = Field(
        ("solid",), description="effects as `name:param=value` or {name: {param: value}}, presets as `@name`"
    )
    select: str = Field(
        "all", description="which faces, for effects that do not say who=…: largest, track:3, not:leftmost, …"
    )
    detector: str = Field("auto", description="auto, yunet, blazeface or blazeface-short")
    landmarker: str = Field(
        "auto", description="auto, facemesh-468 or facemesh-478; used where an effect needs landmarks"
    )
    device: str = Field("cpu", description="cpu, cuda:N or auto")
    encode: EncodeConfig = EncodeConfig()
    policy: PolicyConfig = PolicyConfig()
    audio: Literal["keep", "drop"] = "keep"
    metadata: Literal["keep", "strip"] = "keep"
    extra_video: Literal["refuse", "drop"] = Field(
        "refuse", description="what to do with a second video stream, which could show faces"
    )
    on_damage: Literal["fail", "keep"] = "fail"
    threads: int = Field(2, ge=1, le=3, description="work threads of this process; never changes the bytes")
    from_s: float | None = Field(None, ge=0, description="start of the excerpt")
    to_s: float | None = Field(None, gt=0, description="end of the excerpt")
    seed: str | None = Field(None, description="secret for seeded noise; unset: derived from the plan")

    @field_validator("effects", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict) else value

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> RunConfig:
        if self.from_s is not None and self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"to_s ({self.to_s}) must be after from_s ({self.from_s})")
        return self


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> RunConfig:
    """Read a YAML file, lay the overrides that are not None over it, and check the whole.

    overrides: nested like the file; None means not given.

    Raises ConfigError naming the file, the key and what was wrong.
    """
    settings = _read_yaml(path) if path else {}
    merged = _merge(settings, overrides)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        where = str(path) if path else "settings"
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'whole'}: {item['msg']} (got {item['input']!r})"
            for item in error.errors()
        )
        raise ConfigError(f"{where}: {problems}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: expected settings as `key: value`, got {type(loaded).__name__}")
    return loaded


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and not isinstance(merged.get(key), str | tuple | list):
            inner = merged.get(key)
            merged[key] = _merge(inner if isinstance(inner, Mapping) else {}, value)
        elif value is not None:
            merged[key] = value
    return merged


_CLOCK = re.compile(r"^(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)$")


def parse_time(text: str) -> float:
    """Read seconds or [H:]M:S[.ms].

    Raises ConfigError on anything else.

    >>> parse_time("1:02.5"), parse_time("90")
    (62.5, 90.0)
    """
    match = _CLOCK.match(text.strip())
    if not match:
        raise ConfigError(f"time {text!r}: expected seconds or [H:]M:S, such as 75.5 or 1:15.5")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
