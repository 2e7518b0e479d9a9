"""How much sooner a video is done than with deface 1.5.0.

Both hide the faces of the same file with solid shapes, with the same encoder settings, and may use every
core, their encoders too. deface runs in an environment of its own that this script makes, as `pip install
deface` gives it, with OpenCV under its net: that is judged. With ONNX Runtime installed beside it, which
it then prefers, it is timed too. Wall time, with the wall time of a run on one frame subtracted.

A bare transcode of the same file stands beside them: nothing that decodes and encodes can be faster, so
the goal is judged only where it leaves room (27 times), and our share of its pace always: 0.82, which is
what the goal was of the transcode's pace where it was set (25 × 3.1 of 95 frames per second).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.clips import loop, take
from benchmarks.lib import (
    CRF,
    PRESET,
    Goal,
    Result,
    Sample,
    Spread,
    alternate,
    facefx,
    finish,
    media_file,
    parser,
    per_frame,
    say,
    scratch,
)

# deface asks for the OpenCV that needs a display's libraries; the headless one does the same work.
PACKAGES = ["imageio", "imageio-ffmpeg", "numpy", "tqdm", "scikit-image", "opencv-python-headless"]
BACKENDS = {"deface": "opencv", "deface, ONNX Runtime": "onnxrt"}
OURS, BARE = "facefx", "bare transcode"
ROOM, SHARE = 27, 0.82
FFMPEG = f'{{"codec": "libx264", "quality": null, "ffmpeg_params": ["-preset", "{PRESET}", "-crf", "{CRF}"]}}'


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=3, help="pairs of runs (default 3)")
    asked = reader.parse_args()
    short, rounds = asked.short, 1 if asked.short else asked.rounds
    source = media_file("formats/bench_720p.mp4")
    with scratch() as folder:
        deface = install(folder / "deface")
        clip, first = folder / "clip.mp4", folder / "first.mp4"
        frames = take(source, clip, 12) if short else loop(source, clip, 1)
        take(source, first, 1)
        ready = alternate(_pair(first, folder, deface), rounds)
        runs = alternate(_pair(clip, folder, deface), rounds)
        version = subprocess.run(
            [str(deface), "--version"], capture_output=True, text=True, check=True
        ).stdout
    costs = {name: _costs(runs[name], ready[name], frames) for name in runs}
    ratios = {name: _ratio(costs[name], costs[OURS]) for name in BACKENDS}
    room, share = _ratio(costs["deface"], costs[BARE]), _ratio(costs[BARE], costs[OURS])
    whole = {name: _wall(runs[name]).median / _wall(runs[OURS]).median for name in BACKENDS}
    result = Result(
        name="deface",
        about=__doc__,
        setting=(
            f"deface {version.strip()}, {frames} frames, libx264 {PRESET} crf {CRF}, {rounds} pairs; wall "
            f"time of a run on one frame: {_starts(ready)}."
        ),
        goals=[
            Goal(
                "wall time, deface : facefx",
                ratios["deface"].median,
                25,
                True,
                not short and room.median >= ROOM,
            ),
            Goal("share of a bare transcode's pace", share.median, SHARE, True, not short),
        ],
        figures={
            "ratio_with_start_up": {name: round(value, 2) for name, value in whole.items()},
            "wall_s": {name: [round(sample.wall_s, 3) for sample in taken] for name, taken in runs.items()},
        },
        tables=[
            (
                "Frames per second of wall time",
                ["", "start-up apart", "whole process, seconds"],
                [
                    [name, Spread.of([1 / cost for cost in costs[name]]).text(2), _wall(runs[name]).text(2)]
                    for name in runs
                ]
                + [[f"{name} : {OURS}", ratios[name].text(1), f"{whole[name]:.1f}"] for name in BACKENDS]
                + [[f"deface : {BARE}", room.text(1), ""], [f"{BARE} : {OURS}", share.text(2), ""]],
            )
        ],
    )
    return finish(result, short=short)


def install(venv: Path) -> Path:
    """Make an environment with deface 1.5.0 and return its command."""
    say("installing deface 1.5.0 …")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    for command in (
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, *PACKAGES, "onnx", "onnxruntime"],
        [*pip, "--no-deps", "deface==1.5.0"],
    ):
        subprocess.run(command, check=True)
    return venv / "bin" / "deface"


def _pair(clip: Path, folder: Path, deface: Path) -> dict[str, list[str]]:
    theirs, ours = folder / f"{clip.stem}-deface.mp4", folder / f"{clip.stem}-facefx.mp4"
    solid = ["-o", str(theirs), "--replacewith", "solid", "--ffmpeg-config", FFMPEG]
    threads = str(os.cpu_count() or 1)
    encode = ["--codec", "libx264", "--preset", PRESET, "--crf", CRF, "--encoder-threads", threads]
    runs = {name: [str(deface), str(clip), *solid, "--backend", kind] for name, kind in BACKENDS.items()}
    rest = [str(clip), str(folder / "bare.mp4"), PRESET, CRF, threads]
    bare = [sys.executable, "-m", "benchmarks.bare", *rest]
    return {**runs, OURS: facefx("run", clip, ours, "--effect", "solid", *encode), BARE: bare}


def _ratio(theirs: list[float], ours: list[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(theirs, ours, strict=True)])


def _starts(ready: dict[str, list[Sample]]) -> str:
    return ", ".join(f"{name} {_wall(samples).median:.2f} s" for name, samples in ready.items())


def _costs(runs: list[Sample], ready: list[Sample], frames: int) -> list[float]:
    """Wall seconds a frame, run by run."""
    return [per_frame(sample.wall_s, _wall(ready).median, frames, 1) for sample in runs]


def _wall(samples: list[Sample]) -> Spread:
    return Spread.of([sample.wall_s for sample in samples])


if __name__ == "__main__":
    sys.exit(main())
