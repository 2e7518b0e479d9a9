"""`facefx models`: which nets exist, whose they are, and where they lie on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from facefx.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from facefx.models.catalog import ModelCard

__all__ = ["app"]

app = typer.Typer(
    name="models",
    help="Nets: what exists, under which licence, and where it lies.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_JSON = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
_NAMES = Annotated[list[str] | None, typer.Argument(help="Nets by name; all of them if none is given.")]


# Wider than any line.
_NO_WIDTH = 10_000


@app.command("list")
def list_nets(as_json: _JSON = False) -> None:
    """List every net of the catalog with its licence and where its file is.

    Example: facefx models list
    """
    from facefx.models.catalog import load_catalog

    rows = [_facts(card) for card in load_catalog().values()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("net", "task", "licence", "use", "bytes"):
        table.add_column(column, no_wrap=True)
    table.add_column("where", overflow="fold")
    for row in rows:
        where = row["problem"] or (str(Path(row["path"]).parent) if row["path"] else "not here")
        table.add_row(
            row["name"], row["task"], row["licence"], row["allowed_use"], f"{row['bytes']:,}", where
        )
    _print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="The net.")], as_json: _JSON = False) -> None:
    """Show all that the catalog says about one net.

    Example: facefx models show yunet-n
    """
    from facefx.models.catalog import get_card

    facts = _facts(get_card(name))
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = Table("", box=None, show_header=False, pad_edge=False)
    table.add_column("", overflow="fold")
    for key, value in facts.items():
        table.add_row(key, "-" if value in ("", None) else str(value))
    _print(table)


@app.command()
def pull(names: _NAMES = None) -> None:
    """Fetch nets into the cache, each verified by its sha256; those that are here stay as they are.

    Example: facefx models pull yunet-n
    """
    from facefx.models.store import find_weights

    for card in _cards(names):
        path = find_weights(card)
        typer.echo(f"{card.name}  {card.licence}  {path}")


@app.command()
def check(names: _NAMES = None) -> None:
    """Verify nets: sha256 and licence, and that each loads. Nets that are not here are named.

    Example: facefx models check
    """
    from facefx.models.store import load_session, locate

    wrong: list[str] = []
    for card in _cards(names):
        try:
            path = locate(card)
            said = "not here" if path is None else f"ok on {load_session(card).provider}"
        except ModelError as error:
            said = str(error)
            wrong.append(card.name)
        typer.echo(f"{card.name}  {card.licence}  {said}")
        if said == "not here" and (names or card.shipped):
            wrong.append(card.name)
    if wrong:
        raise ModelError(f"nets that cannot be used: {', '.join(wrong)}; see the lines above")


@app.command()
def build(
    names: _NAMES = None,
    wheel: Annotated[
        Path | None, typer.Option(help="The origin's wheel, where it is here; else pip downloads it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; the package's own by default.")
    ] = None,
) -> None:
    """Make the shipped nets again from the TFLite files of their origin, and compare with the catalog.

    Example: facefx models build --out build/models
    """
    from facefx.models.build import build_nets

    results = build_nets(names or (), wheel=wheel, out=out)
    for built in results:
        verdict = "as the catalog says" if built.as_catalog else "NOT what the catalog says"
        typer.echo(f"{built.card.name}  {built.card.licence}  {built.sha256}  {verdict}  {built.path}")
    if not all(built.as_catalog for built in results):
        raise ModelError("a net was built with another sha256 than the catalog names; see the lines above")


def _print(table: Table) -> None:
    """Print a table; a file or a pipe has no width, so that no path is cut for one."""
    width = None if sys.stdout.isatty() else _NO_WIDTH
    Console(soft_wrap=True, width=width).print(table, highlight=False, markup=False)


def _cards(names: list[str] | None) -> list[ModelCard]:
    from facefx.models.catalog import get_card, load_catalog

    return [get_card(name) for name in names] if names else list(load_catalog().values())


def _facts(card: ModelCard) -> dict[str, Any]:
    """The card, and where its file is; a wrong file is told, not raised."""
    from facefx.models.store import locate

    facts: dict[str, Any] = {**asdict(card), "shipped": card.shipped, "path": None, "problem": None}
    try:
        path = locate(card)
        facts["path"] = None if path is None else str(path)
    except (ModelError, ConfigError) as error:
        facts["problem"] = str(error)
    return facts
