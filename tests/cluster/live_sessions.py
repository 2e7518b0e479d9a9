"""Streams for lanes of the tests; in a module of its own, for their processes import it.

The settings' source says what is to happen: words, joined by "+".
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from facefx.cluster.lane import Ready
from facefx.errors import EffectError, SourceError
from facefx.pipeline.nets import Nets


@dataclass(frozen=True)
class Stats:
    plain: dict[str, Any]
    tracks: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.plain

    def samples(self) -> Iterator[Sample]:
        yield Sample("facefx_test_frames_total", {"way": "out"}, self.plain["frames_out"], "counter")
        yield Sample("facefx_test_stage_seconds_bucket", {"stage": "detect", "le": "0.01"}, 3, "counter")
        yield Sample("facefx_test_faces", {}, 2, "gauge")


class Picture(NamedTuple):
    jpeg: bytes


class Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: float
    kind: str


class FakeSession:
    """Counts frames, and writes them where its target says, so that a test sees who pushes."""

    def __init__(self, settings: Mapping[str, Any], tracker: Mapping[str, Any] | None) -> None:
        self.words = str(settings["source"]).split("+")
        self.effects = list(settings["effects"])
        self.frames, self.next_track = 0, int((tracker or {}).get("next", 1))
        self._out = Path(settings["targets"][0]) if settings["targets"] else None
        self._over = threading.Event()
        if "refused" in self.words:
            raise SourceError("a.mp4: cannot be opened")

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.frames += 1
            self.next_track = max(self.next_track, self.frames)
            if self._out is not None:
                with self._out.open("a") as out:
                    out.write(f"{os.getpid()} {self.frames}\n")
            self._happen()

    def _happen(self) -> None:
        if self.frames < 10:
            return
        if "ends" in self.words:
            self._over.set()
        if "gone" in self.words:
            raise SourceError("rtmp://in/***: nobody publishes any more")
        if "bug" in self.words:
            raise ZeroDivisionError("of the session's own")
        if "dies" in self.words:
            os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        if "deaf" in self.words:
            time.sleep(600)
        self._over.set()

    def set_effects(self, effects: Sequence[Any]) -> None:
        if "no-such" in effects:
            raise EffectError("effect 'no-such' is unknown")
        self.effects = list(effects)

    def stats(self) -> Stats:
        plain = {"state": "running", "frames_out": self.frames, "dropped": {"late": 1}, "faces": 2}
        return Stats(plain | {"effects": self.effects}, {"next": self.next_track})

    def preview(self) -> tuple[Picture | None, Picture]:
        return None if "hides" in self.words else Picture(b"before"), Picture(b"after")


def any_device(device: str) -> Ready:
    """As on a machine that has it."""
    return Ready(os.getpid(), "here", os.environ.get("CUDA_VISIBLE_DEVICES"), "")


def make(settings: Mapping[str, Any], tracker: Mapping[str, Any] | None, nets: Nets) -> FakeSession:
    return FakeSession(settings, tracker)
