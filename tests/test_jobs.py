"""Jobs on a real head with token authentication: what they do, what their log says, who is refused."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from archive_makers import DETECTOR, put_clips

ROOT = Path(__file__).parents[1]
RAY = str(Path(sys.executable).with_name("ray"))
QUICK = ("--preset", "ultrafast", "--detector", DETECTOR, "--segment-s", "1", "--workers", "1")


@dataclass
class Head:
    """A cluster of one machine. env: with the token."""

    address: str
    env: dict[str, str]

    def submit(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
        """Submit a job and follow it to its end; `ray`'s own exit code, and all that was said."""
        command = [RAY, "job", "submit", "--address", self.address, "--", sys.executable, *arguments]
        done = subprocess.run(
            command, env=env or self.env, capture_output=True, text=True, timeout=240, check=False
        )
        return done.returncode, done.stdout + done.stderr


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _environment(home: Path, token: str | None) -> dict[str, str]:
    """Ours, with a home of its own, where no other token lies."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    return env if token is None else {**env, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    home, folder = tmp_path_factory.mktemp("home"), Path(f"/tmp/fx-{secrets.token_hex(3)}")
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "metrics-export-port")
    ports = dict(zip(names, _ports(len(names)), strict=True))
    env = _environment(home, secrets.token_hex(32))
    command = [RAY, "start", "--head", "--block", f"--temp-dir={folder}", "--num-cpus=2", "--num-gpus=0"]
    command += [
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        "--object-store-memory=100000000",
    ]
    command += [f"--{name}={port}" for name, port in ports.items()]
    log = (home / "head.log").open("wb")
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        head = Head(f"http://127.0.0.1:{ports['dashboard-port']}", env)
        _await(head, process)
        yield head
    finally:
        _end(process, folder)
        log.close()


def _await(head: Head, process: subprocess.Popen[bytes]) -> None:
    """`ray job list` answers as soon as jobs are taken; each try takes some seconds by itself."""
    command = [RAY, "job", "list", "--address", head.address]
    for _ in range(30):
        assert process.poll() is None, "the head has ended"
        if subprocess.run(command, env=head.env, capture_output=True, check=False).returncode == 0:
            return
    raise AssertionError("the head takes no jobs")


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End what was started here and nothing else: other clusters may run on this machine."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and str(folder).encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
    process.kill()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


def test_an_archive_is_done_as_a_job_and_its_log_ends_with_the_exit_code(head: Head, tmp_path: Path) -> None:
    source = put_clips(tmp_path / "in", "a.mp4", "day/b.mkv")
    job = (str(ROOT / "jobs/process_archive.py"), str(source), str(tmp_path / "out"), *QUICK)
    code, said = head.submit(*job)
    assert code == 0, said
    assert "exit=0" in said
    assert (tmp_path / "out/a.mp4").is_file()
    assert (tmp_path / "out/day/b.mkv").is_file()

    (source / "broken.mp4").write_bytes(b"no video")
    code, said = head.submit(*job)
    assert code == 1, "ray job submit knows success and failure only"
    assert "exit=5" in said, said
    assert "2 skipped" in said
    assert "quarantined" in said


def test_a_job_that_cannot_begin_says_why_in_its_log(head: Head, tmp_path: Path) -> None:
    code, said = head.submit(
        str(ROOT / "jobs/process_archive.py"), str(tmp_path / "nowhere"), str(tmp_path / "out")
    )
    assert code == 1
    assert "nowhere" in said
    assert "exit=3" in said


@pytest.mark.parametrize("token", [None, "0" * 64], ids=["no token", "a wrong token"])
def test_without_the_token_nobody_submits(head: Head, tmp_path: Path, token: str | None) -> None:
    made = tmp_path / "made"
    code, said = head.submit("-c", f"open({str(made)!r}, 'w')", env=_environment(tmp_path, token))
    assert code != 0
    assert "token" in said.lower(), said
    assert not made.exists()


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_a_job_is_short_and_explains_itself(job: Path) -> None:
    text = job.read_text()
    assert len(text.splitlines()) <= 80
    assert "ray job submit" in text.split('"""')[1]


def _cluster() -> dict[str, Any]:
    plain: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return plain


def test_the_cluster_file_is_what_ray_expects() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(_cluster()))


def test_the_cluster_file_puts_no_lane_on_the_head_and_opens_no_port_to_the_world() -> None:
    plain = _cluster()
    head = plain["available_node_types"][plain["head_node_type"]]
    assert head["resources"]["CPU"] == 0
    started = " ".join(plain["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in started
    assert "RAY_AUTH_MODE=token" in " ".join(plain["docker"]["run_options"])
