"""A gRPC server on a free port, and a client that keeps its credits, in one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest
from frame_makers import free
from pydantic import SecretStr

from facefx.cluster.grpc_messages import from_ask
from facefx.cluster.grpc_server import SERVICE, GrpcServer
from facefx.cluster.grpc_settings import GrpcSettings
from facefx.cluster.proto import facefx_pb2 as pb
from facefx.live.frame_exchange import Ask, Frame, Open
from facefx.live.frame_service import FrameService
from facefx.live.frames import FrameSettings

TOKEN = "correct-horse"
PATH = f"/{SERVICE}/Stream"
BEARER = (("authorization", f"Bearer {TOKEN}"),)


@dataclass
class Call:
    """One stream as a client sees it; results and how many frames were without one are kept."""

    call: Any
    window: int = 0
    counted: bool = False
    results: list[Any] = field(default_factory=list)
    most_in_flight: int = 0
    taken_s: list[float] = field(default_factory=list)

    async def say(self, *asks: Ask) -> None:
        for ask in asks:
            await self.call.write(from_ask(ask))

    async def hear(self) -> Any:
        message = await asyncio.wait_for(self.call.read(), 10)
        return message if message is grpc.aio.EOF else getattr(message, message.WhichOneof("kind"))

    async def open(self, settings: FrameSettings | None = None, credits: int = 0) -> Any:
        await self.say(Open(settings or FrameSettings(), credits))
        opened = await self.hear()
        assert isinstance(opened, pb.Opened), opened
        self.window, self.counted = opened.window, credits > 0
        return opened

    async def stream(self, frames: Sequence[Frame]) -> None:
        """Send frames as fast as the window allows, and take every result."""
        sent: list[float] = []
        for frame in frames:
            while len(sent) - len(self.results) >= self.window:
                await self._take(sent)
            sent.append(time.perf_counter())
            await self.call.write(from_ask(replace(frame, credits=int(self.counted))))
            self.most_in_flight = max(self.most_in_flight, len(sent) - len(self.results))
        while len(self.results) < len(sent):
            await self._take(sent)

    async def _take(self, sent: list[float]) -> None:
        result = await self.hear()
        assert isinstance(result, pb.Result), (result, await self.call.code(), await self.call.details())
        self.taken_s.append(time.perf_counter() - sent[len(self.results)])
        self.results.append(result)

    async def finish(self) -> Any:
        """Close our side; return the code once the server has closed its own."""
        await self.call.done_writing()
        return await self.code()

    async def code(self) -> Any:
        return await asyncio.wait_for(self.call.code(), 10)


def settings(**more: Any) -> GrpcSettings:
    return GrpcSettings(port=0, tokens=(SecretStr(TOKEN),), **more)


@asynccontextmanager
async def serving_at(frames: FrameService, **more: Any) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(settings(**{"drain_s": 0.2, **more}), frames)
    await server.start()
    try:
        yield server
    finally:
        await server.drain()


@asynccontextmanager
async def channel_to(server: GrpcServer, credentials: Any = None, **more: Any) -> AsyncIterator[Any]:
    address = f"localhost:{server.port}"
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    if credentials is None:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=options)
    async with channel:
        yield channel


def call_on(channel: Any, metadata: Any = BEARER, timeout: float | None = 20) -> Call:
    method = channel.stream_stream(
        PATH,
        request_serializer=pb.ClientMessage.SerializeToString,
        response_deserializer=pb.ServerMessage.FromString,
    )
    return Call(method(metadata=metadata, timeout=timeout))


def talk(
    frames: FrameService, conversation: Callable[[GrpcServer, Call], Awaitable[None]], **more: Any
) -> None:
    """Run a conversation on a call of its own, then see that its place is free."""

    async def run() -> None:
        async with serving_at(frames, **more) as server, channel_to(server) as channel:
            await conversation(server, call_on(channel))
            await free(frames)

    with frames:
        asyncio.run(run())


async def fails(call: Call) -> tuple[Any, str]:
    """How a call ended that was to fail."""
    with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)) as error:  # noqa: PT012
        while await call.hear() is not grpc.aio.EOF:
            pass
        raise asyncio.InvalidStateError
    del error
    return await call.code(), await call.call.details()
