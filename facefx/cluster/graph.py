"""One segment over several processes: frames go to the store once, facts go round, and one conducts.

The last group's process is the conductor. It asks the source for batches, hands facts on with references to
the frames they are about, and runs its own stages. A batch leaves the store when the last stage has it.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from facefx.cluster.failure import PeerLostError, error_of
from facefx.cluster.group import Chain, Facts, Reply, Told, work_of
from facefx.pipeline.report import process_cost
from facefx.pipeline.runner import Failure
from facefx.pipeline.segment import (
    Nets,
    SegmentJob,
    SegmentResult,
    finish_result,
    run_segment,
    stage_names,
)
from facefx.pipeline.segment_stages import SegmentEncode
from facefx.values.frames import frames_in_batch
from facefx.video.pack import can_pack

__all__ = ["Conductor", "Peer", "allot"]

_log = logging.getLogger("facefx.cluster")

# Reads asked for at once: one that is being made, and one queued so that the reader never waits for us.
_READS = 2
# A peer that is asked to close has at most the batches in flight before it.
_CLOSE_S = 60.0
# Stages that hand margins on untouched.
_PASSES_MARGINS = frozenset({"blend", "encode"})


@dataclass(frozen=True, slots=True)
class Peer:
    """Another process of the graph: its actor and the stages that the placement gives it."""

    actor: Any
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch in the store."""

    ref: Any
    first: int
    count: int
    nbytes: int


@dataclass(slots=True)
class _Station:
    """A peer at work on this segment. calls: answers that are due, in order; asked to end when `closing`."""

    peer: Peer
    names: tuple[str, ...]
    calls: deque[tuple[Any, Any]] = field(default_factory=deque)
    closing: bool = False


class _RefusedError(Exception):
    """Frames hold something that cannot leave their process."""


def allot(groups: Sequence[tuple[str, ...]], names: Sequence[str]) -> list[tuple[str, ...]]:
    """What each group runs of one job's stages; a group may have nothing to do.

    >>> allot([("decode",), ("detect", "landmark"), ("encode",)], ["decode", "faces", "encode"])
    [('decode',), ('faces',), ('encode',)]
    """
    seats = ["detect" if name == "faces" else name for name in names]
    return [tuple(names[seats.index(seat)] for seat in group if seat in seats) for group in groups]


class Conductor:
    """Runs segments over peers and its own last stages; one at a time, in one thread.

    window_bytes: of frames in flight; where everything waits for input one batch more is read, so stages
    that look ahead never starve. most_bytes: the most that was in flight in the last segment. whole: how
    many segments had to run in this process alone.
    """

    def __init__(
        self, peers: Sequence[Peer], own: tuple[str, ...], window_bytes: int, where: str = ""
    ) -> None:
        self._peers = peers
        self._own = own
        self._window_bytes = window_bytes
        self._where = where
        self.most_bytes = 0
        self.whole = 0

    def run(self, job: SegmentJob, nets: Nets) -> SegmentResult:
        """Make one segment.

        Raises any error of the tree, as run_segment does; PeerLostError if a peer is gone.
        """
        self.most_bytes = 0
        packing = can_pack(job.info)
        reason = packing.reason
        if packing and self._peers:
            try:
                return _Run(self, job, nets).result()
            except _RefusedError as refused:
                reason = str(refused)
        if reason:
            self.whole += 1
            _log.warning(
                "segment kept in one process",
                extra={"source": job.info.path, "segment": job.span.number, "reason": reason},
            )
        return run_segment(job, nets)

    def _stations(self, names: Sequence[str]) -> tuple[list[_Station], tuple[str, ...]]:
        *others, own = allot([*(peer.names for peer in self._peers), self._own], names)
        pairs = zip(self._peers, others, strict=True)
        return [_Station(peer, given) for peer, given in pairs if given], own


