"""All records of an archive in one Parquet file, one row a video, and the faces of all videos as one table.

The columns are for whoever asks questions (`SELECT status, count(*)`); together they hold whole records.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from facefx.archive.records import RECORD_VERSION, CommitRecord
from facefx.errors import FacesError, RecordsError, SinkError
from facefx.pipeline.faces_count import FacesCount

__all__ = ["MANIFEST_VERSION", "faces_dataset", "manifest_schema", "read_manifest", "write_manifest"]

MANIFEST_VERSION = 1
"""Of the columns; the records that they hold have a version of their own."""

_VERSION_KEY, _RECORD_KEY = b"facefx.manifest", b"facefx.record"
# A record with its plan, accounts and log is 30 kB at most, so a group stays below 10 MB.
_GROUP_ROWS = 256
_SUMMARY = tuple(FacesCount.__slots__)
_FILES = ("url", "relative", "size_bytes", "sha256")
_COST = ("finished_at", "wall_s", "cpu_s", "seconds", "hosts", "redone", "reused", "log")
_SAME = (
    "key", "status", "identity", "duration_s", "frames", "segments", "review", "review_more", "plan_sha256",
    "nets", "versions", "notes", "reason", "kind", "where",
)  # fmt: skip
_AS_TEXT = ("plan", "details")


@cache
def manifest_schema() -> pa.Schema:
    """The columns; those of an output are null for a video that has none, `plan` and `details` are JSON."""
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    passage = pa.struct([("kind", text), ("from_s", real), ("to_s", real), ("track", whole), ("value", real)])
    net = pa.struct([(name, text) for name in ("name", "sha256", "licence")])
    kinds = {
        **dict.fromkeys(("duration_s", "longest_gap_s", "wall_s", "cpu_s"), real),
        **dict.fromkeys(("frames", "segments", "review_more", "redone", "reused", *_SUMMARY), whole),
        **dict.fromkeys(("source_size_bytes", "output_size_bytes"), whole),
        "longest_gap_s": real,
        "review": pa.list_(passage),
        "nets": pa.list_(net),
        "versions": pa.map_(text, text),
        "seconds": pa.map_(text, real),
        "notes": pa.list_(text),
        "hosts": pa.list_(text),
    }
    names = (*_SAME[:3], *_columns("source"), *_columns("output"), *_SAME[3:6], *_SUMMARY, *_SAME[6:])
    fields = [
        pa.field(name, kinds.get(name, text), nullable=name.startswith("output_"))
        for name in (*names, *_AS_TEXT, *_COST)
    ]
    versions = {_VERSION_KEY: str(MANIFEST_VERSION), _RECORD_KEY: str(RECORD_VERSION)}
    return pa.schema(fields, metadata=versions)


def _columns(file: str) -> tuple[str, ...]:
    return tuple(f"{file}_{name}" for name in _FILES)


def write_manifest(records: Iterable[CommitRecord], path: Path) -> int:
    """Write records as they come, readable by their owner only; return how many there were.

    The file appears when it is whole. A name that is no UTF-8 is kept with its bytes spelt out.

    Raises SinkError, and what records raises.
    """
    part = path.with_name(f".{secrets.token_hex(4)}.part")
    rows = (_row(record) for record in records)
    count = 0
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with _writer(part) as writer:
            while some := list(islice(rows, _GROUP_ROWS)):
                writer.write_table(pa.Table.from_pylist(some, manifest_schema()))
                count += len(some)
        part.replace(path)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}; make room there") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _writer(path: Path) -> Any:
    return pq.ParquetWriter(path, manifest_schema(), compression="zstd", write_page_checksum=True)


def read_manifest(path: Path) -> Iterator[CommitRecord]:
    """Give the records in the order in which they were written; the file is opened and checked at once.

    Raises RecordsError, now or later, for a file that is damaged, none of ours or of another version.
    """
    with _readable(path):
        if not path.is_file():
            raise RecordsError(f"{path}: no such file; make it with facefx archive manifest")
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
    with _readable(path), _closed_on_error(file):
        _check(path, file.schema_arrow)
    return _records(path, file)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise RecordsError(
            f"{path}: expected a manifest of an archive, and it cannot be read: {said}; "
            "make it again with facefx archive manifest"
        ) from error


@contextmanager
def _closed_on_error(file: Any) -> Iterator[None]:
    try:
        yield
    except RecordsError:
        file.close()
        raise


def _check(path: Path, schema: pa.Schema) -> None:
    versions = schema.metadata or {}
    if _VERSION_KEY not in versions:
        raise RecordsError(f"{path}: is Parquet, but no manifest of an archive; name its manifest.parquet")
    for key, what, expected in (
        (_VERSION_KEY, "a manifest", MANIFEST_VERSION),
        (_RECORD_KEY, "a manifest with records", RECORD_VERSION),
    ):
        got = versions.get(key, b"none").decode(errors="replace")
        if got != str(expected):
            raise RecordsError(
                f"{path}: is {what} of version {got}, expected version {expected}; make it again with "
                "facefx archive manifest, or read it with the facefx that wrote it"
            )
    if not schema.equals(manifest_schema()):
        raise RecordsError(
            f"{path}: its columns are not those of its version; make it again with facefx archive manifest"
        )


def _records(path: Path, file: Any) -> Iterator[CommitRecord]:
    try:
        with _readable(path):
            for batch in file.iter_batches(batch_size=_GROUP_ROWS):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    yield CommitRecord.from_json(_plain(row), f"{path}: {row['source_relative']}")
    finally:
        with suppress(OSError):
            file.close()


def _row(record: CommitRecord) -> dict[str, Any]:
    plain: dict[str, Any] = _spelt(record.to_json())
    output = plain["output"] or dict.fromkeys(_FILES)
    return {
        **{name: plain[name] for name in _SAME},
        **{f"source_{name}": plain["source"][name] for name in _FILES},
        **{f"output_{name}": output[name] for name in _FILES},
        **plain["faces"],
        **{name: json.dumps(plain[name], sort_keys=True) for name in _AS_TEXT},
        **plain["run"],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record's JSON from its row."""
    output = {name: row[f"output_{name}"] for name in _FILES}
    return {
        "version": RECORD_VERSION,
        **{name: row[name] for name in _SAME},
        "source": {name: row[f"source_{name}"] for name in _FILES},
        "output": None if output["url"] is None else output,
        "faces": {name: row[name] for name in _SUMMARY},
        **{name: json.loads(row[name]) for name in _AS_TEXT},
        "run": {name: row[name] for name in _COST},
    }


