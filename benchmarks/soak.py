"""Ten minutes of a live privacy stream, while everything around it fails.

A clip whose faces are known frame by frame is sent at real time to a real nginx-rtmp, facefx hides the
faces, publishes the result there and records it. Meanwhile the streamer goes and comes back five times, a
viewer stops reading, and nginx is started anew. It must go on by itself, soon after its source is back;
its memory must not grow; and in what was recorded every face of every frame must be covered: judged from the
pixels by the same rule as `bench_cover`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cover import TruthBox, is_covered, lumas, read_truth
from benchmarks.lib import Goal, Result, facefx, finish, media_file, options, say, scratch
from benchmarks.live_peers import Pusher, Reader, RtmpServer, numbered, read_number

NAME = "signer_woman_640x480"
GONE, AGAIN_S, SLOPE_MB, GOP_S = 5, 2.0, 1.0, 1.0
COUNTED = ("frames_in", "frames_out", "dropped", "covered", "reconnects", "sound")
BLACK = 20
"""A frame that is darker everywhere was covered whole; it has no number either."""


@dataclass(slots=True)
class Watch:
    """What was seen from outside. again_s: by cause, from the source's return to a viewer's next frame."""

    again_s: list[tuple[str, float]] = field(default_factory=list)
    memory_mb: list[tuple[float, float]] = field(default_factory=list)

    @property
    def slope_mb(self) -> float:
        """Megabytes a minute, over all but the first fifth."""
        rows = np.array(self.memory_mb[len(self.memory_mb) // 5 :])
        return float(np.polyfit(rows[:, 0] / 60, rows[:, 1], 1)[0])


@dataclass(slots=True)
class Recorded:
    """What the recording showed. unknown: frames whose number could not be read, which count as leaked."""

    frames: int = 0
    whole: int = 0
    boxes: int = 0
    leaked: list[tuple[int, int]] = field(default_factory=list)
    unknown: int = 0

    def rows(self) -> list[list[str]]:
        """Cells of a table."""
        told = {
            "frames": self.frames,
            "covered whole": self.whole,
            "faces": self.boxes,
            "not covered": len(self.leaked),
            "without a number": self.unknown,
        }
        return [[what, str(count)] for what, count in told.items()]


def main() -> int:
    """Run, judge, write."""
    short = options(__doc__).short
    seconds = 60.0 if short else 600.0
    with scratch() as folder:
        clip, watch = folder / "numbered.mp4", Watch()
        numbered(str(media_file(f"clips/{NAME}.mp4")), str(clip))
        report = run(clip, folder, seconds, watch, gone=1 if short else GONE)
        recorded = judge(clip, folder / "recorded.mkv", read_truth(media_file(f"truth/{NAME}.csv")))
    slowest = max((took for _, took in watch.again_s), default=float("inf"))
    result = Result(
        name="soak",
        about=__doc__,
        setting=f"{NAME} in a loop, solid, {seconds:g} s.",
        goals=[
            Goal("faces not covered in the recording", len(recorded.leaked) + recorded.unknown, 0, False),
            Goal("frames recorded", recorded.frames, 0.5 * seconds * 30, at_least=True),
            Goal("source back to next frame, longest, s", slowest, AGAIN_S + GOP_S, False, judged=not short),
            Goal("memory, MB a minute", watch.slope_mb, SLOPE_MB, at_least=False, judged=not short),
        ],
        figures={"again_s": watch.again_s, "memory_mb": watch.memory_mb, "report": report},
        tables=[
            ("Going again, s", ["after", "took"], [[why, f"{took:.2f}"] for why, took in watch.again_s]),
            ("Recording", ["", ""], recorded.rows()),
            ("Counted by facefx", ["", ""], [[key, json.dumps(report[key])] for key in COUNTED]),
        ],
    )
    return finish(result, short=short)


def run(clip: Path, folder: Path, seconds: float, watch: Watch, gone: int) -> dict[str, Any]:
    """The stream and its troubles; what facefx said of itself at its end."""
    report = folder / "report.json"
    with RtmpServer(folder / "nginx") as server:
        source, target = server.url("live", "soak"), server.url("out", "soak")
        command = facefx(
            "live", source, "--out", target, "--out", str(folder / "recorded.mkv"), "--effect", "solid",
            "--wait", "30", "--linger", "60", "--report", str(report),
        )  # fmt: skip
        pusher = Pusher(clip, source)
        with subprocess.Popen(command, stderr=subprocess.PIPE) as lane:
            try:
                troubles(Scene(server, clip, source, target, lane, watch), pusher, seconds, gone)
            finally:
                lane.send_signal(signal.SIGINT)
                _, told = lane.communicate(timeout=30)
    if not report.is_file():
        raise SystemExit(f"facefx live wrote no report; exit {lane.returncode}: {told.decode()[-800:]}")
    said: dict[str, Any] = json.loads(report.read_text())
    return said


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is there."""

    server: RtmpServer
    clip: Path
    source: str
    target: str
    lane: subprocess.Popen[bytes]
    watch: Watch

    def calm(self, seconds: float) -> None:
        """Let it run, and look at its memory every few seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.lane.poll() is not None:
                raise SystemExit(f"facefx live ended by itself: exit {self.lane.returncode}")
            self.watch.memory_mb.append((time.monotonic(), resident_mb(self.lane.pid)))
            time.sleep(min(left, 2.0))

    def back(self, why: str, viewer: Reader) -> Pusher:
        """The streamer comes; wait for what comes of it, and note how long that took."""
        pusher = Pusher(self.clip, self.source)
        pusher.wait_for(lambda: pusher.of("sent"))
        began = min(pusher.sent.values())
        viewer.wait_for(lambda: any(frame["at"] > began for frame in viewer.of("frame")), 60)
        took = min(frame["at"] for frame in viewer.frames if frame["at"] > began) - began
        self.watch.again_s.append((why, took))
        say(f"  {why}: {took:.2f} s")
        return pusher


def troubles(scene: Scene, pusher: Pusher, seconds: float, gone: int) -> None:
    """One after the other, with calm between them."""
    calm_s = seconds / (gone + 4)
    try:
        with Reader(scene.target) as viewer:
            viewer.wait_frames(1, 30)
            scene.calm(calm_s)
            for turn in range(gone):
                pusher.end()
                scene.calm(3.0)
                pusher = scene.back(f"the streamer was gone ({turn + 1})", viewer)
                scene.calm(calm_s - 3)
            with Reader(scene.target) as lazy:
                lazy.wait_frames(1)
                lazy.pause()
                scene.calm(calm_s)
                before = len(viewer.frames)
                scene.calm(2.0)
                if len(viewer.frames) <= before:
                    raise SystemExit("a viewer that stops reading stopped another")
        pusher.end()
        scene.server.restart()
        with Reader(scene.target) as viewer:
            pusher = scene.back("nginx was started anew", viewer)
            scene.calm(2 * calm_s)
    finally:
        pusher.end()


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"process {pid} is gone")


def judge(clip: Path, recording: Path, truth: dict[int, list[TruthBox]]) -> Recorded:
    """Hold every recorded frame against the source's frame of the same number."""
    sources: list[NDArray[np.uint8]] = [luma.copy() for luma in lumas(clip)]
    seen = Recorded()
    for at, luma in enumerate(lumas(recording)):
        seen.frames += 1
        if int(luma.max()) <= BLACK:
            seen.whole += 1
            continue
        number = read_number(luma)
        if number >= len(sources):
            seen.unknown += 1
            continue
        boxes = truth.get(number, [])
        seen.boxes += len(boxes)
        seen.leaked += [(at, number) for box in boxes if not is_covered(sources[number], luma, box)]
    return seen


if __name__ == "__main__":
    sys.exit(main())
