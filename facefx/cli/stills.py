"""`facefx run` with a photo or a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from facefx.cli.report import check_report, write_report
from facefx.config import RunConfig
from facefx.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from facefx.pipeline.still_folder import FolderReport, Outcome

__all__ = ["takes_photos"]


def takes_photos(
    source: str, output: str, settings: RunConfig, report: Path | None, trace: Path | None
) -> bool:
    """Do the run if the input is a photo or a folder; False for anything else.

    Raises typer.Exit with 5 where some photos of a folder failed.
    """
    from facefx.pipeline.stills import is_still, run_still
    from facefx.storage import is_local, local_path

    folder = is_local(source) and local_path(source).is_dir()
    if not folder and not is_still(source):
        return False
    if trace is not None:
        raise ConfigError("trace: for videos only; a photo has no stages that wait for one another")
    if report is not None:
        if is_still(str(report)):
            raise UsageError(
                f"{report}: is a photo or named like one; name the report otherwise, as in r.json"
            )
        check_report(report, (source, output))
    if folder:
        _run_folder(source, output, settings, report)
        return True
    result = run_still(source, output, settings, hashes=report is not None).to_json()
    if report is not None:
        write_report(report, result)
    _say(f"{result['output']}: {_faces(result)}, {result['coded']}, verified")
    for note in result["notes"]:
        _say(f"note: {note}")
    return True


def _run_folder(source: str, output: str, settings: RunConfig, report: Path | None) -> None:
    from facefx.pipeline.still_folder import FolderReport, run_folder

    seen: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        seen.append(outcome)
        _tell(outcome)

    try:
        done = run_folder(source, output, settings, tell, hashes=report is not None)
    except BaseException:
        if seen:  # what was published before Ctrl-C is accounted for
            _sum_up(FolderReport(source, output, seen, interrupted=True), report)
        raise
    _sum_up(done, report)
    if done.exit_code:
        raise typer.Exit(int(done.exit_code))


def _sum_up(done: FolderReport, report: Path | None) -> None:
    if report is not None:
        write_report(report, done.to_json())
    rest = "; the rest was not come to" if done.interrupted else ""
    _say(
        f"{done.output}: {done.count('done')} photos done, {done.count('failed')} failed, "
        f"{done.count('skipped')} files skipped{rest}"
    )


def _tell(outcome: Outcome) -> None:
    """One line a file, as soon as it is known."""
    if outcome.report is None:
        _say(f"{outcome.outcome}: {outcome.source}: {outcome.reason}")
        return
    result = outcome.report.to_json()
    _say(f"done: {outcome.source} → {outcome.output}: {_faces(result)}, {outcome.reason}, verified")
    for note in result["notes"]:
        _say(f"  note: {note}")


def _faces(result: dict[str, Any]) -> str:
    count = len(result["faces"]["boxes"])
    return f"{count or 'no'} face{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
