"""`facefx run`: one video or photo in, the same out; or a folder of photos."""

from __future__ import annotations

from functools import partial

import typer

from facefx.cli import options
from facefx.cli.report import carry_out
from facefx.cli.start import process_start
from facefx.cli.stills import takes_photos
from facefx.config import load_config

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `run` to the app."""
    app.command("run")(run)


def run(
    source: options.Source,
    output: options.Output,
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
    threads: options.Threads = None,
    audio: options.Audio = None,
    metadata: options.Metadata = None,
    extra_video: options.ExtraVideo = None,
    on_damage: options.OnDamage = None,
    start: options.Start = None,
    end: options.End = None,
    seed: options.Seed = None,
    report: options.Report = None,
    trace: options.Trace = None,
) -> None:
    """Find every face in a video or photo, change its pixels, and write a file that is otherwise untouched.

    IN may be a folder of photos: OUT is then a folder too, and a photo that fails does not end the rest.
    The output gets its name only when it is whole and has passed the fidelity contract.

    Example: facefx run in.mp4 out.mp4 --effect solid
    """
    from facefx.pipeline.run import run_video

    settings = load_config(
        config,
        {
            **options.changing(effect, select),
            **options.looking(detector, landmarker, device),
            **options.encoding(codec, crf, preset, encoder_threads, lossless),
            **options.carrying(audio, metadata, extra_video),
            **options.excerpt(start, end),
            "on_damage": on_damage,
            "threads": threads,
            "seed": seed,
        },
    )
    if takes_photos(source, output, settings, report, trace):
        return
    hashes, began = report is not None, process_start()
    work = partial(run_video, source, output, settings, started=began, hashes=hashes, trace=trace)
    carry_out(report, work, "verified", (source, output))
