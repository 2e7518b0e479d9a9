"""A live stream as frames and packets of sound, each with the moment in which it came.

RTMP(S) from a server, RTMP from a publisher who comes to us, HLS, or a file at real time.
"""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from facefx.errors import FacefxError, SourceError, UnsupportedError, UsageError
from facefx.values import FrameBatch
from facefx.video.describe import StreamNotes, describe
from facefx.video.guard import Limits
from facefx.video.info import VideoInfo
from facefx.video.live_decode import LiveDecoder, Read
from facefx.video.live_rules import Place, SourceRules, place_of, redact_url
from facefx.video.live_values import Arrival, AudioTemplate, LiveStream
from facefx.video.live_way import FileWay, HlsWay, ListenWay, RtmpWay, Way, live_errors
from facefx.video.planes import FrameViews
from facefx.video.probe import main_video, video_info
from facefx.video.scan import StreamScan
from facefx.video.sidedata import frame_facts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame

    from facefx.video.damage import Damage

__all__ = ["LiveSource"]

_LATE_S = 0.3  # a source that comes in bursts starts its clock anew when it is so late
_MOST_WAITING = 2000  # packets before the first picture
_RATES = (Fraction(1), Fraction(240))


class LiveSource:
    """Open a live stream and give what comes, in order; once. To reconnect, make another.

    url: rtmp(s)://, http(s)://….m3u8, or a file. listen: wait as an RTMP server for one publisher, who must
    show the URL's name as his key. paced: what comes faster than real time (a file, a segment of HLS) is
    given when it is due. read_timeout_s: a source that gives nothing for so long has gone.

    Raises UsageError and UnsupportedError for a URL that the rules forbid, when made.
    """

    def __init__(
        self,
        url: str,
        rules: SourceRules,
        *,
        listen: bool = False,
        paced: bool = True,
        open_timeout_s: float = 5.0,
        read_timeout_s: float = 3.0,
        threads: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self.label = redact_url(url)
        place = place_of(url, rules)
        self._limits = replace(
            limits or Limits(), open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s
        )
        self._way = _way(place, url, rules, listen, self.label)
        self._paced = paced and self._way.bursts
        self._threads = threads
        self._container: InputContainer | None = None
        self._gone = threading.Event()
        self._decoder: LiveDecoder | None = None
        self._waiting: deque[Read] = deque()
        self._count = 0
        self._origin_s: float | None = None  # the zero of the source's clock, where it is paced

    @property
    def damage(self) -> Damage | None:
        """What was readable so far; None before it was opened."""
        return None if self._decoder is None else self._decoder.damage

    def open(self) -> LiveStream:
        """Connect, and decode the first picture.

        Raises SourceError where nobody answers or publishes, UnsupportedError for what we cannot carry.
        """
        try:
            with live_errors(self.label, "opening"):
                self._container = self._way.open(self._limits)
                return self._begin(self._container)
        except FacefxError:
            self.close()
            self._let_go()
            raise

    def items(self) -> Iterator[Arrival]:
        """Give frames, one a batch, and packets of sound, in the order in which they come.

        Ends with a file, or after close(). Raises SourceError where a publisher has gone, or changes the
        picture's size or pixel format: open another source then.
        """
        try:
            with live_errors(self.label, "reading"):
                for read in self._reads():
                    yield self._arrival(read)
            if not self._gone.is_set() and not self._way.ends:
                raise SourceError(f"{self.label}: {self._reason()}; open it again")
        except SourceError:
            if not self._gone.is_set():
                raise
        finally:
            self._let_go()

    def close(self) -> None:
        """Stop, from any thread, more than once: whoever waits in items() or open() comes back."""
        self._gone.set()
        self._way.close()

    def _begin(self, container: InputContainer) -> LiveStream:
        """Decode up to the first picture; what came before it waits for items()."""
        video = main_video(self.label, container)
        sound = next((one for one in container.streams.audio), None)
        notes = describe(container).get(video.index, StreamNotes())
        decoder = LiveDecoder(self.label, container, video, sound, self._limits, self._threads)
        self._decoder = decoder
        self._all = decoder.reads(self._release)
        frame = self._first_frame()
        facts = frame_facts(frame)
        scan = StreamScan(0, frame.pts, None, False, False)
        info = _tidy(video_info(self.label, video, frame, facts, notes, scan))
        self._info = decoder.info = info
        return LiveStream(info, _template(sound), self.label)

    def _first_frame(self) -> VideoFrame:
        end = time.monotonic() + 2 * self._limits.open_timeout_s
        for read in self._all:
            self._waiting.append(read)
            if read.frame is not None:
                return read.frame
            if len(self._waiting) > _MOST_WAITING or time.monotonic() > end:
                break
        raise SourceError(f"{self.label}: {self._reason('no picture came')}; open it again")

    def _reads(self) -> Iterator[Read]:
        while self._waiting:
            yield self._waiting.popleft()
        for read in self._all:
            if self._gone.is_set():
                return
            yield read

    def _arrival(self, read: Read) -> Arrival:
        if read.frame is None:
            return Arrival(read.at, packet=read.unit)
        frame, format_ = read.frame, self._info.format
        batch = FrameBatch(
            format=format_,
            planes=FrameViews((frame,), format_, self.label),
            pts=np.array([read.pts], np.int64),
            index=np.array([self._count], np.int64),
            native=(frame,),
        )
        self._count += 1
        return Arrival(read.at, batch=batch)

    def _release(self, due_s: float) -> float:
        """Wait until a packet is due on the source's clock; return the moment that counts as its coming."""
        now = time.monotonic()
        if not self._paced:
            return now
        if self._origin_s is None:
            self._origin_s = now - due_s
        due = self._origin_s + due_s
        if now > due + _LATE_S and not self._way.ends:
            self._origin_s += now - due
            return now
        if due > now:
            self._gone.wait(due - now)
        return due

    def _reason(self, otherwise: str = "the publisher has gone") -> str:
        """What ended the reading."""
        reader = getattr(self._way, "error", None)
        return str(reader) if reader is not None else otherwise

    def _let_go(self) -> None:
        """Close the container, in the thread that reads from it."""
        container, self._container = self._container, None
        self._way.close()
        if container is not None:
            container.close()


def _way(place: Place, url: str, rules: SourceRules, listen: bool, label: str) -> Way:
    """Choose how a source is reached."""
    if listen and place.scheme != "rtmp":
        raise UsageError(f"{label}: can listen only for rtmp://ADDRESS:PORT/APPLICATION/KEY")
    if listen:
        return ListenWay(place)
    if place.scheme == "file":
        return FileWay(place.path)
    if place.scheme in ("rtmp", "rtmps"):
        return RtmpWay(place, rules)
    if not place.path.partition("?")[0].lower().endswith((".m3u8", ".m3u")):
        raise UnsupportedError(f"{label}: over HTTP only HLS is read: expected an address that ends in .m3u8")
    return HlsWay(url, rules)


def _tidy(video: VideoInfo) -> VideoInfo:
    """A live stream's own facts: what an FLV or a transport stream guesses is not believed too far."""
    rate = video.average_rate
    if rate is not None and not _RATES[0] <= rate <= _RATES[1]:
        rate = None
    return replace(video, average_rate=rate, variable_rate=False)


def _template(sound: AudioStream | None) -> AudioTemplate | None:
    """Copy what a muxer must know of the sound into a container of its own, which outlives the source."""
    if sound is None or sound.codec_context is None:
        return None
    holder = av.open(io.BytesIO(), "w", format="matroska")
    stream = holder.add_stream_from_template(sound)
    context = sound.codec_context
    return AudioTemplate(
        codec=context.codec.canonical_name,
        sample_rate=context.sample_rate,
        channels=context.channels,
        extradata=context.extradata or b"",
        time_base=sound.time_base or Fraction(1, 1000),
        stream=stream,
        holder=holder,
    )
