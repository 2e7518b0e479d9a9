"""All behind the source, for as long as the picture stays the same: line, stages, output, two threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from facefx.errors import FacefxError, StageError
from facefx.live.deadline import Departure, Line
from facefx.live.graph import LiveGraph, StageFailed, check_plan
from facefx.live.ports import Output, Stream
from facefx.live.preview import Newest, Preview, make_preview
from facefx.live.settings import LiveSettings
from facefx.live.stats import Meter
from facefx.pipeline.live_plan import LivePlan
from facefx.pipeline.nets import Nets
from facefx.values import FrameBatch

__all__ = ["LiveRoom", "guarded_thread"]

_log = logging.getLogger("facefx.live")

# Frames pending: enough for a budget's worth at a usual rate, and no more memory than this.
_ROOM, _LEAST_ROOM, _ROOM_BYTES = 32, 4, 96 << 20


def guarded_thread(
    name: str, work: Callable[[], None], failed: Callable[[FacefxError], None]
) -> threading.Thread:
    """Start a thread of a stream; `failed` is told, in that thread, of what ended it."""

    def run() -> None:
        try:
            work()
        except FacefxError as error:
            failed(error)
        except Exception as error:  # noqa: BLE001 - told, and raised again by whoever runs the stream
            failure = StageError(f"facefx-{name} failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            failed(failure)

    thread = threading.Thread(target=run, name=f"facefx-{name}", daemon=True)
    thread.start()
    return thread


class LiveRoom:
    """Takes frames and sound of one stream, and lets them out changed.

    tracks: what an analyzer exported before. failed: told of what ended a thread. The output is this room's
    to close, nets are not. Frames may come as soon as it is made; then the nets have been tried.
    """

    def __init__(
        self,
        plan: LivePlan,
        stream: Stream,
        output: Output,
        settings: LiveSettings,
        *,
        nets: Nets,
        meter: Meter,
        clock: Callable[[], float],
        tracks: Mapping[str, Any],
        failed: Callable[[FacefxError], None],
    ) -> None:
        self.stream = stream
        self.tracks = tracks
        self.error = ""
        self._plan, self._nets, self._meter, self._clock = plan, nets, meter, clock
        self._output, self._failed = output, failed
        self._newest: Newest | None = None
        self._graph: LiveGraph | None = None
        self._ready = threading.Event()
        self._line = Line(
            plan,
            budget_s=settings.budget_s,
            late=settings.late,
            paced=settings.paced,
            room=min(_ROOM, max(_LEAST_ROOM, _ROOM_BYTES // max(1, stream.video.format.frame_bytes))),
            clock=clock,
            dropped=meter.dropped,
        )
        self._threads = {
            "work": guarded_thread("work", self._work, failed),
            "push": guarded_thread("push", self._push, failed),
        }
        self._ready.wait()

    @property
    def pending(self) -> dict[str, int]:
        """How many frames are in which state."""
        return {state.value: count for state, count in self._line.pending.items()}

    @property
    def effects(self) -> dict[str, Any]:
        """What the chain did so far."""
        return {} if self._graph is None else self._graph.effects

    @property
    def targets(self) -> Any:
        """How each target fares."""
        return self._output.targets_state

    def admit(self, batch: FrameBatch, arrived_s: float) -> None:
        """Let a batch of one frame in."""
        self._line.admit(batch, arrived_s)

    def pass_by(self, packet: Any) -> None:
        """Let a packet of sound go round the stages."""
        self._line.pass_by(packet)

    def change(self, plan: LivePlan) -> None:
        """Do something else from the next frame on.

        Raises EffectError, ConfigError, ModelError; then nothing is changed.
        """
        check_plan(plan, self.stream.video, self._nets)
        self._plan = plan
        self._line.change(plan)

    def preview(self) -> Preview | None:
        """See LiveSession.preview."""
        newest = self._newest
        if newest is None or (self._plan.hides and not newest.hidden):
            return None
        return make_preview(newest)

    def drain(self) -> None:
        """Let out what is pending; nothing more comes."""
        self._line.end()
        self._threads["push"].join()

    def abort(self) -> None:
        """End soon; nothing more goes out."""
        self._line.abort()
        self._ready.set()

    def close(self, timeout_s: float) -> bool:
        """Wait for the threads and close the output; False where one hangs, which is left to itself."""
        self._line.abort()
        until = self._clock() + timeout_s
        for thread in self._threads.values():
            thread.join(max(0.0, until - self._clock()))
        hanging = [name for name, thread in self._threads.items() if thread.is_alive()]
        if hanging:
            _log.error("threads hang and are left to themselves", extra={"threads": hanging})
        if "push" not in hanging:
            self._output.close()
        return not hanging

    def _work(self) -> None:
        """Work on one frame after the other."""
        graph = self._graph = LiveGraph(self._plan, self.stream.video, self._nets, self._clock)
        try:
            graph.setup()
            if self.tracks:
                graph.analyzer.restore(self.tracks)
            self._ready.set()
            while (frame := self._line.take()) is not None:
                try:
                    patches, faces = graph.process(frame.plan, frame.batch, frame.spent)
                except StageFailed as failed:
                    self._note(failed)
                    self._line.fail(frame, failed.stage)
                else:
                    self._line.finish(frame, patches, faces)
                self.tracks = graph.analyzer.export()
        finally:
            self._ready.set()
            graph.close()

    def _note(self, failed: StageFailed) -> None:
        self._meter.failed(failed.stage)
        if self.error != str(failed.__cause__):
            self.error = str(failed.__cause__)
            _log.error("a stage failed", extra={"stage": failed.stage, "error": self.error})

    def _push(self) -> None:
        """Let one after the other out."""
        while (departure := self._line.next()) is not None:
            self._send(departure)

    def _send(self, departure: Departure) -> None:
        frame = departure.frame
        if frame is None:
            self._output.copy(departure.packet)
            self._meter.sound("copied")
            return
        hidden = frame.plan.hides or departure.reason is not None
        before = None if hidden else frame.batch.view(0)
        began = self._clock()
        self._output.write(frame.batch, departure.patches)
        ended = self._clock()
        self._line.sent(ended - began)
        self._meter.went(frame, departure.reason, began, ended)
        self._newest = Newest(frame.batch, departure.patches, before, hidden)