def _spelt(value: Any) -> Any:
    """The same value with what UTF-8 cannot say (bytes of a name in another encoding) spelt out."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_spelt(key): _spelt(item) for key, item in value.items()}
    return [_spelt(item) for item in value] if isinstance(value, list) else value


def faces_dataset(folder: str | Path, filesystem: Any = None) -> Any:
    """Open the faces of an archive, `video=KEY/part.parquet` each, as one pyarrow.dataset.Dataset.

    Its columns are those of a table of faces and `video`, the key of a record. filesystem: of pyarrow or
    fsspec, for a folder that is not local. Nothing is read but the first table's columns.

    Raises FacesError where there is no table.
    """
    by_video = pads.partitioning(pa.schema([pa.field("video", pa.string())]), flavor="hive")
    try:
        base = filesystem or pafs.LocalFileSystem()
        # Given by name: discovery passes over every folder below one whose name begins with a dot.
        names = sorted(_tables(base, str(folder)))
        if not names:
            raise FacesError(f"{folder}: holds no table of faces; name the folder above its video=… folders")
        schema = pads.dataset(names[0], filesystem=base, partitioning=by_video).schema
        dataset = pads.dataset(names, schema=schema.remove_metadata(), filesystem=base, partitioning=by_video)
    except (pa.ArrowException, OSError) as error:
        raise FacesError(f"{folder}: its tables of faces cannot be read: {error}") from error
    return dataset


def _tables(filesystem: Any, folder: str) -> Iterator[str]:
    if not isinstance(filesystem, pafs.FileSystem):
        filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(filesystem))
    for info in filesystem.get_file_info(pafs.FileSelector(folder, recursive=True)):
        if info.is_file and info.base_name.endswith(".parquet") and "/video=" in info.path:
            yield info.path
