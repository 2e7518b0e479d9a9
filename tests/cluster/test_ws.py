"""Frames over WebSocket on real sockets: the header, the credits, the doors, and why a socket closes."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from frame_makers import TICKS, Finding, Reader, free, jpeg, left, number_of, packets, service
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from facefx.cluster.ws import COVERED, DROPPED, HEADER, KEY_FRAME, VERSION, WsSettings, router
from facefx.live.frame_exchange import ExchangeRules
from facefx.live.frame_service import FrameService
from facefx.video.nal import make_avcc, to_lengths

TOKEN = "correct-horse"
PICTURES = {"type": "open", "token": TOKEN, "coding": "picture"}
Talk = Callable[[ClientConnection], Awaitable[None]]


@asynccontextmanager
async def listening(frames: FrameService, rules: ExchangeRules) -> AsyncIterator[str]:
    app = FastAPI()
    app.include_router(router(WsSettings((SecretStr(TOKEN),), rules), frames))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(app, log_level="error", ws="websockets-sansio", lifespan="off")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/frames"
        finally:
            server.should_exit = True
            await running


def talk(
    frames: FrameService, conversation: Talk, headers: dict[str, str] | None = None, **rules: Any
) -> None:
    """Run a conversation on a socket of its own, then see that its place is free."""

    async def run() -> None:
        async with listening(frames, ExchangeRules(**rules)) as url:
            async with connect(url, additional_headers=headers, max_size=None) as client:
                await conversation(client)
            await free(frames)

    with frames:
        asyncio.run(run())


async def tell(client: ClientConnection, said: dict[str, Any]) -> None:
    await client.send(json.dumps(said))


async def heard(client: ClientConnection) -> dict[str, Any]:
    text = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(text, str)
    return dict(json.loads(text))


def packed(number: int, data: bytes, *, flags: int = 0, credits: int = 0, pts: int | None = None) -> bytes:
    return HEADER.pack(VERSION, flags, credits, number, number * TICKS if pts is None else pts) + data


async def result(client: ClientConnection) -> tuple[int, int, dict[str, Any], bytes]:
    """Number, flags, what the JSON says, the coded frame."""
    message = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(message, bytes), message
    version, flags, length, number, pts = HEADER.unpack_from(message)
    assert (version, pts) == (VERSION, number * TICKS)
    said = json.loads(message[HEADER.size : HEADER.size + length])
    return number, flags, said, message[HEADER.size + length :]


async def closed(client: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as error:  # noqa: PT012
        while True:
            await asyncio.wait_for(client.recv(), 10)
    assert error.value.rcvd is not None
    return error.value.rcvd.code, error.value.rcvd.reason


async def opened(client: ClientConnection, said: dict[str, Any]) -> int:
    await tell(client, said)
    answer = await heard(client)
    assert answer["type"] == "opened", answer
    return int(answer["window"])


def test_pictures_go_in_and_come_out_in_order_with_faces_and_times() -> None:
    async def conversation(client: ClientConnection) -> None:
        await opened(client, PICTURES)
        reader = Reader("picture")
        for number in range(10):
            await client.send(packed(number, jpeg(number)))
            came, flags, said, data = await result(client)
            assert (came, flags, number_of(reader.luma(data))) == (number, KEY_FRAME, number)
            assert said["faces"] == [
                {"track_id": 7, "xyxy": [16.0, 16.0, 64.0, 64.0], "confidence": 0.9, "held": False}
            ]
            assert said["seconds"]["total"] > 0
        await tell(client, {"type": "end"})
        assert await closed(client) == (1000, "done")

    talk(service(), conversation)


def test_avcc_packets_come_back_with_their_config() -> None:
    headers, sent = packets(range(3), separate=True)

    async def conversation(client: ClientConnection) -> None:
        config = base64.b64encode(make_avcc(headers)).decode()
        await opened(client, {"type": "open", "token": TOKEN, "coding": "avcc", "config": config})
        reader: Reader | None = None
        for number, data in enumerate(sent):
            await client.send(packed(number, to_lengths(data)))
            _, flags, said, coded = await result(client)
            assert bool(flags & KEY_FRAME) == ("config" in said)
            reader = reader or Reader(config=base64.b64decode(said["config"]))
            assert number_of(reader.luma(coded)) == number

    talk(service(), conversation)


def test_a_slow_server_holds_no_more_than_its_window_and_no_frame_waits_long() -> None:
    async def conversation(client: ClientConnection) -> None:
        window = await opened(client, PICTURES)
        sent: list[float] = []
        took: list[float] = []
        own: list[float] = []
        while len(took) < 60:
            while len(sent) - len(took) < window and len(sent) < 60:
                sent.append(time.perf_counter())
                await client.send(packed(len(sent) - 1, jpeg(len(sent) - 1)))
            number, _, said, _ = await result(client)
            took.append(time.perf_counter() - sent[number])
            own.append(said["seconds"]["total"])
            assert len(sent) - len(took) <= window == 2
        halves = [(took[:30], own[:30]), (took[30:], own[30:])]  # others work on this machine
        p95 = min(statistics.quantiles(some, n=20)[-1] / statistics.median(of) for some, of in halves)
        assert p95 <= 2.5

    talk(service(Finding(act=lambda pts: time.sleep(0.03))), conversation)


def test_a_client_that_overruns_its_window_is_closed() -> None:
    gate = threading.Event()
    finding = Finding(act=lambda pts: _wait(gate))

    async def conversation(client: ClientConnection) -> None:
        await opened(client, PICTURES)
        for number in range(3):
            await client.send(packed(number, jpeg(number)))
        code, reason = await closed(client)
        gate.set()
        assert (code, "window is 2" in reason) == (4429, True)

    talk(service(finding), conversation)
    assert len(finding.seen) <= 1


def test_results_leave_only_against_credits() -> None:
    async def conversation(client: ClientConnection) -> None:
        await opened(client, {**PICTURES, "credits": 1})
        for number in range(2):
            await client.send(packed(number, jpeg(number)))
        assert (await result(client))[0] == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.recv(), 0.2)
        await tell(client, {"type": "credit", "credits": 1})
        assert (await result(client))[0] == 1

    talk(service(), conversation)


def test_effects_change_while_frames_go_through() -> None:
    async def conversation(client: ClientConnection) -> None:
        await opened(client, {**PICTURES, "effects": ["sharpen"]})
        await client.send(packed(0, jpeg(0)))
        await tell(client, {"type": "update", "number": 1, "effects": [{"solid": {"colour": "#ffffff"}}]})
        await tell(client, {"type": "update", "number": 2, "effects": ["sollid"]})
        await client.send(packed(1, jpeg(1)))
        reader = Reader("picture")
        before = reader.luma((await result(client))[3])
        assert await heard(client) == {"type": "updated", "number": 1, "refused": ""}
        assert "unknown effect" in (await heard(client))["refused"]
        after = reader.luma((await result(client))[3])
        assert before[40, 40] < 120
        assert after[40, 40] > 220

    talk(service(), conversation)


def test_the_token_may_come_in_the_header() -> None:
    async def conversation(client: ClientConnection) -> None:
        await opened(client, {"type": "open", "coding": "picture"})

    talk(service(), conversation, {"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize(
    ("first", "headers"),
    [
        (json.dumps({"type": "open"}), None),
        (json.dumps({"type": "open", "token": "wrong"}), None),
        (json.dumps({"type": "open", "token": 7}), None),
        (json.dumps({"type": "open"}), {"Authorization": "Bearer wrong"}),
        (packed(0, b"x"), None),
    ],
)
def test_without_the_token_nothing_is_read(first: str | bytes, headers: dict[str, str] | None) -> None:
    finding = Finding()
    frames = service(finding)

    async def conversation(client: ClientConnection) -> None:
        await client.send(first)
        code, reason = await closed(client)
        assert (code, TOKEN in reason) == (1008, False)
        assert frames.stats().get("opened", 0) == 0

    talk(frames, conversation, headers)
    assert finding.seen == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("no json", 4400),
        ("[" * 5000, 4400),
        (json.dumps([TOKEN]), 4400),
        (json.dumps({"type": "dance", "token": TOKEN}), 4400),
        (json.dumps({**PICTURES, "effects": ["sollid"]}), 4400),
        (json.dumps({**PICTURES, "effects": ["image:path=/etc/passwd"]}), 4400),
        (json.dumps({**PICTURES, "effects": "solid"}), 4400),
        (json.dumps({**PICTURES, "surprise": 1}), 4400),
        (json.dumps({**PICTURES, "config": "§"}), 4400),
        (json.dumps({**PICTURES, "credits": -1}), 4400),
        (json.dumps({"type": "credit", "credits": 1, "token": TOKEN}), 4400),
        (json.dumps({"type": "open", "token": TOKEN, "select": "x" * 200_000}), 1009),
    ],
)
def test_a_beginning_that_cannot_be_right_says_why(said: str, code: int) -> None:
    async def conversation(client: ClientConnection) -> None:
        await client.send(said)
        got, reason = await closed(client)
        assert got == code
        assert reason

    talk(service(), conversation)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"short", 4400),
        (b"\x07" + bytes(15), 4400),
        (packed(0, bytes(1001)), 1009),
        (packed(0, b"", pts=-1), None),
    ],
)
def test_a_frame_that_cannot_be_right_says_why(data: bytes, code: int | None) -> None:
    async def conversation(client: ClientConnection) -> None:
        await opened(client, PICTURES)
        await client.send(data)
        if code is None:
            message = await client.recv(decode=False)
            assert HEADER.unpack_from(message)[1] == DROPPED
        else:
            assert (await closed(client))[0] == code

    talk(service(), conversation, max_bytes=1000)


def test_a_frame_that_nobody_could_look_at_says_that_it_is_covered() -> None:
    def fail(pts: int) -> None:
        raise RuntimeError("device lost")

    async def conversation(client: ClientConnection) -> None:
        await opened(client, PICTURES)
        await client.send(packed(0, jpeg(85)))
        _, flags, said, data = await result(client)
        assert flags & COVERED
        assert said["covered"] == "not looked at: RuntimeError"
        assert int(Reader("picture").luma(data).max()) <= 3

    talk(service(Finding(act=fail)), conversation)


def test_a_client_that_says_nothing_is_closed() -> None:
    async def before(client: ClientConnection) -> None:
        assert (await closed(client))[0] == 4408

    async def after(client: ClientConnection) -> None:
        await opened(client, PICTURES)
        assert (await closed(client))[0] == 4408

    talk(service(), before, open_s=0.1)
    talk(service(), after, idle_s=0.1)


def test_a_full_service_says_try_again_later() -> None:
    frames = service(sessions=1)

    async def run() -> None:
        async with listening(frames, ExchangeRules()) as url, connect(url) as one, connect(url) as two:
            await opened(one, PICTURES)
            await tell(two, PICTURES)
            assert (await closed(two))[0] == 1013

    with frames:
        asyncio.run(run())


def test_a_client_that_disappears_frees_its_place_while_its_frame_is_under_work() -> None:
    gate, going = threading.Event(), threading.Event()
    finding = Finding(act=lambda pts: _held(going, gate))
    frames = service(finding, sessions=1)

    async def run() -> None:
        async with listening(frames, ExchangeRules()) as url:
            async with connect(url) as client:
                await opened(client, PICTURES)
                for number in range(2):
                    await client.send(packed(number, jpeg(number)))
                assert await asyncio.to_thread(going.wait, 10)
                client.transport.abort()
            await left(frames)
            gate.set()
            await free(frames)

    with frames:
        asyncio.run(run())
    assert finding.seen == [0]


def _held(going: threading.Event, gate: threading.Event) -> None:
    going.set()
    _wait(gate)


def _wait(gate: threading.Event) -> None:
    assert gate.wait(10)
