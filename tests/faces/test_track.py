"""Which detections count, and which are the same face."""

from __future__ import annotations

import numpy as np
import pytest
from face_scripts import (
    Actor,
    Box,
    Seen,
    analyzer,
    batches,
    plain,
    rows,
    run,
    steady,
    through,
    times,
)

from facefx.errors import ConfigError
from facefx.faces.moment import Moment, Sighting
from facefx.faces.policy import FacePolicy
from facefx.faces.signature import Signature
from facefx.faces.track import pair_up
from facefx.values import FaceSource

FACE = (100.0, 60.0, 140.0, 110.0)
BLANK = Signature(np.zeros((9, 9), np.uint8))


def sighting(x: float, *, size: float = 40, confidence: float = 0.9) -> Sighting:
    moment = Moment(0, 0, None, 0, BLANK)
    return Sighting(moment, (x, 50, x + size, 50 + size), confidence, confidence >= 0.7)


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        pytest.param([100], [110], [(0, 0)], id="moved a little"),
        pytest.param([100, 150], [148, 104], [(0, 1), (1, 0)], id="the order of detections says nothing"),
        pytest.param([100], [131], [(0, 0)], id="moved by most of its size"),
        pytest.param([100], [165], [(0, 0)], id="ran, and is the only one that can have"),
        pytest.param([100], [165, 30], [], id="two could be the runner: neither is"),
        pytest.param([100], [250], [], id="nobody runs that fast"),
        pytest.param([], [100], [], id="nobody before"),
    ],
)
def test_faces_are_matched_by_where_they_are(
    before: list[float], after: list[float], pairs: list[tuple[int, int]]
) -> None:
    a, b = [sighting(x) for x in before], [sighting(x) for x in after]
    got = pair_up(a, b, 0.25)
    assert sorted((a.index(p), b.index(q)) for p, q in got) == sorted(pairs)


def test_a_face_does_not_become_another_of_twice_its_size() -> None:
    assert pair_up([sighting(100)], [sighting(80, size=80)], 0.25) == []


def test_a_sure_detection_is_preferred_to_an_unsure_one_that_is_nearer() -> None:
    face, unsure, sure = sighting(100), sighting(101, confidence=0.4), sighting(115)
    assert pair_up([face], [unsure, sure], 0.25) == [(face, sure)]


def test_clutter_beside_a_face_that_went_does_not_keep_it_alive() -> None:
    assert pair_up([sighting(100)], [sighting(125, confidence=0.4)], 0.25) == []


def test_unsure_detections_alone_are_nobody() -> None:
    assert run(Actor(steady(FACE, range(200), confidence=0.5)), times(200)) == {}


def test_a_face_that_fades_is_followed_by_unsure_detections_for_a_while() -> None:
    def fades(i: int) -> list[Seen]:
        return [(FACE, 0.9 if i <= 42 else 0.5)]

    policy = FacePolicy(exit_pad_s=0, entry_pad_s=0, edge_pad_s=0, calm_step=0)
    found = run(Actor(fades), times(150), policy=policy)
    last = max(i for i, faces in found.items() if faces[0].source == FaceSource.DETECTED)
    assert 42 + 0.25 * 30 < last <= 42 + policy.back_s * 30
    assert set(range(last)) <= set(found)


def test_unsure_detections_shortly_before_a_sure_one_count() -> None:
    def comes(i: int) -> list[Seen]:
        return [(FACE, 0.9 if i >= 70 else 0.5)]

    found = run(
        Actor(comes), times(150), policy=FacePolicy(exit_pad_s=0, entry_pad_s=0, edge_pad_s=0, calm_step=0)
    )
    first = min(found)
    assert 70 - 0.25 * 30 <= first < 70
    assert found[first][0].source == FaceSource.DETECTED


def test_a_face_that_one_look_misses_is_still_covered() -> None:
    for missed in range(40, 58):
        detector = Actor(lambda i, missed=missed: [] if i == missed else [(FACE, 0.9)])  # type: ignore[misc]
        found = run(detector, times(100))
        assert set(found) == set(range(100)), f"uncovered when frame {missed} shows nothing"
        assert {face.track_id for faces in found.values() for face in faces} == {0}


