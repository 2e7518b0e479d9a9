"""`facefx archive`: thousands of videos, spread over workers, resumable, with a report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facefx.cli import archive_options as choices
from facefx.cli import options
from facefx.cli.archive_show import say, show_run, show_status
from facefx.config import load_config
from facefx.errors import UsageError

if TYPE_CHECKING:
    from facefx.archive.run import ArchiveRequest
    from facefx.archive.state import State
    from facefx.config import RunConfig

__all__ = ["app"]

app = typer.Typer(
    name="archive",
    help="Many videos: spread over workers, resumed where they stood, and accounted for.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_JSON = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def estimate(
    sources: choices.Sources,
    effect: options.Effects = None,
    select: options.Select = None,
    config: options.Config = None,
    segment_s: choices.SegmentS = None,
    endpoint: choices.Endpoint = None,
    profile: choices.Profile = None,
    as_json: _JSON = False,
) -> None:
    """Say what an archive would take, from the videos' indexes alone: nothing is decoded or written.

    Example: facefx archive estimate "s3://bucket/bodycam/**/*.mp4"
    """
    from facefx.archive.estimate import estimate_archive
    from facefx.storage import find_sources, opened_in_places

    reached = choices.storage_options(endpoint, profile, None, None)
    settings = load_config(config, options.changing(effect, select))
    result = estimate_archive(
        find_sources((sources,), reached),
        settings,
        _segment_s(segment_s),
        open_index=lambda entry: opened_in_places(entry.url, entry.size_bytes, reached),
    )
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
        return
    for line in result.lines():
        typer.echo(line)


@app.command()
def run(
    sources: choices.Sources,
    target: choices.Target,
    effect: options.Effects = None,
    select: options.Select = None,
    config: options.Config = None,
    detector: options.DetectorName = None,
    landmarker: options.LandmarkerName = None,
    device: options.Device = None,
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = None,
    encoder_threads: options.EncoderThreads = None,
    lossless: options.Lossless = False,
    audio: options.Audio = None,
    metadata: options.Metadata = None,
    extra_video: options.ExtraVideo = None,
    on_damage: options.OnDamage = None,
    seed: options.Seed = None,
    segment_s: choices.SegmentS = None,
    template: choices.Template = "{dir}/{stem}{ext}",
    container: choices.Container = None,
    runner: choices.RunnerKind = "ray",
    placement: choices.Placement = "auto",
    workers: choices.Workers = None,
    address: choices.Address = None,
    scratch: choices.Scratch = None,
    endpoint: choices.Endpoint = None,
    profile: choices.Profile = None,
    sse: choices.Sse = None,
    kms_key: choices.KmsKey = None,
    as_json: _JSON = False,
) -> None:
    """Process every video that SRC names into DST; run it again to go on from where it stood.

    A video that cannot be processed is set aside with its reason, and the rest goes on; then the exit
    code is 5. DST/.facefx keeps the records, the manifest, the faces and the report.

    Example: facefx archive run videos/ hidden/ --effect solid --workers 2
    """
    settings = load_config(
        config,
        {
            **options.changing(effect, select),
            **options.looking(detector, landmarker, device),
            **options.encoding(codec, crf, preset, encoder_threads, lossless),
            **options.carrying(audio, metadata, extra_video),
            "on_damage": on_damage,
            "seed": seed,
        },
    )
    request = _request(
        settings, sources, target, segment_s, template, container, (endpoint, profile, sse, kms_key)
    )
    show_run(request, choices.Lanes(runner, placement, workers, address, scratch), as_json)


@app.command()
def retry(
    target: choices.Target,
    seed: options.Seed = None,
    runner: choices.RunnerKind = "ray",
    placement: choices.Placement = "auto",
    workers: choices.Workers = None,
    address: choices.Address = None,
    scratch: choices.Scratch = None,
    endpoint: choices.Endpoint = None,
    profile: choices.Profile = None,
    as_json: _JSON = False,
) -> None:
    """Try again what failed or was quarantined, and only that, as DST was made.

    Example: facefx archive retry hidden/
    """
    from facefx.archive.again import request_again

    state = _state(target, endpoint, profile)
    request = request_again(state, target, seed)
    show_run(request, choices.Lanes(runner, placement, workers, address, scratch), as_json)


@app.command()
def render(
    kept: Annotated[
        str, typer.Argument(metavar="OLD", help="Result of an earlier archive run, with its faces.")
    ],
    target: choices.Target,
    effect: options.Effects = None,
    select: options.Select = None,
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = None,
    audio: options.Audio = None,
    metadata: options.Metadata = None,
    seed: options.Seed = None,
    runner: choices.RunnerKind = "ray",
    placement: choices.Placement = "auto",
    workers: choices.Workers = None,
    address: choices.Address = None,
    scratch: choices.Scratch = None,
    endpoint: choices.Endpoint = None,
    profile: choices.Profile = None,
    sse: choices.Sse = None,
    kms_key: choices.KmsKey = None,
    as_json: _JSON = False,
) -> None:
    """Apply other effects to the videos of an earlier run, with the faces that it kept: nobody looks again.

    Example: facefx archive render hidden/ pixelated/ --effect pixelate
    """
    from facefx.archive.again import request_render

    state = _state(kept, endpoint, profile)
    changes: dict[str, Any] = {
        **options.changing(effect, select),
        **options.encoding(codec, crf, preset, None, False),
        **options.carrying(audio, metadata, None),
        "seed": seed,
    }
    storage = choices.storage_options(endpoint, profile, sse, kms_key)
    request = request_render(state, kept, target, changes, storage)
    show_run(request, choices.Lanes(runner, placement, workers, address, scratch), as_json)


@app.command()
def status(
    target: choices.Target,
    endpoint: choices.Endpoint = None,
    profile: choices.Profile = None,
    as_json: _JSON = False,
) -> None:
    """Say how far an archive is, whether a run is at work, and what was set aside.

    Example: facefx archive status hidden/
    """
    from facefx.archive.again import status_of_archive

    show_status(status_of_archive(_state(target, endpoint, profile)), as_json)


@app.command()
def cancel(
    target: choices.Target, endpoint: choices.Endpoint = None, profile: choices.Profile = None
) -> None:
    """Ask the run that works on DST to end soon; what is finished stays, and a later run goes on from there.

    Example: facefx archive cancel hidden/
    """
    state = _state(target, endpoint, profile)
    state.require_job()
    state.ask_to_stop()
    say(f"{target}: asked to end; the run stops within a few seconds, facefx archive run goes on later")


@app.command()
def report(
    target: choices.Target, endpoint: choices.Endpoint = None, profile: choices.Profile = None
) -> None:
    """Write manifest and report anew from the records, and say where they are.

    Example: facefx archive report hidden/
    """
    from facefx.archive.account import rewrite_account

    written = rewrite_account(_state(target, endpoint, profile))
    say(f"manifest: {written.manifest}")
    say(f"report:   {written.report}")
    if written.facts.exit_code:
        raise typer.Exit(written.facts.exit_code)


@app.command()
def purge(
    target: choices.Target,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the records: the archive can then not be gone on with.")
    ] = False,
    endpoint: choices.Endpoint = None,
    profile: choices.Profile = None,
) -> None:
    """Remove the personal data beside the results: faces, contact sheets, segments. The results stay.

    Example: facefx archive purge hidden/
    """
    from facefx.archive.again import purge_archive

    removed = purge_archive(_state(target, endpoint, profile), everything=everything)
    say(f"{target}: {removed} files removed")


def _request(
    settings: RunConfig,
    sources: str,
    target: str,
    segment_s: float | None,
    template: str,
    container: str | None,
    storage: tuple[str | None, str | None, str | None, str | None],
) -> ArchiveRequest:
    from facefx.archive.run import ArchiveRequest
    from facefx.archive.tasks import Recipe

    reached = choices.storage_options(*storage)
    recipe = Recipe(
        config=settings,
        target=target,
        segment_s=_segment_s(segment_s),
        source_options=reached,
        target_options=reached,
    )
    return ArchiveRequest((sources,), recipe, template, container)


def _segment_s(given: float | None) -> float | None:
    """Seconds of a segment; 0 means whole videos.

    Raises UsageError.
    """
    if given is None:
        return 20.0
    if given < 0 or 0 < given < 1:
        raise UsageError(f"--segment-s: expected 0 (whole videos) or at least 1 second, got {given:g}")
    return given or None


def _state(target: str, endpoint: str | None, profile: str | None) -> State:
    from facefx.archive.state import State
    from facefx.storage import Store

    return State(Store(target, choices.storage_options(endpoint, profile, None, None)))
