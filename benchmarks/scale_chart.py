"""The picture of benchmarks.bench_scale: what a driver does with its time, by the number of lanes."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.scale_values import Figures
from facefx.telemetry.drawing import Colour, Drawing, Label

__all__ = ["scale_chart"]

_WIDTH, _MARGIN, _LEFT, _BAR, _GAP = 880, 24, 132, 22, 8
_PLOT = 520.0
_PARTS: tuple[tuple[str, Colour, str], ...] = (
    ("decisions and journal", "work", "decisions and journal"),
    ("Ray", "wait_in", "Ray"),
    ("the store", "other", "waiting for the store"),
)


def scale_chart(usual: Sequence[Figures], soon: Sequence[Figures], ahead: int) -> Drawing:
    """Draw a bar for each number of lanes: the driver's time, and beside it how busy its lanes are."""
    drawing = Drawing(_WIDTH)
    drawing.text(Label(_MARGIN, 34, "One driver: what it does with its time (simulated)", size=17, bold=True))
    x = float(_MARGIN)
    for _, colour, words in _PARTS:
        drawing.box(colour, x, 48, 11, 11)
        drawing.text(Label(x + 17, 58, words, "muted"))
        x += 34 + 7.2 * len(words)
    y = _bars(drawing, "Lanes of one core each", usual, 84.0)
    y = _bars(drawing, f"Lanes {ahead} times as fast", soon, y + 22)
    drawing.height = round(y + _MARGIN)
    return drawing


def _bars(drawing: Drawing, heading: str, figures: Sequence[Figures], y: float) -> float:
    """Draw one group from y on; return where it ends."""
    drawing.text(Label(_MARGIN, y, heading, bold=True))
    drawing.text(Label(_LEFT + _PLOT + 90, y, "at work", "muted", 11, "end"))
    drawing.text(Label(_WIDTH - _MARGIN, y, "lanes not waiting", "muted", 11, "end"))
    y += 12
    for one in figures:
        middle = y + _BAR / 2 + 4
        drawing.text(
            Label(_LEFT - 10, middle, f"{one.lanes:,} lane{'s' if one.lanes > 1 else ''}", anchor="end")
        )
        drawing.box("lane", _LEFT, y, _PLOT, _BAR)
        x = float(_LEFT)
        for name, colour, words in _PARTS:
            part = one.spent.get(name, 0.0)
            drawing.boxes(colour, [(x, y, part * _PLOT, _BAR)], f"{words}: {100 * part:.1f} %")
            x += part * _PLOT
        drawing.text(Label(_LEFT + _PLOT + 90, middle, f"{100 * one.share:.0f} %", anchor="end"))
        waiting = one.busy < 0.99
        drawing.text(
            Label(
                _WIDTH - _MARGIN,
                middle,
                f"{100 * one.busy:.1f} %",
                "mark" if waiting else "ink",
                anchor="end",
            )
        )
        y += _BAR + _GAP
    for i in range(5):
        drawing.text(Label(_LEFT + i * _PLOT / 4, y + 10, f"{25 * i} %", "muted", 11, "middle"))
    return y + 12
