"""What every benchmark shares: children measured by the kernel, spreads, goals, and the written result."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "CRF",
    "ENCODE",
    "PRESET",
    "Goal",
    "Result",
    "Sample",
    "Spread",
    "alternate",
    "cpu_costs",
    "facefx",
    "finish",
    "media_file",
    "options",
    "parser",
    "per_frame",
    "run_child",
    "say",
    "scratch",
    "stage_table",
    "told",
]

# The encoder of every run that is compared with a bare transcode.
PRESET, CRF = "veryfast", "23"
ENCODE = ["--codec", "libx264", "--preset", PRESET, "--crf", CRF, "--encoder-threads", "1"]
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one child process took: wall and CPU (its own and its children's) seconds, peak RSS in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run_child(command: Sequence[str], *, cwd: Path | None = None) -> Sample:
    """Run a command to its end and return what it took.

    cpu_s and peak_mb come from wait4, so children that it has waited for count too. The kernel
    never reports a smaller peak than this process had when it started the child.

    Raises SystemExit with the end of its output when it fails: a failed run has no speed.
    """
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        child = subprocess.Popen(
            list(command), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            log.seek(0)
            tail = log.read().decode("utf-8", "replace")[-2000:]
            raise SystemExit(f"exit {child.returncode} from: {shlex.join(command)}\n{tail}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def alternate(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Sample]]:
    """Run every command once a round, each round in the opposite order of the last.

    Slow drift of the machine then falls on all of them alike.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for i in range(rounds):
        names = list(commands) if i % 2 == 0 else list(commands)[::-1]
        for name in names:
            samples[name].append(run_child(commands[name]))
            took = samples[name][-1]
            say(f"  round {i + 1}/{rounds} {name}: {took.wall_s:.2f} s wall, {took.cpu_s:.2f} s CPU")
    return samples


def per_frame(long_s: float, short_s: float, frames: int, short_frames: int) -> float:
    """Seconds a frame costs, with start-up subtracted: the short run pays it just as the long one does.

    Raises ValueError if the long run was not longer.
    """
    if frames <= short_frames or long_s <= short_s:
        raise ValueError(f"{frames} frames took {long_s:.3f} s, {short_frames} took {short_s:.3f} s")
    return (long_s - short_s) / (frames - short_frames)


