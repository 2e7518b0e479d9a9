"""A live output's targets: HLS that is whole at each moment, files, and queues that never grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from live_rtmp import RULES, make_clip, read_number, wait_until

from facefx.errors import ConfigError, SinkError, UnsupportedError, UsageError
from facefx.video.hls_playlist import read_playlist
from facefx.video.live_amf import decode, encode
from facefx.video.live_chunks import ChunkReader, Message, Type, write_message
from facefx.video.live_encode import LiveEncode, LiveEncoder
from facefx.video.live_flv import FlvBodies
from facefx.video.live_output import LiveOutput
from facefx.video.live_rules import REMOTE, SourceRules
from facefx.video.live_source import LiveSource
from facefx.video.live_target import Target
from facefx.video.live_values import Arrival, CodedUnit, LiveStream

QUICK = LiveEncode(preset="ultrafast", gop_s=0.5, segment_s=1.0, window=3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 8.0, (320, 180)).path


def played(clip: Path) -> tuple[LiveStream, Iterator[Arrival]]:
    """All of a clip as fast as it decodes."""
    source = LiveSource(str(clip), RULES, paced=False)
    return source.open(), source.items()


def send(output: LiveOutput, arrivals: Iterator[Arrival], shift_s: float = 0.0, until: int = 1 << 30) -> int:
    """Write what comes, at another time; how many frames."""
    count = 0
    for arrival in arrivals:
        if arrival.batch is not None:
            batch = arrival.batch
            ticks = round(shift_s / batch.format.time_base)
            output.write(replace(batch, pts=batch.pts + ticks))
            count += 1
        elif arrival.packet is not None:
            ticks = round(shift_s / arrival.packet.time_base)
            packet = arrival.packet
            output.copy(replace(packet, pts=packet.pts + ticks, dts=packet.dts + ticks))
        if count >= until:
            break
    return count


def check_whole(playlist: Path) -> int:
    """A playlist as it stands names only files that are there and whole, within its own target duration."""
    text = playlist.read_text()
    found = read_playlist(text, "")
    for entry in found.entries:
        assert round(entry.duration_s) <= found.target_s
        assert entry.init is not None
        data = (playlist.parent / entry.url).read_bytes()
        at = 0
        while at < len(data):
            at += int.from_bytes(data[at : at + 4], "big")
        assert at == len(data)
        assert (playlist.parent / entry.init).read_bytes()[4:8] == b"ftyp"
    numbers = [entry.sequence for entry in found.entries]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return len(numbers)


def test_an_hls_playlist_is_whole_whenever_it_is_read_and_old_segments_go(clip: Path, tmp_path: Path) -> None:
    playlist = tmp_path / "hls" / "live.m3u8"
    stream, arrivals = played(clip)
    output = LiveOutput([str(playlist)], stream, QUICK, RULES)
    looks, errors = [0], []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            if playlist.exists():
                try:
                    check_whole(playlist)
                    looks[0] += 1
                except (AssertionError, OSError) as error:
                    errors.append(error)

    watcher = threading.Thread(target=look)
    watcher.start()
    send(output, arrivals)
    output.close()
    done.set()
    watcher.join()
    assert errors == []
    assert looks[0] > 20
    text = playlist.read_text()
    assert text.rstrip().endswith("#EXT-X-ENDLIST")
    assert text.count("#EXT-X-PROGRAM-DATE-TIME:") == 3
    assert "#EXT-X-MEDIA-SEQUENCE:5" in text
    assert len(list(playlist.parent.glob("*.m4s"))) == 3 + 3  # those of the playlist, and three for who lags
    assert not list(playlist.parent.glob(".*"))
    with av.open(str(playlist)) as player:
        assert sum(1 for _ in player.decode(video=0)) == 90


def test_an_hls_stream_goes_on_behind_a_break_where_an_output_is_opened_again(
    clip: Path, tmp_path: Path
) -> None:
    playlist = tmp_path / "live.m3u8"
    stream, arrivals = played(clip)
    first = LiveOutput([str(playlist)], stream, QUICK, RULES)
    send(first, arrivals, until=75)
    wait_until(lambda: playlist.exists() and check_whole(playlist) >= 2, what="two segments")
    before = read_playlist(playlist.read_text(), "").entries
    (tmp_path / "live-000099.m4s").touch()  # left by somebody who was killed
    stream, arrivals = played(clip)
    second = LiveOutput([str(playlist)], stream, replace(QUICK, window=10), RULES)
    send(second, arrivals, until=75)
    second.close()
    after = read_playlist(playlist.read_text(), "").entries
    assert [entry.url for entry in after[: len(before)]] == [entry.url for entry in before]
    assert after[len(before)].broken
    assert after[len(before)].init != before[0].init
    assert [entry.sequence for entry in after] == list(range(len(after)))
    assert not (tmp_path / "live-000099.m4s").exists()
    check_whole(playlist)
    first.close()


def test_a_gap_in_time_is_a_break_and_not_a_long_segment(clip: Path, tmp_path: Path) -> None:
    playlist = tmp_path / "live.m3u8"
    stream, arrivals = played(clip)
    output = LiveOutput([str(playlist)], stream, replace(QUICK, window=10), RULES)
    send(output, arrivals, until=45)
    send(output, arrivals, shift_s=60.0, until=45)
    output.close()
    entries = read_playlist(playlist.read_text(), "").entries
    assert [entry.broken for entry in entries] == [False, False, True, False]
    assert max(entry.duration_s for entry in entries) < 1.1
    with av.open(str(playlist)) as player:
        assert sum(1 for _ in player.decode(video=0)) == 90


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "flv"])
def test_a_file_holds_every_frame_and_the_sound(clip: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"o.{suffix}"
    stream, arrivals = played(clip)
    output = LiveOutput([str(path)], stream, QUICK, RULES)
    assert send(output, arrivals) == 240
    output.close()
    with av.open(str(path)) as file:
        luma = [np.frombuffer(f.planes[0], np.uint8).reshape(180, -1) for f in file.decode(video=0)]  # type: ignore[call-overload]
        assert [read_number(picture) for picture in luma] == list(range(240))
    with av.open(str(path)) as file:
        keys = [
            float(p.pts * p.time_base) for p in file.demux(video=0) if p.is_keyframe and p.pts is not None
        ]
        assert max(np.diff(keys)) < 0.51  # a target that has just opened may have asked for one more
    with av.open(str(path)) as file:
        assert sum(1 for p in file.demux(audio=0) if p.size) > 370


@pytest.mark.parametrize("threads", [1, 2])
def test_a_key_frame_comes_when_it_is_asked_for(clip: Path, threads: int) -> None:
    stream, arrivals = played(clip)
    encoder = LiveEncoder(LiveEncode(preset="ultrafast", gop_s=10, threads=threads), stream.video)
    keys = []
    batches = [arrival.batch for arrival in arrivals if arrival.batch is not None]
    for number, batch in enumerate(batches[:60]):
        if number == 31:
            encoder.force_keyframe()
        (unit,) = encoder.encode(batch, [])  # at once: one in, one out
        assert unit.pts == unit.dts == int(batch.pts[0])
        if unit.keyframe:
            keys.append(number)
    assert keys == [0, 31]


class Faulty:
    """A sink that does as it is told; `sent` is shared by all that a target opens."""

    def __init__(self, sent: list[CodedUnit], stall: threading.Event, fail_at: int | None = None) -> None:
        self._sent, self._stall, self._fail_at = sent, stall, fail_at

    def open(self) -> None:
        pass

    def write(self, unit: CodedUnit) -> None:
        self._stall.wait()
        if self._fail_at is not None and len(self._sent) >= self._fail_at:
            self._fail_at = None
            raise SinkError("it broke")
        self._sent.append(unit)

    def idle(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def close(self) -> None:
        self._stall.set()


def unit(number: int, *, key: bool = False, size: int = 10) -> CodedUnit:
    return CodedUnit("video", bytes(size), number, number, 1, Fraction(1, 30), key)


def test_a_target_that_stalls_keeps_a_bounded_queue_and_resumes_on_a_key_frame() -> None:
    sent: list[CodedUnit] = []
    asked, flowing = threading.Event(), threading.Event()
    target = Target("t", lambda _: Faulty(sent, flowing), asked.set)
    wait_until(lambda: target.state.connected)
    begun = time.monotonic()
    for number in range(1000):
        target.push(unit(number, key=number % 30 == 0, size=1 << 20))
    assert time.monotonic() - begun < 1
    assert asked.is_set()
    assert target.state.dropped > 900
    flowing.set()
    wait_until(lambda: len(sent) == 1000 - target.state.dropped)
    target.push(unit(1001))
    target.push(unit(1002, key=True))
    target.push(unit(1003))
    target.end()
    target.join(time.monotonic() + 5)
    assert [one.pts for one in sent[-2:]] == [1002, 1003]
    assert target.state.written + target.state.dropped == 1003


def test_a_target_that_fails_is_opened_again_and_begins_with_a_key_frame() -> None:
    sent: list[CodedUnit] = []
    flowing = threading.Event()
    flowing.set()
    opened: list[int] = []

    def make(number: int) -> Faulty:
        opened.append(number)
        return Faulty(sent, flowing, fail_at=10 if number == 0 else None)

    target = Target("t", make, lambda: None)
    for number in range(11):
        target.push(unit(number, key=number == 0))
    wait_until(lambda: target.state.opened == 2, what="the second opening")
    assert target.state.last_error == "it broke"
    target.push(unit(20))
    target.push(unit(21, key=True))
    target.push(unit(22))
    target.push(unit(22))  # times that do not go on are not sent
    target.end()
    target.join(time.monotonic() + 5)
    assert [one.pts for one in sent[10:]] == [21, 22]
    assert opened == [0, 1]
    assert target.state.reopened == 1
    assert target.state.dropped >= 2


def test_what_a_target_cannot_hold_is_said_when_it_is_named(clip: Path, tmp_path: Path) -> None:
    stream, _ = played(clip)
    flac = tmp_path / "flac.mkv"
    with av.open(str(flac), "w") as output:
        video = output.add_stream("libx264", rate=30)
        video.width, video.height = 64, 48
        sound = output.add_stream("flac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "stereo")
        frame.sample_rate = 48000
        output.mux([*video.encode(av.VideoFrame(64, 48, "yuv420p")), *video.encode(None)])
        output.mux([*sound.encode(frame), *sound.encode(None)])
    spoken, _ = played(flac)
    with pytest.raises(UnsupportedError, match="RTMP carries AAC and MP3, not flac"):
        LiveOutput(["rtmp://127.0.0.1/out/a"], spoken, QUICK, RULES)
    with pytest.raises(UnsupportedError, match=r"o\.ts: cannot hold sound as flac: MPEG-TS"):
        LiveOutput([str(tmp_path / "o.ts")], spoken, QUICK, RULES)
    with pytest.raises(UnsupportedError, match="HTTP is no target"):
        LiveOutput(["http://127.0.0.1/a.m3u8"], stream, QUICK, RULES)
    with pytest.raises(UsageError, match="files are not allowed"):
        LiveOutput([str(tmp_path / "o.mkv")], stream, QUICK, SourceRules(REMOTE))
    with pytest.raises(UsageError, match="private"):
        LiveOutput(["rtmp://127.0.0.1/out/a"], stream, QUICK, SourceRules(REMOTE))
    with pytest.raises(SinkError, match="does not exist"):
        LiveOutput([str(tmp_path / "no" / "o.mkv")], stream, QUICK, RULES)
    with pytest.raises(UsageError, match="at least one target"):
        LiveOutput([], stream, QUICK, RULES)
    with pytest.raises(ConfigError, match="libx264"):
        LiveEncode(codec="libx265")


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_messages_come_whole_out_of_chunks_however_the_bytes_are_cut(step: int) -> None:
    messages = [
        Message(Type.COMMAND, 0, 0, encode("connect", 1, {"app": "live", "x": True, "y": None})),
        Message(Type.VIDEO, 1, 40, bytes(range(256)) * 300),
        Message(Type.AUDIO, 1, 0xFFFFFF + 5, b"a" * 129),
        Message(Type.AUDIO, 1, 0xFFFFFF, b""),
        Message(Type.VIDEO, 1, 0x1FFFFFFFF, b"v" * 128),
    ]
    data = b"".join(write_message(message, 4 + i % 2, 128) for i, message in enumerate(messages))
    data += write_message(Message(Type.CHUNK_SIZE, 0, 0, (4096).to_bytes(4, "big")), 2, 128)
    data += write_message(messages[1], 6, 4096)
    reader = ChunkReader()
    found = [one for at in range(0, len(data), step) for one in reader.feed(data[at : at + step])]
    expected = [replace(one, time_ms=one.time_ms & 0xFFFFFFFF) for one in messages]
    assert [one for one in found if one.type != Type.CHUNK_SIZE] == [*expected, messages[1]]
    assert decode(found[0].payload)[2] == {"app": "live", "x": True, "y": None}


def test_a_peer_that_does_not_speak_rtmp_is_refused_before_it_fills_memory() -> None:
    with pytest.raises(SinkError, match="too long"):
        list(ChunkReader().feed(b"\x03\0\0\0\xff\xff\xff\x09" + bytes(20)))
    for data in (b"\x02", b"\x02\xff\xffab", b"\x03\0\x01a", b"\x0a", b"\x03" * 40):
        with pytest.raises(SinkError):
            decode(data)


def test_sound_of_a_transport_stream_is_told_and_sent_as_rtmp_wants_it(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.ts", 1.0, (320, 180)).path
    stream, arrivals = played(path)
    encoder = LiveEncoder(QUICK, stream.video)
    bodies = FlvBodies(stream, encoder.extradata)
    packets = [arrival.packet for arrival in arrivals if arrival.packet is not None]
    assert packets[0].data[:2] == b"\xff\xf1"
    header = bodies.sound_header(packets[0])
    assert header is not None
    assert header[:4] == bytes([0xAF, 0, 0x11, 0x90])  # AAC LC, 48 kHz, stereo
    assert bodies.sound(packets[0])[2:] == packets[0].data[7:]
