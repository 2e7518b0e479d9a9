"""What an archive's driver costs, and how many lanes one driver can keep busy.

Measured: the driver of a local Ray whose two lanes answer at once, so that nothing but the driver's own work
is left: the bare runner, and a whole run with its state machine, journal and records in a local store. CPU
of the driver's own thread, which all decisions pass through, and of its process, with Ray's threads; the rate
comes from the former. One look at many unfinished tasks is timed by itself; segments of real clips at 720p,
by the CPU of their lanes, which each have a core of their own in the simulation.

Simulated, from these: an archive of body-camera footage on up to 32,000 lanes, in virtual time. The state
machine and the journal are the real ones and are charged what they really take; Ray is charged as measured;
store replies are charged where the driver waits for them (a read 30, a write 60, a list 80, a removal 40 ms,
log-normal); lanes, losses of workers (2 tasks in 1000) and the cluster are played. Lengths: log-normal, 8
minutes at the middle, 13 on the average, three hours at most; 720p at 30 frames a second and 3.2 Mb/s;
segments of 20 s. Eight lanes share a machine, which stages each video that it works on once, at 80 MB/s.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.driver import (
    Canned,
    Cost,
    archive_cost,
    bare_cost,
    canned_answers,
    record_cost,
    segment_times,
    wait_cost,
)
from benchmarks.lib import Goal, Result, Spread, finish, media_file, parser, say, scratch
from benchmarks.scale_doc import AHEAD, DOCUMENT, PICTURE, picture_of, with_figures
from benchmarks.scale_values import Costs, Figures, Site, Window
from benchmarks.simulate import simulate

_CLIPS = (
    "formats/bench_720p.mp4",
    "clips/woman_room_1280x720.mp4",
    "clips/zhling_turn_1280x720.mp4",
    "clips/squats_portrait_720x1280.mp4",
)
_LANES = (1, 10, 100, 1000, 4000, 8000, 16000)
_AHEAD_LANES = (100, 1000, 4000, 8000, 16000, 32000)
_SHORT_LANES = (1, 16, 128)
_SEGMENTS = 12  # of a canned video
_LOOKS = (10, 100, 1000, 4000)
_LANES_PER_GPU = 8


def main() -> int:
    """Measure, simulate, and write down both."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=3, help="how often the driver is measured")
    chosen = reader.parse_args()
    short: bool = chosen.short
    clips = [media_file(name) for name in (_CLIPS[1:2] if short else _CLIPS)]
    with scratch() as folder:
        canned = canned_answers(folder, _SEGMENTS)
        measured = _measure(canned, folder, 1 if short else chosen.rounds, short)
        say("segments of real clips")
        frame_s = segment_times(folder, clips)
    site = Site(frame_s=tuple(frame_s))
    costs = _costs(measured)
    usual = [_simulate(count, site, costs, canned) for count in (_SHORT_LANES if short else _LANES)]
    soon = [
        _simulate(count, site, costs, canned, ahead=AHEAD)
        for count in (_SHORT_LANES[-1:] if short else _AHEAD_LANES)
    ]
    result = _result(measured, frame_s, usual, soon, short)
    if not short:
        PICTURE.write_text(picture_of(result.figures), encoding="utf-8")
        document = with_figures(DOCUMENT.read_text(encoding="utf-8"), result.figures)
        DOCUMENT.write_text(document, encoding="utf-8")
    return finish(result, short=short)


def _measure(canned: Canned, folder: Path, rounds: int, short: bool) -> dict[str, Any]:
    """Everything that is real."""
    bare: list[Cost] = []
    whole: list[Cost] = []
    rest: list[Cost] = []
    reading: list[Cost] = []
    account: list[Cost] = []
    for i in range(rounds):
        place = folder / f"round-{i}"
        place.mkdir()
        say(f"round {i + 1}/{rounds}: the bare runner")
        bare.append(bare_cost(canned, place, 300 if short else 3000))
        say(f"round {i + 1}/{rounds}: a whole run")
        videos = 20 if short else 250
        run, around = archive_cost(canned, place, videos)
        read, write = record_cost(place, videos)
        for costs, cost in zip((whole, rest, reading, account), (run, around, read, write), strict=True):
            costs.append(cost)
    say("looks at many tasks")
    looks = wait_cost(_LOOKS, 20 if short else 300)
    return {
        "bare": bare, "whole": whole, "rest": rest, "reading": reading, "account": account, "looks": looks,
    }  # fmt: skip


