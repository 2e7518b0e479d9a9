"""An archive that is disturbed on purpose: its clips, runs and processes, and what must hold afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.lib import facefx
from facefx.demo import portrait_frames
from facefx.video.clip import write_clip

__all__ = ["Archive", "Left", "kill_some_lanes", "lanes_of", "make_clips", "state_of", "sums"]

STATE = ".facefx"


def make_clips(folder: Path, count: int, seconds: float = 4.0) -> None:
    """Clips of 320 × 240 that differ in sound and in how finely they are coded, a keyframe a second."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = [shown.batch for shown in portrait_frames(320, 240, seconds=seconds)]
    for i in range(count):
        suffix = "mkv" if i % 4 == 3 else "mp4"
        write_clip(
            folder / f"clip{i:03d}.{suffix}", frames, crf=18 + i % 8, tone_hz=200.0 + 10 * i, keyframe_s=1
        )


def sums(target: Path) -> dict[str, str]:
    """sha256 of every output, by its name; the archive's own folder is left out."""
    return {
        str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(target.rglob("*"))
        if path.is_file() and STATE not in path.parts
    }


def state_of(target: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of what counts as done: stored segments, outputs and records."""
    kept = [*target.glob(f"{STATE}/segments/*/*.json"), *target.glob(f"{STATE}/commits/*.json")]
    kept += [path for path in target.rglob("*") if path.is_file() and STATE not in path.parts]
    found = {}
    for path in kept:
        with suppress(FileNotFoundError):
            told = path.stat()
            if not path.name.startswith("."):
                found[str(path.relative_to(target))] = (told.st_ino, told.st_mtime_ns)
    return found


@dataclass(frozen=True, slots=True)
class Left:
    """What a finished archive must not have: files that nobody will ever want."""

    temporary: tuple[str, ...]
    segments: int
    workers: int

    @property
    def count(self) -> int:
        """All of it."""
        return len(self.temporary) + self.segments + self.workers


@dataclass(slots=True)
class Archive:
    """One archive, run by the command line in a process of its own.

    scratch: of its workers, so that what they leave can be seen. more: options of every run.
    """

    source: Path
    target: Path
    scratch: Path
    more: Sequence[str] = ("--workers", "2", "--segment-s", "2", "--preset", "ultrafast")
    began: float = field(default_factory=time.monotonic)

    def command(self, verb: str = "run") -> list[str]:
        """The command line of a run."""
        places = [self.source, self.target] if verb == "run" else [self.target]
        more = list(self.more)
        if verb != "run":
            more = [option for option in _pairs(more) if option.split(" ")[0] in ("--workers", "--placement")]
            more = [word for option in more for word in option.split(" ")]
        return facefx("archive", verb, *places, "--scratch", self.scratch, "--json", *more)

    def begin(self, verb: str = "run") -> subprocess.Popen[str]:
        """Begin a run; it says on stderr what it does, and on stdout, at the end, what it did."""
        log = (self.target.parent / f"{self.target.name}.log").open("a", encoding="utf-8")
        return subprocess.Popen(self.command(verb), stdout=subprocess.PIPE, stderr=log, text=True)

    def whole(self, verb: str = "run") -> tuple[int, dict[str, Any]]:
        """Run to the end; return the exit code and the summary."""
        run = self.begin(verb)
        said, _ = run.communicate()
        return run.returncode, json.loads(said) if said.strip() else {}

    def records(self) -> list[dict[str, Any]]:
        """Every commit record."""
        return [json.loads(path.read_text()) for path in sorted(self.target.glob(f"{STATE}/commits/*.json"))]

    def left(self) -> Left:
        """What lies about after the end."""
        temporary = [path for path in self.target.rglob("*") if ".part" in path.name or ".tmp" in path.name]
        segments = list(self.target.glob(f"{STATE}/segments/*/*"))
        workers = [path for path in self.scratch.glob("*worker-*") if path.is_dir()]
        names = tuple(str(path.relative_to(self.target)) for path in temporary)
        return Left(names, len(segments), len(workers))


def _pairs(options: Sequence[str]) -> Iterator[str]:
    for i in range(0, len(options), 2):
        yield " ".join(options[i : i + 2])


def lanes_of(driver: int) -> list[int]:
    """Processes of a driver's own Ray that carry out tasks, youngest last."""
    tree = _children()
    found, waiting = [], [driver]
    while waiting:
        for child in tree.get(waiting.pop(), ()):
            waiting.append(child)
            if _title(child).startswith(("ray::Lane", "ray::GroupActor")):
                found.append(child)
    return sorted(found)


def _children() -> Mapping[int, list[int]]:
    tree: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            tree.setdefault(parent, []).append(int(folder.name))
    return tree


def _title(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def kill_some_lanes(run: subprocess.Popen[str], chance: random.Random, pause_s: tuple[float, float]) -> int:
    """Kill -9 a lane of a run, chosen by chance, again and again until the run ends; return how often.

    The pauses are what is simulated: processes die at any time, not when something has just happened.
    """
    kills = 0
    while run.poll() is None:
        lanes = lanes_of(run.pid)
        if lanes:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(lanes), signal.SIGKILL)
                kills += 1
        with suppress(subprocess.TimeoutExpired):
            run.wait(chance.uniform(*pause_s))
    return kills


if __name__ == "__main__":
    make_clips(Path(sys.argv[1]), int(sys.argv[2]))
