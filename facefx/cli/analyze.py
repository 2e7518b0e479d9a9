"""`facefx analyze`: one video in, a table of its faces out."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from facefx.cli import options
from facefx.cli.report import carry_out
from facefx.config import load_config

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `analyze` to the app."""
    app.command("analyze")(analyze)


def analyze(
    source: options.Source,
    output: Annotated[
        str, typer.Argument(metavar="FACES", help="Table to write, in Parquet: a path or a URL.")
    ],
    landmarks: Annotated[
        bool,
        typer.Option(
            "--landmarks/--no-landmarks", help="Find each face's mesh too, which most effects need."
        ),
    ] = True,
    config: options.Config = None,
    detector: options.DetectorName = None,
    landmarker: options.LandmarkerName = None,
    device: options.Device = None,
    threads: options.Threads = None,
    on_damage: options.OnDamage = None,
    start: options.Start = None,
    end: options.End = None,
    report: options.Report = None,
) -> None:
    """Find every face in a video and keep where they are: one row a face a frame.

    `facefx render` makes videos from it without looking again, and any Parquet reader can query it.
    Faces are personal data: only the file's owner can read it.

    Example: facefx analyze in.mp4 faces.parquet
    """
    from facefx.pipeline.analyze import analyze_video

    settings = load_config(
        config,
        {
            **options.looking(detector, landmarker, device),
            **options.excerpt(start, end),
            "on_damage": on_damage,
            "threads": threads,
        },
    )
    work = partial(analyze_video, source, output, settings, landmarks=landmarks)
    carry_out(report, work, "kept", (source, output))
