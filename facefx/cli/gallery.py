"""`facefx gallery`: what every effect makes of a face, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add `gallery` to the app."""
    app.command("gallery")(gallery)


def gallery(
    folder: Annotated[
        Path,
        typer.Argument(metavar="OUT_DIR", help="Folder for index.html and its pictures."),
    ],
    effect: Annotated[
        list[str] | None,
        typer.Option(
            "--effect",
            "-e",
            metavar="NAME[:P=V,…]",
            help="Show this effect, this one setting of it, or @PRESET; repeat for more. [default: all]",
        ),
    ] = None,
    photo: Annotated[
        str | None,
        typer.Option(
            "--photo", metavar="FILE", help="A photo of your own.", show_default="a portrait by NASA"
        ),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Show a face before and after every effect, at three strengths each, on one page that needs no network.

    The page says what each effect needs, what it must not be trusted with, and the command that makes each
    picture; the pictures lie beside it as PNG.

    Example: facefx gallery gallery --effect smooth --effect solid
    """
    from facefx.pipeline.gallery import make_gallery

    console = Console(stderr=True)
    with console.status("looking for the face …") as status:

        def tell(done: int, whole: int) -> None:
            status.update(f"{done} of {whole}")

        made = make_gallery(folder, tuple(effect or ()), photo, tell)
    for note in made.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{made.page}: {made.effects} effects, {made.pictures} pictures", highlight=False, soft_wrap=True
    )
    if open_it:
        import webbrowser

        webbrowser.open(made.page.resolve().as_uri())
