"""Frames over WebSocket: the same conversation as over gRPC, for browsers and whoever has no gRPC.

Text messages are JSON control messages, by `type`. Client: open (token, coding, effects, select, timescale,
config as base64, rotation, late_s, credits), update (number, effects, select), credit (credits), end. Server:
opened (window, max_bytes), updated (number, refused). Without credits in open none are counted, and none may
be sent. Binary messages are frames behind a small header, in
network order:

    client  u8 version = 1, u8 flags, u16 credits, u32 number, i64 pts, then the coded frame
    server  u8 version = 1, u8 flags, u16 length of the JSON, u32 number, i64 pts, the JSON, the coded frame

Flags: 1 key frame, and of the server 2 dropped, 4 covered. The JSON has faces, seconds, dropped, covered and
config. The token comes as `Authorization: Bearer TOKEN`, or in open.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import struct
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import SecretStr, ValidationError
from starlette.websockets import WebSocketDisconnect

from facefx.cluster.bearer import Tokens, token_of
from facefx.cluster.grpc_messages import checked_chain, invalid
from facefx.live.frame_exchange import (
    Ask,
    Credit,
    Ended,
    Exchange,
    ExchangeRules,
    Frame,
    Open,
    Opened,
    Reason,
    Reply,
    Result,
    Update,
    Updated,
)
from facefx.live.frame_service import FrameService
from facefx.live.frames import FrameSettings
from facefx.values import FaceSource

__all__ = ["CLOSE_CODES", "COVERED", "DROPPED", "HEADER", "KEY_FRAME", "VERSION", "WsSettings", "router"]

_log = logging.getLogger("facefx.cluster")

HEADER = struct.Struct(">BBHIq")
VERSION = 1
KEY_FRAME, DROPPED, COVERED = 1, 2, 4
CLOSE_CODES: MappingProxyType[Reason, int] = MappingProxyType(
    {
        "unauthenticated": 1008,
        "too_large": 1009,
        "internal": 1011,
        "draining": 1001,
        "no_room": 1013,
        "invalid": 4400,
        "deadline": 4408,
        "overrun": 4429,
    }
)
"""RFC 6455 §7.4 where it has a code; else 4000 and the number of the HTTP status that says the same."""

_MOST_TEXT = 131_072
_MOST_REASON = 120  # bytes: a close frame holds 123


@dataclass(frozen=True, slots=True)
class WsSettings:
    """Who is let in, and what is granted to one client."""

    tokens: tuple[SecretStr, ...] = ()
    rules: ExchangeRules = field(default_factory=ExchangeRules)


def router(settings: WsSettings, sessions: FrameService) -> APIRouter:
    """The route /v1/frames, for an app's own prefix. sessions stays the caller's to close."""
    routes = APIRouter()
    tokens = Tokens(settings.tokens)

    @routes.websocket("/v1/frames")
    async def frames(socket: WebSocket) -> None:
        await socket.accept()
        await _Talk(socket, tokens, settings.rules, sessions).run()

    return routes


class _Talk:
    """One socket's conversation."""

    def __init__(
        self, socket: WebSocket, tokens: Tokens, rules: ExchangeRules, sessions: FrameService
    ) -> None:
        self._socket, self._tokens, self._rules, self._sessions = socket, tokens, rules, sessions
        header = token_of(socket.headers.get("authorization"))
        self._known = not tokens.asked or (header is not None and tokens.match(header))
        self._opened = False

    async def run(self) -> None:
        code, reason = 1000, "done"
        try:
            await Exchange(self._sessions, self._rules, self._receive, self._send).run()
        except Ended as error:
            code, reason = CLOSE_CODES[error.reason], str(error)
        except WebSocketDisconnect:
            return
        await self._close(code, reason)

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._socket.close(code, reason.encode()[:_MOST_REASON].decode(errors="ignore"))
        except (RuntimeError, WebSocketDisconnect):
            _log.debug("the client was gone before it was told why")

    async def _receive(self) -> Ask | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data = message.get("bytes")
        if data is not None:
            return self._frame(data)
        return self._control(message.get("text") or "")

    def _frame(self, data: bytes) -> Frame:
        self._require_token(None)
        if len(data) < HEADER.size:
            raise Ended(
                "invalid", f"a binary message of {len(data)} bytes, the header alone has {HEADER.size}"
            )
        version, flags, credits, number, pts = HEADER.unpack_from(data)
        if version != VERSION:
            raise Ended("invalid", f"version {version}, expected {VERSION}")
        if len(data) - HEADER.size > self._rules.max_bytes:
            raise Ended("too_large", f"frame {number}: more than {self._rules.max_bytes} bytes")
        return Frame(number, pts, data[HEADER.size :], bool(flags & KEY_FRAME), credits)

    def _control(self, text: str) -> Ask | None:
        said = _read_json(text)
        self._require_token(said.pop("token", None))
        kind = said.pop("type", None)
        if kind == "open":
            return _open(said)
        if kind == "update":
            effects = checked_chain(said.get("effects"))
            return Update(_whole(said, "number"), effects, str(said.get("select", "all")))
        if kind == "credit":
            return Credit(_whole(said, "credits"))
        if kind == "end":
            return None
        raise Ended("invalid", "a message without a type that is known: open, update, credit or end")

    def _require_token(self, given: object) -> None:
        if self._known:
            return
        if not isinstance(given, str) or not self._tokens.match(given):
            raise Ended("unauthenticated", "a token is needed: in open, or as Authorization: Bearer TOKEN")
        self._known = True

    async def _send(self, reply: Reply) -> None:
        if isinstance(reply, Result):
            await self._socket.send_bytes(_packed(reply))
        elif isinstance(reply, Opened):
            await self._socket.send_json(
                {"type": "opened", "window": reply.window, "max_bytes": reply.max_bytes}
            )
        elif isinstance(reply, Updated):
            await self._socket.send_json(
                {"type": "updated", "number": reply.number, "refused": reply.refused}
            )


