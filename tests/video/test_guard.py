"""What is opened, what is not, and what the refusal says."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from video_makers import data_packet, make_video

from facefx.errors import ConfigError, DamagedError, SourceError, UnsupportedError
from facefx.video.guard import Limits, open_source
from facefx.video.probe import probe
from facefx.video.source import VideoSource


def _text(content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "clip.mp4"
        path.write_text(content)
        return path

    return make


def _concat_beside_a_video(folder: Path) -> Path:
    make_video(folder / "other.mp4", count=2)
    return _text("ffconcat version 1.0\nfile other.mp4\n")(folder)


def _playlist_beside_a_video(folder: Path) -> Path:
    make_video(folder / "other.ts", count=2)
    return _text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")(folder)


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "nowhere.mp4", "does not exist"),
    "directory": (lambda folder: folder, "is a folder"),
    "pipe": (_fifo, "got a device, pipe or socket"),
    "empty": (_empty, r"is empty \(0 bytes\)"),
    "text": (_text("hello, I am a video\n"), "got text"),
    "ffconcat": (_concat_beside_a_video, "an ffconcat list, which names other files"),
    "playlist": (_playlist_beside_a_video, "an HLS playlist, which names other files"),
    "sdp": (_text("v=0\nm=video 5004 RTP/AVP 96\n"), "an SDP file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_path_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    make, words = BAD[case]
    path = make(tmp_path)
    with pytest.raises(SourceError, match=words) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("garbage.mp4", "bytes of no known kind"),
        ("text_named.mp4", "got text"),
        ("zero_byte.mp4", "0 bytes"),
        ("truncated_no_moov.mp4", "index \\(moov\\) is missing"),
    ],
)
def test_broken_media_is_refused_in_one_line(media: Path, name: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        probe(media / "formats" / name)


def test_sound_alone_is_no_video(media: Path) -> None:
    with pytest.raises(SourceError, match=r"audio_only\.mp4: holds no video, only audio"):
        probe(media / "formats" / "audio_only.mp4")


def test_unreadable_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mp4", count=1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="permission to read is missing"):
        open_source(path)


@pytest.mark.parametrize(
    "prefix", ["concat:{0}|{0}", "subfile,,start,0,end,99,,:{0}", "data:video/mp4;base64,AAAA"]
)
def test_protocol_in_a_name_is_only_a_name(prefix: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", count=2)
    with pytest.raises(SourceError, match="does not exist"):
        open_source(prefix.format(path))


def test_url_is_sent_to_staging() -> None:
    with pytest.raises(SourceError, match="a URL must be staged"):
        open_source("s3://bucket/a.mp4")


def test_colon_in_a_name_opens(tmp_path: Path) -> None:
    path = make_video(tmp_path / "12:30:00.mp4", count=2)
    assert probe(path).video.frames_expected == 2


def test_picture_above_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", count=2)
    with pytest.raises(UnsupportedError, match="64x48 = 3072 pixels, limit 3000"):
        open_source(path, Limits(max_pixels=3000))


def _vp8(width: int, height: int) -> bytes:
    """A VP8 keyframe that is nothing but its header (RFC 6386 §9.1)."""
    return (
        struct.pack("<I", 0x10 | 50 << 5)[:3]
        + b"\x9d\x01\x2a"
        + struct.pack("<HH", width, height)
        + b"\0" * 60
    )


def _bomb(path: Path, before: int, side: int = 16000) -> Path:
    """A VP8 video whose picture number `before` claims to be much larger than the others."""
    small = make_video(path.with_suffix(".webm"), codec="libvpx", count=before + 2)
    with av.open(str(small)) as source, av.open(str(path), "w") as output:
        stream = output.add_mux_stream("vp8", rate=25, width=64, height=48)
        stream.time_base = Fraction(1, 1000)
        packets = [bytes(packet) for packet in source.demux() if packet.size]
        packets[before] = _vp8(side, side)
        for number, data in enumerate(packets):
            output.mux(data_packet(stream, data, number * 40, Fraction(1, 1000)))
    return path


_MEASURE = """
import resource, sys
from facefx.errors import FacefxError
from facefx.video.source import VideoSource
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with VideoSource(sys.argv[1]) as source:
        for batch in source.batches(): pass
    print("decoded")
except FacefxError as error:
    print(type(error).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("before", "error"), [(0, "SourceError"), (8, "DamagedError")], ids=["first", "midway"]
)
def test_pixel_bomb_takes_no_memory(before: int, error: str, tmp_path: Path) -> None:
    path = _bomb(tmp_path / "bomb.mkv", before)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    name, grown_mb = done.stdout.split()
    assert name == error, done.stdout + done.stderr
    assert int(grown_mb) < 150  # one such picture is 384 MB


def test_decoder_has_a_limit_of_its_own(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "bomb.mkv", before=8, side=2000)
    small = Limits(max_pixels=64 * 48)
    with pytest.raises(DamagedError, match="8 of 10 frames"), VideoSource(path, limits=small) as source:
        list(source.batches())
    with pytest.raises(UnsupportedError, match="got 2000x2000"), VideoSource(path) as source:
        list(source.batches())


@pytest.mark.parametrize("name", ["max_pixels", "open_timeout_s", "read_timeout_s", "max_streams"])
def test_limit_of_nothing_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: 0})
