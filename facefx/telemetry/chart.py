"""A trace as a picture: a lane for each stage on each thread, over the time of the run, and a table.

A lane is as full as its stage was busy: every two pixels show which share of that time went to what, so
one call a second long and a thousand short ones are drawn by the same rule, and nothing is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from facefx.telemetry.account import Kind, ThreadAccount
from facefx.telemetry.drawing import Colour, Drawing, Label
from facefx.telemetry.table import HEADER, TableRow, table_of
from facefx.telemetry.trace import Stretches, Trace

__all__ = ["chart"]

_WIDTH, _MARGIN, _LABELS = 1200, 24, 116
_LEFT = _MARGIN + _LABELS
_PLOT = _WIDTH - _LEFT - _MARGIN
_LANE, _GAP = 26, 5
_BIN = 2.0
_STEPS = 26  # heights that a lane tells apart: its pixels
_NAMED = 44.0  # other work at least this wide gets its name written on it
_TICKS = 8
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
_COLUMNS = (300, 440, 600, 760, 900, 1040, 1150)
_LEGEND: tuple[tuple[Colour, str], ...] = (
    ("work", "working"),
    ("wait_in", "waiting for input"),
    ("wait_out", "waiting for room"),
    ("other", "outside the stages"),
)
_OTHER = (Kind.SETUP, Kind.OUTSIDE)


def chart(trace: Trace) -> Drawing:
    """Draw a trace, 1200 pixels wide, as high as its threads and stages need."""
    drawing = Drawing(_WIDTH)
    scale = _PLOT / max(trace.account.total_s, 1e-9)
    _head(drawing, trace)
    top = 84.0
    y = top + 26
    for tid, thread in enumerate(trace.account.threads):
        y = _thread(drawing, trace, tid, thread, scale, y)
    _axis(drawing, trace, scale, top, y)
    y = _table(drawing, list(table_of(trace.account)), y + 30)
    drawing.height = math.ceil(y + _MARGIN)
    return drawing


def _head(drawing: Drawing, trace: Trace) -> None:
    account, facts = trace.account, trace.facts
    title = f"facefx run {facts.get('source', '')}"
    rate = account.frames / max(account.total_s, 1e-9)
    said = f"{account.total_s:.3f} s, {account.frames} frames, {rate:.1f} frames a second, start to end"
    if facts.get("failed"):
        said = f"FAILED: {facts['failed']}"
    drawing.text(Label(_MARGIN, 34, _short(title, 100), size=17, bold=True))
    drawing.text(Label(_MARGIN, 56, _short(said, 110), "mark" if facts.get("failed") else "muted", 12.5))
    x = float(_WIDTH - _MARGIN)
    for colour, words in reversed(_LEGEND):
        x -= 7.0 * len(words)
        drawing.text(Label(x, 56, words, "muted"))
        drawing.box(colour, x - 17, 46, 11, 11)
        x -= 34


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length // 2 - 2]} ... {text[-length // 2 + 3 :]}"


def _axis(drawing: Drawing, trace: Trace, scale: float, top: float, bottom: float) -> None:
    """Write the time along the top, and each mark as a line down all lanes."""
    step = _nice(trace.account.total_s / _TICKS)
    for i in range(int(trace.account.total_s / step) + 1):
        x = _LEFT + i * step * scale
        drawing.box("line", x, top + 6, 1, 8)
        drawing.text(Label(x, top, _time(i * step, step), "muted", 11, "middle"))
    for at, name in trace.marks:
        x = _LEFT + at * scale
        drawing.box("mark", x, top + 6, 1.5, bottom - top - 8)
        right = x > _WIDTH - 200
        drawing.text(
            Label(x - 6 if right else x + 6, bottom + 8, name, "mark", 11, "end" if right else "start")
        )


def _nice(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten; above a minute, of what clocks show."""
    if step > 30:
        return next((minute * 60.0 for minute in _MINUTES if minute * 60 >= step), step)
    power = 10.0 ** math.floor(math.log10(max(step, 1e-6)))
    return next(power * i for i in (1, 2, 5, 10) if power * i >= step * 0.999)


def _time(seconds: float, step: float) -> str:
    if step >= 60:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s" if step >= 0.1 else f"{1000 * seconds:g} ms"


