"""A drawing of boxes and text, and how it becomes SVG; who draws knows nothing of file formats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape

__all__ = ["COLOURS", "Boxes", "Colour", "Drawing", "Label", "Theme", "svg"]

Theme = Literal["light", "dark"]
Colour = Literal["page", "ink", "muted", "line", "lane", "work", "wait_in", "wait_out", "other", "mark"]

# (on a light page, on a dark page); the four kinds keep apart for every common colour vision.
COLOURS: dict[Colour, tuple[str, str]] = {
    "page": ("#ffffff", "#16181d"),
    "ink": ("#1b1e24", "#e8eaed"),
    "muted": ("#5d6470", "#9aa3af"),
    "line": ("#d9dce1", "#363b44"),
    "lane": ("#f1f3f5", "#21252c"),
    "work": ("#2a78d6", "#4c94e8"),
    "wait_in": ("#f0b429", "#c98f10"),
    "wait_out": ("#e0679c", "#d0588e"),
    "other": ("#1f9e86", "#23a78e"),
    "mark": ("#c0392b", "#ff7b6b"),
}


@dataclass(frozen=True, slots=True)
class Boxes:
    """Filled rectangles of one colour: (x, y, width, height) each; title: shown on hovering."""

    colour: Colour
    at: tuple[tuple[float, float, float, float], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A line of ASCII text; x, y: the left (or right, or middle) end of its base line."""

    x: float
    y: float
    text: str
    colour: Colour = "ink"
    size: float = 12
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


@dataclass(slots=True)
class Drawing:
    """What to draw, in order, on a page of width × height pixels."""

    width: int
    height: int = 0
    items: list[Boxes | Label] = field(default_factory=list)

    def box(self, colour: Colour, x: float, y: float, width: float, height: float) -> None:
        """Add one rectangle."""
        self.items.append(Boxes(colour, ((x, y, width, height),)))

    def boxes(self, colour: Colour, at: Iterable[tuple[float, float, float, float]], title: str = "") -> None:
        """Add rectangles of one colour; none is none."""
        rows = tuple(at)
        if rows:
            self.items.append(Boxes(colour, rows, title))

    def text(self, label: Label) -> None:
        """Add a line of text."""
        self.items.append(label)


def svg(drawing: Drawing, theme: Theme | None = None) -> str:
    """The drawing as an SVG document; without a theme it follows the viewer's, light by default.

    Colours are attributes, which every reader of SVG knows, and the dark ones a style sheet over them.
    """
    dark = theme == "dark"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width}" height="{drawing.height}" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" font-family="{_FONTS}">',
        _style() if theme is None else "",
        f'<rect class="page" width="100%" height="100%" fill="{COLOURS["page"][dark]}"/>',
        *(_boxes(item, dark) if isinstance(item, Boxes) else _label(item, dark) for item in drawing.items),
        "</svg>\n",
    ]
    return "\n".join(part for part in parts if part)


_FONTS = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"


def _style() -> str:
    rules = "".join(f".{name}{{fill:{dark}}}" for name, (_, dark) in COLOURS.items())
    return f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"


def _boxes(boxes: Boxes, dark: bool) -> str:
    path = "".join(f"M{x:.5g} {y:.5g}h{w:.5g}v{h:.5g}h{-w:.5g}z" for x, y, w, h in boxes.at)
    title = f"<title>{escape(boxes.title)}</title>" if boxes.title else ""
    fill = COLOURS[boxes.colour][dark]
    return f'<path class="{boxes.colour}" fill="{fill}" d="{path}">{title}</path>'


def _label(label: Label, dark: bool) -> str:
    weight = ' font-weight="600"' if label.bold else ""
    anchor = "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'
    return (
        f'<text class="{label.colour}" fill="{COLOURS[label.colour][dark]}" x="{label.x:.5g}" '
        f'y="{label.y:.5g}" font-size="{label.size:.5g}"{anchor}{weight}>{escape(label.text)}</text>'
    )
