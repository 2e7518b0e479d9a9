"""What can be asked of an archive that exists: how it stands, another try, another effect, an end of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from facefx.archive.run import ArchiveRequest
from facefx.archive.state import STATE, State
from facefx.archive.tasks import Recipe
from facefx.config import RunConfig, load_config
from facefx.errors import RecordsError
from facefx.storage import Lease, StorageOptions

__all__ = ["purge_archive", "request_again", "request_render", "status_of_archive"]

_MOST_TROUBLED = 50


def request_again(state: State, target: str, seed: str | None) -> ArchiveRequest:
    """Ask for another try of what an archive failed to do. seed: a secret one, which is kept nowhere.

    Raises RecordsError where no archive is, or it cannot be read.
    """
    job = state.require_job()
    config = RunConfig.model_validate(job["config"]).model_copy(update={"seed": seed})
    recipe = Recipe(
        config=config,
        target=target,
        segment_s=job["recipe"]["segment_s"],
        source_options=StorageOptions.from_json(job["source_options"]),
        target_options=replace(StorageOptions.from_json(job["target_options"])),
        kept=job["recipe"]["kept"],
    )
    return ArchiveRequest(tuple(job["sources"]), recipe, job["template"], job["container"], only="troubled")


def request_render(
    state: State, kept: str, target: str, changes: dict[str, Any], storage: StorageOptions
) -> ArchiveRequest:
    """Ask for other effects on the videos of an archive, with the faces that it kept.

    kept: URL of that archive's target. changes: settings to lay over its own; None means as before.

    Raises RecordsError, ConfigError.
    """
    job = state.require_job()
    config = load_config(None, {**_given(job["config"]), **_given(changes)})
    recipe = Recipe(
        config=config,
        target=target,
        segment_s=job["recipe"]["segment_s"],
        source_options=StorageOptions.from_json(job["source_options"]),
        target_options=storage,
        kept=kept,
    )
    return ArchiveRequest(tuple(job["sources"]), recipe, job["template"], job["container"])


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what is None, also further in."""
    return {
        key: _given(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if value is not None
    }


def status_of_archive(state: State) -> dict[str, Any]:
    """How an archive stands, as plain values.

    Raises RecordsError where none is.
    """
    job = state.require_job()
    counts = {"done": 0, "quarantined": 0, "failed": 0}
    troubled = []
    for record in state.records():
        counts[record.status] += 1
        if record.status != "done":
            troubled.append(
                {"status": record.status, "source": record.source.relative, "reason": record.reason}
            )
    progress, holder = state.read_progress(), ""
    at_work = f"a run is at work ({holder})" if holder else ""
    broken = "the last run did not end properly; run it again" if progress and progress["running"] else ""
    return {
        "target": state.store.url,
        "state": at_work or broken or "no run is at work",
        "recipe_sha256": job["recipe_sha256"],
        "sources": job["sources"],
        "records": counts,
        "progress": progress,
        "troubled": troubled[:_MOST_TROUBLED],
        "more_troubled": max(len(troubled) - _MOST_TROUBLED, 0),
    }


def purge_archive(state: State, *, everything: bool) -> int:
    """Remove faces, contact sheets, segments and the report; everything: also the records.

    Returns how many files went. Raises LeaseHeldError while a run is at work, RecordsError where there is no
    archive.
    """
    if not everything:
        state.require_job()
    with Lease(state.store, state.lease_name(), "purge"):
        names = [""] if everything else ["segments/", "faces/", "sheets/", "logs/", "report.html"]
        removed = sum(_remove(state, f"{STATE}/{name}") for name in names)
    if not removed and everything:
        raise RecordsError(f"{state.store.url}: holds no archive; name the target of facefx archive run")
    return removed


def _remove(state: State, name: str) -> int:
    if name.endswith("/"):
        return state.store.remove_tree(name)
    existed = state.store.exists(name)
    state.store.remove(name)
    return int(existed)
