"""`facefx effects`: every effect with its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from facefx.effects.reference import EffectInfo

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `effects` to the app."""
    app.command("effects")(effects)


def effects(
    name: Annotated[str | None, typer.Argument(help="Show this effect only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List every effect: what it does and needs, and its parameters with range and default.

    Example: facefx effects pixelate
    """
    from facefx.effects.reference import describe, describe_all, to_json
    from facefx.effects.registry import effect_class

    chosen = describe_all() if name is None else (describe(effect_class(name)),)
    if as_json:
        typer.echo(to_json(chosen))
        return
    console = Console()
    for info in chosen:
        _show(console, info)


def _show(console: Console, info: EffectInfo) -> None:
    """One effect: a line, its caution, and a table of its parameters."""
    console.print(f"[bold]{info.name}[/bold]  {info.family}, needs {', '.join(info.needs)}", highlight=False)
    console.print(info.summary, highlight=False, markup=False)
    if info.caution:
        console.print(info.caution, style="yellow", highlight=False, markup=False)
    table = Table("parameter", "type", "range", "default", "meaning", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for param in info.params:
        default = "required" if param.required else str(param.default)
        table.add_row(param.name, param.type, param.range, default, param.description)
    console.print(table, highlight=False, markup=False)
    console.print()
