"""What smoothing skin costs on top of decoding and encoding the same file, and what it costs the usual way.

One face that is there all the time, looped five times. Beside a bare transcode stand facefx with its
smooth effect at its default strength, and the loop that most people write (MediaPipe's Face Mesh, frames
as RGB, OpenCV's bilateral filter; benchmarks/usual_beauty.py) in an environment of its own. Same
encoder, one encoder and one decoder thread everywhere; the ratio is frames per CPU-second, runs side by
side, with the first frame's run subtracted as start-up.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.clips import loop, take
from benchmarks.lib import (
    CRF,
    ENCODE,
    PRESET,
    ROOT,
    Goal,
    Result,
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
from benchmarks.mediapipe_env import add_option, interpreter

CLIP = "clips/woman_room_1280x720.mp4"
BARE, OURS, USUAL = "bare transcode", "facefx smooth", "MediaPipe + OpenCV"


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=7, help="rounds of runs (default 7)")
    add_option(reader)
    asked = reader.parse_args()
    short = asked.short
    times, rounds, starts = (1, 1, 1) if short else (5, asked.rounds, 3)
    source = media_file(CLIP)
    with scratch() as folder:
        # A short trial asks for no second environment.
        usual = None if short and not asked.mediapipe else interpreter(asked.mediapipe, folder)
        clip, first = folder / "clip.mp4", folder / "first.mp4"
        frames = take(source, clip, 120) if short else loop(source, clip, times)
        take(source, first, 1)
        ready = alternate(_sides(first, folder, usual), starts)
        runs = alternate(_sides(clip, folder, usual), rounds)
        report = told(_ours(clip, folder / "told.mp4"), folder / "told.json")
    costs = {name: cpu_costs(runs[name], ready[name], frames) for name in runs}
    ratios = {
        name: Spread.of([b / c for b, c in zip(costs[BARE], costs[name], strict=True)])
        for name in costs
        if name != BARE
    }
    result = Result(
        name="beauty",
        about=__doc__,
        setting=f"{CLIP} × {times} ({frames} frames), libx264 {PRESET} crf {CRF}, {rounds} rounds.",
        goals=[Goal("frames per CPU-second, facefx : bare", ratios[OURS].median, 0.85, True, not short)],
        figures={
            "cpu_ms_per_frame": {name: [round(1000 * cost, 4) for cost in costs[name]] for name in costs},
            "report": {key: report[key] for key in ("frames", "startup_s", "wall_s", "cpu_s", "stages")},
        },
        tables=[
            (
                "CPU per frame",
                ["", "ms, median (smallest – largest, n)", "of the bare transcode's pace"],
                [
                    [name, Spread.of([1000 * cost for cost in costs[name]]).text(), _pace(ratios.get(name))]
                    for name in costs
                ],
            ),
            stage_table(report),
        ],
    )
    return finish(result, short=short)


def _sides(clip: Path, folder: Path, usual: Path | None) -> dict[str, list[str]]:
    target = folder / f"{clip.stem}-out.mp4"
    rest = [str(clip), str(target), PRESET, CRF]
    sides = {BARE: [sys.executable, "-m", "benchmarks.bare", *rest], OURS: _ours(clip, target)}
    if usual is not None:
        sides[USUAL] = [str(usual), str(ROOT / "benchmarks" / "usual_beauty.py"), *rest]
    return sides


def _ours(clip: Path, target: Path) -> list[str]:
    return facefx("run", clip, target, "--effect", "smooth", *ENCODE, "--threads", "1")


def _pace(ratio: Spread | None) -> str:
    return "1" if ratio is None else ratio.text()


if __name__ == "__main__":
    sys.exit(main())
