"""An output file: its streams, clocks and tags, wherever the picture's packets come from."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import av
import av.error

from facefx.errors import FacefxError, SinkError, UnsupportedError
from facefx.video.codecs import EncodeSettings, ResolvedEncode, resolve
from facefx.video.encoder import VideoEncoder
from facefx.video.guard import Limits
from facefx.video.info import Extra, MediaInfo
from facefx.video.metadata import choose_file_tags, choose_stream_tags
from facefx.video.passthrough import Passthrough, plan_streams
from facefx.video.source import window_of
from facefx.video.timeline import Timeline, chapters_on, timeline_of

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["SinkReport", "VideoOutput", "sink_errors"]

_MAX_TIMESCALE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SinkReport:
    """What stands in the file. copied: packets by source stream index. removed: what does not, and why."""

    path: str
    encode: ResolvedEncode
    frames: int
    patched: int
    size_bytes: int
    copied: Mapping[int, int] = field(default_factory=dict)
    removed: tuple[Extra, ...] = ()
    dropped_tags: tuple[str, ...] = ()


class VideoOutput:
    """One video beside the streams of its source; who fills it says where the picture's packets come from.

    path: a local file, its suffix names the container; it appears at the first frame and is removed
    again unless `finish` succeeds. from_s, to_s: the range that the source was asked for.

    Raises UnsupportedError where something cannot be carried, SinkError where the path cannot be written,
    both when made.
    """

    def __init__(
        self,
        path: str | Path,
        source: MediaInfo,
        settings: EncodeSettings | None = None,
        from_s: float | None = None,
        to_s: float | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._path, self._info, self._settings = Path(path), source, settings or EncodeSettings()
        source.require_supported()
        self.encode = resolve(self._settings, source, path)
        self._plan = plan_streams(source, self._settings, self.encode.container)
        self._window = window_of(source, from_s, to_s)
        _check_destination(self._path, source.path)
        self._frames = self._patched = 0
        self._started = self._finished = False
        self._timeline, self._back = Timeline(), 0
        self._output: OutputContainer | None = None
        self._copies = Passthrough(
            source, self._plan, self._settings, self.encode.container, limits or Limits()
        )
        try:
            self._open()
        except FacefxError:
            self.close()
            raise

    def finish(self) -> SinkReport:
        """Write what is left and close the file; only then is it complete."""
        if not self._frames or self._output is None:
            self.close()
            raise SinkError(f"{self._path}: no frame was written; check --from and --to")
        with self._sink_errors("finishing"):
            self._mux(self._rest())
            self._copies.copy_rest(self._output)
            self._output.close()
        self._finished = True
        self._output = None
        self._copies.close()
        return SinkReport(
            path=str(self._path),
            encode=self.encode,
            frames=self._frames,
            patched=self._patched,
            size_bytes=self._path.stat().st_size,
            copied=dict(self._copies.counts),
            removed=self._plan.removed,
            dropped_tags=tuple(self._dropped_tags),
        )

    def close(self) -> None:
        """Give up unless finished: the file is removed. Safe at any time, more than once."""
        self._copies.close()
        output, self._output = self._output, None
        if output is None or self._finished:
            return
        if self._started:
            # First the name, then the container: its last words would only be written for nobody.
            self._path.unlink(missing_ok=True)
        with suppress(av.error.FFmpegError, OSError):  # without its name the file cannot take a trailer
            output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rest(self) -> Iterable[Packet[Any]]:
        """The picture's last packets."""
        return ()

    def _open(self) -> None:
        """Make the container and all its streams, in the source's order; nothing touches the disk yet."""
        options = dict(self.encode.muxer_options)
        if self.encode.muxer in ("mp4", "mov"):
            options["movie_timescale"] = str(self._timescale())
        with self._sink_errors("preparing"):
            output = av.open(
                f"file:{self._path.absolute()}", "w", format=self.encode.muxer, container_options=options
            )
            self._output = output
            tags = choose_file_tags(self._info.metadata, self._settings.metadata)
            output.metadata.update(tags.kept)
            self._dropped_tags = list(tags.dropped)
            copied = {stream.index for stream in self._plan.copied}
            for stream in self._info.streams:
                if stream.index == self._info.video.index:
                    self._add_video(output, stream.metadata)
                elif stream.index in copied:
                    self._dropped_tags += self._copies.add_stream(output, stream)

    def _add_video(self, output: OutputContainer, metadata: Mapping[str, str]) -> None:
        template = cast("VideoStream", self._copies.source.streams[self._info.video.index])
        self._encoder = VideoEncoder(output, self.encode, self._info.video, template)
        choice = choose_stream_tags(metadata, self._settings.metadata)
        self._encoder.stream.metadata.update(choice.kept)
        self._encoder.stream.disposition = template.disposition
        self._dropped_tags += [f"stream {self._info.video.index}: {name}" for name in choice.dropped]

    def _timescale(self) -> int:
        """A clock for edit lists on which each track's start is a whole number; 1/1000 s would round."""
        ticks = self._info.video.format.time_base.denominator
        while ticks < 10000:
            ticks *= 2  # as the muxer does with the track's own clock
        scale = ticks
        for stream in self._plan.copied:
            if stream.sample_rate:
                scale = lcm(scale, stream.sample_rate)
        return scale if scale <= _MAX_TIMESCALE else 1000

    def _start(self, first_pts: int) -> None:
        """Lay the clocks by the first frame, and write the header."""
        assert self._output is not None
        self._timeline = timeline_of(self._info, self.encode.container, first_pts, *self._window)
        self._back = self._timeline.ticks(self._info.video.format.time_base)
        self._output.set_chapters(chapters_on(self._info.chapters, self._timeline))
        self._started = True
        try:
            self._output.start_encoding()
        except (av.error.ArgumentError, av.error.InvalidDataError, av.error.PatchWelcomeError) as error:
            held = ", ".join(f"{stream.kind} {stream.codec}" for stream in self._plan.copied)
            raise UnsupportedError(
                f"{self._path}: .{self.encode.container} cannot hold these streams together: video "
                f"{self.encode.codec}{', ' if held else ''}{held}; write .mkv instead"
            ) from error
        self._copies.start(self._timeline)

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        if self._output is None:
            raise SinkError(f"{self._path}: the file is closed already")
        base, back = self._info.video.format.time_base, self._back
        for packet in packets:
            pts, dts = packet.pts, packet.dts
            if pts is not None:
                packet.pts = pts - back
            if dts is not None:
                packet.dts = dts - back
                self._copies.copy_until(self._output, dts - back, base)
            self._output.mux_one(packet)

    @contextmanager
    def _sink_errors(self, doing: str) -> Iterator[None]:
        with sink_errors(self._path, self.encode.encoder, doing):
            yield


@contextmanager
def sink_errors(path: Path, encoder: str, doing: str) -> Iterator[None]:
    """Turn what av and the operating system raise into a SinkError that says where."""
    try:
        yield
    except FacefxError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        number = getattr(error, "errno", None) or 0
        if number == errno.ENOSPC:
            reason = f"no space left in {path.absolute().parent}"
        hint = {errno.ENOSPC: "free some space", errno.EACCES: "check the folder's mode"}.get(
            number, "see the cause above"
        )
        raise SinkError(f"{path}: {doing} with {encoder} failed: {reason}; {hint}") from error


def _check_destination(path: Path, source: str) -> None:
    """Check what the operating system can tell before an hour of encoding does."""
    folder = path.absolute().parent
    if path.is_dir():
        raise SinkError(f"{path}: is a folder, expected the name of a file to write; name a file in it")
    if not folder.is_dir():
        raise SinkError(f"{path}: the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise SinkError(f"{path}: the folder {folder} cannot be written; check its owner and mode")
    if path.exists() and path.samefile(source):
        raise SinkError(f"{path}: source and destination are the same file; name another destination")
