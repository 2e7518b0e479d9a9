"""What an archive would cost, from the indexes of its videos: nothing is decoded, and little is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from math import ceil
from pathlib import PurePosixPath
from statistics import median
from typing import Any, Protocol

from facefx.archive.report_parts import bulk, lasting, plural
from facefx.config import RunConfig
from facefx.errors import FacefxError, SourceError
from facefx.pipeline.plan import effect_specs, needs_landmarks
from facefx.storage import is_local, local_path
from facefx.video.codecs import ENCODERS
from facefx.video.index import IndexFacts, Readable, read_index
from facefx.video.still_kinds import STILL_SUFFIXES

__all__ = ["MEASURED", "Estimate", "Listed", "Rate", "Rates", "Work", "estimate", "estimate_archive"]

_READERS, _AT_ONCE = 16, 512
_MOST_INDEX_BYTES = 64 << 20  # ten hours at 60 frames a second have 20 MB
_TOLD = 20
_TOLD_BY = {"index": "their index", "header": "their header (length times rate)", "size": "their size alone"}
# Where nothing tells of a video's length: a stream of 720p at 25 frames a second and 3 Mb/s.
_USUAL_BYTES_PER_S, _USUAL_MEGAPIXELS, _USUAL_RATE = 375_000.0, 0.9216, 25.0


class Listed(Protocol):
    """A file that was found."""

    @property
    def url(self) -> str:
        """Where it lies."""

    @property
    def relative(self) -> str:
        """Its name below the root."""

    @property
    def size_bytes(self) -> int:
        """Its size."""


@dataclass(frozen=True, slots=True)
class Rate:
    """CPU-milliseconds (of a megapixel, or a frame): the usual, and between what they lie."""

    ms: float
    low: float
    high: float

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.ms + other.ms, self.low + other.low, self.high + other.high)

    def __mul__(self, times: float) -> Rate:
        return Rate(self.ms * times, self.low * times, self.high * times)


def _usual(ms: float) -> Rate:
    """A rate of one clip: other pictures, or another machine, halve or double it."""
    return Rate(ms, ms / 2, ms * 2)


@dataclass(frozen=True, slots=True)
class Rates:
    """What work costs. decode: by the source's codec, encode: by encoder, or by encoder and preset.

    boxes, meshes: a frame's looks and effects, with boxes only and with landmarks, whatever its size.
    everything: a megapixel from end to end, measured on this very archive, in place of all the others.
    source: how they were obtained.
    """

    source: str
    decode: Mapping[str, Rate] = field(default_factory=dict)
    encode: Mapping[str, Rate] = field(default_factory=dict)
    boxes: Rate = Rate(0, 0, 0)
    meshes: Rate = Rate(0, 0, 0)
    everything: Rate | None = None

    @classmethod
    def of_sample(cls, parts: Iterable[tuple[float, float]]) -> Rates:
        """Rates from a sample of the archive: (megapixels of all frames, CPU-seconds) of each part.

        The middle is that of the parts; they lie between the least and the greatest of them.

        Raises SourceError for a sample without a frame.

        >>> Rates.of_sample([(100, 2.0), (100, 3.0), (50, 2.0)]).everything
        Rate(ms=30.0, low=20.0, high=40.0)
        """
        each = [1000 * cpu_s / megapixels for megapixels, cpu_s in parts if megapixels > 0]
        if not each:
            raise SourceError("a sample needs at least one frame; take another part of the archive")
        words = f"measured on {len(each)} part{'s' if len(each) > 1 else ''} of this archive"
        return cls(words, everything=Rate(median(each), min(each), max(each)))

    def frame(self, work: Work, codec: str, megapixels: float) -> Rate:
        """CPU-milliseconds of one frame; what nobody measured counts as the dearest that somebody did."""
        if self.everything is not None:
            return self.everything * megapixels
        encoder = work.codec if work.codec != "auto" else _SAME.get(codec, "libx264")
        known = f"{encoder} {work.preset}" in self.encode
        coding = _found(self.decode, codec) + _found(
            self.encode, f"{encoder} {work.preset}" if known else encoder
        )
        return coding * megapixels + (self.meshes if work.landmarks else self.boxes)


_SAME = {encoder.codec: encoder.name for encoder in ENCODERS.values()}


def _found(rates: Mapping[str, Rate], name: str) -> Rate:
    return rates[name] if name in rates else max(rates.values(), key=lambda rate: rate.ms)


# ms a megapixel. Stages of `facefx run --effect solid`, one thread, AMD EPYC, av 18.1: 3 s of bench_720p.mp4
# (x264, x265, VP9, MPEG-2, MPEG-4, FFV1; decoding of H.264), and for what that clip is not, the clips
# of 360p to 576p by that name (ProRes, AV1; decoding). Means where both were measured. x264 veryfast and
# meshes: benchmarks/results/speed.md and beauty.md.
MEASURED = Rates(
    source="codecs timed once, on one core of an AMD EPYC with clips of 360p to 720p; other pictures and "
    "machines take half or twice as long",
    decode={
        name: _usual(ms)
        for name, ms in {
            "h264": 3.2, "hevc": 4.5, "av1": 1.8, "vp9": 3.0, "prores": 1.8, "mpeg2video": 0.9,
        }.items()
    },
    encode={
        name: _usual(ms)
        for name, ms in {
            "libx264": 36, "libx264 veryfast": 10.4, "libx265": 66, "libsvtav1": 22, "libvpx-vp9": 73,
            "prores_ks": 53, "mpeg2video": 3.8, "mpeg4": 2.9, "ffv1": 13,
        }.items()
    },
    boxes=_usual(1.3),
    meshes=_usual(2.3),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with each video, as far as its cost depends on it. codec: encoder, or "auto"."""

    segment_s: float | None = 20.0
    codec: str = "auto"
    preset: str | None = None
    landmarks: bool = False