def _costs(measured: dict[str, Any]) -> Costs:
    """What the simulation charges: Ray's part of a task from the bare runner, a look by its length."""
    few, many = _LOOKS[0], _LOOKS[-1]
    looks = measured["looks"]
    ref_s = max(looks[many] - looks[few], 0.0) / (many - few)
    look_s = max(looks[few] - few * ref_s, 0.0)
    task_s = statistics.median(cost.thread_s / cost.count for cost in measured["bare"])
    return Costs(max(task_s - look_s, 0.0), look_s, ref_s)


def _simulate(lanes: int, site: Site, costs: Costs, canned: Canned, *, ahead: int = 1) -> Figures:
    """Play a while: an hour with few lanes, minutes with many; until then everything has got going."""
    if ahead > 1:
        site = replace(site, frame_s=tuple(each / ahead for each in site.frame_s))
    seconds = 3600.0 if lanes <= 100 else 240.0 / ahead**0.5
    one = simulate(lanes, Window(120.0, seconds), site, costs, canned)
    say(f"  {lanes} lanes: {one.busy:.4f} busy, driver {one.share:.3f}, {one.tasks_per_s:.1f} tasks/s")
    return one


def _result(
    measured: dict[str, Any], frame_s: list[float], usual: list[Figures], soon: list[Figures], short: bool
) -> Result:
    whole = _thousand(measured["whole"], 0)
    judged = not short
    largest = next((one for one in usual if one.lanes == 8000), usual[-1])
    clips = 1 if short else len(_CLIPS)
    per_segment = Spread.of([1000 * each for each in frame_s])
    return Result(
        name="scale",
        about=__doc__,
        setting=f"{len(measured['bare'])} rounds; {per_segment.n} segments of {clips} clips.",
        goals=[
            Goal("driver thread, CPU-s per 1000 segments, a whole run", whole.median, 3.0, False, judged),
            Goal(
                f"lanes not waiting for the driver, {largest.lanes} lanes", largest.busy, 0.99, True, judged
            ),
        ],
        figures={
            "driver_thread_s_per_1000": {name: _thousand(measured[name], 0).median for name in _NAMES},
            "driver_process_s_per_1000": {name: _thousand(measured[name], 1).median for name in _NAMES},
            "look_us": {str(count): round(1e6 * spent, 1) for count, spent in measured["looks"].items()},
            "frame_ms": {"median": per_segment.median, "low": per_segment.low, "high": per_segment.high},
            "simulated": [asdict(one) for one in usual],
            "simulated_ahead": [asdict(one) for one in soon],
        },
        tables=[
            _measured_table(measured),
            (
                "One look at unfinished tasks",
                ["tasks", "us"],
                [[str(n), f"{1e6 * s:.0f}"] for n, s in measured["looks"].items()],
            ),
            (
                "A lane's CPU for a frame, 720p, libx264 medium",
                ["", "ms"],
                [["of a segment", per_segment.text(1)]],
            ),
            (
                f"Simulated: lanes of one core each ({_LANES_PER_GPU} to a GPU)",
                _HEADER,
                [_row(one) for one in usual],
            ),
            (f"Simulated: lanes {AHEAD} times as fast", _HEADER, [_row(one) for one in soon]),
        ],
    )


_NAMES = {
    "bare": "a segment: the bare runner",
    "whole": "a segment: a whole run, prepare and finish tasks included",
    "rest": "a video: beginning and end of a run (listing, sorting, manifest, report)",
    "reading": "a video: reading its record when a run is taken up again",
    "account": "a video: manifest and report alone",
}
_HEADER = [
    "lanes", "tasks a second", "lanes not waiting for the driver", "driver at work",
    "of it decisions and journal", "Ray", "the store", "lanes moving bytes",
    "hours of video an hour",
]  # fmt: skip


def _thousand(costs: list[Cost], which: int) -> Spread:
    return Spread.of([cost.per_thousand()[which] for cost in costs])


def _measured_table(measured: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    rows = [
        [words, _thousand(measured[name], 0).text(2), _thousand(measured[name], 1).text(2)]
        for name, words in _NAMES.items()
    ]
    return "The driver, CPU-seconds per 1000", ["", "its thread", "its process"], rows


def _row(one: Figures) -> list[str]:
    names = ("decisions and journal", "Ray", "the store")
    parts = [f"{100 * one.spent.get(name, 0.0):.1f} %" for name in names]
    return [
        f"{one.lanes:,}", f"{one.tasks_per_s:.1f}", f"{100 * one.busy:.1f} %",
        f"{100 * one.share:.1f} %", *parts, f"{100 * one.moving:.0f} %", f"{one.video_hours_per_hour:,.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
