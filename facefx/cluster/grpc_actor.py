"""The gRPC server of frames in a Ray actor: one a node or a GPU, with its own port and its own drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import ray

from facefx.cluster.grpc_server import GrpcServer
from facefx.cluster.grpc_settings import GrpcSettings
from facefx.errors import ClusterError
from facefx.live.frame_service import FrameService

__all__ = ["GrpcFrames", "start_grpc_actor"]

T = TypeVar("T")

_NAMESPACE = "facefx"
_EVERY = ("0.0.0.0", "::")


class GrpcFrames:
    """What runs in the actor's process."""

    def __init__(self, settings: GrpcSettings) -> None:
        self._settings = settings
        self._service: FrameService | None = None
        self._server: GrpcServer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> str:
        """Load the nets, then listen; returns host:port, the same when called again.

        Raises ConfigError, ModelError.
        """
        async with self._starting:
            if self._server is None:
                self._service = await _aside(self._load)
                server = GrpcServer(self._settings, self._service)
                await server.start()
                self._server = server
        host = self._settings.host
        return f"{ray.util.get_node_ip_address() if host in _EVERY else host}:{self._server.port}"

    async def stats(self) -> dict[str, Any]:
        """Sessions and frames so far."""
        return self._service.stats() if self._service is not None else {}

    async def drain(self) -> None:
        """Finish what is in flight, stop, and let the nets go."""
        if self._server is not None:
            await self._server.drain()
        if self._service is not None:
            await _aside(self._service.close)

    def _load(self) -> FrameService:
        settings = self._settings
        service = FrameService(settings.serving(), workers=settings.workers, sessions=settings.sessions)
        service.warm()
        return service


async def _aside(call: Callable[[], T]) -> T:
    """Run what takes its time beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, call)


def start_grpc_actor(settings: GrpcSettings, *, name: str = "frames", gpus: float = 0) -> tuple[Any, str]:
    """Start the named actor, or find it where it runs already; returns its handle and its host:port.

    It outlives its driver. gpus: of the node that it is to run on. Whoever ends it calls `drain` first.

    Raises ClusterError where it cannot start; it is gone then.
    """
    # One processor for each worker; the event loop needs next to nothing.
    actor = ray.remote(GrpcFrames).options(
        name=name,
        namespace=_NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=settings.workers,
        num_gpus=gpus,
    )
    handle = actor.remote(settings)
    try:
        return handle, str(ray.get(handle.start.remote()))
    except ray.exceptions.RayError as error:
        ray.kill(handle)
        cause = getattr(error, "cause", None) or error
        raise ClusterError(
            f"the gRPC server {name!r} cannot start: {' '.join(str(cause).split())[:300]}"
        ) from error
