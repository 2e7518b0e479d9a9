"""Requests to S3: one client per process, one policy of retries, one reason per failure.

botocore without s3fs: its calls are plain and synchronous, so they work after a fork and in any thread,
nothing lists from a cache, and no file object publishes half a file when it is collected. botocore's own
retries are off: they would multiply with ours, which must also cover bodies that break off while they
are read, and replies that are lost after the request was carried out.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from facefx.storage.backend import Unavailable
from facefx.storage.options import StorageOptions

__all__ = ["Client", "Refused"]

T = TypeVar("T")

# An address at which nobody answers is given up after so long, however many tries are left.
UNREACHABLE_S = 8.0
# The longest pause between two tries.
PAUSE_S = 3.0
_AGAIN = {
    "BadDigest",
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_DENIED = {
    "AccessDenied",
    "AuthFailure",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}


class Refused(Unavailable):
    """The service answered no; code: its name for the reason, status: HTTP's."""

    def __init__(self, reason: str, code: str, status: int) -> None:
        super().__init__(reason)
        self.code, self.status = code, status

    @property
    def missing(self) -> bool:
        """True if there is no such thing."""
        return self.status == 404


class Client:
    """Makes requests with one set of options; for many threads and after a fork."""

    def __init__(self, options: StorageOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request, tried again as the options say. Raises Refused, Unavailable."""
        return self.tried(lambda: self.once(operation, **arguments))

    def once(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request as it is, for use within a step of tried()."""
        reply: dict[str, Any] = getattr(self._client(), operation)(**arguments)
        return reply

    def tried(self, step: Callable[[], T]) -> T:
        """Carry out a step that can be done again from its start. Raises Refused, Unavailable."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        started, tries = time.monotonic(), 0
        while True:
            tries += 1
            try:
                return step()
            except (ClientError, BotoCoreError, ResponseParserError) as error:
                if not self._again(error, tries, time.monotonic() - started):
                    raise self._reason(error, tries) from error
            time.sleep(min(PAUSE_S, 0.1 * 2 ** (tries - 1)) * random.uniform(0.5, 1.0))

    def _client(self) -> Any:
        with self._lock:
            # Connections must not be shared with a parent process: replies would go to the wrong one.
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._connect())
            return self._made[1]

    def _connect(self) -> Any:
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config

        options = self._options
        config = Config(
            connect_timeout=options.connect_timeout_s,
            read_timeout=options.read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=16,
            # Integrity is ours to see to, by Content-MD5 and etag, which every S3 service knows.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            **({"signature_version": UNSIGNED} if options.anonymous else {}),
        )
        session = botocore.session.Session(profile=options.profile)
        session.register_component("data_loader", _descriptions())
        return session.create_client(
            "s3", endpoint_url=options.endpoint_url, region_name=options.region, config=config
        )

    def _again(self, error: Exception, tries: int, elapsed_s: float) -> bool:
        from botocore import exceptions as boto
        from botocore.parsers import ResponseParserError

        if tries > self._options.retries:
            return False
        if isinstance(error, boto.ClientError):
            code, status = _answer(error)
            return code in _AGAIN or status == 429 or (status >= 500 and status != 501)
        if isinstance(
            error, boto.EndpointConnectionError | boto.ConnectTimeoutError | boto.ProxyConnectionError
        ):
            return elapsed_s < UNREACHABLE_S
        broken = boto.HTTPClientError | boto.IncompleteReadError | ResponseParserError
        return isinstance(error, broken) and not isinstance(error, boto.SSLError)

    def _reason(self, error: Exception, tries: int) -> Unavailable:
        from botocore import exceptions as boto

        where = self._options.endpoint_url or "Amazon S3"
        if isinstance(error, boto.ClientError):
            return _refusal(error, where, tries)
        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
            return Unavailable(
                "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile, "
                "or ask for anonymous access"
            )
        if isinstance(error, boto.ProfileNotFound):
            return Unavailable(f"there is no profile {self._options.profile!r}; see ~/.aws/config")
        if isinstance(
            error, boto.EndpointConnectionError | boto.ConnectTimeoutError | boto.ProxyConnectionError
        ):
            return Unavailable(
                f"{where} cannot be reached ({tries} tries); check the endpoint and the network"
            )
        if isinstance(error, boto.ReadTimeoutError):
            waited = f"{self._options.read_timeout_s:g} s, {tries} tries"
            return Unavailable(f"{where} stopped answering ({waited}); try again later")
        if isinstance(error, boto.ParamValidationError):
            return Unavailable("is no address that S3 can have; expected s3://bucket/key")
        return Unavailable(
            f"{where}: {type(error).__name__} ({tries} tries); check the endpoint and the network"
        )


@lru_cache(maxsize=1)
def _descriptions() -> Any:
    """What botocore ships about S3, parsed once: a client is made in 10 ms then, in place of 60."""
    from botocore.loaders import create_loader

    return create_loader()


def _answer(error: Any) -> tuple[str, int]:
    """Code and HTTP status of a refusal."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code, int(status)


def _refusal(error: Any, where: str, tries: int) -> Refused:
    """A refusal in our words: a server's own may hold what is not for logs."""
    code, status = _answer(error)
    if code == "NoSuchBucket":
        reason = "there is no such bucket; check its name and the endpoint"
    elif code in _DENIED or status == 403:
        reason = (
            f"{where} denies access ({code}); check the credentials (environment, profile, role) "
            "and what they may do"
        )
    elif status == 404:
        reason = "is not there; check the address"
    elif status == 412:
        reason = "is another one than expected; run again"
    elif status >= 500:
        reason = f"{where} answers {status} {code} ({tries} tries); try again later"
    else:
        reason = f"{where} refuses {error.operation_name}: {status} {code}; check the address and the options"
    return Refused(reason, code, status)