@dataclass(slots=True)
class Estimate:
    """What an archive would take.

    told_by: videos whose "index" lists all frames, whose "header" tells the length, and of which nothing
    but the "size" is known. unreadable: those that are no videos, and why, 20 at most. bytes_read: of
    all files, to learn this. cpu_hours: a middle and its range; rates: how they were obtained. GPU-hours are
    given only where a sample measured them: nothing else is known of them.
    """

    videos: int = 0
    photos: int = 0
    hours: float = 0.0
    frames: int = 0
    segments: int = 0
    bytes_in: int = 0
    bytes_read: int = 0
    told_by: Counter[str] = field(default_factory=Counter)
    codecs: Counter[str] = field(default_factory=Counter)
    unreadable_count: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    cpu_hours: float = 0.0
    cpu_hours_low: float = 0.0
    cpu_hours_high: float = 0.0
    gpu_hours: float | None = None
    rates: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        plain["unreadable"] = [{"relative": name, "reason": reason} for name, reason in self.unreadable]
        return {**plain, "told_by": dict(self.told_by), "codecs": dict(sorted(self.codecs.items()))}

    def lines(self) -> Iterator[str]:
        """The same for a person, a line at a time."""
        photos = f" and {plural(self.photos, 'photo')}" if self.photos else ""
        yield f"{plural(self.videos, 'video')}{photos}, {lasting(self.hours * 3600)}, {bulk(self.bytes_in)}"
        yield f"about {plural(self.frames, 'frame')} in {plural(self.segments, 'segment')}"
        cpu = tuple(
            lasting(3600 * hours) for hours in (self.cpu_hours, self.cpu_hours_low, self.cpu_hours_high)
        )
        yield f"CPU time: about {cpu[0]}, between {cpu[1]} and {cpu[2]}; {self.rates}"
        if self.gpu_hours is not None:
            yield f"GPU time: about {lasting(3600 * self.gpu_hours)}"
        told = (
            f"{plural(count, 'video')} by {_TOLD_BY[source]}"
            for source, count in sorted(self.told_by.items())
        )
        if self.told_by:
            yield f"known from {'; '.join(told)}; {bulk(self.bytes_read)} were read"
        for name, reason in self.unreadable:
            yield f"no video: {reason if name in reason else f'{name}: {reason}'}"
        if self.unreadable_count > len(self.unreadable):
            yield f"no video: {self.unreadable_count - len(self.unreadable)} more"


def estimate_archive(
    entries: Iterable[Listed],
    config: RunConfig,
    segment_s: float | None = 20.0,
    *,
    rates: Rates = MEASURED,
    open_index: Callable[[Listed], Readable] | None = None,
) -> Estimate:
    """The same as estimate, for what the settings ask for; each video counts whole.

    Raises EffectError.
    """
    landmarks = needs_landmarks(effect_specs(config))
    work = Work(segment_s, config.encode.codec, config.encode.preset, landmarks)
    return estimate(entries, work, rates=rates, open_index=open_index)


def estimate(
    entries: Iterable[Listed],
    work: Work | None = None,
    *,
    rates: Rates = MEASURED,
    open_index: Callable[[Listed], Readable] | None = None,
    gpu_ms_per_megapixel: float | None = None,
    told: Callable[[int], None] = lambda count: None,
) -> Estimate:
    """Add up what the indexes of these files say; several are read at a time.

    open_index: opens a file so that only what is read of it is fetched, from several threads; by default
    local files are opened and of others only the size is known. told: called with how many are done.

    Raises nothing for a bad file: it is counted and named.
    """
    sums = _Sums(work or Work(), rates, gpu_ms_per_megapixel)
    waiting = iter(entries)
    with ThreadPoolExecutor(_READERS) as pool:
        while some := list(islice(waiting, _AT_ONCE)):
            found = pool.map(lambda entry: _look(entry, open_index), some)
            for entry, facts in zip(some, found, strict=True):
                sums.add(entry, facts)
            told(sums.total.videos + sums.total.photos + sums.total.unreadable_count)
    return sums.finished()


