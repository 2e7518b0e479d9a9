"""`facefx probe`: what is in a file, and whether it can be processed."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `probe` to the app."""
    app.command("probe")(probe)


def probe(
    source: Annotated[str, typer.Argument(metavar="IN", help="Video to look at: a path or a URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a file holds: streams, time, colour, rotation, and what else could show a face.

    Example: facefx probe in.mp4
    """
    from facefx.storage import staged
    from facefx.video.probe import probe as look

    with staged(source) as local:
        facts = look(local).to_json()
    facts["path"] = source
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console(soft_wrap=True)
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            table = Table(*value[0], title=name, title_justify="left", box=None)
            for row in value:
                table.add_row(*("" if cell is None else str(cell) for cell in row.values()))
            console.print(table)
        elif isinstance(value, dict):
            for key, inner in value.items():
                console.print(f"{name}.{key}: {inner}", highlight=False, markup=False)
        else:
            console.print(f"{name}: {value}", highlight=False, markup=False)
