"""What facefx adds between a streamer and a viewer.

A streamer sends a 720p30 clip with real faces at real time, as OBS does: H.264 without look-ahead, a key
frame a second, AAC. Every frame carries its number in its corner. A real nginx-rtmp takes it; facefx pulls
it, hides the faces, and publishes the result to the same server and as HLS; one viewer plays what was sent
and another what came of it, all on this machine. What was added to a frame that both saw is how much later
its packet came to the second viewer. A run is judged by its 95th percentile, and the median of the runs
counts. Loss is what only the first viewer saw.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib import Goal, Result, Spread, facefx, finish, media_file, options, say, scratch
from benchmarks.live_peers import RATE, Pusher, Reader, RtmpServer, numbered, unwrapped

ADDED_P95_S, RUNS, RUN_S = 0.033, 3, 40.0
KINDS = ("working", "waiting")
WARM_S = 5.0
"""The first seconds are left out: the lane joins at a key frame, caches fill."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. added_s: of each frame that both viewers saw, in order; direct_s: sent → first viewer."""

    added_s: list[float]
    direct_s: list[float]
    seen: int
    lost: int
    report: dict[str, Any]

    def added(self, percent: float) -> float:
        """A percentile of what was added, in seconds."""
        return float(np.percentile(self.added_s, percent))


def main() -> int:
    """Measure, judge, write."""
    short = options(__doc__).short
    runs, seconds = (1, 12.0) if short else (RUNS, RUN_S)
    with scratch() as folder:
        clip = folder / "numbered.mp4"
        frames = numbered(str(media_file("formats/bench_720p.mp4")), str(clip))
        done = [run(clip, frames, folder / f"run{i}", seconds) for i in range(runs)]
    for one in done:
        say(f"  added p50 {1e3 * one.added(50):.1f} ms, p95 {1e3 * one.added(95):.1f} ms, lost {one.lost}")
    p95 = Spread.of([one.added(95) for one in done])
    p50 = Spread.of([one.added(50) for one in done])
    direct = Spread.of([float(np.percentile(one.direct_s, 95)) for one in done])
    lost = sum(one.lost for one in done) / sum(one.seen for one in done)
    result = Result(
        name="live",
        about=__doc__,
        setting=f"bench_720p.mp4 in a loop, solid, RTMP and HLS out, {runs} runs of {seconds:g} s each.",
        goals=[
            Goal("added, 95th percentile, s", p95.median, ADDED_P95_S, at_least=False, judged=not short),
            Goal("frames lost", lost, 0.01, at_least=False, judged=not short),
        ],
        figures={"added_s": [[round(s, 5) for s in one.added_s[::10]] for one in done]},
        tables=[
            (
                "Seconds",
                ["", "median of the runs (smallest – largest)"],
                [
                    ["added, p50", p50.text(4)],
                    ["added, p95", p95.text(4)],
                    ["streamer → nginx → viewer, without facefx, p95", direct.text(4)],
                ],
            ),
            ("Inside facefx, last run", *inside(done[-1].report)),
        ],
    )
    return finish(result, short=short)


def run(clip: Path, frames: int, folder: Path, seconds: float) -> Run:
    """One run from an empty server to the report."""
    with RtmpServer(folder / "nginx") as server:
        source, target = server.url("live", "bench"), server.url("out", "bench")
        report = folder / "report.json"
        with Pusher(clip, source) as pusher, Reader(source) as direct:
            direct.wait_frames(1)
            command = facefx(
                "live", source, "--out", target, "--out", str(server.hls / "bench" / "live.m3u8"),
                "--effect", "solid", "--report", str(report),
            )  # fmt: skip
            with subprocess.Popen(command, stderr=subprocess.PIPE) as lane, Reader(target) as late:
                late.wait_frames(1, 30)
                time.sleep(WARM_S + seconds)
                lane.send_signal(signal.SIGINT)
                _, told = lane.communicate(timeout=20)
                after = late.frames
            if not report.is_file():
                raise SystemExit(f"facefx live wrote no report: {told.decode()[-800:]}")
            said = json.loads(report.read_text())
            return compared(pusher.sent, unwrapped(direct.frames, frames), unwrapped(after, frames), said)


def compared(
    sent: dict[int, float], before: dict[int, float], after: dict[int, float], report: dict[str, Any]
) -> Run:
    """Pair what both viewers saw, frame by frame, but for the first seconds."""
    first = min(after) + round(WARM_S * RATE)
    wanted = [number for number in before if first <= number <= max(after)]
    both = [number for number in wanted if number in after]
    return Run(
        [after[number] - before[number] for number in both],
        [before[number] - sent[number] for number in both if number in sent],
        len(wanted),
        len(wanted) - len(both),
        report,
    )


def inside(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Where the lane's own time went, by stage: the mean of all frames that went out."""
    rows = [
        [stage, *(mean_ms(kinds[kind]) if kind in kinds else "" for kind in KINDS)]
        for stage, kinds in report["latency"].items()
    ]
    rows.append(
        [
            "packet in → packet out, p50 and p95",
            f"{1e3 * report['p50_s']:.2f}",
            f"{1e3 * report['p95_s']:.2f}",
        ]
    )
    return ["ms a frame", *KINDS], rows


def mean_ms(histogram: dict[str, Any]) -> str:
    """The mean of a latency histogram."""
    return f"{1e3 * histogram['sum_s'] / max(1, histogram['count']):.2f}"


if __name__ == "__main__":
    sys.exit(main())
