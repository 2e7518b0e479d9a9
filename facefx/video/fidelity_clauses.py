"""The promises about the picture: how many, when, and what a player is told about them.

Each is one small function from a Pair to a Clause; none decodes, none opens a file.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from facefx.video.fidelity_contract import Clause, Pair
from facefx.video.fidelity_facts import FileFacts, PictureFacts, Tags, VideoHeader
from facefx.video.fidelity_time import Clock, common_shift, off_grid, seconds, worst

__all__ = ["PICTURE_CLAUSES", "TIME_CLAUSES"]

_UNSPECIFIED = 2  # ITU-T H.273: for matrix, primaries and transfer
_FULL = 2  # FFmpeg's AVCOL_RANGE_JPEG
_ASPECT_ROUNDING = Fraction(1, 1000)  # Matroska stores a display size in whole pixels
_HEADER_S = Fraction(1, 5)  # a header counts from zero or from the first packet, with or without warm-up
# SMPTE ST 2086 steps; AV1 stores 16-bit fractions instead, hence one step of rounding either way.
_CHROMA_STEP, _LUMINANCE_STEP = Fraction(1, 25_000), Fraction(1, 100)
_ORDERS = {2: "top field first", 5: "top field first", 3: "bottom field first", 4: "bottom field first"}
_SOME_ORDER = "interlaced, order unknown"


def complete(pair: Pair) -> Clause:
    """Nothing of the output was cut off: no broken packet, none missing that its index lists."""
    faults = [pair.output.error] if pair.output.error else []
    for stream in pair.output.streams:
        broken = int(stream.corrupt.sum())
        if broken:
            faults.append(f"stream {stream.index} has {broken} broken packets")
        demuxed = stream.kind in ("video", "audio", "subtitle") and not stream.still
        if demuxed and pair.output.family == "mov" and stream.packets != stream.indexed:
            faults.append(f"stream {stream.index} has {stream.packets} of {stream.indexed} packets")
    return Clause("complete", not faults, "every packet whole", "; ".join(faults) or "every packet whole")


def frames(pair: Pair) -> Clause:
    """As many pictures as asked for, and as many as the sink says that it wrote."""
    got, written = len(pair.shown), pair.contract.written
    said = "" if written in (None, got) else f", of {written} that were written"
    return Clause("frames", got == pair.count and not said, f"{pair.count}", f"{got}{said}")


def pts(pair: Pair) -> Clause:
    """Every picture at its time, to half a tick of the output, relative to the common start."""
    source, output = pair.source_clock, pair.output_clock
    expected = f"{pair.count} pictures at their times ± half of {output.time_base} s"
    if not len(source.pts) or not len(output.pts):
        return Clause("pts", pair.count == 0, expected, "no picture")
    if pair.exact and len(source.pts) == len(output.pts):
        if common_shift(source, output) is not None:
            return Clause("pts", True, expected, "all at their times")
        at, wanted_s, got_s = worst(source, output)
        off = f"picture {at} is at {seconds(got_s)} instead of {seconds(wanted_s)}"
        return Clause("pts", False, expected, off)
    strays = off_grid(source, output)
    if not strays.any():
        return Clause("pts", True, expected, f"{len(output.pts)} pictures, all at times of the source")
    at = int(np.flatnonzero(strays)[0])
    where = seconds((int(output.pts[at]) - int(output.pts[0])) * output.time_base)
    got = f"{int(strays.sum())} pictures where the source has none, the first is number {at}, {where} in"
    return Clause("pts", False, expected, got)


def duration(pair: Pair) -> Clause:
    """From the first picture to the end of the last one; and the header says what the packets say."""
    lasts = _last_durations(pair)
    clocks = (pair.source_clock, pair.output_clock)
    expected, got = (_span(clock) + last for clock, last in zip(clocks, lasts, strict=True))
    slack = pair.source.video.time_base + pair.output.video.time_base
    ok = got <= expected + slack and (got >= expected - slack or not pair.exact)
    # A subtitle may outlast the film; it has no business to outlast an excerpt.
    kinds = ("video", "audio") if pair.contract.excerpt else ("video", "audio", "subtitle")
    said = _header_fault(pair.output, kinds)
    return Clause("duration", ok and not said, f"{seconds(expected)} ± {seconds(slack)}", seconds(got) + said)


def _span(clock: Clock) -> Fraction:
    """Seconds from the first picture to the last one."""
    return int(clock.pts[-1] - clock.pts[0]) * clock.time_base if len(clock.pts) else Fraction(0)


def _last_durations(pair: Pair) -> tuple[Fraction, Fraction]:
    """How long the last picture stays, in source and output; 0 and 0 where that is not really known.

    MP4 stores the time between two packets, which is the time of a picture only if none is reordered;
    Matroska mostly stores no time for it.
    """
    source = pair.source.last_duration_of(pair.wanted)
    output = pair.output.last_duration_of(pair.shown)
    known = all(one.family == "mov" and not one.video.reordered for one in (pair.source, pair.output))
    return (source, output) if known and source and output else (Fraction(0), Fraction(0))


def _header_fault(facts: FileFacts, kinds: tuple[str, ...]) -> str:
    """Say that a file's header claims another length than its packets fill; "" if not."""
    timed = [one for one in facts.streams if one.kind in kinds and not one.still and len(one.pts)]
    if not facts.duration_s or not timed:
        return ""
    end = max(int((one.pts + one.duration).max()) * one.time_base for one in timed)
    start = min(int(one.pts.min()) * one.time_base for one in timed)
    if min(end, end - start) - _HEADER_S <= facts.duration_s <= max(end, end - start) + _HEADER_S:
        return ""
    return f"; the header says {seconds(facts.duration_s)}, the packets end at {seconds(end)}"


