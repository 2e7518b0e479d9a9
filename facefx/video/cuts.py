"""Where a video can be cut into parts that are worked on apart: before keyframes, by pts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facefx.errors import ConfigError
from facefx.video.decode import NUMBERED
from facefx.video.guard import Limits, foreign_errors, open_source
from facefx.video.info import MediaInfo
from facefx.video.packets import read_packets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

__all__ = ["choose_cuts", "cut_video"]

# A last part shorter than this share of a segment is not worth its margins.
_LEAST_FRAC = 0.25


def cut_video(
    path: str | Path,
    info: MediaInfo,
    segment_s: float,
    low: int | None = None,
    high: int | None = None,
    *,
    limits: Limits | None = None,
) -> tuple[int, ...]:
    """Choose the pts of the keyframes before which to cut, within low ≤ pts < high.

    segment_s: seconds that a part is to last at most, where there are keyframes enough. An MP4 or AVI lists
    its keyframes; any other file is read once, without decoding. A file that can only be decoded from its
    start is not cut.

    Raises ConfigError, SourceError.
    """
    video = info.video
    if not math.isfinite(segment_s) or segment_s <= 0:
        raise ConfigError(f"segments must last more than 0 seconds, got {segment_s}")
    if (info.container, video.codec) in NUMBERED:
        return ()
    start = video.start_pts if low is None else max(low, video.start_pts)
    end = video.end_pts if high is None else min(high, video.end_pts)
    length = segment_s / video.format.time_base
    container = open_source(path, limits or Limits())
    try:
        with foreign_errors(path, "reading"):
            stream = container.streams[video.index]
            if video.counted_by == "index":
                listed = sorted(entry.timestamp for entry in stream.index_entries if entry.is_keyframe)
                # Listed is when they are decoded, which is earlier by the same time for all of them, mostly.
                late = video.start_pts - listed[0] if listed else 0
                chosen = choose_cuts([time + late for time in listed], start, end, length)
                cuts = _shown(container, stream, [time - late for time in chosen])
            else:
                cuts = choose_cuts(_read(path, container, stream), start, end, length)
    finally:
        container.close()
    return tuple(sorted({cut for cut in cuts if start < cut < end}))


def choose_cuts(keys: Sequence[int], start: int, end: int, length: float) -> list[int]:
    """The last key within `length` of the cut before, or else the next one; none too near the end.

    >>> choose_cuts([0, 40, 90, 100, 170, 200], 0, 205, 100)
    [100]
    >>> choose_cuts([0, 40, 90, 170, 200], 0, 205, 50), choose_cuts([0, 50, 100, 150], 0, 200, 100)
    ([40, 90, 170], [100])
    """
    cuts: list[int] = []
    cut = start
    while end - cut > length:
        place = bisect_right(keys, cut + length)
        within = place > 0 and keys[place - 1] > cut
        if not within and place == len(keys):
            break
        cut = keys[place - 1] if within else keys[place]
        if end - cut < _LEAST_FRAC * length:
            break
        cuts.append(cut)
    return cuts


def _shown(container: InputContainer, stream: Stream, listed: Sequence[int]) -> list[int]:
    """When keyframes are shown: an index lists when they are decoded."""
    found = []
    for time in listed:
        # What is sought is a time of showing, so that this may land at a keyframe before.
        container.seek(time, stream=stream)
        for packet in container.demux(stream):
            if packet.size and packet.is_keyframe and (packet.dts is None or packet.dts >= time):
                found += [] if packet.is_discard else _time(packet)
                break
    return found


def _read(path: str | Path, container: InputContainer, stream: Stream) -> list[int]:
    """When the keyframes of a file without an index are shown."""
    found = []
    for packet in read_packets(path, container, [stream], lambda: None):
        if packet.size and packet.is_keyframe and not packet.is_discard:
            found += _time(packet)
    return sorted(found)


def _time(packet: Packet[Any]) -> list[int]:
    time = packet.pts if packet.pts is not None else packet.dts
    return [] if time is None else [time]
