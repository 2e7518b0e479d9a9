"""The peers of a live stream, as the tests have them: a real nginx-rtmp, a streamer, viewers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import av
import numpy as np

from benchmarks.lib import ROOT

# One harness, which the tests own: it runs the shipped configuration of nginx.
sys.path.insert(0, str(ROOT / "tests"))

from live_rtmp import Pusher, Reader, RtmpServer, draw_number, read_number

__all__ = ["Pusher", "Reader", "RtmpServer", "numbered", "read_number", "unwrapped"]

RATE = 30


def numbered(source: str, target: str) -> int:
    """Write a clip as a streamer sends it, its frames numbered in the corner; return how many there are."""
    number = 0
    with av.open(source) as clip, av.open(target, "w") as output:
        picture, sounds = clip.streams.video[0], clip.streams.audio[:1]
        how = {"preset": "veryfast", "tune": "zerolatency", "g": str(RATE), "sc_threshold": "0", "crf": "20"}
        video = output.add_stream("libx264", rate=RATE, options=how)
        video.width, video.height, video.pix_fmt = picture.width, picture.height, "yuv420p"
        tones = {sound.index: output.add_stream_from_template(sound) for sound in sounds}
        for packet in clip.demux(picture, *sounds):
            if packet.stream.index in tones:
                if packet.dts is not None:
                    packet.stream = tones[packet.stream.index]
                    output.mux(packet)
                continue
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                frame.make_writable()
                luma = np.frombuffer(frame.planes[0], np.uint8)  # type: ignore[call-overload]
                draw_number(luma.reshape(-1, frame.planes[0].line_size), number)
                frame.pict_type = 0
                output.mux(video.encode(frame))
                number += 1
        output.mux(video.encode(None))
    return number


def unwrapped(frames: Sequence[dict[str, Any]], length: int) -> dict[int, float]:
    """Number → moment, where a clip of so many frames starts again and again.

    Streams lose frames and never turn back: a number that is much smaller is of the next turn.

    >>> unwrapped([{"number": n, "at": float(i)} for i, n in enumerate((598, 599, 1))], 600)
    {598: 0.0, 599: 1.0, 601: 2.0}
    """
    turn, last, moments = 0, None, {}
    for frame in frames:
        if last is not None and frame["number"] < last - length // 2:
            turn += 1
        last = frame["number"]
        moments[turn * length + last] = frame["at"]
    return moments
