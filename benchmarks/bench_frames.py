"""What a frame costs a client on its way: our gRPC server, our WebSocket, and Ray Serve's gRPC proxy.

Effects: bench_720p.mp4 coded anew without B-frames (one packet a frame), solid on every face, H.264 back. The
client sends as fast as its window of two lets it; a frame's own time is what its session says it took. Echo:
the server gives back what came, so that the carrier alone is left; the same messages and the same window
through a deployment behind Serve's proxy, which makes an actor call of each message. Servers are processes of
their own; CPU is of all processes, the client's too, read from /proc.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import grpc
from websockets.asyncio.client import connect

from benchmarks.lib import Goal, Result, finish, media_file, options, say
from facefx.cluster.grpc_messages import from_ask
from facefx.cluster.grpc_server import SERVICE
from facefx.cluster.proto import facefx_pb2 as pb
from facefx.cluster.ws import HEADER, VERSION
from facefx.live.frame_exchange import Frame, Open
from facefx.live.frames import FrameSettings
from facefx.values import Color, PixelFormat, StreamFormat
from facefx.video.frame_codec import CodecRules
from facefx.video.packet_codec import H264Encoder

WINDOW, TICKS = 2, 3000
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SIZES = (1_000, 50_000, 300_000)


@dataclass(frozen=True, slots=True)
class Run:
    """One stream: frames a second, seconds from sending a frame to having its result, and CPU-seconds."""

    fps: float
    taken_s: list[float]
    own_s: float
    most_in_flight: int
    cpu_s: float

    def row(self, name: str) -> list[str]:
        """Cells of a table."""
        p50, p95 = statistics.median(self.taken_s), _p95(self.taken_s)
        cpu = 1000 * self.cpu_s / len(self.taken_s)
        return [name, f"{self.fps:.0f}", f"{1000 * p50:.2f}", f"{1000 * p95:.2f}", f"{cpu:.2f}"]


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def packets(count: int) -> list[bytes]:
    """The clip's frames as a client would send them."""
    rules, made = CodecRules(), list[bytes]()
    encoder: H264Encoder | None = None
    while len(made) < count:
        with av.open(str(media_file("formats/bench_720p.mp4"))) as clip:
            for frame in clip.decode(video=0):
                if encoder is None:
                    pixels = PixelFormat.of(frame.format.name)
                    format_ = StreamFormat(pixels, frame.width, frame.height, Fraction(1, 90_000), Color())
                    encoder = H264Encoder(format_, rules, avcc=False)
                made.append(encoder.encode(frame, len(made) * TICKS, key_frame=False).data)
                if len(made) == count:
                    break
    return made


