"""Frames over gRPC: a server of its own, with health, reflection, TLS and token; its event loop never works.

It stands beside Ray Serve and not behind it: Serve's proxy makes an actor call of every message that a client
sends, and another of every answer.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from facefx.cluster.bearer import Tokens, token_of
from facefx.cluster.grpc_messages import to_ask, to_reply
from facefx.cluster.grpc_settings import GrpcSettings, TlsFiles
from facefx.cluster.proto import facefx_pb2 as pb
from facefx.errors import ConfigError
from facefx.live.frame_exchange import Ask, Ended, Exchange, Reason, Reply
from facefx.live.frame_service import FrameService

__all__ = ["SERVICE", "GrpcServer", "run_server"]

SERVICE = "facefx.v1.Effects"

_log = logging.getLogger("facefx.cluster")
_HEALTH = "/grpc.health.v1.Health/"
_SPARE_CALLS = 64  # beside the streams: health, reflection, and calls that are told that there is no room
_CODES: MappingProxyType[Reason, Any] = MappingProxyType(
    {
        "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
        "invalid": grpc.StatusCode.INVALID_ARGUMENT,
        "overrun": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "too_large": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
        "no_room": grpc.StatusCode.RESOURCE_EXHAUSTED,
        "draining": grpc.StatusCode.UNAVAILABLE,
        "internal": grpc.StatusCode.INTERNAL,
    }
)


class GrpcServer:
    """Serves streams of frames until it is drained. service stays the caller's to close.

    All methods belong to one event loop.
    """

    def __init__(self, settings: GrpcSettings, service: FrameService) -> None:
        self.settings, self._service = settings, service
        self._tokens = Tokens(settings.tokens)
        self._drain = asyncio.Event()
        self._server: Any = None
        self._health: Any = None
        self._watch: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> str:
        """Listen; returns host:port.

        Raises ConfigError where the address is taken or a TLS file cannot be read.
        """
        settings = self.settings
        server = grpc.aio.server(
            interceptors=(_TokenGate(self._tokens),),
            options=_options(settings),
            maximum_concurrent_rpcs=settings.sessions + _SPARE_CALLS,
        )
        server.add_generic_rpc_handlers((self._handlers(),))
        self._health = _add_extras(server)
        self.port = _bind(server, settings)
        self._server = server
        await server.start()
        await self._say_healthy(True)
        self._watch = asyncio.create_task(self._keep_watch())
        address = f"{settings.host}:{self.port}"
        _log.info(
            "gRPC server listens",
            extra={"address": address, "tls": settings.tls is not None, "token": self._tokens.asked},
        )
        return address

    async def drain(self) -> None:
        """Take no new streams, let those that run finish what is in flight, and stop; safe to call twice."""
        if self._server is None:
            return
        self._drain.set()
        if self._watch is not None:
            self._watch.cancel()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self.settings.drain_s)

    async def wait(self) -> None:
        """Return once the server has stopped."""
        await self._server.wait_for_termination()

    async def _say_healthy(self, yes: bool) -> None:
        for name in ("", SERVICE):
            await self._health.set(name, _serving(yes))

    async def _keep_watch(self) -> None:
        """Say that we are not healthy for as long as a work thread hangs in one frame."""
        stuck_s, healthy = self.settings.stuck_s, True
        while True:
            await asyncio.sleep(stuck_s / 4)
            if (self._service.busy_s < stuck_s) != healthy:
                healthy = not healthy
                _log.warning("a work thread %s", "works again" if healthy else f"hangs for {stuck_s:g} s")
                await self._say_healthy(healthy)

    def _handlers(self) -> Any:
        stream = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=pb.ClientMessage.FromString,
            response_serializer=pb.ServerMessage.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Stream": stream})

    async def _stream(self, _requests: Any, context: Any) -> None:
        async def receive() -> Ask | None:
            try:
                message = await context.read()
            except DecodeError as error:
                raise Ended("invalid", "a message that is none of facefx.v1") from error
            return None if message is grpc.aio.EOF else to_ask(message)

        async def send(reply: Reply) -> None:
            await context.write(to_reply(reply))

        exchange = Exchange(self._service, self.settings.rules, receive, send, self._drain)
        try:
            await exchange.run()
        except Ended as error:
            await context.abort(_CODES[error.reason], str(error))


class _TokenGate(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets in who has a token; the state of health is for everybody. Nothing of the others is read."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        metadata = dict(details.invocation_metadata or ())
        given = metadata.get("authorization")
        allowed = self._tokens.match(token_of(given if isinstance(given, str) else None))
        if allowed or details.method.startswith(_HEALTH):
            return await continuation(details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_requests: Any, context: Any) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, "a token is needed: send metadata authorization: Bearer TOKEN"
    )


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.sessions + _SPARE_CALLS),
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", round(settings.least_ping_s * 1000)),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.max_metadata_size", 16_384),
        ("grpc.so_reuseport", 0),  # else two servers would share a port, and neither would say so
    ]


def _add_extras(server: Any) -> Any:
    """Add health and reflection; returns what health is told to.

    Raises ConfigError where they are not installed.
    """
    try:
        from grpc_health.v1 import health, health_pb2_grpc
        from grpc_reflection.v1alpha import reflection
    except ImportError as error:
        raise ConfigError("health and reflection of gRPC are missing; install facefx[live]") from error
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return servicer


def _serving(yes: bool) -> Any:
    from grpc_health.v1 import health_pb2

    status = health_pb2.HealthCheckResponse
    return status.SERVING if yes else status.NOT_SERVING


def _bind(server: Any, settings: GrpcSettings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.port}"
    try:
        if settings.tls is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, _credentials(settings.tls)))
    except RuntimeError as error:
        raise ConfigError(f"{address}: cannot be listened on; is another server there?") from error


def _credentials(tls: TlsFiles) -> Any:
    roots = None if tls.client_ca is None else _read(tls.client_ca)
    return grpc.ssl_server_credentials(
        [(_read(tls.key), _read(tls.certificate))],
        root_certificates=roots,
        require_client_auth=roots is not None,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"TLS file {path}: cannot be read: {error.strerror or error}") from error


async def run_server(
    settings: GrpcSettings, service: FrameService, started: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. started: is told the address.

    Raises ConfigError.
    """
    server = GrpcServer(settings, service)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    address = await server.start()
    if started is not None:
        started(address)
    await ended.wait()
    await server.drain()
