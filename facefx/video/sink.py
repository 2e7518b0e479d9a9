"""Frames and patches into a file: encode what was decoded, copy what was not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from facefx.values import FrameBatch, Patch
from facefx.video.feed import Feed
from facefx.video.output import SinkReport, VideoOutput

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

__all__ = ["SinkReport", "VideoSink"]


class VideoSink(VideoOutput):
    """Write one video beside the streams of its source; see VideoOutput."""

    def write(self, batch: FrameBatch, patches: Sequence[Patch] = ()) -> None:
        """Encode a batch's frames with its patches pasted in; see Feed.write.

        Raises SinkError; ShapeError for a patch of no frame.
        """
        with self._sink_errors("writing"):
            if not self._started and len(batch):
                self._start(int(batch.pts[0]))
            packets = self._feed.write(batch, patches)
            self._frames, self._patched = self._feed.frames, self._feed.patched
            self._mux(packets)

    def _add_video(self, output: OutputContainer, metadata: Mapping[str, str]) -> None:
        super()._add_video(output, metadata)
        self._feed = Feed(self._encoder)

    def _rest(self) -> Iterable[Packet[Any]]:
        return self._feed.flush()
