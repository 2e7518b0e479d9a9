"""The stages of one group in its own process: fed by calls, a batch at a time."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from facefx.errors import ShapeError
from facefx.pipeline.loop import drain, guarded, push, read
from facefx.pipeline.report import process_cost
from facefx.pipeline.runner import Failure
from facefx.pipeline.segment import Nets, SegmentJob, SegmentSource, SegmentStage, make_source, make_stage
from facefx.pipeline.stage import Work
from facefx.telemetry.ledger import Ledger, StageRow
from facefx.values import FrameBatch
from facefx.video.pack import PackedBatch, can_pack_batch, pack, unpack

__all__ = ["Chain", "Facts", "Reply", "Segment", "Told", "facts_of", "work_of"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What travels of a piece of work, its frames left out: they are count frames from index first.

    own: False for a margin's. faces: pickled, so that they own their memory at the other end: an array that
    lies in the object store keeps all that was stored with it there.
    """

    first: int
    count: int
    own: bool = True
    faces: bytes | None = None
    patches: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a group answers: work that is ready, in order.

    packed: first index, number of frames and bytes of the batch that was read. ended: nothing more comes.
    refused: why frames cannot leave this process. failure: what went wrong.
    """

    ready: tuple[Facts, ...] = ()
    packed: tuple[int, int, int] | None = None
    ended: bool = False
    refused: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A group's account of one segment: of each stage what it did, and the ledger's rows."""

    told: Mapping[str, dict[str, Any]]
    rows: tuple[StageRow, ...]
    cpu_s: float


def facts_of(work: Work, job: SegmentJob) -> Facts:
    """Leave the frames behind."""
    index = work.batch.index
    if len(index) and int(index[-1]) - int(index[0]) + 1 != len(index):
        raise ShapeError(f"a batch must hold frames in a row, got the indexes {index.tolist()}")
    faces = None if work.faces is None else pickle.dumps(work.faces, 5)
    return Facts(int(index[0]), len(index), job.owns(work.batch), faces, work.patches)


def work_of(facts: Facts, packed: Sequence[PackedBatch]) -> Work:
    """Join facts and their frames again; packed: the batches that hold them, in order."""
    parts = []
    for batch in packed:
        start = max(0, facts.first - int(batch.index[0]))
        stop = min(len(batch), facts.first + facts.count - int(batch.index[0]))
        whole = unpack(batch)
        parts.append(whole if (start, stop) == (0, len(batch)) else whole.select(start, stop))
    faces = None if facts.faces is None else pickle.loads(facts.faces)
    return Work(_joined(parts), faces, facts.patches)


def _joined(parts: Sequence[FrameBatch]) -> FrameBatch:
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        planes=tuple(planes for part in parts for planes in part.planes),
        pts=np.concatenate([part.pts for part in parts]),
        index=np.concatenate([part.index for part in parts]),
        native=tuple(frame for part in parts for frame in part.native),
    )


class Chain:
    """Stages one behind the other, in the caller's thread; the source, if any, is the first.

    Raises what a stage raises: an error of the tree as it is, any other as StageError.
    """

    def __init__(self, names: Sequence[str], job: SegmentJob, nets: Nets) -> None:
        self.ledger = Ledger(names)
        self._cpu_s = process_cost()[0]
        self.source: SegmentSource | None = None
        self.stages: list[SegmentStage] = []
        self._setup_done: list[SegmentSource | SegmentStage] = []
        try:
            self._open(names, job, nets)
        except BaseException:
            self.close()
            raise

    def _open(self, names: Sequence[str], job: SegmentJob, nets: Nets) -> None:
        self.ledger.begin()
        made: list[SegmentSource | SegmentStage] = []
        for name in names:
            if name == "decode":
                self.source = guarded(name, partial(make_source, job))
                made.append(self.source)
            else:
                stage = guarded(name, partial(make_stage, name, job, nets))
                self.stages.append(stage)
                made.append(stage)
        for stage_or_source in made:
            self._setup_done.append(stage_or_source)
            with self.ledger.setup(stage_or_source.name):
                guarded(stage_or_source.name, stage_or_source.setup)
        self._items = iter(()) if self.source is None else self.source.items()

    def read(self) -> Work | None:
        """The source's next work; None where it ends."""
        assert self.source is not None
        return read(self.ledger, self.source.name, self._items)

    def push(self, work: Work) -> Iterator[Work]:
        """Take work through the stages."""
        return push(self.ledger, self.stages, work)

    def drain(self) -> Iterator[Work]:
        """Nothing more comes: what the stages kept back, in order."""
        return drain(self.ledger, self.stages)

    def tell(self) -> Told:
        """The stages' account; after the end."""
        every: list[SegmentSource | SegmentStage] = [*self.stages]
        if self.source is not None:
            every.insert(0, self.source)
        told = {stage.name: stage.told for stage in every}
        return Told(told, self.ledger.rows(), process_cost()[0] - self._cpu_s)

    def close(self) -> None:
        """Close every stage that was set up, also one whose setup failed; safe to call twice."""
        closing, self._setup_done = self._setup_done, []
        try:
            for stage in reversed(closing):
                stage.close()
        finally:
            self.ledger.stop()


class Segment:
    """One segment's stages in a group's process; every answer is a value, an error included."""

    def __init__(self, names: Sequence[str], job: SegmentJob, nets: Nets, where: str) -> None:
        self._where, self._job = where, job
        self._over = False
        self._chain = Chain(names, job, nets)

    def pull(self) -> tuple[Reply, PackedBatch | None]:
        """Read the next batch: what is ready behind the source, and the batch's own frames apart."""
        if self._over:
            return Reply(ended=True), None
        try:
            work = self._chain.read()
            if work is None:
                self._over = True
                return Reply(self._facts(self._chain.drain()), ended=True), None
            packing = can_pack_batch(work.batch)
            if not packing:
                self._over = True
                return Reply(refused=packing.reason), None
            packed = pack(work.batch)
            ready = self._facts(self._chain.push(work))
            return Reply(ready, (int(packed.index[0]), len(packed), packed.nbytes)), packed
        except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
            return self._failed(error), None

    def push(self, facts: Facts, packed: Sequence[PackedBatch]) -> Reply:
        """Take one piece of work; packed: the batches that hold its frames."""
        if self._over:
            return Reply()
        try:
            return Reply(self._facts(self._chain.push(work_of(facts, packed))))
        except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
            return self._failed(error)

    def flush(self) -> Reply:
        """Nothing more comes: hand out what was kept back."""
        if self._over:
            return Reply(ended=True)
        try:
            return Reply(self._facts(self._chain.drain()), ended=True)
        except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
            return self._failed(error)

    def tell(self) -> Told:
        """The stages' account."""
        return self._chain.tell()

    def close(self) -> None:
        """Close every stage; queued calls find nothing more to do."""
        self._over = True
        self._chain.close()

    def _facts(self, works: Iterable[Work]) -> tuple[Facts, ...]:
        return tuple(facts_of(work, self._job) for work in works)

    def _failed(self, error: Exception) -> Reply:
        self._over = True
        return Reply(failure=Failure.of(error, self._where))
