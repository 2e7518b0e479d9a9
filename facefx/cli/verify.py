"""`facefx verify`: hold one video against the one that it was made of."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from facefx.config import parse_time

if TYPE_CHECKING:
    from facefx.video.fidelity import FidelityReport

__all__ = ["register"]


_WIDE = 10_000


class Keep(StrEnum):
    """What a run was told to do with the sound."""

    KEEP = "keep"
    DROP = "drop"


class Tags(StrEnum):
    """What a run was told to do with the tags."""

    KEEP = "keep"
    STRIP = "strip"


class Damage(StrEnum):
    """What a run was told to do with a damaged source."""

    FAIL = "fail"
    KEEP = "keep"


class Decode(StrEnum):
    """How much of the output is decoded."""

    NONE = "none"
    SAMPLE = "sample"
    FULL = "full"


def register(app: typer.Typer) -> None:
    """Add `verify` to the app."""
    app.command("verify")(verify)


def verify(
    source: Annotated[str, typer.Argument(metavar="IN", help="The video as it was: a path or a URL.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="The video that was made of it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every clause as JSON.")] = False,
    decode: Annotated[
        Decode, typer.Option(help="Decode only the first picture of OUT, samples of it, or all of it.")
    ] = Decode.NONE,
    audio: Annotated[Keep, typer.Option(help="What was asked of the run that made OUT.")] = Keep.KEEP,
    metadata: Annotated[Tags, typer.Option(help="What was asked of the run that made OUT.")] = Tags.KEEP,
    on_damage: Annotated[Damage, typer.Option(help="What was asked of the run that made OUT.")] = Damage.FAIL,
    start: Annotated[str | None, typer.Option("--from", metavar="T", help="Start of the excerpt.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T", help="End of the excerpt.")] = None,
    codec: Annotated[
        str | None, typer.Option(help="Codec that OUT must have: h264, hevc, av1, vp9, prores.")
    ] = None,
) -> None:
    """Hold OUT against IN: frames, times, sound, rotation, colour and all else but the faces.

    Exit code 0 if every clause of the fidelity contract holds, 4 if one is broken, 3 if IN cannot be
    read.

    Example: facefx verify in.mp4 out.mp4
    """
    from facefx.storage import staged
    from facefx.video.fidelity import Contract
    from facefx.video.fidelity import verify as hold

    contract = Contract(
        audio=audio.value,
        metadata=metadata.value,
        from_s=parse_time(start) if start else None,
        to_s=parse_time(end) if end else None,
        codec=codec,
        on_damage=on_damage.value,
    )
    with staged(source) as local, staged(output) as made:
        report = hold(local, made, contract, decode=decode.value)
    if as_json:
        facts = report.to_json() | {"source": source, "output": output}
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _show(report)
    report.raise_if_broken()


def _show(report: FidelityReport) -> None:
    """One line a clause; what was found is told apart only where it is not what was expected."""
    table = Table("", "clause", "expected", "got", box=None)
    for clause in report.clauses:
        mark = "[green]ok[/]" if clause.ok else "[red]broken[/]"
        table.add_row(mark, clause.name, _plain(clause.expected), _plain(clause.got))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)  # a pipe's reader wants lines, not columns
    console.print(table)


def _plain(text: str) -> str:
    """Keep rich from reading brackets of a tag as markup."""
    return text.replace("[", r"\[")
