"""A folder of photos in, a folder of the same shape out; one that fails does not end the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import facefx
from facefx.config import RunConfig
from facefx.errors import ExitCode, FacefxError, SourceError, UsageError
from facefx.pipeline.stills import StillReport, StillRunner, is_still
from facefx.storage import is_local, local_path
from facefx.video.still_kinds import writable_suffix

__all__ = ["FolderReport", "Outcome", "run_folder"]

_VIDEOS = frozenset((
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".mxf",
    ".wmv", ".ogv", ".3gp",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. source, output: relative to their folders; report: of a photo that is done."""

    source: str
    output: str
    outcome: Literal["done", "failed", "skipped"]
    reason: str = ""
    report: StillReport | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {"source": self.source, "output": self.output, "outcome": self.outcome, "reason": self.reason}
        return plain if self.report is None else {**plain, "report": self.report.to_json()}


@dataclass(slots=True)
class FolderReport:
    """The account of a folder; to_json() is what `--report` writes."""

    source: str
    output: str
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """How many files came to this."""
        return sum(one.outcome == outcome for one in self.outcomes)

    @property
    def exit_code(self) -> ExitCode:
        """PARTIAL if a photo failed; what is skipped is no failure."""
        return ExitCode.PARTIAL if self.count("failed") else ExitCode.DONE

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "facefx": facefx.__version__,
            "kind": "folder of photos",
            "source": self.source,
            "output": self.output,
            **{name: self.count(name) for name in ("done", "failed", "skipped")},
            "files": [one.to_json() for one in self.outcomes],
        }


def run_folder(
    source: str,
    output: str,
    config: RunConfig,
    told: Callable[[Outcome], None] | None = None,
    *,
    hashes: bool = True,
) -> FolderReport:
    """Process every photo of a folder and of the folders in it; hidden files are left alone.

    output: a folder, made where it is missing; each photo keeps its place and name there. A HEIC or AVIF,
    which cannot be written, becomes name.heic.jpg. told: called with each file's outcome as it is known.

    Raises UsageError where a folder cannot be used, SourceError where there is no photo in it, and what
    StillRunner raises.
    """
    top, target = _folders(source, output)
    files = list(_walk(top))
    if not any(is_still(str(top / file)) for file in files):
        raise SourceError(f"{source}: no photo in it: expected JPEG, PNG, WebP, HEIC or AVIF files")
    report = FolderReport(source, output)
    taken: dict[Path, Path] = {}
    with StillRunner(config) as runner:
        for file in files:
            outcome = _one(runner, top, target, file, taken, hashes)
            report.outcomes.append(outcome)
            if told is not None:
                told(outcome)
    return report


def _folders(source: str, output: str) -> tuple[Path, Path]:
    """Both folders, where an output can never come to lie over an input."""
    if not (is_local(source) and is_local(output)):
        raise UsageError(f"{source} → {output}: a folder of photos must be local, and so must its output")
    top, target = local_path(source), local_path(output)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{output}: is a file, expected a folder, since the input is one")
    inner, outer = target.resolve(), top.resolve()
    if inner == outer or outer in inner.parents:
        raise UsageError(f"{output}: lies in the folder of the input; name one beside it")
    return top, target


def _walk(top: Path) -> Iterator[Path]:
    """Files below a folder, relative to it, in order; links to folders are not followed."""
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(top)


def _one(
    runner: StillRunner, top: Path, target: Path, file: Path, taken: dict[Path, Path], hashes: bool
) -> Outcome:
    source = top / file
    if not is_still(str(source)):
        return Outcome(str(file), "", "skipped", _why_skipped(file))
    name = file if writable_suffix(file.suffix) else file.with_name(file.name + ".jpg")
    first = taken.setdefault(name, file)
    if first != file:
        return Outcome(str(file), "", "failed", f"its output would be {name}, which {first} became")
    place = target / name
    made = _make_folder(place.parent)
    try:
        report = runner.run(str(source), str(place), hashes=hashes)
    except FacefxError as error:
        reason = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - one photo must not end the rest; it is told and counted
        reason = f"internal error: {type(error).__name__}: {error}"
    else:
        return Outcome(str(file), str(name), "done", report.coded, report)
    for folder in made:
        with suppress(OSError):  # another photo may have come to lie there
            folder.rmdir()
    return Outcome(str(file), "", "failed", reason)


def _why_skipped(file: Path) -> str:
    if file.suffix.lower() in _VIDEOS:
        return "a video: name it alone to facefx run"
    return "no photo"


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, innermost first.

    Raises UsageError.
    """
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}; choose another folder") from error
    return missing
