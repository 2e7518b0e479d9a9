"""The fidelity contract: the output is the input with changed faces, and nothing else changed.

Two independent passes over packets answer it, with one picture of each file decoded. Decoding the
output as well costs up to a quarter of the run that made it, so that is a choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

import numpy as np

from facefx.errors import FidelityError, SourceError
from facefx.video.fidelity_clauses import PICTURE_CLAUSES, TIME_CLAUSES
from facefx.video.fidelity_contract import Clause, Contract, DecodeLevel, Pair
from facefx.video.fidelity_decode import decodes, presented
from facefx.video.fidelity_facts import FileFacts, Times
from facefx.video.fidelity_scan import scan
from facefx.video.fidelity_streams import STREAM_CLAUSES
from facefx.video.fidelity_tags import TAG_CLAUSES
from facefx.video.guard import Limits

__all__ = ["Clause", "Contract", "DecodeLevel", "FidelityReport", "verify"]


@dataclass(frozen=True, slots=True)
class FidelityReport:
    """Every clause of the contract, held or broken."""

    source: str
    output: str
    clauses: tuple[Clause, ...]

    @property
    def ok(self) -> bool:
        """True if every clause holds."""
        return not self.broken

    @property
    def broken(self) -> tuple[Clause, ...]:
        """The clauses that do not hold."""
        return tuple(clause for clause in self.clauses if not clause.ok)

    def raise_if_broken(self) -> None:
        """Raise FidelityError that names each broken clause with what was expected and what was found."""
        if self.broken:
            parts = [f"{one.name}: expected {one.expected}, got {one.got}" for one in self.broken]
            raise FidelityError(
                f"{self.output}: differs from {self.source} where it must not: {' | '.join(parts)}; "
                "do not use this file"
            )

    def to_json(self) -> dict[str, object]:
        """Only dicts, lists, strings and booleans."""
        return {
            "source": self.source,
            "output": self.output,
            "ok": self.ok,
            "clauses": [asdict(clause) for clause in self.clauses],
        }


def verify(
    source: str | Path,
    output: str | Path,
    contract: Contract | None = None,
    *,
    decode: DecodeLevel = "none",
    limits: Limits | None = None,
) -> FidelityReport:
    """Hold an output against its source.

    decode: what of the output is decoded beyond its first picture: none of it, a sample (the start of up to
    eight groups of pictures and the end), or all. A breach raises nothing: it is in the report.

    Raises SourceError if the source or a missing output cannot be read.
    """
    contract = contract or Contract()
    facts = scan(source, limits)
    if facts.picture is None:
        raise SourceError(f"{source}: no picture can be decoded ({facts.error}); there is nothing to verify")
    if not Path(output).exists():
        raise SourceError(f"{output}: no such file; there is nothing to verify")
    try:
        found = scan(output, limits)
    except SourceError as error:
        unreadable = Clause("readable", False, "a video", str(error))
        return FidelityReport(str(source), str(output), (unreadable,))
    pair = _pair(facts, found, contract, limits)
    clauses = (*_clauses(pair), decodes(pair, decode, limits))
    return FidelityReport(str(source), str(output), clauses)


def _clauses(pair: Pair) -> Iterator[Clause]:
    yield Clause("readable", True, "a video", pair.output.container)
    for check in TIME_CLAUSES:
        yield check(pair)
    if pair.output.picture is not None:  # without one, the clause on decoding fails
        for check in PICTURE_CLAUSES:
            yield check(pair)
    for check in (*STREAM_CLAUSES, *TAG_CLAUSES):
        yield check(pair)


def _pair(source: FileFacts, output: FileFacts, contract: Contract, limits: Limits | None) -> Pair:
    """Work out which pictures the output must show."""
    if contract.on_damage == "keep":
        wanted = _excerpt(source, source.video.presented, contract)
        count = contract.readable
        if count is None:
            count = len(_excerpt(source, presented(source, limits).pts, contract))
        return Pair(source, output, contract, wanted, count, exact=count == len(wanted))
    wanted = _excerpt(source, source.video.presented, contract)
    pair = Pair(source, output, contract, wanted, _promised(source, wanted, contract))
    if len(pair.shown) == pair.count:
        return pair
    # A packet is not always a picture (fields, hidden and undecodable leading pictures): before the output
    # is blamed, the source is decoded. Its count holds only if not one packet of it was in error.
    decoded = presented(source, limits)
    if decoded.errors or decoded.broken or _is_cut(source):
        return pair
    wanted = _excerpt(source, decoded.pts, contract)
    return Pair(source, output, contract, wanted, len(wanted))


def _promised(source: FileFacts, wanted: Times, contract: Contract) -> int:
    """How many pictures the source has; its own index knows of those that were cut off."""
    if _is_cut(source) and not contract.excerpt:
        return max(len(wanted), source.video.shown_indexed)
    return len(wanted)


def _is_cut(source: FileFacts) -> bool:
    video = source.video
    return bool(source.error or video.corrupt.any()) or (
        source.family == "mov" and video.packets < video.indexed
    )


def _excerpt(source: FileFacts, times: Times, contract: Contract) -> Times:
    """The pictures with from_s ≤ t < to_s on a player's clock."""
    low, high = contract.range_of(source)
    if low is None and high is None:
        return times
    chosen = np.ones(len(times), np.bool_)
    if low is not None:
        chosen &= times >= ceil(low / source.video.time_base)
    if high is not None:
        chosen &= times < ceil(high / source.video.time_base)
    return times[chosen]
