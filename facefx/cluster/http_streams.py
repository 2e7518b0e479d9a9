"""/v1/streams: live streams begun, looked at, changed and ended."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError

from facefx.cluster.environment import described
from facefx.cluster.http_body import read_object
from facefx.cluster.http_errors import ERRORS, BusyError, NotFoundError, error_body
from facefx.cluster.http_images import read_effects
from facefx.cluster.http_settings import HttpSettings
from facefx.effects.registry import effect_class
from facefx.effects.remote import read_remote_chain
from facefx.errors import ConfigError, FacefxError, UsageError

__all__ = ["Record", "Streams", "hides_faces", "live_settings", "stream_routes"]

Entry = str | Mapping[str, Mapping[str, Any] | None]
StreamId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_STARTS = ("id", "source", "targets")


class Record(Protocol):
    """What is known of a stream."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def state(self) -> str:
        """starting, running, reconnecting, ended or failed."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was begun with, as plain values, stream keys too."""

    def shown(self) -> dict[str, Any]:
        """What anybody may see: no stream key and no token."""


class Streams(Protocol):
    """Live streams by their ids, as facefx.live.directory.StreamDirectory; every method may block a while."""

    def start(self, settings: Any, id: str | None = None) -> Record:
        """Begin one; the same again for an id that runs."""

    def get(self, id: str) -> Record | None:
        """One, or None."""

    def list(self) -> Sequence[Record]:
        """All."""

    def set_effects(self, id: str, effects: Sequence[Entry]) -> Record:
        """Change what is done to faces, from the next frame on."""

    def stop(self, id: str) -> None:
        """End one."""

    def stats(self, id: str) -> dict[str, Any]:
        """What it counts and measures."""

    def preview(self, id: str) -> tuple[bytes, bytes] | None:
        """Its newest frame before and after, as JPEG."""


def live_settings(plain: Mapping[str, Any]) -> Any:
    """LiveSettings from plain values.

    Raises ConfigError, with no value in it.
    """
    # By name: an app without streams does without that room.
    return importlib.import_module("facefx.live.settings").LiveSettings.model_validate(dict(plain))


def stream_routes(
    streams: Streams, settings: HttpSettings, read: Callable[[Mapping[str, Any]], Any]
) -> APIRouter:
    """The routes, over whoever runs streams. read: makes live settings of plain values."""
    routes = APIRouter(prefix="/v1/streams", tags=["streams"], responses=ERRORS)
    _change(routes, streams, settings, read)
    _look(routes, streams, settings)
    return routes


def _change(
    routes: APIRouter, streams: Streams, settings: HttpSettings, read: Callable[[Mapping[str, Any]], Any]
) -> None:
    """Routes that begin, change and end a stream."""

    @routes.post("", status_code=201, openapi_extra=_body(["source"], _STARTS))
    async def start_stream(request: Request) -> JSONResponse:
        """Begin a stream: `source` and `targets` are addresses, everything else as in the live settings.

        The same again for an `id` that runs already is answered 201 with the stream as it is.
        """
        said = await read_object(request)
        id = said.pop("id", None)
        if id is not None and not isinstance(id, str):
            raise UsageError("id: expected text, or nothing for a name of our choice")
        places = checked_places(said, settings)
        if "effects" in said:
            said["effects"] = _chain(said["effects"])
        record = await run_in_threadpool(streams.start, _valid(read, {**said, **places}), id)
        headers = {"Location": f"/v1/streams/{record.id}", "Cache-Control": "no-store"}
        return JSONResponse(shown(record), 201, headers)

    @routes.patch("/{id}", openapi_extra=_body(["effects"], ("effects",)))
    async def change_stream(request: Request, id: StreamId) -> dict[str, Any]:
        """Change the effects of a stream, from its next frame on."""
        said = await read_object(request)
        if set(said) != {"effects"}:
            raise UsageError("expected {effects: […]}: nothing else of a stream can be changed while it runs")
        effects = _chain(said["effects"])
        await _known(streams, id)
        return shown(await run_in_threadpool(streams.set_effects, id, effects))

    @routes.delete("/{id}", status_code=204)
    async def stop_stream(id: StreamId) -> Response:
        """End a stream; its record stays for a while."""
        await _known(streams, id)
        await run_in_threadpool(streams.stop, id)
        return Response(status_code=204)


