"""Tokens that let a client in, compared so that the time it takes tells nothing about them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr

__all__ = ["Tokens", "token_of"]

_SCHEME = "bearer "


class Tokens:
    """The tokens of a service; none: everybody is let in."""

    def __init__(self, tokens: Iterable[SecretStr]) -> None:
        self._digests = [_digest(token.get_secret_value()) for token in tokens]

    @property
    def asked(self) -> bool:
        """True where a token is asked for."""
        return bool(self._digests)

    def match(self, given: str | None) -> bool:
        """True for one of the tokens, or where none is asked for; every one is compared."""
        digest = _digest(given or "")
        found = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(found) or not self._digests


def token_of(authorization: str | None) -> str | None:
    """The token of an Authorization header, None where there is none.

    >>> token_of("Bearer abc"), token_of("Basic abc")
    ('abc', None)
    """
    if authorization is None or not authorization.lower().startswith(_SCHEME):
        return None
    return authorization[len(_SCHEME) :].strip()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