@contextmanager
def server(carrier: str, work: str) -> Iterator[tuple[int, int]]:
    """A server's port and process number."""
    command = [sys.executable, "-m", "benchmarks.frames_child", carrier, work]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline()), child.pid
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def cpu_of(root: int) -> float:
    """CPU-seconds so far of this process, of another one and of all below that."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], spent[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) * TICK_S
    below, new = {root}, {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - below
        below |= new
    return sum(spent.get(pid, 0.0) for pid in below | {os.getpid()})


Send = Callable[[int, bytes], Awaitable[None]]
Take = Callable[[], Awaitable[tuple[int, float]]]


async def stream(frames: Sequence[bytes], send: Send, take: Take, pid: int) -> Run:
    """Send frames as the window allows and take every result."""
    sent: list[float] = []
    taken: list[float] = []
    own: list[float] = []
    most = 0

    async def one() -> None:
        number, took_s = await take()
        taken.append(time.perf_counter() - sent[number])
        own.append(took_s)

    began, cpu = time.perf_counter(), cpu_of(pid)
    for number, data in enumerate(frames):
        while len(sent) - len(taken) >= WINDOW:
            await one()
        sent.append(time.perf_counter())
        await send(number, data)
        most = max(most, len(sent) - len(taken))
    while len(taken) < len(sent):
        await one()
    wall_s = time.perf_counter() - began
    return Run(len(frames) / wall_s, taken, statistics.median(own), most, cpu_of(pid) - cpu)


async def by_grpc(port: int, pid: int, frames: Sequence[bytes]) -> Run:
    """A stream over gRPC, ours or Serve's."""
    sizes = [("grpc.max_receive_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=sizes) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/Stream",
            request_serializer=pb.ClientMessage.SerializeToString,
            response_deserializer=pb.ServerMessage.FromString,
        )(metadata=(("application", "echo"),))
        await call.write(from_ask(Open(FrameSettings())))
        await call.read()

        async def send(number: int, data: bytes) -> None:
            await call.write(from_ask(Frame(number, number * TICKS, data)))

        async def take() -> tuple[int, float]:
            result = (await call.read()).result
            return result.number, result.seconds["total"]

        run = await stream(frames, send, take, pid)
        await call.done_writing()
        return run


async def by_ws(port: int, pid: int, frames: Sequence[bytes]) -> Run:
    """A stream over WebSocket."""
    async with connect(f"ws://127.0.0.1:{port}/v1/frames", max_size=None, compression=None) as socket:
        await socket.send(json.dumps({"type": "open"}))
        await socket.recv()

        async def send(number: int, data: bytes) -> None:
            await socket.send(HEADER.pack(VERSION, 0, 0, number, number * TICKS) + data)

        async def take() -> tuple[int, float]:
            message = await socket.recv(decode=False)
            _, _, length, number, _ = HEADER.unpack_from(message)
            said: dict[str, Any] = json.loads(message[HEADER.size : HEADER.size + length])
            return number, float(said["seconds"]["total"])

        return await stream(frames, send, take, pid)


def main() -> int:
    """Run all; the exit code says whether a goal was missed."""
    short = options(__doc__).short
    frames = packets(60 if short else 300)
    count, judged = (100 if short else 600), not short
    goals, effects, carriers = list[Goal](), list[list[str]](), list[list[str]]()
    for carrier, talk in (("grpc", by_grpc), ("ws", by_ws)):
        with server(carrier, "effects") as (port, pid):
            asyncio.run(talk(port, pid, frames[:30]))
            run = asyncio.run(talk(port, pid, frames))
        say(f"{carrier}: {run.fps:.0f} frames/s, own {1000 * run.own_s:.1f} ms")
        effects.append([*run.row(carrier), f"{1000 * run.own_s:.2f}"])
        ratio = _p95(run.taken_s) / run.own_s
        goals.append(Goal(f"{carrier}: p95, in a frame's own time", ratio, 2.5, False, judged))
        goals.append(Goal(f"{carrier}: most frames in flight", run.most_in_flight, WINDOW, False, judged))
    spent: dict[tuple[str, int], float] = {}
    for carrier, talk in (("grpc", by_grpc), ("ws", by_ws), ("serve", by_grpc)):
        with server(carrier, "echo") as (port, pid):
            for size in SIZES:
                data = os.urandom(size)
                asyncio.run(talk(port, pid, [data] * 50))
                run = asyncio.run(talk(port, pid, [data] * count))
                spent[carrier, size] = run.cpu_s
                carriers.append(run.row(f"{carrier}, {size / 1000:g} kB"))
                say(" ".join(carriers[-1]))
    for size in SIZES[1:]:
        what = f"CPU of our gRPC server, as a part of Serve's proxy, {size // 1000} kB"
        goals.append(Goal(what, spent["grpc", size] / spent["serve", size], 0.5, False, judged))
    header = ["", "frames a second", "p50, ms", "p95, ms", "CPU, s a 1000 frames"]
    result = Result("frames", __doc__, f"{len(frames)} frames with effects, {count} echoed; window 2", goals)
    result.tables = [
        ("With effects, 1280 × 720, as fast as the window lets", [*header, "own time, ms"], effects),
        ("The carrier alone", header, carriers),
    ]
    return finish(result, short=short)


if __name__ == "__main__":
    sys.exit(main())
