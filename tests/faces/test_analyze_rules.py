"""What the analysis concludes about frames in which nobody looked, or looked and saw nothing."""

from __future__ import annotations

import pytest
from films import SIZE, Film, Seen, Table, analyze, circle, merged, moving, seen, square

from facefx.faces.looks import Reason
from facefx.values import FaceSource

HERE = square(80, 48)
FAR = square(25, 25, 24)
CELL = range(30, 46)  # more than one cell of the look grid at 30 fps: every phase


def without(table: Table, frames: range) -> dict[int, list[Seen]]:
    return {i: list(rows) for i, rows in table.items() if i not in frames}


@pytest.mark.parametrize("missed", CELL)
def test_a_face_that_one_look_misses_is_covered(missed: int) -> None:
    truth = seen(HERE, range(90))
    got = analyze(Film.steady(90), without(truth, range(missed, missed + 1)))
    assert got.uncovered(truth) == []
    expected = FaceSource.FILLED if missed in got.detector.asked else FaceSource.TRACKED
    assert [face.source for face in got.faces[missed]] == [expected]
    assert got.ids() == {0}


@pytest.mark.parametrize("start", [30, 34, 37, 41])
@pytest.mark.parametrize("length", [5, 12, 16])
def test_a_face_that_all_looks_miss_for_a_gap_is_filled(start: int, length: int) -> None:
    truth = seen(HERE, range(100))
    missed = range(start, start + length)
    got = analyze(Film.steady(100), without(truth, missed))
    assert got.uncovered(truth) == []
    assert got.ids() == {0}
    looked = [i for i in missed if i in got.detector.asked]
    if looked:
        hidden = range(looked[0], looked[-1] + 1)
        assert all([f.source for f in got.faces[i]] == [FaceSource.FILLED] for i in hidden)
    assert length < 8 or looked, "a look interval without a look"


def test_a_filled_face_that_moves_is_covered_along_its_way() -> None:
    truth = moving({i: (30 + i, 48) for i in range(100)})
    got = analyze(Film.steady(100, painted=truth), without(truth, range(40, 52)))
    assert got.uncovered(truth) == []
    assert got.ids() == {0}


@pytest.mark.parametrize("start", [30, 34, 37, 41])
def test_a_gap_longer_than_allowed_is_padded_and_not_bridged(start: int) -> None:
    missed = range(start, start + 30)
    got = analyze(Film.steady(110), without(seen(HERE, range(110)), missed))
    assert got.frames(FaceSource.FILLED) == []
    assert got.ids() == {0, 1}
    held = got.frames(FaceSource.HELD)
    assert {*range(start, start + 8), *range(start + 27, start + 30)} <= set(held)
    assert all(got.faces[i] == [] for i in range(start + 13, start + 23))


@pytest.mark.parametrize("start", CELL)
def test_entry_and_exit_are_padded_and_no_longer_than_said(start: int) -> None:
    truth = seen(HERE, range(start, start + 30))
    got = analyze(Film.steady(120), truth)
    assert got.uncovered(truth) == []
    held = got.frames(FaceSource.HELD)
    # The first and last sight are up to three frames inside: looks nearer than that are not made.
    assert {*range(start - 3, start), *range(start + 30, start + 38)} <= set(held)
    assert got.frames() == [i for i in got.frames() if start - 6 <= i < start + 30 + 12]


def leaving(axis: int, speed: float, last: int) -> tuple[dict[int, list[Seen]], dict[int, list[Seen]]]:
    """(truth until the box is outside, what the detector sees: until a quarter is gone)."""
    middle = [SIZE[0] / 2, SIZE[1] / 2]
    truth: dict[int, list[Seen]] = {}
    for i in range(200):
        centre = list(middle)
        centre[axis] += speed * max(0, i - last)
        box = square(centre[0], centre[1])
        if not (box[2] > 1 and box[3] > 1 and box[0] < SIZE[0] - 1 and box[1] < SIZE[1] - 1):
            break
        truth[i] = [(*box, 0.9)]
    sees = {
        i: rows
        for i, rows in truth.items()
        if min(rows[0][0], rows[0][1], SIZE[0] - rows[0][2], SIZE[1] - rows[0][3]) > -8
    }
    return truth, sees


@pytest.mark.parametrize("last", [30, 33, 37, 40])
@pytest.mark.parametrize(
    ("axis", "speed"), [(0, -3.0), (0, 4.0), (1, -2.5), (1, 3.0)], ids=["left", "right", "up", "down"]
)
def test_a_face_that_leaves_is_held_until_it_is_outside(axis: int, speed: float, last: int) -> None:
    truth, sees = leaving(axis, speed, last)
    got = analyze(Film.steady(130, painted=truth), sees)
    assert got.uncovered(truth) == []
    assert max(got.frames()) <= max(truth) + 8, "held long after it was gone"


@pytest.mark.parametrize("speed", [3.0, 4.0])
def test_a_face_that_comes_in_over_the_edge_is_covered_from_its_first_frame(speed: float) -> None:
    truth, sees = leaving(0, -speed, 30)
    end = 100
    truth = {end - i: rows for i, rows in truth.items()}
    sees = {end - i: rows for i, rows in sees.items()}
    got = analyze(Film.steady(130, painted=truth), sees)
    assert got.uncovered(truth) == []


