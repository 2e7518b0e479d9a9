"""What must not reach across a cut, a gap in time, or a stream that starts anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from face_scripts import (
    STILL,
    TICKS,
    WALL,
    WIDTH,
    Actor,
    Box,
    Picture,
    analyzer,
    batches,
    nobody,
    plain,
    rows,
    run,
    steady,
    through,
    times,
)

from facefx.values import FaceSource

FACE = (100.0, 60.0, 140.0, 110.0)
ELSEWHERE = np.ascontiguousarray(255 - WALL[:, 400 : 400 + WIDTH])
HERE = np.ascontiguousarray(WALL[:, :WIDTH])


def cut_at(frame: int) -> Callable[[int], Picture]:
    def draw(i: int) -> Picture:
        return HERE if i < frame else ELSEWHERE

    return draw


def test_a_face_does_not_smear_over_a_cut() -> None:
    for at in range(45, 60):
        found = run(Actor(steady(FACE, range(at))), times(90), cut_at(at))
        assert max(found) == at - 1, f"cut at {at}: held into the next scene"
        found = run(Actor(steady(FACE, range(at, 90))), times(90), cut_at(at))
        assert min(found) == at, f"cut at {at}: led in from the scene before"


def test_faces_on_both_sides_of_a_cut_are_two_tracks_and_nothing_lies_between_them() -> None:
    def script(i: int) -> list[tuple[Box, float]]:
        return [(FACE, 0.9)] if i < 50 else [((110.0, 60.0, 150.0, 110.0), 0.9)]

    found = run(Actor(script), times(90), cut_at(50))
    assert {face.track_id for i in range(50) for face in found[i]} == {0}
    assert {face.track_id for i in range(50, 90) for face in found[i]} == {1}
    assert all(len(found[i]) == 1 for i in range(90))
    assert found[49][0].xyxy == FACE, "not drawn towards the other scene's face"


def test_a_gap_that_holds_a_cut_is_not_filled() -> None:
    def script(i: int) -> list[tuple[Box, float]]:
        return [] if 46 <= i < 54 else [(FACE, 0.9)]

    found = run(Actor(script), times(90), cut_at(50))
    assert not any(face.source == FaceSource.FILLED for faces in found.values() for face in faces)
    assert found[40][0].track_id != found[60][0].track_id


def test_both_sides_of_a_cut_are_looked_at() -> None:
    detector, clip = Actor(nobody), batches(times(90), cut_at(50))
    looking = analyzer(detector, clip)
    through(looking, clip)
    assert {49, 50} <= set(detector.looked)
    assert (looking.stats.cuts, looking.stats.flashes) == (1, 0)


def test_a_photo_flash_is_no_cut() -> None:
    def draw(i: int) -> Picture:
        return np.full_like(HERE, 235) if i in (50, 51) else HERE

    dazzled = Actor(lambda i: [] if i in (50, 51) else [(FACE, 0.9)])
    clip = batches(times(90), draw)
    looking = analyzer(dazzled, clip)
    found = rows(through(looking, clip))
    assert set(found) == set(range(90)), "the flash uncovered the face"
    assert (looking.stats.cuts, looking.stats.flashes) == (0, 2)
    assert looking.stats.tracks == 1


def test_a_shot_of_three_frames_has_its_own_faces() -> None:
    def draw(i: int) -> Picture:
        return STILL if i in range(50, 53) else HERE if i < 50 else ELSEWHERE

    found = run(Actor(steady(FACE, range(50, 53))), times(90), draw)
    assert set(found) == set(range(50, 53))


def test_a_fast_pan_is_no_cut() -> None:
    def draw(i: int) -> Picture:
        return np.ascontiguousarray(WALL[:, i * 6 : i * 6 + WIDTH])

    clip = batches(times(60), draw)
    looking = analyzer(Actor(nobody), clip)
    through(looking, clip)
    assert looking.stats.cuts == 0


def test_a_hole_in_time_is_not_filled() -> None:
    pts = times(45) + times(45, start=5 * TICKS)
    found = run(Actor(steady(FACE, range(90))), pts)
    assert set(found) == set(range(90))
    assert {face.track_id for i in range(45) for face in found[i]} == {0}
    assert {face.track_id for i in range(45, 90) for face in found[i]} == {1}


def test_time_that_goes_back_starts_anew_and_loses_no_frame() -> None:
    pts = times(40) + times(40)
    detector = Actor(steady(FACE, range(80)))
    clip = batches(pts)
    out = through(analyzer(detector, clip), clip)
    assert [int(i) for batch, _ in out for i in batch.index] == list(range(80))
    found = rows(out)
    assert set(found) == set(range(80))
    assert found[39][0].track_id != found[40][0].track_id
    assert all(face.source < FaceSource.HELD for i in range(80) for face in found[i])


def test_a_repeated_timestamp_is_survived() -> None:
    pts = times(60)
    pts[30] = pts[29]
    found = run(Actor(steady(FACE, range(60))), pts)
    assert set(found) == set(range(60))


def test_the_cut_is_seen_alike_however_frames_are_batched() -> None:
    script = steady(FACE, range(20, 50))
    tables = [plain(run(Actor(script), times(90), cut_at(50), size=n)) for n in (1, 5, 16)]
    assert tables[0] == tables[1] == tables[2]
