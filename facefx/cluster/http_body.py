"""Bodies of requests, read within a limit."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from facefx.errors import TooLargeError, UsageError

__all__ = ["read_body", "read_object"]

_MOST_JSON = 256 << 10


async def read_body(request: Request, most: int) -> bytes:
    """Read a body whole; what says or turns out to be longer is not read to its end.

    Raises TooLargeError.
    """
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        raise _too_large(most)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


async def read_object(request: Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises TooLargeError, UsageError.
    """
    data = await read_body(request, _MOST_JSON)
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is no JSON: expected an object") from error
    if not isinstance(said, dict):
        raise UsageError(f"the body is a JSON {type(said).__name__}: expected an object")
    return said


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"the body has more than {most} bytes; send less")
