"""The stages of one segment: those of a whole run, with margins around the frames that are its own.

What happens in the margins is only there so that the faces of the segment's own frames come out as if the
video had never been cut.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facefx.faces.analysis import analysis_of
from facefx.faces.policy import REACH_S
from facefx.pipeline.nets import Nets
from facefx.pipeline.span import SegmentJob
from facefx.pipeline.stage import Work
from facefx.pipeline.stages import BlendStage, DetectStage, LandmarkStage
from facefx.values import Faces
from facefx.video.source import Stretch, VideoSource

if TYPE_CHECKING:
    from facefx.faces.kept import FacesTable
    from facefx.faces.table import TableWriter
    from facefx.pipeline.kept import KeptStage
    from facefx.video.piece import PieceHead
    from facefx.video.piece_sink import PieceSink

__all__ = [
    "SegmentBlend",
    "SegmentDecode",
    "SegmentDetect",
    "SegmentEncode",
    "SegmentKept",
    "SegmentLandmark",
    "stretch_of",
]


def stretch_of(job: SegmentJob) -> Stretch:
    """The segment's own frames, and how much more has to be decoded around them.

    Before: no fact reaches back further. After: on to the frame that closes the window of landmarks in
    which the last own frame lies; from that on to the one that makes its boxes final; and that one has to be
    looked at too. Each step ends with a frame, however far apart frames are.
    """
    lo, hi = job.own
    if job.table is not None:
        return Stretch(lo, hi)
    policy, landmarker = job.plan.policy, job.plan.landmarker
    leap_s = 0.0 if landmarker is None else 2 * landmarker.leap_s
    steps = (leap_s, policy.look_ahead_s - policy.flash_s, policy.flash_s)
    return Stretch(lo, hi, _ticks(job, REACH_S), tuple(_ticks(job, step) for step in steps))


def _ticks(job: SegmentJob, seconds: float) -> int:
    return math.ceil(seconds / job.info.video.format.time_base)


class SegmentDecode:
    """Bytes → frames of the segment and its margins; batches never straddle its ends."""

    name = "decode"

    def __init__(self, job: SegmentJob, threads: int = 1) -> None:
        self._job, self._threads = job, threads
        self._source: VideoSource | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What of the segment's own frames could be read."""
        assert self._source is not None
        return asdict(self._source.damage)

    def setup(self) -> None:
        """Open the file behind its guard."""
        plan = self._job.plan
        self._source = VideoSource(
            self._job.local,
            on_damage=plan.on_damage,
            from_s=plan.from_s,
            to_s=plan.to_s,
            threads=self._threads,
            info=self._job.info,
            stretch=stretch_of(self._job),
        )

    def items(self) -> Iterator[Work]:
        """Yield batches in presentation order."""
        assert self._source is not None
        for batch in self._source.batches():
            yield Work(batch)

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()


class _Given:
    """What a stage was given and has not handed out yet; until: pts up to which it is needed, None for all.

    through: the first frame from there on is needed too.
    """

    def __init__(self, until: int | None, *, through: bool) -> None:
        self._until, self._through = until, through
        self._last_needed: int | None = None
        self._waiting: deque[Work] = deque()

    def take(self, work: Work) -> None:
        """Note what is given."""
        self._waiting.append(work)
        if self._last_needed is None and self._until is not None:
            beyond = work.batch.pts[work.batch.pts >= self._until]
            if len(beyond):
                self._last_needed = int(beyond[0]) if self._through else self._until - 1

    def hand_out(self, ready: Sequence[Work]) -> list[Work]:
        """Note what is handed out."""
        for _ in ready:
            self._waiting.popleft()
        return list(ready)

    @property
    def done(self) -> bool:
        """True once all that is needed has been handed out."""
        if self._last_needed is None:
            return False
        return not self._waiting or int(self._waiting[0].batch.pts[0]) > self._last_needed

    def rest(self) -> list[Work]:
        """Hand out all that waits."""
        return self.hand_out([*self._waiting])


class SegmentDetect:
    """Frames → faces, as DetectStage; what only made others certain is not looked at for its own sake."""

    name = "detect"

    def __init__(self, job: SegmentJob, nets: Nets) -> None:
        self._stage = DetectStage(job.plan, job.info.video, job.anchor, counted=job.own, nets=nets)
        hi, stretch = job.own[1], stretch_of(job)
        self._given = _Given(None if hi is None else hi + stretch.after[0], through=True)

    @property
    def told(self) -> dict[str, Any]:
        """Looks, with those in the margins; faces and cuts of the segment's own frames."""
        return self._stage.found

    def setup(self) -> None:
        """Borrow the nets that the plan names."""
        self._stage.setup()

    def process(self, work: Work) -> Sequence[Work]:
        """Take a batch; hand out those whose faces have become certain."""
        self._given.take(work)
        return self._given.hand_out(self._stage.process(work))

    def flush(self) -> Sequence[Work]:
        """Conclude where the segment ends with the video; else what is left is margin."""
        if self._given.done:
            return [replace(work, faces=Faces.from_rows(())) for work in self._given.rest()]
        return self._given.hand_out(self._stage.flush())

    def close(self) -> None:
        """The nets are whose they were."""
        self._stage.close()


