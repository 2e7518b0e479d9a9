"""How many packets each stream has, and from when to when: by the index, or by reading them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush, heappushpop
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error

from facefx.video.guard import Limits, open_source
from facefx.video.packets import read_packets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

__all__ = ["Steps", "StreamScan", "count_packets", "is_shown", "is_variable"]

_VP8_SHOW_FRAME = 0x10  # RFC 6386 §9.1, bit 4 of the frame tag
# Packets that may lie between a picture's place in the file and its place in time: no codec of a video
# file reorders by more than 16 (ITU-T H.264 and H.265, max_dec_frame_buffering), MPEG-TS cuts add a few.
_REORDERED = 64


@dataclass(frozen=True, slots=True)
class StreamScan:
    """Packets not flagged discard; the time they cover, in the stream's time base."""

    packets: int
    start_pts: int | None
    end_pts: int | None
    variable_rate: bool
    from_index: bool


@dataclass(slots=True)
class Steps:
    """The least and the greatest step from time to time; remembers a few times, however many come."""

    least: int | None = None
    greatest: int | None = None
    last: int | None = None
    waiting: list[int] = field(default_factory=list)

    def add(self, time: int) -> None:
        """Take a time that may have been moved ahead of earlier ones."""
        if len(self.waiting) < _REORDERED:
            heappush(self.waiting, time)
        else:
            self.follow(heappushpop(self.waiting, time))

    def follow(self, time: int) -> None:
        """Take the next time in order."""
        if self.last is not None:
            step = time - self.last
            self.least = step if self.least is None else min(self.least, step)
            self.greatest = step if self.greatest is None else max(self.greatest, step)
        self.last = time

    def vary(self) -> bool:
        """Nothing more comes: True where steps differ by more than the rounding of one tick."""
        while self.waiting:
            self.follow(heappop(self.waiting))
        return self.least is not None and self.greatest is not None and self.greatest - self.least > 1


@dataclass(slots=True)
class _Tally:
    """Counts one stream. first_picture: pts of the first frame that decodes, for the main video."""

    first_picture: int | None = None
    packets: int = 0
    first: int | None = None
    end: int | None = None
    key: int | None = None
    steps: Steps = field(default_factory=Steps)

    def add(self, packet: Packet[Stream]) -> None:
        if packet.is_discard:
            return
        pts = packet.pts if packet.pts is not None else packet.dts
        if packet.stream.type == "video" and self._never_shown(packet, pts):
            return
        self.packets += 1
        if pts is None:
            return
        self.first = pts if self.first is None else min(self.first, pts)
        end = pts + (packet.duration or 0)
        self.end = end if self.end is None else max(self.end, end)
        if packet.stream.type == "video":
            self.steps.add(pts)

    def _never_shown(self, packet: Packet[Stream], pts: int | None) -> bool:
        """What comes before the first keyframe of a recording that starts midway, or leads its group."""
        if packet.stream.name == "vp8" and not is_shown(packet):
            return True
        if self.key is None and packet.is_keyframe:
            self.key = pts
        if self.first_picture is None or pts is None or pts >= self.first_picture:
            return False
        return self.key is None or pts < self.key


def is_shown(packet: Packet[Any]) -> bool:
    """False for a VP8 packet that only updates the decoder's references."""
    return bool(memoryview(packet)[0] & _VP8_SHOW_FRAME)


def count_packets(
    path: str | Path, container: InputContainer, limits: Limits, main: int, first_picture: int | None
) -> dict[int, StreamScan]:
    """Count every stream's packets, by stream index.

    An MP4 or AVI lists each packet in its index. Other formats list keyframes at most, so the file is
    read once from end to end, without decoding. container: moved by this, to be closed after it.
    main, first_picture: index of the main video stream and pts of the first frame that it decodes to.
    """
    if _index_is_whole(container, main, first_picture):
        return {stream.index: _from_index(container, stream) for stream in container.streams}
    starts = {stream.index: stream.start_time for stream in container.streams}
    tallies = {stream.index: _Tally() for stream in container.streams}
    tallies[main].first_picture = first_picture
    second = open_source(path, limits)
    try:
        for packet in read_packets(path, second, list(second.streams), lambda: None):
            if not packet.size:
                continue
            tallies.setdefault(packet.stream_index, _Tally()).add(packet)
    finally:
        second.close()
    return {
        index: StreamScan(
            packets=tally.packets,
            # The header's start leaves out what is only there to warm a decoder up (Opus pre-skip).
            start_pts=starts[index] if starts.get(index) is not None else tally.first,
            end_pts=tally.end,
            variable_rate=tally.steps.vary(),
            from_index=False,
        )
        for index, tally in tallies.items()
    }


def is_variable(times: Iterable[int]) -> bool:
    """True where the steps between sorted times differ by more than the rounding of one tick."""
    steps = Steps()
    for time in times:
        steps.follow(time)
    return steps.vary()


def _index_is_whole(container: InputContainer, main: int, first_picture: int | None) -> bool:
    """True where the index lists all packets, and all of them can be shown."""
    wanted = [stream for stream in container.streams if stream.type in ("video", "audio")]
    if any(not stream.frames or len(stream.index_entries) != stream.frames for stream in wanted):
        return False
    stream = next(stream for stream in wanted if stream.index == main)
    return stream.start_time == first_picture and stream.index_entries[0].is_keyframe


def _from_index(container: InputContainer, stream: Stream) -> StreamScan:
    packets, steps = 0, Steps()
    for entry in stream.index_entries:
        if not entry.is_discard:
            packets += 1
            # The index holds decoding times; their steps are the frame durations all the same.
            steps.follow(entry.timestamp)
    start = stream.start_time
    end = None if start is None or stream.duration is None else start + stream.duration
    if stream.type == "video" and steps.last is not None:
        end = _read_end(container, stream, steps.last) or end
    return StreamScan(
        packets=packets,
        start_pts=start,
        end_pts=end,
        variable_rate=stream.type == "video" and steps.vary(),
        from_index=True,
    )


def _read_end(container: InputContainer, stream: Stream, last: int) -> int | None:
    """Read the last group of pictures for its end: a track's own duration is in decoding time."""
    tally = _Tally()
    try:
        container.seek(last, stream=stream)
        for packet in container.demux(stream):
            if packet.size:
                tally.add(packet)
    except av.error.FFmpegError:
        return None
    return tally.end
