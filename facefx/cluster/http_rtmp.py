"""What nginx-rtmp asks: may this key publish, and that it has stopped.

nginx sends forms (notify_method post) with `name`, the stream key. A 2xx lets a publisher in, a 302 too and
gives the stream the name in Location; anything else turns it away. Keys are compared in constant time, and
appear in no answer and no log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from facefx.cluster.bearer import Tokens
from facefx.cluster.http_body import read_body
from facefx.cluster.http_errors import ERRORS
from facefx.cluster.http_settings import HttpSettings, RtmpKey
from facefx.cluster.http_streams import Streams
from facefx.errors import FacefxError

__all__ = ["HOOKS", "rtmp_routes"]

HOOKS = frozenset({"/v1/rtmp/publish", "/v1/rtmp/done"})

_log = logging.getLogger("facefx.cluster")
_MOST = 16 << 10
_LINGER_S = 30.0  # as LiveSettings has it
_FORM = {
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
            }
        }
    }
}


def rtmp_routes(
    streams: Streams, settings: HttpSettings, read: Callable[[Mapping[str, Any]], Any]
) -> APIRouter:
    """The routes. read: makes live settings of plain values."""
    routes = APIRouter(
        prefix="/v1/rtmp", tags=["rtmp"], responses={403: {"description": "no such key"}, **ERRORS}
    )
    known = [(Tokens((one.key,)), one) for one in settings.rtmp]

    @routes.post("/publish", status_code=302, openapi_extra=_FORM)
    async def publish(request: Request) -> Response:
        """nginx-rtmp's on_publish: let in whoever has a key, and begin the stream's lane.

        302 with the stream's id as Location: nginx knows the stream by that name from then on.
        """
        streamer = await _streamer(request, known)
        if streamer is None:
            _log.warning("rtmp: a publisher was turned away: no such key")
            return Response(status_code=403)
        try:
            plain = _plain(streamer, settings)
            await run_in_threadpool(streams.start, read(plain), streamer.id)
        except FacefxError as error:
            _log.warning("rtmp: stream %s cannot begin: %s", streamer.id, type(error).__name__)
            raise
        renamed = "{key}" not in settings.rtmp_source
        return Response(status_code=302, headers={"Location": streamer.id}) if renamed else Response()

    @routes.post("/done", status_code=204, openapi_extra=_FORM)
    async def done(request: Request) -> Response:
        """nginx-rtmp's on_publish_done: the publisher has left.

        A lane waits for its return as long as its settings say; without such a wait it is ended.
        """
        streamer = await _streamer(request, known)
        if streamer is None:
            return Response(status_code=403)
        if streamer.settings.get("linger_s", _LINGER_S) == 0:
            await run_in_threadpool(streams.stop, streamer.id)
        return Response(status_code=204)

    return routes


async def _streamer(request: Request, known: list[tuple[Tokens, RtmpKey]]) -> RtmpKey | None:
    """Whose key it is; every one is compared."""
    form = parse_qs((await read_body(request, _MOST)).decode("utf-8", "replace"))
    name = form.get("name", [""])[0]
    found = [one for tokens, one in known if tokens.match(name)]
    return found[0] if found and name else None


def _plain(streamer: RtmpKey, settings: HttpSettings) -> dict[str, Any]:
    def filled(template: str) -> str:
        return template.replace("{id}", streamer.id).replace("{key}", streamer.key.get_secret_value())

    return {
        **streamer.settings,
        "source": filled(settings.rtmp_source),
        "targets": [filled(target) for target in settings.rtmp_targets],
        "effects": list(streamer.effects),
    }
