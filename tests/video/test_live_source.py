"""What a live source makes of what comes: late, damaged, changed, too large, or not at all."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from live_rtmp import RATE, RULES, SilentPeer, draw_number, free_port, make_clip, read_number
from video_makers import make_video

from facefx.errors import SourceError, UnsupportedError, UsageError
from facefx.video.guard import Limits
from facefx.video.live_rules import SourceRules
from facefx.video.live_source import LiveSource


def numbers_of(source: LiveSource) -> list[int]:
    """Read all; the number of each frame."""
    source.open()
    return [read_number(one.batch.view(0)[0]) for one in source.items() if one.batch is not None]


def test_a_file_is_given_at_real_time_and_ends(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 1.0, (320, 180))
    source = LiveSource(str(clip.path), RULES)
    stream = source.open()
    arrivals = list(source.items())
    moments = [one.arrived_s for one in arrivals if one.batch is not None]
    assert len(moments) == RATE
    steps = np.diff(moments)
    assert np.abs(steps - 1 / RATE).max() < 0.002  # when each was due, not when we had time
    assert stream.audio is not None
    sound = [one.packet for one in arrivals if one.packet is not None]
    assert sum(one.duration for one in sound) / stream.audio.sample_rate == pytest.approx(1.0, abs=0.1)


def test_a_file_need_not_be_paced(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 3.0, (320, 180))
    begun = time.monotonic()
    assert numbers_of(LiveSource(str(clip.path), RULES, paced=False)) == list(range(90))
    assert time.monotonic() - begun < 2.5


def test_pictures_that_were_reordered_come_in_order_and_all(tmp_path: Path) -> None:
    """Decoding for low delay must not lose what a streamer with B-frames sends."""
    path = tmp_path / "b.flv"
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=RATE, options={"preset": "medium", "bf": "3", "g": "30"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for number in range(60):
            frame = av.VideoFrame(320, 180, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([90]) * plane.buffer_size)
            luma = np.frombuffer(frame.planes[0], np.uint8).reshape(180, -1)  # type: ignore[call-overload]
            draw_number(luma, number)
            frame.pts = number
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    assert numbers_of(LiveSource(str(path), RULES, paced=False)) == list(range(60))


def test_damaged_packets_cost_frames_and_not_the_stream(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", 3.0, (320, 180))
    data = bytearray(clip.path.read_bytes())
    rng = np.random.default_rng(3)
    for at in rng.integers(len(data) // 3, len(data) * 2 // 3, 40):
        data[at] ^= 0xFF
    clip.path.write_bytes(data)
    source = LiveSource(str(clip.path), RULES, paced=False)
    got = numbers_of(source)
    assert got[:20] == list(range(20))
    assert got[-20:] == list(range(70, 90))
    damage = source.damage
    assert damage is not None
    assert damage.corrupt_packets + damage.corrupt_frames > 0
    assert damage.decoded == len(got)


def test_a_clock_that_begins_anew_is_said_and_not_taken_for_late_frames(tmp_path: Path) -> None:
    once = make_clip(tmp_path / "a.ts", 2.0, (320, 180)).path
    once.write_bytes(2 * once.read_bytes())
    source = LiveSource(str(once), RULES, paced=False)
    source.open()
    with pytest.raises(SourceError, match="clock goes back by"):
        list(source.items())


def test_a_picture_that_changes_its_size_is_said_by_name(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "a.ts", 1.0, (320, 180)).path.read_bytes()
    large = make_clip(tmp_path / "b.ts", 1.0, (640, 360)).path.read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(small + large)
    source = LiveSource(str(both), RULES, paced=False)
    source.open()
    with pytest.raises(SourceError, match="changes from 320x180 yuv420p to 640x360 yuv420p; open it again"):
        list(source.items())


@pytest.mark.parametrize("first", [(64, 48), (640, 360)])
def test_a_picture_above_the_limit_is_never_decoded(tmp_path: Path, first: tuple[int, int]) -> None:
    """At the start, and where the stream grows later."""
    parts = [make_video(tmp_path / f"{w}.ts", size=(w, h), count=320) for w, h in (first, (640, 360))]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = LiveSource(str(both), RULES, paced=False, limits=Limits(max_pixels=64 * 48))
    sizes: set[int] = set()

    def read() -> None:
        source.open()
        sizes.update(one.batch.format.width for one in source.items() if one.batch is not None)

    with pytest.raises((SourceError, UnsupportedError), match=r"limit 3072|cannot be decoded|changes"):
        read()
    assert sizes <= {64}


def test_opening_ends_in_time_and_says_why() -> None:
    with pytest.raises(SourceError, match=r"live/\*\*\*: cannot connect: Connection refused"):
        LiveSource(f"rtmp://127.0.0.1:{free_port()}/live/key", RULES).open()
    with SilentPeer() as peer:
        begun = time.monotonic()
        with pytest.raises(SourceError, match="nothing came in time"):
            LiveSource(f"rtmp://127.0.0.1:{peer.port}/live/key", RULES, open_timeout_s=0.5).open()
        assert time.monotonic() - begun < 2
        with pytest.raises(SourceError, match=r"no answer in time|nothing came"):
            LiveSource(f"http://127.0.0.1:{peer.port}/a.m3u8", RULES, open_timeout_s=0.5).open()


@pytest.mark.parametrize("kind", ["rtmp", "hls", "listen", "file"])
def test_closing_from_another_thread_ends_the_wait(kind: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 20.0, (64, 48), sound=False) if kind == "file" else None
    with SilentPeer() as peer:
        url = {
            "rtmp": f"rtmp://127.0.0.1:{peer.port}/live/key",
            "hls": f"http://127.0.0.1:{peer.port}/a.m3u8",
            "listen": f"rtmp://127.0.0.1:{free_port()}/live/key",
            "file": str(clip.path) if clip else "",
        }[kind]
        source = LiveSource(url, RULES, listen=kind == "listen", open_timeout_s=30, read_timeout_s=30)
        threading.Timer(0.3, source.close).start()
        begun = time.monotonic()
        if kind == "file":
            source.open()
            assert 0 < len(list(source.items())) < 600
        else:
            with pytest.raises(SourceError):
                source.open()
        assert time.monotonic() - begun < 3


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """FFmpeg by itself takes any certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    asked = (
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        ["openssl", *asked.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with suppress(OSError):
                context.wrap_socket(server.accept()[0], server_side=True).close()

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"rtmps://localhost:{server.getsockname()[1]}/live/key"
        with pytest.raises(SourceError, match=r"live/\*\*\*: TLS failed: self-signed certificate"):
            LiveSource(url, RULES).open()
        thread.join(5)


def test_what_cannot_be_a_source_is_refused_when_it_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"only HLS .* \.m3u8"):
        LiveSource("http://127.0.0.1/clip.mp4", RULES)
    with pytest.raises(UsageError, match="can listen only for rtmp"):
        LiveSource("rtmps://127.0.0.1/live/a", RULES, listen=True)
    with pytest.raises(UsageError, match="not on the list"):
        LiveSource("rtmp://other/live/a", SourceRules(hosts=("*.example.org",)))
    with pytest.raises(UnsupportedError, match="SRT"):
        LiveSource("srt://127.0.0.1:9000", RULES)


def test_sound_alone_is_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        tone = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        output.mux([*tone.encode(frame), *tone.encode(None)])
    with pytest.raises(SourceError, match="holds no video, only audio"):
        LiveSource(str(path), RULES).open()
