"""Connections to addresses that were checked, and to nothing else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

from facefx.errors import SourceError
from facefx.video.live_rules import Place, SourceRules, redact_url, resolve

__all__ = ["Pipe", "connect", "hang_up"]

_TLS = frozenset({"rtmps", "https"})
_PIECE = 1 << 16
# Linux has it, others not.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


def connect(place: Place, rules: SourceRules, timeout_s: float) -> socket.socket:
    """Connect to one of a place's checked addresses, by TLS where its scheme says so.

    The certificate must be the host's. Reads and writes of the socket keep the timeout.
    Raises SourceError where nobody answers, UsageError where an address is forbidden.
    """
    shown = redact_url(f"{place.scheme}://{place.netloc}{place.path}")
    last: OSError | None = None
    for address in resolve(place, rules):
        try:
            plain = socket.create_connection(address, timeout=timeout_s)
        except OSError as error:
            last = error
            continue
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _secured(plain, place, shown) if place.scheme in _TLS else plain
    reason = "no answer in time" if isinstance(last, TimeoutError) else getattr(last, "strerror", None)
    raise SourceError(f"{shown}: cannot connect: {reason or last}; is the server there?") from last


def hang_up(*sockets: socket.socket | None) -> None:
    """Shut connections down: whoever waits on one comes back at once, in any thread."""
    for one in sockets:
        if one is not None:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.close()


class Pipe:
    """Carry bytes between two connections both ways until one ends; then both are hung up.

    tap: shown what `one` sends before it is passed on; where it says False the line is cut.
    """

    def __init__(
        self, one: socket.socket, other: socket.socket, tap: Callable[[memoryview], bool] | None = None
    ) -> None:
        self._ends = (one, other)
        self._tap = tap
        for end in self._ends:
            end.settimeout(None)
        for source, drain in (self._ends, self._ends[::-1]):
            threading.Thread(target=self._carry, args=(source, drain), name="pipe", daemon=True).start()

    def close(self) -> None:
        """Hang up both ends; from any thread, more than once."""
        hang_up(*self._ends)

    def _carry(self, source: socket.socket, drain: socket.socket) -> None:
        buffer = bytearray(_PIECE)
        view = memoryview(buffer)
        with suppress(OSError):
            while size := source.recv_into(buffer):
                acknowledge(source)
                if source is self._ends[0] and self._tap is not None and not self._tap(view[:size]):
                    break
                drain.sendall(view[:size])
        self.close()


def acknowledge(source: socket.socket) -> None:
    """Confirm at once what was received, where the system can; it forgets the wish, so it is told each time.

    nginx's RTMP module sends a picture in pieces and leaves Nagle's algorithm on: the last piece stays where
    it is until the others are confirmed, for which a receiver takes up to 40 ms of its own accord.
    """
    if _QUICKACK is not None:
        source.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _secured(plain: socket.socket, place: Place, shown: str) -> socket.socket:
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=place.host)
    except (OSError, ssl.CertificateError) as error:
        plain.close()
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or "no answer"
        raise SourceError(f"{shown}: TLS failed: {reason}; check the host's certificate") from error
