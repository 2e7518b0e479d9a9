"""Faces read back from a kept table, batch by batch, and refused where they do not fit the video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from facefx.errors import FacesError
from facefx.faces.table import (
    HEADER_KEY,
    SOURCES,
    RowsDigest,
    TableHeader,
    VideoFacts,
    pixels,
    table_schema,
)
from facefx.values import Faces, FrameBatch

__all__ = ["FacesTable", "KeptFaces", "read_table"]

# With landmarks 512 rows are 3 MB.
_READ_ROWS = 512
_BOX = ("x0", "y0", "x1", "y1")
_AGAIN = "make it again with facefx analyze"


class FacesTable:
    """A table of faces, opened: its header is read and its columns are checked, its rows are not.

    name: what messages call it, where path is a temporary place.

    Raises FacesError where it is missing, no such table, damaged, or of another version.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.name = name or str(path)
        self.path = path
        if not path.is_file():
            raise FacesError(f"{self.name}: no such file; make it with facefx analyze")
        with _readable(self.name):
            self._file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
        try:
            self.header = self._read_header()
        except FacesError as error:
            self._file.close()
            raise FacesError(f"{self.name}: {error}") from error

    def _read_header(self) -> TableHeader:
        text = (self._file.metadata.metadata or {}).get(HEADER_KEY)
        if text is None:
            raise FacesError(f"is Parquet, but no table of faces; {_AGAIN}")
        header = TableHeader.from_json(text)
        expected = table_schema(header.analysis.landmarker.topology if header.analysis.landmarker else "")
        got = self._file.schema_arrow
        if not got.remove_metadata().equals(expected):
            raise FacesError(
                f"its columns are not those of its version: expected {', '.join(expected.names)}, "
                f"got {', '.join(got.names)}; {_AGAIN}"
            )
        if self._file.metadata.num_rows != header.seen.rows:
            raise FacesError(
                f"it was changed after it was made: expected {header.seen.rows} rows, "
                f"got {self._file.metadata.num_rows}; {_AGAIN}"
            )
        return header

    def check_video(self, video: VideoFacts) -> None:
        """Refuse a video that is not the one whose faces these are.

        Raises FacesError.
        """
        of = self.header.video
        if (of.size_bytes, of.sha256) != (video.size_bytes, video.sha256):
            raise FacesError(
                f"{self.name}: is of another video: expected {of.name} with {of.size_bytes} bytes "
                f"and sha256 {of.sha256[:12]}…, got {video.name} with {video.size_bytes} bytes and sha256 "
                f"{video.sha256[:12]}…; find the right one or run facefx analyze on this one"
            )
        then, now = asdict(of), asdict(replace(video, name=of.name))
        differing = [f"{key} {then[key]}, now {now[key]}" for key in then if then[key] != now[key]]
        if differing:
            raise FacesError(
                f"{self.name}: the video is read otherwise here than where it was analysed: "
                f"{'; '.join(differing)}; {_AGAIN}"
            )

    def check_rows(self) -> None:
        """Read all rows, and see that none has been changed since they were written.

        Raises FacesError.
        """
        landmarks = self.header.analysis.landmarker is not None
        digest = RowsDigest()
        for faces in self.rows(landmarks=landmarks):
            digest.add(faces)
        self.check_digest(digest, landmarks=landmarks)

    def check_digest(self, digest: RowsDigest, *, landmarks: bool) -> None:
        """Hold what was read against what was written.

        Raises FacesError.
        """
        whole = not landmarks or digest.landmarks == self.header.seen.landmarks_sha256
        if digest.boxes != self.header.seen.rows_sha256 or not whole:
            raise FacesError(f"{self.name}: its rows were changed after it was made; {_AGAIN}")

    def rows(self, *, landmarks: bool, only: tuple[int | None, int | None] = (None, None)) -> Iterator[Faces]:
        """Read the rows in their order, some hundred at a time; `frame` counts from the first seen.

        only: groups of rows that lie outside of lo ≤ pts < hi as a whole are left out.

        Raises FacesError where they are damaged or out of order.
        """
        columns = ["frame", "pts", "track", *_BOX, "confidence", "source"]
        columns += ["landmarks"] if landmarks else []
        before: tuple[int, int, int] | None = None
        with _readable(self.name):
            groups = self._groups(*only)
            for batch in self._file.iter_batches(
                _READ_ROWS, row_groups=groups, columns=columns, use_threads=False
            ):
                if not len(batch):
                    continue
                faces = self._faces(batch)
                before = self._check_order(faces, before)
                yield faces

    def _groups(self, lo: int | None, hi: int | None) -> list[int]:
        """The groups that may hold rows of lo ≤ pts < hi, by the file's own statistics."""
        metadata = self._file.metadata
        place = self._file.schema_arrow.get_field_index("pts")
        wanted = []
        for group in range(metadata.num_row_groups):
            known = metadata.row_group(group).column(place).statistics
            early = hi is not None and known is not None and known.min >= hi
            late = lo is not None and known is not None and known.max < lo
            if not early and not late:
                wanted.append(group)
        return wanted

    def _faces(self, batch: Any) -> Faces:
        named = dict(zip(batch.schema.names, batch.columns, strict=True))
        column = {name: named[name].to_numpy(zero_copy_only=False) for name in named if name != "landmarks"}
        mesh = self.header.analysis.landmarker if "landmarks" in named else None
        boxes = np.stack([column[name] for name in _BOX], axis=1)
        if not (np.isfinite(boxes).all() and np.isfinite(column["confidence"]).all()):
            raise FacesError(f"{self.name}: a box or a confidence is not a number; {_AGAIN}")
        return Faces(
            column["frame"],
            column["pts"],
            column["track"],
            boxes,
            column["confidence"],
            self._sources(named["source"]),
            pixels(named["landmarks"]) if mesh else np.zeros((len(batch), 0, 3), np.float32),
            mesh.topology if mesh else "",
        )

    def _sources(self, column: Any) -> NDArray[np.uint8]:
        names = column.dictionary.to_pylist()
        unknown = set(names) - set(SOURCES)
        if unknown:
            raise FacesError(f"{self.name}: source {', '.join(map(str, unknown))} is unknown; {_AGAIN}")
        codes = np.array([SOURCES.index(name) for name in names], np.uint8)
        return np.asarray(codes[column.indices.to_numpy(zero_copy_only=False)])

    def _check_order(self, faces: Faces, before: tuple[int, int, int] | None) -> tuple[int, int, int]:
        """See that frames, times and tracks rise from the last chunk's last row on; return this one's."""
        keys = np.stack([faces.frame, faces.pts, faces.track_id], axis=1)
        chain = keys if before is None else np.concatenate([[before], keys])
        frames, times, tracks = np.diff(chain, axis=0).T
        fits = np.where(frames == 0, (times == 0) & (tracks > 0), (frames > 0) & (times > 0))
        if not fits.all():
            raise FacesError(f"{self.name}: its rows are not in the order of frames and tracks; {_AGAIN}")
        frame, pts, track = keys[-1].tolist()
        return frame, pts, track

    def close(self) -> None:
        """Close the file; safe to call again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class KeptFaces:
    """Gives the batches of a video their faces from a table, in presentation order.

    landmarks: whether they are read too. part: True where the batches are only a part of what was
    looked at; otherwise they must be exactly the frames that were. only: the part lies within
    lo ≤ pts < hi; rows beyond it are not read, so that whether any row was changed stays unknown: ask the
    table's check_rows.
    """

    def __init__(
        self,
        table: FacesTable,
        *,
        landmarks: bool,
        part: bool,
        only: tuple[int | None, int | None] | None = None,
    ) -> None:
        self._table, self._landmarks, self._part = table, landmarks, part
        self._whole = only is None
        self._chunks = self._hashed(table.rows(landmarks=landmarks, only=only or (None, None)))
        self._digest, self._times = RowsDigest(), hashlib.sha256()
        self._frames = 0
        self._waiting: Faces | None = None

    def of_batch(self, batch: FrameBatch) -> Faces:
        """The faces of the next frames; `frame` is the position in the batch.

        Raises FacesError where a frame was not looked at, or a row belongs to none.
        """
        first, last = int(batch.pts[0]), int(batch.pts[-1])
        seen = self._table.header.seen
        if seen.first_pts is None or seen.last_pts is None or first < seen.first_pts or last > seen.last_pts:
            raise FacesError(
                f"{self._table.name}: frames {first}..{last} (pts) were not looked at, "
                f"only {seen.first_pts}..{seen.last_pts}; {_AGAIN}"
            )
        self._times.update(batch.pts.tobytes())
        rows = self._until(last, first if self._part and not self._frames else None)
        self._frames += len(batch)
        position = np.searchsorted(batch.pts, rows.pts)
        if not np.array_equal(batch.pts[position], rows.pts):
            raise FacesError(f"{self._table.name}: has faces between the frames of the video; {_AGAIN}")
        return replace(rows, frame=position.astype(np.int64))

    def finish(self) -> None:
        """See that all was looked at, and that no row has been changed since.

        Raises FacesError.
        """
        if self._whole:
            for _ in self._chunks:
                pass
        seen, name = self._table.header.seen, self._table.name
        if not self._part and (self._frames, self._times.hexdigest()) != (seen.frames, seen.pts_sha256):
            raise FacesError(
                f"{name}: {seen.frames} frames were looked at, but the video gives {self._frames}, "
                f"or at other times; {_AGAIN}"
            )
        if self._whole:
            self._table.check_digest(self._digest, landmarks=self._landmarks)

    def _hashed(self, chunks: Iterator[Faces]) -> Iterator[Faces]:
        for faces in chunks:
            self._digest.add(faces)
            yield faces

    def _until(self, last: int, first: int | None = None) -> Faces:
        """Take the rows up to this pts, reading on as far as needed; those before `first` are let go."""
        parts = [] if self._waiting is None else [self._waiting]
        while not parts or not len(parts[-1]) or int(parts[-1].pts[-1]) <= last:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            if first is not None:
                chunk = chunk.take(slice(int(np.searchsorted(chunk.pts, first)), None))
            if first is None or len(chunk):
                parts.append(chunk)
        if not parts:
            return Faces.from_rows(())
        rows = Faces.join(parts)
        taken = int(np.searchsorted(rows.pts, last, "right"))
        self._waiting = rows.take(slice(taken, None))
        return rows.take(slice(0, taken))


def read_table(path: Path) -> Any:
    """A kept table whole, as an Arrow table whose metadata holds the header.

    Raises FacesError.
    """
    with FacesTable(path) as kept, _readable(kept.name):
        table = pq.read_table(path, page_checksum_verification=True)
        return table.replace_schema_metadata({HEADER_KEY: json.dumps(kept.header.to_json())})


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what pyarrow says of a file that it cannot read into one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())[:160]
        raise FacesError(
            f"{name}: is no table of faces, or a damaged one: {said}; make it again with facefx analyze"
        ) from error
