"""Frames and patches into an encoder: what was decoded is encoded as it came, but for its patches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from facefx.errors import ShapeError
from facefx.values import FrameBatch, Patch, StreamFormat
from facefx.video.encoder import VideoEncoder
from facefx.video.pack import is_lent, own_frame, own_pixels
from facefx.video.planes import write_views

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Feed"]


class Feed:
    """Pastes and encodes batch after batch. frames, patched: how many so far, and how many with patches."""

    def __init__(self, encoder: VideoEncoder) -> None:
        self._encoder = encoder
        self._spare: VideoFrame | None = None
        self._keeps = False
        self.frames = self.patched = 0

    def write(self, batch: FrameBatch, patches: Sequence[Patch] = ()) -> list[Packet[VideoStream]]:
        """Encode a batch's frames with its patches pasted in, in the order given.

        A frame without a patch goes to the encoder as it came, by reference; one with a patch is made
        writable first, so the decoder's reference pictures stay whole. Both change the `native` frames.
        Of a frame whose pixels came from another process, a copy is patched.
        """
        by_frame: dict[int, list[Patch]] = defaultdict(list)
        for patch in patches:
            if not 0 <= patch.frame < len(batch):
                raise ShapeError(f"patch of frame {patch.frame} in a batch of {len(batch)} frames")
            by_frame[patch.frame].append(patch)
        if len(batch.native) != len(batch):
            raise ShapeError(f"a sink needs all {len(batch)} native frames, got {len(batch.native)}")
        frames = [cast("VideoFrame", native) for native in batch.native]
        lent = {i for i in by_frame if is_lent(frames[i])}
        # What can be is done before the first frame is encoded, or after the last: an encoder leaves nothing
        # of ours in the processor's cache.
        for i in by_frame.keys() - lent:
            frames[i].make_writable()
            self._paste(frames[i], batch.format, by_frame[i])
        for frame, pts in zip(frames, batch.pts.tolist(), strict=True):
            self._encoder.prepare(frame, pts)
        packets = []
        for i, frame in enumerate(frames):
            if i in lent:
                frame = self._owned(frame, batch.format)
                self._paste(frame, batch.format, by_frame[i])
            packets += self._encoder.encode(frame)
            self.frames += 1
        return [self._encoder.timed(packet) for packet in packets]

    def flush(self) -> list[Packet[VideoStream]]:
        """What the encoder still holds."""
        return [self._encoder.timed(packet) for packet in self._encoder.encode(None)]

    def _owned(self, frame: VideoFrame, format: StreamFormat) -> VideoFrame:
        """A lent frame with pixels of its own: in memory that is used again, where the encoder lets go of it.

        Fresh memory for every frame costs more, to be mapped and cleared, than the copy itself.
        """
        if frame.interlaced_frame or self._keeps:  # which field comes first cannot be set
            frame.make_writable()
            return frame
        if self._spare is None:
            self._spare = own_frame(frame, format)
        spare = self._spare
        address = spare.planes[0].buffer_ptr
        spare.make_writable()
        own_pixels(frame, spare, format)
        if spare.planes[0].buffer_ptr != address:  # the encoder keeps its pictures, so nothing is saved
            self._keeps, self._spare = True, None
        return spare

    def _paste(self, frame: VideoFrame, format: StreamFormat, patches: Iterable[Patch]) -> None:
        planes = write_views(frame, format)
        for patch in patches:
            patch.paste(planes)
        self.patched += 1
