"""A live stream's output: encoded once, sent to every target, each of which fails and returns by itself."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path

import av
import av.error

from facefx.errors import SinkError, SourceError, UnsupportedError, UsageError
from facefx.values import FrameBatch, Patch
from facefx.video.codecs import container_of
from facefx.video.hls_writer import HlsSink
from facefx.video.holds import cannot_hold
from facefx.video.info import StreamInfo
from facefx.video.live_encode import LiveEncode, LiveEncoder
from facefx.video.live_flv import sound_objection
from facefx.video.live_rules import Place, SourceRules, check_target, place_of, redact_url
from facefx.video.live_sinks import FileSink, RtmpSink, add_streams
from facefx.video.live_target import Sink, Target, TargetState
from facefx.video.live_values import AudioTemplate, CodedUnit, LiveStream

__all__ = ["LiveEncode", "LiveOutput", "TargetState"]

_CLOSE_S = 3.0
_DISK_S = 30.0  # a disk may think longer than a viewer waits, and what it gets late is as good


class LiveOutput:
    """Encode frames once, and send them and packets of sound to every target.

    targets: rtmp(s)://HOST/APP/NAME, a path that ends in .m3u8 (HLS), or .mkv, .mp4, .ts, .flv (a file).
    write and copy never wait for a target. force_keyframe and targets_state: from any thread; the rest
    from one thread at a time.

    Raises UsageError for a target that the rules forbid, UnsupportedError for what one of them cannot hold,
    when made.
    """

    def __init__(
        self,
        targets: Sequence[str],
        stream: LiveStream,
        settings: LiveEncode | None = None,
        rules: SourceRules | None = None,
    ) -> None:
        self._settings, self._rules = settings or LiveEncode(), rules or SourceRules()
        if not targets:
            raise UsageError("a live output needs at least one target")
        places = [self._place(url) for url in targets]
        self._stream = stream
        self._encoder = LiveEncoder(self._settings, stream.video)
        for place, url in zip(places, targets, strict=True):
            self._check(place, redact_url(url))
        self._closed = False
        self._targets = [
            self._target(place, redact_url(url)) for place, url in zip(places, targets, strict=True)
        ]

    @property
    def targets_state(self) -> tuple[TargetState, ...]:
        """How each target fares, in the order in which they were given."""
        return tuple(target.state for target in self._targets)

    def write(self, batch: FrameBatch, patches: Sequence[Patch] = ()) -> None:
        """Encode a batch's frames with its patches pasted in; changes its native frames, see Feed.write.

        Raises SinkError where the encoder fails; a target that fails is only counted.
        """
        if self._closed:
            raise SinkError("the live output is closed already")
        for unit in self._encoder.encode(batch, patches):
            self._push(unit)

    def copy(self, packet: CodedUnit) -> None:
        """Send a packet of sound as it is."""
        self._push(packet)

    def force_keyframe(self) -> None:
        """Make the next frame a key frame."""
        self._encoder.force_keyframe()

    def close(self) -> None:
        """Let every target write what it has, within a few seconds, and end; more than once."""
        if self._closed:
            return
        self._closed = True
        for unit in self._encoder.flush():
            self._push(unit)
        for target in self._targets:
            target.end()
        until = time.monotonic() + _CLOSE_S
        for target in self._targets:
            target.join(until)

    def _push(self, unit: CodedUnit) -> None:
        for target in self._targets:
            target.push(unit)

    def _place(self, url: str) -> Place:
        """Check what can be checked now; a host that has no address yet may have one later."""
        place = place_of(url, self._rules)
        if place.scheme in ("http", "https"):
            raise UnsupportedError(f"{redact_url(url)}: HTTP is no target: expected rtmp://, .m3u8 or a file")
        try:
            check_target(url, self._rules)
        except SourceError:
            return place
        return place

    def _check(self, place: Place, label: str) -> None:
        """Refuse now what a target could not hold later."""
        audio = self._stream.audio
        if place.scheme != "file":
            wrong = sound_objection(audio) if audio is not None else ""
            if wrong:
                raise UnsupportedError(f"{label}: {wrong}")
            return
        path = Path(place.path)
        if not path.absolute().parent.is_dir() and path.suffix != ".m3u8":
            raise SinkError(f"{label}: the folder {path.absolute().parent} does not exist; create it first")
        container = container_of(path.with_suffix(".mp4") if path.suffix.lower() == ".m3u8" else path)
        if audio is not None and (wrong := cannot_hold(container.suffix, _described(audio), audio.stream)):
            raise UnsupportedError(
                f"{label}: cannot hold sound as {audio.codec}: {wrong}; write .mkv instead"
            )
        trial = av.open(io.BytesIO(), "w", format=container.muxer)
        add_streams(trial, path, self._stream, self._encoder)

    def _target(self, place: Place, label: str) -> Target:
        def make(number: int) -> Sink:
            if place.scheme != "file":
                return RtmpSink(place, self._rules, self._stream, self._encoder)
            path = Path(place.path)
            if path.suffix.lower() == ".m3u8":
                return HlsSink(path, self._stream, self._encoder, self._settings)
            return FileSink(path, number, self._stream, self._encoder)

        if place.scheme == "file":
            return Target(label, make, self._encoder.force_keyframe, _DISK_S, _DISK_S)
        return Target(label, make, self._encoder.force_keyframe)


def _described(audio: AudioTemplate) -> StreamInfo:
    """The sound as the table of containers asks for it."""
    return StreamInfo(
        index=1,
        kind="audio",
        codec=audio.codec,
        profile=None,
        time_base=audio.time_base,
        start_pts=None,
        end_pts=None,
        packets=None,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
    )
