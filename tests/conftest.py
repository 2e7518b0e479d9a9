"""Where tests find real footage and weights, and how they say that they did not.

FACEFX_STRICT=1 makes a skipped test a failure: there nothing may be missing, except a GPU. FACEFX_GPU=1
makes a skipped GPU test one too.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from faults import FaultProxy
from programs import Program
from s3_place import S3Place, S3Server, credentials


def _may_skip(gpu: bool) -> bool:
    return os.environ.get("FACEFX_GPU" if gpu else "FACEFX_STRICT") != "1"


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"must not be skipped here: {reason.removeprefix('Skipped: ')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed where nothing may be missing."""
    report = yield
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and not _may_skip(bool(item.get_closest_marker("gpu"))):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself whole."""
    report = yield
    if report.skipped and not _may_skip(gpu=False):
        _fail(report)
    return report


def _folder(variable: str) -> Path:
    """The folder that a variable names; without it the test is skipped."""
    value = os.environ.get(variable, "")
    if value and Path(value).is_dir():
        return Path(value)
    pytest.skip(f"{variable} does not name a folder (got {value!r})")


@pytest.fixture(scope="session")
def media() -> Path:
    """Real clips, formats, stills and truth boxes."""
    return _folder("FACEFX_MEDIA")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Test weights and reference outputs."""
    return _folder("FACEFX_MODELS")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 service of the session's own, over HTTP."""
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Place:
    """An empty bucket, and credentials for it in the environment."""
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    return S3Place(s3_server.endpoint)


@pytest.fixture
def fault_proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    """A proxy before the S3 service that spoils nothing yet; reach it by s3.options(fault_proxy.url)."""
    with FaultProxy(s3_server.endpoint, seed=1) as proxy:
        yield proxy


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
