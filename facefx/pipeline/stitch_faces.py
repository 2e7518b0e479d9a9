"""The faces of all segments as one table, as if the video had been looked at in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facefx.errors import FacesError
from facefx.faces.analysis import Analysis, analysis_of
from facefx.faces.kept import FacesTable
from facefx.faces.table import RowsDigest, TableHeader, TableWriter, VideoFacts
from facefx.pipeline.faces_count import FacesCounter, summed
from facefx.values import Faces
from facefx.video.damage import Damage
from facefx.video.piece import Piece

__all__ = ["StitchedFaces", "count_rows", "stitch_faces"]

# Float32 boxes compare exactly: the frame before a cut is looked at from both sides, to the same end.
_Boxes = dict[tuple[float, ...], int]


@dataclass(frozen=True, slots=True)
class StitchedFaces:
    """What was put together. split: tracks that reach over a cut and were not found again on its other side;
    0 as long as both sides see the same.
    """

    header: TableHeader
    split: int


def stitch_faces(
    parts: Sequence[tuple[Piece, Path]],
    target: Path,
    plan: Analysis,
    video: VideoFacts,
    damage: Damage,
    counter: FacesCounter,
) -> StitchedFaces:
    """Write the table of a whole video from those of its segments, some hundred rows in memory at a time.

    parts: in order of time. target: a file that is made anew; it appears only when whole. counter: is told
    every row.

    Raises FacesError where a table is damaged or not its piece's, SinkError.
    """
    unnamed = target.with_name(f".{target.name}.part")
    unnamed.unlink(missing_ok=True)
    looking = analysis_of(plan)
    with ExitStack() as opened:
        opened.callback(unnamed.unlink, missing_ok=True)
        writer = TableWriter(unnamed, looking, video)
        opened.callback(writer.close)
        merge = _Merge(looking, writer, counter)
        for piece, path in parts:
            with FacesTable(path) as table:
                merge.add(piece, table)
        counter.finish()
        faces = summed([{**header.faces, "longest_gap_s": 0} for header in merge.headers])
        faces["tracks"] = counter.count.tracks
        faces["longest_gap_s"] = max(header.faces["longest_gap_s"] for header in merge.headers)
        meshes = [header.landmarks for header in merge.headers if header.landmarks is not None]
        landmarks = summed(meshes) if meshes else None
        header = writer.finish(faces, landmarks, asdict(damage))
        unnamed.replace(target)
    return StitchedFaces(header, merge.split)


class _Merge:
    """Renumbers frames and tracks of one table after another."""

    def __init__(self, looking: Analysis, writer: TableWriter, counter: FacesCounter) -> None:
        self._looking, self._writer, self._counter = looking, writer, counter
        self._frames = self._tracks = 0
        self._last: _Boxes = {}
        self._lost: set[int] = set()
        self.headers: list[TableHeader] = []
        self.split = 0

    def add(self, piece: Piece, table: FacesTable) -> None:
        """Take the next segment's table."""
        times = piece.times()
        self._check(table, times)
        self.headers.append(table.header)
        self._writer.add(times, Faces.from_rows(()))
        numbers = self._linked(piece.head.note["before"])
        self._lost = {int(track) for track, *_ in piece.head.note["before"]} - set(numbers)
        last = self._frames + len(times) - 1
        boxes: _Boxes = {}
        landmarks, digest = self._looking.landmarker is not None, RowsDigest()
        for rows in _whole_frames(table.rows(landmarks=landmarks)):
            digest.add(rows)
            renumbered = self._renumbered(rows, numbers)
            self._writer.add(times[:0], renumbered)
            self._counter.add(renumbered)
            at_end = renumbered.take(renumbered.frame == last)
            for box, number in zip(at_end.xyxy.tolist(), at_end.track_id.tolist(), strict=True):
                boxes[tuple(box)] = number
        table.check_digest(digest, landmarks=landmarks)
        if len(times):
            self._last = boxes
        self._frames += len(times)

    def _check(self, table: FacesTable, times: Any) -> None:
        """See that a table is of the same way of looking, and of these very frames."""
        seen, header = table.header.seen, table.header
        first, last = (int(times[0]), int(times[-1])) if len(times) else (None, None)
        if _unreasoned(header.analysis) != _unreasoned(self._looking):
            raise FacesError(f"{table.name}: faces were looked for in another way; make the segment again")
        if (seen.frames, seen.first_pts, seen.last_pts) != (len(times), first, last):
            raise FacesError(
                f"{table.name}: is not of its piece: expected {len(times)} frames, pts {first}..{last}, got "
                f"{seen.frames}, pts {seen.first_pts}..{seen.last_pts}; make the segment again"
            )

    def _linked(self, before: Sequence[Sequence[float]]) -> dict[int, int]:
        """The tracks that reach over the cut: seen from both sides, their boxes are exactly equal."""
        numbers: dict[int, int] = {}
        for track, *box in before:
            number = self._last.get(tuple(box))
            if number is not None:
                numbers[int(track)] = number
        return numbers

    def _renumbered(self, rows: Faces, numbers: dict[int, int]) -> Faces:
        """The rows with frames and tracks of the whole video, sorted by both."""
        for track in rows.track_id.tolist():
            if track not in numbers:
                self.split += track in self._lost
                numbers[track] = self._tracks
                self._tracks += 1
        tracks = np.array([numbers[track] for track in rows.track_id.tolist()], np.int64)
        order = np.lexsort((tracks, rows.frame))
        return replace(rows, frame=rows.frame + self._frames, track_id=tracks).take(order)


def _unreasoned(analysis: Analysis) -> Analysis:
    """An analysis without the words on why it was chosen, which may differ from run to run."""
    landmarker = analysis.landmarker and replace(analysis.landmarker, reason="")
    return replace(analysis, detector=replace(analysis.detector, reason=""), landmarker=landmarker)


def count_rows(path: Path, counter: FacesCounter, lo: int | None, hi: int | None) -> TableHeader:
    """Count the rows of a kept table within lo ≤ pts < hi, and see that none of all was changed.

    Raises FacesError.
    """
    with FacesTable(path) as table:
        table.check_rows()
        for rows in _whole_frames(table.rows(landmarks=False, only=(lo, hi))):
            inside = np.ones(len(rows), bool)
            inside &= rows.pts >= lo if lo is not None else inside
            inside &= rows.pts < hi if hi is not None else inside
            counter.add(rows.take(inside))
        counter.finish()
        return table.header


def _whole_frames(chunks: Iterator[Faces]) -> Iterator[Faces]:
    """The same rows, cut between frames only."""
    held: Faces | None = None
    for chunk in chunks:
        rows = chunk if held is None else Faces.join([held, chunk])
        end = int(np.searchsorted(rows.frame, rows.frame[-1]))
        if end:
            yield rows.take(slice(0, end))
        held = rows.take(slice(end, None))
    if held is not None:
        yield held
