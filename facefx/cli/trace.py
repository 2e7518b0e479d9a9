"""`facefx trace`: where each millisecond of a run went, as a table and as a picture."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from facefx.errors import UsageError

if TYPE_CHECKING:
    from facefx.telemetry.drawing import Theme
    from facefx.telemetry.trace import Trace

__all__ = ["register"]

_WIDE = 10_000


class Look(StrEnum):
    """What page the picture is for."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


_THEME: dict[Look, Theme | None] = {Look.AUTO: None, Look.LIGHT: "light", Look.DARK: "dark"}


def register(app: typer.Typer) -> None:
    """Add `trace` to the app."""
    app.command("trace")(trace)


def trace(
    source: Annotated[Path, typer.Argument(metavar="TRACE", help="What facefx run --trace wrote.")],
    output: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Picture to draw: a name that ends in .svg or .png.")
    ] = None,
    theme: Annotated[
        Look, typer.Option(help="Page of the picture; auto: SVG follows its viewer, PNG is light.")
    ] = Look.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sums as JSON.")] = False,
) -> None:
    """Show where the time of a run went: each stage's working and waiting, thread by thread.

    The same file opens in https://ui.perfetto.dev, with every call of every stage.

    Example: facefx trace trace.json trace.svg
    """
    from facefx.telemetry.trace import read_trace

    if output is not None and output.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"{output}: expected a name that ends in .svg or .png")
    found = read_trace(source)
    if output is not None:
        _draw(found, source, output, theme)
    if as_json:
        typer.echo(json.dumps(dict(found.facts) | {"account": found.account.to_json()}, indent=2))
    else:
        _show(found)


def _draw(found: Trace, source: Path, output: Path, theme: Look) -> None:
    from facefx.storage import publishing, same_place
    from facefx.telemetry.chart import chart
    from facefx.telemetry.drawing import svg

    if same_place(str(source), str(output)):
        raise UsageError(f"{output}: the picture would overwrite the trace; give it another name")
    drawing = chart(found)
    if output.suffix.lower() == ".png":
        from facefx.telemetry.raster import png

        data = png(drawing, _THEME[theme] or "light")
    else:
        data = svg(drawing, _THEME[theme]).encode()
    with publishing(str(output)) as publication:
        publication.path.write_bytes(data)
        publication.commit()


def _show(found: Trace) -> None:
    from facefx.telemetry.table import HEADER, table_of

    table = Table(box=None)
    for i, name in enumerate(HEADER):
        table.add_column(name, justify="right" if i else "left")
    for row in table_of(found.account):
        style = "bold" if row.heading or row.total else None
        indent = "" if row.heading else "  "
        table.add_row(indent + row.cells[0], *row.cells[1:], style=style)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_WIDE, highlight=False)  # a pipe's reader wants lines, not columns
    if found.facts["failed"]:
        console.print(f"the run failed: {found.facts['failed']}", markup=False, soft_wrap=True)
    if found.facts["left_out"]:
        console.print(
            f"{found.facts['left_out']} events beyond the limit are not in the trace, "
            "the sums below are of all",
            soft_wrap=True,
        )
    console.print(table)
