"""Errors as HTTP answers: the tree's classes as status codes, and a body that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from facefx.errors import ExitCode, FacefxError

__all__ = ["ERRORS", "BusyError", "NotFoundError", "answer_of", "error_body", "install", "status_of"]

_log = logging.getLogger("facefx.cluster")

# By name, the nearest class first: some of them belong to rooms that need not be there.
_STATUS = MappingProxyType({
    "BusyError": 503,
    "NotFoundError": 404,
    "StoreAwayError": 503,
    "ResourcesError": 503,
    "ClusterError": 503,
    "TooLargeError": 413,
    "UnsupportedError": 415,
    "DamagedError": 422,
    "EffectError": 422,
    "ConfigError": 422,
    "LeaseHeldError": 409,
    "RecordsError": 500,
    "ModelError": 500,
    "UsageError": 400,
    "InputError": 422,
})  # fmt: skip


class BusyError(FacefxError):
    """As many requests wait as may; nothing is wrong with this one."""

    exit_code = ExitCode.BAD_INPUT


class NotFoundError(FacefxError):
    """There is no such stream, or picture of it."""

    exit_code = ExitCode.USAGE


def status_of(error: FacefxError) -> int:
    """The status that an error of the tree is answered with.

    >>> from facefx.errors import EffectError, TooLargeError, FidelityError
    >>> status_of(EffectError("x")), status_of(TooLargeError("x")), status_of(FidelityError("x"))
    (422, 413, 500)
    """
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_STATUS[name] for name in names if name in _STATUS), 500)


def error_body(message: str, exit_code: int, kind: str) -> dict[str, Any]:
    """What every error's body holds."""
    return {"error": message, "exit_code": int(exit_code), "kind": kind}


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": said,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error", "exit_code", "kind"],
                    "properties": {
                        "error": {"type": "string", "description": "what was wrong, and what to do"},
                        "exit_code": {"type": "integer", "description": "what facefx would exit with"},
                        "kind": {"type": "string", "description": "the error's name in facefx.errors"},
                    },
                }
            }
        },
    }
    for status, said in {
        400: "the request cannot be right",
        401: "no token, or not one of ours",
        404: "there is no such thing",
        413: "more bytes or pixels than are taken",
        415: "not a kind that is carried",
        422: "what came cannot be used",
        503: "no room now; ask again after Retry-After seconds",
    }.items()
}
"""Answers for OpenAPI."""


def answer_of(error: FacefxError, retry_after_s: int) -> JSONResponse:
    """The answer to a request that ended with an error of the tree; what is ours to mend is logged."""
    status = status_of(error)
    headers = {"Retry-After": str(retry_after_s)} if status == 503 else {}
    if status == 500:
        _log.error("a request failed: %s: %s", type(error).__name__, error)
    body = error_body(str(error), error.exit_code, type(error).__name__)
    return JSONResponse(body, status, headers)


def install(app: FastAPI, retry_after_s: int) -> None:
    """Have an app answer every error this way."""

    def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, FacefxError)
        return answer_of(error, retry_after_s)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # The values are left out: one could be a key.
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return JSONResponse(error_body(said, ExitCode.USAGE, "UsageError"), 422)

    def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = error_body(str(error.detail), ExitCode.USAGE, "UsageError")
        return JSONResponse(body, error.status_code, error.headers)

    def unknown(request: Request, error: Exception) -> Response:
        # The error itself goes to the log by the server; a stranger learns nothing of our inside.
        return JSONResponse(error_body("internal error; see the log", ExitCode.INTERNAL, "FacefxError"), 500)

    handlers: dict[type[Exception], Callable[[Request, Exception], Response | Awaitable[Response]]] = {
        FacefxError: ours,
        RequestValidationError: invalid,
        HTTPException: plain,
        Exception: unknown,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
