"""Every stream that is not the picture: copied packet by packet, in step with the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import av.error
from av.stream import Discard

from facefx.errors import UnsupportedError
from facefx.video.codecs import EncodeSettings
from facefx.video.extras import KEPT_DATA
from facefx.video.guard import Limits, foreign_errors, open_source
from facefx.video.holds import cannot_hold
from facefx.video.info import Extra, MediaInfo, StreamInfo
from facefx.video.metadata import choose_stream_tags
from facefx.video.packets import read_packets
from facefx.video.timeline import Timeline

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

__all__ = ["Passthrough", "StreamPlan", "plan_streams"]

# Containers that hold fonts for their subtitles.
_ATTACHING = frozenset({"mkv"})
_OURS: frozenset[str] = frozenset({"audio", "subtitle"})


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """Which streams are copied, and what happens to the others and why."""

    copied: tuple[StreamInfo, ...]
    removed: tuple[Extra, ...]


def plan_streams(info: MediaInfo, settings: EncodeSettings, container: str) -> StreamPlan:
    """Decide the fate of every stream but the main picture.

    Raises UnsupportedError for a second video stream, unless extra_video is "drop".
    """
    fates = {extra.stream: extra for extra in info.extras if extra.stream != info.video.index}
    removed = [extra for extra in info.extras if extra.stream == info.video.index]
    copied = []
    for stream in info.streams:
        if stream.index == info.video.index:
            continue
        fate = fates.get(stream.index)
        if fate is not None and fate.remedy == "refused":
            fate = _second_video(info, fate, settings)
        elif fate is not None and fate.kind == "timecode" and settings.metadata == "strip":
            fate = Extra(fate.stream, fate.kind, "removed", "timecode stripped with the metadata")
        dropped = fate or _unwanted(stream, settings, container)
        if dropped is None:
            copied.append(stream)
        else:
            removed.append(dropped)
    return StreamPlan(tuple(copied), tuple(removed))


def _second_video(info: MediaInfo, fate: Extra, settings: EncodeSettings) -> Extra:
    if settings.extra_video == "refuse":
        raise UnsupportedError(
            f"{info.path}: stream {fate.stream}: {fate.reason} and only one is processed; "
            "extract the one you want, or lose this one with --extra-video drop"
        )
    return Extra(fate.stream, fate.kind, "removed", f"{fate.reason}; dropped as asked")


def _unwanted(stream: StreamInfo, settings: EncodeSettings, container: str) -> Extra | None:
    choice: Literal["keep", "drop"] = "keep"
    if stream.kind in _OURS:
        choice = settings.audio if stream.kind == "audio" else settings.subtitles
    if choice == "drop":
        return Extra(stream.index, stream.kind, "removed", f"{stream.kind} dropped as asked")
    if stream.kind == "attachment" and container not in _ATTACHING:
        return Extra(stream.index, "attachment", "removed", f".{container} holds no attachments")
    if stream.kind == "data" and (stream.codec not in KEPT_DATA or container != "ts"):
        return Extra(stream.index, "data", "removed", f".{container} holds no such stream ({stream.codec})")
    return None


@dataclass(frozen=True, slots=True)
class _Lane:
    """One copied stream. base: of its source. back: ticks that its clock is put back."""

    index: int
    kind: str
    target: Stream
    base: Fraction
    back: int

    def is_after(self, dts: int, time: int, base: Fraction) -> bool:
        """True for a dts of this stream that is later than `time` in ticks of `base`."""
        own = self.base
        return dts * own.numerator * base.denominator > time * base.numerator * own.denominator


class Passthrough:
    """A second look at the source, from which packets are copied into an output as its clock advances."""

    def __init__(
        self, info: MediaInfo, plan: StreamPlan, settings: EncodeSettings, container: str, limits: Limits
    ) -> None:
        self._info, self._plan, self._settings, self._name = info, plan, settings, container
        self.source: InputContainer = open_source(info.path, limits)
        self._targets: dict[int, Stream] = {}
        self._packets: Iterator[Packet[Stream]] | None = None
        self._waiting: tuple[Packet[Stream], _Lane] | None = None
        self._lanes: dict[int, _Lane] = {}
        self._timeline = Timeline()
        self._steps: dict[int, tuple[int, int]] = {}
        self.counts: dict[int, int] = {stream.index: 0 for stream in plan.copied}

    def add_stream(self, output: OutputContainer, stream: StreamInfo) -> list[str]:
        """Make a copied stream's output stream, with language, flags and allowed tags.

        Returns the names of the tags that are left out. Raises UnsupportedError, naming container and
        codec, for sound or subtitles that it cannot hold.
        """
        template = self.source.streams[stream.index]
        target = self._add(output, stream, template)
        target.disposition = template.disposition
        if stream.kind == "attachment":
            return []
        choice = choose_stream_tags(stream.metadata, self._settings.metadata)
        target.metadata.clear()
        target.metadata.update(choice.kept)
        self._targets[stream.index] = target
        return [f"stream {stream.index}: {name}" for name in choice.dropped]

    def _add(self, output: OutputContainer, stream: StreamInfo, template: Stream) -> Stream:
        if stream.kind == "attachment":
            name = stream.metadata.get("filename", f"attachment{stream.index}")
            return output.add_attachment(name, stream.metadata.get("mimetype", ""), template.data)  # type: ignore[attr-defined]
        reason = cannot_hold(self._name, stream, template)
        if reason:
            raise self._refusal(stream, f" ({reason})")
        try:
            return output.add_stream_from_template(template)
        except (ValueError, av.error.FFmpegError) as error:
            raise self._refusal(stream) from error

    def _refusal(self, stream: StreamInfo, reason: str = "") -> UnsupportedError:
        option = "audio" if stream.kind == "audio" else "subtitles"
        return UnsupportedError(
            f"{self._info.path}: stream {stream.index}: .{self._name} cannot hold {stream.kind} of codec "
            f"{stream.codec or 'unknown'}{reason}; write .mkv instead, or leave it out with --{option} drop"
        )

    def start(self, timeline: Timeline) -> None:
        """Begin reading, at the timeline's start."""
        self._timeline = timeline
        wanted = [self.source.streams[index] for index in self._targets]
        self._lanes = {stream.index: self._lane(stream) for stream in wanted}
        for stream in self.source.streams:
            if stream.index not in self._targets:
                stream.discard = Discard.all
        if not wanted:
            self.source.close()  # the index of a long film is megabytes
            return
        with foreign_errors(self._info.path, "reading"):
            if timeline.low is not None:
                # A little early: subtitles and the odd interleaving reach back.
                target = max(Fraction(0), timeline.low - 10)
                self.source.seek(int(target * 1_000_000))
            # What cannot be read here cannot be read beside it either: the picture's decoder counts it.
            self._packets = read_packets(self._info.path, self.source, wanted, lambda: None)

    def _lane(self, stream: Stream) -> _Lane:
        base = stream.time_base
        assert base is not None, "a demuxer gives every stream a clock"
        return _Lane(stream.index, stream.type, self._targets[stream.index], base, self._timeline.ticks(base))

    def copy_until(self, output: OutputContainer, time: int, base: Fraction) -> None:
        """Copy what comes up to `time`, in ticks of `base` on the output's clock."""
        while (following := self._next()) is not None:
            packet, lane = following
            dts = packet.dts
            if dts is not None and lane.is_after(dts, time, base):
                self._waiting = following
                return
            output.mux_one(packet)

    def copy_rest(self, output: OutputContainer) -> None:
        """Copy all that is left."""
        while (following := self._next()) is not None:
            output.mux_one(following[0])

    def close(self) -> None:
        """Let go of the source."""
        self._packets, self._waiting = None, None
        self.source.close()

    def _next(self) -> tuple[Packet[Stream], _Lane] | None:
        """The next wanted packet, on the output's clock and bound to its output stream."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            return waiting
        while self._packets is not None:
            following = next(self._packets, None)
            if following is None:
                self._packets = None
            elif following.size:
                lane = self._lanes[following.stream_index]
                if self._place(following, lane):
                    return following, lane
        return None

    def _place(self, packet: Packet[Stream], lane: _Lane) -> bool:
        """Put a packet onto the output's clock; False for one outside the range."""
        pts, dts, subtitle = packet.pts, packet.dts, lane.kind == "subtitle"
        start = pts if pts is not None else dts
        wants, duration = self._timeline.wants, packet.duration or 0
        if start is not None and not wants(start, duration, lane.base, overlap=subtitle):
            return False
        if pts is not None:
            packet.pts = pts - lane.back
        if dts is not None:
            packet.dts = dts - lane.back
        if subtitle and not self._clip(packet, lane.base):
            return False
        if lane.kind == "audio":
            self._fill_duration(packet)
        packet.stream = lane.target
        self.counts[lane.index] += 1
        return True

    def _clip(self, packet: Packet[Stream], base: Fraction) -> bool:
        """Cut what a subtitle shows outside an excerpt; False if nothing is left of it."""
        line, pts = self._timeline, packet.pts
        if pts is None or (line.low is None and line.high is None):
            return True
        duration = packet.duration or 0
        end = pts + duration
        if pts < 0:
            # From before the first picture: shown from there, it ends when it did.
            if duration and end <= 0:
                return False
            packet.pts = packet.dts = pts = 0
        last = self._info.start + Fraction(self._info.duration_s).limit_denominator(1_000_000)
        film_end = last if line.high is None else min(last, line.high)
        stop = round((film_end - line.shift) / base)
        if duration:
            # Else the file would last as long as its subtitles.
            packet.duration = (min(end, stop) if stop > pts else end) - pts
        return True

    def _fill_duration(self, packet: Packet[Stream]) -> None:
        """Give sound without a duration that of the packet before: MP4 cuts off a last one that has none."""
        index, pts = packet.stream_index, packet.pts
        if pts is None:
            return
        before, step = self._steps.get(index, (pts, 0))
        step = pts - before if pts > before else step
        self._steps[index] = pts, step
        if not packet.duration:
            packet.duration = step
