"""Frames and patches into an encoder: what was decoded is encoded as it came, but for its patches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from facefx.errors import ShapeError
from facefx.values import FrameBatch, Patch
from facefx.video.encoder import VideoEncoder
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
        self.frames = self.patched = 0

    def write(self, batch: FrameBatch, patches: Sequence[Patch] = ()) -> Iterator[list[Packet[VideoStream]]]:
        """Encode a batch's frames with its patches pasted in, in the order given; one list a frame.

        A frame without a patch goes to the encoder as it came, by reference; one with a patch is made
        writable first, so the decoder's reference pictures stay whole. Both change the `native` frames.
        """
        by_frame: dict[int, list[Patch]] = defaultdict(list)
        for patch in patches:
            if not 0 <= patch.frame < len(batch):
                raise ShapeError(f"patch of frame {patch.frame} in a batch of {len(batch)} frames")
            by_frame[patch.frame].append(patch)
        if len(batch.native) != len(batch):
            raise ShapeError(f"a sink needs all {len(batch)} native frames, got {len(batch.native)}")
        for i, native in enumerate(batch.native):
            frame = cast("VideoFrame", native)
            if i in by_frame:
                self._paste(frame, batch, by_frame[i])
            packets = self._encoder.encode(frame, int(batch.pts[i]))
            self.frames += 1
            yield packets

    def flush(self) -> list[Packet[VideoStream]]:
        """What the encoder still holds."""
        return self._encoder.flush()

    def _paste(self, frame: VideoFrame, batch: FrameBatch, patches: Iterable[Patch]) -> None:
        frame.make_writable()
        planes = write_views(frame, batch.format)
        for patch in patches:
            patch.paste(planes)
        self.patched += 1
