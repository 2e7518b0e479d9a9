"""One live stream from its source to its targets: three threads, and who may ask and tell them things.

pull:  source ▶ line       opens the source, again and again while it is worth waiting for
work:  line ▶ stages ▶ line
push:  line ▶ output       never waits for the work longer than a frame's budget
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from facefx.errors import FacefxError, SourceError, StageError
from facefx.live.ports import Arrival, Output, Source, Stream
from facefx.live.preview import Preview
from facefx.live.pull import Puller
from facefx.live.room import LiveRoom, guarded_thread
from facefx.live.settings import LiveSettings
from facefx.live.stats import LiveStats, Meter
from facefx.live.timeline import Timeline
from facefx.pipeline.live_plan import changed_plan, make_live_plan
from facefx.pipeline.nets import Nets
from facefx.video.info import VideoInfo

__all__ = ["LiveReport", "LiveSession"]

_log = logging.getLogger("facefx.live")

# How long a thread may take to end once the stream has; one that hangs in a call is left to itself.
_JOIN_S = 2.0


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What one stream was, when it has ended. reason: why it ended."""

    reason: str
    plan: dict[str, Any]
    stats: LiveStats

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"reason": self.reason, "plan": self.plan, **self.stats.to_json()}


class LiveSession:
    """Run one live stream; `run` blocks, everything else may be called from any thread.

    open_source: makes a source, anew for each connection. open_output: makes the output for what the source
    says of itself, anew where a source that comes back has another picture. nets: lends nets that are
    loaded; otherwise the session loads and closes its own. tracks: what an earlier session's stats().tracks
    held. clock: the one that arrivals are stamped with.

    Raises EffectError, ConfigError, ModelError where the settings cannot be met.
    """

    def __init__(
        self,
        settings: LiveSettings,
        *,
        open_source: Callable[[], Source],
        open_output: Callable[[Any], Output],
        nets: Nets | None = None,
        tracks: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._config = settings, settings.run_config
        self._open_output, self._clock = open_output, clock
        self._nets, self._owned = nets or Nets(), nets is None
        self._tracks: Mapping[str, Any] = dict(tracks or {})
        self._plan = make_live_plan(self._config)
        self._meter = Meter("detect", clock)
        waits = {name: getattr(settings, name) for name in ("wait_s", "linger_s", "retry_s")}
        self._puller = Puller(open_source, self, clock, **waits)
        self._changing, self._ended = threading.Lock(), threading.Event()
        self._state, self._reason, self._error = "starting", "", ""
        self._failure: FacefxError | None = None
        self._room: LiveRoom | None = None
        self._timeline: Timeline | None = None

    def run(self) -> LiveReport:
        """Run until the source ends for good or `stop` is called; then the targets are closed.

        Raises the error of the tree that ended it; StageError for any other.
        """
        pull = guarded_thread("pull", self._pull, self._fail)
        try:
            self._ended.wait()
        finally:
            self.stop()
            pull.join(_JOIN_S)
            self._close()
        self._state = "ended" if self._failure is None else "failed"
        if self._failure is not None:
            raise self._failure
        return self.report()

    def report(self) -> LiveReport:
        """What it was so far."""
        return LiveReport(self._reason, self._plan.to_json(), self.stats())

    def stop(self, reason: str = "stopped") -> None:
        """End it soon, for a reason that the report gives; what is pending does not go out."""
        self._reason = self._reason or reason
        self._ended.set()
        self._puller.stop()
        if self._room is not None:
            self._room.abort()

    def set_effects(self, effects: Sequence[str | dict[str, Any]]) -> None:
        """Change the chain from the next frame that comes on; nothing else ever ends the hiding of faces.

        Frames that came before keep the old chain; where the new one hides faces and the old one did not,
        they are left out.

        Raises EffectError, ConfigError, ModelError; then nothing is changed.
        """
        with self._changing:
            plan = changed_plan(self._plan, self._config, effects)
            if self._room is not None:
                self._room.change(plan)
            self._plan = plan
        _log.info("effects changed", extra={"effects": [spec.name for spec in plan.effects]})

    def stats(self) -> LiveStats:
        """What happened so far."""
        room = self._room
        return self._meter.stats(
            state=self._state,
            label="" if room is None else room.stream.label,
            pending={} if room is None else room.pending,
            effects={} if room is None else room.effects,
            targets=None if room is None else room.targets,
            tracks=self._tracks if room is None else room.tracks,
            error=self._error or ("" if room is None else room.error),
        )

    def preview(self) -> Preview | None:
        """The newest frame that went out as (before, after), small; None where there is none yet.

        Made when asked for. before is None where faces are hidden.
        """
        return None if self._room is None else self._room.preview()

    def connected(self, stream: Stream) -> None:
        """The source is open; the first time, and where the picture is another, all behind it is made anew.

        Raises what making it raises.
        """
        with self._changing:  # the chain must not change while it is made
            if self._room is not None and stream.video.format != self._room.stream.video.format:
                self._leave(self._room)
            if self._room is None:
                self._timeline = _timeline(stream.video)
                self._room = self._make_room(stream)
            else:
                self._meter.reconnected()
        if self._ended.is_set():  # `stop` may have come before there was a room to end
            self._room.abort()
        assert self._timeline is not None
        self._timeline.restart()
        self._state, self._error = "running", ""

    def arrived(self, arrival: Arrival) -> None:
        """Let a frame or a packet in, at its time in the output."""
        timeline, room, batch = self._timeline, self._room, arrival.batch
        assert timeline is not None
        assert room is not None
        if batch is not None:
            for i in range(len(batch)):
                pts = timeline.picture(int(batch.pts[i]), arrival.arrived_s)
                self._meter.came()
                room.admit(replace(batch.select(i, i + 1), pts=np.array([pts], np.int64)), arrival.arrived_s)
        if arrival.packet is not None and self._settings.audio == "keep":
            packet = timeline.sound(arrival.packet, arrival.arrived_s)
            if packet is None:
                self._meter.sound("dropped")
            else:
                room.pass_by(packet)

    def away(self, error: SourceError) -> None:
        """The source is not there."""
        if self._error != str(error):  # not at each try
            self._error = str(error)
            _log.warning("the source is away: %s", self._error)
        if self._room is not None:
            self._state = "reconnecting"

    def _make_room(self, stream: Stream) -> LiveRoom:
        return LiveRoom(
            self._plan,
            stream,
            self._open_output(stream),
            self._settings,
            nets=self._nets,
            meter=self._meter,
            clock=self._clock,
            tracks=self._tracks,
            failed=self._fail,
        )

    def _leave(self, room: LiveRoom) -> None:
        """The picture is another: let out what is pending of the old one, and close its output.

        Raises StageError where a stage hangs, for the nets are in its hands.
        """
        _log.warning("the picture changed", extra={"source": room.stream.label})
        room.drain()
        self._tracks, self._room = room.tracks, None
        self._meter.reconnected()
        if not room.close(_JOIN_S):
            raise StageError(f"{room.stream.label}: a stage hangs while the picture changes; start it anew")

    def _fail(self, error: FacefxError) -> None:
        if not self._ended.is_set():
            self._failure, self._error, self._reason = error, str(error), "failed"
            _log.error("stream failed", extra={"error": self._error})
        self.stop()

    def _pull(self) -> None:
        reason = self._puller.run()
        self._reason = self._reason or reason
        if self._room is not None:
            self._room.drain()
        self._ended.set()

    def _close(self) -> None:
        """Close what is this session's own; what a hanging thread still uses is left to it."""
        left = self._room is None or self._room.close(_JOIN_S)
        if self._owned and left:
            self._nets.close()


def _timeline(video: VideoInfo) -> Timeline:
    return Timeline(video.format.time_base, 1 / (video.average_rate or Fraction(25)))
