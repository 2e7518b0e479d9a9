"""What an archive keeps below its target, in the folder `.facefx`: the only place where names are laid out.

job.json                    what was asked for, and the digest of all that results depend on
lease.json                  who works on it now
progress.json               how far the run is, a few seconds old
cancel                      somebody wants the run to end
segments/KEY/NAME.*         a segment's piece, faces and result; NAME.json comes last: it is whole then
commits/KEY.json            one record a video: published, or failed with evidence
faces/video=KEY/part.parquet    the faces of a published video
sheets/KEY.jpg              its contact sheet
manifest.parquet, report.html   all records, for machines and for people
logs/RUN.jsonl              a line for each thing that happened
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from facefx.archive.naming import STATE_FOLDER as STATE
from facefx.archive.records import CommitRecord, RunFacts
from facefx.archive.tasks import Recipe
from facefx.errors import RecordsError, SourceError
from facefx.pipeline.segment import SegmentResult
from facefx.storage import Store

__all__ = ["STATE", "State"]

_JOB_VERSION = 1
_READERS = 16  # small objects fetched at once: on S3 each takes tens of milliseconds
_AT_ONCE = 512  # of which so many lie in memory


class State:
    """An archive's own folder, read and written by name. Every write is whole or not at all."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def lease_name(self) -> str:
        """Where the lease lies."""
        return f"{STATE}/lease.json"

    # What was asked for

    def write_job(
        self, recipe: Recipe, sources: tuple[str, ...], template: str, container: str | None
    ) -> None:
        """Keep what was asked for, once the nets are settled; a secret seed is not kept."""
        plain = {
            "version": _JOB_VERSION,
            "recipe": recipe.to_json(),
            "recipe_sha256": recipe.digest,
            "config": recipe.config.model_dump(mode="json", exclude={"seed"}),
            "source_options": recipe.source_options.to_json(),
            "target_options": recipe.target_options.to_json(),
            "sources": list(sources),
            "template": template,
            "container": container,
        }
        self.store.write(f"{STATE}/job.json", json.dumps(plain, indent=2, sort_keys=True).encode())

    def read_job(self) -> dict[str, Any] | None:
        """What was asked for; None where nothing was yet.

        Raises RecordsError where it cannot be read, or is of another version.
        """
        plain = self._read_json("job.json")
        if plain is not None and plain.get("version") != _JOB_VERSION:
            raise RecordsError(
                f"{self.store.url_of(STATE + '/job.json')}: is of version {plain.get('version')}, expected "
                f"{_JOB_VERSION}; use the facefx that made it, or another target"
            )
        return plain

    def require_job(self) -> dict[str, Any]:
        """What was asked for.

        Raises RecordsError where nothing was, or it cannot be read.
        """
        job = self.read_job()
        if job is None:
            raise RecordsError(
                f"{self.store.url}: holds no archive (no {STATE}/job.json); name the target of "
                "facefx archive run"
            )
        return job

    # How far it is

    def write_progress(self, plain: dict[str, Any]) -> None:
        """Say how far the run is."""
        self.store.write(f"{STATE}/progress.json", json.dumps(plain, sort_keys=True).encode())

    def read_progress(self) -> dict[str, Any] | None:
        """How far the last run was when it last said so."""
        return self._read_json("progress.json")

    def write_run(self, facts: RunFacts) -> None:
        """Keep what a run did, once it has ended."""
        self.store.write(f"{STATE}/run.json", facts.to_bytes())

    def last_run(self) -> RunFacts:
        """What the last run did that came to its end.

        Raises RecordsError where none did.
        """
        rel = f"{STATE}/run.json"
        if not self.store.exists(rel):
            raise RecordsError(f"{self.store.url}: no run has ended yet; go on with facefx archive run")
        return RunFacts.from_bytes(self.store.read(rel), self.store.url_of(rel))

    def ask_to_stop(self) -> None:
        """Leave word that the run is to end."""
        self.store.write(f"{STATE}/cancel", b"")

    def asked_to_stop(self) -> bool:
        """True if somebody left that word."""
        return self.store.exists(f"{STATE}/cancel")

    def forget_stop(self) -> None:
        """Begin anew."""
        self.store.remove(f"{STATE}/cancel")

    def write_log(self, run: str, lines: bytes) -> None:
        """Keep a run's log, all of it so far."""
        self.store.write(f"{STATE}/logs/{run}.jsonl", lines)

    # Segments

    def segments(self, key: str) -> dict[str, SegmentResult]:
        """The results of the segments of a video that are in the store whole, by name."""
        prefix = f"{STATE}/segments/{key}/"
        names = [entry.rel for entry in self.store.list(prefix) if entry.rel.endswith(".json")]
        read = ((Path(rel).stem, _result(data)) for rel, data in self._read_all(names))
        return {name: result for name, result in read if result is not None}

    def segment_keys(self) -> set[str]:
        """The videos of which something of a segment is in the store."""
        prefix = f"{STATE}/segments/"
        return {entry.rel[len(prefix) :].partition("/")[0] for entry in self.store.list(prefix)}

    def segment(self, key: str, name: str) -> SegmentResult | None:
        """The result of one segment, if it is in the store whole."""
        rel = f"{STATE}/segments/{key}/{name}.json"
        return _result(self.store.read(rel)) if self.store.exists(rel) else None

    def put_segment(
        self, key: str, name: str, piece: Path, faces: Path | None, result: SegmentResult
    ) -> None:
        """Store a segment; it counts once its result is there, which comes last."""
        base = f"{STATE}/segments/{key}/{name}"
        if faces is not None:
            self.store.put(f"{base}.faces", faces)
        self.store.put(f"{base}.piece", piece)
        self.store.write(f"{base}.json", json.dumps(result.to_json(), sort_keys=True).encode())

    def get_segment(
        self, key: str, name: str, folder: Path, *, faces: bool
    ) -> tuple[Path, Path | None] | None:
        """Fetch a segment's piece and faces into a folder; None where one of them is gone."""
        base = f"{STATE}/segments/{key}/{name}"
        piece, table = folder / f"{name}.piece", folder / f"{name}.faces"
        suffixes = {"piece": piece, "faces": table} if faces else {"piece": piece}
        for suffix, path in suffixes.items():
            try:
                self.store.get(f"{base}.{suffix}", path)
            except SourceError:
                if self.store.exists(f"{base}.{suffix}"):
                    raise
                return None
        return piece, table if faces else None

    def remove_segment(self, key: str, name: str) -> None:
        """Let one segment go, which must be made again; first what makes it count."""
        for suffix in ("json", "piece", "faces"):
            self.store.remove(f"{STATE}/segments/{key}/{name}.{suffix}")

    def remove_segments(self, key: str) -> None:
        """Let the segments of a video go: it is published, or given up."""
        self.store.remove_tree(f"{STATE}/segments/{key}/")

    # Records

    def write_record(self, record: CommitRecord) -> None:
        """Commit: from now on the video counts as settled."""
        self.store.write(f"{STATE}/commits/{record.key}.json", record.to_bytes())

    def records(self) -> Iterator[CommitRecord]:
        """All records, in the order of their keys.

        Raises RecordsError for one that is damaged or of another version.
        """
        for rel, data in self._read_all(self._record_names()):
            yield CommitRecord.from_bytes(data, self.store.url_of(rel))

    def record_keys(self) -> set[str]:
        """The videos that have a record; none is read."""
        return {Path(rel).stem for rel in self._record_names()}

    def _record_names(self) -> list[str]:
        entries = self.store.list(f"{STATE}/commits/")
        return sorted(entry.rel for entry in entries if entry.rel.endswith(".json"))

    def faces_name(self, key: str) -> str:
        """Where the faces of a published video lie."""
        return f"{STATE}/faces/video={key}/part.parquet"

    def sheet_name(self, key: str) -> str:
        """Where its contact sheet lies."""
        return f"{STATE}/sheets/{key}.jpg"

    # Below

    def _read_json(self, name: str) -> dict[str, Any] | None:
        rel = f"{STATE}/{name}"
        if not self.store.exists(rel):
            return None
        try:
            plain = json.loads(self.store.read(rel))
        except ValueError as error:
            raise RecordsError(
                f"{self.store.url_of(rel)}: is not JSON ({error}); restore it, or use another target"
            ) from error
        if not isinstance(plain, dict):
            raise RecordsError(f"{self.store.url_of(rel)}: expected an object, got {type(plain).__name__}")
        return plain

    def _read_all(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                yield from zip(some, pool.map(self.store.read, some), strict=True)


def _result(data: bytes) -> SegmentResult | None:
    """A segment's result; None for one that was damaged where it was kept: the segment is made again."""
    try:
        return SegmentResult.from_json(json.loads(data))
    except (ValueError, TypeError):
        return None
