"""A gRPC server's doors: token, TLS, health, reflection, and how it goes away."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from frame_makers import TICKS, Finding, packets, service
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_works import (
    BEARER,
    TOKEN,
    call_on,
    channel_to,
    fails,
    serving_at,
    settings,
)
from pydantic import SecretStr, ValidationError

from facefx.cluster.grpc_server import SERVICE, GrpcServer
from facefx.cluster.grpc_settings import GrpcSettings, TlsFiles
from facefx.errors import ConfigError
from facefx.live.frame_exchange import Frame

Code = grpc.StatusCode


def frames_of(count: int) -> list[Frame]:
    _, sent = packets(range(count))
    return [Frame(i, i * TICKS, data) for i, data in enumerate(sent)]


@pytest.mark.parametrize(
    "metadata",
    [(), (("authorization", "Bearer wrong"),), (("authorization", TOKEN),), (("authorization", "Bearer "),)],
)
def test_without_the_token_nothing_is_read(metadata: Any) -> None:
    finding = Finding()
    frames = service(finding)

    async def run() -> None:
        async with serving_at(frames) as server, channel_to(server) as channel:
            call = call_on(channel, metadata)
            code, told = await fails(call)
            assert (code, TOKEN in told) == (Code.UNAUTHENTICATED, False)
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ServerReflectionInfo(iter([asked]), metadata=metadata).read()
            assert refused.value.code() == Code.UNAUTHENTICATED

    with frames:
        asyncio.run(run())
        assert frames.stats().get("opened", 0) == 0
    assert finding.seen == []


def test_secrets_are_in_no_representation() -> None:
    assert TOKEN not in repr(settings())
    assert TOKEN not in settings().model_dump_json()


def test_a_thread_that_hangs_is_seen_from_outside_until_it_works_again() -> None:
    gate, going = threading.Event(), threading.Event()
    frames = service(Finding(act=lambda pts: _held(going, gate)))

    async def run() -> None:
        async with serving_at(frames, stuck_s=0.1) as server, channel_to(server) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            call = call_on(channel)
            await call.open()
            await call.say(*frames_of(1))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            gate.set()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()

    with frames:
        asyncio.run(run())
        assert frames.busy_s == 0.0


def test_a_server_that_drains_says_so_finishes_what_is_in_flight_and_stops() -> None:
    gate, going = threading.Event(), threading.Event()
    frames = service(Finding(act=lambda pts: _held(going, gate)))

    async def run() -> None:
        async with serving_at(frames, drain_s=10) as server, channel_to(server) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            call = call_on(channel)
            await call.open()
            await call.say(*frames_of(1))
            assert await asyncio.to_thread(going.wait, 10)
            draining = asyncio.create_task(server.drain())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
            gate.set()
            assert (await call.hear()).number == 0
            assert (await fails(call))[0] == Code.UNAVAILABLE
            await asyncio.wait_for(draining, 10)
            await asyncio.wait_for(server.wait(), 10)

    with frames:
        asyncio.run(run())


def test_reflection_tells_a_client_with_a_token_what_there_is() -> None:
    frames = service()

    async def run() -> None:
        async with serving_at(frames) as server, channel_to(server) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
            call = stub.ServerReflectionInfo(iter([asked]), metadata=BEARER)
            answer = await call.read()
            file = descriptor_pb2.FileDescriptorProto.FromString(
                answer.file_descriptor_response.file_descriptor_proto[0]
            )
            (method,) = file.service[0].method
            assert (method.name, method.client_streaming, method.server_streaming) == ("Stream", True, True)

    with frames:
        asyncio.run(run())


def certificate(folder: Path, name: str, issuer: str | None = None) -> tuple[Path, Path]:
    """A certificate for localhost and its key, signed by another one or by itself."""
    key, request, signed = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    extension = folder / f"{name}.ext"
    extension.write_text(
        "subjectAltName=DNS:localhost\n" if issuer else "basicConstraints=critical,CA:TRUE\n"
    )
    make = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    sign = ["openssl", "x509", "-req", "-days", "2", "-in", str(request), "-extfile", str(extension)]
    by = ["-CA", f"{folder}/{issuer}.pem", "-CAkey", f"{folder}/{issuer}.key", "-CAcreateserial"]
    for command in (
        [*make, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}"],
        [*sign, "-out", str(signed), *(by if issuer else ["-signkey", str(key)])],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return signed, key


def test_tls_is_spoken_and_a_client_without_a_certificate_stays_outside(tmp_path: Path) -> None:
    authority, _ = certificate(tmp_path, "authority")
    signed, key = certificate(tmp_path, "server", "authority")
    mine, my_key = certificate(tmp_path, "client", "authority")
    ours = TlsFiles(certificate=signed, key=key, client_ca=authority)
    roots = authority.read_bytes()
    known = grpc.ssl_channel_credentials(roots, my_key.read_bytes(), mine.read_bytes())
    unknown = grpc.ssl_channel_credentials(roots)
    frames = service()

    async def once(server: GrpcServer, credentials: Any) -> Any:
        async with channel_to(server, credentials) as channel:
            call = call_on(channel)
            try:
                await call.open()
            except grpc.aio.AioRpcError as error:
                return error.code()
            return await call.finish()

    async def run() -> None:
        async with serving_at(frames, tls=ours) as server:
            assert await once(server, known) == Code.OK
            assert await once(server, unknown) == Code.UNAVAILABLE
            assert await once(server, None) == Code.UNAVAILABLE
        plain = TlsFiles(certificate=signed, key=key)
        async with serving_at(frames, tls=plain) as server:
            assert await once(server, unknown) == Code.OK

    with frames:
        asyncio.run(run())


def test_a_server_that_everybody_could_reach_needs_a_token() -> None:
    with pytest.raises(ValidationError, match="token"):
        GrpcSettings(host="0.0.0.0")
    with pytest.raises(ValidationError, match="empty"):
        GrpcSettings(tokens=(SecretStr(""),))
    assert GrpcSettings(host="::1").tokens == ()


def test_what_a_server_lacks_is_said_before_it_listens(tmp_path: Path) -> None:
    async def start(given: GrpcSettings) -> None:
        await GrpcServer(given, frames).start()

    async def taken() -> None:
        async with serving_at(frames) as server:
            with pytest.raises(ConfigError, match="another server"):
                await GrpcServer(settings().model_copy(update={"port": server.port}), frames).start()

    with service() as frames:
        missing = TlsFiles(certificate=tmp_path / "none.pem", key=tmp_path / "none.key")
        with pytest.raises(ConfigError, match=r"none\.key"):
            asyncio.run(start(settings(tls=missing)))
        asyncio.run(taken())


def test_the_event_loop_answers_while_every_thread_works() -> None:
    gate, going = threading.Event(), threading.Event()
    frames = service(Finding(act=lambda pts: _held(going, gate)))

    async def run() -> None:
        async with serving_at(frames) as server, channel_to(server) as channel:
            call = call_on(channel)
            await call.open()
            await call.say(*frames_of(1))
            assert await asyncio.to_thread(going.wait, 10)
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            gate.set()
            assert (await call.hear()).number == 0

    with frames:
        asyncio.run(run())


def _held(going: threading.Event, gate: threading.Event) -> None:
    going.set()
    _wait(gate)


def _wait(gate: threading.Event) -> None:
    assert gate.wait(10)
