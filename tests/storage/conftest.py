"""Stores of every kind, for what must hold on all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from s3_place import S3Place

from facefx.storage import Store


@pytest.fixture(params=["disk", "s3", "memory", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """One of each kind; "fsspec" is a file system that it reaches, and we do not."""
    if request.param == "s3":
        place: S3Place = request.getfixturevalue("s3")
        return Store(f"{place.url}/a/root", place.options())
    urls = {
        "disk": str(tmp_path / "root"),
        "memory": f"memory://{uuid4().hex}/root",
        "fsspec": f"local://{tmp_path}/root",
    }
    return Store(urls[request.param])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


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


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Starts programs, and ends them with the test."""
    running: list[Program] = []

    def start(code: str, *arguments: str) -> Program:
        running.append(Program(code, *arguments))
        return running[-1]

    yield start
    for one in running:
        one.close()
