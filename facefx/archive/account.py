"""Manifest and report of an archive, written anew from its records."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from facefx.archive.manifest import read_manifest, write_manifest
from facefx.archive.records import CommitRecord, RunFacts
from facefx.archive.report import write_report
from facefx.archive.state import STATE, State
from facefx.errors import ExitCode

__all__ = ["Written", "rewrite_account", "write_account"]


@dataclass(frozen=True, slots=True)
class Written:
    """Where manifest and report are, and what became of a run's videos. facts: with its exit code."""

    manifest: str
    report: str
    quarantined: int
    failed: int
    facts: RunFacts


def write_account(state: State, facts: RunFacts, keys: Collection[str]) -> Written:
    """Write both over all records of the archive; keys: the videos that the run was about.

    A run that was not interrupted ends with 5 where one of its videos is not done, whoever gave it up.

    Raises RecordsError, SinkError.
    """
    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        manifest, report = Path(folder) / "manifest.parquet", Path(folder) / "report.html"
        counts: Counter[str] = Counter()

        def counted(record: CommitRecord) -> CommitRecord:
            if record.key in keys:
                counts[record.status] += 1
            return record

        write_manifest((counted(record) for record in state.records()), manifest)
        facts = replace(facts, exit_code=_exit_code(facts, counts, len(keys)))
        write_report(report, facts, read_manifest(manifest))
        state.store.put(f"{STATE}/manifest.parquet", manifest)
        state.store.put(f"{STATE}/report.html", report)
    state.write_run(facts)
    return Written(
        state.store.url_of(f"{STATE}/manifest.parquet"),
        state.store.url_of(f"{STATE}/report.html"),
        counts["quarantined"],
        counts["failed"],
        facts,
    )


def _exit_code(facts: RunFacts, counts: Counter[str], videos: int) -> int:
    if facts.interrupted:
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.DONE if counts["done"] == videos else ExitCode.PARTIAL)


def rewrite_account(state: State) -> Written:
    """Write both anew, with the facts of the last run that ended.

    Raises RecordsError where no run has ended yet, or a record cannot be read.
    """
    state.require_job()
    facts = state.last_run()
    return write_account(state, facts, state.record_keys())
