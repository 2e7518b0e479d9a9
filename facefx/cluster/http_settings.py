"""What the HTTP service is told: who is let in, how much it takes, and where streams may come from and go."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from facefx.cluster.environment import described, text_of, tokens_of
from facefx.errors import ConfigError

__all__ = ["HttpSettings", "RtmpKey", "settings_from"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class RtmpKey(BaseModel):
    """One streamer: the key that is entered in OBS, the stream's id, and what becomes of the stream.

    settings: of the live stream beside source, targets and effects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr = Field(min_length=8)
    id: str
    effects: tuple[str | dict[str, dict[str, Any]], ...] = ("solid",)
    settings: dict[str, Any] = Field(default_factory=dict)

    @field_validator("id")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError("expected 1 to 64 letters, digits, dots, dashes and underscores")
        return value


class HttpSettings(BaseModel):
    """Everything that the HTTP service can be told.

    tokens: any of them lets a client in. waiting: images that may wait; one more is answered 503. rtmp:
    streamers who may publish; rtmp_source, rtmp_targets: addresses with {id} in them, or {key} where the
    RTMP server cannot be told another name. rtmp_token: what nginx must send as ?token=, where the port is
    open to others than nginx. sources, targets: schemes that a client may name. hls_dir: where targets that
    are plain names, such as NAME/live.m3u8, are written; empty: nowhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: tuple[SecretStr, ...] = Field(min_length=1)
    max_bytes: int = Field(20 << 20, gt=0)
    waiting: int = Field(16, ge=1)
    retry_after_s: int = Field(1, ge=1)
    events: int = Field(64, ge=1, description="clients that may follow streams at once")
    events_s: float = Field(0.5, gt=0, description="seconds from one event to the next")
    rtmp: tuple[RtmpKey, ...] = ()
    rtmp_source: str = "rtmp://127.0.0.1:1935/live/{id}"
    rtmp_targets: tuple[str, ...] = ("rtmp://127.0.0.1:1935/out/{id}",)
    rtmp_token: SecretStr | None = None
    sources: frozenset[str] = frozenset({"rtmp", "rtmps", "http", "https", "srt"})
    targets: frozenset[str] = frozenset({"rtmp", "rtmps", "srt"})
    hls_dir: str = ""

    @field_validator("tokens")
    @classmethod
    def _are_long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(token.get_secret_value()) < 8 for token in value):
            raise ValueError("expected tokens of 8 characters at least")
        return value


def settings_from(given: Mapping[str, str] = os.environ) -> HttpSettings:
    """The settings that the environment asks for.

    FACEFX_TOKEN, or FACEFX_TOKEN_FILE with the path of a file: tokens, one a line. FACEFX_HTTP, or
    FACEFX_HTTP_FILE: the rest, as JSON.

    Raises ConfigError, with no value of any secret in it.
    """
    tokens = tokens_of(given)
    if not tokens:
        raise ConfigError(
            "no token: set FACEFX_TOKEN, or FACEFX_TOKEN_FILE to a file with one token a line; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    text = text_of(given, "FACEFX_HTTP")
    try:
        return HttpSettings.model_validate({**(json.loads(text) if text else {}), "tokens": tokens})
    except ValidationError as error:
        raise ConfigError(f"FACEFX_HTTP: {described(error)}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"FACEFX_HTTP: expected an object in JSON: {type(error).__name__}") from None
