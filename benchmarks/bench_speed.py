"""What hiding faces costs on top of decoding and encoding the same file.

The clip is looped five times, so that start-up is small beside it, and start-up is subtracted too:
both sides are also run on its first frame alone. Same encoder, one encoder and one decoder thread
on both sides. The ratio is frames per CPU-second, each pair of runs side by side.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from benchmarks.clips import loop, take
from benchmarks.lib import (
    CRF,
    ENCODE,
    PRESET,
    Goal,
    Result,
    Sample,
    Spread,
    alternate,
    cpu_costs,
    facefx,
    finish,
    media_file,
    parser,
    scratch,
    stage_table,
    told,
)


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=7, help="pairs of runs (default 7)")
    asked = reader.parse_args()
    short = asked.short
    times, rounds, starts = (1, 1, 1) if short else (5, asked.rounds, 3)
    source = media_file("formats/bench_720p.mp4")
    with scratch() as folder:
        clip, first = folder / "clip.mp4", folder / "first.mp4"
        frames = take(source, clip, 120) if short else loop(source, clip, times)
        take(source, first, 1)
        ready = alternate(_pair(first, folder, "first"), starts)
        runs = alternate(_pair(clip, folder, "clip"), rounds)
        # A report costs a reading of both files for their sha256, so it is asked for apart.
        report, begun = (
            told(_ours(each, folder / "told.mp4"), folder / "told.json") for each in (clip, first)
        )
    ours, bare = (
        cpu_costs(runs["facefx"], ready["facefx"], frames),
        cpu_costs(runs["bare"], ready["bare"], frames),
    )
    ratio = Spread.of([b / f for f, b in zip(ours, bare, strict=True)])
    judged = not short
    result = Result(
        name="speed",
        about=__doc__,
        setting=(
            f"bench_720p.mp4 × {times} ({frames} frames), solid, libx264 {PRESET} crf {CRF}, {rounds} pairs; "
            f"CPU of a run on the first frame (median of {starts}): bare {_cpu(ready['bare']):.2f} s, "
            f"facefx {_cpu(ready['facefx']):.2f} s."
        ),
        goals=[
            Goal("frames per CPU-second, facefx : bare", ratio.median, 0.93, True, judged),
            Goal("start of facefx to the first frame, s", float(begun["startup_s"]), 1.5, False, judged),
        ],
        figures={
            "ratio": _plain(ratio),
            "cpu_ms_per_frame": {"facefx": _ms(ours), "bare": _ms(bare)},
            "wall_s": {name: [round(sample.wall_s, 3) for sample in taken] for name, taken in runs.items()},
            "report": {key: report[key] for key in ("frames", "startup_s", "wall_s", "cpu_s", "stages")},
        },
        tables=[
            (
                "CPU per frame",
                ["", "ms, median (smallest – largest, n)"],
                [
                    ["facefx", Spread.of(_ms(ours)).text()],
                    ["bare", Spread.of(_ms(bare)).text()],
                    ["ratio", ratio.text()],
                ],
            ),
            stage_table(report),
        ],
    )
    return finish(result, short=short)


def _pair(clip: Path, folder: Path, name: str) -> dict[str, list[str]]:
    bare = [sys.executable, "-m", "benchmarks.bare", str(clip), str(folder / f"{name}-bare.mp4"), PRESET, CRF]
    return {"facefx": _ours(clip, folder / f"{name}-ours.mp4"), "bare": bare}


def _ours(clip: Path, target: Path) -> list[str]:
    return facefx("run", clip, target, "--effect", "solid", *ENCODE, "--threads", "1")


def _cpu(samples: list[Sample]) -> float:
    return statistics.median(sample.cpu_s for sample in samples)


def _ms(seconds: list[float]) -> list[float]:
    return [round(1000 * value, 4) for value in seconds]


def _plain(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "low": spread.low, "high": spread.high, "n": spread.n}


if __name__ == "__main__":
    sys.exit(main())
