"""Archives for the tests: small clips, and runs whose workers can be made to fail at a wanted step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

from facefx.archive.job import Event
from facefx.archive.records import CommitRecord
from facefx.archive.run import ArchiveRequest, RunSummary, run_archive
from facefx.archive.state import STATE, State
from facefx.archive.tasks import Recipe, Task
from facefx.archive.work import LocalTools, Tools, execute
from facefx.config import load_config
from facefx.demo import portrait_frames
from facefx.pipeline.runner import LocalRunner, Runner
from facefx.storage import StorageOptions, Store
from facefx.video.clip import write_clip

Work = Callable[[Task, Tools], Any]

SECONDS, SEGMENTS = 2, 3
"""Of a clip. Its encoder sets one keyframe more than it was asked for."""

DETECTOR = "yunet" if os.environ.get("FACEFX_MODELS") else "blazeface"
"""The cheaper one, where its file is at hand."""


def clip_bytes(suffix: str = ".mp4", seconds: float = SECONDS) -> bytes:
    """A clip of 320x240 at 10 fps in which a face passes, with a keyframe each second; always the same."""
    return _clip_bytes(suffix, seconds)


@cache
def _clip_bytes(suffix: str, seconds: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        frames = (shown.batch for shown in portrait_frames(320, 240, Fraction(10), seconds))
        write_clip(path, frames, keyframe_s=1)
        return path.read_bytes()


def put_clips(folder: Path, *names: str) -> Path:
    """Good clips below a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip_bytes(path.suffix))
    return folder


def recipe_of(target: str, *effects: str, segment_s: float | None = 1.0, **more: Any) -> Recipe:
    """The quickest recipe that looks for faces. more: fields of Recipe, and `settings` of its config."""
    settings = {"detector": DETECTOR, "encode": {"preset": "ultrafast"}, **more.pop("settings", {})}
    config = load_config(None, {**settings, "effects": effects or ("solid",)})
    return Recipe(config, target, segment_s, **more)


@contextmanager
def worker(work: Work, scratch: Path) -> Iterator[Runner[Task, Any]]:
    """One worker in this process, that does its tasks in this way."""
    with LocalTools.opened(scratch, where=LocalRunner.where) as tools:
        yield LocalRunner(lambda task: work(task, tools))


@dataclass
class Archive:
    """An archive with its runs; everything that they told is in events."""

    source: str
    target: str
    scratch: Path
    effects: tuple[str, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def options(self) -> StorageOptions:
        options: StorageOptions = self.recipe.get("target_options", StorageOptions())
        return options

    @property
    def state(self) -> State:
        return State(Store(self.target, self.options))

    def request(self, only: Literal["all", "troubled"] = "all") -> ArchiveRequest:
        recipe = recipe_of(self.target, *self.effects, **self.recipe)
        return ArchiveRequest((self.source,), recipe, only=only)

    def run(
        self,
        work: Work = execute,
        *,
        request: ArchiveRequest | None = None,
        only: Literal["all", "troubled"] = "all",
        open_runner: Callable[[], AbstractContextManager[Runner[Task, Any]]] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> RunSummary:
        """Run once; events are those of this run."""
        self.events.clear()

        def tell(event: Event) -> None:
            self.events.append(event)
            on_event(event)

        opened = open_runner or (lambda: worker(work, self.scratch))
        return run_archive(request or self.request(only), opened, on_event=tell)

    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in self.events)

    def records(self) -> dict[str, CommitRecord]:
        return {record.source.relative: record for record in self.state.records()}

    def statuses(self) -> dict[str, str]:
        return {name: record.status for name, record in self.records().items()}

    def files(self) -> list[str]:
        """Everything below the target, our own files too, temporary files included."""
        root = Path(self.target)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def outputs(self) -> dict[str, str]:
        """Name and sha256 of all that is not our own, and not hidden as what is not whole is."""
        mine = [name for name in self.files() if not name.startswith(STATE) and "/." not in f"/{name}"]
        return {name: sha256(Path(self.target) / name) for name in mine}

    def strays(self) -> list[str]:
        """Files that must not be there once a run has ended well."""
        files = self.files()
        return [name for name in files if ".part" in name.rpartition("/")[2] or "/segments/" in name] + [
            str(path) for path in self.scratch.glob("worker-*")
        ]

    def tree(self) -> dict[str, tuple[int, int]]:
        """The time and the inode of each file: what was written anew has others."""
        root = Path(self.target)
        return {name: _stamp(root / name) for name in self.files()}


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# What must not change in a run that has nothing to do; the rest are its accounts.
ACCOUNTS = ("lease.json", "progress.json", "run.json", "manifest.parquet", "report.html", "logs/")


def without_accounts(tree: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    prefixes = tuple(f"{STATE}/{name}" for name in ACCOUNTS)
    return {name: stamp for name, stamp in tree.items() if not name.startswith(prefixes)}


# Steps at which a process can be killed: a method of State or Store, the part of the name that it is given,
# and whether it is done before the end comes, half done, or not begun.
STEPS = {
    "half a piece": ("put", ".piece", "half"),
    "before a segment's result": ("write", "/segments/", "before"),
    "after a segment's result": ("write", "/segments/", "after"),
    "before the sheet": ("put", "/sheets/", "before"),
    "before the faces": ("put", "/faces/", "before"),
    "before the output": ("put", ".mp4", "before"),
    "half an output": ("put", ".mp4", "half"),
    "between output and record": ("write", "/commits/", "before"),
    "between record and removal": ("remove_tree", "/segments/", "before"),
    "within removal": ("remove_tree", "/segments/", "half"),
}


def kill_at(step: str, nth: int = 1) -> None:
    """Let this process be killed as it comes to a step for the nth time."""
    method, part, when = STEPS[step]
    original, met = getattr(Store, method), Counter[str]()

    def end(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(store: Store, rel: str, *rest: Any) -> Any:
        if part in f"/{rel}":
            met[step] += 1
        if part not in f"/{rel}" or met[step] != nth:
            return original(store, rel, *rest)
        if when == "half":
            _half(method, end)
        if when == "before":
            end()
        result = original(store, rel, *rest)
        end()
        return result

    setattr(Store, method, wrapped)


def _half(method: str, end: Callable[..., None]) -> None:
    """Let what is about to happen on the disk break off in the middle."""
    from facefx.storage import local

    def copy(source: Path, target: Path) -> None:
        data = source.read_bytes()
        target.write_bytes(data[: len(data) // 2])
        end()

    def remove(backend: local.LocalBackend, urls: Sequence[str]) -> None:
        Path(urls[0]).unlink()
        end()

    if method == "put":
        setattr(shutil, "copyfile", copy)  # noqa: B010 - no assignment that mypy lets pass
    else:
        setattr(local.LocalBackend, "remove", remove)  # noqa: B010


DRIVER = """
import json, os, sys
import onnxruntime, pyarrow.parquet, cv2
from archive_makers import drive
for line in sys.stdin:
    child = os.fork()
    if not child:
        drive(**json.loads(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs archives, each in a fork of a process that has loaded everything, and says how it ended."""


def drive(source: str, target: str, scratch: str, step: str = "", nth: int = 1) -> None:
    """Run an archive, to be killed at a step."""
    if step:
        kill_at(step, nth)
    summary = Archive(source, target, Path(scratch)).run()
    os._exit(int(summary.exit_code))


def order(archive: Archive, **more: Any) -> str:
    """What DRIVER takes."""
    plain = {"source": archive.source, "target": archive.target, "scratch": str(archive.scratch)}
    return json.dumps({**plain, **more})
