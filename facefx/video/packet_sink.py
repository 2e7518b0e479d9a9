"""Packets into a file: what pieces hold, beside the streams of their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import chain, islice

from av.packet import Packet

from facefx.errors import FidelityError
from facefx.video.output import VideoOutput
from facefx.video.piece import CodedPacket

__all__ = ["PacketSink", "decoding_times"]


class PacketSink(VideoOutput):
    """Write one video from packets that its encoder has made elsewhere; see VideoOutput."""

    @property
    def extradata(self) -> bytes:
        """The header of the output's own encoder, which is never given a frame."""
        return self._encoder.extradata

    def write(self, packets: Iterable[CodedPacket], delay: int, patched: int) -> None:
        """Write all packets of the video, in decoding order; once.

        packets: of the source's time base. delay: by how many of them decoding runs ahead of showing;
        decoding times are made of that, since every segment's begin anew. patched: how many were changed.

        Raises SinkError, FidelityError where packets do not fit each other.
        """
        self._patched = patched
        base = self._info.video.format.time_base
        with self._sink_errors("writing"):
            for coded, dts in decoding_times(packets, delay):
                if not self._started:
                    self._start(coded.pts)
                if dts > coded.pts:
                    raise FidelityError(
                        f"{self._path}: packet {self._frames} would be decoded at {dts}, after it is shown "
                        f"at {coded.pts}; make the segments again"
                    )
                packet = Packet(coded.data)
                packet.pts, packet.dts, packet.duration = coded.pts, dts, coded.duration
                packet.time_base, packet.is_keyframe = base, coded.keyframe
                packet.stream = self._encoder.stream
                self._mux([packet])
                self._frames += 1


def decoding_times(packets: Iterable[CodedPacket], delay: int) -> Iterator[tuple[CodedPacket, int]]:
    """Give each packet its decoding time: the pts of the one that is shown `delay` packets earlier.

    The first ones, before which none is shown, keep their distances and are put before the first pts.

    >>> coded = [CodedPacket(pts, 0, 10, False, b"") for pts in (0, 30, 10, 20, 40)]
    >>> [dts for _, dts in decoding_times(coded, 1)]
    [-10, 0, 10, 20, 30]
    """
    rest = iter(packets)
    # What is shown first is decoded, at the latest, so many packets later.
    begun = list(islice(rest, 2 * delay + 1))
    first = sorted(coded.pts for coded in begun)[: delay + 1]
    step = max((coded.duration for coded in begun), default=1) or 1
    ahead = (first[-1] - first[0] if first else 0) + step * (delay + 1 - len(first))
    waiting: list[int] = []
    for i, coded in enumerate(chain(begun, rest)):
        heappush(waiting, coded.pts)
        yield coded, first[i] - ahead if i < delay else heappop(waiting)