def _open_local(entry: Listed) -> Readable:
    return local_path(entry.url).open("rb")


def _look(
    entry: Listed, open_index: Callable[[Listed], Readable] | None
) -> IndexFacts | FacefxError | OSError | None:
    """What a file's index says, None where nothing does, or why it is no video."""
    if PurePosixPath(entry.relative).suffix.lower() in STILL_SUFFIXES:
        return None
    opened = open_index or (_open_local if is_local(entry.url) else None)
    if opened is None:
        return None
    try:
        with closing(opened(entry)) as file:
            return read_index(file, entry.relative, _MOST_INDEX_BYTES)
    except (FacefxError, OSError) as error:
        return error


class _Sums:
    """Adds up; files of which only the size is known wait until the others tell what is usual here."""

    def __init__(self, work: Work, rates: Rates, gpu_ms: float | None) -> None:
        self._work, self._rates, self._gpu_ms = work, rates, gpu_ms
        self._cost = Rate(0, 0, 0)
        self._megapixels = 0.0
        self._known_bytes = 0
        self._unknown: list[int] = []
        self.total = Estimate(rates=rates.source)

    def add(self, entry: Listed, facts: IndexFacts | FacefxError | OSError | None) -> None:
        """Count one file."""
        total = self.total
        if isinstance(facts, FacefxError | OSError):
            total.unreadable_count += 1
            if len(total.unreadable) < _TOLD:
                total.unreadable.append((entry.relative, str(facts)))
            return
        total.bytes_in += entry.size_bytes
        if facts is not None:
            total.told_by[facts.source] += 1
            total.bytes_read += facts.bytes_read
            self._known_bytes += entry.size_bytes
            self._count(facts)
        elif PurePosixPath(entry.relative).suffix.lower() in STILL_SUFFIXES:
            total.photos += 1
        else:
            total.told_by["size"] += 1
            total.videos += 1
            self._unknown.append(entry.size_bytes)

    def _count(self, facts: IndexFacts) -> None:
        total, megapixels = self.total, facts.width * facts.height / 1e6
        total.videos += 1
        total.codecs[facts.codec] += 1
        total.hours += facts.duration_s / 3600
        total.frames += facts.frames
        total.segments += _segments(facts, self._work.segment_s)
        self._megapixels += megapixels * facts.frames
        self._cost += self._rates.frame(self._work, facts.codec, megapixels) * facts.frames

    def finished(self) -> Estimate:
        """Add what is known by size only, and give the whole."""
        total = self.total
        self._guess()
        hours = self._cost * (1 / 3_600_000)
        total.cpu_hours, total.cpu_hours_low, total.cpu_hours_high = hours.ms, hours.low, hours.high
        if self._gpu_ms is not None:
            total.gpu_hours = self._gpu_ms * self._megapixels / 3_600_000
        return total

    def _guess(self) -> None:
        """Take a byte's usual length and cost in this archive, or in any; that may be three times off."""
        total, seconds = self.total, self.total.hours * 3600
        size = sum(self._unknown)
        if not size:
            return
        if seconds and self._known_bytes:
            share = size / self._known_bytes
            more_s, frames = seconds * share, total.frames * share
            megapixels, cost = self._megapixels * share, self._cost * share
        else:
            more_s = size / _USUAL_BYTES_PER_S
            frames, megapixels = more_s * _USUAL_RATE, more_s * _USUAL_RATE * _USUAL_MEGAPIXELS
            cost = self._rates.frame(self._work, "h264", _USUAL_MEGAPIXELS) * frames
        total.hours += more_s / 3600
        total.frames += round(frames)
        self._megapixels += megapixels
        self._cost += Rate(cost.ms, cost.low / 3, cost.high * 3)
        each_s = self._work.segment_s or more_s
        total.segments += max(len(self._unknown), ceil(more_s / each_s))


def _segments(facts: IndexFacts, segment_s: float | None) -> int:
    """About how many segments a video has: cut at the first keyframe after so many seconds."""
    if segment_s is None:
        return 1
    if not facts.keyframes_s:
        return max(1, ceil(facts.duration_s / segment_s))
    count, began = 1, facts.keyframes_s[0]
    for time_s in facts.keyframes_s:
        if time_s - began >= segment_s:
            count, began = count + 1, time_s
    return count
