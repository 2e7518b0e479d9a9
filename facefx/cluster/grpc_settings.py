"""What a gRPC server of frames is told."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from facefx.cluster.environment import described, tokens_of
from facefx.config import RunConfig
from facefx.errors import ConfigError
from facefx.live.frame_exchange import ExchangeRules
from facefx.live.frames import Serving, serving
from facefx.video.frame_codec import CodecRules

__all__ = ["GrpcSettings", "TlsFiles", "grpc_settings_from"]


class TlsFiles(BaseModel):
    """PEM files. client_ca: who must have signed a client's certificate; unset: clients need none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path
    key: Path
    client_ca: Path | None = None


class GrpcSettings(BaseModel):
    """Address, doors and limits of a server; times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(50051, ge=0, le=65535, description="0: a free one")
    tokens: tuple[SecretStr, ...] = Field((), description="any of them lets a client in")
    tls: TlsFiles | None = None
    detector: str = Field("auto", description="as in a settings file")
    landmarker: str = Field("auto", description="as in a settings file")
    device: str = Field("cpu", description="cpu, cuda:N or auto")
    preset: str = Field("veryfast", description="x264's; ultrafast takes a third less of the time")
    crf: float = Field(23, ge=0, le=51, description="x264's quality; smaller is better and larger")
    workers: int = Field(1, ge=1, le=64, description="work threads; each has nets of its own")
    sessions: int = Field(8, ge=1, le=1024, description="streams of frames at a time")
    window: int = Field(2, ge=1, le=64, description="frames of a stream without a result")
    max_message_bytes: int = Field(16 << 20, ge=1 << 16, le=256 << 20)
    max_frame_bytes: int = Field(4 << 20, ge=1 << 10, le=256 << 20)
    open_s: float = Field(5.0, gt=0)
    idle_s: float = Field(30.0, gt=0)
    longest_s: float = Field(24 * 3600.0, gt=0)
    drain_s: float = Field(10.0, ge=0, description="how long streams are given to end")
    stuck_s: float = Field(60.0, gt=0, description="a frame that takes longer has hung: no longer healthy")
    keepalive_s: float = Field(30.0, ge=1, description="a silent connection is asked so often")
    least_ping_s: float = Field(10.0, ge=1, description="a client that asks more often is sent away")

    @field_validator("tokens")
    @classmethod
    def _no_empty_token(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not token.get_secret_value() for token in tokens):
            raise ValueError("a token must not be empty")
        return tokens

    @model_validator(mode="after")
    def _doors_fit(self) -> GrpcSettings:
        if not self.tokens and not _is_loopback(self.host):
            raise ValueError(f"host {self.host} can be reached from outside: a token is needed")
        if self.max_frame_bytes >= self.max_message_bytes:
            raise ValueError("max_frame_bytes must be below max_message_bytes, which holds the rest too")
        return self

    def serving(self) -> Serving:
        """Fix how faces are found and frames are coded.

        Raises ConfigError, ModelError.
        """
        config = RunConfig(detector=self.detector, landmarker=self.landmarker, device=self.device)
        return serving(config, CodecRules(max_bytes=self.max_frame_bytes, preset=self.preset, crf=self.crf))

    @property
    def rules(self) -> ExchangeRules:
        """What is granted to one client."""
        return ExchangeRules(self.window, self.max_frame_bytes, self.open_s, self.idle_s, self.longest_s)


def grpc_settings_from(given: Mapping[str, str] = os.environ) -> GrpcSettings:
    """The settings that the environment asks for.

    FACEFX_TOKEN, or FACEFX_TOKEN_FILE with the path of a file: tokens, one a line. FACEFX_GRPC: the rest, as
    JSON.

    Raises ConfigError, with no token in it.
    """
    tokens = tokens_of(given)
    try:
        rest = json.loads(given.get("FACEFX_GRPC") or "{}")
        return GrpcSettings.model_validate({**rest, **({"tokens": tokens} if tokens else {})})
    except (json.JSONDecodeError, TypeError) as error:
        raise ConfigError("FACEFX_GRPC: expected an object in JSON") from error
    except ValidationError as error:
        raise ConfigError(f"FACEFX_GRPC: {described(error)}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
