"""A server of frames for bench_frames, in a process of its own: prints its port, and serves until killed.

python -m benchmarks.frames_child {grpc,ws,serve} {effects,echo}
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections import Counter
from typing import Any

from benchmarks.lib import say
from facefx.cluster.grpc_messages import to_reply
from facefx.cluster.grpc_server import SERVICE, run_server
from facefx.cluster.grpc_settings import GrpcSettings
from facefx.cluster.proto import facefx_pb2 as pb
from facefx.live.frame_exchange import Opened, Result
from facefx.live.frame_service import FrameService
from facefx.live.frames import FrameResult, FrameSession


class Echo(FrameSession):
    """Gives every frame back as it came: what is left is the carrier."""

    def __init__(self, *_: Any) -> None:
        self.counts = Counter()

    def push(self, data: bytes, pts: int, *, key_frame: bool = False, waited_s: float = 0.0) -> FrameResult:
        """See FrameSession."""
        return FrameResult(pts, data, seconds={"total": 0.0})

    def close(self) -> None:
        """See FrameSession."""


class ServeEcho:
    """The same as a deployment of Ray Serve."""

    async def Stream(self, requests: Any) -> Any:  # noqa: N802 - named as in the protocol
        """Answer message by message."""
        async for message in requests:
            if message.WhichOneof("kind") == "open":
                yield to_reply(Opened(2, 0))
            else:
                frame = message.frame
                yield to_reply(Result(frame.number, FrameResult(frame.pts, frame.data)))


def add_to_server(servicer: Any, server: Any) -> None:
    """What Serve's proxy is told of the service."""
    import grpc

    stream = grpc.stream_stream_rpc_method_handler(
        servicer.Stream,
        request_deserializer=pb.ClientMessage.FromString,
        response_serializer=pb.ServerMessage.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Stream": stream}),))


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _tell(address: str) -> None:
    print(address.rpartition(":")[2], flush=True)


def _grpc(service: FrameService, settings: GrpcSettings) -> None:
    asyncio.run(run_server(settings, service, _tell))


def _ws(service: FrameService) -> None:
    import uvicorn
    from fastapi import FastAPI

    from facefx.cluster.ws import WsSettings, router

    app = FastAPI()
    app.include_router(router(WsSettings(), service))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        _tell(f":{listener.getsockname()[1]}")
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


def _serve() -> None:
    import threading

    import ray
    from ray import serve
    from ray.serve.config import gRPCOptions

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fx-", dir="/tmp") as folder:
        ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200 << 20, _temp_dir=folder,
                 log_to_driver=False)  # fmt: skip
        options = gRPCOptions(port=port, grpc_servicer_functions=[f"{__spec__.name}.add_to_server"])
        serve.start(http_options={"port": free_port()}, grpc_options=options)
        echo = serve.deployment(ServeEcho, name="echo", max_ongoing_requests=8)
        serve.run(echo.bind(), name="echo", route_prefix="/")
        _tell(f":{port}")
        threading.Event().wait()


def main(carrier: str, work: str) -> None:
    """Serve until killed."""
    if carrier == "serve":
        _serve()
        return
    settings = GrpcSettings(port=0)
    make = Echo if work == "echo" else FrameSession
    with FrameService(settings.serving(), make=make) as service:
        if work != "echo":
            service.warm()
        if carrier == "grpc":
            _grpc(service, settings)
        else:
            _ws(service)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        say("ended")
