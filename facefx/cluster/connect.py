"""A cluster to work on: a local one that lives as long as the block, or one that is there already."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from facefx.cluster.placement import Node
from facefx.errors import ClusterError, ConfigError

__all__ = ["Cluster", "cluster_nodes", "connected"]

_log = logging.getLogger("facefx.cluster")

# A wrong address or token must end by name, not hang: Ray itself would try for minutes.
_PREFIX = "fx-"  # then the driver's process number: Ray's own names leave little room
_KNOCK_S = 5.0
_JOIN_S = 15.0
# Joins in a child first: Ray's own attempt cannot be bounded, and may end the process that makes it.
_PROBE = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False); sys.stdout.write('joined')"
_REFUSED = ("InvalidAuthToken", "Unauthenticated", "AuthenticationError")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is connected. started: by us, and ended with the block. dashboard: its URL, or ""."""

    address: str
    started: bool
    dashboard: str = ""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What its machines have in all."""
        return cluster_nodes()


@contextmanager
def connected(
    address: str | None = None,
    *,
    cpus: float | None = None,
    gpus: float | None = None,
    store_bytes: int | None = None,
    dashboard: bool = False,
) -> Iterator[Cluster]:
    """Connect to Ray for the length of a block, and end only what was started for it.

    address: None starts a cluster on this machine, with its own ports and a private folder; "auto" joins
    the one that runs here or that RAY_ADDRESS names, "host:port" that one. cpus, gpus, store_bytes: of a
    cluster started here, its machine's own where None. Within an outer block the outer cluster is used.

    Raises ClusterError, within about twenty seconds, where there is no cluster or it refuses us.
    """
    if ray.is_initialized():
        yield Cluster(ray.get_runtime_context().gcs_address, started=False)
        return
    # Asked for by the environment only; a library does not report its users.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None:
        yield from _joined(address)
        return
    _sweep(Path(_short_folder()))
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_short_folder()))
    try:
        yield from _started(folder, cpus, gpus, store_bytes, dashboard)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cluster_nodes() -> tuple[Node, ...]:
    """What the machines of the connected cluster have in all."""
    return tuple(
        Node(
            name=node["NodeManagerHostname"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            store_bytes=int(node["Resources"].get("object_store_memory", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    )


def _sweep(place: Path) -> None:
    """Remove what drivers that were killed left of their clusters, which went with them."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str:
    """Ray's sockets lie below it, and their paths may have 107 bytes."""
    folder = tempfile.gettempdir()
    return folder if len(folder) < 30 else "/tmp"


def _started(
    folder: Path, cpus: float | None, gpus: float | None, store_bytes: int | None, dashboard: bool
) -> Iterator[Cluster]:
    try:
        context = ray.init(
            num_cpus=cpus,
            num_gpus=gpus,
            object_store_memory=store_bytes,
            include_dashboard=dashboard,
            dashboard_port=0 if dashboard else None,
            _temp_dir=str(folder),
            log_to_driver=False,
            logging_level=logging.ERROR,
            namespace="facefx",
        )
    except (OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        raise ClusterError(
            f"no local cluster can be started in {folder}: {_one_line(str(error))}; "
            "check the room in the temporary folder and in /dev/shm"
        ) from error
    try:
        yield _cluster(context, started=True)
    finally:
        ray.shutdown()


def _joined(address: str) -> Iterator[Cluster]:
    place = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if place != "auto":
        _knock(place)
    _probe(place)
    try:
        context = ray.init(place, log_to_driver=False, logging_level=logging.ERROR, namespace="facefx")
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"{place}: the cluster cannot be joined: {_one_line(str(error))}") from error
    try:
        yield _cluster(context, started=False)
    finally:
        ray.shutdown()


def _cluster(context: Any, *, started: bool) -> Cluster:
    return Cluster(context.address_info["gcs_address"], started, context.dashboard_url or "")


def _knock(address: str) -> None:
    """See that something listens there.

    Raises ConfigError for what is no address, ClusterError where nobody answers.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(
            f"address {address!r} is none of a cluster: expected auto or host:port, as in 10.0.0.5:6379"
        )
    try:
        socket.create_connection((host, int(port)), _KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"{address}: no cluster answers: {getattr(error, 'strerror', None) or error}; "
            "check the address (`ray status` there), or start one with `ray start --head`"
        ) from error


def _probe(address: str) -> None:
    """Join in a child process, with a bound.

    Raises ClusterError with what Ray said, in our words.
    """
    command = [sys.executable, "-c", _PROBE, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_JOIN_S, check=False)
        said, joined = done.stderr, done.stdout.endswith("joined")
    except subprocess.TimeoutExpired as error:
        said, joined = (error.stderr or b"").decode(errors="replace"), False
    if joined:
        return
    if any(word in said for word in _REFUSED):
        raise ClusterError(
            f"{address}: the cluster refuses us: wrong or missing token; set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the cluster's own"
        )
    if "Could not find any running Ray instance" in said:
        raise ClusterError(
            "no cluster runs on this machine; start one with `ray start --head`, give host:port, "
            "or leave the address out for one of our own"
        )
    raise ClusterError(
        f"{address}: something listens there, but no Ray {ray.__version__} cluster answered within "
        f"{_JOIN_S:g} s: {_last_line(said)}; check the address and the version there"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
