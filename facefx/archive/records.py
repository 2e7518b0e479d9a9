"""What is kept of each video of an archive once it is settled: enough for an auditor, and to go on from.

A record is written when its output is published, or when the video is given up; its JSON is the same for
the same facts. What may differ between two runs that did the same stands apart, in `run`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from facefx.errors import FidelityError, RecordsError, SourceError, UnsupportedError, error_class
from facefx.models.catalog import NetUse
from facefx.pipeline.faces_count import FacesCount, Passage

__all__ = [
    "RECORD_VERSION",
    "CommitRecord",
    "FileFacts",
    "NetUse",
    "RunFacts",
    "Status",
    "VideoCost",
    "need",
    "now",
    "status_of",
    "tail",
    "versions_here",
    "worst",
]

RECORD_VERSION = 1

Status = Literal["done", "quarantined", "failed"]

MOST_REVIEWED = 200
"""Passages of one video that a record lists; the rest is a number."""

_LOG_CHARACTERS = 8000
_LIBRARIES = ("facefx", "av", "numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "pyarrow")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file: where it is, its name below the source root or the target, and what it holds.

    sha256: hex, empty where nobody read the whole file.
    """

    url: str
    relative: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class VideoCost:
    """What it took, which differs from run to run. finished_at: ISO 8601, UTC.

    seconds: working time by stage; hosts: machines that worked on it; redone: segments begun more than
    once; reused: segments that an earlier run left; log: last lines of a failure's log.
    """

    finished_at: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    redone: int = 0
    reused: int = 0
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRecord:
    """One video's end. output: None unless it is done; identity: the source's, as the store tells it.

    plan: as plain values, empty where it came to none; details: accounts that only auditors read (fidelity,
    carried, effects, damage); review: worst first, review_more: how many it leaves out. reason, kind,
    where: of what is not done, in words, by the error's class, and by task, segment or stage.
    """

    version: int = RECORD_VERSION
    key: str
    status: Status
    source: FileFacts
    identity: str
    output: FileFacts | None = None
    duration_s: float = 0.0
    frames: int = 0
    segments: int = 0
    faces: FacesCount = field(default_factory=FacesCount)
    review: tuple[Passage, ...] = ()
    review_more: int = 0
    plan_sha256: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    nets: tuple[NetUse, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    kind: str = ""
    where: str = ""
    run: VideoCost

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return _plain(_record_type(), self)

    def to_bytes(self) -> bytes:
        """The record as it lies in the store: the same bytes for the same facts."""
        return _bytes(self.to_json())

    @classmethod
    def from_json(cls, plain: object, name: str = "record") -> CommitRecord:
        """Read what to_json gave; name: of the file, for the message.

        Raises RecordsError, also for another version's record.
        """
        record: CommitRecord = _read(_record_type(), plain, name, "a commit record")
        return record

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "record") -> CommitRecord:
        """Read what to_bytes gave.

        Raises RecordsError.
        """
        return cls.from_json(_parse(data, name), name)

    def stable(self) -> dict[str, Any]:
        """What two runs over the same videos by the same plan must agree on, wherever they put them."""
        plain = self.to_json()
        del plain["run"]
        for file in (plain["source"], plain["output"]):
            if file is not None:
                del file["url"]
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run over an archive, for its report. skipped: videos that were done before it began.

    recipe: what is fixed for all videos, as plain values, recipe_sha256: its digest; lanes: in words, who
    worked; lost: tasks that lost their worker; redone: segments begun again; interrupted: stopped early.
    """

    version: int = RECORD_VERSION
    sources: tuple[str, ...]
    target: str
    recipe_sha256: str
    recipe: dict[str, Any] = field(default_factory=dict)
    started_at: str
    finished_at: str
    exit_code: int
    videos: int
    skipped: int = 0
    interrupted: bool = False
    lanes: str = ""
    lost: int = 0
    redone: int = 0
    wall_s: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return _plain(_run_type(), self)

    def to_bytes(self) -> bytes:
        """The facts as they lie in the store."""
        return _bytes(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "run") -> RunFacts:
        """Read what to_bytes gave.

        Raises RecordsError, also for another version's.
        """
        facts: RunFacts = _read(_run_type(), _parse(data, name), name, "a run's facts")
        return facts


@cache
def _record_type() -> TypeAdapter[CommitRecord]:
    return TypeAdapter(CommitRecord)


@cache
def _run_type() -> TypeAdapter[RunFacts]:
    return TypeAdapter(RunFacts)


def _plain(adapter: TypeAdapter[Any], value: Any) -> dict[str, Any]:
    """A value as reading it back gives it: 1 where a float belongs is 1.0, now as then."""
    plain: dict[str, Any] = adapter.dump_python(adapter.validate_python(asdict(value)), mode="json")
    return plain


def _bytes(plain: Mapping[str, Any]) -> bytes:
    # ASCII, so that a name that is no UTF-8 comes back as it was.
    return (json.dumps(plain, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def _parse(data: bytes, name: str) -> object:
    try:
        return json.loads(data)
    except ValueError as error:
        raise RecordsError(
            f"{name}: is no JSON, expected a record of an archive: {error}; remove it and run again"
        ) from error


def _read(adapter: TypeAdapter[Any], plain: object, name: str, what: str) -> Any:
    if not isinstance(plain, dict) or not isinstance(plain.get("version"), int):
        raise RecordsError(f"{name}: expected {what} with its version; remove it and run again")
    if plain["version"] != RECORD_VERSION:
        raise RecordsError(
            f"{name}: is {what} of version {plain['version']}, expected version {RECORD_VERSION}; "
            "use the facefx that wrote it, or another target"
        )
    try:
        value = adapter.validate_python(plain)
    except ValidationError as error:
        said = " ".join(str(error).split())[:200]
        raise RecordsError(f"{name}: {what} cannot be read: {said}; remove it and run again") from error
    if value.to_json() != plain:
        raise RecordsError(f"{name}: {what} holds something that this version does not know; remove it")
    return value


def now() -> str:
    """The time as records say it.

    >>> len(now()), now()[-1]
    (20, 'Z')
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_of(kind: str) -> Status:
    """What becomes of a video that met an error of this class: quarantined where the video is its cause.

    >>> status_of("DamagedError"), status_of("SinkError"), status_of("KeyError")
    ('quarantined', 'failed', 'failed')
    """
    error = error_class(kind)
    return "quarantined" if issubclass(error, SourceError | UnsupportedError | FidelityError) else "failed"


def tail(log: str, most: int = _LOG_CHARACTERS) -> str:
    r"""The end of a log, from the beginning of a line; what was cut is said.

    >>> tail("one\ntwo\nthree", 7)
    '(8 characters before)\nthree'
    """
    if len(log) <= most:
        return log
    kept = log[-most:]
    kept = kept[kept.find("\n") + 1 :] if "\n" in kept[:-1] else kept
    return f"({len(log) - len(kept)} characters before)\n{kept}"


def worst(items: Iterable[Passage], most: int = MOST_REVIEWED) -> tuple[tuple[Passage, ...], int]:
    """The passages that most need a person, in order of need, and how many more there are."""
    ordered: Sequence[Passage] = sorted(items, key=need)
    return tuple(ordered[:most]), max(len(ordered) - most, 0)


def need(item: Passage) -> tuple[float, float, int]:
    """Sorts passages by how much they need a person: least sure first, longest out of sight first.

    A confidence and a time out of sight are set against each other so that a second unseen weighs as
    much as a confidence of one half.
    """
    doubt = item.value / 2 if item.kind == "long_fill" else 1 - item.value
    return (-doubt, item.from_s, item.track)


def versions_here() -> dict[str, str]:
    """The versions of what works on videos, of this machine."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
