"""How much sooner a video is done than with deface 1.5.0.

Both hide the faces of the same file with solid shapes, with the same encoder settings; deface runs on
ONNX Runtime, the faster of its backends, in an environment of its own that this script makes. Both may
use every core, their encoders too. Wall time, with the wall time of a run on one frame subtracted from
both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.clips import loop, take
from benchmarks.lib import (
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

PRESET, CRF = "veryfast", "23"
# deface asks for the OpenCV that needs a display's libraries; the headless one does the same work.
PACKAGES = ["imageio", "imageio-ffmpeg", "numpy", "tqdm", "scikit-image", "opencv-python-headless"]
BACKEND = ["onnx", "onnxruntime"]
FFMPEG = f'{{"codec": "libx264", "quality": null, "ffmpeg_params": ["-preset", "{PRESET}", "-crf", "{CRF}"]}}'


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=3, help="pairs of runs (default 3)")
    asked = reader.parse_args()
    short, rounds = asked.short, 1 if asked.short else asked.rounds
    source = media_file("formats/bench_720p.mp4")
    with scratch() as folder:
        deface = _install(folder / "deface")
        clip, first = folder / "clip.mp4", folder / "first.mp4"
        frames = take(source, clip, 12) if short else loop(source, clip, 1)
        take(source, first, 1)
        ready = alternate(_pair(first, folder, deface), rounds)
        runs = alternate(_pair(clip, folder, deface), rounds)
        version = subprocess.run(
            [str(deface), "--version"], capture_output=True, text=True, check=True
        ).stdout
    costs = {name: _costs(runs[name], ready[name], frames) for name in runs}
    ratio = Spread.of([d / f for d, f in zip(costs["deface"], costs["facefx"], strict=True)])
    whole = _wall(runs["deface"]).median / _wall(runs["facefx"]).median
    result = Result(
        name="deface",
        about=__doc__,
        setting=(
            f"deface {version.strip()}, {frames} frames, libx264 {PRESET} crf {CRF}, {rounds} pairs; wall "
            f"time of a run on one frame: deface {_wall(ready['deface']).median:.2f} s, "
            f"facefx {_wall(ready['facefx']).median:.2f} s."
        ),
        goals=[Goal("wall time, deface : facefx", ratio.median, 25, True, not short)],
        figures={
            "ratio_with_start_up": round(whole, 2),
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
                + [["ratio", ratio.text(1), f"{whole:.1f}"]],
            )
        ],
    )
    return finish(result, short=short)


def _install(venv: Path) -> Path:
    """Make an environment with deface 1.5.0 and return its command."""
    say("installing deface 1.5.0 …")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    for command in (
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, *PACKAGES, *BACKEND],
        [*pip, "--no-deps", "deface==1.5.0"],
    ):
        subprocess.run(command, check=True)
    return venv / "bin" / "deface"


def _pair(clip: Path, folder: Path, deface: Path) -> dict[str, list[str]]:
    theirs, ours = folder / f"{clip.stem}-deface.mp4", folder / f"{clip.stem}-facefx.mp4"
    solid = ["--replacewith", "solid", "--backend", "onnxrt", "--ffmpeg-config", FFMPEG]
    threads = str(os.cpu_count() or 1)
    encode = ["--codec", "libx264", "--preset", PRESET, "--crf", CRF, "--encoder-threads", threads]
    return {
        "deface": [str(deface), str(clip), "-o", str(theirs), *solid],
        "facefx": facefx("run", clip, ours, "--effect", "solid", *encode),
    }


def _costs(runs: list[Sample], ready: list[Sample], frames: int) -> list[float]:
    """Wall seconds a frame, run by run."""
    return [per_frame(sample.wall_s, _wall(ready).median, frames, 1) for sample in runs]


def _wall(samples: list[Sample]) -> Spread:
    return Spread.of([sample.wall_s for sample in samples])


if __name__ == "__main__":
    sys.exit(main())
