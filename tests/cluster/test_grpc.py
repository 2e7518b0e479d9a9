"""Frames over gRPC on real sockets: credits, limits, doors, and a place that is free afterwards."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from frame_makers import TICKS, Finding, Reader, jpeg, number_of, packets, service
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_works import (
    BEARER,
    PATH,
    TOKEN,
    Call,
    call_on,
    channel_to,
    fails,
    free,
    serving_at,
    settings,
    talk,
)
from pydantic import SecretStr, ValidationError

from facefx.cluster.grpc_server import SERVICE, GrpcServer
from facefx.cluster.grpc_settings import GrpcSettings, TlsFiles
from facefx.cluster.proto import facefx_pb2 as pb
from facefx.errors import ConfigError
from facefx.live.frame_exchange import Credit, Frame, Open, Update
from facefx.live.frames import FrameSettings

Code = grpc.StatusCode


def frames_of(count: int) -> list[Frame]:
    _, sent = packets(range(count))
    return [Frame(i, i * TICKS, data) for i, data in enumerate(sent)]


def pictures(count: int) -> list[Frame]:
    return [Frame(i, i * TICKS, jpeg(i)) for i in range(count)]


def test_h264_goes_in_and_comes_out_in_order_with_faces_and_times() -> None:
    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open()
        await call.stream(frames_of(40))
        assert await call.finish() == Code.OK
        reader = Reader()
        assert [number_of(reader.luma(result.data)) for result in call.results] == list(range(40))
        first = call.results[0]
        assert [(face.track_id, face.left, face.bottom) for face in first.faces] == [(7, 16, 64)]
        assert set(first.seconds) >= {"waited", "decode", "detect", "blend", "encode", "total"}

    talk(service(), conversation)


def test_a_slow_server_holds_no_more_than_its_window_and_no_frame_waits_long() -> None:
    """Flow control alone let 123 frames queue before a server of 33 ms a frame, and the last waited 3.9 s."""

    async def conversation(server: GrpcServer, call: Call) -> None:
        await call.open(FrameSettings(coding="picture"))
        assert call.window == 2
        await call.stream(pictures(30))
        own_s = statistics.median(result.seconds["total"] for result in call.results)
        p95_s = statistics.quantiles(call.taken_s, n=20)[-1]
        assert call.most_in_flight <= 2
        assert own_s >= 0.030
        assert p95_s <= 2.5 * own_s, (p95_s, own_s)
        assert await call.finish() == Code.OK

    talk(service(Finding(act=lambda pts: time.sleep(0.03))), conversation)


def test_a_client_that_overruns_its_window_is_ended() -> None:
    gate = threading.Event()
    finding = Finding(act=lambda pts: _wait(gate))

    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open()
        await call.say(*frames_of(3))
        code, told = await fails(call)
        gate.set()
        assert code == Code.RESOURCE_EXHAUSTED
        assert "window is 2" in told

    talk(service(finding), conversation)
    assert len(finding.seen) <= 1


def test_results_leave_only_against_credits() -> None:
    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open(credits=1)
        await call.say(*frames_of(2))
        assert (await call.hear()).number == 0
        waiting = asyncio.ensure_future(call.call.read())
        done, _pending = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        await call.say(Credit(1))
        assert (await waiting).result.number == 1
        assert await call.finish() == Code.OK

    talk(service(), conversation)


def test_effects_change_while_frames_go_through() -> None:
    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open(FrameSettings(effects=("sharpen",)), credits=9)
        one, two = frames_of(2)
        await call.say(one, Update(1, ({"solid": {"colour": "#ffffff"}},)), Update(2, ("sollid",)), two)
        first, good, bad, second = [await call.hear() for _ in range(4)]
        assert (good.refused, "unknown effect" in bad.refused) == ("", True)
        reader = Reader()
        before, after = reader.luma(first.data), reader.luma(second.data)
        assert before[40, 40] < 120
        assert after[40, 40] > 220
        assert await call.finish() == Code.OK

    talk(service(), conversation)


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


def test_a_deadline_ends_the_call_and_frees_the_place() -> None:
    frames = service()

    async def run() -> None:
        async with serving_at(frames) as server, channel_to(server) as channel:
            call = call_on(channel, timeout=0.3)
            await call.open()
            assert frames.sessions == 1
            assert (await fails(call))[0] == Code.DEADLINE_EXCEEDED
            await free(frames)

    with frames:
        asyncio.run(run())


def test_a_client_that_says_nothing_is_ended() -> None:
    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open()
        code, told = await fails(call)
        assert (code, "nothing was heard" in told) == (Code.DEADLINE_EXCEEDED, True)

    talk(service(), conversation, idle_s=0.2)


@pytest.mark.parametrize("size", [70_000, 200_000])
def test_a_frame_that_is_too_large_is_refused_by_us_or_by_the_carrier(size: int) -> None:
    finding = Finding()

    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open()
        await call.say(Frame(0, 0, bytes(size)))
        assert (await fails(call))[0] == Code.RESOURCE_EXHAUSTED

    talk(service(finding), conversation, max_frame_bytes=65_536, max_message_bytes=100_000)
    assert finding.seen == []


def test_what_is_no_message_of_ours_is_refused() -> None:
    frames = service()

    async def run() -> None:
        async with serving_at(frames) as server, channel_to(server) as channel:
            call = Call(channel.stream_stream(PATH)(metadata=BEARER))
            await call.call.write(b"\xff\xff\xff\xff")
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call.call.read()
            assert error.value.code() == Code.INVALID_ARGUMENT

    with frames:
        asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (pb.ClientMessage(), "empty message"),
        (pb.ClientMessage(credit=pb.Credit(credits=1)), "expected Open"),
        (pb.ClientMessage(open=pb.Open(coding=cast("pb.Coding", 9))), "coding"),
        (pb.ClientMessage(open=pb.Open(chain=pb.Chain(effects_json="{"))), "JSON"),
        (pb.ClientMessage(open=pb.Open(chain=pb.Chain(effects_json="[]"))), "list"),
        (pb.ClientMessage(open=pb.Open(chain=pb.Chain(effects_json='[{"solid": "x"}]'))), "list"),
        (pb.ClientMessage(open=pb.Open(chain=pb.Chain(effects_json='["sollid"]'))), "did you mean"),
        (pb.ClientMessage(open=pb.Open(chain=pb.Chain(effects_json='["image:path=/etc/passwd"]'))), "file"),
        (pb.ClientMessage(open=pb.Open(chain=pb.Chain(effects_json='["solid"]'), rotation=45)), "rotation"),
    ],
)
def test_an_opening_that_cannot_be_right_says_what(message: Any, said: str) -> None:
    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.call.write(message)
        code, told = await fails(call)
        assert code == Code.INVALID_ARGUMENT
        assert said in told

    talk(service(), conversation)


def test_a_client_that_disappears_frees_its_place_while_its_frame_is_under_work() -> None:
    gate, going = threading.Event(), threading.Event()
    finding = Finding(act=lambda pts: _held(going, gate))
    frames = service(finding, sessions=1)

    async def run() -> None:
        async with serving_at(frames) as server:
            async with channel_to(server) as channel:
                call = call_on(channel)
                await call.open()
                await call.say(*frames_of(2))
                assert await asyncio.to_thread(going.wait, 10)
            assert frames.sessions == 1  # its channel is closed, and its frame under work still
            gate.set()
            await free(frames)
            async with channel_to(server) as channel:
                again = call_on(channel)
                await again.open()
                assert await again.finish() == Code.OK

    with frames:
        asyncio.run(run())
    assert finding.seen == [0]


def test_the_one_client_too_many_is_told_and_those_before_go_on() -> None:
    frames = service(sessions=1)

    async def run() -> None:
        async with serving_at(frames, sessions=1) as server, channel_to(server) as channel:
            one, two = call_on(channel), call_on(channel)
            await one.open()
            await two.say(Open(FrameSettings()))
            assert (await fails(two))[0] == Code.RESOURCE_EXHAUSTED
            await one.stream(frames_of(2))
            assert await one.finish() == Code.OK

    with frames:
        asyncio.run(run())


def test_two_clients_at_once_get_their_own_frames() -> None:
    frames = service()

    async def one(server: GrpcServer, first: int) -> list[int]:
        async with channel_to(server) as channel:
            call = call_on(channel)
            await call.open()
            _, sent = packets(range(first, first + 15))
            await call.stream([Frame(i, i * TICKS, data) for i, data in enumerate(sent)])
            reader = Reader()
            return [number_of(reader.luma(result.data)) for result in call.results]

    async def run() -> None:
        async with serving_at(frames) as server:
            got = await asyncio.gather(one(server, 0), one(server, 100))
            assert list(got) == [list(range(15)), list(range(100, 115))]

    with frames:
        asyncio.run(run())


def test_a_detector_that_fails_gives_a_covered_frame_and_the_next_is_fine() -> None:
    def fail(pts: int) -> None:
        if pts == TICKS:
            raise RuntimeError("device lost")

    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open()
        await call.stream(frames_of(3))
        assert [bool(result.covered) for result in call.results] == [False, True, False]
        reader = Reader()
        shown = [reader.luma(result.data) for result in call.results]
        assert int(shown[1].max()) <= 19
        assert number_of(shown[2]) == 2
        assert await call.finish() == Code.OK

    talk(service(Finding(act=fail)), conversation)


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


def _held(going: threading.Event, gate: threading.Event) -> None:
    going.set()
    _wait(gate)


def _wait(gate: threading.Event) -> None:
    assert gate.wait(10)
