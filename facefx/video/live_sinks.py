"""What live targets write to: an RTMP server, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.packet import Packet

from facefx.errors import SinkError, UnsupportedError
from facefx.video.codecs import container_of
from facefx.video.live_chunks import Type
from facefx.video.live_encode import LiveEncoder
from facefx.video.live_flv import FlvBodies
from facefx.video.live_publish import RtmpPublisher
from facefx.video.live_rules import Place, SourceRules
from facefx.video.live_values import CodedUnit, LiveStream

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

__all__ = ["FileSink", "RtmpSink", "add_streams", "mux_unit"]

_TIMEOUT_S = 3.0
# A file that is cut off is readable up to there.
_MUXER_OPTIONS = {"mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}}
# Beyond this the picture does not wait for sound that does not come.
_INTERLEAVE = {"max_interleave_delta": "1000000"}


class RtmpSink:
    """An RTMP server. Times are the output's own from its first frame on, over every reopening."""

    def __init__(self, place: Place, rules: SourceRules, stream: LiveStream, encoder: LiveEncoder) -> None:
        self._publisher = RtmpPublisher(place, rules, _TIMEOUT_S)
        self._bodies = FlvBodies(stream, encoder.extradata)
        self._sound_told = False

    def open(self) -> None:
        """Publish, and say what comes."""
        self._publisher.open()
        self._publisher.send(Type.DATA, 0, self._bodies.metadata())
        self._publisher.send(Type.VIDEO, 0, self._bodies.video_header())
        self._tell_sound(None)

    def write(self, unit: CodedUnit) -> None:
        """Send a unit."""
        moment = round(unit.dts * unit.time_base * 1000)
        if moment < 0:
            return  # sound before the first picture; RTMP has no such time
        if unit.kind == "video":
            self._publisher.send(Type.VIDEO, moment, self._bodies.video(unit))
            return
        self._tell_sound(unit)
        if self._sound_told:
            self._publisher.send(Type.AUDIO, moment, self._bodies.sound(unit))

    def idle(self) -> None:
        """Answer the server's pings."""
        self._publisher.idle()

    def finish(self) -> None:
        """Say that the stream ends."""
        self._publisher.finish()

    def close(self) -> None:
        """Hang up."""
        self._publisher.close()

    def _tell_sound(self, unit: CodedUnit | None) -> None:
        if self._sound_told:
            return
        header = self._bodies.sound_header(unit)
        if header is not None:
            self._publisher.send(Type.AUDIO, 0, header)
        self._sound_told = header is not None or self._bodies.needs_no_header


class FileSink:
    """A file by FFmpeg's muxers; where it is opened again it goes on in another, NAME-2."""

    def __init__(self, path: Path, number: int, stream: LiveStream, encoder: LiveEncoder) -> None:
        self._path = path if not number else path.with_stem(f"{path.stem}-{number + 1}")
        self._stream, self._encoder = stream, encoder
        self._output: OutputContainer | None = None

    def open(self) -> None:
        """Make the file."""
        container = container_of(self._path)
        options = dict(container.options) | _MUXER_OPTIONS.get(container.muxer, {}) | _INTERLEAVE
        try:
            self._output = av.open(
                f"file:{self._path.absolute()}", "w", format=container.muxer, container_options=options
            )
            self._targets = add_streams(self._output, self._path, self._stream, self._encoder)
            self._output.start_encoding()
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error, "opening") from error

    def write(self, unit: CodedUnit) -> None:
        """Mux a unit."""
        assert self._output is not None
        try:
            mux_unit(self._output, self._targets, unit)
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error, "writing") from error

    def idle(self) -> None:
        """Nothing to do."""

    def finish(self) -> None:
        """Write the rest."""
        output, self._output = self._output, None
        try:
            if output is not None:
                output.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._error(error, "finishing") from error

    def close(self) -> None:
        """Close as it is; after finish nothing is left to do."""
        self.finish()

    def _error(self, error: Exception, doing: str) -> SinkError:
        reason = getattr(error, "strerror", None) or str(error)
        return SinkError(f"{self._path}: {doing} failed: {reason}; is there space, and the right to write?")


def add_streams(
    output: OutputContainer, path: Path, stream: LiveStream, encoder: LiveEncoder
) -> dict[str, Stream]:
    """Give an output the picture and the sound.

    Raises UnsupportedError, by name, for what its container cannot hold.
    """
    targets: dict[str, Stream] = {}
    try:
        targets["video"] = output.add_stream_from_template(encoder.stream, opaque=True)
        targets["video"].time_base = stream.video.format.time_base
        if stream.audio is not None:
            what = f"sound as {stream.audio.codec}"
            targets["audio"] = output.add_stream_from_template(stream.audio.stream)
    except ValueError as error:
        held = what if "video" in targets else "H.264"
        raise UnsupportedError(f"{path}: {path.suffix} cannot hold {held}; write .mkv instead") from error
    return targets


def mux_unit(output: OutputContainer, targets: dict[str, Stream], unit: CodedUnit) -> None:
    """Hand a unit to a muxer."""
    target = targets.get(unit.kind)
    if target is None:
        return
    packet: Packet[Any] = Packet(unit.data)
    packet.stream = target
    packet.pts, packet.dts, packet.duration = unit.pts, unit.dts, unit.duration
    packet.time_base, packet.is_keyframe = unit.time_base, unit.keyframe
    output.mux_one(packet)
