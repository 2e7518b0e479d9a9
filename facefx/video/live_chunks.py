"""RTMP's chunk stream: messages cut into chunks, and put together again.

Source: Adobe, Real-Time Messaging Protocol 1.0 (2012), chapter 5.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from facefx.errors import SinkError

__all__ = ["ChunkReader", "Message", "Type", "write_message"]

_LONGEST = 8 << 20
_FAR = 0xFFFFFF  # a time from here on stands in four bytes of its own


class Type:
    """Numbers of the messages that matter here."""

    CHUNK_SIZE, ACKNOWLEDGED, USER_CONTROL, WINDOW = 1, 3, 4, 5
    AUDIO, VIDEO, DATA, COMMAND = 8, 9, 18, 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message. time_ms: as it stands in its first chunk; stream: its message stream."""

    type: int
    stream: int
    time_ms: int
    payload: bytes


def write_message(message: Message, channel: int, chunk_size: int) -> bytes:
    """Cut a message into chunks, each with the header that asks nothing of what went before.

    channel: chunk stream 2..63. chunk_size: that the peer was told of.
    """
    time = message.time_ms & 0xFFFFFFFF
    far = time.to_bytes(4, "big") if time >= _FAR else b""
    head = bytes([channel]) + min(time, _FAR).to_bytes(3, "big") + len(message.payload).to_bytes(3, "big")
    head += bytes([message.type]) + message.stream.to_bytes(4, "little") + far
    again = bytes([0xC0 | channel]) + far
    payload = message.payload
    pieces = [payload[at : at + chunk_size] for at in range(0, len(payload), chunk_size)] or [b""]
    return head + again.join(pieces)


@dataclass(slots=True)
class _Channel:
    """What a chunk stream's next header may leave out, and what of its message has come."""

    type: int = 0
    stream: int = 0
    time_ms: int = 0
    length: int = 0
    far: bool = False
    parts: list[bytes] = field(default_factory=list)
    held: int = 0


class ChunkReader:
    """Puts messages together from bytes as they come. received: bytes so far."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._chunk_size = 128
        self._channels: dict[int, _Channel] = {}
        self.received = 0

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Take bytes, give the messages that are complete with them.

        Raises SinkError for what cannot be RTMP.
        """
        self._buffer += data
        self.received += len(data)
        while (step := self._chunk()) is not None:
            message, used = step
            del self._buffer[:used]
            if message is None:
                continue
            if message.type == Type.CHUNK_SIZE and len(message.payload) >= 4:
                self._chunk_size = max(1, int.from_bytes(message.payload[:4], "big") & 0x7FFFFFFF)
            yield message

    def _chunk(self) -> tuple[Message | None, int] | None:
        """Read one chunk from the buffer's start: its message if it ends one, and its size; None to wait."""
        data = self._buffer
        if not data:
            return None
        form, number, at = data[0] >> 6, data[0] & 63, 1
        size = (11, 7, 3, 0)[form]
        if number < 2:  # a number beyond 63 stands in one or two bytes more
            at = 2 + number
            number = 64 + int.from_bytes(data[1:at], "little")
        if len(data) < at + size:
            return None
        channel = self._channels.setdefault(number, _Channel())
        length, far, fresh = channel.length, channel.far, not channel.held
        if form < 3:
            far = data[at : at + 3] == b"\xff\xff\xff"
        if form < 2:
            length = int.from_bytes(data[at + 3 : at + 6], "big")
        body = at + size + (4 if far else 0)
        wanted = min(self._chunk_size, length - channel.held)
        if length > _LONGEST or (form < 2 and not fresh):
            raise SinkError("the peer does not speak RTMP: a message is too long, or begins inside another")
        if len(data) < body + wanted:
            return None
        self._note(channel, form, bytes(data[at:body]), length, far)
        channel.parts.append(bytes(data[body : body + wanted]))
        channel.held += wanted
        if channel.held < length:
            return None, body + wanted
        message = Message(channel.type, channel.stream, channel.time_ms, b"".join(channel.parts))
        channel.parts, channel.held = [], 0
        return message, body + wanted

    def _note(self, channel: _Channel, form: int, head: bytes, length: int, far: bool) -> None:
        """Take over what a header says."""
        channel.far, channel.length = far, length
        if form < 3:
            channel.time_ms = int.from_bytes(head[-4:] if far else head[:3], "big")
        if form < 2:
            channel.type = head[6]
        if form == 0:
            channel.stream = int.from_bytes(head[7:11], "little")
