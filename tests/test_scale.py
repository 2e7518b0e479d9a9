"""What docs/scale.md says in figures is what was measured, and what is played behaves as lanes do."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from benchmarks.driver import Canned, canned_answers
from benchmarks.scale_doc import DOCUMENT, PICTURE, figures_text, kept_figures, picture_of, with_figures
from benchmarks.scale_values import Costs, Figures, Site, Window
from benchmarks.simulate import simulate

WINDOW = Window(60.0, 300.0)
SITE = Site(frame_s=(0.02, 0.04), lost=0.0)


@pytest.fixture(scope="module")
def canned(tmp_path_factory: pytest.TempPathFactory) -> Canned:
    return canned_answers(tmp_path_factory.mktemp("canned"), 4)


def played(
    canned: Canned, lanes: int, site: Site = SITE, task_s: float = 0.001, own_s: float = 0.0
) -> Figures:
    """A play in which each of the driver's own turns takes own_s; nothing depends on this machine's speed."""
    turns = count()
    return simulate(lanes, WINDOW, site, Costs(task_s, 0.0, 0.0), canned, cpu=lambda: next(turns) * own_s)


def test_the_document_has_the_figures_of_the_result_that_is_kept() -> None:
    document, figures = DOCUMENT.read_text(encoding="utf-8"), kept_figures()
    assert with_figures(document, figures) == document
    assert PICTURE.read_text(encoding="utf-8") == picture_of(figures)


def test_another_result_would_change_the_document() -> None:
    figures = kept_figures()
    for name in ("driver_thread_s_per_1000", "look_us", "frame_ms"):
        doubled = {key: 2 * value for key, value in figures[name].items()}
        assert figures_text({**figures, name: doubled}) != figures_text(figures), name
    (first, *others) = figures["simulated"]
    assert figures_text({**figures, "simulated": [{**first, "moving": 0.99}, *others]}) != figures_text(
        figures
    )
    with pytest.raises(ValueError, match="0 places"):
        with_figures("# No place for them", figures)


def test_lanes_share_the_work_until_the_driver_has_too_much(canned: Canned) -> None:
    few, many, too_many = (played(canned, lanes, task_s=0.2) for lanes in (10, 40, 400))
    assert many.tasks_per_s == pytest.approx(4 * few.tasks_per_s, rel=0.2)
    assert few.busy > 0.97 < many.busy
    assert too_many.tasks_per_s < 5.0, "a driver that needs 0.2 s a task ends at most 5 a second"
    assert too_many.share > 0.99
    assert too_many.busy < 0.6


def test_the_drivers_own_time_is_charged(canned: Canned) -> None:
    free, dear = played(canned, 100), played(canned, 100, own_s=0.01)
    assert free.spent["decisions and journal"] == 0
    assert dear.spent["decisions and journal"] > 0.02
    assert dear.share > free.share


def test_lost_workers_and_slow_stores_cost_what_they_cost(canned: Canned) -> None:
    calm, rough = played(canned, 50), played(canned, 50, replace(SITE, lost=0.1))
    assert calm.lost == 0 < rough.lost
    assert rough.video_hours_per_hour < 0.97 * calm.video_hours_per_hour
    slow = replace(SITE, store_s=tuple((kind, 10 * seconds) for kind, seconds in SITE.store_s))
    assert played(canned, 50, slow).spent["the store"] > 5 * calm.spent["the store"]


def test_a_machine_fetches_what_it_works_on_and_little_else(canned: Canned) -> None:
    """The real driver keeps a machine with its videos, and the play charges it for what it does not."""
    together = played(canned, 64, replace(SITE, lanes_per_node=8))
    slower = played(canned, 64, replace(SITE, lanes_per_node=8, lane_bytes_per_s=SITE.lane_bytes_per_s / 4))
    assert 0 < together.moving < 0.1
    assert slower.moving > 1.5 * together.moving


def test_a_play_that_ends_before_its_window_is_an_error(canned: Canned, tmp_path: Path) -> None:
    short = replace(SITE, frame_s=(1e-9,), video_s=(20.0, 0.0), bytes_per_s=0.0)
    with pytest.raises(SystemExit, match="did not last"):
        simulate(1, Window(0.0, 1e5), short, Costs(0.0, 0.0, 0.0), canned, cpu=lambda: 0.0)
