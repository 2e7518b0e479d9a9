"""What it saves to render from kept faces rather than to look for them again.

`facefx run` and `facefx render` with the same effect and the same encoder settings, in one thread
each, alternating; start-up is taken off both sides by runs on the first frame alone. Both decode,
encode and verify, so the ratio is bounded by what looking costs of the whole: it is judged where an
effect needs the mesh, and shown for a single face and for an effect that needs boxes only. The table
is made once, before; what that costs stands beside it. Each pair must give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import loop, take
from benchmarks.lib import (
    ENCODE,
    Goal,
    Result,
    Spread,
    alternate,
    cpu_costs,
    facefx,
    finish,
    media_file,
    parser,
    run_child,
    scratch,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A clip, how often it is repeated, and an effect."""

    clip: str
    times: int
    effect: str


JUDGED = Case("formats/bench_720p.mp4", 2, "smooth")
SHOWN = (Case("clips/woman_room_1280x720.mp4", 4, "smooth"), Case("formats/bench_720p.mp4", 2, "solid"))


@dataclass(frozen=True, slots=True)
class Measured:
    """One case's figures; CPU-seconds a frame, and the ratio of frames per CPU-second, pair by pair."""

    case: Case
    frames: int
    run: list[float]
    render: list[float]
    analyze_s: float
    table_bytes: int

    @property
    def ratio(self) -> Spread:
        """How many times as fast it is not to look."""
        return Spread.of([run / render for run, render in zip(self.run, self.render, strict=True)])

    def row(self) -> list[str]:
        """Cells of the table."""
        run, render = (Spread.of([1000 * value for value in each]) for each in (self.run, self.render))
        return [
            f"{Path(self.case.clip).name} × {self.case.times}, {self.case.effect}",
            run.text(),
            render.text(),
            self.ratio.text(),
            f"{1000 * self.analyze_s / self.frames:.2f}",
            f"{self.table_bytes / self.frames:.0f}",
        ]


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=7, help="pairs of runs (default 7)")
    asked = reader.parse_args()
    rounds, starts = (1, 1) if asked.short else (asked.rounds, 3)
    with scratch() as folder:
        judged = measure(JUDGED, folder, rounds, starts, short=asked.short)
        shown = [] if asked.short else [measure(case, folder, max(3, rounds // 2), starts) for case in SHOWN]
    header = [
        "",
        "run, ms CPU a frame",
        "render, ms CPU a frame",
        "ratio",
        "analyze, ms a frame",
        "bytes a frame",
    ]
    result = Result(
        name="render",
        about=__doc__,
        setting=(
            f"{judged.frames} frames of {Path(JUDGED.clip).name}, {JUDGED.effect}, libx264 veryfast crf 23, "
            f"{rounds} pairs."
        ),
        goals=[Goal("frames per CPU-second, render : run", judged.ratio.median, 1.3, True, not asked.short)],
        figures={
            "cpu_ms_per_frame": {
                "run": [round(1000 * value, 4) for value in judged.run],
                "render": [round(1000 * value, 4) for value in judged.render],
            },
            "shown": {f"{m.case.clip} {m.case.effect}": round(m.ratio.median, 4) for m in shown},
        },
        tables=[("With and without looking", header, [m.row() for m in (judged, *shown)])],
    )
    return finish(result, short=asked.short)


def measure(case: Case, folder: Path, rounds: int, starts: int, *, short: bool = False) -> Measured:
    """Make the tables, then run both commands against each other."""
    source, clip, first = media_file(case.clip), folder / "clip.mp4", folder / "first.mp4"
    frames = take(source, clip, 120) if short else loop(source, clip, case.times)
    take(source, first, 1)
    run_child(facefx("analyze", first, folder / "first.parquet"))
    table = folder / "clip.parquet"
    analyze = run_child(facefx("analyze", clip, table))
    ready = alternate(_pair(first, folder, case.effect), starts)
    runs = alternate(_pair(clip, folder, case.effect), rounds)
    if (folder / "clip-run.mp4").read_bytes() != (folder / "clip-render.mp4").read_bytes():
        raise SystemExit(f"{case.clip}: run and render gave other bytes; their speeds do not compare")
    run, render = (cpu_costs(runs[name], ready[name], frames) for name in ("run", "render"))
    return Measured(case, frames, run, render, analyze.cpu_s, table.stat().st_size)


def _pair(clip: Path, folder: Path, effect: str) -> Mapping[str, list[str]]:
    how = ["--effect", effect, *ENCODE, "--threads", "1"]
    table = folder / f"{clip.stem}.parquet"
    return {
        "run": facefx("run", clip, folder / f"{clip.stem}-run.mp4", *how),
        "render": facefx("render", clip, table, folder / f"{clip.stem}-render.mp4", *how),
    }


if __name__ == "__main__":
    sys.exit(main())
