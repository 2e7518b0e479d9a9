"""`facefx render`: a video and its table of faces in, a video with changed faces out."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from facefx.cli import options
from facefx.cli.report import carry_out
from facefx.cli.start import process_start
from facefx.config import load_config

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `render` to the app."""
    app.command("render")(render)


def render(
    source: options.Source,
    faces: Annotated[
        str, typer.Argument(metavar="FACES", help="Its table of faces, from facefx analyze: a path or a URL.")
    ],
    output: options.Output,
    effect: options.Effects = None,
    select: options.Select = None,
    config: options.Config = None,
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
    """Change the faces of a video as `facefx run` would, but take them from a table: nobody looks again.

    With the same effects and settings the video is the same, byte for byte, and no net is needed.
    A table of another video, or one that has been changed, is refused.

    Example: facefx render in.mp4 faces.parquet out.mp4 --effect solid
    """
    from facefx.pipeline.run import run_video

    settings = load_config(
        config,
        {
            **options.changing(effect, select),
            **options.encoding(codec, crf, preset, encoder_threads, lossless),
            **options.carrying(audio, metadata, extra_video),
            **options.excerpt(start, end),
            "on_damage": on_damage,
            "threads": threads,
            "seed": seed,
        },
    )
    hashes, began = report is not None, process_start()
    work = partial(
        run_video, source, output, settings, started=began, hashes=hashes, faces=faces, trace=trace
    )
    carry_out(report, work, "verified", (source, faces, output))
