"""What runs in the processes of a lane or graph. These classes become actors; they know no task."""

from __future__ import annotations

import atexit
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from facefx.archive.work import CACHE_BYTES, LocalTools
from facefx.cluster.failure import PeerLostError
from facefx.cluster.graph import Conductor, Peer
from facefx.cluster.group import Reply, Segment, Told
from facefx.effects.kernels import use_one_thread
from facefx.errors import ModelError
from facefx.pipeline.runner import Failure
from facefx.pipeline.segment import Nets, SegmentJob, SegmentResult
from facefx.video.pack import PackedBatch

__all__ = ["Answer", "GroupActor", "Lane", "LaneSettings", "LaneTools", "Ready"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """What a lane is given of its machine.

    root: folder for scratch space, the user's own place under the temporary folder where it is None.
    owner: the run that the scratch space is for. cache: folder of staged sources that the lanes of a
    machine share; below root where it is None.
    """

    root: Path | None = None
    owner: str = ""
    cache: Path | None = None
    cache_bytes: int = CACHE_BYTES


@dataclass(frozen=True, slots=True)
class Ready:
    """A process that can work: where it runs, and the GPUs that it sees (CUDA_VISIBLE_DEVICES)."""

    pid: int
    host: str
    visible: str | None
    provider: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How a task ended in a lane. lost: why the graph cannot go on, empty where it can."""

    result: Any = None
    failure: Failure | None = None
    lost: str = ""


@dataclass(slots=True)
class LaneTools(LocalTools):
    """What a lane lends to a task."""

    conductor: Conductor | None = None

    def run_segment(self, job: SegmentJob) -> SegmentResult:
        """Process a segment: here, or conducted over the graph's other processes."""
        if self.conductor is None:
            return LocalTools.run_segment(self, job)
        return self.conductor.run(job, self.nets)


def prove(device: str) -> Ready:
    """Say who we are, with a session of a shipped net on the very device; "" where no net is needed.

    Raises ModelError where the device cannot be had: nothing falls back to the CPU.
    """
    use_one_thread()
    visible, host = os.environ.get("CUDA_VISIBLE_DEVICES"), socket.gethostname()
    if device in ("", "cpu"):
        return Ready(os.getpid(), host, visible, _provider(device) if device else "")
    if len([name for name in (visible or "").split(",") if name]) != 1:
        raise ModelError(f"{host}: a lane must see exactly one GPU, got CUDA_VISIBLE_DEVICES={visible!r}")
    try:
        return Ready(os.getpid(), host, visible, _provider(device))
    except ModelError as error:
        raise ModelError(f"{host}: the cluster declares GPU {visible}, but {error}") from error


def _provider(device: str) -> str:
    from facefx.models.catalog import get_card
    from facefx.models.store import load_session

    return load_session(get_card("blazeface-short"), device=device).provider


class GroupActor:
    """Some stages of a graph in a process of their own; every answer is a value."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._nets = Nets()
        self._segment: Segment | None = None

    def ready(self, device: str) -> Ready | Failure:
        """Prove that this process has what the plan names."""
        return _told(lambda: prove(device), self._where)

    def begin(self, names: Sequence[str], job: SegmentJob) -> Failure | None:
        """Set the stages of a segment up."""
        self.close()
        made = _told(lambda: Segment(names, job, self._nets, self._where), self._where)
        if isinstance(made, Failure):
            return made
        self._segment = made
        return None

    def pull(self) -> tuple[Reply, PackedBatch | None]:
        """Read a batch: the reply, and its frames as a value of their own."""
        return (Reply(ended=True), None) if self._segment is None else self._segment.pull()

    def push(self, facts: Any, *packed: PackedBatch) -> Reply:
        """Take one piece of work with the batches that hold its frames."""
        return Reply() if self._segment is None else self._segment.push(facts, packed)

    def flush(self) -> Reply:
        """Hand out what was kept back."""
        return Reply(ended=True) if self._segment is None else self._segment.flush()

    def tell(self) -> Told | Failure:
        """The account of the segment."""
        segment = self._segment
        assert segment is not None
        return _told(segment.tell, self._where)

    def close(self) -> Failure | None:
        """Close the segment's stages."""
        segment, self._segment = self._segment, None
        return None if segment is None else _told(segment.close, self._where)


class Lane:
    """Executes tasks, one at a time; in a graph it is the last group and conducts the others."""

    def __init__(
        self,
        work: Callable[[Any, Any], Any],
        settings: LaneSettings,
        where: str,
        peers: Sequence[tuple[Any, tuple[str, ...]]] = (),
        own: tuple[str, ...] = (),
        window_bytes: int = 0,
    ) -> None:
        self._work, self._where = work, where
        self._opened = ExitStack()
        atexit.register(self._opened.close)  # Ray ends a lane whose driver was killed in good order
        self._conductor = (
            Conductor([Peer(actor, names) for actor, names in peers], own, window_bytes, where)
            if peers
            else None
        )
        self._settings = settings
        self._tools: LaneTools | None = None

    def ready(self, device: str) -> Ready | Failure:
        """Prove that this process has what the plan names, and a folder to work in."""
        return _told(lambda: self._prepare(device), self._where)

    def run(self, task: Any) -> Answer:
        """Carry a task out."""
        assert self._tools is not None
        try:
            return Answer(self._work(task, self._tools))
        except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
            lost = _lost(error)
            return Answer(failure=Failure.of(error, self._where), lost=lost)

    def seen(self) -> tuple[int, int]:
        """The most bytes of frames in flight in the last segment; how many segments were kept whole here."""
        return (0, 0) if self._conductor is None else (self._conductor.most_bytes, self._conductor.whole)

    def leave(self) -> None:
        """Give the scratch folder back."""
        self._opened.close()

    def _prepare(self, device: str) -> Ready:
        ready = prove(device)
        self._where = f"{ready.host}/{self._where}"
        settings = self._settings
        opened = LaneTools.opened(
            settings.root,
            where=self._where,
            owner=settings.owner,
            cache=settings.cache,
            cache_bytes=settings.cache_bytes,
        )
        self._tools = self._opened.enter_context(opened)
        self._tools.conductor = self._conductor
        return ready


def _told(call: Callable[[], T], where: str) -> T | Failure:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - handed on as a value, with its whole traceback
        return Failure.of(error, where)


def _lost(error: BaseException | None) -> str:
    """Why the graph is gone, where that is behind an error, however it was wrapped."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, PeerLostError):
            return str(error)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return ""
