"""Excerpts: which pictures belong to one, and subtitles that reach over its edges."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from video_makers import STEP, data_packet, make_video, transcode

from facefx.video.fidelity import Contract, verify
from facefx.video.probe import probe
from facefx.video.source import window_of

MS = Fraction(1, 1000)


def _with_subtitles(path: Path, *lines: tuple[bytes, int, int]) -> Path:
    """A clip of 0.48 s with (text, start, duration), in milliseconds."""
    mp4, packets = path.suffix == ".mp4", list[Any]()

    def before(output: Any, video: Any) -> None:
        stream = output.add_mux_stream("mov_text" if mp4 else "subrip")
        stream.time_base = MS
        for text, start, duration in lines:
            data = len(text).to_bytes(2, "big") + text if mp4 else text
            packets.append(data_packet(stream, data, start, MS, duration))

    def during(output: Any, video: Any, number: int) -> None:
        for packet in packets if number == 0 else ():
            output.mux(packet)

    return make_video(path, before=before, during=during)


def _shown(path: Path) -> list[tuple[bytes, int, int]]:
    """(text, start, end) of every subtitle, in milliseconds."""
    with av.open(str(path)) as container:
        found = []
        for packet in container.demux(subtitles=0):
            text = bytes(packet).removeprefix(len(bytes(packet)[2:]).to_bytes(2, "big"))
            if text and packet.pts is not None:
                found.append((text, packet.pts, packet.pts + (packet.duration or 0)))
        return found


def _broken(source: Path, output: Path, from_s: float | None, to_s: float | None) -> list[str]:
    return [c.name for c in verify(source, output, Contract(from_s=from_s, to_s=to_s)).clauses if not c.ok]


@pytest.mark.parametrize(("from_s", "frame"), [(0.4, 10), (0.2, 5), (1 / 3, 9), (2 / 3, 17), (0.36, 9)])
def test_picture_at_exactly_the_start_is_not_lost(from_s: float, frame: int, tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.mp4", count=20))
    low, _ = window_of(info, from_s, None)
    assert low is not None
    assert -(-low // STEP) == frame


def test_two_thirds_is_two_thirds(tmp_path: Path) -> None:
    third = make_video(tmp_path / "a.mp4", count=3, base=Fraction(1, 15360), step=5120, rate=3)
    assert window_of(probe(third), 2 / 3, None)[0] == 10240


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_subtitle_that_ends_before_the_first_picture_does_not_break_the_file(
    suffix: str, tmp_path: Path
) -> None:
    # Asked for 0.33 s, where a subtitle is still on the screen; the first picture is at 0.36 s.
    source = _with_subtitles(
        tmp_path / f"in.{suffix}", (b"one", 0, 340), (b"two", 345, 5), (b"three", 380, 60)
    )
    transcode(source, tmp_path / f"out.{suffix}", from_s=0.33)
    assert _shown(tmp_path / f"out.{suffix}") == [(b"three", 20, 80)]
    assert _broken(source, tmp_path / f"out.{suffix}", 0.33, None) == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("from_s", "to_s", "shown"),
    [(None, 0.2, [(b"one", 0, 80), (b"two", 100, 200)]),
     (0.12, 0.2, [(b"two", 0, 80)]),
     (0.12, None, [(b"two", 0, 360)]),
     (0.12, 9.0, [(b"two", 0, 360)])],
)  # fmt: skip
def test_subtitle_does_not_outlast_the_excerpt(
    from_s: float | None, to_s: float | None, shown: list[tuple[bytes, int, int]], suffix: str, tmp_path: Path
) -> None:
    source = _with_subtitles(tmp_path / f"in.{suffix}", (b"one", 0, 80), (b"two", 100, 2000))
    target = tmp_path / f"out.{suffix}"
    transcode(source, target, from_s=from_s, to_s=to_s)
    found = _shown(target)
    assert [text for text, _, _ in found] == [text for text, _, _ in shown]
    for (_, start, end), (_, wanted, until) in zip(found, shown, strict=True):
        assert abs(start - wanted) <= 1
        assert abs(end - until) <= 1
    assert "duration" not in _broken(source, target, from_s, to_s)


def test_whole_file_keeps_a_subtitle_that_outlasts_the_film(tmp_path: Path) -> None:
    source = _with_subtitles(tmp_path / "in.mkv", (b"one", 100, 2000))
    transcode(source, tmp_path / "out.mkv")
    assert _shown(tmp_path / "out.mkv") == [(b"one", 100, 2100)]
