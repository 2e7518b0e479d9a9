"""The gRPC server as a program, and in a Ray actor: it works, and ends in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import ray
from frame_makers import TICKS, Reader, number_of, packets
from grpc_works import TOKEN, call_on, settings
from pydantic import SecretStr
from test_runner import until

from facefx.cluster.connect import Cluster
from facefx.cluster.grpc_actor import start_grpc_actor
from facefx.cluster.grpc_settings import GrpcSettings, grpc_settings_from
from facefx.errors import ClusterError, ConfigError
from facefx.live.frame_exchange import Frame

pytest_plugins = ("ray_cluster",)

ROOT = Path(__file__).parents[2]
WITH_OURS = '{"port": 0, "detector": "blazeface", "drain_s": 1}'


async def numbers_from(address: str) -> list[int]:
    """What comes back of ten numbered frames."""
    _, sent = packets(range(10))
    async with grpc.aio.insecure_channel(address) as channel:
        call = call_on(channel, timeout=30)
        await call.open()
        await call.stream([Frame(i, i * TICKS, data) for i, data in enumerate(sent)])
        assert await call.finish() == grpc.StatusCode.OK
    reader = Reader()
    return [number_of(reader.luma(result.data)) for result in call.results]


def test_the_program_serves_and_ends_in_good_order_when_told() -> None:
    given = {**os.environ, "FACEFX_TOKEN": TOKEN, "FACEFX_GRPC": WITH_OURS, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "deployments" / "grpc_server.py")]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            said = program.stdout.readline().decode()
            assert said.startswith("listening on 127.0.0.1:"), program.communicate()
            assert asyncio.run(numbers_from(said.split()[-1])) == list(range(10))
            program.send_signal(signal.SIGTERM)
            _, errors = program.communicate(timeout=20)
            assert (program.returncode, errors) == (0, b"")
        finally:
            program.kill()


def test_the_program_says_what_is_wrong_with_its_settings() -> None:
    with pytest.raises(ConfigError, match="host") as error:
        grpc_settings_from({"FACEFX_TOKEN": "secret-one", "FACEFX_GRPC": '{"host": 7}'})
    assert "secret-one" not in str(error.value)
    with pytest.raises(ConfigError, match="JSON"):
        grpc_settings_from({"FACEFX_GRPC": "{"})
    with pytest.raises(ConfigError, match="TOKEN_FILE"):
        grpc_settings_from({"FACEFX_TOKEN_FILE": "/nowhere"})
    assert grpc_settings_from({"FACEFX_TOKEN": "a\nb"}).tokens == (SecretStr("a"), SecretStr("b"))


def test_an_actor_serves_is_found_again_and_ends_when_drained(cluster: Cluster) -> None:
    given = settings(detector="blazeface", drain_s=1)
    handle, address = start_grpc_actor(given, name="frames-tested")
    try:
        again, same = start_grpc_actor(given, name="frames-tested")
        assert (again._actor_id, same) == (handle._actor_id, address)
        assert asyncio.run(numbers_from(address)) == list(range(10))
        until(lambda: ray.get(handle.stats.remote())["sessions"] == 0)
        assert ray.get(handle.stats.remote())["frames"] == 10
        ray.get(handle.drain.remote(), timeout=20)
    finally:
        ray.kill(handle)


def test_an_actor_that_cannot_start_says_why(cluster: Cluster) -> None:
    missing = GrpcSettings(port=0, detector="none such")
    with pytest.raises(ClusterError, match="none such"):
        start_grpc_actor(missing, name="frames-broken")
