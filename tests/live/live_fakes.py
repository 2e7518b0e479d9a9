"""A source and an output that stand in for the network: clips decoded at real time, frames kept as bytes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facefx.errors import SourceError
from facefx.faces.detector import Detector, NetUse
from facefx.geometry import Boxes
from facefx.live.session import LiveReport, LiveSession
from facefx.live.settings import LiveSettings
from facefx.pipeline.nets import Nets
from facefx.values import Detections, FrameBatch, Patch, PixelFormat, Planes, StreamFormat
from facefx.video.info import VideoInfo
from facefx.video.source import VideoSource

SIZE = (160, 96)
FACE = (60.0, 30.0, 100.0, 70.0)
JOIN_S = 20.0


def video_of(format: StreamFormat, rate: int = 30) -> VideoInfo:
    return VideoInfo(0, "h264", None, format, 0, Fraction(rate), False, 0, 0)


def stream_format(width: int = SIZE[0], height: int = SIZE[1]) -> StreamFormat:
    return StreamFormat(PixelFormat.of("yuv420p"), width, height, Fraction(1, 1000))


@dataclass
class FakeStream:
    video: VideoInfo
    label: str = "rtmp://somewhere/app/***"


@dataclass
class FakeArrival:
    arrived_s: float
    batch: FrameBatch | None = None
    packet: Any | None = None


@dataclass
class FakePacket:
    """A packet of sound."""

    pts: int
    dts: int
    time_base: Fraction = Fraction(1, 1000)


def noise(format: StreamFormat, seed: int) -> Planes:
    """A picture that is nowhere black."""
    rng = np.random.default_rng(seed)
    shapes = format.pixels.plane_shapes(format.width, format.height)
    planes = tuple(rng.integers(60, 200, shape).astype(np.uint8) for shape in shapes)
    for plane in planes:
        plane.flags.writeable = False
    return planes


def picture(format: StreamFormat, pts: int, index: int) -> FrameBatch:
    one = np.array([pts], np.int64)
    return FrameBatch(format, (noise(format, index % 8),), one, np.array([index], np.int64))


@dataclass
class FakeSource:
    """Frames of noise, `period_s` apart by the clock and by pts; `then` is called after each.

    start_pts: of the first frame. fails: raised after the last frame, instead of an end.
    """

    frames: int = 30
    period_s: float = 1 / 30
    paced: bool = True
    start_pts: int = 0
    fails: Exception | None = None
    refused: Exception | None = None
    format: StreamFormat = field(default_factory=stream_format)
    then: Callable[[int], None] | None = None
    sound_every: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def open(self) -> FakeStream:
        if self.refused is not None:
            raise self.refused
        return FakeStream(video_of(self.format, round(1 / self.period_s)))

    def items(self) -> Iterator[FakeArrival]:
        began = time.monotonic()
        for i in range(self.frames):
            due = began + i * self.period_s
            if self.paced and self.closed.wait(max(0.0, due - time.monotonic())):
                raise SourceError("closed")
            now = time.monotonic()
            pts = self.start_pts + round(1000 * i * self.period_s)
            if self.sound_every and i % self.sound_every == 0:
                yield FakeArrival(now, packet=FakePacket(pts, pts))
            yield FakeArrival(now, picture(self.format, pts, i))
            if self.then is not None:
                self.then(i)
        if self.fails is not None:
            raise self.fails

    def close(self) -> None:
        self.closed.set()


@dataclass
class ClipSource:
    """A real clip, decoded frame by frame, at real time or as fast as it goes."""

    path: Path
    paced: bool = True
    frames: int | None = None

    def open(self) -> FakeStream:
        self._source = VideoSource(self.path, batch_frames=1)
        self.closed = threading.Event()
        return FakeStream(self._source.info.video, self.path.name)

    def items(self) -> Iterator[FakeArrival]:
        period = float(1 / (self._source.info.video.average_rate or 25))
        began = time.monotonic()
        batches = self._source.batches()
        for i in range(self.frames or 1_000_000):
            if self.paced and self.closed.wait(max(0.0, began + i * period - time.monotonic())):
                return
            arrived = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            yield FakeArrival(arrived, batch)

    def close(self) -> None:
        if hasattr(self, "_source"):
            self.closed.set()
            self._source.close()


@dataclass
class Out:
    """One frame that went out. digest: of all its planes with the patches pasted in."""

    pts: int
    digest: str
    luma: Any
    at_s: float
    raw: bool


class FakeOutput:
    """Keeps what goes out. before_write: called with how many frames are out."""

    def __init__(self, before_write: Callable[[int], None] | None = None, *, keep: bool = True) -> None:
        self.frames: list[Out] = []
        self.packets: list[Any] = []
        self.closed = 0
        self._before, self._keep = before_write, keep
        self.targets_state = {"fake": {"connected": True}}

    def write(self, batch: FrameBatch, patches: Sequence[Patch]) -> None:
        if self._before is not None:
            self._before(len(self.frames))
        planes = tuple(np.array(plane) for plane in batch.view(0))
        for patch in patches:
            patch.paste(planes)
        raw = all(np.array_equal(a, b) for a, b in zip(planes, batch.view(0), strict=True))
        digest = hashlib.sha256(b"".join(plane.tobytes() for plane in planes)).hexdigest()
        luma = planes[0] if self._keep else None
        self.frames.append(Out(int(batch.pts[0]), digest, luma, time.monotonic(), raw))

    def copy(self, packet: Any) -> None:
        self.packets.append(packet)

    def close(self) -> None:
        self.closed += 1


class Eye:
    """A detector that sees one face in every frame; `stall` is called at each look, with its number."""

    name = "eye"
    nets: tuple[NetUse, ...] = ()

    def __init__(self, stall: Callable[[int], None] | None = None) -> None:
        self.looks = 0
        self._stall = stall

    def detect(self, batch: FrameBatch, frames: Sequence[int]) -> Detections:
        self.looks += 1
        if self._stall is not None:
            self._stall(self.looks)
        n = len(frames)
        return Detections(
            np.array(frames, np.int64),
            np.tile(np.array(FACE, np.float32), (n, 1)),
            np.full(n, 0.9, np.float32),
            np.zeros((n, 0, 2), np.float32),
        )

    def glance(self, batch: FrameBatch, frame: int, expected: Boxes, *, whole: bool) -> Detections:
        raise AssertionError("a live stream looks whole")

    def inspect(self, batch: FrameBatch, frame: int, regions: Boxes) -> Detections:
        raise AssertionError("a live stream looks whole")

    def close(self) -> None:
        pass


class EyeNets(Nets):
    """Lends one detector, whatever the plan names."""

    def __init__(self, eye: Detector) -> None:
        super().__init__()
        self._eye = eye

    def detector(self, spec: Any) -> Detector:
        return self._eye


def settings(**changes: Any) -> LiveSettings:
    return LiveSettings(**{"source": "rtmp://x/live/secret", "detector": "blazeface", **changes})


class Running:
    """A session in a thread of its own."""

    def __init__(self, session: LiveSession) -> None:
        self.session = session
        self.report: LiveReport | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.report = self.session.run()
        except BaseException as error:  # noqa: BLE001 - shown to the test
            self.error = error

    def join(self, timeout_s: float = JOIN_S) -> LiveReport:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the session did not end"
        if self.error is not None:
            raise self.error
        assert self.report is not None
        return self.report


def run(
    source: Any, output: FakeOutput, *, eye: Eye | None = None, nets: Nets | None = None, **changes: Any
) -> LiveReport:
    """Run a session to its end."""
    return start(source, output, eye=eye, nets=nets, **changes).join()


def start(
    source: Any, output: FakeOutput, *, eye: Eye | None = None, nets: Nets | None = None, **changes: Any
) -> Running:
    sources = iter(source if isinstance(source, list) else [source])
    return Running(
        LiveSession(
            settings(**changes),
            open_source=lambda: next(sources),
            open_output=lambda stream: output,
            nets=nets or EyeNets(eye or Eye()),
        )
    )
