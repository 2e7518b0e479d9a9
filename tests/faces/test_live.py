"""The live policy: no frame waits for a later one, faces are held, and numbers stay."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from films import SURE, Film, Scripted, Table, merged, seen, square

from facefx.errors import ConfigError
from facefx.faces.live import LiveAnalyzer
from facefx.faces.live_policy import LivePolicy
from facefx.values import Face, FaceSource

MIDDLE = square(80, 48)


class Seen:
    """What a live analyzer said of a film, frame by frame."""

    def __init__(
        self,
        film: Film,
        table: Table,
        policy: LivePolicy | None = None,
        sizes: Sequence[int] = (1,),
        stop: int | None = None,
    ) -> None:
        self.detector = Scripted(table)
        self.analyzer = LiveAnalyzer(self.detector, policy or LivePolicy(), film.format)
        self.faces: dict[int, list[Face]] = {}
        for batch in film.batches(sizes, 0, stop):
            ((back, faces),) = self.analyzer.push(batch)
            assert back is batch, "what is handed in comes back at once"
            for i in range(len(batch)):
                self.faces[int(batch.index[i])] = faces.of_frame(i)
        assert self.analyzer.flush() == []

    def frames(self, *sources: FaceSource) -> list[int]:
        return [
            i for i, faces in self.faces.items() if any(not sources or f.source in sources for f in faces)
        ]

    def ids(self) -> set[int]:
        return {face.track_id for faces in self.faces.values() for face in faces}


def film(count: int = 60, **more: Any) -> Film:
    return Film.steady(count, **more)


def test_every_frame_is_looked_at_and_a_face_is_there_in_its_very_first_frame() -> None:
    said = Seen(film(20), seen(MIDDLE, range(5, 20)))
    assert said.detector.looks == list(range(20))
    assert said.frames() == list(range(5, 20))
    assert said.faces[5][0].source is FaceSource.DETECTED


def test_what_comes_out_does_not_depend_on_how_frames_are_batched() -> None:
    table = merged(seen(MIDDLE, range(3, 30)), seen(square(30, 30), range(10, 50, 3), 0.45))
    one, other = Seen(film(), table), Seen(film(), table, sizes=(7, 1, 16))
    assert one.faces == other.faces


def test_a_face_that_is_lost_is_held_for_half_a_second_and_its_box_grows() -> None:
    said = Seen(film(), seen(MIDDLE, range(10)))
    assert said.frames(FaceSource.HELD) == list(range(10, 25))
    widths = [said.faces[i][0].xyxy[2] - said.faces[i][0].xyxy[0] for i in range(9, 25)]
    assert widths == sorted(widths)
    assert widths[-1] > 1.2 * widths[0]


def test_a_held_box_covers_where_the_face_was_and_where_it_was_going() -> None:
    path = {i: [(*square(40 + 4 * i, 48), SURE)] for i in range(8)}
    said = Seen(film(20), path)
    x0, _, x1, _ = said.faces[11][0].xyxy
    assert x0 <= square(40 + 28, 48)[0]
    assert x1 >= square(40 + 4 * 11, 48)[2] - 1


def test_a_face_that_left_through_the_edge_is_not_held_for_ever() -> None:
    path = {i: [(*square(140 + 5 * i, 48), SURE)] for i in range(6)}
    said = Seen(film(), path)
    assert max(said.frames()) <= 5 + 15


def test_an_unsure_sight_starts_a_face_at_once_and_a_doubtful_one_when_it_is_seen_again() -> None:
    assert Seen(film(10), seen(MIDDLE, [4], 0.5)).frames()[0] == 4
    assert Seen(film(10), seen(MIDDLE, [4], 0.42)).frames() == []
    assert Seen(film(10), seen(MIDDLE, [4, 6], 0.42)).frames()[0] == 6
    assert Seen(film(40), seen(MIDDLE, [4, 20], 0.42)).frames() == []
    assert Seen(film(10), merged(seen(MIDDLE, [4], 0.42), seen(square(30, 30), [5], 0.42))).frames() == []


def test_what_was_never_sure_is_not_held_long() -> None:
    assert Seen(film(), seen(MIDDLE, [4], 0.5)).frames() == list(range(4, 11))


def test_doubtful_sights_keep_a_face_that_is_there() -> None:
    said = Seen(film(), merged(seen(MIDDLE, range(5)), seen(MIDDLE, range(5, 50), 0.3)))
    assert said.frames(FaceSource.DETECTED) == list(range(50))
    assert said.ids() == {0}


def test_a_doubtful_sight_beside_a_face_that_went_does_not_keep_it() -> None:
    beside = seen(square(80 + 0.7 * 30, 48), range(5, 50), 0.35)
    assert max(Seen(film(), merged(seen(MIDDLE, range(5)), beside)).frames()) < 25


def test_two_faces_that_cross_in_different_rows_keep_their_numbers() -> None:
    left = {i: [(*square(20 + 3 * i, 30, 20), SURE)] for i in range(40)}
    right = {i: [(*square(140 - 3 * i, 66, 20), SURE)] for i in range(40)}
    said = Seen(film(40), merged(left, right))
    assert all([face.track_id for face in said.faces[i]] == [0, 1] for i in range(40))
    upper = {next(f.track_id for f in said.faces[i] if f.xyxy[1] < 40) for i in range(40)}
    assert len(upper) == 1


def test_a_face_that_comes_back_after_a_moment_has_its_number_again_and_later_a_new_one() -> None:
    table = merged(seen(MIDDLE, range(5)), seen(MIDDLE, range(50, 55)), seen(MIDDLE, range(140, 150)))
    assert [said[0].track_id for i in (4, 52, 145) if (said := Seen(film(150), table).faces[i])] == [0, 0, 1]


def test_a_source_that_was_away_finds_its_faces_again_under_their_numbers() -> None:
    pts = [*range(0, 300, 33), *range(9000, 9300, 33)]
    away = Film(pts, Fraction(1, 1000))
    said = Seen(away, merged(seen(square(40, 40), range(20)), seen(square(120, 40), range(20))))
    assert all([face.track_id for face in faces] == [0, 1] for faces in said.faces.values())


def test_a_runner_past_the_camera_is_one_face() -> None:
    fast = Film.steady(6, Fraction(1, 5))
    said = Seen(fast, {i: [(*square(20 + 40 * i, 48, 24), SURE)] for i in range(4)})
    assert said.ids() == {0}


def test_a_cut_ends_what_was_there_soon_and_a_flash_does_not() -> None:
    table = merged(seen(MIDDLE, range(20)), seen(square(120, 40), range(20, 40)))
    said = Seen(film(40, cuts=(20,), painted=table), table)
    assert said.analyzer.stats.cuts == 1
    old = [i for i in range(20, 40) if any(face.track_id == 0 for face in said.faces[i])]
    assert old == [20, 21, 22, 23], "held as long as a flash may last"
    flash = seen(MIDDLE, [i for i in range(40) if i not in (20, 21)])

    class Flash(Film):
        def frame(self, i: int) -> Any:
            planes = super().frame(i)
            return tuple(255 - plane for plane in planes) if i in (20, 21) else planes

    base = film(40, painted=flash)
    said = Seen(Flash(base.pts, base.time_base, flash), flash)
    assert said.analyzer.stats.flashes == 1
    assert said.analyzer.stats.cuts == 0
    assert said.frames() == list(range(40))
    assert said.ids() == {0}


def test_time_that_runs_backwards_links_nothing() -> None:
    frames = film(10).batches((1,))
    table = seen(MIDDLE, range(10))
    analyzer = LiveAnalyzer(Scripted(table), LivePolicy(), film().format)
    ids = [analyzer.push(batch)[0][1].track_id.tolist() for batch in [*frames, *frames]]
    assert ids == [[0]] * 10 + [[1]] * 10


def test_beauty_looks_every_so_often_and_predicts_between() -> None:
    path = {i: [(*square(30 + 2 * i, 48), SURE)] for i in range(40)}
    said = Seen(film(40), path, LivePolicy(look_interval_s=0.1))
    assert said.detector.looks == list(range(0, 40, 3))
    assert said.frames() == list(range(40))
    x0 = [said.faces[i][0].xyxy[0] for i in range(9, 40)]
    truth = [path[i][0][0] for i in range(9, 40)]
    assert max(abs(a - b) for a, b in zip(x0, truth, strict=True)) <= 1.5


def test_beauty_looks_at_once_where_the_scene_changes() -> None:
    table = merged(seen(MIDDLE, range(20)), seen(square(120, 40), range(20, 40)))
    said = Seen(film(40, cuts=(20,), painted=table), table, LivePolicy(look_interval_s=0.2))
    assert 20 in said.detector.looks
    assert any(face.source is FaceSource.DETECTED for face in said.faces[20])


def test_the_policy_can_be_changed_between_two_frames_and_faces_stay() -> None:
    frames = film(30).batches((1,))
    analyzer = LiveAnalyzer(Scripted(seen(MIDDLE, range(30))), LivePolicy(look_interval_s=0.2), film().format)
    for batch in frames[:15]:
        analyzer.push(batch)
    analyzer.adopt(LivePolicy())
    rest = [analyzer.push(batch)[0][1] for batch in frames[15:]]
    assert {source for faces in rest for source in faces.source.tolist()} == {FaceSource.DETECTED}
    assert analyzer.stats.tracks == 1


def test_a_detector_that_raises_costs_its_frame_and_nothing_of_the_tracks() -> None:
    class Broken(Scripted):
        def detect(self, batch: Any, frames: Any) -> Any:
            if int(batch.index[0]) == 5:
                raise RuntimeError("no device")
            return super().detect(batch, frames)

    analyzer = LiveAnalyzer(Broken(seen(MIDDLE, range(10))), LivePolicy(), film().format)
    for batch in film(10).batches((1,)):
        if int(batch.index[0]) == 5:
            with pytest.raises(RuntimeError):
                analyzer.push(batch)
        else:
            assert analyzer.push(batch)[0][1].track_id.tolist() == [0]


def test_a_lane_that_comes_back_gives_faces_their_numbers_however_much_time_has_passed() -> None:
    table = merged(seen(square(30, 40), range(200)), seen(square(120, 40), range(5, 200)))
    first = Seen(film(20), table).analyzer
    first_state = json.loads(json.dumps(first.export()))
    assert len(json.dumps(first_state)) < 300
    again = LiveAnalyzer(Scripted(table), LivePolicy(), film().format)
    again.restore(first_state)
    late = film(200).batches((1,), 150)
    assert again.push(late[0])[0][1].track_id.tolist() == [0, 1]
    assert again.export()["next"] == 2


def test_a_state_that_cannot_be_read_is_refused_in_words() -> None:
    analyzer = LiveAnalyzer(Scripted({}), LivePolicy(), film().format)
    for wrong in ({}, {"version": 2}, {"version": 1, "next": 0, "faces": [{"track_id": 1, "xyxy": [0, 1]}]}):
        with pytest.raises(ConfigError, match="start without them"):
            analyzer.restore(wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"high": 0.2}, {"hold_s": 3.0}, {"look_interval_s": 0.6}, {"again": 0.6}, {"low": -0.1}],
)
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        LivePolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"high": 0.35}, {"high": 0.9}, {"low": 0.45}, {"high": 0.3, "low": 0.3}])
def test_thresholds_that_a_user_gives_bring_the_others_with_them(given: dict[str, float]) -> None:
    policy = LivePolicy.for_detector("yunet", **given)
    assert {name: getattr(policy, name) for name in given} == given


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_seen_every_sure_sight_has_its_box_and_every_box_a_number_of_its_own(seed: int) -> None:
    rng = random.Random(seed)
    faces = [(rng.uniform(0, 160), rng.uniform(0, 96), rng.uniform(8, 30)) for _ in range(6)]
    table: dict[int, list[Any]] = {}
    for i in range(80):
        faces = [(x + rng.uniform(-6, 6), y + rng.uniform(-4, 4), side) for x, y, side in faces]
        shown = [(*square(*face), rng.choice((0.3, 0.45, 0.55, 0.9))) for face in faces if rng.random() < 0.7]
        table[i] = shown
    pts = [33 * i + (2000 if i > 50 else 0) + (200 if i > 65 else 0) for i in range(80)]
    said = Seen(Film(pts, Fraction(1, 1000), cuts=(20, 22, 40)), table)
    for i, found in said.faces.items():
        ids = [face.track_id for face in found]
        assert ids == sorted(set(ids))
        for row in table[i]:
            near = [max(abs(a - b) for a, b in zip(row[:4], face.xyxy, strict=True)) for face in found]
            assert row[4] < LivePolicy().high or min(near) < 1e-3
