"""What a cluster costs on top of the work itself, and what a second lane brings.

The same segments (solid, one encoder thread, ten seconds each with their margins) made by the runner that
needs no cluster, and on a local Ray in the placements lane, split and stages. CPU is that of the driver and
of all of Ray's processes, start-up and warm-up left out, and what Ray takes when idle subtracted: it is
shown. Two lanes are held against one by the wall, as the whole archive run too: a video of ten minutes from
the command line, start-up included. Ray Data's map_batches makes the same segments with as many actors.
Memory and the object store are watched over two hundred small segments in the placement that uses it most.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.clips import loop, take
from benchmarks.lib import (
    CRF,
    PRESET,
    Goal,
    Result,
    Spread,
    facefx,
    finish,
    media_file,
    parser,
    run_child,
    say,
    scratch,
)

# What DESIGN asks of each placement: frames per CPU-second against the runner without a cluster.
_LEAST = {"lane": 0.97, "split": 0.88, "stages": 0.84}
_SEGMENT_S, _SHORT_SEGMENT_S = 10.0, 4.0


def main() -> int:
    """Measure, judge, write."""
    reader = parser(__doc__)
    reader.add_argument("--rounds", type=int, default=3, help="runs of each way")
    chosen = reader.parse_args()
    short: bool = chosen.short
    rounds, segment_s = (1, _SHORT_SEGMENT_S) if short else (chosen.rounds, _SEGMENT_S)
    source = media_file("formats/bench_720p.mp4")
    with scratch() as folder:
        clip = folder / "clip.mp4"
        frames = take(source, clip, 240) if short else loop(source, clip, 5)
        ways = {"inline": 1, "lane": 1, "split": 1, "stages": 1, "lane × 2": 2}
        told = _rounds(clip, folder, ways, rounds, segment_s)
        data = _ray_data(clip, folder) if not short else None
        flat = _flat(folder, 4 if short else 20)
        film = _film(folder, 1 if short else 30)
    return finish(_result(told, data, flat, film, frames, rounds, short), short=short)


def _rounds(
    clip: Path, folder: Path, ways: Mapping[str, int], rounds: int, segment_s: float
) -> dict[str, list[dict[str, Any]]]:
    """Each way once a round, in the opposite order of the last."""
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for i in range(rounds):
        for name in list(ways) if i % 2 == 0 else list(ways)[::-1]:
            got = _child(name.split()[0], clip, folder, ways[name], segment_s)
            told[name].append(got)
            say(f"  round {i + 1}/{rounds} {name}: {got['wall_s']:.1f} s wall, {got['cpu_s']:.1f} s CPU")
    return told


def _child(
    way: str,
    clip: Path,
    folder: Path,
    lanes: int,
    segment_s: float,
    turns: int = 1,
    env: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    work = folder / "work"
    command = [sys.executable, "-m", "benchmarks.archive_child", way, str(clip), str(work), str(lanes)]
    command += [str(segment_s), str(turns)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    shutil.rmtree(work, ignore_errors=True)
    if done.returncode:
        raise SystemExit(f"exit {done.returncode} of {way}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _ray_data(clip: Path, folder: Path) -> dict[str, Any]:
    """Ray Data needs pandas, which facefx does not: it is put aside for this one run."""
    extra = folder / "pandas"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(extra)]
    run_child([*command, "pandas", "python-dateutil", "six", "tzdata", "pytz"])
    got = _child("data", clip, folder, 2, _SEGMENT_S, env={"PYTHONPATH": str(extra)})
    say(f"  Ray Data: {got['wall_s']:.1f} s wall, {got['cpu_s']:.1f} s CPU")
    return got


def _flat(folder: Path, turns: int) -> dict[str, Any]:
    """Ten small segments again and again, over three processes."""
    from facefx.demo import portrait_frames
    from facefx.video.clip import write_clip

    clip = folder / "small.mp4"
    write_clip(clip, (shown.batch for shown in portrait_frames(320, 240, seconds=20)), keyframe_s=1)
    return _child("split", clip, folder, 1, segment_s=2.0, turns=turns)


def _film(folder: Path, times: int) -> dict[str, float]:
    """Wall seconds of a whole archive run over one long video, with one lane and with two."""
    film = folder / "films"
    film.mkdir()
    loop(media_file("formats/bench_720p.mp4"), film / "film.mp4", times)
    took = {}
    for lanes in ("1", "2"):
        run = facefx(
            "archive", "run", film, folder / f"out{lanes}", "--workers", lanes, "--placement", "lane"
        )
        took[lanes] = run_child([*run, "--preset", PRESET, "--crf", CRF]).wall_s
        say(f"  {times * 20} s of film with {lanes} lanes: {took[lanes]:.1f} s")
    return took


def _cost(told: Mapping[str, Any]) -> float:
    """CPU milliseconds a frame, without what the processes take when idle."""
    return 1000 * float(told["cpu_s"] - told["idle_cpu_s"] * told["wall_s"]) / float(told["frames"])


def _result(
    told: dict[str, list[dict[str, Any]]],
    data: dict[str, Any] | None,
    flat: dict[str, Any],
    film: dict[str, float],
    frames: int,
    rounds: int,
    short: bool,
) -> Result:
    ratios = {
        way: Spread.of([_cost(a) / _cost(b) for a, b in zip(told["inline"], told[way], strict=True)])
        for way in _LEAST
    }
    second = Spread.of(
        [a["wall_s"] / b["wall_s"] for a, b in zip(told["lane"], told["lane × 2"], strict=True)]
    )
    memory, store = flat["mb"], flat["store_mb"]
    middle = len(memory) // 2
    goals = [
        Goal(f"frames per CPU-second, {way} : inline", ratios[way].median, least, True, not short)
        for way, least in _LEAST.items()
    ]
    goals += [
        Goal("two lanes against one, by the wall", second.median, 1.7, True, not short),
        Goal("ten minutes of video, two lanes : one, wall", film["2"] / film["1"], 0.6, False, not short),
        Goal(
            "private memory, last : middle turn of small segments",
            memory[-1] / memory[middle],
            1.05,
            False,
            not short,
        ),
        Goal("object store at the end, MB", store[-1], 1, False),
    ]
    rows = [
        [way, *_cells(got), *([ratios[way].text()] if way in ratios else [""])] for way, got in told.items()
    ]
    if data is not None:
        # Its workers end with the work, before their CPU is read: that figure would be too small.
        rows.append(["Ray Data, 2 actors", "not taken", *_cells([data])[1:], ""])
    return Result(
        name="archive",
        about=__doc__,
        setting=f"bench_720p.mp4, {frames} frames of it, {told['inline'][0]['segments']} segments, "
        f"libx264 {PRESET} crf {CRF}, {rounds} rounds; {len(memory) * flat['segments']} small segments.",
        goals=goals,
        figures={"told": told, "data": data, "flat": flat, "film_s": film},
        tables=_tables(rows, memory, store, film),
    )


def _tables(
    rows: list[list[str]], memory: list[float], store: list[float], film: Mapping[str, float]
) -> list[tuple[str, list[str], list[list[str]]]]:
    middle = len(memory) // 2
    return [
        (
            "What the same segments cost",
            ["", "CPU, ms a frame", "wall, s", "idle, CPU-s a second", "frames per CPU-second : inline"],
            rows,
        ),
        (
            "Small segments over three processes, turn by turn",
            ["", "first", "middle", "last"],
            [
                ["private memory, MB", *(f"{memory[i]:.0f}" for i in (0, middle, -1))],
                ["object store, MB", *(f"{store[i]:.2f}" for i in (0, middle, -1))],
            ],
        ),
        ("A film in one archive run", ["lanes", "wall, s"], [[n, f"{s:.1f}"] for n, s in film.items()]),
    ]


def _cells(got: list[dict[str, Any]]) -> list[str]:
    return [
        Spread.of([_cost(one) for one in got]).text(),
        Spread.of([one["wall_s"] for one in got]).text(1),
        Spread.of([one["idle_cpu_s"] for one in got]).text(),
    ]


if __name__ == "__main__":
    sys.exit(main())
