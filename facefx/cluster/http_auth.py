"""Who is let in: a token in the header, or, for the page, a cookie that only this service can have made.

Plain ASGI, in front of every route: one that is added later is behind it too. WebSockets ask for their token
themselves, since a browser cannot set their headers.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from facefx.cluster.bearer import Tokens, token_of
from facefx.cluster.http_errors import error_body
from facefx.errors import ExitCode

__all__ = ["COOKIE", "OWN_HEADER", "Guard", "Passes"]

COOKIE = "facefx"
OWN_HEADER = "x-facefx-page"
"""A cookie alone changes nothing: a page of another place cannot set this header."""

_SAFE = frozenset({"GET", "HEAD"})


class Passes:
    """What lets a client in: tokens, and the cookies made of them.

    A cookie is a keyed hash of a token, so that whoever reads it has no token, and it ends with its token.
    """

    def __init__(self, tokens: Iterable[SecretStr]) -> None:
        known = tuple(tokens)
        self._tokens = Tokens(known)
        self._cookies = Tokens(SecretStr(_cookie(token.get_secret_value())) for token in known)

    def token(self, given: str | None) -> bool:
        """True for one of the tokens."""
        return given is not None and self._tokens.match(given)

    def cookie(self, given: str | None) -> bool:
        """True for the cookie of one of the tokens."""
        return given is not None and self._cookies.match(given)

    @staticmethod
    def cookie_of(token: str) -> str:
        """The cookie of a token that was let in."""
        return _cookie(token)


class Guard:
    """Answers 401 to whoever has no pass, before a byte of the body is read.

    open_paths: need none. hooks: paths where hook_token is asked for, as ?token=, since who calls them can
    set no header; None: the stream key in the body is all that is asked for.
    """

    def __init__(
        self,
        app: ASGIApp,
        passes: Passes,
        open_paths: frozenset[str],
        hooks: frozenset[str],
        hook_token: SecretStr | None,
    ) -> None:
        self._app, self._passes, self._open = app, passes, open_paths
        self._hooks = hooks
        self._hook = Tokens((hook_token,)) if hook_token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http" or self._is_let_in(scope):
            await self._app(scope, receive, send)
            return
        body = error_body(
            "a token is needed: send the header Authorization: Bearer TOKEN", ExitCode.USAGE, "UsageError"
        )
        await JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _is_let_in(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in self._open:
            return True
        headers = Headers(scope=scope)
        if self._passes.token(token_of(headers.get("authorization"))):
            return True
        if path in self._hooks:
            return self._hook is None or self._hook.match(_asked(scope, "token"))
        own = scope["method"] in _SAFE or headers.get(OWN_HEADER) is not None
        return own and self._passes.cookie(_cookie_in(headers.get("cookie", "")))


def _cookie(token: str) -> str:
    return hmac.new(token.encode("utf-8", "surrogateescape"), b"facefx page", hashlib.sha256).hexdigest()


def _cookie_in(header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def _asked(scope: Scope, name: str) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1")).get(name)
    return values[0] if values else None
