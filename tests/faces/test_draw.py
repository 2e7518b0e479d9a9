"""The drawn mesh lies on its face, and left and right can be told apart."""

from __future__ import annotations

import numpy as np

from facefx.faces.draw import draw
from facefx.faces.topology import topology
from facefx.values import Face, FaceSource


def test_what_is_drawn_is_where_the_landmarks_are() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    landmarks = np.full((478, 3), 50.0, np.float32)
    square = np.array([[-5, -5], [5, -5], [5, 5], [-5, 5]])
    for name, x in (("left_iris", 70), ("right_iris", 30)):
        landmarks[list(topology("mediapipe-478").regions[name]), :2] = square + np.array([x, 50])
    faces = [
        Face(0, 1, (10, 20, 90, 80), 0.9, FaceSource.DETECTED, landmarks, "mediapipe-478"),
        Face(0, 2, (2, 2, 8, 8), 0.9, FaceSource.HELD),
    ]
    out = draw(picture, faces, mesh=False)
    assert not picture.any()
    assert out[50, 75, 2] > out[50, 75, 0]  # blue: the subject's left
    assert out[50, 25, 0] > out[50, 25, 2]  # red: the right
    assert out[20, 10].any()  # boxes
    assert out[2, 2].any()
    assert not out[90, 50].any()
    assert np.count_nonzero(draw(picture, faces)) >= np.count_nonzero(out)
