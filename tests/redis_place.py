"""A real Redis for the tests, on a port of its own; it can be stopped, frozen and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

_UP_S = 10.0


class RedisServer:
    """keep: whether records outlive a stop, as with a Redis that writes to its disk."""

    def __init__(self, folder: Path, password: str = "", *, keep: bool = False) -> None:
        self.folder, self.password, self.keep = folder, password, keep
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "yes" if self.keep else "no", "--appendfsync", "always"]
        if self.password:
            command += ["--requirepass", self.password]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        """It answers also while it still loads what it kept; then it says so, and is not up."""
        end = time.monotonic() + _UP_S
        while not self._says_pong():
            assert time.monotonic() < end, "redis-server did not come up"
            time.sleep(0.02)

    def _says_pong(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as link:
                link.sendall(f"AUTH {self.password}\r\nPING\r\n".encode() if self.password else b"PING\r\n")
                said = b""
                while said.count(b"\r\n") < (2 if self.password else 1):
                    more = link.recv(256)
                    if not more:
                        return False
                    said += more
                return b"+PONG" in said
        except OSError:
            return False

    def stop(self) -> None:
        """As when its machine is gone."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its port and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
