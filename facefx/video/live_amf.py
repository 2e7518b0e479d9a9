"""AMF 0, the values in RTMP's commands: what is needed of it.

Source: Adobe, Action Message Format AMF 0 (2007).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from facefx.errors import SinkError

__all__ = ["Value", "decode", "encode"]

Value = str | float | bool | None | Mapping[str, "Value"]
_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _MAP, _END, _LONG = 0, 1, 2, 3, 5, 6, 8, 9, 12
_MOST_DEEP = 8


def encode(*values: Value) -> bytes:
    """Write values one after the other; a mapping as an object.

    >>> decode(encode("connect", 1, {"app": "live"}, None))
    ['connect', 1.0, {'app': 'live'}, None]
    """
    return b"".join(_encode(value) for value in values)


def decode(data: bytes) -> list[Value]:
    """Read all values.

    Raises SinkError for what is no AMF 0, or of a kind that no command holds.
    """
    values, at = [], 0
    try:
        while at < len(data):
            value, at = _decode(data, at, 0)
            values.append(value)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise SinkError("an RTMP command cannot be read: expected AMF 0") from error
    return values


def _encode(value: Value) -> bytes:
    if value is None:
        return bytes([_NULL])
    if isinstance(value, bool):
        return bytes([_BOOLEAN, value])
    if isinstance(value, int | float):
        return struct.pack(">Bd", _NUMBER, value)
    if isinstance(value, str):
        return bytes([_STRING]) + _text(value)
    inner = b"".join(_text(name) + _encode(item) for name, item in value.items())
    return bytes([_OBJECT]) + inner + bytes([0, 0, _END])


def _text(value: str) -> bytes:
    coded = value.encode()
    return struct.pack(">H", len(coded)) + coded


def _decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    kind, at = data[at], at + 1
    if kind == _NUMBER:
        return float(struct.unpack_from(">d", data, at)[0]), at + 8
    if kind == _BOOLEAN:
        return bool(data[at]), at + 1
    if kind in (_STRING, _LONG):
        return _read_text(data, at, 4 if kind == _LONG else 2)
    if kind in (_NULL, _UNDEFINED):
        return None, at
    if kind in (_OBJECT, _MAP) and depth < _MOST_DEEP:
        return _decode_object(data, at + (4 if kind == _MAP else 0), depth)
    raise SinkError(f"an RTMP command holds a value of kind {kind}, which none of ours needs")


def _decode_object(data: bytes, at: int, depth: int) -> tuple[dict[str, Value], int]:
    found: dict[str, Value] = {}
    while True:
        name, at = _read_text(data, at, 2)
        if not name and data[at] == _END:
            return found, at + 1
        found[name], at = _decode(data, at, depth + 1)


def _read_text(data: bytes, at: int, size: int) -> tuple[str, int]:
    length = int.from_bytes(data[at : at + size], "big")
    at += size
    if at + length > len(data):
        raise IndexError("the text ends behind the data")
    return data[at : at + length].decode("utf-8", "replace"), at + length
