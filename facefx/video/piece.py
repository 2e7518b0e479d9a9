"""A segment's packets in a file of their own, until they are put together with the others.

An Arrow IPC stream of `pts, dts, duration, keyframe, data` in decoding order, then the head as JSON, its
length, the sha256 of all that, and a magic. A piece that was cut off or changed is refused before a packet
of it is used. It holds pictures of people: the file can be read by its owner only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from io import RawIOBase
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facefx.errors import PieceError, SinkError

__all__ = ["PIECE_VERSION", "CodedPacket", "Piece", "PieceHead", "PieceWriter"]

PIECE_VERSION = 1
_MAGIC = b"facefx\x01P"
_TAIL = struct.Struct("<Q32s8s")
_BATCH_BYTES = 4 << 20
_SCHEMA = pa.schema(
    [
        pa.field("pts", pa.int64(), nullable=False),
        pa.field("dts", pa.int64(), nullable=False),
        pa.field("duration", pa.int64(), nullable=False),
        pa.field("keyframe", pa.bool_(), nullable=False),
        pa.field("data", pa.large_binary(), nullable=False),
    ]
)
_AGAIN = "remove it, and make the segment again"


@dataclass(frozen=True, slots=True)
class CodedPacket:
    """One encoded picture; times in the piece's time base."""

    pts: int
    dts: int
    duration: int
    keyframe: bool
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceHead:
    """What a piece says of itself.

    delay: by how many packets decoding runs ahead of showing, at most. patched: frames that were changed.
    note: what its maker wants to find again, plain values.
    """

    encoder: str
    time_base: Fraction
    extradata: bytes
    packets: int
    patched: int
    pts_first: int | None
    pts_last: int | None
    delay: int
    note: Mapping[str, Any] = field(default_factory=dict)
    version: int = PIECE_VERSION

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        base, extradata = str(self.time_base), base64.b64encode(self.extradata).decode()
        return {**asdict(self), "time_base": base, "extradata": extradata, "note": dict(self.note)}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> PieceHead:
        """Read what to_json gave.

        Raises PieceError for another version's.
        """
        if plain.get("version") != PIECE_VERSION:
            raise PieceError(f"is a piece of version {plain.get('version')}, expected {PIECE_VERSION}")
        base, extradata = Fraction(plain["time_base"]), base64.b64decode(plain["extradata"])
        return PieceHead(**{**plain, "time_base": base, "extradata": extradata})


