"""YuNet: no face of the stills is missed, whatever format carries it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detector_makers import alike, batch_of, read, stills

from facefx.errors import ModelError
from facefx.faces.detector import choose_detector, make_detector
from facefx.faces.yunet import YuNet, look_sizes
from facefx.values import Detections, FrameBatch
from facefx.video.source import VideoSource

SURE = 0.6


@pytest.fixture
def yunet(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[YuNet]:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    detector = make_detector(choose_detector("yunet"))
    assert isinstance(detector, YuNet)
    yield detector
    detector.close()


@pytest.fixture(scope="session")
def couple(media: Path) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(cv2.resize(read(media / "stills" / "couple_2.jpg"), (400, 600)))


def sure(found: Detections) -> Detections:
    return found.take(found.confidence >= SURE)


def first_batch(path: Path) -> FrameBatch:
    with VideoSource(path) as source:
        return next(iter(source.batches()))


def test_every_face_of_the_stills_is_found_and_two_more_at_most(yunet: YuNet, media: Path) -> None:
    extra = 0
    for path, count in stills(media):
        found = len(sure(yunet.detect(batch_of(read(path)), [0])))
        assert found >= count, f"{path.name}: {found} of {count}"
        extra += found - count
    assert extra <= 2


def test_faces_of_fifteen_pixels_are_found(yunet: YuNet, media: Path) -> None:
    batch = first_batch(media / "clips" / "classroom_four_far_480x270.mp4")
    found = sure(yunet.detect(batch, [0, 8]))
    assert np.bincount(found.frame).tolist()[0] == 4
    assert (found.xyxy[:, 3] - found.xyxy[:, 1]).min() < 22


@pytest.mark.parametrize("clip", ["noface_bottles_640x360", "noface_cars_768x432"])
def test_no_face_is_seen_where_none_is(yunet: YuNet, media: Path, clip: str) -> None:
    batch = first_batch(media / "clips" / f"{clip}.mp4")
    assert len(sure(yunet.detect(batch, [0, len(batch) - 1]))) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"pixels": "yuv420p10le"},
        {"pixels": "yuv422p10le"},
        {"pixels": "yuv444p"},
        {"pixels": "nv12"},
        {"pixels": "yuvj420p", "full_range": True},
        {"matrix": "bt601"},
        {"matrix": "bt2020", "pixels": "yuv420p10le"},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_a_format_changes_no_box(yunet: YuNet, couple: Any, options: dict[str, Any]) -> None:
    plain = sure(yunet.detect(batch_of(couple), [0]))
    assert len(plain) == 2
    other = sure(yunet.detect(batch_of(couple, **options), [0]))
    assert alike(plain.xyxy, other.xyxy, 0.95)


@pytest.mark.parametrize("rotation", [90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_phone_video_gives_the_same_faces(
    yunet: YuNet, couple: Any, rotation: int, mirrored: bool
) -> None:
    plain = sure(yunet.detect(batch_of(couple), [0]))
    stored = np.rot90(couple, -rotation // 90)
    if mirrored:
        stored = stored[::-1]
    batch = batch_of(np.ascontiguousarray(stored), rotation=rotation, mirrored=mirrored)
    found = sure(yunet.detect(batch, [0]))
    whole = np.zeros(couple.shape[:2], np.uint8)
    boxes = []
    for x0, y0, x1, y1 in plain.xyxy.astype(int):  # the same turn, done to a mask of each box
        mask = whole.copy()
        mask[y0:y1, x0:x1] = 1
        mask = np.rot90(mask, -rotation // 90)
        mask = mask[::-1] if mirrored else mask
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    assert alike(found.xyxy, boxes, 0.9)
    assert found.keypoints.shape == (2, 5, 2)
    centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
    size = (found.xyxy[:, 2:] - found.xyxy[:, :2]).max()
    assert np.abs(found.keypoints.mean(axis=1) - centres).max() < size / 3


def test_an_upside_down_picture_is_not_taken_for_upright(yunet: YuNet, couple: Any) -> None:
    turned = np.ascontiguousarray(couple[::-1])
    right = sure(yunet.detect(batch_of(turned, rotation=180, mirrored=True), [0]))
    wrong = sure(yunet.detect(batch_of(turned), [0]))
    assert len(right) > len(wrong) or right.confidence.min() > wrong.confidence.min()


def test_a_squeezed_picture_gives_boxes_of_the_stored_one(yunet: YuNet, couple: Any) -> None:
    plain = sure(yunet.detect(batch_of(couple), [0]))
    squeezed = np.ascontiguousarray(cv2.resize(couple, (200, 600), interpolation=cv2.INTER_AREA))
    found = sure(yunet.detect(batch_of(squeezed, sample_aspect=Fraction(2)), [0]))
    assert alike(found.xyxy * np.array([2, 1, 2, 1]), plain.xyxy, 0.8)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_face_half_out_of_the_picture_is_still_seen(yunet: YuNet, media: Path, side: str) -> None:
    portrait = read(media / "stills" / "astronaut_1.png")[:300, 100:400]
    x0, _, x1, _ = sure(yunet.detect(batch_of(portrait), [0])).xyxy[0]
    middle = round(float(x0 + x1) / 2)
    cut = portrait[:, middle:] if side == "left" else portrait[:, :middle]
    found = yunet.detect(batch_of(np.ascontiguousarray(cut)), [0])
    assert len(found) >= 1


@pytest.mark.parametrize("name", ["tiny_64x36.mp4", "odd_641x359_vp9.webm", "gray_640x360.mp4"])
def test_an_odd_format_is_looked_at_without_a_crash(yunet: YuNet, media: Path, name: str) -> None:
    batch = first_batch(media / "formats" / name)
    found = yunet.detect(batch, [0])
    assert (found.xyxy[:, 2] > 0).all()
    assert (found.xyxy[:, 0] < batch.format.width).all()


def test_a_face_in_a_tiny_picture_is_found(yunet: YuNet, media: Path) -> None:
    portrait = read(media / "stills" / "astronaut_1.png")[:288, :]
    tiny = np.ascontiguousarray(cv2.resize(portrait, (64, 36), interpolation=cv2.INTER_AREA))
    assert len(yunet.detect(batch_of(tiny), [0])) == 1


def test_an_empty_picture_and_an_empty_question_give_no_rows(yunet: YuNet) -> None:
    batch = batch_of(np.zeros((90, 160, 3), np.uint8))
    assert len(yunet.detect(batch, [0])) == 0
    nothing = yunet.detect(batch, [])
    assert len(nothing) == 0
    assert nothing.keypoints.shape == (0, 5, 2)


def test_a_result_does_not_depend_on_the_batch_it_came_in(yunet: YuNet, couple: Any) -> None:
    other = np.ascontiguousarray(couple[:, ::-1])
    together = yunet.detect(batch_of(other, couple, other), [2, 1])
    alone = yunet.detect(batch_of(couple), [0])
    rows = together.take(together.frame == 1)
    assert np.array_equal(rows.xyxy, alone.xyxy)
    assert np.array_equal(rows.confidence, alone.confidence)
    assert set(together.frame.tolist()) == {1, 2}


def test_everything_above_the_low_threshold_is_reported(yunet: YuNet, media: Path) -> None:
    found = yunet.detect(batch_of(read(media / "stills" / "solvay1927_gray_29.jpg")), [0])
    assert found.confidence.min() >= 0.3
    assert (found.confidence < SURE).any()


def test_a_closed_detector_says_so(yunet: YuNet) -> None:
    yunet.close()
    yunet.close()
    with pytest.raises(ModelError, match="closed"):
        yunet.detect(batch_of(np.zeros((90, 160, 3), np.uint8)), [0])


@pytest.mark.parametrize(
    ("size", "scales", "expected"),
    [
        ((1280, 720), (), ((512, 288), (128, 64))),
        ((1920, 1080), (), ((768, 448), (192, 96))),
        ((3840, 2160), (), ((1280, 704), (320, 192))),
        ((480, 270), (), ((480, 256), (128, 64))),
        ((720, 1280), (), ((288, 512), (64, 128))),
        ((64, 36), (), ((64, 32), (32, 32))),
        ((16, 16), (), ((32, 32),)),
        ((1920, 1080), (1280, 640, 320), ((1280, 704), (640, 352), (320, 192))),
        ((640, 360), (1280, 640), ((640, 352), (320, 192))),
    ],
)
def test_no_picture_is_enlarged_or_looked_at_twice(
    size: tuple[int, int], scales: tuple[int, ...], expected: tuple[tuple[int, int], ...]
) -> None:
    assert look_sizes(*size, scales) == expected
