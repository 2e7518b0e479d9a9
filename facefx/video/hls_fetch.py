"""HTTP for playlists and segments: each address, each redirect and each connection checked."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from urllib.parse import urljoin

from facefx.errors import SourceError
from facefx.video.live_net import connect, hang_up
from facefx.video.live_rules import Place, SourceRules, place_of, redact_url

__all__ = ["Fetcher"]

_HOPS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PIECE = 1 << 16


class Fetcher:
    """Gets bytes from checked places; one at a time. close() ends what is under way, from any thread."""

    def __init__(self, rules: SourceRules, timeout_s: float) -> None:
        web = rules.schemes & {"http", "https"}
        self._rules = SourceRules(web, rules.hosts, rules.allow_private)
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._key: tuple[str, str, int] | None = None
        self._lock = threading.Lock()
        self._gone = threading.Event()

    def get(self, url: str, most: int, span: tuple[int, int] | None = None) -> tuple[bytes, str]:
        """Fetch at most so many bytes; return them and the URL that they came from in the end.

        span: first byte and length of the part that is wanted. Raises UsageError for an address that is
        not allowed, SourceError for what cannot be had, or is longer.
        """
        end = time.monotonic() + 4 * self._timeout_s
        for _ in range(_HOPS + 1):
            place = place_of(url, self._rules)
            with self._ask(place, span) as response:
                if response.status not in _REDIRECTS:
                    return self._body(response, most, redact_url(url), span is not None, end), url
                target = response.headers.get("Location", "")
            self._drop()
            url = urljoin(url, target)
        raise SourceError(f"{redact_url(url)}: more than {_HOPS} redirects; name the address they lead to")

    def close(self) -> None:
        """Hang up for good."""
        self._gone.set()
        hang_up(self._socket)  # the connection forgets its own where the server closes after an answer
        self._drop()

    def _ask(self, place: Place, span: tuple[int, int] | None) -> http.client.HTTPResponse:
        """Send a request, on the connection that is open where it leads to the same host."""
        headers = {"Host": place.netloc, "User-Agent": "facefx", "Accept-Encoding": "identity"}
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[0] + span[1] - 1}"
        kept = self._connection is not None and self._key == (place.scheme, place.host, place.port)
        for fresh in (False, True) if kept else (True,):
            if fresh:
                self._dial(place)
            assert self._connection is not None
            try:
                self._connection.request("GET", place.path, headers=headers)
                return self._connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                if fresh:
                    raise self._error(place, error) from error
        raise AssertionError("a fresh connection answers or fails")

    def _dial(self, place: Place) -> None:
        self._drop()
        if self._gone.is_set():
            raise SourceError("the source was closed")
        connection = http.client.HTTPConnection(place.host, place.port, timeout=self._timeout_s)
        connection.sock = self._socket = connect(place, self._rules, self._timeout_s)
        connection.auto_open = False
        with self._lock:
            self._connection, self._key = connection, (place.scheme, place.host, place.port)
        if self._gone.is_set():  # since we looked
            hang_up(self._socket)

    def _body(
        self, response: http.client.HTTPResponse, most: int, shown: str, part: bool, end: float
    ) -> bytes:
        """Read an answer whole, within a size and a time: a peer that drips does not hold us."""
        if response.status != (206 if part else 200):
            self._drop()
            raise SourceError(f"{shown}: the server answers {response.status} {response.reason}")
        pieces, size = [], 0
        try:
            while piece := response.read1(_PIECE):
                size += len(piece)
                pieces.append(piece)
                if size > most:
                    self._drop()
                    raise SourceError(f"{shown}: longer than {most} bytes, which no playlist or segment is")
                if time.monotonic() > end:
                    self._drop()
                    raise SourceError(f"{shown}: comes too slowly")
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # The last two: another thread has closed the connection under our hands.
            self._drop()
            reason = "nothing came in time" if isinstance(error, TimeoutError) else "it broke off"
            raise SourceError(f"{shown}: reading failed: {reason}") from error
        if response.length:
            self._drop()
            raise SourceError(f"{shown}: reading failed: {response.length} bytes are missing")
        return b"".join(pieces)

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _error(self, place: Place, error: Exception) -> SourceError:
        shown = redact_url(f"{place.scheme}://{place.netloc}{place.path}")
        reason = "no answer in time" if isinstance(error, TimeoutError) else "no HTTP answer"
        return SourceError(f"{shown}: {'the source was closed' if self._gone.is_set() else reason}")
