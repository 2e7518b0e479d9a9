"""Frames between arrival and departure: in order, bounded, each with its deadline, and never raw by lateness.

One thread lets frames in, one works on them, one lets them out; each may stall without the others.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from facefx.live.settings import Late
from facefx.pipeline.live_plan import LivePlan
from facefx.values import FrameBatch, Patch

__all__ = ["Departure", "Line", "LiveFrame", "Reason", "State"]

# Of so many frames the slowest says how long the next may take.
_MEMORY = 16
_MOST_PACKETS = 1024
# What of a budget is left to the stages, however long a decoder kept a frame: pictures that are coded out of
# their order (B-frames) come out some frames late, and no haste of ours would help that.
_LEAST_SHARE = 0.5


class State(StrEnum):
    """Where a frame is."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    SENT = "sent"
    DROPPED = "dropped"
    COVERED = "covered"


class Reason(StrEnum):
    """Why a frame was left out, or went out covered."""

    LATE = "late"  # its budget was over before its faces were known
    OVERTAKEN = "overtaken"  # it would have been late, and a newer one waited
    FULL = "full"  # there was no room
    OUTPUT = "output"  # it was ready, but the output took so long that a newer one is ready too
    CHANGED = "changed"  # it was worked on before effects that hide came on
    FAILED = "failed"  # a stage raised
    STOPPED = "stopped"  # the stream was stopped


@dataclass(slots=True, eq=False)
class LiveFrame:
    """One frame on its way. plan: what was to be done when it came. Times are the line's clock's.

    number: of the frames that came. spent: seconds of work by stage. fault: the stage that raised. faces: how
    many were found.
    """

    batch: FrameBatch
    plan: LivePlan
    arrived_s: float
    entered_s: float
    deadline_s: float = math.inf
    number: int = 0
    state: State = State.WAITING
    patches: tuple[Patch, ...] = ()
    faces: int = 0
    fault: str = ""
    started_s: float | None = None
    done_s: float | None = None
    spent: dict[str, float] = field(default_factory=dict)


class Departure(NamedTuple):
    """What goes out next: a packet of sound, or a frame and the patches to be pasted into it.

    reason: why it is covered; None for a frame that goes out as it was made.
    """

    packet: Any | None = None
    frame: LiveFrame | None = None
    patches: tuple[Patch, ...] = ()
    reason: Reason | None = None


class _Sound(NamedTuple):
    """A packet of sound: it goes out when frame `after` has, or when it has waited long enough."""

    packet: Any
    after: int
    deadline_s: float


