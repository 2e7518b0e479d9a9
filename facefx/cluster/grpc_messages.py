"""What is said over gRPC ⇄ what an exchange understands."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from facefx.cluster.proto import facefx_pb2 as pb
from facefx.live.frame_exchange import (
    Ask,
    Credit,
    Ended,
    Frame,
    Open,
    Opened,
    Reply,
    Result,
    Update,
    Updated,
)
from facefx.live.frames import FrameSettings
from facefx.values import FaceSource

__all__ = ["checked_chain", "from_ask", "invalid", "read_chain_json", "to_ask", "to_reply"]

_CODINGS = MappingProxyType(
    {
        pb.CODING_UNSPECIFIED: "h264",
        pb.CODING_H264: "h264",
        pb.CODING_AVCC: "avcc",
        pb.CODING_PICTURE: "picture",
    }
)
_MOST_JSON = 65_536


def to_ask(message: pb.ClientMessage) -> Ask:
    """Read what a client says.

    Raises Ended where it cannot be right.
    """
    kind = message.WhichOneof("kind")
    if kind == "frame":
        frame = message.frame
        return Frame(frame.number, frame.pts, frame.data, frame.key_frame, frame.credits)
    if kind == "credit":
        return Credit(message.credit.credits)
    if kind == "update":
        effects, select = _chain(message.update.chain)
        return Update(message.update.number, effects, select)
    if kind == "open":
        return _open(message.open)
    raise Ended("invalid", "an empty message; expected open, frame, update or credit")


def _open(asked: pb.Open) -> Open:
    if asked.coding not in _CODINGS:
        raise Ended("invalid", f"coding {asked.coding} is unknown")
    effects, select = _chain(asked.chain)
    given: dict[str, Any] = {
        "coding": _CODINGS[asked.coding],
        "effects": effects,
        "select": select,
        "config": asked.config,
        "rotation": asked.rotation,
    }
    if asked.timescale:
        given["timescale"] = asked.timescale
    if asked.late_s:
        given["late_s"] = asked.late_s
    try:
        return Open(FrameSettings.model_validate(given), asked.credits)
    except ValidationError as error:
        raise invalid("open", error) from error


def _chain(chain: pb.Chain) -> tuple[tuple[Any, ...], str]:
    return read_chain_json(chain.effects_json), chain.select or "all"


def read_chain_json(text: str) -> tuple[Any, ...]:
    """The entries of a chain from JSON; what they say is checked where they are used.

    Raises Ended where it is no list.
    """
    if len(text) > _MOST_JSON:
        raise Ended("too_large", f"effects of {len(text)} characters, at most {_MOST_JSON}")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Ended("invalid", "effects are no JSON; expected a list of effects") from error
    return checked_chain(said)


def checked_chain(said: Any) -> tuple[Any, ...]:
    """The entries of a chain that was read from JSON.

    Raises Ended where it is no list of effects.
    """
    if not isinstance(said, list) or not said or not all(_is_entry(entry) for entry in said):
        raise Ended("invalid", 'effects: expected a list of "name:param=value" or {"name": {"param": value}}')
    return tuple(said)


def _is_entry(entry: Any) -> bool:
    if isinstance(entry, dict):
        return all(isinstance(params, dict) for params in entry.values())
    return isinstance(entry, str)


def invalid(where: str, error: ValidationError) -> Ended:
    """What to say of settings that were refused: which, and why, but not what was given."""
    problems = "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'whole'}: {item['msg']}" for item in error.errors()
    )
    return Ended("invalid", f"{where}: {problems}"[:400])


def to_reply(reply: Reply) -> pb.ServerMessage:
    """Write what the server says."""
    if isinstance(reply, Result):
        return pb.ServerMessage(result=_result(reply))
    if isinstance(reply, Opened):
        return pb.ServerMessage(opened=pb.Opened(window=reply.window, max_bytes=reply.max_bytes))
    assert isinstance(reply, Updated)
    return pb.ServerMessage(updated=pb.Updated(number=reply.number, refused=reply.refused))


def _result(reply: Result) -> pb.Result:
    result = reply.result
    faces = [
        pb.Face(
            track_id=face.track_id,
            left=face.xyxy[0],
            top=face.xyxy[1],
            right=face.xyxy[2],
            bottom=face.xyxy[3],
            confidence=face.confidence,
            held=face.source != FaceSource.DETECTED,
        )
        for face in result.faces
    ]
    return pb.Result(
        number=reply.number,
        pts=result.pts,
        data=result.data,
        key_frame=result.key_frame,
        config=result.config,
        faces=faces,
        seconds=dict(result.seconds),
        dropped=result.dropped,
        covered=result.covered,
    )


def from_ask(ask: Ask) -> pb.ClientMessage:
    """Write what a client says: for clients in Python."""
    if isinstance(ask, Frame):
        return pb.ClientMessage(
            frame=pb.Frame(
                number=ask.number, pts=ask.pts, data=ask.data, key_frame=ask.key_frame, credits=ask.credits
            )
        )
    if isinstance(ask, Credit):
        return pb.ClientMessage(credit=pb.Credit(credits=ask.credits))
    if isinstance(ask, Update):
        chain = pb.Chain(effects_json=json.dumps(ask.effects), select=ask.select)
        return pb.ClientMessage(update=pb.Update(number=ask.number, chain=chain))
    settings = ask.settings
    codings = {name: number for number, name in _CODINGS.items()}
    return pb.ClientMessage(
        open=pb.Open(
            coding=codings[settings.coding],
            chain=pb.Chain(effects_json=json.dumps(settings.effects), select=settings.select),
            timescale=settings.timescale,
            config=settings.config,
            rotation=settings.rotation,
            late_s=settings.late_s or 0.0,
            credits=ask.credits,
        )
    )
