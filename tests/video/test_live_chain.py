"""A streamer, nginx, facefx without effects, nginx, a viewer: every frame arrives."""

from __future__ import annotations

import statistics
import threading
from pathlib import Path

import numpy as np
from live_chain import QUICK, Chain, chain
from live_rtmp import (
    RATE,
    RULES,
    Clip,
    Pusher,
    Reader,
    RtmpServer,
    answers,
    free_port,
    read_number,
    wait_until,
)

from facefx.values import FrameBatch, Patch
from facefx.video.live_source import LiveSource

pytest_plugins = ("rtmp_plugin",)


def test_no_frame_is_lost_on_the_way_and_sound_stays_in_time(server: RtmpServer, clip: Clip) -> None:
    with (
        Pusher(clip.path, server.url("live", "a")) as pusher,
        Reader(server.url("live", "a")) as before,
        Reader(server.url("out", "a")) as after,
        chain(server, [server.url("out", "a")]) as middle,
    ):
        after.wait_frames(100)
        numbers = [frame["number"] for frame in after.frames]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        # The clock of picture and sound is the source's own, so what was together stays together.
        known = {frame["number"]: frame["time_s"] for frame in before.frames}
        assert all(
            abs(known[f["number"]] - f["time_s"]) < 0.002 for f in after.frames if f["number"] in known
        )
        heard = {round(packet["time_s"], 2) for packet in before.sound}
        late = [p for p in after.sound if round(p["time_s"], 2) not in heard and p["time_s"] < max(heard)]
        assert len(late) <= 3  # from before the other viewer came
        steps = [
            round(b["time_s"] - a["time_s"], 3) for a, b in zip(after.sound, after.sound[1:], strict=False)
        ]
        assert max(steps) < 0.03
        assert middle.output.targets_state[0].connected
        _tell_latency(pusher, before, after)


def _tell_latency(pusher: Pusher, before: Reader, after: Reader) -> None:
    """Print what the way through us adds, and hold it against a bound with room for a busy machine."""
    sent = pusher.sent
    parts = []
    for name, reader in (("without", before), ("with", after)):
        delays = sorted(
            1000 * (f["at"] - sent[f["number"]]) for f in reader.frames[30:] if f["number"] in sent
        )
        parts.append((name, statistics.median(delays), delays[int(0.95 * len(delays))]))
    added = parts[1][1] - parts[0][1]
    print("\n" + ", ".join(f"{name} us p50 {p50:.1f} ms p95 {p95:.1f} ms" for name, p50, p95 in parts))
    assert added < 60


def test_patches_are_on_what_is_sent_and_leave_later_frames_whole(server: RtmpServer, clip: Clip) -> None:
    """The decoder predicts from its own pictures: a patch pasted into one would smear over the next."""

    def cover(batch: FrameBatch) -> list[Patch]:
        if int(batch.index[0]) % 2:
            return []
        whole = Patch.cut(batch.format, 0, batch.view(0), (0, 0, 320, 180))
        assert whole is not None
        for plane in whole.planes:
            plane[:] = 128
        return [whole]

    with (
        Pusher(clip.path, server.url("live", "a")),
        Reader(server.url("out", "a")) as after,
        chain(server, [server.url("out", "a")], between=cover),
    ):
        after.wait_frames(60)
    numbers = np.array([frame["number"] for frame in after.frames[:60]])
    covered = numbers == (1 << 16) - 1  # every block brighter than the middle
    assert covered.sum() in (29, 30, 31)
    rest = numbers[~covered]
    assert (np.diff(rest) == 2).all()


def test_hls_is_served_and_played_while_it_grows(server: RtmpServer, clip: Clip) -> None:
    folder = server.hls / "a"
    with (
        Pusher(clip.path, server.url("live", "a")),
        chain(server, [str(folder / "live.m3u8")]),
    ):
        wait_until(lambda: (folder / "live.m3u8").exists(), what="a playlist")
        viewer = LiveSource(server.hls_url("a/live.m3u8"), RULES)
        stream = viewer.open()
        numbers, moments = [], []
        for arrival in viewer.items():
            if arrival.batch is not None:
                numbers.append(read_number(arrival.batch.view(0)[0]))
                moments.append(arrival.arrived_s)
            if len(numbers) == 2 * RATE:
                break
        viewer.close()
    assert stream.audio is not None
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert moments[-1] - moments[0] > 1.5  # at real time, not in bursts of a segment


def test_listening_takes_the_publisher_with_the_key_and_nobody_else(clip: Clip, tmp_path: Path) -> None:
    port = free_port()
    source = LiveSource(f"rtmp://127.0.0.1:{port}/live/right", RULES, listen=True, open_timeout_s=15)
    result: list[Chain] = []
    thread = threading.Thread(target=lambda: result.append(Chain(source, [str(tmp_path / "o.mkv")], QUICK)))
    thread.start()
    wait_until(lambda: answers(port), what="listening")
    with Pusher(clip.path, f"rtmp://127.0.0.1:{port}/live/wrong") as wrong:
        assert wrong.wait(10) != 0
    assert not result
    with Pusher(clip.path, f"rtmp://127.0.0.1:{port}/live/right"):
        thread.join(15)
        with result[0] as middle:
            wait_until(lambda: len(middle.frames) > 30, what="frames")
    numbers = [number for number, _ in middle.frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
