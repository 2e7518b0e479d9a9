"""An HTTP proxy that spoils requests by rule, and counts what it did.

    with FaultProxy("http://127.0.0.1:5000") as proxy:
        proxy.add(Fault.LOST, method="POST", path="uploadId=", nth=1)      # done, but nobody is told
        proxy.add(Fault.ERROR_503, probability=0.2)                        # one request in five
        …use proxy.url…
        assert proxy.done[Fault.LOST] == 1

Of several rules the first that meets a request spoils it. `proxy.requests` is what came in, in order.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


class Fault(StrEnum):
    """What can be done to a request."""

    ERROR_500 = "500"  # refused, the server does not see it
    ERROR_503 = "503"
    ERROR_403 = "403"
    ERROR_501 = "501"
    GONE = "404"  # there is no such upload
    RESET = "reset"  # the connection is reset before the server sees the request
    STALL = "stall"  # no answer, until the proxy is closed
    TRUNCATE = "truncate"  # half of the body, then the connection ends
    LOST = "lost"  # the server does the work, its reply is dropped


_CODES = {
    "500": "InternalError",
    "503": "SlowDown",
    "403": "AccessDenied",
    "501": "NotImplemented",
    "404": "NoSuchUpload",
}


@dataclass
class Rule:
    """When a fault strikes. path: a pattern found in path and query. nth: which of those met, from 1."""

    fault: Fault
    method: str | None
    path: re.Pattern[str]
    header: str | None
    nth: Collection[int] | None
    probability: float
    met: int = field(default=0)

    def meets(self, method: str, path: str, headers: Any, dice: random.Random) -> bool:
        if self.method not in {None, method} or not self.path.search(path):
            return False
        if self.header is not None and self.header not in headers:
            return False
        self.met += 1
        return (self.nth is None or self.met in self.nth) and dice.random() < self.probability


class FaultProxy:
    """The proxy; takes requests at `url` from its creation to close()."""

    def __init__(self, target: str, *, seed: int = 0) -> None:
        self.target = urlsplit(target)
        self.rules: list[Rule] = []
        self.done: Counter[Fault] = Counter()
        self.requests: list[str] = []
        self.closed = threading.Event()
        self._dice, self._lock = random.Random(seed), threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def add(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str = "",
        header: str | None = None,
        nth: int | Collection[int] | None = None,
        probability: float = 1.0,
    ) -> None:
        """Spoil what meets all of these."""
        which = {nth} if isinstance(nth, int) else nth
        self.rules.append(Rule(fault, method, re.compile(path), header, which, probability))

    def clear(self) -> None:
        """Spoil nothing from now on."""
        with self._lock:
            self.rules.clear()

    def count(self, pattern: str) -> int:
        """How many requests came whose "METHOD path?query" has this pattern."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def fault_for(self, method: str, path: str, headers: Any) -> Fault | None:
        with self._lock:
            self.requests.append(f"{method} {path}")
            for rule in self.rules:
                if rule.meets(method, path, headers, self._dice):
                    self.done[rule.fault] += 1
                    return rule.fault
        return None

    def close(self) -> None:
        """Let go of stalled requests and stop."""
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what we are here for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server.proxy
        fault = proxy.fault_for(self.command, self.path, self.headers)
        if fault is Fault.RESET:
            self._reset()
        elif fault is Fault.STALL:
            proxy.closed.wait()
            self._reset()
        elif fault is not None and fault in _CODES:
            self._refuse(int(fault), _CODES[fault])
        else:
            self._forward(body, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - as the base class has it

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        target = self.server.proxy.target
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body or None, headers)
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        if fault is Fault.LOST:
            self._reset()
            return
        self.send_response_only(reply.status, reply.reason)
        for name, value in reply.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault is Fault.TRUNCATE:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>as the proxy wills</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The handler keeps files on the socket, and only the last of them sends the reset.
        self.rfile.close()
        self.connection.close()
