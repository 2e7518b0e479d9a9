"""How a store is reached: endpoint, profile, encryption, time-outs. Never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from facefx.errors import ConfigError

__all__ = ["StorageOptions"]


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """How to reach remote storage; picklable, hashable, and free of credentials.

    Credentials come from where botocore looks for them: the environment, a profile, the machine's role.
    endpoint_url: an S3 service other than Amazon's. anonymous: requests are not signed.
    sse: encryption at rest asked for with each upload; sse_kms_key_id only with "aws:kms".
    An address that does not answer is given up within about 15 s by default; a server that answers with
    errors, or stops in the middle, is tried 1 + retries times, each at most read_timeout_s silent.
    """

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    sse: Literal["AES256", "aws:kms"] | None = None
    sse_kms_key_id: str | None = None
    anonymous: bool = False
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 15.0
    retries: int = 6

    def __post_init__(self) -> None:
        if self.endpoint_url is not None:
            parts = urlsplit(self.endpoint_url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in self.endpoint_url:
                raise ConfigError(
                    "endpoint_url: expected http(s)://host[:port] without user and password; "
                    "credentials belong into the environment or a profile"
                )
        if self.sse not in {None, "AES256", "aws:kms"}:
            raise ConfigError(f"sse: expected AES256 or aws:kms, got {self.sse!r}")
        if self.sse_kms_key_id is not None and self.sse != "aws:kms":
            raise ConfigError("sse_kms_key_id: is of use with sse aws:kms only; set that, or leave it out")
        if self.connect_timeout_s <= 0 or self.read_timeout_s <= 0:
            raise ConfigError("connect_timeout_s and read_timeout_s: expected more than 0 seconds")
        if self.retries < 0:
            raise ConfigError(f"retries: expected 0 or more, got {self.retries}")

    def to_json(self) -> dict[str, Any]:
        """As plain values, for a plan or a report."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StorageOptions:
        """From plain values. Raises ConfigError for a name that is none of ours."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(f"storage options: unknown {', '.join(unknown)}; see StorageOptions")
        return cls(**values)
