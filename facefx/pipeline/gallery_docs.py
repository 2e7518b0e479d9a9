"""The gallery as a page of the documentation: a strip of pictures an effect, from the effects themselves.

`python -m facefx.pipeline.gallery_docs DOCS` writes DOCS/gallery.md and the strips in DOCS/gallery again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from facefx.effects.effect import FAMILIES
from facefx.errors import SinkError
from facefx.pipeline.gallery import everything, make_cards
from facefx.pipeline.gallery_page import FAMILY_TITLES, Card, Picture
from facefx.pipeline.pictures import encoded
from facefx.storage import publishing

__all__ = ["docs_gallery", "docs_page", "strip", "write_docs_gallery"]

_TILE, _GAP, _ACROSS = 176, 4, 5
"""Pixels across each picture of a strip, and between two of them; so many stand in a row at most."""

_QUALITY = 82

_HEAD = """# Gallery

<!-- Made by `python -m facefx.pipeline.gallery_docs docs`; a test compares it. -->

What every effect makes of one face: before, then at three of its settings. `facefx gallery OUT_DIR` makes the
same for a photo of your own, larger, on a page that says what each effect needs and what it must not be
trusted with; every parameter stands in [effects.md](effects.md). The face is Eileen Collins, by NASA.
"""


def docs_gallery() -> tuple[str, dict[str, bytes]]:
    """The page as Markdown, and its strips as WebP, by file name.

    Raises SinkError where an effect failed.
    """
    with tempfile.TemporaryDirectory(prefix="facefx-") as folder:
        cards, before, _ = make_cards(Path(folder), everything())
    if wrong := [stage.wrong for card in cards for stage in card.stages if stage.wrong]:
        raise SinkError(f"the gallery is not written: an effect failed ({wrong[0]})")
    strips = {_file(card): strip(before, [s.picture for s in card.stages]) for card in cards if card.stages}
    files = {name: encoded(picture, ".webp", quality=_QUALITY) for name, picture in strips.items()}
    return docs_page(cards), files


def docs_page(cards: Sequence[Card]) -> str:
    """Cards as Markdown, family by family, the presets last."""
    parts = [_HEAD]
    for family in (*FAMILIES, ""):
        of_family = [card for card in cards if card.family == family]
        if of_family:
            parts.append(f"## {FAMILY_TITLES[family]}\n")
            parts += ["\n".join(_entry(card)) for card in of_family]
    return "\n".join(parts)


def strip(before: Picture, after: Sequence[Picture]) -> Picture:
    """(h, w, 3): small pictures side by side in rows, white between them and where a row is not full."""
    tiles = [cv2.resize(each, (_TILE, _TILE), interpolation=cv2.INTER_AREA) for each in (before, *after)]
    columns = min(len(tiles), _ACROSS)
    step, rows = _TILE + _GAP, -(-len(tiles) // columns)
    sheet = np.full((rows * step - _GAP, columns * step - _GAP, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * step, i % columns * step
        sheet[top : top + _TILE, left : left + _TILE] = tile
    return sheet


def write_docs_gallery(docs: Path) -> None:
    """Write the page and its strips; strips of effects that are no more are removed.

    Raises SinkError.
    """
    page, files = docs_gallery()
    folder = docs / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for old in {path.name for path in folder.iterdir()} - set(files):
        (folder / old).unlink()
    for name, data in files.items():
        _write(folder / name, data)
    _write(docs / "gallery.md", page.encode())


def _entry(card: Card) -> Iterator[str]:
    yield f"### {card.name}\n"
    yield f"{card.summary}\n"
    if card.chain:
        yield f"{card.chain}.\n"
    if not card.stages:
        yield f"Not shown: it needs {', '.join(f'`{name}`' for name in card.lacks)}.\n"
        return
    yield f"![before, and {'; '.join(stage.text for stage in card.stages)}](gallery/{_file(card)})\n"
    yield "before · " + " · ".join(f"`{stage.text}`" for stage in card.stages) + "\n"


def _file(card: Card) -> str:
    return ("effect-" if card.family else "preset-") + card.name.lstrip("@") + ".webp"


def _write(path: Path, data: bytes) -> None:
    with publishing(str(path)) as publication:
        publication.write(data)
        publication.commit()


if __name__ == "__main__":
    write_docs_gallery(Path(sys.argv[1]))
