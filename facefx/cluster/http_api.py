"""The HTTP service as an ASGI app: images, streams, what nginx-rtmp asks, metrics, a page; without Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

import facefx
from facefx.cluster.http_auth import Guard, Passes
from facefx.cluster.http_docs import docs_page
from facefx.cluster.http_effects import effect_routes
from facefx.cluster.http_errors import install
from facefx.cluster.http_images import Images, image_routes
from facefx.cluster.http_metrics import CONTENT_TYPE, exposition, image_lines, stream_lines
from facefx.cluster.http_page import OPEN_PATHS, page_routes
from facefx.cluster.http_rtmp import HOOKS, rtmp_routes
from facefx.cluster.http_settings import HttpSettings
from facefx.cluster.http_streams import Streams, live_settings, stream_routes
from facefx.errors import FacefxError
from facefx.live.stats import Sample

__all__ = ["make_api"]

_ABOUT = (
    "Faces in photos and live streams, changed as asked for. Every endpoint but /healthz asks for "
    "Authorization: Bearer TOKEN; the page at / takes the token once and keeps a cookie. Errors are JSON: "
    "{error, exit_code, kind}."
)


def make_api(
    images: Images | None,
    streams: Streams | None,
    settings: HttpSettings,
    *,
    routers: Sequence[APIRouter] = (),
    read: Callable[[Mapping[str, Any]], Any] = live_settings,
    ready: Callable[[], Any] | None = None,
    secure: bool = False,
) -> FastAPI:
    """Put the app together.

    images, streams: whoever does the work; None: these routes are left out. routers: more routes; those of
    WebSockets ask for their token themselves. read: makes live settings of plain values. ready: raises an
    error of the tree while the service cannot work. secure: the page's cookie is for HTTPS only.
    """
    app = FastAPI(
        title="facefx",
        version=facefx.__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    passes = Passes(settings.tokens)
    app.add_middleware(
        Guard, passes=passes, open_paths=OPEN_PATHS, hooks=HOOKS, hook_token=settings.rtmp_token
    )
    install(app, settings.retry_after_s)
    if images is not None:
        app.include_router(image_routes(images, settings))
    if streams is not None:
        app.include_router(stream_routes(streams, settings, read))
        app.include_router(rtmp_routes(streams, settings, read))
    app.include_router(effect_routes())
    app.include_router(_state_routes(images, streams, ready))
    for router in routers:
        app.include_router(router)
    app.include_router(page_routes(passes, secure))
    _describe(app)
    return app


def _state_routes(
    images: Images | None, streams: Streams | None, ready: Callable[[], Any] | None
) -> APIRouter:
    routes = APIRouter(tags=["state"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers; needs no token."""
        return {"state": "healthy"}

    @routes.get("/readyz", responses={503: {"description": "not now, and why"}})
    async def readyz() -> dict[str, str]:
        """The service can work: nets are loaded, and whoever runs streams answers."""
        if ready is not None:
            await run_in_threadpool(ready)
        if streams is not None:
            await run_in_threadpool(streams.list)
        return {"state": "ready"}

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Figures of all streams and of the images, as Prometheus' text."""
        lines: list[Sample] = [] if images is None else [*image_lines(images.counts())]
        if streams is not None:
            lines += await run_in_threadpool(_all_streams, streams)
        return Response(exposition(lines), media_type=CONTENT_TYPE)

    return routes


def _all_streams(streams: Streams) -> list[Sample]:
    lines: list[Sample] = []
    for record in streams.list():
        if record.state in ("ended", "failed"):
            continue
        try:
            stats = streams.stats(record.id)
        except FacefxError:  # its lane is being replaced: it is up 0, and nothing else is known
            stats = {}
        lines += stream_lines(record.id, record.state, stats)
    return lines


def _describe(app: FastAPI) -> None:
    """The description: behind the token, as everything; with the token in it, so that tools ask for one."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            spec = FastAPI.openapi(app)
            spec["components"] = {
                **spec.get("components", {}),
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            }
            spec["security"] = [{"token": []}]
            spec["paths"]["/healthz"]["get"]["security"] = []
            app.openapi_schema = spec
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return HTMLResponse(docs_page(described()))
