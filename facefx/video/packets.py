"""Packets out of an open file, on past what its format cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error

from facefx.video.guard import foreign_errors

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

__all__ = ["read_packets"]

_MAX_ERRORS = 16


def read_packets(
    path: str | Path, container: InputContainer, streams: Sequence[Stream], on_bad: Callable[[], None]
) -> Iterator[Packet[Any]]:
    """Demux, with an empty packet for each stream at the end, as PyAV does it.

    A stretch that the format cannot read is told to on_bad and skipped; sixteen of them end the file.
    Raises SourceError where the storage fails.
    """
    for _ in range(_MAX_ERRORS):
        try:
            yield from container.demux(*streams)
            return
        except av.error.InvalidDataError:
            on_bad()
        except (av.error.FFmpegError, OSError) as error:
            with foreign_errors(path, "reading"):
                raise error
