"""Publishing to an RTMP server over a connection of our own.

FFmpeg's own pushing is not used: opening and closing one waits for the server inside a call that stops every
thread of this process, and a server that says nothing keeps it so.

Source: Adobe, Real-Time Messaging Protocol 1.0 (2012), chapters 5.2 and 7.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Iterator

from facefx.errors import SinkError
from facefx.video.live_amf import Value, decode, encode
from facefx.video.live_chunks import ChunkReader, Message, Type, write_message
from facefx.video.live_net import connect, hang_up
from facefx.video.live_rules import Place, SourceRules, redact_url

__all__ = ["RtmpPublisher"]

_VERSION, _BLOCK = b"\x03", 1536
_CHUNK_SIZE = 1 << 16
_CONTROL, _COMMANDS, _MEDIA_COMMANDS, _SOUND, _PICTURE = 2, 3, 8, 4, 6  # chunk streams, as is usual
_PING, _PONG = 6, 7
_ACKNOWLEDGE_EVERY = 1 << 20


class RtmpPublisher:
    """One publishing connection, for one thread; close() from any.

    Every wait has an end: timeout_s. Raises SinkError where the server is away, refuses, or stalls.
    """

    def __init__(self, place: Place, rules: SourceRules, timeout_s: float) -> None:
        self._place, self._rules, self._timeout_s = place, rules, timeout_s
        self._label = redact_url(f"{place.scheme}://{place.netloc}{place.path}")
        self._socket: socket.socket | None = None
        self._reader = ChunkReader()
        self._acknowledged = 0
        self._stream = 0

    def open(self) -> None:
        """Connect and publish; comes back when the server has agreed."""
        app, _, name = self._place.path.strip("/").rpartition("/")
        self._socket = connect(self._place, self._rules, self._timeout_s)
        try:
            self._shake_hands()
            self._send(Message(Type.CHUNK_SIZE, 0, 0, _CHUNK_SIZE.to_bytes(4, "big")), _CONTROL, 128)
            about: dict[str, Value] = {
                "app": app, "type": "nonprivate", "flashVer": "FMLE/3.0 (compatible; facefx)",
                "tcUrl": f"{self._place.scheme}://{self._place.netloc}/{app}",
            }  # fmt: skip
            self._command("connect", 1, about)
            self._result(1)
            for number, word in ((2, "releaseStream"), (3, "FCPublish")):
                self._command(word, number, None, name)
            self._command("createStream", 4, None)
            stream = self._result(4)
            self._stream = int(stream) if isinstance(stream, float) else 1
            self._command("publish", 5, None, name, "live", stream=self._stream)
            self._status()
        except OSError as error:
            raise self._error(error, "publishing") from error

    def send(self, kind: int, time_ms: int, body: bytes) -> None:
        """Send picture, sound or data."""
        try:
            self._listen()
            channel = {Type.AUDIO: _SOUND, Type.VIDEO: _PICTURE}.get(kind, _SOUND)
            self._send(Message(kind, self._stream, time_ms, body), channel)
        except OSError as error:
            raise self._error(error, "sending") from error

    def idle(self) -> None:
        """Answer what the server asks, where there is nothing to send."""
        try:
            self._listen()
        except OSError as error:
            raise self._error(error, "waiting") from error

    def finish(self) -> None:
        """Say that the stream ends."""
        name = self._place.path.rpartition("/")[2]
        try:
            self._command("FCUnpublish", 6, None, name)
            self._command("deleteStream", 7, None, float(self._stream))
        except OSError as error:
            raise self._error(error, "ending") from error

    def close(self) -> None:
        """Hang up; whoever sends comes back with an error."""
        hang_up(self._socket)

    def _shake_hands(self) -> None:
        mine = bytes(8) + os.urandom(_BLOCK - 8)
        self._socket_now.sendall(_VERSION + mine)
        answer = self._read_exactly(1 + _BLOCK)
        if answer[:1] != _VERSION:
            raise SinkError(f"{self._label}: the server does not speak RTMP 3")
        self._socket_now.sendall(answer[1:])
        self._read_exactly(_BLOCK)

    def _read_exactly(self, size: int) -> bytes:
        data = b""
        end = time.monotonic() + self._timeout_s
        while len(data) < size:
            piece = self._socket_now.recv(size - len(data))
            if not piece or time.monotonic() > end:
                raise ConnectionResetError(0, "the server hung up in the handshake")
            data += piece
        return data

    def _command(self, *values: Value, stream: int = 0) -> None:
        channel = _MEDIA_COMMANDS if stream else _COMMANDS
        self._send(Message(Type.COMMAND, stream, 0, encode(*values)), channel)

    def _result(self, number: int) -> Value:
        """Wait for the answer to a command; return its last value."""
        for values in self._answers():
            if values[0] in ("_result", "_error") and values[1:2] == [float(number)]:
                if values[0] == "_error":
                    raise self._refused(values)
                return values[-1]
        raise AssertionError("answers end by an error")

    def _status(self) -> None:
        """Wait until the server lets us publish."""
        for values in self._answers():
            if values[0] == "_error":
                raise self._refused(values)
            if values[0] == "onStatus":
                about = values[-1] if isinstance(values[-1], dict) else {}
                if about.get("code") == "NetStream.Publish.Start":
                    return
                raise self._refused(values)

    def _answers(self) -> Iterator[list[Value]]:
        end = time.monotonic() + self._timeout_s
        while True:
            data = self._socket_now.recv(1 << 16)
            if not data:
                raise ConnectionResetError(0, "the server hung up; it may not know this key")
            if time.monotonic() > end:
                raise TimeoutError
            for message in self._reader.feed(data):
                self._mind(message)
                if message.type == Type.COMMAND and (values := decode(message.payload)):
                    yield values

    def _listen(self) -> None:
        """Read what has come, without waiting."""
        while _has_news(self._socket_now):
            data = self._socket_now.recv(1 << 16)
            if not data:
                raise ConnectionResetError(0, "the server hung up")
            for message in self._reader.feed(data):
                self._mind(message)
                if message.type == Type.COMMAND and (values := decode(message.payload)):
                    about = values[-1] if isinstance(values[-1], dict) else {}
                    if values[0] == "onStatus" and about.get("level") == "error":
                        raise self._refused(values)

    def _mind(self, message: Message) -> None:
        """Answer pings, and say how much has come."""
        if message.type == Type.USER_CONTROL and int.from_bytes(message.payload[:2], "big") == _PING:
            pong = _PONG.to_bytes(2, "big") + message.payload[2:6]
            self._send(Message(Type.USER_CONTROL, 0, 0, pong), _CONTROL)
        if self._reader.received - self._acknowledged > _ACKNOWLEDGE_EVERY:
            self._acknowledged = self._reader.received
            count = (self._acknowledged & 0xFFFFFFFF).to_bytes(4, "big")
            self._send(Message(Type.ACKNOWLEDGED, 0, 0, count), _CONTROL)

    def _send(self, message: Message, channel: int, chunk_size: int = _CHUNK_SIZE) -> None:
        self._socket_now.sendall(write_message(message, channel, chunk_size))

    @property
    def _socket_now(self) -> socket.socket:
        assert self._socket is not None, "open first"
        return self._socket

    def _refused(self, values: list[Value]) -> SinkError:
        about = values[-1] if isinstance(values[-1], dict) else {}
        code = str(about.get("code") or "no reason given")
        return SinkError(f"{self._label}: the server refuses the stream: {code}; is the name in use already?")

    def _error(self, error: OSError, doing: str) -> SinkError:
        reason = "the server takes nothing in time" if isinstance(error, TimeoutError) else error.strerror
        return SinkError(f"{self._label}: {doing} failed: {reason or type(error).__name__}")


def _has_news(connection: socket.socket) -> bool:
    """True where something can be read at once; TLS may hold it already."""
    held = connection.pending() if isinstance(connection, ssl.SSLSocket) else 0
    return bool(held or select.select([connection], [], [], 0)[0])
