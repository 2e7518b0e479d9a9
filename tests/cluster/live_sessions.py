"""Streams for lanes of the tests; in a module of its own, for their processes import it.

The settings' source says what is to happen: words, joined by "+".
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facefx.errors import EffectError, SourceError
from facefx.pipeline.nets import Nets


class Stats:
    def __init__(self, plain: dict[str, Any]) -> None:
        self._plain = plain

    def to_json(self) -> dict[str, Any]:
        return self._plain


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
        return Stats(
            {"state": "running", "frames": self.frames, "dropped": {"late": 1}, "effects": self.effects}
        )

    def preview(self) -> tuple[bytes, bytes]:
        return b"before", b"after"

    def tracker(self) -> dict[str, Any]:
        return {"next": self.next_track}


def make(settings: Mapping[str, Any], tracker: Mapping[str, Any] | None, nets: Nets) -> FakeSession:
    return FakeSession(settings, tracker)