class _Hashing(RawIOBase):
    """Passes bytes on to a file and hashes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._file.write(data)


class PieceWriter:
    """Writes a piece under a temporary name beside its own; only finish() gives it its name.

    Raises SinkError where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        try:
            self._part.unlink(missing_ok=True)
            self._part.touch(0o600, exist_ok=False)
            self._file = self._part.open("wb")
        except OSError as error:
            raise _unwritable(path, error) from error
        self._hashing = _Hashing(self._file)
        self._stream = pa.ipc.new_stream(self._hashing, _SCHEMA)
        self._held: list[CodedPacket] = []
        self._held_bytes = 0
        self._pts: list[int] = []
        self._dts: list[int] = []

    @property
    def packets(self) -> int:
        """How many there are so far."""
        return len(self._pts)

    def write(self, packet: CodedPacket) -> None:
        """Add the next packet, in decoding order.

        Raises SinkError.
        """
        self._pts.append(packet.pts)
        self._dts.append(packet.dts)
        self._held.append(packet)
        self._held_bytes += len(packet.data)
        if self._held_bytes >= _BATCH_BYTES:
            self._write_held()

    def finish(
        self, encoder: str, time_base: Fraction, extradata: bytes, patched: int, note: Mapping[str, Any]
    ) -> PieceHead:
        """Write what is held and the head, and give the file its name.

        Raises SinkError.
        """
        head = PieceHead(
            encoder=encoder,
            time_base=time_base,
            extradata=extradata,
            packets=len(self._pts),
            patched=patched,
            pts_first=min(self._pts, default=None),
            pts_last=max(self._pts, default=None),
            delay=_delay(self._pts, self._dts),
            note=note,
        )
        self._write_held()
        text = json.dumps(head.to_json()).encode()
        try:
            self._stream.close()
            self._hashing.write(text)
            self._hashing.sha256.update(struct.pack("<Q", len(text)))
            self._file.write(_TAIL.pack(len(text), self._hashing.sha256.digest(), _MAGIC))
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        return head

    def close(self) -> None:
        """Remove what is unfinished; safe to call again."""
        if not self._file.closed:
            with suppress(OSError):  # on the way out of an error a second one must not hide the first
                self._file.close()
            self._part.unlink(missing_ok=True)

    def _write_held(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if not held:
            return
        names = _SCHEMA.names
        columns = [pa.array([getattr(one, name) for one in held], _SCHEMA.field(name).type) for name in names]
        try:
            self._stream.write_batch(pa.record_batch(columns, schema=_SCHEMA))
        except OSError as error:
            raise _unwritable(self._path, error) from error


class Piece:
    """A piece, opened: it is whole and unchanged, or PieceError is raised here. name: for messages."""

    def __init__(self, path: Path, name: str = "") -> None:
        self.path, self.name = path, name or str(path)
        try:
            self.head = _read_head(path)
        except PieceError as error:
            raise PieceError(f"{self.name}: {error}; {_AGAIN}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PieceError(
                f"{self.name}: cannot be read: {' '.join(str(error).split())[:160]}; {_AGAIN}"
            ) from error

    def packets(self) -> Iterator[CodedPacket]:
        """Give the packets in decoding order, a few megabytes in memory at a time.

        Raises PieceError.
        """
        for batch in self._batches(_SCHEMA.names):
            columns = [batch.column(name) for name in _SCHEMA.names]
            for i in range(len(batch)):
                yield CodedPacket(*(column[i].as_py() for column in columns))

    def times(self) -> NDArray[np.int64]:
        """Pts of all packets, in the order in which they are shown."""
        parts = [batch.column("pts").to_numpy() for batch in self._batches(["pts"])]
        return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))

    def _batches(self, names: list[str]) -> Iterator[Any]:
        count = 0
        options = pa.ipc.IpcReadOptions(included_fields=[_SCHEMA.get_field_index(name) for name in names])
        try:
            with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file, options=options) as reader:
                for batch in reader:
                    count += len(batch)
                    yield batch
        except (pa.ArrowException, OSError) as error:
            raise PieceError(f"{self.name}: cannot be read: {str(error)[:160]}; {_AGAIN}") from error
        if count != self.head.packets:
            raise PieceError(f"{self.name}: expected {self.head.packets} packets, got {count}; {_AGAIN}")


def _read_head(path: Path) -> PieceHead:
    """Read the end of the file, then all of it for its sha256."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _TAIL.size:
            raise PieceError(f"has {size} bytes, too few for a piece")
        file.seek(size - _TAIL.size)
        length, digest, magic = _TAIL.unpack(file.read(_TAIL.size))
        if magic != _MAGIC or length > size - _TAIL.size:
            raise PieceError("is no piece, or was cut off: its end is missing")
        file.seek(0)
        left, sha256 = size - _TAIL.size + struct.calcsize("<Q"), hashlib.sha256()
        while left:
            data = file.read(min(left, 1 << 20))
            left -= len(data)
            sha256.update(data)
            if not data:
                raise PieceError("became shorter while it was read")
        if sha256.digest() != digest:
            raise PieceError("was changed after it was made: its sha256 is another one")
        file.seek(size - _TAIL.size - length)
        return PieceHead.from_json(json.loads(file.read(length)))


def _delay(pts: list[int], dts: list[int]) -> int:
    """By how many packets decoding must run ahead, and does run ahead in these times.

    >>> _delay([0, 3, 1, 2], [-1, 0, 1, 2]), _delay([0, 1], [0, 1])
    (1, 0)
    """
    if not pts:
        return 0
    order = np.argsort(np.argsort(np.array(pts)))
    needed = int((np.arange(len(pts)) - order).max())
    return max(needed, int((np.array(dts) < min(pts)).sum()))


def _unwritable(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path}: cannot be written: {error.strerror or ' '.join(str(error).split())}")