def cpu_costs(runs: Sequence[Sample], ready: Sequence[Sample], frames: int) -> list[float]:
    """CPU-seconds a frame, run by run; ready: the same on one frame, taken off as start-up."""
    start_s = statistics.median(sample.cpu_s for sample in ready)
    return [per_frame(sample.cpu_s, start_s, frames, 1) for sample in runs]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of n values, with the smallest and the largest."""

    median: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Summarise at least one value."""
        return Spread(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits: int = 3) -> str:
        """`0.941 (0.930 – 0.948, n 7)`."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} – {self.high:.{digits}f}, n {self.n})"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that has to be at least, or at most, its limit; `judged` is false in a short trial."""

    what: str
    got: float
    limit: float
    at_least: bool
    judged: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of its limit."""
        return self.got >= self.limit if self.at_least else self.got <= self.limit

    def row(self) -> list[str]:
        """Cells of the goal table."""
        verdict = ("met" if self.met else "MISSED") + ("" if self.judged else ", not judged")
        return [self.what, f"{'≥' if self.at_least else '≤'} {self.limit:g}", f"{self.got:.3f}", verdict]


@dataclass(slots=True)
class Result:
    """One benchmark's outcome.

    about: the script's docstring, which tells the method; setting: what was special to this run.
    tables: a heading, a header row and rows of cells each.
    """

    name: str
    about: str | None
    setting: str
    goals: list[Goal]
    figures: dict[str, Any] = field(default_factory=dict)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)

    def to_json(self, where: Mapping[str, Any]) -> dict[str, Any]:
        """Everything, as plain values."""
        goals = [{**asdict(goal), "met": goal.met} for goal in self.goals]
        about = " ".join((self.about or "").split())
        told = {"name": self.name, "about": about, "setting": self.setting, "goals": goals}
        return {**told, "figures": self.figures, **where}

    def to_markdown(self, where: Mapping[str, Any]) -> str:
        """The same for a reader."""
        title, _, method = (self.about or "").strip().partition("\n")
        parts = [f"# {title.rstrip('.')}", method.strip(), f"This run: {self.setting}"]
        parts.append(_table(["goal", "limit", "measured", ""], [goal.row() for goal in self.goals]))
        parts += [f"## {heading}\n\n{_table(header, rows)}" for heading, header, rows in self.tables]
        parts.append("## Where and how\n\n" + _table(["", ""], [[k, str(v)] for k, v in where.items()]))
        return "\n\n".join(parts) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def where_and_how() -> dict[str, Any]:
    """The machine, the commit and the command that a figure belongs to."""
    packages = ("av", "numpy", "opencv-python-headless", "onnxruntime-gpu", "onnxruntime")
    names = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": f"python -m {_module()} {shlex.join(sys.argv[1:])}".strip(),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {names[name]}" for name in packages if name in names),
        "load_average_at_end": round(os.getloadavg()[0], 2),
    }


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return str(spec.name) if spec else Path(sys.argv[0]).name


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if changed else "")


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def finish(result: Result, *, short: bool) -> int:
    """Write the result, show its goals, and return the exit code: 1 when a judged goal was missed.

    A short trial is shown but not kept: its figures are not to be quoted.
    """
    where = where_and_how()
    text = result.to_markdown(where)
    if not short:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{result.name}.md").write_text(text, encoding="utf-8")
        kept = json.dumps(result.to_json(where), indent=2, ensure_ascii=False) + "\n"
        (RESULTS / f"{result.name}.json").write_text(kept, encoding="utf-8")
    print(text)
    return int(any(goal.judged and not goal.met for goal in result.goals))


def parser(about: str | None) -> argparse.ArgumentParser:
    """Make a reader for the options that every benchmark has."""
    reader = argparse.ArgumentParser(description=about)
    reader.add_argument("--short", action="store_true", help="a quick trial: nothing judged, nothing kept")
    return reader


def options(about: str | None) -> argparse.Namespace:
    """Read the options that every benchmark has."""
    return parser(about).parse_args()


def media_file(name: str) -> Path:
    """A file of the media folder.

    Raises SystemExit when FACEFX_MEDIA does not lead to it.
    """
    folder = os.environ.get("FACEFX_MEDIA", "")
    path = Path(folder) / name
    if not folder or not path.is_file():
        raise SystemExit(f"benchmarks need {name} in the folder that FACEFX_MEDIA names (got {folder!r})")
    return path


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder outside the repository that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="facefx-bench-") as folder:
        yield Path(folder)


def facefx(*arguments: str | Path) -> list[str]:
    """The command line of facefx in this interpreter's environment."""
    return [sys.executable, "-m", "facefx", *map(str, arguments)]


def told(run: Sequence[str], report: Path) -> dict[str, Any]:
    """What a run says of itself: a report costs a reading of both files, so it is asked for apart."""
    run_child([*run, "--report", str(report)])
    loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return loaded


def stage_table(report: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    """Where the time of the last run went, by its own ledger."""
    frames, wall_s = report["frames"], report["wall_s"]
    rows = [
        [
            str(row["stage"]),
            f"{1000 * row['busy_s'] / frames:.3f}",
            f"{1000 * row['wait_s'] / frames:.3f}",
            f"{100 * row['busy_s'] / wall_s:.1f} %",
            str(row["calls"]),
        ]
        for row in report["stages"]
    ]
    rest = wall_s - sum(row["busy_s"] + row["wait_s"] for row in report["stages"])
    rows.append(
        ["(outside every stage)", f"{1000 * rest / frames:.3f}", "", f"{100 * rest / wall_s:.1f} %", ""]
    )
    header = ["stage", "working, ms a frame", "waiting, ms a frame", "of the wall time", "calls"]
    return "Where the time goes, by stage (last run)", header, rows