@pytest.mark.parametrize(("gap", "filled"), [(6, True), (15, True), (19, True), (26, False)])
def test_gaps_up_to_the_limit_are_filled_from_both_sides(gap: int, filled: bool) -> None:
    def hides(i: int) -> list[Seen]:
        x = 100.0 + i * 0.5
        return [] if 60 <= i < 60 + gap else [((x, 60, x + 40, 110), 0.9)]

    clip = batches(times(150))
    looking = analyzer(Actor(hides), clip)
    found = rows(through(looking, clip))
    sources = {found[i][0].source for i in range(60, 60 + gap) if i in found}
    assert (FaceSource.FILLED in sources) == filled
    assert looking.stats.tracks == (1 if filled else 2)
    if filled:
        assert set(range(60, 60 + gap)) <= set(found)
        for i in range(60, 60 + gap):
            assert abs((found[i][0].xyxy[0] + found[i][0].xyxy[2]) / 2 - (120 + i * 0.5)) < 2
        assert gap / 30 <= looking.stats.longest_gap_s <= 0.7
    else:
        assert sources == {FaceSource.HELD}


def test_a_filled_gap_grows_to_its_middle_only_a_little() -> None:
    found = run(Actor(lambda i: [] if 60 <= i < 75 else [(FACE, 0.9)]), times(150))
    widths = {i: found[i][0].xyxy[2] - found[i][0].xyxy[0] for i in range(58, 77)}
    assert widths[58] == pytest.approx(40)
    assert 40 < widths[67] <= 40 * 1.2
    assert max(widths, key=lambda i: widths[i]) in range(64, 71)


def test_an_end_is_not_joined_to_a_start_far_away() -> None:
    def swaps(i: int) -> list[Seen]:
        return [(FACE, 0.9)] if i < 60 else [((260, 60, 300, 110), 0.9)] if i >= 70 else []

    found = run(Actor(swaps), times(120))
    assert not any(f.source == FaceSource.FILLED for faces in found.values() for f in faces)
    assert found[59][0].track_id != found[75][0].track_id


def test_two_faces_that_pass_each_other_keep_their_numbers() -> None:
    def pass_by(i: int) -> list[Seen]:
        left: Box = (20.0 + i * 2, 40, 50.0 + i * 2, 80)
        right: Box = (260.0 - i * 2, 78, 290.0 - i * 2, 118)
        return [(left, 0.9), (right, 0.8)]

    found = run(Actor(pass_by), times(110))
    numbers = {(face.track_id, round(face.confidence, 2)) for faces in found.values() for face in faces}
    assert len(numbers) == 2


def test_tracks_are_numbered_as_they_appear() -> None:
    def crowd(i: int) -> list[Seen]:
        return [((20.0 + 70 * k, 60, 60.0 + 70 * k, 110), 0.9) for k in range(4) if i >= 20 * (3 - k)]

    found = run(Actor(crowd), times(120))
    order: list[int] = []
    for i in sorted(found):
        order += [face.track_id for face in found[i] if face.track_id not in order]
    assert order == [0, 1, 2, 3]
    assert all([f.track_id for f in faces] == sorted(f.track_id for f in faces) for faces in found.values())


def test_a_long_video_is_not_remembered() -> None:
    clip = batches(times(1500))
    looking = analyzer(Actor(steady(FACE, range(1500))), clip)
    for batch in clip:
        looking.push(batch)
    sightings = [s for m in looking._moments for s in m.sightings or ()]
    chain, at = 0, sightings[-1].previous
    while at is not None:
        chain, at = chain + 1, at.previous
    assert chain < 4 * 4.5, "the chain reaches back more than four seconds"


@pytest.mark.parametrize(
    "change",
    [{"gap_s": 1.5}, {"look_interval_s": 0}, {"low": 0.8}, {"high": 1.2}, {"exit_pad_s": 0.9}, {"gap_s": -1}],
)
def test_a_policy_that_would_reach_too_far_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="face policy"):
        FacePolicy(**change)


def test_the_result_does_not_depend_on_the_order_of_detections() -> None:
    def crowd(i: int) -> list[Seen]:
        return [((20.0 + 70 * k + i * 0.3, 60, 60.0 + 70 * k, 110), 0.9) for k in range(4)]

    forward = run(Actor(crowd), times(60))
    backward = run(Actor(lambda i: crowd(i)[::-1]), times(60))
    assert plain(forward) == plain(backward)
