"""The figures of docs/scale.md, in words and as a table, from a result of benchmarks.bench_scale."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.lib import RESULTS, ROOT
from benchmarks.scale_chart import scale_chart
from benchmarks.scale_values import Figures
from facefx.telemetry.drawing import svg

__all__ = ["AHEAD", "DOCUMENT", "PICTURE", "figures_text", "kept_figures", "picture_of", "with_figures"]

DOCUMENT, PICTURE = ROOT / "docs" / "scale.md", ROOT / "docs" / "scale.svg"
AHEAD = 4
"""So many times as fast as a lane of one core are the lanes of the second simulation."""

_GPUS, _LANES_PER_GPU = 1000, 8
_BEGIN, _END = "<!-- figures: benchmarks/results/scale.json -->", "<!-- end of figures -->"


def kept_figures(path: Path = RESULTS / "scale.json") -> dict[str, Any]:
    """The figures of the result that is kept."""
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def picture_of(figures: Mapping[str, Any]) -> str:
    """The picture as SVG."""
    usual, soon = _simulated(figures)
    return svg(scale_chart(usual, soon, AHEAD))


def with_figures(document: str, figures: Mapping[str, Any]) -> str:
    """The document with these figures in the place of those that it has.

    Raises ValueError for a document without that place.
    """
    replaced, count = re.subn(
        f"{re.escape(_BEGIN)}.*?{re.escape(_END)}",
        lambda _: f"{_BEGIN}\n\n{figures_text(figures)}\n\n{_END}",
        document,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{count} places for figures, expected one, from {_BEGIN} to {_END}")
    return replaced


def figures_text(figures: Mapping[str, Any]) -> str:
    """Everything that is said in numbers."""
    usual, soon = _simulated(figures)
    return "\n".join([*_measured(figures), "", *_thousand_gpus(usual, soon), "", *_table(usual, soon)])


def _simulated(figures: Mapping[str, Any]) -> tuple[list[Figures], list[Figures]]:
    usual, soon = ([Figures(**one) for one in figures[name]] for name in ("simulated", "simulated_ahead"))
    return usual, soon


def _measured(figures: Mapping[str, Any]) -> list[str]:
    thread, process = figures["driver_thread_s_per_1000"], figures["driver_process_s_per_1000"]
    looks, frame = figures["look_us"], figures["frame_ms"]
    most = max(looks, key=int)
    points = [
        f"a segment: {thread['bare']:.2f} ms ({process['bare']:.2f} ms) with the bare runner, "
        f"{thread['whole']:.2f} ms ({process['whole']:.2f} ms) in a whole run, with preparing and "
        "finishing its video, decisions, journal and a local store;",
        f"a video: {thread['rest']:.1f} ms for listing, sorting, manifest and report; "
        f"{thread['reading']:.1f} ms to read its record when an archive is taken up again;",
        f"one look at what has ended, among {int(most):,} unfinished tasks: {looks[most] / 1000:.1f} ms;",
        f"a lane needs {frame['median']:.0f} ms of CPU for a frame of 720p ({frame['low']:.0f} to "
        f"{frame['high']:.0f}) with the default encoder, so a lane of one core makes a segment of 20 s in "
        f"about {0.6 * frame['median']:.0f} s.",
    ]
    head = "Measured, on one core (CPU of the driver's own thread; of its whole process in brackets):"
    return [head, "", *(_wrapped(f"- {point}", "  ") for point in points)]


def _thousand_gpus(usual: list[Figures], soon: list[Figures]) -> list[str]:
    lanes = _GPUS * _LANES_PER_GPU
    slow, fast = (next(one for one in each if one.lanes == lanes) for each in (usual, soon))
    said = (
        f"Simulated: {_GPUS:,} GPUs with {_LANES_PER_GPU} lanes each are {lanes:,} lanes. With a core to a "
        f"lane they end {slow.tasks_per_s:.0f} tasks a second; the driver is at work "
        f"{100 * slow.share:.0f} % of the time, and lanes wait for it {_waiting(slow)} of theirs. Were "
        f"each lane {AHEAD} times as fast, as with encoders in hardware, it would be "
        f"{fast.tasks_per_s:.0f} tasks a second, {100 * fast.share:.0f} % and {_waiting(fast)}."
    )
    most = max(one.tasks_per_s for one in (*usual, *soon))
    kept = [max(one.lanes for one in each if one.busy >= 0.99) for each in (usual, soon)]
    rule = (
        f"A driver ends {most:,.0f} tasks a second at most. Of the numbers of lanes that were played, one "
        f"driver kept {kept[0]:,} busy with a core to a lane, and {kept[1]:,} of those that are faster."
    )
    return [_wrapped(said), "", _wrapped(rule)]


def _table(usual: list[Figures], soon: list[Figures]) -> list[str]:
    header = ("lanes", "tasks a second", "driver at work", "lanes wait for it", "lanes move files")
    rows = [_row(*header, "hours of video an hour"), "|" + "---:|" * 6]
    for heading, figures in (("a core to a lane", usual), (f"lanes {AHEAD} times as fast", soon)):
        rows.append(_row(f"*{heading}*", "", "", "", "", ""))
        for one in figures:
            share, moving = f"{100 * one.share:.0f} %", f"{100 * one.moving:.0f} %"
            hours = f"{one.video_hours_per_hour:,.0f}"
            rows.append(_row(f"{one.lanes:,}", f"{one.tasks_per_s:.1f}", share, _waiting(one), moving, hours))
    return rows


def _waiting(one: Figures) -> str:
    return f"{100 * (1 - one.busy):.1f} %"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 108, subsequent_indent=indent, break_long_words=False)
