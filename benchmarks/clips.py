"""Benchmark clips made from a real one packet by packet, so that nothing is encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import av
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

__all__ = ["loop", "take"]

S = TypeVar("S", bound=Stream)


def loop(source: Path, target: Path, times: int) -> int:
    """Repeat a clip, sound included; return the number of frames written."""
    frames = 0
    with av.open(str(target), "w") as out:
        streams: dict[int, Stream] = {}
        for i in range(times):
            with av.open(str(source)) as clip:
                video = clip.streams.video[0]
                period_s = _end_s(video)
                for stream in (video, *clip.streams.audio):
                    streams.setdefault(stream.index, _same(out, stream))
                for packet in clip.demux(video, *clip.streams.audio):
                    index, base = packet.stream.index, packet.time_base
                    if packet.dts is None or packet.pts is None:
                        continue
                    # Sound begins before the picture and ends after it: turns must not overlap.
                    if packet.pts * base >= period_s or (i and packet.pts < 0):
                        continue
                    frames += index == video.index
                    _shift(packet, round(i * period_s / base))
                    packet.stream = streams[index]
                    out.mux(packet)
    return frames


def take(source: Path, target: Path, packets: int) -> int:
    """Keep the first video packets of a clip, without sound; return the number of frames written."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as out:
        video = clip.streams.video[0]
        stream = _same(out, video)
        kept = 0
        for packet in _packets(clip, video):
            if kept == packets:
                break
            packet.stream = stream
            out.mux(packet)
            kept += 1
    return kept


def _packets(clip: av.container.InputContainer, video: VideoStream) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in clip.demux(video) if packet.dts is not None)


def _shift(packet: Packet[Any], by: int) -> None:
    if packet.pts is not None and packet.dts is not None:
        packet.pts += by
        packet.dts += by


def _end_s(video: VideoStream) -> float:
    return float((video.duration or 0) * (video.time_base or 0))


def _same(out: av.container.OutputContainer, stream: S) -> S:
    return out.add_stream_from_template(stream)
