"""Values say at once when their parts do not fit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facefx.errors import ShapeError, UnsupportedError
from facefx.values import Color, Detections, Face, Faces, FaceSource, FieldOrder, FrameBatch, Patch
from facefx.values.frames import PixelFormat, Planes, StreamFormat

FORMATS = ["yuv420p", "yuvj420p", "nv12", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le", "gray", "gray10le"]


def stream(
    name: str, width: int = 37, height: int = 23, field: FieldOrder = FieldOrder.PROGRESSIVE
) -> StreamFormat:
    return StreamFormat(PixelFormat.of(name), width, height, Fraction(1, 25), field_order=field)


def noise(format: StreamFormat, seed: int = 0) -> Planes:
    rng = np.random.default_rng(seed)
    shapes = format.pixels.plane_shapes(format.width, format.height)
    return tuple(rng.integers(16, 235, shape).astype(format.pixels.dtype) for shape in shapes)


@pytest.mark.parametrize("name", FORMATS)
@given(
    box=st.tuples(st.floats(-20, 50), st.floats(-20, 50), st.floats(-20, 60), st.floats(-20, 60)),
)
def test_cut_and_paste_of_any_box_changes_no_sample(
    name: str, box: tuple[float, float, float, float]
) -> None:
    format = stream(name)
    planes = noise(format)
    copies = tuple(plane.copy() for plane in planes)
    patch = Patch.cut(format, 0, planes, box)
    if patch is not None:
        patch.paste(copies)
    assert all(np.array_equal(a, b) for a, b in zip(planes, copies, strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_a_patch_owns_its_pixels(name: str) -> None:
    format = stream(name)
    planes = noise(format)
    before = tuple(plane.copy() for plane in planes)
    patch = Patch.cut(format, 0, planes, (3, 3, 20, 20))
    assert patch is not None
    for plane in patch.planes:
        plane[:] = 0
    assert all(np.array_equal(a, b) for a, b in zip(planes, before, strict=True))
    assert patch.changed(planes)


@pytest.mark.parametrize("name", FORMATS)
def test_the_second_of_two_overlapping_patches_does_not_bring_the_first_face_back(name: str) -> None:
    format = stream(name)
    planes = noise(format)
    first = Patch.cut(format, 0, planes, (4, 4, 21, 19))
    second = Patch.cut(format, 0, planes, (11, 9, 37, 23))
    assert first is not None
    assert second is not None
    for plane in first.planes:
        plane[:] = 1
    second.overlay(first)
    target = tuple(plane.copy() for plane in planes)
    first.paste(target)
    second.paste(target)
    again = Patch.cut(format, 0, target, (4, 4, 21, 19))
    assert again is not None
    assert all((plane == 1).all() for plane in again.planes)


def test_interlaced_patches_keep_whole_pairs_of_chroma_lines() -> None:
    patch = Patch.cut(
        stream("yuv420p", 64, 64, FieldOrder.TOP_FIRST),
        0,
        noise(stream("yuv420p", 64, 64)),
        (5, 6, 20, 21),
    )
    assert patch is not None
    assert (patch.x, patch.y, patch.width, patch.height) == (4, 4, 16, 20)


def test_a_box_outside_the_picture_has_no_patch() -> None:
    assert Patch.cut(stream("yuv420p"), 0, noise(stream("yuv420p")), (100, 0, 120, 20)) is None


def test_an_off_grid_patch_is_refused_with_both_numbers() -> None:
    with pytest.raises(ShapeError, match=r"multiple of \(2, 2\), got \(1, 0\)"):
        Patch(stream("yuv420p"), 0, 1, 0, noise(stream("yuv420p", 4, 4)))


def test_planes_of_another_format_are_refused() -> None:
    with pytest.raises(ShapeError, match="yuv420p planes must be"):
        FrameBatch(
            stream("yuv420p"), (noise(stream("yuv444p")),), np.zeros(1, np.int64), np.zeros(1, np.int64)
        )


def test_a_batch_of_seventeen_frames_is_refused() -> None:
    n = 17
    with pytest.raises(ShapeError, match="at most 16"):
        FrameBatch(stream("gray"), (noise(stream("gray")),) * n, np.zeros(n, np.int64), np.zeros(n, np.int64))


@pytest.mark.parametrize("name", ["yuv420p12le", "rgb24", "yuva420p", "pal8"])
def test_a_format_we_cannot_edit_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        PixelFormat.of(name)


def test_no_face_is_a_normal_value() -> None:
    assert len(Detections.empty()) == 0
    assert len(Faces.from_rows([])) == 0


def test_faces_come_out_by_frame_and_track_whatever_the_order_they_went_in() -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    rows = [
        (frame, Face(frame * 10, track, box, 0.5, FaceSource.DETECTED))
        for frame, track in [(1, 2), (0, 9), (1, 1)]
    ]
    faces = Faces.from_rows(rows)
    assert faces.frame.tolist() == [0, 1, 1]
    assert faces.track_id.tolist() == [9, 1, 2]
    assert faces.of_frame(1)[0] == rows[2][1]


def three_faces(landmarks: NDArray[np.float32], topology: str) -> Faces:
    rows = [(0, Face(7, track, (0, 0, 1, 1), 0.5, FaceSource.DETECTED)) for track in range(3)]
    return Faces.from_rows(rows).with_landmarks(landmarks, topology)


def test_a_face_without_a_mesh_has_no_landmarks_beside_one_that_has() -> None:
    landmarks = np.full((3, 5, 3), 2.5, np.float32)
    landmarks[1] = np.nan
    faces = three_faces(landmarks, "five")
    assert faces.has_landmarks.tolist() == [True, False, True]
    assert [face.topology for face in faces.of_frame(0)] == ["five", "", "five"]
    assert faces.row(1).landmarks is None
    got = faces.row(2).landmarks
    assert got is not None
    assert np.array_equal(got, landmarks[2])
    assert len(faces) == 3


def test_faces_that_were_never_meshed_have_no_landmarks() -> None:
    faces = Faces.from_rows([(0, Face(7, 1, (0, 0, 1, 1), 0.5, FaceSource.DETECTED))])
    assert faces.has_landmarks.tolist() == [False]
    assert faces.row(0).landmarks is None
    assert faces.row(0).topology == ""
    assert not len(Faces.from_rows([]).with_landmarks(np.zeros((0, 5, 3), np.float32), "five").has_landmarks)


@pytest.mark.parametrize(("points", "topology"), [(5, ""), (0, "five")])
def test_landmarks_whose_meaning_nobody_told_are_refused(points: int, topology: str) -> None:
    with pytest.raises(ShapeError, match="landmarks and topology come together"):
        three_faces(np.zeros((3, points, 3), np.float32), topology)


def test_landmarks_for_another_number_of_faces_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"landmarks must be \(3, 'any', 3\)"):
        three_faces(np.zeros((2, 5, 3), np.float32), "five")


def test_detections_of_unequal_length_are_refused() -> None:
    with pytest.raises(ShapeError, match="confidence must be"):
        Detections(
            np.zeros(2, np.int64),
            np.zeros((2, 4), np.float32),
            np.zeros(1, np.float32),
            np.zeros((2, 0, 2), np.float32),
        )


@pytest.mark.parametrize(
    ("color", "rgb", "expected"),
    [
        (Color("bt709"), (1, 0, 0), (63, 102, 240)),
        (Color("bt601"), (1, 0, 0), (81, 90, 240)),
        (Color("bt2020", depth=10), (0, 0, 0), (64, 512, 512)),
        (Color("bt709", full_range=True), (1, 1, 1), (255, 128, 128)),
    ],
    ids=["709 red", "601 red", "2020 10-bit black", "full-range white"],
)
def test_colours_follow_matrix_range_and_depth(
    color: Color, rgb: tuple[float, float, float], expected: tuple[int, int, int]
) -> None:
    assert color.from_rgb(*rgb) == expected


def test_rows_by_frame_are_those_that_each_frame_is_asked_for() -> None:
    faces = Faces.from_rows(
        (frame, Face(40 * frame, track, (1.1, 2.2, 30.3, 40.4 + track), 0.7, FaceSource(track)))
        for frame, track in ((0, 2), (0, 1), (3, 0), (3, 3))
    )
    meshes = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    meshes[2] = np.nan
    for table in (faces, faces.with_landmarks(meshes, "five")):
        rows = table.by_frame(5)
        assert [len(found) for found in rows] == [2, 0, 0, 2, 0]
        assert repr(rows) == repr([table.of_frame(i) for i in range(5)])
    assert Faces.from_rows([]).by_frame(2) == [[], []]
