"""A record says the same thing when it is read as when it was written, or says why it cannot."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import Any

import pytest
from record_makers import COST, done, given_up, run_facts

from facefx.archive.records import (
    CommitRecord,
    RunFacts,
    now,
    status_of,
    tail,
    versions_here,
    worst,
)
from facefx.errors import RecordsError
from facefx.pipeline.faces_count import FacesCount, Passage


@pytest.mark.parametrize("record", [done(), given_up()], ids=["done", "given up"])
def test_a_record_comes_back_as_it_was(record: CommitRecord) -> None:
    assert CommitRecord.from_bytes(record.to_bytes()) == record


def test_a_runs_facts_come_back_as_they_were() -> None:
    facts = run_facts(notes=("one", "two"), interrupted=True)
    assert RunFacts.from_bytes(facts.to_bytes()) == facts


def test_the_same_facts_are_the_same_bytes_whatever_the_order_and_kind_of_numbers() -> None:
    one = done(plan={"a": 1, "b": 2}, duration_s=20.0)
    other = done(plan={"b": 2, "a": 1}, duration_s=20)
    assert one.to_bytes() == other.to_bytes()


def test_a_file_name_that_is_no_utf8_is_not_lost() -> None:
    odd = "caf\udce9.mp4"  # as Python reads a Latin-1 name
    record = done()
    record = replace(record, source=replace(record.source, relative=odd))
    assert CommitRecord.from_bytes(record.to_bytes()).source.relative == odd


def test_two_undisturbed_runs_can_be_compared() -> None:
    first = done()
    assert first.output is not None
    second = replace(
        first,
        output=replace(first.output, url="file:///elsewhere/clip.mp4"),
        run=replace(COST, finished_at=now(), hosts=(socket.gethostname(),), wall_s=9.0, redone=3, log="x"),
    )
    assert first.to_bytes() != second.to_bytes()
    assert first.stable() == second.stable()
    assert first.stable() != replace(first, frames=599).stable()
    assert first.stable() != replace(first, output=replace(first.output, sha256="00" * 32)).stable()


BAD: dict[str, Any] = {
    "another version": ({"version": 2}, "version 2, expected version 1"),
    "no version": ({"version": None}, "its version"),
    "no key": ({"key": None}, "cannot be read"),
    "unknown status": ({"status": "lost"}, "cannot be read"),
    "more than is known": ({"colour": "blue"}, "does not know"),
    "more inside": ({"faces": {"tracks": 1, "noses": 2}}, "does not know"),
    "no run": ({"run": {}}, "cannot be read"),
}


@pytest.mark.parametrize(("change", "said"), BAD.values(), ids=BAD)
def test_a_record_that_is_not_ours_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    plain = {**done().to_json(), **change}
    with pytest.raises(RecordsError, match=rf"commits/x\.json.*{said}") as caught:
        CommitRecord.from_bytes(json.dumps(plain).encode(), "commits/x.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"version"'])
def test_damaged_json_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(RecordsError, match=r"commits/x\.json"):
        CommitRecord.from_bytes(data, "commits/x.json")
    with pytest.raises(RecordsError, match=r"run\.json"):
        RunFacts.from_bytes(data, "run.json")


def test_every_cut_of_a_record_is_refused() -> None:
    data = given_up().to_bytes().rstrip()
    for length in range(0, len(data), 7):
        with pytest.raises(RecordsError):
            CommitRecord.from_bytes(data[:length])


def test_what_the_file_is_guilty_of_is_told_from_what_it_is_not() -> None:
    assert {status_of(kind) for kind in ("SourceError", "DamagedError", "PoisonError", "FidelityError")} == {
        "quarantined"
    }
    assert status_of("UnsupportedError") == "quarantined"
    assert {status_of(kind) for kind in ("SinkError", "ModelError", "StageError", "Nonsense", "OSError")} == {
        "failed"
    }


def test_what_needs_a_person_most_comes_first_and_the_rest_is_counted() -> None:
    unsure = [Passage("low_confidence", float(i), i + 1.0, i, 0.3 + i / 100) for i in range(10)]
    gap = Passage("long_fill", 50.0, 52.0, 9, 2.0)
    short = Passage("long_fill", 60.0, 60.5, 9, 0.5)
    chosen, more = worst([short, *reversed(unsure), gap], most=5)
    assert chosen == (gap, *unsure[:4])
    assert more == 7
    assert worst([]) == ((), 0)


def test_a_log_without_end_does_not_make_a_record_without_end() -> None:
    log = "".join(f"line {i}\n" for i in range(100_000))
    kept = tail(log)
    assert len(kept) < 8100
    assert kept.endswith("line 99999\n")
    assert kept.startswith("(")
    assert kept.splitlines()[1].startswith("line ")
    assert tail("x" * 20_000).endswith("x" * 8000)


def test_versions_name_what_touches_pixels() -> None:
    assert {"facefx", "av", "numpy"} <= set(versions_here())
    assert FacesCount().tracks == 0
