"""The key of a publisher who comes to our own door: FFmpeg's server takes whatever it is given."""

from __future__ import annotations

import hmac
from urllib.parse import unquote

from facefx.errors import SinkError
from facefx.video.live_amf import decode
from facefx.video.live_chunks import ChunkReader, Message, Type

__all__ = ["KeyCheck"]

_HANDSHAKE = 1 + 1536 + 1536


class KeyCheck:
    """Reads along what a publisher sends, and says when to cut the line.

    visited: somebody came; passed: with the right key.
    """

    def __init__(self, path: str) -> None:
        self._name = path.rpartition("/")[2]
        self._skip = _HANDSHAKE
        self._chunks = ChunkReader()
        self.visited = self.passed = False

    def hears(self, data: memoryview) -> bool:
        """Take what is about to be passed on; False to cut the line before it is."""
        if self.passed:
            return True
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        try:
            for message in self._chunks.feed(data[skipped:]):
                if not self._allows(message):
                    return False
        except SinkError:
            return False
        return True

    def _allows(self, message: Message) -> bool:
        """No picture and no sound before the key was shown."""
        if message.type in (Type.AUDIO, Type.VIDEO):
            return self.passed
        if message.type != Type.COMMAND:
            return True
        values = decode(message.payload)
        if not values or values[0] != "publish":
            return True
        name = values[3] if len(values) > 3 else None
        named = name if isinstance(name, str) else ""
        self.passed = hmac.compare_digest(unquote(named).encode(), unquote(self._name).encode())
        return self.passed
