"""`facefx run`: one video in, the same video out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from facefx.cli.start import process_start
from facefx.config import load_config, parse_time

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `run` to the app."""
    app.command("run")(run)


def run(
    source: Annotated[str, typer.Argument(metavar="IN", help="Video to read: a path or a URL.")],
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="Video to write; its suffix chooses the container.")
    ],
    effect: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            "-e",
            metavar="NAME[:P=V,…]",
            help="Effect to apply; repeat for a chain. [default: solid]",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file with settings; options given here win over it.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="auto, yunet, blazeface or blazeface-short.", show_default="auto")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda:N or auto.", show_default="cpu")] = None,
    codec: Annotated[
        str | None,
        typer.Option(help="auto (as the source), libx264, libx265, libsvtav1, libvpx-vp9, prores_ks."),
    ] = None,
    crf: Annotated[float | None, typer.Option(help="Constant quality; smaller is better and larger.")] = None,
    preset: Annotated[str | None, typer.Option(help="The encoder's speed preset.")] = None,
    encoder_threads: Annotated[
        int | None, typer.Option(help="Threads of the encoder; part of the plan.", show_default="1")
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Keep every sample exactly.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Work threads, 1 to 3; never changes the bytes.", show_default="2")
    ] = None,
    audio: Annotated[str | None, typer.Option(help="keep or drop.", show_default="keep")] = None,
    metadata: Annotated[str | None, typer.Option(help="keep or strip.", show_default="keep")] = None,
    extra_video: Annotated[
        str | None, typer.Option(help="A second video stream: refuse or drop.", show_default="refuse")
    ] = None,
    on_damage: Annotated[
        str | None, typer.Option(help="A damaged file: fail or keep (what is readable).", show_default="fail")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="T", help="Start of an excerpt.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T", help="End of an excerpt.")] = None,
    seed: Annotated[str | None, typer.Option(help="Secret for seeded noise.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write what was done, as JSON.")
    ] = None,
) -> None:
    """Find every face in a video, change its pixels, and write a video that is otherwise untouched.

    The output gets its name only when it is whole and has passed the fidelity contract.

    Example: facefx run in.mp4 out.mp4 --effect solid
    """
    from facefx.pipeline.run import run_video

    settings = load_config(
        config,
        {
            "effects": tuple(effect) if effect else None,
            "detector": detector,
            "device": device,
            "encode": {
                "codec": codec,
                "crf": crf,
                "preset": preset,
                "threads": encoder_threads,
                "lossless": lossless or None,
            },
            "threads": threads,
            "audio": audio,
            "metadata": metadata,
            "extra_video": extra_video,
            "on_damage": on_damage,
            "from_s": parse_time(start) if start else None,
            "to_s": parse_time(end) if end else None,
            "seed": seed,
        },
    )
    if report is not None:
        check_report(report)
    console = Console(stderr=True)
    with progress_bar(console) as advance:
        result = run_video(
            source,
            output,
            settings,
            progress=advance,
            started=process_start(),
            hashes=report is not None,
        )
    if report is not None:
        report.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    summary(console, result.to_json())


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before the work rather than after.

    Raises SinkError.
    """
    from facefx.storage import publishing

    with publishing(str(path)):
        pass


@contextmanager
def progress_bar(console: Console) -> Iterator[Any]:
    """Show frames, fps and time left on a terminal; nothing anywhere else."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.0f} fps"),
        TimeRemainingColumn(),
    )
    began = time.perf_counter()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("frames", total=None, fps=0.0)

        def advance(done: int, expected: int) -> None:
            fps = done / max(time.perf_counter() - began, 1e-6)
            bar.update(task, completed=done, total=expected or None, fps=fps)

        yield advance


def summary(console: Console, report: dict[str, Any]) -> None:
    """Say what was done in a few lines, and where the time went."""
    faces = report["faces"]
    console.print(
        f"{report['output']}: {report['frames']} frames, {faces['tracks']} faces tracked, "
        f"{report['frames'] / max(report['wall_s'], 1e-6):.0f} fps, verified",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print(
        f"detector: {report['plan']['detector']['reason']}", highlight=False, markup=False, soft_wrap=True
    )
    for note in report["notes"]:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    if console.is_terminal:
        table = Table("stage", "busy s", "waiting s", "ms/frame", box=None)
        for row in report["stages"]:
            each = 1000 * row["busy_s"] / max(report["frames"], 1)
            table.add_row(row["stage"], f"{row['busy_s']:.2f}", f"{row['wait_s']:.2f}", f"{each:.2f}")
        console.print(table)
