"""Joining and starting clusters: what is wrong is said by name, and nothing hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from facefx.cluster import connect
from facefx.cluster.connect import Cluster, _sweep, connected
from facefx.errors import ClusterError, ConfigError, ExitCode

pytest_plugins = ("ray_cluster",)

BOUND_S = 21.0


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that is connected to nothing: the joining itself happens in a child anyway."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def silent() -> Iterator[str]:
    """Somebody who listens and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def refusal(address: str) -> str:
    began = time.monotonic()
    with pytest.raises(ClusterError) as refused, connected(address):
        pass
    assert time.monotonic() - began < BOUND_S
    assert refused.value.exit_code == ExitCode.BAD_INPUT
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.usefixtures("apart")
def test_a_port_where_nobody_listens_is_said_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        message = refusal(address)
    assert message.startswith(f"{address}: no cluster answers: Connection refused; check the address")


@pytest.mark.usefixtures("apart")
def test_a_host_that_does_not_exist_is_said_at_once() -> None:
    assert "no cluster answers" in refusal("no-such-host.invalid:6379")


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("address", ["ray://a:10001", "10.0.0.5", "a:b", ""])
def test_what_is_no_address_is_a_mistake_of_use(address: str) -> None:
    with pytest.raises(ConfigError, match="expected auto or host:port"), connected(address):
        pass


@pytest.mark.usefixtures("apart")
def test_something_else_that_listens_does_not_hang_us(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_JOIN_S", 6.0)
    assert "something listens there, but no Ray" in refusal(silent)


@pytest.mark.usefixtures("apart")
def test_a_wrong_token_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    assert "the cluster refuses us: wrong or missing token" in refusal(cluster.address)


@pytest.mark.usefixtures("apart")
def test_no_cluster_on_this_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Could not find any running Ray instance."  # Ray's own; here one does run
    monkeypatch.setattr(connect, "_PROBE", f"import sys; sys.exit({words!r})")
    assert "no cluster runs on this machine" in refusal("auto")


def test_an_inner_block_uses_the_outer_cluster_and_leaves_it(cluster: Cluster) -> None:
    with connected() as inner:
        assert (inner.address, inner.started) == (cluster.address, False)
    assert ray.is_initialized()


def test_nodes_say_what_they_have(cluster: Cluster) -> None:
    (node,) = cluster.nodes
    assert (node.cpus, node.gpus, node.store_bytes) == (8, 2, 200 << 20)


_JOIN = """
import sys, ray
from facefx.cluster.connect import connected
with connected(sys.argv[1]) as cluster:
    print(cluster.started, int(ray.cluster_resources()["CPU"]))
print(ray.is_initialized())
"""
_START = """
import sys, tempfile, pathlib, ray
from facefx.cluster.connect import connected
with connected(cpus=1, store_bytes=100 << 20) as cluster:
    folder = pathlib.Path(ray._private.worker._global_node.get_session_dir_path()).parent
    print(cluster.started, folder.exists())
print(folder.exists(), ray.is_initialized())
"""


def said(code: str, *args: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_joining_a_running_cluster_leaves_it_running(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert said(_JOIN, cluster.address) == "False 8\nFalse\n"
    assert ray.cluster_resources()["CPU"] == 8


def test_what_a_killed_driver_left_of_its_cluster_is_removed_by_the_next(tmp_path: Path) -> None:
    """Its processes go with it, its folder of logs and sockets would not."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, alive, other = (tmp_path / name for name in (f"fx-{gone.pid}-a", f"fx-{os.getpid()}-b", "fx-c"))
    for folder in (left, alive, other):
        (folder / "session").mkdir(parents=True)
    _sweep(tmp_path)
    assert [folder.exists() for folder in (left, alive, other)] == [False, True, True]


def test_a_cluster_of_our_own_beside_another_goes_with_its_folder() -> None:
    assert said(_START) == "True True\nFalse False\n"