@pytest.mark.parametrize("side", [24.0, 30.0])
@pytest.mark.parametrize("period", [26, 40])
def test_a_face_that_moves_in_an_arc_is_looked_at_in_between(side: float, period: int) -> None:
    truth = moving(circle(range(120), 30, period), side)
    got = analyze(Film.steady(120), truth)
    assert got.stats.looks[Reason.DISAGREE] > 0
    assert got.uncovered(truth) == []
    assert got.ids() == {0}


@pytest.mark.parametrize("jump", CELL)
def test_a_face_that_jumps_is_covered_on_either_side_of_the_jump(jump: int) -> None:
    truth = merged(seen(square(40, 48), range(jump)), seen(square(110, 48), range(jump, 90)))
    got = analyze(Film.steady(90), truth)
    assert got.uncovered(truth) == []
    assert got.stats.looks[Reason.DISAGREE] > 0


def test_what_is_below_the_low_threshold_never_continues_a_face() -> None:
    table = merged(seen(HERE, range(45)), seen(HERE, range(45, 90), confidence=0.29))
    assert max(analyze(Film.steady(90), table).frames()) < 45 + 12


def test_unsure_detections_continue_a_sure_face_for_a_while() -> None:
    table = merged(seen(HERE, range(45)), seen(HERE, range(45, 120), confidence=0.4))
    got = analyze(Film.steady(120), table)
    covered = got.frames()
    assert covered == list(range(len(covered)))
    # back_s after the last sure look, then the pad; without the unsure ones the pad alone.
    assert 45 + 15 + 8 <= len(covered) <= 45 + 15 + 12
    assert got.ids() == {0}
    assert got.stats.unsure_frames > 0


def test_unsure_detections_lead_up_to_a_sure_face_for_a_while() -> None:
    table = merged(seen(HERE, range(60), confidence=0.4), seen(HERE, range(60, 110)))
    got = analyze(Film.steady(110), table)
    assert 60 - 8 - 6 <= got.frames()[0] < 60 - 6
    assert got.ids() == {0}


def test_unsure_detections_keep_a_covered_face_whole_between_sure_ones() -> None:
    table = merged(
        seen(HERE, range(40)), seen(HERE, range(40, 54), confidence=0.35), seen(HERE, range(54, 110))
    )
    got = analyze(Film.steady(110), table)
    assert got.frames() == list(range(110))
    assert got.frames(FaceSource.FILLED, FaceSource.HELD) == []


def test_one_person_keeps_one_id_and_ids_are_in_order_of_appearance() -> None:
    still = without(seen(FAR, range(20, 150)), range(60, 70))
    late = moving({i: (90 + 0.3 * i, 60) for i in range(75, 150)})
    early = seen(square(130, 20, 24), range(45))
    got = analyze(Film.steady(150), merged(late, still, early))
    ids = {i: {f.track_id: f.xyxy for f in faces} for i, faces in got.faces.items()}
    assert got.ids() == {0, 1, 2}
    assert all(ids[i][0] == square(130, 20, 24) for i in range(40))
    assert all(abs(ids[i][1][0] - FAR[0]) < 3 for i in range(20, 150)), "the filled gap changed the id"
    assert all(2 in ids[i] for i in range(75, 150))
    assert got.stats.tracks == 3


def test_two_people_who_stand_side_by_side_do_not_change_ids() -> None:
    left, right = seen(square(60, 48), range(90)), seen(square(95, 48), range(90))
    # The detector names them in another order at every frame.
    table = {i: rows[:: 1 if i % 2 else -1] for i, rows in merged(left, right).items()}
    got = analyze(Film.steady(90), table)
    assert all([f.xyxy[0] for f in faces] == [45.0, 80.0] for faces in got.faces.values())


def test_what_was_counted_does_not_add_up() -> None:
    truth = merged(seen(HERE, range(20, 90)), seen(FAR, range(50, 65)))
    got = analyze(Film.steady(150), without(truth, range(40, 50)))
    stats, plain = got.stats, got.stats.to_json()
    for source in FaceSource:
        rows = sum(f.source == source for faces in got.faces.values() for f in faces)
        assert stats.faces[source] == rows == plain["faces"][source.name.lower()]
        assert rows > 0
    assert stats.looks_total == len(got.detector.looks) + len(got.detector.glances)
    assert stats.glances == len(got.detector.glances) > 0
    assert stats.looks_total == sum(plain["looks"][reason.value] for reason in Reason)
    assert stats.looks_extra == stats.looks_total - stats.looks[Reason.GRID] > 0
    assert stats.frames == 150
    assert stats.face_frames == len(got.frames())
    assert stats.filled_frames == len(got.frames(FaceSource.FILLED))
    assert stats.held_frames == len(got.frames(FaceSource.HELD))
    assert stats.tracks == len(got.ids())
    assert 10 / 30 <= stats.longest_gap_s <= 15 / 30
