"""The gRPC server of frames in a Ray actor: one a node or a GPU, with its own port and its own drain."""

from __future__ import annotations

import asyncio
from typing import Any

import ray

from facefx.cluster.grpc_server import GrpcServer
from facefx.cluster.grpc_settings import GrpcSettings
from facefx.config import RunConfig
from facefx.errors import ClusterError
from facefx.live.frame_service import FrameService
from facefx.live.frames import serving
from facefx.video.frame_codec import CodecRules

__all__ = ["GrpcFrames", "start_grpc_actor"]

_NAMESPACE = "facefx"


class GrpcFrames:
    """What runs in the actor's process. Its nets are loaded before it listens."""

    def __init__(self, settings: GrpcSettings, config: RunConfig) -> None:
        rules = CodecRules(max_bytes=settings.max_frame_bytes)
        served = serving(config, rules)
        self._service = FrameService(served, workers=settings.workers, sessions=settings.sessions)
        self._settings = settings
        self._server: GrpcServer | None = None

    async def start(self) -> str:
        """Load the nets and listen; returns host:port, the same when called again."""
        if self._server is None:
            await asyncio.get_running_loop().run_in_executor(None, self._service.warm)
            self._server = GrpcServer(self._settings, self._service)
            await self._server.start()
        return f"{self._settings.host}:{self._server.port}"

    async def stats(self) -> dict[str, Any]:
        """Sessions and frames so far."""
        return self._service.stats()

    async def drain(self) -> None:
        """Finish what is in flight, stop, and let the nets go."""
        if self._server is not None:
            await self._server.drain()
        await asyncio.get_running_loop().run_in_executor(None, self._service.close)


def start_grpc_actor(
    settings: GrpcSettings, config: RunConfig | None = None, *, name: str = "frames", gpus: float = 0
) -> tuple[Any, str]:
    """Start the named actor, or find it where it runs already; returns its handle and its host:port.

    It outlives its driver. gpus: of the node that it is to run on. Whoever ends it calls `drain` first.

    Raises ClusterError where it cannot start.
    """
    actor = ray.remote(GrpcFrames)
    # One thread works for each worker; the event loop needs next to nothing.
    handle = actor.options(
        name=name,
        namespace=_NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=settings.workers,
        num_gpus=gpus,
        max_restarts=3,
    ).remote(settings, config or RunConfig())
    try:
        return handle, str(ray.get(handle.start.remote()))
    except (ray.exceptions.RayActorError, ray.exceptions.RayTaskError) as error:
        reason = " ".join(
            str(error.cause if isinstance(error, ray.exceptions.RayTaskError) else error).split()
        )
        raise ClusterError(f"the gRPC server {name!r} cannot start: {reason[:300]}") from error
