"""Other processes for tests: they say what they have come to, and wait until they are told."""

from __future__ import annotations

import subprocess
import sys


class Program:
    """Another process that runs some Python: it says what it has come to, and waits until it is told."""

    def __init__(self, code: str, *arguments: str) -> None:
        command = [sys.executable, "-c", code, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout

    def said(self) -> str:
        """Its next line; "" once it has ended."""
        return self._stdout.readline().strip()

    def go_on(self) -> None:
        """Let its input() return."""
        self._stdin.write("\n")
        self._stdin.flush()

    def kill(self) -> None:
        """End it as the kernel would, and wait for that."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        self.kill()
        self._stdout.close()
        self._stdin.close()
