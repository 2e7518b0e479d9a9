"""A streamer, nginx, facefx without effects, nginx, a viewer: what breaks costs what it must and no more."""

from __future__ import annotations

import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import av
from live_chain import chain, opened
from live_rtmp import (
    RULES,
    Clip,
    Pusher,
    Reader,
    RtmpServer,
    SilentPeer,
    wait_until,
)

from facefx.errors import SourceError
from facefx.video.live_source import LiveSource

pytest_plugins = ("rtmp_plugin",)


def test_a_publisher_that_leaves_is_told_of_at_once_and_its_return_is_taken(
    server: RtmpServer, clip: Clip, tmp_path: Path
) -> None:
    for turn in range(2):
        with Pusher(clip.path, server.url("live", "a")) as pusher:
            middle = chain(server, [server.url("out", "a"), str(tmp_path / f"{turn}.mkv")])
            wait_until(lambda: len(middle.frames) > 20, what="frames")  # noqa: B023 - waited for here
            pusher.end()
            gone = time.monotonic()
            middle.join()
            assert time.monotonic() - gone < 2.5
            assert isinstance(middle.error, SourceError)
            assert "publisher has gone" in str(middle.error)
            assert "live/***" in str(middle.error)
        with av.open(str(tmp_path / f"{turn}.mkv")) as file:
            assert sum(1 for _ in file.decode(video=0)) == len(middle.frames)


def test_a_silent_server_stops_neither_the_other_targets_nor_any_thread(
    server: RtmpServer, clip: Clip, tmp_path: Path
) -> None:
    beats: list[float] = []
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.01):
            beats.append(time.monotonic())

    heart = threading.Thread(target=beat)
    heart.start()
    file = tmp_path / "o.mkv"
    with Pusher(clip.path, server.url("live", "a")), SilentPeer() as peer:
        targets = [f"rtmp://127.0.0.1:{peer.port}/a/key", str(file)]
        with chain(server, targets) as middle:
            wait_until(lambda: len(middle.frames) > 120, what="frames")
            silent, good = middle.output.targets_state
            assert not silent.connected
            assert silent.dropped > 100
            assert good.dropped == 0
            wait_until(lambda: middle.output.targets_state[0].last_error, what="an error")
            error = middle.output.targets_state[0].last_error
            assert error is not None
            assert "takes nothing in time" in error
            assert "key" not in error
            begun = time.monotonic()
        assert time.monotonic() - begun < 8  # closing is bounded too
        assert max(middle.took_s) < 0.3
    stop.set()
    heart.join()
    assert max(b - a for a, b in itertools.pairwise(beats)) < 0.5
    with av.open(str(file)) as written:
        assert sum(1 for _ in written.decode(video=0)) == len(middle.frames)


def test_a_server_that_restarts_gets_the_stream_again_from_a_key_frame(
    server: RtmpServer, clip: Clip, tmp_path: Path
) -> None:
    file = tmp_path / "o.mkv"
    with (
        RtmpServer(tmp_path / "other") as far,
        Pusher(clip.path, server.url("live", "a")),
        chain(server, [far.url("out", "a"), str(file)]) as middle,
    ):
        wait_until(lambda: middle.output.targets_state[0].written > 60, what="sending")
        far.restart()
        back = time.monotonic()
        with Reader(far.url("out", "a")) as again:
            again.wait_frames(60)
            first = again.frames[0]["at"]
            numbers = [frame["number"] for frame in again.frames]
        state = middle.output.targets_state[0]
        assert first - back < 3.0  # a second of waiting, a group of pictures, a busy machine
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert state.reopened >= 1
        assert state.dropped > 0
        assert middle.output.targets_state[1].dropped == 0
    with av.open(str(file)) as written:
        assert sum(1 for _ in written.decode(video=0)) == len(middle.frames)


def test_a_second_publisher_of_a_name_is_told_that_it_is_in_use(server: RtmpServer, clip: Clip) -> None:
    with Pusher(clip.path, server.url("live", "a")), Pusher(clip.path, server.url("out", "a")) as first:
        first.wait_for(lambda: len(first.lines) > 40)
        with chain(server, [server.url("out", "a")]) as middle:
            wait_until(lambda: middle.output.targets_state[0].last_error, what="a refusal")
            error = middle.output.targets_state[0].last_error
            assert error is not None
            assert "refuses the stream" in error or "hung up" in error


class Hook:
    """Answers nginx's questions: the key "good" becomes the stream "cam", any other is turned away."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                hook.asked.append((self.path, form["name"][0]))
                good = form["name"][0] in ("good", "cam")
                self.send_response(302 if good else 403)
                self.send_header("Location", "cam")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def test_nginx_asks_for_every_key_hides_it_behind_a_name_and_tells_of_the_end(
    clip: Clip, tmp_path: Path
) -> None:
    hook = Hook()
    with RtmpServer(tmp_path / "nginx", hook.url) as server:
        with Pusher(clip.path, server.url("live", "bad")) as bad:
            assert bad.wait(10) != 0
        with Pusher(clip.path, server.url("live", "good")):
            source = opened(lambda: LiveSource(server.url("live", "cam"), RULES))
            assert source.open().video.format.width == 320
            source.close()
        wait_until(lambda: any(path == "/v1/rtmp/done" for path, _ in hook.asked), what="the end told of")
    hook.close()
    assert ("/v1/rtmp/publish", "bad") in hook.asked
    assert ("/v1/rtmp/publish", "good") in hook.asked
    logs = "".join(log.read_text() for log in (tmp_path / "nginx").glob("*.log"))
    assert "good" not in logs