def _look(routes: APIRouter, streams: Streams, settings: HttpSettings) -> None:
    """Routes that only look."""
    following = asyncio.BoundedSemaphore(settings.events)

    @routes.get("")
    async def list_streams() -> dict[str, Any]:
        """All streams, those that ended a moment ago too."""
        return {"streams": [shown(record) for record in await run_in_threadpool(streams.list)]}

    @routes.get("/{id}")
    async def get_stream(id: StreamId) -> dict[str, Any]:
        """One stream."""
        return shown(await _known(streams, id))

    @routes.get("/{id}/events", response_class=StreamingResponse)
    async def follow_stream(id: StreamId) -> Response:
        """What the stream counts and measures, again and again, as server-sent events named `stats`.

        The last event is named `end`.
        """
        await _known(streams, id)
        if following.locked():
            raise BusyError(f"{settings.events} clients follow streams already; ask again in a moment")
        events = _events(streams, id, settings.events_s, following)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")

    @routes.get("/{id}/preview.jpg", response_class=Response)
    async def preview_stream(
        id: StreamId, side: Annotated[Literal["before", "after"], Query()] = "after"
    ) -> Response:
        """The newest frame, before or after the effects; before never of a stream that hides faces."""
        record = await _known(streams, id)
        if side == "before" and hides_faces(record):
            raise NotFoundError(f"stream {id}: hides faces, and is not shown before that")
        pictures = await run_in_threadpool(streams.preview, id)
        picture = pictures[side == "after"] if pictures else b""
        if not picture:
            raise NotFoundError(f"stream {id}: no frame to show yet")
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def shown(record: Record) -> dict[str, Any]:
    """A record as it is answered, with `hides`: whether it is never shown before its effects."""
    plain = record.shown()
    settings = {**plain.get("settings", {})}
    if settings.get("seed") is not None:  # whoever knows it could take the noise away
        settings["seed"] = "***"
    return {**plain, "settings": settings, "hides": hides_faces(record)}


def hides_faces(record: Record) -> bool:
    """True where a stream hides faces, or where that cannot be told."""
    try:
        chain = read_remote_chain(tuple(record.settings.get("effects", ())))
        return any(effect_class(spec.name).family == "privacy" for spec in chain)
    except FacefxError:
        return True


def checked_places(said: dict[str, Any], settings: HttpSettings) -> dict[str, Any]:
    """Take source and targets out of a request, as they may be.

    Raises UsageError, with no address in it: it may hold a key.
    """
    source, targets = said.pop("source", None), said.pop("targets", [])
    if said.get("listen"):
        raise UsageError("listen: the service waits at no address of its own; publish to the RTMP server")
    if not isinstance(source, str) or not isinstance(targets, list):
        raise UsageError("expected source, an address, and targets, a list of addresses")
    if _scheme(source) not in settings.sources:
        raise UsageError(f"source: expected an address of {', '.join(sorted(settings.sources))}")
    return {"source": source, "targets": [_target(target, settings) for target in targets]}


def _target(target: Any, settings: HttpSettings) -> str:
    if isinstance(target, str) and _scheme(target) in settings.targets:
        return target
    if isinstance(target, str) and settings.hls_dir and _is_playlist(target):
        return f"{settings.hls_dir.rstrip('/')}/{target}"
    where = ", or a name like camera/live.m3u8" if settings.hls_dir else ""
    raise UsageError(f"targets: expected addresses of {', '.join(sorted(settings.targets))}{where}")


def _is_playlist(name: str) -> bool:
    parts = PurePosixPath(name).parts
    plain = all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", part) for part in parts)
    return plain and 1 <= len(parts) <= 3 and name.endswith(".m3u8")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:
        return ""


def _valid(read: Callable[[Mapping[str, Any]], Any], plain: Mapping[str, Any]) -> Any:
    try:
        return read(plain)
    except ValidationError as error:
        raise ConfigError(f"settings: {described(error)}") from None


def _chain(said: Any) -> tuple[Entry, ...]:
    """Effects that somebody asks for, checked.

    Raises UsageError, EffectError.
    """
    entries = read_effects(json.dumps(said), []) or ()
    read_remote_chain(entries)
    return entries


async def _known(streams: Streams, id: str) -> Record:
    record = await run_in_threadpool(streams.get, id)
    if record is None:
        raise NotFoundError(f"stream {id}: there is none of that name")
    return record


async def _events(
    streams: Streams, id: str, pause_s: float, following: asyncio.Semaphore
) -> AsyncIterator[str]:
    async with following:
        while True:
            try:
                record = await run_in_threadpool(streams.get, id)
                if record is None or record.state in ("ended", "failed"):
                    yield _event("end", shown(record) if record else {"id": id, "state": "ended"})
                    return
                stats = await run_in_threadpool(streams.stats, id)
                yield _event("stats", {"record": shown(record), "stats": stats})
            except FacefxError as error:  # a lane that is being replaced answers again in a moment
                yield _event("wait", error_body(str(error), error.exit_code, type(error).__name__))
            await asyncio.sleep(pause_s)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _body(required: list[str], names: Sequence[str]) -> dict[str, Any]:
    """What OpenAPI says of a body that is checked by hand."""
    known = {
        "id": {"type": "string"},
        "source": {"type": "string"},
        "targets": {"type": "array", "items": {"type": "string"}},
    }
    effects = {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "object"}]}}
    properties = {name: known[name] for name in names if name in known} | {"effects": effects}
    schema = {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": "source" in required,
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
