"""Squares around faces: the maps to and from them lose nothing, whatever the stored picture looks like."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
import pytest
from detector_makers import batch_of
from mesh_films import Puppet, paint

from facefx.faces.crop import Cropper, warp
from facefx.faces.picture import Upright
from facefx.faces.roi import LEFT_EYE_OUTER, RIGHT_EYE_OUTER, Placement, Roi
from facefx.values import PixelFormat, StreamFormat


def test_a_square_holds_half_as_much_again_as_the_face() -> None:
    points = np.zeros((468, 3))
    points[:, 0], points[:, 1] = np.linspace(10, 50, 468), np.linspace(100, 180, 468)
    points[RIGHT_EYE_OUTER, :2], points[LEFT_EYE_OUTER, :2] = (20, 120), (40, 140)
    assert Roi.of_landmarks(points) == Roi(30, 140, 120, math.radians(45))


@pytest.mark.parametrize("roll", [0, 30, -100, 180])
def test_a_point_of_the_crop_is_where_its_sample_was_taken(roll: float) -> None:
    roi = Roi(40.5, 61.0, 90.0, math.radians(roll))
    crop = np.array([[0, 0, 0], [192, 0, 10], [96, 96, -3], [192, 192, 0]], np.float32)
    points = roi.to_picture(crop, 192)
    homogeneous = np.column_stack([crop[:, :2], np.ones(4)])
    assert np.allclose(points[:, :2], (homogeneous @ roi.matrix(192).T)[:, :2])
    assert np.allclose(points[2, :2], (40.5, 61.0))
    assert np.allclose(points[:, 2], crop[:, 2] * 90 / 192)
    turned = points[1, :2] - points[0, :2]
    assert np.allclose(turned, 90 * np.array([math.cos(roi.roll), math.sin(roi.roll)]))


def test_squares_that_are_nearly_the_same_become_the_same() -> None:
    rng = np.random.default_rng(2)
    same = 0
    for x, y, side, roll in rng.uniform((-50, -50, 5, -3), (4000, 3000, 2000, 3), (200, 4)):
        roi = Roi(x, y, side, roll)
        snapped = roi.snapped()
        assert snapped.is_near(roi, 0.003)  # half a sample of 192
        assert abs(snapped.roll - roll) <= 0.002
        assert snapped.snapped() == snapped
        same += Roi(x + side * 1e-4, y, side * 1.0001, roll + 1e-4).snapped() == snapped
    assert same > 150


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("aspect", [0, 1, Fraction(16, 11)])
def test_points_lie_where_the_upright_picture_has_them(
    rotation: int, mirrored: bool, aspect: Fraction
) -> None:
    """The same answers as for boxes and keypoints of detectors."""
    format = StreamFormat(
        PixelFormat.of("gray"),
        64,
        40,
        Fraction(1, 25),
        rotation=rotation,
        mirrored=mirrored,
        sample_aspect=Fraction(aspect),
    )
    upright, placement = Upright(format), Placement(format)
    points = np.array([[3.0, 5.0, 4.0], [30.0, 17.5, -2.0]])
    stored = placement.points_to_stored(points)
    flat = points[None, :, :2].astype(np.float32)
    assert np.allclose(
        stored[:, :2], upright.points_to_stored(flat, upright.width, upright.height)[0], atol=1e-3
    )
    assert np.allclose(stored[:, 2], points[:, 2] / (float(aspect) or 1))
    box = (*stored[:, :2].min(axis=0).tolist(), *stored[:, :2].max(axis=0).tolist())
    assert np.allclose(placement.box_to_upright(box), (3.0, 5.0, 30.0, 17.5))


@pytest.mark.parametrize("pixels", ["yuv420p", "nv12", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_every_format_gives_the_colours_of_the_picture(pixels: str, full_range: bool) -> None:
    picture = cv2.GaussianBlur(paint([Puppet(160, 120, 90)]), (0, 0), 4)
    roi = Roi(160, 120, 240, 0.4)
    batch = batch_of(picture, pixels=pixels, full_range=full_range)
    crop = Cropper(batch.format, 192).crop(batch.view(0), roi)
    expected = warp(np.ascontiguousarray(picture[..., ::-1]), roi.matrix(192), 192)
    assert crop.dtype == np.uint8
    assert np.abs(crop.astype(int) - expected).mean() < 1.5
    assert np.abs(crop.astype(int) - expected).max() < 16


@pytest.mark.parametrize("pixels", ["gray", "gray10le"])
def test_a_gray_picture_gives_three_equal_channels(pixels: str) -> None:
    picture = np.repeat(paint([Puppet(160, 120)])[..., :1], 3, axis=2)
    batch, roi = batch_of(picture, pixels=pixels), Roi(160, 120, 100)
    crop = Cropper(batch.format, 192).crop(batch.view(0), roi)
    assert np.array_equal(crop[..., 0], crop[..., 2])
    assert np.abs(crop[..., 0].astype(int) - warp(picture[..., 0], roi.matrix(192), 192)).max() <= 2


@pytest.mark.parametrize(("luma", "chroma", "level"), [(1023, 1023, 255), (0, 0, 0)], ids=["above", "below"])
def test_no_colour_wraps_around_in_ten_bits(luma: int, chroma: int, level: int) -> None:
    batch = batch_of(np.full((64, 64, 3), 128, np.uint8), pixels="yuv420p10le")
    planes = tuple(
        np.full_like(p, code) for p, code in zip(batch.view(0), (luma, chroma, chroma), strict=True)
    )
    assert Cropper(batch.format, 192).crop(planes, Roi(32, 32, 50))[0, 0].tolist()[::2] == [level, level]


@pytest.mark.parametrize(
    ("roi", "level"),
    [
        (Roi(0, 0, 40), 10),
        (Roi(-500, 20, 40), 10),
        (Roi(900, 900, 60, 1.0), 200),
        (Roi(10, 1e6, 30), 10),
    ],
    ids=["corner", "left", "below right", "far"],
)
def test_beyond_the_picture_its_edge_goes_on(roi: Roi, level: int) -> None:
    plane = np.full((48, 64), 10, np.uint8)
    plane[:, 40:] = 200
    crop = warp(plane, roi.matrix(192), 192)
    assert crop.shape == (192, 192)
    assert (crop == level).all()


@pytest.mark.parametrize("side", [90, 700, 1500])
def test_a_part_gives_what_the_whole_plane_gives(side: float) -> None:
    """Only the part under a square is read, copied or not."""
    plane = np.asarray(cv2.resize(paint([Puppet(160, 120)])[..., 1], (2000, 1500)))
    roi = Roi(1100.3, 700.8, side, 0.3)
    whole = cv2.warpAffine(
        plane,
        roi.matrix(192)[:2],
        (192, 192),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    assert np.abs(warp(plane, roi.matrix(192), 192).astype(int) - whole).max() <= 1


def test_a_plane_wider_than_opencv_can_count_is_read_where_the_face_is() -> None:
    plane = np.zeros((16, 70000), np.uint8)
    plane[:, 60000:] = 99
    assert (warp(plane, Roi(65000, 8, 100).matrix(192), 192) == 99).all()
