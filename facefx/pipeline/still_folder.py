"""A folder of photos in, a folder of the same shape out; one that fails does not end the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import facefx
from facefx.config import RunConfig
from facefx.errors import ExitCode, FacefxError, SinkError, SourceError, UsageError
from facefx.pipeline.stills import StillReport, StillRunner, is_still
from facefx.storage import is_local, local_path, real_path
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
    """The account of a folder; to_json() is what `--report` writes.

    interrupted: the files after the last of the outcomes were not come to.
    """

    source: str
    output: str
    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False

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
            "interrupted": self.interrupted,
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
    """Process every photo of a folder and of the folders in it; hidden files are left alone, links to
    folders are not followed.

    output: a folder, made where it is missing; each photo keeps its place and name there. A HEIC or AVIF,
    which cannot be written, becomes name.heic.jpg. told: called with each file's outcome as it is known.

    Raises UsageError where the output lies in the input, SinkError where it cannot be made, SourceError
    where there is no photo in the input, and what StillRunner raises.
    """
    top, target = _folders(source, output)
    files = list(_walk(top))
    if not any(is_still(str(top / file)) for file in files):
        raise SourceError(f"{source}: no photo in it: expected JPEG, PNG, WebP, HEIC or AVIF files")
    report = FolderReport(source, output)
    with StillRunner(config) as runner, _having(target):
        places = _Places(top, target, files)
        for file in files:
            outcome = _one(runner, places, file, hashes)
            report.outcomes.append(outcome)
            if told is not None:
                told(outcome)
    return report


def _folders(source: str, output: str) -> tuple[Path, Path]:
    """Both folders, the output outside of the input."""
    if not (is_local(source) and is_local(output)):
        raise UsageError(f"{source} → {output}: a folder of photos must be local, and so must its output")
    top, target = local_path(source), local_path(output)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{output}: is a file, expected a folder, since the input is one")
    inner, outer = real_path(target), real_path(top)
    if inner == outer or outer in inner.parents:
        raise UsageError(f"{output}: lies in the folder of the input; name one beside it")
    return top, target


def _walk(top: Path) -> Iterator[Path]:
    """Files below a folder, relative to it, in order; with them folders that are links or cannot be read.

    Raises SourceError where the folder itself cannot be read.
    """
    closed: list[Path] = []

    def lost(error: OSError) -> None:
        if Path(error.filename) == top:
            raise SourceError(f"{top}: cannot be read: {error.strerror}; check its rights") from error
        closed.append(Path(error.filename))

    for folder, folders, names in os.walk(top, onerror=lost):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(top)
    yield from (folder.relative_to(top) for folder in closed)


class _Places:
    """Where each file of a folder goes: no two to one place, and none over any file of the input."""

    def __init__(self, top: Path, target: Path, files: Sequence[Path]) -> None:
        self.top = top
        self._target = target
        self._inputs = {real: file for file in files for real in (_real(top / file), real_path(top / file))}
        self._taken: dict[Path, Path] = {}

    def of(self, file: Path) -> tuple[Path, Path]:
        """The name of a photo's output in the folder of outputs, and its path.

        Raises UsageError where another has that place.
        """
        name = file if writable_suffix(file.suffix) else file.with_name(file.name + ".jpg")
        path = self._target / name
        real = _real(path)
        if real in self._inputs:
            raise UsageError(f"its output would be {path}, which is the input {self._inputs[real]}")
        first = self._taken.setdefault(real, file)
        if first != file:
            raise UsageError(f"its output would be {path}, which {first} became")
        return name, path


def _real(path: Path) -> Path:
    """The place that a name stands for: publishing replaces a link to a file, but follows one to a folder."""
    return real_path(path.parent) / path.name


def _one(runner: StillRunner, places: _Places, file: Path, hashes: bool) -> Outcome:
    source = places.top / file
    if source.is_dir():
        if source.is_symlink():
            return Outcome(str(file), "", "skipped", "a link to a folder: name that folder to facefx run")
        return Outcome(str(file), "", "failed", "the folder cannot be read: check its rights")
    if not is_still(str(source)):
        return Outcome(str(file), "", "skipped", _why_skipped(file))
    try:
        name, path = places.of(file)
        with _having(path.parent):
            report = runner.run(str(source), str(path), hashes=hashes)
    except FacefxError as error:
        return Outcome(str(file), "", "failed", " ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - one photo must not end the rest; it is told and counted
        return Outcome(str(file), "", "failed", f"internal error: {type(error).__name__}: {error}")
    return Outcome(str(file), str(name), "done", report.coded, report)


def _why_skipped(file: Path) -> str:
    if file.suffix.lower() in _VIDEOS:
        return "a video: name it alone to facefx run"
    return "no photo"


@contextmanager
def _having(folder: Path) -> Iterator[None]:
    """Have a folder for the length of the block; what was made for it and stays empty goes again.

    Raises SinkError.
    """
    missing: list[Path] = []
    try:
        try:
            missing += (part for part in (folder, *folder.parents) if not part.exists())
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(
                f"{folder}: cannot be made: {error.strerror}; choose another folder or change its rights"
            ) from error
        yield
    finally:
        for part in missing:
            with suppress(OSError):  # something came to lie there, or it was never made
                part.rmdir()