def _read_json(text: str) -> dict[str, Any]:
    if len(text) > _MOST_TEXT:
        raise Ended("too_large", f"a control message of {len(text)} characters, at most {_MOST_TEXT}")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Ended("invalid", "a text message that is no JSON") from error
    if not isinstance(said, dict):
        raise Ended("invalid", "a control message that is no object; expected {type: …}")
    return said


def _open(said: dict[str, Any]) -> Open:
    credits = _whole(said, "credits", 0)
    said.pop("credits", None)
    if "effects" in said:
        said["effects"] = checked_chain(said["effects"])
    try:
        said["config"] = base64.b64decode(said.get("config", ""), validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Ended("invalid", "config is no base64") from error
    try:
        return Open(FrameSettings.model_validate(said), credits)
    except ValidationError as error:
        raise invalid("open", error) from error


def _whole(said: dict[str, Any], name: str, default: int | None = None) -> int:
    value = said.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise Ended("invalid", f"{name}: expected a whole number")
    return value


def _packed(reply: Result) -> bytes:
    result = reply.result
    flags = KEY_FRAME * result.key_frame | DROPPED * bool(result.dropped) | COVERED * bool(result.covered)
    said: dict[str, Any] = {
        "faces": [
            {
                "track_id": face.track_id,
                "xyxy": [round(side, 2) for side in face.xyxy],
                "confidence": round(face.confidence, 4),
                "held": face.source != FaceSource.DETECTED,
            }
            for face in result.faces
        ],
        "seconds": {step: round(spent, 6) for step, spent in result.seconds.items()},
    }
    said |= {key: value for key, value in (("dropped", result.dropped), ("covered", result.covered)) if value}
    if result.config:
        said["config"] = base64.b64encode(result.config).decode()
    text = json.dumps(said, separators=(",", ":")).encode()
    return HEADER.pack(VERSION, flags, len(text), reply.number & 0xFFFFFFFF, result.pts) + text + result.data
