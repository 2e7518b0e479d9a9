"""The promises about the copied streams: every packet of sound and subtitles, and when it plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from facefx.video.fidelity_contract import Clause, Pair
from facefx.video.fidelity_facts import UNPACKETED, StreamFacts
from facefx.video.fidelity_time import Clock, Shift, common_shift, seconds, worst

__all__ = ["STREAM_CLAUSES"]

_NEAR_S = Fraction(1, 10)  # an excerpt may keep this much sound around it, for decoders that warm up
# The start of a track is stored in MP4's movie time scale (1/1000), once for picture and once for sound.
_EDIT_S = {"mov": Fraction(1, 1000)}


@dataclass(frozen=True, slots=True)
class Track:
    """A source stream and the output stream that should be its copy.

    start: which packet of the source is the output's first. earliest: pts before which the output
    shows nothing: a subtitle that an excerpt cuts into begins with the excerpt. problem: why it is no
    copy, or "".
    """

    source: StreamFacts
    output: StreamFacts
    start: int
    earliest: int | None
    problem: str

    def clocks(self) -> tuple[Clock, Clock]:
        """Packet times of both sides, packet by packet."""
        ours = self.source.pts[self.start : self.start + len(self.output.pts)]
        if self.earliest is not None:
            ours = np.maximum(ours, self.earliest)
        return Clock(ours, self.source.time_base), Clock(self.output.pts, self.output.time_base)


def tracks(pair: Pair, kind: str) -> Iterator[Track]:
    """Pair the kept streams of one kind with those found, in order."""
    for source, output in zip(pair.kept(kind), pair.output.of_kind(kind), strict=False):
        start, problem = _run(pair, source, output)
        cut = pair.contract.excerpt and kind == "subtitle"
        earliest = round(pair.first_s / source.time_base) if cut else None
        yield Track(source, output, start, earliest, problem)


def _run(pair: Pair, source: StreamFacts, output: StreamFacts) -> tuple[int, str]:
    """Find the output's packets in the source's: (first packet, problem)."""
    n = len(output.digests)
    if not pair.contract.excerpt:
        unbroken = source.digests[~source.corrupt]
        same = np.array_equal(output.digests, source.digests) or (
            pair.contract.on_damage == "keep" and np.array_equal(output.digests, unbroken)
        )
        if same or (source.codec.startswith(UNPACKETED) and output.whole == source.whole):
            return 0, ""
        return 0, _difference(source.digests, output.digests)
    inside, near = _within(pair, source, Fraction(0)), _within(pair, source, _NEAR_S)
    # Where no packet lies wholly inside, any of those that touch the excerpt may be the first.
    last = max(inside.start, near.start) if inside else near.stop
    for start in range(near.start, last + 1):
        covers = inside.stop <= start + n <= near.stop
        if covers and np.array_equal(source.digests[start : start + n], output.digests):
            return start, ""
    return inside.start, (
        f"{n} packets that are not the source's {inside.start} to {inside.stop - 1} "
        f"(or up to {near.start} to {near.stop - 1})"
    )


def _within(pair: Pair, stream: StreamFacts, around: Fraction) -> range:
    """Packets of a stream inside the excerpt; with around: those that touch it, widened by so much."""
    low, high = pair.asked if around else pair.filled
    starts, ends = stream.pts, stream.pts + stream.duration
    chosen = np.ones(len(starts), np.bool_)
    if low is not None:
        edge = (low - around) / stream.time_base
        chosen &= ends > floor(edge) if around else starts >= ceil(edge)
    if high is not None:
        edge = (high + around) / stream.time_base
        chosen &= starts < ceil(edge) if around else ends <= floor(edge)
    at = np.flatnonzero(chosen)
    return range(int(at[0]), int(at[-1]) + 1) if len(at) else range(0)


def _difference(wanted: NDArray[np.uint64], got: NDArray[np.uint64]) -> str:
    n = min(len(wanted), len(got))
    other = np.flatnonzero((wanted[:n] != got[:n]).any(axis=1))
    if len(other):
        return f"packet {other[0]} of {len(wanted)} has another payload"
    return f"{len(got)} of {len(wanted)} packets"


def _copied(pair: Pair, kind: str, name: str) -> Clause:
    """Every stream of a kind there, every packet of it the same, evenly in time."""
    wanted, found = pair.kept(kind), pair.output.of_kind(kind)
    faults = [] if len(wanted) == len(found) else [_count(found)]
    for track in tracks(pair, kind):
        place = f"stream {track.output.index}"
        if track.problem:
            faults.append(f"{place}: {track.problem}")
        wanted_format, format = _format(pair, track.source), _format(pair, track.output)
        if wanted_format != format:
            faults.append(f"{place}: {format} instead of {wanted_format}")
        uneven = "" if track.problem else _unevenness(pair, track)
        faults += [f"{place}: {uneven}"] if uneven else []
    packets = sum(len(stream.digests) for stream in wanted)
    part = "the excerpt of " if pair.contract.excerpt else ""
    expected = f"{_count(wanted)}, {part}{packets} packets"
    return Clause(name, not faults, expected, "; ".join(faults) or "the same packets")


def _count(streams: tuple[StreamFacts, ...]) -> str:
    return "1 stream" if len(streams) == 1 else f"{len(streams)} streams"


def _format(pair: Pair, stream: StreamFacts) -> str:
    """Codec, and for sound rate and channels; not for AAC elsewhere: MPEG-TS may tell them without SBR."""
    told = stream.kind == "audio" and (stream.codec != "aac" or pair.source.family == pair.output.family)
    sound = f" {stream.rate} Hz {stream.channels} ch" if told else ""
    # MP4 has one number for MPEG audio of all layers, which FFmpeg reads back as layer 3.
    codec = "mpeg audio" if stream.codec in ("mp1", "mp2", "mp3") else stream.codec
    return f"{codec}{sound}"


def _shift(pair: Pair, track: Track) -> Shift | None:
    """The one shift of all packets of a copy; None if there is none.

    MPEG-TS has one time for several frames of sound; its reader adds up rounded durations.
    """
    source, output = track.clocks()
    tick = max(source.time_base, output.time_base)
    if "mpegts" in (pair.source.family, pair.output.family):
        tick *= 3
    return common_shift(source, output, tick)


def _unevenness(pair: Pair, track: Track) -> str:
    """Say which packet lies elsewhere than its neighbours tell; "" if none."""
    source, output = track.clocks()
    recut = track.source.codec.startswith(UNPACKETED)
    if len(source.pts) != len(output.pts) or not len(output.pts) or recut:
        return ""  # only the first packet is sure to have a partner
    if _shift(pair, track) is not None:
        return ""
    at, wanted_s, got_s = worst(source, output)
    return f"packet {at} is at {seconds(got_s)} instead of {seconds(wanted_s)}"


def audio(pair: Pair) -> Clause:
    """Every packet of every kept audio stream."""
    return _copied(pair, "audio", "audio")


def subtitles(pair: Pair) -> Clause:
    """Every packet of every kept subtitle stream."""
    return _copied(pair, "subtitle", "subtitles")


def sync(pair: Pair) -> Clause:
    """Each track begins as long before or after the first picture as it did."""
    expected, got, ok = [], [], True
    for track in (*tracks(pair, "audio"), *tracks(pair, "subtitle")):
        source, output = track.clocks()
        lost = pair.contract.excerpt and track.problem  # nobody knows which packet is the first one
        if lost or pair.shift is None or not len(source.pts) or not len(output.pts):
            continue
        offsets = [_lag(ours, pictures) for ours, pictures in _against(pair, track)]
        expected.append(f"stream {track.output.index} {seconds(offsets[0])}")
        got.append(f"stream {track.output.index} {seconds(offsets[1])}")
        fits = _shift(pair, track) or _first_only(source, output)
        slack = _EDIT_S.get(pair.output.family, Fraction(0))
        if not fits.meets(pair.shift, slack):
            ok = False
        warm_up = _lost_warm_up(pair, track, slack)
        if warm_up:
            ok = False
            got[-1] += f", {warm_up}"
    return Clause("sync", ok, ", ".join(expected) or "no track", ", ".join(got) or "no track")


def _against(pair: Pair, track: Track) -> tuple[tuple[Clock, Clock], tuple[Clock, Clock]]:
    source, output = track.clocks()
    return (source, pair.source_clock), (output, pair.output_clock)


def _lag(track: Clock, pictures: Clock) -> Fraction:
    """Seconds from the first picture to the first packet of a track."""
    return int(track.pts[0]) * track.time_base - int(pictures.pts[0]) * pictures.time_base


def _first_only(source: Clock, output: Clock) -> Shift:
    """The shift of the first packet, give or take its rounding."""
    moved = int(output.pts[0]) * output.time_base - int(source.pts[0]) * source.time_base
    return Shift(moved - output.time_base / 2, moved + output.time_base / 2)


def _lost_warm_up(pair: Pair, track: Track, slack: Fraction) -> str:
    """Say that the part a decoder throws away at the start is another; "" where containers differ.

    Only a container of the same family is sure to have a place for it (edit list, codec delay).
    """
    source, output = track.source, track.output
    if pair.contract.excerpt or pair.source.family != pair.output.family or not (source.rate and output.rate):
        return ""
    wanted, got = Fraction(source.skip, source.rate), Fraction(output.skip, output.rate)
    if abs(wanted - got) <= slack + source.time_base + output.time_base:
        return ""
    return f"{seconds(got)} of it skipped instead of {seconds(wanted)}"


STREAM_CLAUSES = (audio, subtitles, sync)
