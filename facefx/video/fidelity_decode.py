"""Does the output decode, and to as many pictures as it has packets? All of it, or samples."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from av.error import FFmpegError

from facefx.video.fidelity_contract import Clause, DecodeLevel, Pair
from facefx.video.fidelity_facts import FileFacts, PictureFacts, Times
from facefx.video.fidelity_scan import packets, picture_facts
from facefx.video.guard import Limits, foreign_errors, open_source, prepare_decoder

__all__ = ["Decoded", "decodes", "presented"]

_SAMPLES = 8  # groups of pictures looked into
_RUN = 8  # packets decoded of each


@dataclass(slots=True)
class Decoded:
    """What came out of a decoder: times in its order, packets it refused, pictures it called broken."""

    pts: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    errors: int = 0
    broken: int = 0
    odd: str = ""


def presented(facts: FileFacts, limits: Limits | None = None) -> Decoded:
    """Decode a whole source as a run does and note when each picture is shown; pixels are dropped at once.

    A picture that comes out after a later one is not shown: its time is left out.
    """
    result = _decode(facts, limits, None, strict=False)
    before = np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(result.pts)[:-1]])
    result.pts = result.pts[result.pts > before[: len(result.pts)]]
    return result


def decodes(pair: Pair, level: DecodeLevel, limits: Limits | None = None) -> Clause:
    """The output's packets turn into pictures, without a fault, all alike and at the packets' times."""
    output = pair.output
    if output.picture is None:
        return Clause("decodes", False, "a first picture", output.error or "no picture")
    if level == "none":
        return Clause("decodes", True, "the first picture", "the first picture")
    chosen = _sample(output) if level == "sample" else None
    result = _decode(output, limits, chosen)
    faults = [f"{result.errors} packets refused"] if result.errors else []
    faults += [f"{result.broken} pictures broken"] if result.broken else []
    faults += [result.odd] if result.odd else []
    if chosen is None and not np.array_equal(result.pts, pair.shown):
        faults.append(f"{len(result.pts)} pictures, not at the times of the packets")
    n = len(output.video.pts) if chosen is None else len(chosen)
    got = "; ".join(faults) or f"{len(result.pts)} pictures without a fault"
    return Clause(
        "decodes", not faults, f"{n} of {len(output.video.pts)} packets decode without a fault", got
    )


def _sample(facts: FileFacts) -> frozenset[int]:
    """Positions, in the order of the file, of the video packets to decode: runs that begin at keyframes."""
    keys = np.flatnonzero(facts.video.keyframes)
    if not len(keys):
        return frozenset(range(min(_RUN, len(facts.video.pts))))
    picked = keys[np.unique(np.linspace(0, len(keys) - 1, _SAMPLES).round().astype(int))]
    ends = np.append(keys[1:], len(facts.video.pts))
    limit = dict(zip(keys.tolist(), ends.tolist(), strict=True))
    return frozenset(at for key in picked.tolist() for at in range(key, min(key + _RUN, limit[key])))


def _decode(
    facts: FileFacts, limits: Limits | None, chosen: frozenset[int] | None, *, strict: bool = True
) -> Decoded:
    """Decode a file's main video, whole or in runs; each run starts with an empty decoder.

    strict: the decoder refuses what it would otherwise patch up.
    """
    result, times = Decoded(), array("q")
    limits = limits or Limits()
    with foreign_errors(facts.path, "decoding"), open_source(facts.path, limits) as container:
        stream: Any = container.streams[facts.main]
        prepare_decoder(stream, limits, threads=1)
        if strict:
            stream.codec_context.options = {**stream.codec_context.options, "err_detect": "explode"}
        for frame in _pictures(container, stream, chosen, result):
            time = frame.dts if frame.pts is None else frame.pts
            if time is not None:
                times.append(time)
            result.broken += frame.is_corrupt
            if not result.odd:
                result.odd = _oddity(facts.picture, picture_facts(frame))
    result.pts = np.frombuffer(times, np.int64)
    return result


def _pictures(container: Any, stream: Any, chosen: frozenset[int] | None, result: Decoded) -> Iterator[Any]:
    """Give what the decoder gives; a packet that it refuses is counted once a keyframe has come."""
    started, before = False, -2
    for at, packet in enumerate(one for one in _video_packets(container, stream, result)):
        if chosen is not None and at not in chosen:
            continue
        if chosen is not None and at != before + 1 and before >= 0:
            yield from _flush(stream)
        before = at
        started = started or packet.is_keyframe
        try:
            yield from stream.codec_context.decode(packet)
        except FFmpegError:
            result.errors += started
    yield from _flush(stream)


def _video_packets(container: Any, stream: Any, result: Decoded) -> Iterator[Any]:
    try:
        for packet in packets(container):
            if packet.stream_index == stream.index:
                yield packet
    except FFmpegError:
        result.errors += 1


def _flush(stream: Any) -> list[Any]:
    """Empty the decoder and make it ready for packets from elsewhere."""
    try:
        frames: list[Any] = stream.codec_context.decode(None)
    except FFmpegError:
        frames = []
    stream.codec_context.flush_buffers()
    return frames


def _oddity(usual: PictureFacts | None, this: PictureFacts) -> str:
    """Say in which way a picture is not like the first one; "" if it is."""
    if usual is None:
        return ""
    for name in ("width", "height", "pixels", "turn", "color"):
        if getattr(usual, name) != getattr(this, name):
            return f"a picture with another {name}: {getattr(this, name)} instead of {getattr(usual, name)}"
    return ""