def _thread(drawing: Drawing, trace: Trace, tid: int, thread: ThreadAccount, scale: float, y: float) -> float:
    """Draw a thread's lanes from y on; return where the next thread begins."""
    drawing.text(Label(_MARGIN, y + 8, thread.thread, "muted", 11.5, bold=True))
    y += 16
    for stage in thread.stages():
        lane = _Lane(drawing, y, scale, stage)
        kinds = (Kind.WORK, Kind.WAIT_IN, Kind.WAIT_OUT)
        lane.fill([(kind, trace.stretches.get((tid, kind, stage), Stretches())) for kind in kinds], thread)
        y += _LANE + _GAP
    other = {key[1:]: at for key, at in trace.stretches.items() if key[0] == tid and key[1] in _OTHER}
    if other:
        _Lane(drawing, y, scale, "other work").name(other)
        y += _LANE + _GAP
    return y + 10


@dataclass(frozen=True, slots=True)
class _Lane:
    drawing: Drawing
    y: float
    scale: float
    label: str

    def _ground(self) -> None:
        self.drawing.text(Label(_LEFT - 10, self.y + _LANE / 2 + 4, self.label, anchor="end"))
        self.drawing.box("lane", _LEFT, self.y, _PLOT, _LANE)

    def fill(self, kinds: Sequence[tuple[Kind, Stretches]], thread: ThreadAccount) -> None:
        """Stack the kinds of a stage, each as high as its share of the time."""
        self._ground()
        below = np.zeros(math.ceil(_PLOT / _BIN))
        for kind, at in kinds:
            above = below + _covered(at, self.scale, len(below))
            said = f"{self.label}: {kind.words} {1000 * thread.seconds(self.label, kind):.1f} ms"
            self.drawing.boxes(_COLOUR[kind], self._steps(below, above), said)
            below = above

    def name(self, other: dict[tuple[Kind, str], Stretches]) -> None:
        """Draw work outside the stages, with its name where there is room."""
        self._ground()
        nothing = np.zeros(math.ceil(_PLOT / _BIN))
        covered = sum((_covered(at, self.scale, len(nothing)) for at in other.values()), nothing)
        self.drawing.boxes("other", self._steps(nothing, covered))
        for (kind, name), at in other.items():
            words = f"setup {name}" if kind is Kind.SETUP else name
            for began, ended in zip(at.began, at.ended, strict=True):
                width = (ended - began) * self.scale
                if width >= max(_NAMED, 6.6 * len(words) + 8):
                    x = _LEFT + began * self.scale
                    self.drawing.text(
                        Label(x + width / 2, self.y + _LANE / 2 + 4, words, "page", 11, "middle")
                    )

    def _steps(
        self, below: NDArray[np.float64], above: NDArray[np.float64]
    ) -> Iterator[tuple[float, float, float, float]]:
        """Boxes between two outlines; neighbours of the same height are one box."""
        low, high = (np.rint(np.clip(edge, 0, 1) * _STEPS).astype(int) for edge in (below, above))
        x = 0
        for (bottom, top), same in groupby(zip(low.tolist(), high.tolist(), strict=True)):
            bins = len(list(same))
            if top > bottom:
                height = (top - bottom) * _LANE / _STEPS
                left, wide = _LEFT + x * _BIN, min(bins * _BIN, _PLOT - x * _BIN)
                yield left, self.y + _LANE * (1 - top / _STEPS), wide, height
            x += bins


_COLOUR: dict[Kind, Colour] = {Kind.WORK: "work", Kind.WAIT_IN: "wait_in", Kind.WAIT_OUT: "wait_out"}


def _covered(at: Stretches, scale: float, bins: int) -> NDArray[np.float64]:
    """Which share of each bin the stretches cover; they follow one another and do not overlap."""
    if not at.began:
        return np.zeros(bins)
    edges = np.column_stack((at.began, at.ended)).ravel()
    lengths = np.zeros_like(edges)
    lengths[1::2] = edges[1::2] - edges[::2]
    bounds = np.arange(bins + 1) * (_BIN / scale)
    until: NDArray[np.float64] = np.interp(bounds, edges, np.cumsum(lengths), left=0.0)
    return np.diff(until) / (_BIN / scale)


def _table(drawing: Drawing, rows: Sequence[TableRow], y: float) -> float:
    """Write the table from y on; return where it ends."""
    for x, words in zip(_COLUMNS, HEADER, strict=True):
        drawing.text(Label(x, y, words, "muted", 11.5, "end"))
    drawing.box("line", _MARGIN, y + 7, _WIDTH - 2 * _MARGIN, 1)
    y += 8
    for row in rows:
        y += 24 if row.heading else 19
        first, *rest = row.cells
        drawing.text(Label(_MARGIN + (0 if row.heading else 14), y, first, bold=row.heading))
        for x, words in zip(_COLUMNS[1:], rest, strict=True):
            drawing.text(Label(x, y, words, anchor="end", bold=row.total))
    return y
