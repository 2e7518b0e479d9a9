"""The line of pending frames: order, room, deadlines, and what may never go out."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from live_fakes import picture, settings, stream_format

from facefx.live.deadline import Departure, Line, LiveFrame, Reason, State
from facefx.pipeline.live_plan import LivePlan, make_live_plan
from facefx.values import Patch

FORMAT = stream_format(32, 16)
BUDGET_S = 0.15


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def hiding() -> LivePlan:
    return make_live_plan(settings(effects="solid").run_config)


@pytest.fixture(scope="module")
def beauty() -> LivePlan:
    return make_live_plan(settings(effects="sharpen").run_config)


class Room:
    """A line with its clock and what it left out."""

    def __init__(self, plan: LivePlan, **more: Any) -> None:
        self.clock, self.left_out = Clock(), list[tuple[int, Reason]]()
        chosen = {"budget_s": BUDGET_S, "late": None, "paced": True, "room": 8, **more}
        self.line = Line(plan, clock=self.clock, dropped=self._note, **chosen)
        self.came = 0

    def _note(self, frame: LiveFrame, reason: Reason) -> None:
        self.left_out.append((int(frame.batch.index[0]), reason))

    def come(self, frames: int = 1) -> None:
        for _ in range(frames):
            self.line.admit(picture(FORMAT, self.came, self.came), self.clock())
            self.came += 1

    def take(self) -> LiveFrame:
        frame = self.line.take()
        assert frame is not None
        return frame

    def work(self, seconds: float = 0.0) -> LiveFrame:
        frame = self.take()
        self.clock.now += seconds
        self.line.finish(frame, (), 0)
        return frame

    def out(self) -> list[tuple[int, Reason | None]]:
        """All that may go out now."""
        gone = []
        while (departure := self.line.ready()) is not None:
            assert departure.frame is not None
            gone.append((int(departure.frame.batch.index[0]), departure.reason))
        return gone


def whole_black(departure: Departure | None) -> bool:
    assert departure is not None
    assert departure.frame is not None
    planes = tuple(np.array(plane) for plane in departure.frame.batch.view(0))
    for patch in departure.patches:
        patch.paste(planes)
    return all(np.array_equal(a, b) for a, b in zip(planes, Patch.black(FORMAT, 0).planes, strict=True))


def test_frames_leave_in_the_order_in_which_they_came(hiding: LivePlan) -> None:
    room = Room(hiding)
    room.come(3)
    first, second = room.take(), room.take()
    room.line.finish(second, (), 0)
    assert room.out() == []
    room.line.finish(first, (), 0)
    assert room.out() == [(0, None), (1, None)]


def test_a_frame_whose_faces_are_not_known_by_its_deadline_leaves_black_while_it_is_worked_on(
    hiding: LivePlan,
) -> None:
    room = Room(hiding)
    room.come()
    frame = room.take()
    room.clock.now += BUDGET_S - 0.001
    assert room.out() == []
    room.clock.now += 0.001
    departure = room.line.ready()
    assert whole_black(departure)
    assert frame.state is State.COVERED
    room.line.finish(frame, (), 1)  # the detector comes back: too late, nothing more goes out
    assert room.out() == []
    assert frame.state is State.COVERED


def test_frames_behind_one_that_hangs_leave_black_each_at_its_own_deadline(hiding: LivePlan) -> None:
    room = Room(hiding)
    room.come()
    room.take()
    for _ in range(4):
        room.clock.now += 0.04
        room.come()
    gone = []
    for _ in range(4):
        room.clock.now += 0.04
        gone.append(room.out())
    assert gone == [
        [(0, Reason.LATE), (1, Reason.LATE)],
        [(2, Reason.LATE)],
        [(3, Reason.LATE)],
        [(4, Reason.LATE)],
    ]


def test_a_beauty_frame_in_work_is_not_dropped_for_nothing_newer_could_leave(beauty: LivePlan) -> None:
    room = Room(beauty)
    room.come(2)
    frame = room.take()
    room.clock.now += 2 * BUDGET_S
    assert room.out() == []
    room.line.finish(frame, (), 0)
    assert room.out() == [(0, None)]


def test_when_work_is_slower_than_frames_the_newest_wins_and_the_rest_is_counted(beauty: LivePlan) -> None:
    room = Room(beauty, room=32)
    gone, oldest_s = [], 0.0
    room.come()
    for step in range(60):
        frame = room.work(0.05)
        oldest_s = max(oldest_s, room.clock() - frame.arrived_s)
        gone += room.out()
        room.come(2 if step % 2 else 1)  # a frame every 33 ms
    assert oldest_s <= BUDGET_S
    numbers = [number for number, _ in gone]
    assert numbers == sorted(numbers)
    assert {reason for _, reason in room.left_out} == {Reason.OVERTAKEN}
    assert len(gone) + len(room.left_out) + sum(room.line.pending.values()) == room.came


def test_a_line_without_room_drops_the_oldest_that_waits_and_never_grows(hiding: LivePlan) -> None:
    room = Room(hiding, room=4)
    room.come(10)
    assert sum(room.line.pending.values()) == 4
    assert room.left_out == [(i, Reason.FULL) for i in range(6)]


def test_a_frame_that_comes_while_all_room_is_in_hand_is_left_out_itself(hiding: LivePlan) -> None:
    room = Room(hiding, room=2)
    room.come(2)
    room.take()
    room.take()
    room.come()
    assert room.left_out == [(2, Reason.FULL)]


def test_frames_that_an_output_leaves_standing_make_room_for_new_ones(hiding: LivePlan) -> None:
    room = Room(hiding, room=2)
    room.come(2)
    room.work()
    room.work()
    room.come()
    assert room.left_out == [(0, Reason.FULL)]
    room.work()
    assert room.out() == [(1, None), (2, None)]


def test_a_ready_frame_is_dropped_where_the_output_is_late_and_a_newer_one_is_ready(hiding: LivePlan) -> None:
    room = Room(hiding)
    room.come()
    room.work()
    room.clock.now += 0.1
    room.come()
    room.work()
    room.clock.now += 0.06
    assert room.out() == [(1, None)]
    assert room.left_out == [(0, Reason.OUTPUT)]


def test_a_stage_that_fails_covers_where_faces_are_hidden_and_passes_the_frame_where_not(
    hiding: LivePlan, beauty: LivePlan
) -> None:
    for plan, expected in ((hiding, Reason.FAILED), (beauty, None)):
        room = Room(plan)
        room.come()
        room.line.fail(room.take(), "detect")
        assert room.out() == [(0, expected)]


def test_frames_made_before_faces_were_to_be_hidden_do_not_leave_after(
    hiding: LivePlan, beauty: LivePlan
) -> None:
    room = Room(beauty)
    room.come(3)
    room.work()
    failed = room.take()
    room.line.change(hiding)
    room.line.fail(failed, "detect")
    room.come()
    room.work()
    assert room.work().plan is hiding
    assert room.out() == [(1, Reason.FAILED), (3, None)]
    assert room.left_out == [(0, Reason.CHANGED), (2, Reason.CHANGED)]


def test_frames_that_came_while_faces_were_hidden_stay_hidden_after_the_chain_is_changed(
    hiding: LivePlan, beauty: LivePlan
) -> None:
    room = Room(hiding)
    room.come()
    room.line.change(beauty)
    room.come()
    assert [room.take().plan, room.take().plan] == [hiding, beauty]
    room.clock.now += BUDGET_S
    assert room.out() == [(0, Reason.LATE)]


@pytest.mark.parametrize(
    ("late", "expected"),
    [("drop", []), ("hold", []), ("cover", [(0, Reason.LATE)]), (None, [(0, Reason.LATE)])],
)
def test_no_setting_lets_a_frame_out_that_nobody_looked_at(
    late: Any, expected: list[Any], hiding: LivePlan
) -> None:
    room = Room(hiding, late=late)
    room.come()
    room.take()
    room.clock.now += 10
    assert room.out() == expected


def test_a_frame_that_the_decoder_kept_back_has_half_of_its_budget_left(hiding: LivePlan) -> None:
    room = Room(hiding)
    room.line.admit(picture(FORMAT, 0, 0), room.clock() - BUDGET_S)  # the packet came long ago: B-frames
    room.take()
    room.clock.now += 0.4 * BUDGET_S
    assert room.out() == []
    room.clock.now += 0.2 * BUDGET_S
    assert room.out() == [(0, Reason.LATE)]


def test_hold_keeps_frames_however_late_and_sends_them_when_they_are_ready(hiding: LivePlan) -> None:
    room = Room(hiding, late="hold")
    room.come(2)
    room.clock.now += 10
    room.work()
    room.work()
    assert room.out() == [(0, None), (1, None)]


def test_a_line_that_is_not_paced_lets_the_source_wait_instead_of_dropping(hiding: LivePlan) -> None:
    room = Room(hiding, paced=False, room=2)
    room.come(2)
    waiting = threading.Thread(target=room.come)
    waiting.start()
    room.clock.now += 10
    room.work()
    assert room.out() == [(0, None)]
    waiting.join(5)
    assert not waiting.is_alive()
    assert room.left_out == []


@pytest.mark.parametrize("call", ["take", "next"])
def test_nobody_waits_on_a_line_that_was_aborted(call: str, hiding: LivePlan) -> None:
    room = Room(hiding)
    ended: list[Any] = []
    waiting = threading.Thread(target=lambda: ended.append(getattr(room.line, call)()))
    waiting.start()
    room.line.abort()
    waiting.join(5)
    assert ended == [None]
    assert not room.line.admit(picture(FORMAT, 0, 0), 0.0)


def sounds(room: Room) -> list[Any]:
    """What goes out now: packets by their names, frames by their numbers."""
    gone = []
    while (departure := room.line.ready()) is not None:
        frame = departure.frame
        gone.append(departure.packet if frame is None else int(frame.batch.index[0]))
    return gone


def test_sound_leaves_between_the_frames_between_which_it_came(hiding: LivePlan) -> None:
    room = Room(hiding)
    room.line.pass_by("a")
    assert sounds(room) == ["a"]
    room.come()
    room.line.pass_by("b")
    room.come()
    room.line.pass_by("c")
    room.work()
    assert sounds(room) == [0, "b"]
    room.work()
    assert sounds(room) == [1, "c"]


def test_sound_does_not_wait_longer_than_the_budget_for_a_frame_that_hangs(hiding: LivePlan) -> None:
    room = Room(hiding, late="hold")
    room.come()
    room.take()
    room.line.pass_by("a")
    room.clock.now += BUDGET_S - 0.001
    assert sounds(room) == []
    room.clock.now += 0.001
    assert sounds(room) == ["a"]


def test_sound_does_not_wait_for_a_frame_that_was_left_out(beauty: LivePlan) -> None:
    room = Room(beauty)
    room.come()
    room.line.pass_by("a")
    room.come()
    room.clock.now += 2 * BUDGET_S
    assert room.take().number == 2
    assert sounds(room) == ["a"]


def test_what_is_pending_leaves_before_a_line_that_ended_says_so(hiding: LivePlan) -> None:
    room = Room(hiding)
    room.come()
    room.line.end()
    room.work()
    assert room.line.next() is not None
    assert room.line.next() is None