class SegmentLandmark:
    """Faces → faces with landmarks, as LandmarkStage, up to the segment's end."""

    name = "landmark"

    def __init__(self, job: SegmentJob, nets: Nets) -> None:
        assert job.plan.landmarker is not None
        self._stage = LandmarkStage(job.plan.landmarker, job.info.video, job.anchor, nets=nets)
        self._given = _Given(job.own[1], through=False)

    @property
    def told(self) -> dict[str, Any]:
        """What was looked at and found, in the margin too."""
        return self._stage.found

    def setup(self) -> None:
        """Borrow the net that the plan names."""
        self._stage.setup()

    def process(self, work: Work) -> Sequence[Work]:
        """Take a batch and its faces; hand out those whose landmarks are final, and then what is margin."""
        self._given.take(work)
        ready = [] if self._given.done else self._given.hand_out(self._stage.process(work))
        return [*ready, *self._given.rest()] if self._given.done else ready

    def flush(self) -> Sequence[Work]:
        """Look at what still waits, where the segment ends with the video."""
        return self._given.hand_out(self._stage.flush()) if not self._given.done else ()

    def close(self) -> None:
        """The net is whose it was."""
        self._stage.close()


class SegmentKept:
    """Frames → faces, from a table of the whole video, of which only what is needed is read."""

    name = "faces"

    def __init__(self, job: SegmentJob) -> None:
        self._job = job
        self._table: FacesTable | None = None
        self._stage: KeptStage | None = None

    @property
    def told(self) -> dict[str, Any]:
        """Nobody looked."""
        return {}

    def setup(self) -> None:
        """Open the table."""
        from facefx.faces.kept import FacesTable
        from facefx.pipeline.kept import KeptStage

        job = self._job
        assert job.table is not None
        self._table = FacesTable(job.table)
        self._stage = KeptStage(
            self._table, landmarks=job.plan.landmarker is not None, part=True, only=job.own
        )
        self._stage.setup()

    def process(self, work: Work) -> Sequence[Work]:
        """Add the faces of a batch."""
        assert self._stage is not None
        return self._stage.process(work)

    def flush(self) -> Sequence[Work]:
        """Keeps nothing back."""
        return ()

    def close(self) -> None:
        """Close the table."""
        if self._table is not None:
            self._table.close()


class SegmentBlend:
    """Faces → patches, as BlendStage; margins are passed on without any."""

    name = "blend"

    def __init__(self, job: SegmentJob, nets: Nets) -> None:
        self._job = job
        self._stage = BlendStage(job.plan, job.info.video.format, nets=nets)

    @property
    def told(self) -> dict[str, Any]:
        """What the chain did."""
        assert self._stage.chain is not None
        return self._stage.chain.stats.to_json()

    def setup(self) -> None:
        """Borrow the nets of effects; convert colours and pictures once."""
        self._stage.setup()

    def process(self, work: Work) -> Sequence[Work]:
        """Make the patches of a batch of the segment's own."""
        return self._stage.process(work) if self._job.owns(work.batch) else [work]

    def flush(self) -> Sequence[Work]:
        """Keeps nothing back."""
        return ()

    def close(self) -> None:
        """Holds nothing."""
        self._stage.close()


class SegmentEncode:
    """Frames and patches → a piece, and faces → a table; both get their names in `finish`.

    Closed after its flush, it keeps what it wrote for `finish`; `discard` lets go of it at any time.
    """

    name = "encode"

    def __init__(self, job: SegmentJob) -> None:
        self._job = job
        self._sink: PieceSink | None = None
        self._table: TableWriter | None = None
        self._before: list[list[float]] = []
        self._ended = False
        self.frames = 0

    @property
    def told(self) -> dict[str, Any]:
        """How many frames are the segment's own."""
        return {"frames": self.frames}

    def setup(self) -> None:
        """Open both files under temporary names."""
        from facefx.faces.table import TableWriter
        from facefx.pipeline.kept import video_facts
        from facefx.video.piece_sink import PieceSink

        job = self._job
        info = replace(job.info, path=str(job.local))
        self._sink = PieceSink(job.piece, info, job.plan.encode)
        if job.faces is not None:
            self._part.unlink(missing_ok=True)
            facts = video_facts(job.local, job.local.name, info, sha256="")  # who stitches knows it
            self._table = TableWriter(self._part, analysis_of(job.plan), facts)

    @property
    def _part(self) -> Path:
        assert self._job.faces is not None
        return self._job.faces.with_name(f".{self._job.faces.name}.part")

    def process(self, work: Work) -> Sequence[Work]:
        """Write a batch of the segment's own; of the margin before it, keep the boxes of the last frame."""
        batch, faces = work.batch, work.faces
        assert self._sink is not None
        assert faces is not None
        if self._job.owns(batch):
            self._sink.write(batch, work.patches)
            if self._table is not None:
                index = np.arange(self.frames, self.frames + len(batch))
                self._table.add(batch.pts, replace(faces, frame=index[faces.frame]))
            self.frames += len(batch)
        elif not self.frames:
            last = np.flatnonzero(faces.frame == len(batch) - 1)
            self._before = [[int(faces.track_id[i]), *faces.xyxy[i].tolist()] for i in last]
        return [work]

    def flush(self) -> Sequence[Work]:
        """Write what the encoder still holds."""
        assert self._sink is not None
        self._sink.end()
        self._ended = True
        return ()

    def finish(self, told: Mapping[str, Mapping[str, Any]]) -> PieceHead:
        """Write what the other stages told into both files, and give them their names.

        Raises SinkError.
        """
        assert self._sink is not None
        job, damage = self._job, told["decode"]
        if self._table is not None and job.faces is not None:
            self._table.finish(told["detect"], told.get("landmark"), damage)
            self._part.replace(job.faces)
            self._table = None
        span = job.span
        return self._sink.finish(
            {
                "plan": job.plan.digest,
                "span": [span.number, span.count, *job.own],
                "damage": dict(damage),
                "before": self._before,
            }
        )

    def close(self) -> None:
        """Let go of what was not written to its end."""
        if not self._ended:
            self.discard()

    def discard(self) -> None:
        """Let go of everything that has no name yet; safe to call again."""
        if self._sink is not None:
            self._sink.close()
        if self._table is not None:
            self._table.close()
            self._part.unlink(missing_ok=True)
