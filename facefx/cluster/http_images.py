"""POST /v1/images: a photo in, the same photo out with its faces changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Header, Query, Request, Response

from facefx.cluster.http_body import read_body
from facefx.cluster.http_errors import ERRORS, BusyError
from facefx.cluster.http_settings import HttpSettings
from facefx.errors import UnsupportedError, UsageError
from facefx.pipeline.image_service import ImageAnswer, ImageRequest, ImageService, media_type, target_of

__all__ = ["Images", "LocalImages", "image_routes", "read_effects"]

Entry = str | Mapping[str, Mapping[str, Any] | None]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_KINDS = {f"image/{kind}": _BINARY for kind in ("jpeg", "png", "webp")}


class Images(Protocol):
    """Whoever does images, here or elsewhere."""

    async def process(self, request: ImageRequest) -> ImageAnswer:
        """Do one; raises what ImageService raises, BusyError where as many wait as may."""

    def counts(self) -> Mapping[str, float]:
        """Numbers for /metrics, by name; those that end in _total only grow."""


class LocalImages:
    """An image service of this process. waiting: requests that may wait, the one at work counted."""

    def __init__(self, service: ImageService, waiting: int) -> None:
        self._service, self._most = service, waiting
        self._here = 0
        self._done: dict[str, float] = {"images_total": 0, "images_failed_total": 0, "images_busy_total": 0}

    async def process(self, request: ImageRequest) -> ImageAnswer:
        """See Images."""
        if self._here >= self._most:
            self._done["images_busy_total"] += 1
            raise BusyError(f"{self._most} images wait already; ask again in a moment")
        self._here += 1
        try:
            answer = await asyncio.wrap_future(self._service.submit(request))
        except BaseException:
            self._done["images_failed_total"] += 1
            raise
        finally:
            self._here -= 1
        self._done["images_total"] += 1
        return answer

    def counts(self) -> Mapping[str, float]:
        """See Images."""
        return {**self._done, "images_waiting": self._here}


def read_effects(said: str | None, named: list[str]) -> tuple[Entry, ...] | None:
    """The effects of a request: JSON as in a settings file, or `name:param=value`; None where none is named.

    Raises UsageError.

    >>> read_effects('[{"smooth": {"strength": 0.4}}, "solid"]', [])
    ({'smooth': {'strength': 0.4}}, 'solid')
    >>> read_effects(None, ["pixelate:cells=6"])
    ('pixelate:cells=6',)
    """
    if said is None or not said.strip():
        return tuple(named) or None
    if not said.lstrip().startswith(("[", "{", '"')):
        return (said, *named)
    try:
        value = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UsageError("effects: no JSON: expected a list of `name:param=value` or {name: {…}}") from error
    entries = value if isinstance(value, list) else [value]
    return (*(_entry(entry) for entry in entries), *named)


def _entry(value: Any) -> Entry:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and all(
        params is None or isinstance(params, dict) for params in value.values()
    ):
        return value
    raise UsageError("effects: expected each to be `name:param=value` or {name: {param: value}}")


def image_routes(images: Images, settings: HttpSettings) -> APIRouter:
    """The route, over whoever does images."""
    routes = APIRouter(tags=["images"])
    body = {"required": True, "content": _KINDS}
    answers = {200: {"description": "the photo, with its faces changed", "content": _KINDS}, **ERRORS}

    @routes.post(
        "/v1/images", response_class=Response, responses=answers, openapi_extra={"requestBody": body}
    )
    async def change_image(
        request: Request,
        effects: Annotated[
            str | None,
            Query(max_length=16384, description='as JSON: ["solid", {"smooth": {"strength": 0.5}}]'),
        ] = None,
        effect: Annotated[
            list[str] | None, Query(max_length=32, description="name:param=value; as often as wanted")
        ] = None,
        format: Annotated[
            Literal["jpeg", "png", "webp"] | None, Query(description="of the answer; else as it came")
        ] = None,
        metadata: Annotated[Literal["keep", "strip"] | None, Query()] = None,
        select: Annotated[str, Query(max_length=200, description="which faces")] = "all",
        x_facefx_effects: Annotated[
            str | None, Header(max_length=16384, description="the same as `effects`, for long ones")
        ] = None,
    ) -> Response:
        """Change the faces of one photo: the file itself is the body, its kind the Content-Type.

        Orientation and metadata come through; `X-Facefx-Faces` says how many faces were found,
        `X-Facefx-Boxes` where (xyxy, pixels as stored), `Server-Timing` where the time went.
        """
        media = request.headers.get("content-type", "")
        if media and media.partition(";")[0] != "application/octet-stream" and target_of(media) is None:
            raise UnsupportedError(
                "Content-Type: expected image/jpeg, image/png or image/webp, with the file as the body"
            )
        wanted = read_effects(effects if effects is not None else x_facefx_effects, effect or [])
        data = await read_body(request, settings.max_bytes)
        answer = await images.process(ImageRequest(data, wanted, format, select, metadata))
        return Response(answer.data, 200, _headers(answer), media_type(answer.kind))

    return routes


def _headers(answer: ImageAnswer) -> dict[str, str]:
    timing = ", ".join(f"{stage};dur={1000 * spent:.2f}" for stage, spent in answer.times_s.items())
    return {
        "X-Facefx-Faces": str(len(answer.boxes)),
        "X-Facefx-Boxes": json.dumps(answer.boxes[:200]),
        "X-Facefx-Notes": json.dumps(answer.notes[:20]),
        "X-Facefx-Size": f"{answer.size[0]}x{answer.size[1]}",
        "Server-Timing": timing,
        "Cache-Control": "no-store",
    }
