"""A close look finds again what a whole look found, wherever and however the picture lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facefx.faces.detector import choose_detector, make_detector
from facefx.faces.glance import _CELL, MOST_PLACES, Mosaic, places
from facefx.faces.picture import Upright
from facefx.geometry import Boxes, iou
from facefx.values import FrameBatch
from facefx.video.source import VideoSource


def first(path: Path) -> FrameBatch:
    with VideoSource(path) as source:
        return next(source.batches())


CLIPS = [
    "clips/crowd_street_1920x1080.mp4",
    "clips/classroom_four_far_480x270.mp4",
    "formats/rotated90_480x640.mp4",
    "formats/rotated180_640x480.mp4",
    "formats/interlaced_tff_sar_720x576.mp4",
    "formats/hevc_10bit_640x360.mp4",
    "formats/prores_422_10bit_480x270.mov",
    "formats/gray_640x360.mp4",
]


@pytest.mark.parametrize("name", CLIPS)
def test_a_glance_finds_every_sure_face_of_a_look(media: Path, models_dir: Path, name: str) -> None:
    batch = first(media / name)
    detector = make_detector(choose_detector("yunet"))
    seen = detector.detect(batch, [0])
    sure = seen.take(seen.confidence >= 0.7)
    assert len(sure)
    again = detector.glance(batch, 0, sure.xyxy, whole=False)
    overlap = iou(sure.xyxy, again.xyxy).max(axis=1)
    assert overlap.min() > 0.6, overlap


def test_a_face_that_moved_by_a_third_of_its_size_is_still_found(media: Path, models_dir: Path) -> None:
    batch = first(media / "clips/pair_headpose_480x270.mp4")
    detector = make_detector(choose_detector("yunet"))
    seen = detector.detect(batch, [0])
    size = seen.xyxy[:, 2:] - seen.xyxy[:, :2]
    shifted = (seen.xyxy + np.tile(size, 2) * np.float32(0.33)).astype(np.float32)
    again = detector.glance(batch, 0, shifted, whole=False)
    assert iou(seen.xyxy, again.xyxy).max(axis=1).min() > 0.6


def test_a_face_that_nobody_expected_is_found_by_a_whole_glance_only(media: Path, models_dir: Path) -> None:
    batch = first(media / "clips/pair_headpose_480x270.mp4")
    detector = make_detector(choose_detector("yunet"))
    seen = detector.detect(batch, [0])
    one = seen.xyxy[:1]
    assert len(detector.glance(batch, 0, one, whole=False)) < 2
    assert iou(seen.xyxy, detector.glance(batch, 0, one, whole=True).xyxy).max(axis=1).min() > 0.5


def test_expecting_nothing_and_not_looking_at_the_whole_sees_nothing(media: Path, models_dir: Path) -> None:
    batch = first(media / "clips/pair_headpose_480x270.mp4")
    detector = make_detector(choose_detector("yunet"))
    assert len(detector.glance(batch, 0, np.zeros((0, 4), np.float32), whole=False)) == 0


def test_more_places_than_a_look_is_worth_are_looked_at_as_a_whole(media: Path, models_dir: Path) -> None:
    batch = first(media / "clips/pair_headpose_480x270.mp4")
    detector = make_detector(choose_detector("yunet"))
    corners = np.arange(MOST_PLACES + 1, dtype=np.float32) * 20
    many = np.stack((corners, corners, corners + 10, corners + 10), axis=1)
    assert np.array_equal(detector.glance(batch, 0, many, whole=False).xyxy, detector.detect(batch, [0]).xyxy)


@pytest.mark.parametrize(
    "box",
    [(-50, -50, -10, -10), (470, 260, 600, 400), (100, 100, 100, 100), (-900, -900, 2000, 2000)],
    ids=["outside", "over the corner", "empty", "larger than the picture"],
)
def test_an_odd_place_is_looked_at_without_an_error(
    media: Path, models_dir: Path, box: tuple[float, float, float, float]
) -> None:
    batch = first(media / "clips/pair_headpose_480x270.mp4")
    detector = make_detector(choose_detector("yunet"))
    detector.glance(batch, 0, np.array([box], np.float32), whole=False)


@pytest.mark.parametrize("name", ["clips/crowd_street_1920x1080.mp4", "formats/rotated90_480x640.mp4"])
def test_what_came_and_went_is_seen_as_surely_as_by_a_whole_look(
    media: Path, models_dir: Path, name: str
) -> None:
    batch = first(media / name)
    detector = make_detector(choose_detector("yunet"))
    seen = detector.detect(batch, [0])
    sure = seen.take(seen.confidence >= 0.7)
    assert len(sure)
    for box in sure.xyxy:
        again = detector.inspect(batch, 0, box[None])
        best = iou(box[None], again.xyxy)[0].argmax()
        assert iou(box[None], again.xyxy)[0, best] > 0.5
        assert again.confidence[best] >= 0.6


def test_a_face_in_a_larger_region_is_not_shrunk_out_of_sight(media: Path, models_dir: Path) -> None:
    batch = first(media / "clips/crowd_street_1920x1080.mp4")
    detector = make_detector(choose_detector("yunet"))
    seen = detector.detect(batch, [0])
    small = seen.take(seen.confidence >= 0.8)
    small = small.take(np.argsort(small.xyxy[:, 2] - small.xyxy[:, 0])[:1])
    middle = (small.xyxy[0, :2] + small.xyxy[0, 2:]) / 2
    around = np.concatenate([middle - 100, middle + 100])[None].astype(np.float32)
    assert iou(small.xyxy, detector.inspect(batch, 0, around).xyxy).max() > 0.5


def test_regions_that_fill_the_picture_are_looked_at_as_a_whole(media: Path, models_dir: Path) -> None:
    batch = first(media / "clips/pair_headpose_480x270.mp4")
    detector = make_detector(choose_detector("yunet"))
    all_of_it = np.array([[0, 0, 480, 270]], np.float32)
    assert np.array_equal(detector.inspect(batch, 0, all_of_it).xyxy, detector.detect(batch, [0]).xyxy)


def test_two_boxes_of_one_face_cost_one_place() -> None:
    boxes: Boxes = np.array([[0, 0, 50, 50], [5, 5, 60, 60], [200, 0, 230, 40]], np.float32)
    assert places(boxes).tolist() == [[5, 5, 60, 60], [200, 0, 230, 40]]


def test_boxes_of_the_mosaic_come_back_to_where_they_were_cut(media: Path) -> None:
    """Each tile's own corners map to the rectangle that was cut, also in a turned picture."""
    batch = first(media / "formats/rotated90_480x640.mp4")
    upright = Upright(batch.format)
    expected = np.array([[100, 120, 160, 200], [300, 40, 360, 90]], np.float32)
    mosaic = Mosaic(batch.view(0), upright, expected)
    for k, tile in enumerate(mosaic._tiles):
        corners = np.array([[[0, 0], [tile.width, tile.height]]], np.float32) + np.array((_CELL * k, 0))
        back = mosaic._back(corners.astype(np.float32), np.array([k], np.intp))[0]
        x, y, width, height = tile.rectangle
        assert np.allclose(sorted(back[:, 0]), [x, x + width], atol=1e-3)
        assert np.allclose(sorted(back[:, 1]), [y, y + height], atol=1e-3)
