"""A server of weights on this machine, for tests of fetching."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Serve = Callable[[bytes, int], str]


@contextmanager
def weight_server() -> Iterator[Serve]:
    """Serve bytes with a status, each at the address that is returned, until the end of the block."""
    servers: list[http.server.HTTPServer] = []

    def start(body: bytes, status: int) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/some.onnx"

    try:
        yield start
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
