"""A real nginx with the RTMP module, a streamer and a viewer, each a process of its own.

The server runs `deployments/nginx-rtmp.conf` with other ports and folders put in: the shipped file is what is
tested. The streamer sends a clip whose frames carry their number, the viewer tells every frame's number and
the moment in which its packet came, both by the machine's one monotonic clock.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import pytest
from live_clip import RATE, Clip, draw_number, make_clip, read_number

from facefx.video.live_rules import SourceRules

__all__ = [
    "RATE", "RULES", "Clip", "Job", "Pusher", "Reader", "RtmpServer", "SilentPeer", "answers", "draw_number",
    "free_port", "make_clip", "read_number", "wait_until",
]  # fmt: skip

CONF = Path(__file__).resolve().parent.parent / "deployments" / "nginx-rtmp.conf"
RULES = SourceRules(allow_private=True)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0, what: str = "it") -> None:
    """Wait for what no event tells of: another program's port, a file."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {timeout_s} s")
        time.sleep(0.01)


def answers(port: int) -> bool:
    """True where somebody accepts connections."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


class RtmpServer:
    """nginx with the applications `live` and `out`, and HLS from `hls`, on free ports.

    hook: base URL that the publish hooks go to instead of port 8000; None: nobody is asked.
    """

    def __init__(self, folder: Path, hook: str | None = None) -> None:
        if shutil.which("nginx") is None or not Path("/usr/lib/nginx/modules/ngx_rtmp_module.so").exists():
            pytest.skip("nginx with libnginx-mod-rtmp is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.http_port = free_port(), free_port()
        self.hls = folder / "www" / "hls"
        self.hls.mkdir(parents=True)
        self._folder = folder
        self._conf = folder / "nginx.conf"
        self._conf.write_text(self._fitted(CONF.read_text(), hook))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _fitted(self, text: str, hook: str | None) -> str:
        """Put this machine's ports and folders in; each must be there to be put in."""
        changes = {
            "user www-data;": f"daemon off;\nuser {getpass.getuser()};",
            "/run/nginx.pid": str(self._folder / "nginx.pid"),
            "/var/log/nginx": str(self._folder),
            "/var/lib/facefx": str(self._folder / "www"),
            "listen 1935;": f"listen 127.0.0.1:{self.port};",
            "listen 8080;": f"listen 127.0.0.1:{self.http_port};",
            "http {": "http {\n" + "".join(
                f"    {kind}_temp_path {self._folder}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            ),
        }  # fmt: skip
        for old, new in changes.items():
            assert old in text, f"nginx-rtmp.conf no longer says {old!r}"
            text = text.replace(old, new)
        lines = text.splitlines()
        if hook is None:
            lines = [
                line for line in lines if not line.strip().startswith(("on_publish ", "on_publish_done "))
            ]
        return "\n".join(lines).replace("http://127.0.0.1:8000", hook or "") + "\n"

    def url(self, app: str, name: str) -> str:
        """Where a stream is published, and played."""
        return f"rtmp://127.0.0.1:{self.port}/{app}/{name}"

    def hls_url(self, path: str) -> str:
        """Where a file of the HLS folder is served."""
        return f"http://127.0.0.1:{self.http_port}/hls/{path}"

    def start(self) -> None:
        """Start, and come back when it listens."""
        error_log = str(self._folder / "startup.log")
        self._process = subprocess.Popen(
            ["nginx", "-c", str(self._conf), "-p", str(self._folder), "-e", error_log],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: answers(self.port), what="nginx listening")

    def stop(self) -> None:
        """End it at once: every connection breaks."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def restart(self) -> None:
        """Stop and start on the same ports."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Job:
    """A child of this file whose lines of JSON come in as they are written."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-u", __file__, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(CONF.parent.parent)},
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one kind so far."""
        with self._news:
            return [line for line in self.lines if line["kind"] == kind]

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait until something is true of the lines."""
        with self._news:
            if not self._news.wait_for(lambda: condition() or not self._thread.is_alive(), timeout_s):
                raise TimeoutError(f"not so within {timeout_s} s; last lines {self.lines[-3:]}")
        if not condition():
            raise AssertionError(f"the process ended first: {self.error()}; last lines {self.lines[-3:]}")

    def error(self) -> str:
        """What the process said of its failure; waits for its end."""
        assert self._process.stderr is not None
        return self._process.stderr.read().decode()[-800:]

    def end(self) -> None:
        """Kill it, as a cable that is pulled."""
        self._process.kill()
        self._process.wait()
        self._thread.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for it to end by itself."""
        return self._process.wait(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Pusher(Job):
    """Sends a clip at real time, loops of it one after the other; `sent`: number → moment, for each frame."""

    def __init__(self, clip: Path, url: str, loops: int = 1000) -> None:
        super().__init__("push", str(clip), url, str(loops))

    @property
    def sent(self) -> dict[int, float]:
        """The moment in which each frame was handed to the network."""
        return {line["number"]: line["at"] for line in self.of("sent")}


class Reader(Job):
    """Plays a URL and tells of each frame and each packet of sound."""

    def __init__(self, url: str) -> None:
        super().__init__("read", url)

    def wait_frames(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until so many frames have come."""
        self.wait_for(lambda: sum(line["kind"] == "frame" for line in self.lines) >= count, timeout_s)

    @property
    def frames(self) -> list[dict[str, Any]]:
        """number, at (when its packet was read), time_s (its pts)."""
        return self.of("frame")

    @property
    def sound(self) -> list[dict[str, Any]]:
        """at, time_s of each packet of sound."""
        return self.of("sound")


class SilentPeer:
    """Accepts connections and never says a word, nor reads one."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.connections.append(self._server.accept()[0])

    def close(self) -> None:
        """Hang up on everybody."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in self.connections:
            one.close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def tell(kind: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **values}) + "\n")


def _loops(path: str, loops: int) -> Iterator[tuple[Any, Fraction, int]]:
    """Packets with their time on the clock of all loops, and the number of the loop."""
    length = Fraction(0)
    for loop in range(loops):
        start = length
        with av.open(path) as clip:
            streams = [*clip.streams.video, *clip.streams.audio]
            for packet in clip.demux(streams):
                if packet.dts is not None and packet.dts >= 0:  # not the sound before the first frame
                    ticks = packet.duration or 0
                    length = max(length, start + (packet.dts + ticks) * packet.time_base)
                    yield packet, start, loop


def push(path: str, url: str, loops: int) -> None:
    """Copy a clip's packets to an RTMP server at real time."""
    with av.open(path) as clip, av.open(url, "w", format="flv", options={"flush_packets": "1"}) as output:
        targets = {one.index: output.add_stream_from_template(one) for one in clip.streams}
        frames = clip.streams.video[0].frames
        output.start_encoding()
        begin, count = time.monotonic(), 0
        for packet, start, loop in _loops(path, loops):
            due = begin + float(start + packet.dts * packet.time_base)
            time.sleep(max(0.0, due - time.monotonic()))
            video = packet.stream.type == "video"
            shift = round(start / packet.time_base)
            target = targets[packet.stream.index]
            packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, target
            output.mux_one(packet)
            if video:
                tell("sent", number=count, loop=loop, at=time.monotonic(), frames=frames)
                count += 1


def _player(url: str) -> Any:
    """Open a URL as soon as there is something to play."""
    options = {"flags": "low_delay", "analyzeduration": "500000", "fpsprobesize": "0", "rtmp_live": "live"}
    end = time.monotonic() + 15
    while True:
        try:
            return av.open(url, options=options, timeout=(15, 15))
        except (PermissionError, av.error.FFmpegError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def read(url: str) -> None:
    """Play a URL until it ends."""
    with _player(url) as player:
        tell("open")
        video = player.streams.video[0]
        video.thread_type = "NONE"
        for packet in player.demux(*player.streams.video, *player.streams.audio):
            now = time.monotonic()
            if packet.pts is None:
                continue
            moment = float(packet.pts * packet.time_base)
            if packet.stream.type == "audio":
                tell("sound", at=now, time_s=moment)
                continue
            for frame in packet.decode():
                luma = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1)
                number = read_number(luma)
                tell("frame", number=number, at=now, time_s=float(frame.pts * frame.time_base))


if __name__ == "__main__":
    if sys.argv[1] == "push":
        push(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        read(sys.argv[2])
