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

from facefx.errors import FacefxError, SourceError, StageError, UnsupportedError
from facefx.live.deadline import Departure, Line
from facefx.live.graph import LiveGraph, StageFailed, check_plan
from facefx.live.ports import Arrival, Output, Source, Stream
from facefx.live.preview import Newest, Preview, make_preview
from facefx.live.pull import Puller
from facefx.live.settings import LiveSettings
from facefx.live.stats import LiveStats, Meter
from facefx.live.timeline import Timeline
from facefx.pipeline.live_plan import changed_plan, make_live_plan
from facefx.pipeline.nets import Nets
from facefx.video.info import VideoInfo

__all__ = ["LiveReport", "LiveSession"]

_log = logging.getLogger("facefx.live")

# Frames pending: enough for a budget's worth at a usual rate, and no more memory than this.
_ROOM, _LEAST_ROOM, _ROOM_BYTES = 32, 4, 96 << 20
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
    says of itself. nets: lends nets that are loaded; otherwise the session loads and closes its own. tracks:
    what an earlier session's stats().tracks held. clock: the one that arrivals are stamped with.

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
        self._line = Line(
            self._plan,
            budget_s=settings.budget_s,
            late=settings.late,
            paced=settings.paced,
            room=_ROOM,
            clock=clock,
            dropped=self._meter.dropped,
        )
        self._puller = Puller(
            open_source,
            self,
            clock,
            wait_s=settings.wait_s,
            linger_s=settings.linger_s,
            retry_s=settings.retry_s,
        )
        self._changing = threading.Lock()
        self._ended, self._ready = threading.Event(), threading.Event()
        self._state, self._reason, self._error = "starting", "", ""
        self._failure: FacefxError | None = None
        self._stream: Stream | None = None
        self._timeline: Timeline | None = None
        self._output: Output | None = None
        self._graph: LiveGraph | None = None
        self._newest: Newest | None = None
        self._threads: dict[str, threading.Thread] = {}

    def run(self) -> LiveReport:
        """Run until the source ends for good or `stop` is called; then the targets are closed.

        Raises the error of the tree that ended it; StageError for any other.
        """
        try:
            self._start("pull", self._pull)
            self._ended.wait()
        finally:
            self.stop()
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
        self._puller.stop()
        self._line.abort()
        self._ready.set()
        self._ended.set()

    def set_effects(self, effects: Sequence[str | dict[str, Any]]) -> None:
        """Change the chain from the next frame that comes on; nothing else ever ends the hiding of faces.

        Frames that came before keep the old chain; where the new one hides faces and the old one did not,
        they are left out.

        Raises EffectError, ConfigError, ModelError; then nothing is changed.
        """
        with self._changing:
            plan = changed_plan(self._plan, self._config, effects)
            if self._stream is not None:
                check_plan(plan, self._stream.video, self._nets)
            self._plan = plan
            self._line.change(plan)
            if plan.hides:
                self._newest = None
        _log.info("effects changed", extra={"effects": [spec.name for spec in plan.effects]})

    def stats(self) -> LiveStats:
        """What happened so far."""
        graph, output, stream = self._graph, self._output, self._stream
        return self._meter.stats(
            state=self._state,
            label="" if stream is None else stream.label,
            pending={state.value: count for state, count in self._line.pending.items()},
            effects={} if graph is None else graph.effects,
            targets=None if output is None else output.targets_state,
            tracks=self._tracks,
            error=self._error,
        )

    def preview(self) -> Preview | None:
        """The newest frame that went out as (before, after), small; None where there is none yet.

        Made when asked for. before is None where faces are hidden.
        """
        newest = self._newest
        if newest is None or (self._plan.hides and newest.before is not None):
            return None
        return make_preview(newest)

    def connected(self, stream: Stream) -> None:
        """The source is open; the first time everything behind it is made.

        Raises UnsupportedError where the picture is another than it was.
        """
        if self._stream is None:
            self._begin(stream)
        else:
            _check_same(self._stream.video, stream)
            self._meter.reconnected()
        assert self._timeline is not None
        self._timeline.restart()
        self._state, self._error = "running", ""

    def arrived(self, arrival: Arrival) -> None:
        """Let a frame or a packet in, at its time in the output."""
        timeline, batch = self._timeline, arrival.batch
        assert timeline is not None
        if batch is not None:
            for i in range(len(batch)):
                pts = timeline.picture(int(batch.pts[i]), arrival.arrived_s)
                frame = replace(batch.select(i, i + 1), pts=np.array([pts], np.int64))
                self._meter.came()
                self._line.admit(frame, arrival.arrived_s)
        if arrival.packet is not None and self._settings.audio == "keep":
            packet = timeline.sound(arrival.packet, arrival.arrived_s)
            if packet is None:
                self._meter.sound("dropped")
            else:
                self._line.pass_by(packet)

    def away(self, error: SourceError) -> None:
        """The source is not there."""
        self._error = str(error)
        if self._stream is not None:
            self._state = "reconnecting"
        _log.warning("source is away", extra={"error": self._error})

    def _begin(self, stream: Stream) -> None:
        """Make the output and the stages for the first connection, and wait until frames can be worked on."""
        self._stream, self._timeline = stream, _timeline(stream.video)
        room = _ROOM_BYTES // max(1, stream.video.format.frame_bytes)
        self._line.room = min(_ROOM, max(_LEAST_ROOM, room))
        self._output = self._open_output(stream)
        self._start("work", lambda: self._work(stream.video))
        self._start("push", self._push)
        self._ready.wait()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(work,), name=f"facefx-{name}", daemon=True)
        self._threads[name] = thread
        thread.start()

    def _guard(self, work: Callable[[], None]) -> None:
        """Run a thread's work; an error of it ends the stream."""
        try:
            work()
        except FacefxError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - raised again by run
            name = threading.current_thread().name
            failure = StageError(f"{name} failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._fail(failure)

    def _fail(self, error: FacefxError) -> None:
        if not self._ended.is_set():
            self._failure, self._error, self._reason = error, str(error), "failed"
            _log.error("stream failed", extra={"error": self._error})
        self.stop()

    def _pull(self) -> None:
        reason = self._puller.run()
        self._reason = self._reason or reason
        self._line.end()
        if "push" in self._threads:
            self._threads["push"].join()
        self._ended.set()

    def _work(self, video: VideoInfo) -> None:
        """Work on one frame after the other."""
        graph = self._graph = LiveGraph(self._plan, video, self._nets, self._clock)
        try:
            graph.setup()
            assert graph.analyzer is not None
            if self._tracks:
                graph.analyzer.restore(self._tracks)
            self._ready.set()
            while (frame := self._line.take()) is not None:
                try:
                    patches, faces = graph.process(frame.plan, frame.batch, frame.spent)
                except StageFailed as failed:
                    self._note(failed)
                    self._line.fail(frame, failed.stage)
                else:
                    self._line.finish(frame, patches, faces)
                self._tracks = graph.analyzer.export()
        finally:
            self._ready.set()
            graph.close()

    def _note(self, failed: StageFailed) -> None:
        first = self._error != str(failed.__cause__)
        self._error = str(failed.__cause__)
        self._meter.failed(failed.stage)
        if first:
            _log.error("a stage failed", extra={"stage": failed.stage, "error": self._error})

    def _push(self) -> None:
        """Let one after the other out."""
        while (departure := self._line.next()) is not None:
            self._send(departure)

    def _send(self, departure: Departure) -> None:
        assert self._output is not None
        frame = departure.frame
        if frame is None:
            self._output.copy(departure.packet)
            self._meter.sound("copied")
            return
        before = None if frame.plan.hides or self._plan.hides else frame.batch.view(0)
        began = self._clock()
        self._output.write(frame.batch, departure.patches)
        ended = self._clock()
        self._line.sent(ended - began)
        self._meter.went(frame, departure.reason, began, ended)
        self._newest = Newest(frame.batch, departure.patches, before)

    def _close(self) -> None:
        """Wait for the threads, and close what they used; what one still uses is left to it."""
        until = self._clock() + _JOIN_S
        for thread in self._threads.values():
            thread.join(max(0.0, until - self._clock()))
        hanging = [name for name, thread in self._threads.items() if thread.is_alive()]
        if hanging:
            _log.error("threads hang and are left to themselves", extra={"threads": hanging})
        if self._output is not None and "push" not in hanging:
            self._output.close()
        if self._owned and "work" not in hanging:
            self._nets.close()


def _timeline(video: VideoInfo) -> Timeline:
    return Timeline(video.format.time_base, 1 / (video.average_rate or Fraction(25)))


def _check_same(video: VideoInfo, stream: Stream) -> None:
    """The encoder and its targets go on, so the picture has to be what it was."""
    old, new = video.format, stream.video.format
    if old != new:
        raise UnsupportedError(
            f"{stream.label}: the picture changed over a reconnect: expected {old.width}x{old.height} "
            f"{old.pixels.name} in ticks of {old.time_base} s, got {new.width}x{new.height} "
            f"{new.pixels.name} in ticks of {new.time_base} s; start the stream anew"
        )
