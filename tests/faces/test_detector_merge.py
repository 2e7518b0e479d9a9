"""Several sightings of one face become one, and of two faces stay two."""

from __future__ import annotations

import numpy as np

from facefx.faces.merge import Sightings, gather, merge
from facefx.geometry import as_boxes


def seen(*rows: tuple[list[float], float]) -> Sightings:
    boxes = as_boxes([box for box, _ in rows])
    return Sightings(boxes, np.array([c for _, c in rows], np.float32), boxes.reshape(-1, 2, 2).copy())


def test_two_scales_of_one_face_are_one() -> None:
    got = merge(seen(([10, 10, 50, 50], 0.7), ([12, 12, 52, 52], 0.9)))
    assert len(got) == 1
    assert got.confidence.tolist() == [np.float32(0.9)]
    assert 11 < got.xyxy[0, 0] < 12
    assert np.allclose(got.keypoints[0, 0], got.xyxy[0, :2])


def test_neighbours_stay_two() -> None:
    assert len(merge(seen(([0, 0, 40, 40], 0.9), ([38, 0, 78, 40], 0.8)))) == 2


def test_a_small_face_in_a_larger_box_is_not_lost() -> None:
    got = merge(seen(([0, 0, 100, 100], 0.9), ([10, 10, 40, 40], 0.5)))
    assert got.xyxy[1].tolist() == [10, 10, 40, 40]


def test_a_chain_does_not_swallow_its_far_end() -> None:
    boxes = merge(seen(([0, 0, 40, 40], 0.9), ([15, 0, 55, 40], 0.8), ([30, 0, 70, 40], 0.7)))
    assert len(boxes) == 2


def test_ties_do_not_depend_on_the_sort() -> None:
    rows = [([0.0, 0.0, 40.0, 40.0], 0.5), ([100.0, 0.0, 140.0, 40.0], 0.5)]
    assert merge(seen(*rows)).xyxy[:, 0].tolist() == [0, 100]


def test_nothing_stays_nothing() -> None:
    assert len(merge(Sightings.none(5))) == 0
    empty = gather([], [], 5)
    assert len(empty) == 0
    assert empty.keypoints.shape == (0, 5, 2)


def test_rows_keep_the_frame_they_were_asked_for() -> None:
    one, none = seen(([0, 0, 9, 9], 0.5)), Sightings.none(2)
    assert gather([4, 7, 9], [one, none, one], 2).frame.tolist() == [4, 9]
