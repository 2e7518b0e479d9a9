"""The stages that keep faces in a table and that give them back, in place of looking again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facefx.faces.analysis import Analysis
from facefx.faces.kept import FacesTable, KeptFaces
from facefx.faces.table import TableHeader, TableWriter, VideoFacts
from facefx.pipeline.stage import Work
from facefx.storage import sha256_file, staged
from facefx.video.info import MediaInfo

__all__ = ["KeptStage", "TableStage", "Told", "opened_table", "video_facts"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a table's header says of the analysis once it is over."""

    faces: dict[str, Any]
    landmarks: dict[str, Any] | None
    damage: dict[str, Any]


class TableStage:
    """Faces → Parquet: the last stage of an analysis. told: asked once, when all frames have come."""

    name = "table"

    def __init__(self, path: Path, analysis: Analysis, video: VideoFacts, told: Callable[[], Told]) -> None:
        self._path, self._analysis, self._video, self._told = path, analysis, video, told
        self._writer: TableWriter | None = None
        self.header: TableHeader | None = None

    def setup(self) -> None:
        """Open the output under its temporary name."""
        self._writer = TableWriter(self._path, self._analysis, self._video)

    def process(self, work: Work) -> Sequence[Work]:
        """Write one batch's faces."""
        assert self._writer is not None
        assert work.faces is not None
        self._writer.write(work.batch, work.faces)
        return [work]

    def flush(self) -> Sequence[Work]:
        """Write the rest and the header."""
        assert self._writer is not None
        told = self._told()
        self.header = self._writer.finish(told.faces, told.landmarks, told.damage)
        return ()

    def close(self) -> None:
        """Let go of an unfinished output."""
        if self._writer is not None:
            self._writer.close()


class KeptStage:
    """Frames → faces, from a table: nobody looks. part, only: see KeptFaces."""

    name = "faces"

    def __init__(
        self,
        table: FacesTable,
        *,
        landmarks: bool,
        part: bool,
        only: tuple[int | None, int | None] | None = None,
    ) -> None:
        self._table, self._landmarks, self._part, self._only = table, landmarks, part, only
        self._faces: KeptFaces | None = None

    @property
    def found(self) -> dict[str, Any]:
        """What the analysis had looked at and found, for a report."""
        return self._table.header.faces

    def setup(self) -> None:
        """Begin to read."""
        self._faces = KeptFaces(self._table, landmarks=self._landmarks, part=self._part, only=self._only)

    def process(self, work: Work) -> Sequence[Work]:
        """Add the faces of a batch."""
        assert self._faces is not None
        return [replace(work, faces=self._faces.of_batch(work.batch))]

    def flush(self) -> Sequence[Work]:
        """See that table and video were the same length, and the rows as they were written."""
        assert self._faces is not None
        self._faces.finish()
        return ()

    def close(self) -> None:
        """The table is whose it was."""


@contextmanager
def opened_table(url: str) -> Iterator[FacesTable]:
    """Open a table of faces, wherever it lies, for the length of the block.

    Raises FacesError, SourceError.
    """
    with staged(url) as local, FacesTable(local, url) as table:
        yield table


def video_facts(local: Path, name: str, info: MediaInfo, sha256: str | None = None) -> VideoFacts:
    """What a table of faces remembers of its video; without its sha256, the file is read once."""
    video, format = info.video, info.video.format
    return VideoFacts(
        name=name.rstrip("/").rsplit("/", 1)[-1],
        size_bytes=info.size_bytes,
        sha256=sha256_file(local) if sha256 is None else sha256,
        codec=video.codec,
        pixel_format=format.pixels.name,
        width=format.width,
        height=format.height,
        rotation=format.rotation,
        mirrored=format.mirrored,
        sample_aspect=str(format.sample_aspect),
        time_base=str(format.time_base),
        start=str(info.start),
        start_pts=video.start_pts,
        end_pts=video.end_pts,
        frames_expected=video.frames_expected,
    )
