"""Faces as a table that can be kept, queried and rendered from: Parquet, one row a face a frame.

Columns: `frame`, counted from the first frame that was looked at; `pts`; `time_s`, seconds on a
player's clock; `track`; the box `x0, y0, x1, y1` in pixels of the stored picture; `confidence`;
`source`; and, where a landmarker looked, its `topology` and `landmarks`: x, y, z of each point in
64ths of a pixel, null where no mesh was found. Rows are sorted by frame, then track.

The file says of which video it is, and every frame that was looked at counts: a frame without a row
has no face in it. Faces are personal data: the file can be read by its owner only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from facefx.errors import FacesError, ShapeError, SinkError
from facefx.faces.analysis import Analysis
from facefx.faces.topology import topology
from facefx.values import Faces, FaceSource, FrameBatch

__all__ = [
    "HEADER_KEY",
    "PER_PIXEL",
    "SOURCES",
    "TABLE_VERSION",
    "RowsDigest",
    "Seen",
    "TableHeader",
    "TableWriter",
    "VideoFacts",
    "pixels",
    "table_schema",
]

TABLE_VERSION = 1
HEADER_KEY = b"facefx.faces"
"""The file's metadata entry that holds a TableHeader as JSON."""

PER_PIXEL = 64
"""Landmarks are kept in whole steps of 1/64 pixel, which float32 holds exactly."""

SOURCES = tuple(source.name.lower() for source in FaceSource)
# With landmarks a row has 5.6 kB, so a row group stays near 10 MB.
_GROUP_ROWS = 2048


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Which video, and how it is read here; time_base, sample_aspect and start (seconds) as "n/d"."""

    name: str
    size_bytes: int
    sha256: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    mirrored: bool
    sample_aspect: str
    time_base: str
    start: str
    start_pts: int
    end_pts: int
    frames_expected: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at, and a proof of it: sha256 of all frames' pts, of all rows, of all landmarks."""

    frames: int
    first_pts: int | None
    last_pts: int | None
    pts_sha256: str
    rows: int
    rows_sha256: str
    landmarks_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHeader:
    """What a table says of itself. faces, landmarks, damage: the counts that the analysis reported."""

    table_version: int = TABLE_VERSION
    video: VideoFacts
    analysis: Analysis
    seen: Seen
    faces: dict[str, Any]
    landmarks: dict[str, Any] | None
    damage: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @staticmethod
    def from_json(text: bytes) -> TableHeader:
        """Read what to_json gave, as JSON text.

        Raises FacesError, also for another version's header.
        """
        try:
            plain = json.loads(text)
            version = plain["table_version"]
            if version != TABLE_VERSION:
                raise FacesError(
                    f"is a table of faces of version {version}, expected version {TABLE_VERSION}; "
                    "make it again with facefx analyze"
                )
            header = _header_type().validate_python(plain)
        except (ValueError, TypeError, KeyError, ValidationError) as error:
            raise FacesError(f"its header cannot be read: {' '.join(str(error).split())[:200]}") from error
        if header.to_json() != plain:
            raise FacesError("its header holds something that this version does not know")
        return header


@cache
def _header_type() -> TypeAdapter[TableHeader]:
    return TypeAdapter(TableHeader)


