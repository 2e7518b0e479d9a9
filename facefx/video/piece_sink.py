"""Frames and patches into a piece: encoded as the whole output's own encoder would be asked to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error

from facefx.errors import FidelityError
from facefx.values import FrameBatch, Patch
from facefx.video.codecs import ResolvedEncode
from facefx.video.encoder import VideoEncoder
from facefx.video.feed import Feed
from facefx.video.guard import Limits, open_source
from facefx.video.info import MediaInfo
from facefx.video.output import sink_errors
from facefx.video.piece import CodedPacket, PieceHead, PieceWriter

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["PieceSink"]


class PieceSink:
    """Encode a part of a video; `end` and then `finish` make the piece, `close` alone gives it up.

    source: its path must lead to the file, whose stream the encoder takes its parameters from.

    Raises UnsupportedError, SinkError when made.
    """

    def __init__(
        self, path: Path, source: MediaInfo, encode: ResolvedEncode, *, limits: Limits | None = None
    ) -> None:
        self._path, self._encode, self._base = path, encode, source.video.format.time_base
        self._ended = self._finished = False
        with ExitStack() as opened:
            container = open_source(source.path, limits or Limits())
            opened.callback(container.close)
            template = cast("VideoStream", container.streams[source.video.index])
            with sink_errors(path, encode.encoder, "preparing"):
                # Its kind decides on the encoder's flags; it never gets a header, let alone a packet.
                output = av.open(
                    BytesIO(), "w", format=encode.muxer, container_options=dict(encode.muxer_options)
                )
                opened.callback(output.close)
                encoder = VideoEncoder(output, encode, source.video, template)
                self._feed, self._extradata = Feed(encoder), encoder.extradata
            self._writer = PieceWriter(path)
            opened.callback(self._writer.close)
            self._opened = opened.pop_all()

    def write(self, batch: FrameBatch, patches: Sequence[Patch] = ()) -> None:
        """Encode a batch's frames with its patches pasted in; see Feed.write.

        Raises SinkError.
        """
        with sink_errors(self._path, self._encode.encoder, "writing"):
            self._keep(self._feed.write(batch, patches))

    @property
    def patched(self) -> int:
        """Frames that were changed so far."""
        return self._feed.patched

    def end(self) -> None:
        """Write what the encoder still holds; no frame comes any more.

        Raises FidelityError where it gave more or fewer packets than it got frames, SinkError.
        """
        with sink_errors(self._path, self._encode.encoder, "finishing"):
            if self._feed.frames:  # some encoders do not take kindly to an end without a beginning
                self._keep(self._feed.flush())
        if self._writer.packets != self._feed.frames:
            raise FidelityError(
                f"{self._path}: {self._encode.encoder} made {self._writer.packets} packets of "
                f"{self._feed.frames} frames; write with another --codec"
            )
        self._ended = True

    def finish(self, note: Mapping[str, Any]) -> PieceHead:
        """Give the piece its head and its name; only then is it there.

        Raises SinkError.
        """
        assert self._ended, "what the encoder holds belongs to the piece"
        head = self._writer.finish(
            self._encode.encoder, self._base, self._extradata, self._feed.patched, note
        )
        self._finished = True
        self.close()
        return head

    def close(self) -> None:
        """Let go of everything, and of the piece unless it is finished. Safe at any time, more than once."""
        with suppress(av.error.FFmpegError, OSError):
            self._opened.close()

    def _keep(self, packets: Iterable[Packet[Any]]) -> None:
        for packet in packets:
            pts, dts = packet.pts, packet.dts
            assert pts is not None, "the encoder's packets have the pts of the frames"
            self._writer.write(
                CodedPacket(
                    pts=pts,
                    dts=pts if dts is None else dts,
                    duration=packet.duration or 0,
                    keyframe=packet.is_keyframe,
                    data=bytes(packet),
                )
            )
