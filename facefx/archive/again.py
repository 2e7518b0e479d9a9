"""What can be asked of an archive that exists: how it stands, another try, another effect, an end of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from facefx.archive.run import ArchiveRequest
from facefx.archive.state import STATE, State
from facefx.archive.tasks import Recipe
from facefx.config import RunConfig, load_config
from facefx.storage import Lease, StorageOptions

__all__ = ["purge_archive", "request_again", "request_render", "status_of_archive"]

_MOST_TROUBLED = 50


def request_again(state: State, target: str, seed: str | None) -> ArchiveRequest:
    """Ask for another try of what an archive failed to do. seed: a secret one, which is kept nowhere.

    Raises RecordsError where no archive is, or it cannot be read.
    """
    job = state.require_job()
    config = RunConfig.model_validate(job["config"]).model_copy(update={"seed": seed})
    storage = StorageOptions.from_json(job["target_options"])
    return replace(_request(job, config, target, storage, job["recipe"]["kept"]), only="troubled")


def request_render(
    state: State, kept: str, target: str, changes: dict[str, Any], storage: StorageOptions
) -> ArchiveRequest:
    """Ask for other effects on the videos of an archive, with the faces that it kept.

    kept: URL of that archive's target. changes: settings to lay over its own; None means as before.

    Raises RecordsError, ConfigError.
    """
    job = state.require_job()
    config = load_config(None, {**_given(job["config"]), **_given(changes)})
    return _request(job, config, target, storage, kept)


def _request(
    job: dict[str, Any], config: RunConfig, target: str, storage: StorageOptions, kept: str | None
) -> ArchiveRequest:
    """The sources, cuts and names of an archive that exists, with other settings or another target."""
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
    progress = state.read_progress()
    return {
        "target": state.store.url,
        "state": _who_works(state, progress),
        "recipe_sha256": job["recipe_sha256"],
        "sources": job["sources"],
        "records": counts,
        "progress": progress,
        "troubled": troubled[:_MOST_TROUBLED],
        "more_troubled": max(len(troubled) - _MOST_TROUBLED, 0),
    }


def _who_works(state: State, progress: dict[str, Any] | None) -> str:
    """Whether a run is at work, in words."""
    holder = Lease(state.store, state.lease_name(), "").last_holder()
    if holder is not None and not holder.is_gone():
        age_s = max(0.0, time.time() - holder.since_s)
        who = f"{holder.owner} on {holder.host}, process {holder.pid}"
        return f"a run is at work: {who}, for about {age_s:.0f} s"
    if (holder is not None and not holder.released) or (progress is not None and progress["running"]):
        return "no run is at work; the last one was broken off: run it again to go on from there"
    return "no run is at work"


def purge_archive(state: State, *, everything: bool) -> int:
    """Remove faces, contact sheets, segments and the report; everything: also the records.

    Returns how many files went. Raises LeaseHeldError while a run is at work, RecordsError where there is no
    archive.
    """
    if not everything or next(state.store.list(f"{STATE}/"), None) is None:
        state.require_job()
    with Lease(state.store, state.lease_name(), "purge"):
        names = [""] if everything else ["segments/", "faces/", "sheets/", "logs/", "report.html"]
        return sum(_remove(state, f"{STATE}/{name}") for name in names)


def _remove(state: State, name: str) -> int:
    if name.endswith("/"):
        return state.store.remove_tree(name)
    existed = state.store.exists(name)
    state.store.remove(name)
    return int(existed)