class _Run:
    """One segment on its way."""

    def __init__(self, conductor: Conductor, job: SegmentJob, nets: Nets) -> None:
        self._conductor, self._job, self._nets = conductor, job, nets
        self._names = stage_names(job)
        self._stations, self._own = conductor._stations(self._names)
        self._held: list[_Batch] = []
        self._todo: deque[Facts] = deque()
        self._over = self._came = False
        self._before: Facts | None = None
        format_ = job.info.video.format
        self._batch_bytes = frames_in_batch(format_.frame_bytes) * format_.frame_bytes

    def result(self) -> SegmentResult:
        began, cpu_s = time.perf_counter(), process_cost()[0]
        with ExitStack() as opened:
            opened.callback(self._close)
            self._begin()
            chain = Chain(self._own, self._job, self._nets)
            encode = chain.stages[-1]
            assert isinstance(encode, SegmentEncode)
            opened.callback(encode.discard)
            opened.callback(chain.close)
            self._conduct(chain)
            told = [*self._tell(), chain.tell()]
            rows = {row.stage: row for part in told for row in part.rows}
            return finish_result(
                self._job,
                encode,
                {name: facts for part in told for name, facts in part.told.items()},
                [rows[name] for name in self._names],
                time.perf_counter() - began,
                process_cost()[0] - cpu_s + sum(part.cpu_s for part in told[:-1]),
            )

    def _begin(self) -> None:
        begun = [station.peer.actor.begin.remote(station.names, self._job) for station in self._stations]
        for failure in self._get(begun):
            if failure is not None:
                raise error_of(failure)

    def _conduct(self, chain: Chain) -> None:
        while True:
            self._read_ahead()
            self._collect(wait=not self._todo)
            if self._todo:
                facts = self._todo.popleft()
                for wanted in self._wanted(facts):
                    for _ in chain.push(self._work(wanted)):
                        pass
                self._release(facts.first if self._before is facts else facts.first + facts.count)
            elif self._over:
                break
        for _ in chain.drain():
            pass

    def _wanted(self, facts: Facts) -> list[Facts]:
        """What of this our own stages must see; frames of margins need not come here to be passed over.

        Of the margin before, the last work is kept for its faces, by which tracks are followed over the cut.
        """
        if not _PASSES_MARGINS.issuperset(self._own):
            return [facts]
        before, self._before = self._before, None
        if facts.own:
            self._came = True
            return [facts] if before is None else [before, facts]
        if not self._came:
            self._before = facts
        return []

    def _read_ahead(self) -> None:
        """Ask for as many batches as there are credits for."""
        source = self._stations[0]
        while not source.closing and len(source.calls) < _READS:
            flying = self._flying + self._batch_bytes
            starving = not self._todo and not any(station.calls for station in self._stations)
            if flying > self._conductor._window_bytes and not starving:
                return
            source.calls.append(tuple(source.peer.actor.pull.options(num_returns=2).remote()))

    @property
    def _flying(self) -> int:
        due = len(self._stations[0].calls) * self._batch_bytes
        return due + sum(batch.nbytes for batch in self._held)

    def _collect(self, wait: bool) -> None:
        """Take the answers that are there, each station's in its order; wait for one if asked to."""
        heads = {station.calls[0][0]: i for i, station in enumerate(self._stations) if station.calls}
        if not heads:
            return
        ready, _ = ray.wait(
            list(heads), num_returns=1 if wait else len(heads), timeout=None if wait else 0, fetch_local=True
        )
        for ref in ready:
            self._take(heads[ref])

    def _take(self, i: int) -> None:
        reply_ref, packed_ref = self._stations[i].calls.popleft()
        reply: Reply = self._get([reply_ref])[0]
        if reply.failure is not None:
            raise error_of(reply.failure)
        if reply.refused:
            raise _RefusedError(reply.refused)
        if reply.packed is not None:
            self._held.append(_Batch(packed_ref, *reply.packed))
            self._conductor.most_bytes = max(self._conductor.most_bytes, self._flying)
        for facts in reply.ready:
            self._hand_on(i + 1, facts)
        if reply.ended and not self._stations[i].closing:
            self._stations[i].closing = True
            self._end(i + 1)

    def _hand_on(self, i: int, facts: Facts) -> None:
        if i == len(self._stations):
            self._todo.append(facts)
            return
        station = self._stations[i]
        refs = [batch.ref for batch in self._covering(facts)]
        station.calls.append((station.peer.actor.push.remote(facts, *refs), None))

    def _end(self, i: int) -> None:
        if i == len(self._stations):
            self._over = True
            return
        station = self._stations[i]
        station.calls.append((station.peer.actor.flush.remote(), None))

    def _covering(self, facts: Facts) -> list[_Batch]:
        """The batches that hold these frames; they lie in order and without a gap."""
        start = bisect_right(self._held, facts.first, key=lambda batch: batch.first) - 1
        stop = bisect_right(self._held, facts.first + facts.count - 1, key=lambda batch: batch.first)
        return self._held[start:stop]

    def _work(self, facts: Facts) -> Any:
        packed = self._get([batch.ref for batch in self._covering(facts)])
        return work_of(facts, packed)

    def _release(self, done: int) -> None:
        """Let go of the batches whose frames have all come out."""
        while self._held and self._held[0].first + self._held[0].count <= done:
            del self._held[0]

    def _tell(self) -> list[Told]:
        told = self._get([station.peer.actor.tell.remote() for station in self._stations])
        for part in told:
            if isinstance(part, Failure):
                raise error_of(part)
        return list(told)

    def _close(self) -> None:
        """End the segment everywhere, bounded in time; a peer that does not answer is lost."""
        self._held.clear()
        self._todo.clear()
        closing = [station.peer.actor.close.remote() for station in self._stations]
        for station in self._stations:
            station.calls.clear()
        self._get(closing, _CLOSE_S)

    def _get(self, refs: Sequence[Any], timeout_s: float | None = None) -> list[Any]:
        try:
            return list(ray.get(list(refs), timeout=timeout_s))
        except RayTaskError as error:
            raise error_of(Failure.of(error.cause or error, self._conductor._where)) from error
        except RayError as error:
            raise PeerLostError(
                f"segment {self._job.span.number} of {self._job.info.path}: a process of its graph is gone: "
                f"{type(error).__name__}; the segment will be done again"
            ) from error
