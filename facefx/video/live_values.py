"""What travels through a live stream beside its frames: its description, arrivals, and coded packets."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from facefx.values import FrameBatch
from facefx.video.info import VideoInfo

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

__all__ = ["Arrival", "AudioTemplate", "CodedUnit", "LiveStream"]


@dataclass(frozen=True, slots=True, eq=False)
class AudioTemplate:
    """The sound of a stream, to be copied. holder: keeps `stream` alive; nothing is written there."""

    codec: str
    sample_rate: int
    channels: int
    extradata: bytes
    time_base: Fraction
    stream: AudioStream
    holder: OutputContainer


@dataclass(frozen=True, slots=True)
class LiveStream:
    """What an open source gives. audio: None where there is no sound. label: the source's name, redacted."""

    video: VideoInfo
    audio: AudioTemplate | None
    label: str


@dataclass(frozen=True, slots=True)
class CodedUnit:
    """One packet: coded bytes with their time in time_base."""

    kind: Literal["video", "audio"]
    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """One thing that came: a decoded frame, or a packet of sound to be copied.

    arrived_s: time.monotonic() when its packet was read, before it was decoded; for a paced source, when
    it was due.
    """

    arrived_s: float
    batch: FrameBatch | None = None
    packet: CodedUnit | None = None
