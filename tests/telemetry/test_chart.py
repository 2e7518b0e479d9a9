"""The picture of a trace: nothing lost under a pixel, bounded, and well-formed whatever the names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from trace_makers import FACTS, made_trace

from facefx.telemetry.chart import chart
from facefx.telemetry.drawing import COLOURS, Boxes, Colour, Drawing, Label, Theme, svg
from facefx.telemetry.raster import png
from facefx.telemetry.table import table_of

PLOT = 1200 - 24 - 24 - 116


def area(drawing: Drawing, colour: Colour) -> float:
    """How many pixels of a colour are drawn in the lanes, without the legend."""
    boxes = [item for item in drawing.items if isinstance(item, Boxes) and item.colour == colour]
    return sum(w * h for item in boxes for _, y, w, h in item.at if y > 60)


def words(drawing: Drawing) -> list[str]:
    return [item.text for item in drawing.items if isinstance(item, Label)]


@pytest.mark.parametrize("batches", [3, 3000])
def test_a_lane_is_as_full_as_its_stage_was_busy(tmp_path: Path, batches: int) -> None:
    """Also where a thousand calls share a pixel: a colour's area is its share of the time."""
    trace = made_trace(tmp_path / "t.json", batches=batches)
    drawing, total = chart(trace), 1.0 + batches
    whole = PLOT * 26
    # Two stages work, 0.75 s a batch together; rounding to the pixels of a lane is the tolerance.
    assert area(drawing, "work") / whole == pytest.approx(0.75 * batches / total, abs=0.04)
    assert area(drawing, "wait_in") / whole == pytest.approx(0.25 * batches / total, abs=0.04)


def test_ten_thousand_events_make_a_picture_of_bounded_size(tmp_path: Path) -> None:
    text = svg(chart(made_trace(tmp_path / "t.json", batches=3400)))
    assert len(text) < 200_000


def test_the_picture_is_well_formed_whatever_the_file_is_called(tmp_path: Path) -> None:
    facts = {**FACTS, "source": '<&">' + "long " * 60}
    root = ET.fromstring(svg(chart(made_trace(tmp_path / "t.json", facts=facts))))
    title = next(node.text for node in root.iter("{http://www.w3.org/2000/svg}text"))
    assert title is not None
    assert title.startswith('facefx run <&">')
    assert len(title) < 110


def test_the_picture_follows_a_dark_page_unless_it_is_told(tmp_path: Path) -> None:
    drawing = chart(made_trace(tmp_path / "t.json"))
    auto, dark, light = svg(drawing), svg(drawing, "dark"), svg(drawing, "light")
    assert "prefers-color-scheme:dark" in auto
    used = set(re.findall(r'class="(\w+)"', auto))
    assert used
    assert all(f".{name}{{fill:" in auto for name in used)
    assert COLOURS["page"][1] in dark
    assert "prefers-color-scheme" not in dark + light


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_png_shows_the_same_colours_at_twice_the_size(tmp_path: Path, theme: Theme) -> None:
    drawing = chart(made_trace(tmp_path / "t.json"))
    picture = cv2.imdecode(np.frombuffer(png(drawing, theme), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (2 * drawing.height, 2 * drawing.width, 3)
    page = COLOURS["page"][theme == "dark"]
    assert "#" + "".join(f"{value:02x}" for value in picture[0, 0, ::-1]) == page
    for colour in ("work", "wait_in", "other"):
        code = COLOURS[colour][theme == "dark"]
        bgr = [int(code[i : i + 2], 16) for i in (5, 3, 1)]
        assert (picture == bgr).all(-1).sum() > 1000, colour


def test_a_run_that_failed_says_so_in_its_picture(tmp_path: Path) -> None:
    facts = {**FACTS, "failed": "StageError: stage detect failed"}
    said = words(chart(made_trace(tmp_path / "t.json", facts=facts)))
    assert "FAILED: StageError: stage detect failed" in said


def test_the_table_of_the_picture_is_the_table_of_the_terminal(tmp_path: Path) -> None:
    trace = made_trace(tmp_path / "t.json")
    drawn = words(chart(trace))
    for row in table_of(trace.account):
        assert all(cell in drawn for cell in row.cells)


@pytest.mark.parametrize("total_s", [0.0, 0.001, 0.7, 5.0, 59.0, 400.0, 9000.0, 1e6])
def test_the_axis_has_a_readable_number_of_round_ticks(tmp_path: Path, total_s: float) -> None:
    trace = made_trace(tmp_path / "t.json")
    trace.account = type(trace.account)(total_s, 48, trace.account.threads)
    ticks = [word for word in words(chart(trace)) if re.fullmatch(r"[\d.]+ (ms|s|min)", word)]
    assert len(ticks) <= 16
    assert all(len(tick) < 12 for tick in ticks)
