"""Frames over gRPC on real sockets: credits, limits, doors, and a place that is free afterwards."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import grpc
import pytest
from frame_makers import TICKS, Finding, Reader, free, jpeg, left, number_of, packets, service
from grpc_works import (
    BEARER,
    PATH,
    Call,
    call_on,
    channel_to,
    fails,
    serving_at,
    talk,
)

from facefx.cluster.grpc_server import GrpcServer
from facefx.cluster.proto import facefx_pb2 as pb
from facefx.live.frame_exchange import Credit, Frame, Open, Update
from facefx.live.frames import FrameSettings

Code = grpc.StatusCode


def waited_in_frames(taken_s: Sequence[float], own_s: Sequence[float]) -> float:
    """p95 from sending a frame to having it, in frames' own times; of the quieter half of them."""
    half = len(taken_s) // 2
    halves = [(taken_s[:half], own_s[:half]), (taken_s[half:], own_s[half:])]
    return min(statistics.quantiles(taken, n=20)[-1] / statistics.median(own) for taken, own in halves)


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
        await call.stream(pictures(60))
        own_s = [result.seconds["total"] for result in call.results]
        assert call.most_in_flight <= 2
        assert min(own_s) >= 0.030
        assert waited_in_frames(call.taken_s, own_s) <= 2.5
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


@pytest.mark.parametrize(("size", "said"), [(70_000, "at most 65536"), (200_000, "larger than max")])
def test_a_frame_that_is_too_large_is_refused_by_us_or_by_the_carrier(size: int, said: str) -> None:
    finding = Finding()

    async def conversation(_: GrpcServer, call: Call) -> None:
        await call.open()
        await call.say(Frame(0, 0, bytes(size)))
        code, told = await fails(call)
        assert (code, said in told) == (Code.RESOURCE_EXHAUSTED, True)

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
            await left(frames)
            assert frames.sessions == 1  # its frame is under work still
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


def _held(going: threading.Event, gate: threading.Event) -> None:
    going.set()
    _wait(gate)


def _wait(gate: threading.Event) -> None:
    assert gate.wait(10)