def codec(pair: Pair) -> Clause:
    """The codec that was asked for."""
    got = pair.output.video.codec
    wanted = pair.contract.codec
    return Clause("codec", wanted in (None, got), wanted or "any", got)


def _header(facts: FileFacts) -> VideoHeader:
    header = facts.video.header
    assert header is not None
    return header


def _shot(facts: FileFacts) -> PictureFacts:
    assert facts.picture is not None
    return facts.picture


def rotation(pair: Pair) -> Clause:
    """Turned and mirrored by the player as before."""
    wanted, got = _shot(pair.source).turn, _shot(pair.output).turn
    ok = all(abs(a - b) <= 1 for a, b in zip(wanted, got, strict=True))
    return Clause("rotation", ok, _turn_name(wanted), _turn_name(got))


def _turn_name(turn: tuple[int, int, int, int]) -> str:
    """A display matrix in words."""
    a, b, c, d = turn
    mirrored = a * d - b * c < 0
    degrees = round(np.degrees(np.arctan2(-b, a))) if a or b else 0
    return f"turned {degrees}°{', mirrored' if mirrored else ''}"


def size(pair: Pair) -> Clause:
    """Stored width and height, in the picture and in the container's header."""
    shot, out, header = _shot(pair.source), _shot(pair.output), _header(pair.output)
    ok = (shot.width, shot.height) == (out.width, out.height) == (header.width, header.height)
    got = f"{out.width}x{out.height}"
    if (header.width, header.height) != (out.width, out.height):
        got += f", {header.width}x{header.height} in the header"
    return Clause("size", ok, f"{shot.width}x{shot.height}", got)


def aspect(pair: Pair) -> Clause:
    """Sample aspect ratio; unsaid means 1:1."""
    wanted, got = _header(pair.source).sample_aspect, _header(pair.output).sample_aspect
    ok = abs(got / wanted - 1) <= _ASPECT_ROUNDING
    return Clause(
        "aspect", ok, f"{wanted.numerator}:{wanted.denominator}", f"{got.numerator}:{got.denominator}"
    )


def pixels(pair: Pair) -> Clause:
    """Pixel format and depth; yuvj420p is yuv420p in full range, which the colour clause looks at."""
    wanted = _plain(pair.contract.pixels or _shot(pair.source).pixels)
    got = _plain(_shot(pair.output).pixels)
    return Clause("pixels", wanted == got, wanted, got)


def _plain(pixels: str) -> str:
    return pixels.replace("yuvj", "yuv", 1)


def fields(pair: Pair) -> Clause:
    """Progressive, or the same field first; where a source does not say which, either is right."""
    wanted, got = _order(pair.source), _order(pair.output)
    same = wanted == got or (wanted == _SOME_ORDER and got in _ORDERS.values())
    return Clause("fields", same, wanted, got)


def _order(facts: FileFacts) -> str:
    """Field order in words: the stream's own, else what the first picture says."""
    named = _ORDERS.get(_header(facts).field_order)
    return named or (_SOME_ORDER if _shot(facts).interlaced else "progressive")


def color(pair: Pair) -> Clause:
    """Range, matrix, primaries and transfer; what the container says may not contradict the picture."""
    wanted = _meant(_shot(pair.source).color, _shot(pair.source).pixels)
    shot = _meant(_shot(pair.output).color, _shot(pair.output).pixels)
    header = _meant(_header(pair.output).color, _shot(pair.output).pixels)
    clash = [
        name
        for name, ours, its in zip(Tags._fields, wanted, header, strict=True)
        if its not in (ours, _UNSPECIFIED) and name != "range"
    ]
    got = _tags_name(shot) + (f"; the container's {', '.join(clash)}: {_tags_name(header)}" if clash else "")
    return Clause("color", shot == wanted and not clash, _tags_name(wanted), got)


def _meant(tags: Tags, pixels: str) -> Tags:
    """Tags with what silence means: YUV without a range is limited, yuvj is full."""
    if pixels.startswith("yuvj"):
        return tags._replace(range=_FULL)
    return tags._replace(range=tags.range or 1)


def _tags_name(tags: Tags) -> str:
    range_name = "full" if tags.range == _FULL else "limited"
    return f"{range_name} range, matrix {tags.matrix}, primaries {tags.primaries}, transfer {tags.transfer}"


def hdr(pair: Pair) -> Clause:
    """Static HDR side data: mastering display and content light level."""
    wanted, got = _shot(pair.source), _shot(pair.output)
    ok = wanted.light == got.light and _same_mastering(wanted.mastering, got.mastering)
    return Clause("hdr", ok, _hdr_name(wanted), _hdr_name(got))


def _same_mastering(a: tuple[Fraction, ...] | None, b: tuple[Fraction, ...] | None) -> bool:
    """Equal to the coarsest step that a container stores."""
    if a is None or b is None or len(a) != len(b):
        return a is b
    steps = [_CHROMA_STEP if i < 8 and len(a) > 2 else _LUMINANCE_STEP for i in range(len(a))]
    return all(abs(x - y) <= step for x, y, step in zip(a, b, steps, strict=True))


def _hdr_name(shot: PictureFacts) -> str:
    parts = []
    if shot.mastering:
        parts.append("mastering " + " ".join(f"{float(value):.5g}" for value in shot.mastering))
    if shot.light:
        parts.append(f"light {shot.light[0]}/{shot.light[1]} cd/m²")
    return ", ".join(parts) or "none"


TIME_CLAUSES = (complete, frames, pts, duration, codec)
PICTURE_CLAUSES = (rotation, size, aspect, pixels, fields, color, hdr)