class _Slowest:
    """How long something may take: the most of late."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_MEMORY)

    def add(self, seconds: float) -> None:
        self._recent.append(seconds)

    @property
    def s(self) -> float:
        return max(self._recent, default=0.0)


class Line:
    """The pending frames of one stream, and the packets of sound that pass them.

    plan: what is to be done to frames that come now. budget_s, late: see LiveSettings. room: most frames
    pending; a paced line drops one that waits to let a new one in, another lets the source wait. dropped:
    told of each frame left out, with the reason; called with the line's lock held.
    """

    def __init__(
        self,
        plan: LivePlan,
        *,
        budget_s: float,
        late: Late | None,
        paced: bool,
        room: int,
        clock: Callable[[], float],
        dropped: Callable[[LiveFrame, Reason], None],
    ) -> None:
        self.plan = plan
        self.room = room
        self.packets_dropped = 0
        self._budget = budget_s if paced and late != "hold" else math.inf
        self._late, self._paced, self._clock, self._dropped = late, paced, clock, dropped
        self._frames: deque[LiveFrame] = deque()
        self._packets: deque[_Sound] = deque()
        self._patience = budget_s if paced else math.inf
        self._admitted = 0
        self._changed = threading.Condition()
        self._ended = self._aborted = False
        self._work, self._write = _Slowest(), _Slowest()

    @property
    def pending(self) -> Counter[State]:
        """How many frames are in which state."""
        with self._changed:
            return Counter(frame.state for frame in self._frames)

    def admit(self, batch: FrameBatch, arrived_s: float) -> bool:
        """Let a frame in; False where the line was ended. A line that is not paced waits for room."""
        with self._changed:
            while not self._paced and len(self._frames) >= self.room and not self._ended:
                self._changed.wait()
            if self._ended:
                return False
            while len(self._frames) >= self.room and self._make_room():
                pass
            now = self._clock()
            deadline_s = max(arrived_s + self._budget, now + _LEAST_SHARE * self._budget)
            self._admitted += 1
            frame = LiveFrame(batch, self.plan, arrived_s, now, deadline_s, self._admitted)
            self._frames.append(frame)
            if len(self._frames) > self.room:  # what is left is in the others' hands
                self._drop(frame, Reason.FULL)
                self._frames.pop()
            self._changed.notify_all()
            return True

    def pass_by(self, packet: Any) -> None:
        """Let a packet of sound go round the stages: out after the frames before it, but soon in any case."""
        with self._changed:
            if self._ended:
                return
            while not self._paced and len(self._packets) >= _MOST_PACKETS and not self._ended:
                self._changed.wait()
            self._packets.append(_Sound(packet, self._admitted, self._clock() + self._patience))
            if len(self._packets) > _MOST_PACKETS:
                self._packets.popleft()
                self.packets_dropped += 1
            self._changed.notify_all()

    def take(self) -> LiveFrame | None:
        """Wait for a frame to work on; None when there will be none.

        The oldest, unless it would be late and others wait: then the newest, and those before it are dropped.
        """
        with self._changed:
            while True:
                waiting = [frame for frame in self._frames if frame.state is State.WAITING]
                if waiting:
                    return self._begin(waiting)
                if self._ended:
                    return None
                self._changed.wait()

    def finish(self, frame: LiveFrame, patches: tuple[Patch, ...], faces: int) -> None:
        """A frame's patches are made; too late where it has gone out covered."""
        self._done(frame, patches, faces, "")

    def fail(self, frame: LiveFrame, stage: str) -> None:
        """A stage raised at a frame: it goes out covered where faces are hidden, else as it came."""
        self._done(frame, (), 0, stage)

    def next(self) -> Departure | None:
        """Wait for what goes out next; None when there will be nothing. Tell `sent` when it is out."""
        with self._changed:
            while True:
                departure, wait_s = self._poll()
                if departure is not None:
                    return departure
                if self._ended and not self._frames:
                    return None
                if self._packets and self._packets[0].deadline_s < math.inf:
                    left = max(0.0, self._packets[0].deadline_s - self._clock())
                    wait_s = left if wait_s is None else min(left, wait_s)
                self._changed.wait(wait_s)

    def ready(self) -> Departure | None:
        """What goes out next, where something can now."""
        with self._changed:
            return self._poll()[0]

    def sent(self, seconds: float) -> None:
        """What `next` gave is out; seconds: how long the output took."""
        with self._changed:
            self._write.add(seconds)

    def end(self) -> None:
        """Nothing more comes; what is pending goes out."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Nothing more comes, and nothing more goes out."""
        with self._changed:
            self._ended = self._aborted = True
            while self._frames:
                self._drop(self._frames.popleft(), Reason.STOPPED)
            self._packets.clear()
            self._changed.notify_all()

    def change(self, plan: LivePlan) -> None:
        """From the next frame on something else is to be done."""
        with self._changed:
            self.plan = plan
            self._changed.notify_all()

    def _begin(self, waiting: list[LiveFrame]) -> LiveFrame:
        now = self._clock()
        frame = waiting[0]
        if len(waiting) > 1 and now + self._work.s + self._write.s > frame.deadline_s:
            for older in waiting[:-1]:
                self._drop(older, Reason.OVERTAKEN)
            frame = waiting[-1]
            self._changed.notify_all()
        frame.state, frame.started_s = State.WORKING, now
        return frame

    def _done(self, frame: LiveFrame, patches: tuple[Patch, ...], faces: int, fault: str) -> None:
        with self._changed:
            now = self._clock()
            self._work.add(now - (frame.started_s or now))
            if frame.state is State.WORKING:
                frame.state, frame.done_s = State.DONE, now
                frame.patches, frame.faces, frame.fault = patches, faces, fault
            self._changed.notify_all()

    def _poll(self) -> tuple[Departure | None, float | None]:
        """What goes out now, or how long to wait for it; None: until something changes."""
        if self._packets and self._is_due(self._packets[0]):
            self._changed.notify_all()
            return Departure(packet=self._packets.popleft().packet), None
        if self._frames:
            frame = self._frames[0]
            if frame.state is State.DROPPED:
                self._pop()
                return self._poll()  # sound may have waited for it
            if frame.state is State.DONE:
                departure = self._judge(frame)
                self._pop()
                return (departure, None) if departure is not None else self._poll()
            return self._overdue(frame)
        return None, None

    def _is_due(self, sound: _Sound) -> bool:
        first = self._frames[0].number if self._frames else math.inf
        return first > sound.after or self._clock() >= sound.deadline_s

    def _judge(self, frame: LiveFrame) -> Departure | None:
        """How a frame that is done goes out; None where it is left out."""
        hiding = frame.plan.hides or self.plan.hides
        if frame.fault:
            return self._cover(frame, Reason.FAILED) if hiding else self._send(frame)
        late = self._clock() + self._write.s > frame.deadline_s
        if hiding and not frame.plan.hides:
            self._drop(frame, Reason.CHANGED)
        elif late and any(other.state is State.DONE for other in self._frames if other is not frame):
            self._drop(frame, Reason.OUTPUT)
        else:
            return self._send(frame)
        return None

    def _overdue(self, frame: LiveFrame) -> tuple[Departure | None, float | None]:
        """What becomes of the first frame while its faces are not known: covered, when its budget is over.

        Dropping it would let nothing else out: whoever works on it works on nothing newer.
        """
        late = self._late or ("cover" if frame.plan.hides or self.plan.hides else "drop")
        if late != "cover" or frame.deadline_s == math.inf:
            return None, None
        left = frame.deadline_s - self._clock()
        if left > 0:
            return None, left
        self._pop()
        return self._cover(frame, Reason.LATE), None

    def _send(self, frame: LiveFrame) -> Departure:
        frame.state = State.SENT
        return Departure(frame=frame, patches=frame.patches)

    def _cover(self, frame: LiveFrame, reason: Reason) -> Departure:
        frame.state = State.COVERED
        return Departure(frame=frame, patches=(Patch.black(frame.batch.format, 0),), reason=reason)

    def _drop(self, frame: LiveFrame, reason: Reason) -> None:
        frame.state = State.DROPPED
        self._dropped(frame, reason)

    def _make_room(self) -> bool:
        """Drop the oldest frame that nobody has in hand; False where there is none."""
        for frame in self._frames:
            if frame.state in (State.WAITING, State.DONE):
                self._drop(frame, Reason.FULL)
                self._frames.remove(frame)
                return True
        return False

    def _pop(self) -> None:
        self._frames.popleft()
        self._changed.notify_all()