@cache
def table_schema(topology_name: str) -> pa.Schema:
    """The columns of a table; topology_name is empty for one without landmarks."""
    fields = [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("pts", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("track", pa.int64(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in ("x0", "y0", "x1", "y1")),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("source", pa.dictionary(pa.int8(), pa.string()), nullable=False),
    ]
    if topology_name:
        numbers = 3 * topology(topology_name).points
        fields.append(pa.field("topology", pa.dictionary(pa.int8(), pa.string())))
        fields.append(pa.field("landmarks", pa.list_(pa.int32(), numbers)))
    return pa.schema(fields)


def pixels(landmarks: Any) -> NDArray[np.float32]:
    """Turn a table's `landmarks` column into (m, p, 3) float32 pixels, all NaN where it is null.

    >>> column = pa.array([[64, 96, 0], None], pa.list_(pa.int32(), 3))
    >>> pixels(column).tolist()
    [[[1.0, 1.5, 0.0]], [[nan, nan, nan]]]
    """
    column = landmarks.combine_chunks() if isinstance(landmarks, pa.ChunkedArray) else landmarks
    points = column.type.list_size // 3
    there = column.is_valid().to_numpy(zero_copy_only=False)
    out = np.full((len(column), points, 3), np.nan, np.float32)
    out[there] = column.flatten().to_numpy().reshape(-1, points, 3).astype(np.float32) * (1 / PER_PIXEL)
    return out


class RowsDigest:
    """Hashes rows column by column, so that the cut into batches does not matter."""

    def __init__(self) -> None:
        self._columns = [hashlib.sha256() for _ in range(6)]
        self._landmarks = hashlib.sha256()
        self.rows = 0

    def add(self, faces: Faces) -> None:
        """Add rows whose `frame` counts from the first frame that was looked at."""
        columns: tuple[NDArray[Any], ...] = (
            faces.frame,
            faces.pts,
            faces.track_id,
            faces.xyxy,
            faces.confidence,
            faces.source,
        )
        for state, column in zip(self._columns, columns, strict=True):
            state.update(column.tobytes())
        if faces.landmarks.shape[1]:
            # As they are kept: a float can say zero, and no number, in more than one way.
            self._landmarks.update(_steps(faces).tobytes())
        self.rows += len(faces)

    @property
    def boxes(self) -> str:
        """Hex sha256 of everything but landmarks."""
        return hashlib.sha256(b"".join(state.digest() for state in self._columns)).hexdigest()

    @property
    def landmarks(self) -> str:
        """Hex sha256 of the landmarks."""
        return self._landmarks.hexdigest()


class TableWriter:
    """Writes one video's faces as they come, a row group at a time; only finish() makes it a table.

    path: of a file that is made anew, readable by its owner only.

    Raises SinkError where it cannot be written.
    """

    def __init__(self, path: Path, analysis: Analysis, video: VideoFacts) -> None:
        self._path, self._analysis, self._video = path, analysis, video
        self._topology = analysis.landmarker.topology if analysis.landmarker else ""
        self._schema = table_schema(self._topology)
        self._base, self._start = Fraction(video.time_base), Fraction(video.start)
        self._held: list[Any] = []
        self._held_rows = 0
        self._digest, self._times = RowsDigest(), hashlib.sha256()
        self._frames = 0
        self._first: int | None = None
        self._last: int | None = None
        try:
            path.touch(0o600, exist_ok=False)
            self._writer = self._open()
        except OSError as error:
            raise _unwritable(path, error) from error

    def _open(self) -> Any:
        deltas = dict.fromkeys(("frame", "pts", "track"), "DELTA_BINARY_PACKED")
        if self._topology:
            deltas["landmarks.list.element"] = "BYTE_STREAM_SPLIT"
        return pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            use_dictionary=["source", "topology"] if self._topology else ["source"],
            column_encoding=deltas,
            write_page_checksum=True,
        )

    def write(self, batch: FrameBatch, faces: Faces) -> None:
        """Add the faces of the next frames; a batch without any counts as looked at too.

        Raises ShapeError where landmarks are no multiples of 1/64 pixel, SinkError.
        """
        self.add(batch.pts, replace(faces, frame=batch.index[faces.frame]))

    def add(self, pts: NDArray[np.int64], rows: Faces) -> None:
        """Add the next frames, by their pts, and their faces, whose `frame` counts from the first frame.

        Raises what write raises.
        """
        self._times.update(pts.tobytes())
        self._frames += len(pts)
        if len(pts):
            self._first = int(pts[0]) if self._first is None else self._first
            self._last = int(pts[-1])
        self._digest.add(rows)
        if len(rows):
            self._held.append(self._record_batch(rows))
            self._held_rows += len(rows)
        if self._held_rows >= _GROUP_ROWS:
            self._flush()

    def finish(
        self, faces: Mapping[str, Any], landmarks: Mapping[str, Any] | None, damage: Mapping[str, Any]
    ) -> TableHeader:
        """Write what is held and the header, and close the file.

        Raises SinkError.
        """
        seen = Seen(
            self._frames,
            self._first,
            self._last,
            self._times.hexdigest(),
            self._digest.rows,
            self._digest.boxes,
            self._digest.landmarks,
        )
        header = TableHeader(
            video=self._video,
            analysis=self._analysis,
            seen=seen,
            faces=dict(faces),
            landmarks=None if landmarks is None else dict(landmarks),
            damage=dict(damage),
        )
        self._flush()
        try:
            self._writer.add_key_value_metadata({HEADER_KEY: json.dumps(header.to_json()).encode()})
            self._writer.close()
        except OSError as error:
            raise _unwritable(self._path, error) from error
        return header

    def close(self) -> None:
        """Let go of an unfinished file; safe to call again."""
        with suppress(OSError):  # on the way out of an error a second one must not hide the first
            self._writer.close()

    def _flush(self) -> None:
        if not self._held:
            return
        try:
            self._writer.write_table(pa.Table.from_batches(self._held), row_group_size=self._held_rows)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._held, self._held_rows = [], 0

    def _record_batch(self, rows: Faces) -> Any:
        times = rows.pts * float(self._base) - float(self._start)
        names = pa.array(SOURCES)
        columns = [
            pa.array(rows.frame),
            pa.array(rows.pts),
            pa.array(times),
            pa.array(rows.track_id),
            *(pa.array(np.ascontiguousarray(rows.xyxy[:, i])) for i in range(4)),
            pa.array(rows.confidence),
            pa.DictionaryArray.from_arrays(pa.array(rows.source.astype(np.int8)), names),
        ]
        if self._topology:
            columns += _mesh_columns(rows, self._topology)
        return pa.record_batch(columns, schema=self._schema)


def _mesh_columns(rows: Faces, name: str) -> list[Any]:
    """The columns `topology` and `landmarks`, null where a row has no mesh."""
    there = rows.has_landmarks
    if rows.topology != name:
        raise ShapeError(f"faces must have landmarks of topology {name}, got {rows.topology!r}")
    missing = pa.array(~there)
    indices = pa.array(np.zeros(len(rows), np.int8), mask=~there)
    flat = pa.array(_steps(rows).reshape(-1))
    return [
        pa.DictionaryArray.from_arrays(indices, pa.array([name])),
        pa.FixedSizeListArray.from_arrays(flat, 3 * rows.landmarks.shape[1], mask=missing),
    ]


def _steps(rows: Faces) -> NDArray[np.int32]:
    """Landmarks in whole steps, and in a row that has none what no landmark is."""
    there = rows.has_landmarks[:, None, None]
    steps = np.where(there, rows.landmarks, 0) * PER_PIXEL
    whole: NDArray[np.int32] = np.rint(steps).astype(np.int32)
    if not np.array_equal(whole, steps):
        raise ShapeError(f"landmarks must be multiples of 1/{PER_PIXEL} pixel")
    whole[~rows.has_landmarks] = np.iinfo(np.int32).min
    return whole


def _unwritable(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path}: cannot be written: {error.strerror or ' '.join(str(error).split())}")
