"""Whether the memory of a run grows with the length of the video.

Peak resident memory of the whole process, by the kernel's own count (shared pages included, so it
is an upper bound), with the clip once and ten times, and on a 1080p clip.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.clips import loop, take
from benchmarks.lib import (
    CRF,
    ENCODE,
    PRESET,
    Goal,
    Result,
    Spread,
    facefx,
    finish,
    media_file,
    options,
    run_child,
    scratch,
)


def main() -> int:
    """Measure, judge, write."""
    short = options(__doc__).short
    times, rounds = (2, 1) if short else (10, 3)
    source, large = media_file("formats/bench_720p.mp4"), media_file("formats/bench_1080p.mp4")
    with scratch() as folder:
        once, many = folder / "once.mp4", folder / "many.mp4"
        if short:
            source, large = _cut(source, folder), _cut(large, folder)
        frames = {"once": loop(source, once, 1), "many": loop(source, many, times)}
        peaks = {
            "once": [_peak(once, folder) for _ in range(rounds)],
            "many": [_peak(many, folder)],
            "1080p": [_peak(large, folder)],
        }
    growth = Spread.of(peaks["many"]).median / Spread.of(peaks["once"]).median
    labels = {"once": f"720p, {frames['once']} frames", "many": f"720p, {frames['many']} frames"}
    result = Result(
        name="memory",
        about=__doc__,
        setting=f"bench_720p.mp4 once and {times} times, bench_1080p.mp4; solid, libx264 {PRESET} crf {CRF}.",
        goals=[
            Goal(f"peak memory, {times} times the clip : once", growth, 1.1, False, not short),
            Goal("peak memory at 1080p, MB", peaks["1080p"][0], 1200, False, not short),
        ],
        figures={"peak_mb": peaks, "frames": frames},
        tables=[
            (
                "Peak memory",
                ["", "MB"],
                [[labels.get(name, name), Spread.of(taken).text(0)] for name, taken in peaks.items()],
            )
        ],
    )
    return finish(result, short=short)


def _cut(source: Path, folder: Path) -> Path:
    take(source, folder / source.name, 120)
    return folder / source.name


def _peak(clip: Path, folder: Path) -> float:
    out = folder / "out.mp4"
    out.unlink(missing_ok=True)
    return run_child(facefx("run", clip, out, "--effect", "solid", *ENCODE)).peak_mb


if __name__ == "__main__":
    sys.exit(main())
