"""The attention net's custom operators in ONNX, beside the same operators as plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from facefx.errors import ModelError
from facefx.models.convert import attention
from facefx.models.convert.builder import Builder
from facefx.models.convert.lower import lower
from facefx.models.convert.tflite_reader import Net, Operator
from facefx.models.session import Session

Array = NDArray[Any]
Run = Callable[[Callable[[Builder], str], Mapping[str, Array], tuple[int, ...]], Array]

OPTIONS: dict[str, Any] = {
    "left_rotation_idx": 3,
    "right_rotation_idx": 7,
    "output_width": 16,
    "output_height": 12,
    "scale_x": 1.5,
    "scale_y": 1.5,
    "subset_idxs": [0, 3, 4, 7, 9],
    "target_rotation_radians": 0.0,
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a part of a graph, whose inputs have the names of the arrays; shape: of one output."""

    def start(part: Callable[[Builder], str], feeds: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
        b = Builder()
        b.alias(part(b), "out")
        inputs: list[tuple[str, int, list[int | str]]] = [
            (name, TensorProto.FLOAT, ["N", *value.shape[1:]]) for name, value in feeds.items()
        ]
        path = tmp_path / "part.onnx"
        path.write_bytes(b.finish("part", inputs, [("out", TensorProto.FLOAT, ["N", *shape])]))
        feeds = {name: value.astype(np.float32) for name, value in feeds.items()}
        return Session(path, name="part").run(feeds)["out"]

    return start


def turned(radians: float) -> Array:
    return np.array([[math.cos(radians), -math.sin(radians)], [math.sin(radians), math.cos(radians)]])


def region_matrix(landmarks: Array) -> Array:
    """The 4×4 matrix of one face's region, (P, 3) landmarks, step by step."""
    left, right = landmarks[OPTIONS["left_rotation_idx"]], landmarks[OPTIONS["right_rotation_idx"]]
    rotation = -math.atan2(right[1] - left[1], right[0] - left[0])
    level = landmarks[OPTIONS["subset_idxs"], :2] @ turned(rotation).T
    low, high = level.min(axis=0), level.max(axis=0)
    matrix = np.eye(4)
    samples = np.array([OPTIONS["output_width"], OPTIONS["output_height"]])
    matrix[:2, :2] = turned(-rotation) @ np.diag(OPTIONS["scale_x"] * (high - low) / samples)
    matrix[:2, 3] = turned(-rotation) @ ((low + high) / 2) - matrix[:2, :2] @ (samples / 2)
    return matrix


def sampled(features: Array, matrix: Array) -> Array:
    """One picture's (C, H, W) under a 4×4 matrix, sample by sample."""
    channels, height, width = features.shape
    out = np.zeros((channels, OPTIONS["output_height"], OPTIONS["output_width"]))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            x, y = (matrix @ [column + 0.5, row + 0.5, 0, 1])[:2] - 0.5
            if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                continue
            x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
            across = features[:, y0 : y0 + 2, x0] * (x0 + 1 - x) + features[:, y0 : y0 + 2, x0 + 1] * (x - x0)
            out[:, row, column] = across[:, 0] * (y0 + 1 - y) + across[:, 1] * (y - y0)
    return out


def faces(count: int = 4) -> Array:
    """Landmarks (N, 12, 3) of turned faces, one of them upside down."""
    landmarks = np.random.default_rng(3).uniform(4, 40, (count, 12, 3))
    landmarks[0, [3, 7]] = landmarks[0, [7, 3]]
    return landmarks


def transforms(landmarks: Array) -> Array:
    return np.stack([attention.kept_entries(region_matrix(face)[None]) for face in landmarks])


def test_a_region_is_laid_as_mediapipe_lays_it(run: Run) -> None:
    landmarks = faces()
    got = run(lambda b: attention.region_transform(b, "mesh", OPTIONS), {"mesh": landmarks}, (3, 2))
    assert np.allclose(got, transforms(landmarks), atol=2e-4)


def test_landmarks_that_coincide_give_numbers(run: Run) -> None:
    landmarks = np.full((1, 12, 3), 7.0)
    got = run(lambda b: attention.region_transform(b, "mesh", OPTIONS), {"mesh": landmarks}, (3, 2))
    assert np.isfinite(got).all()


@pytest.mark.parametrize("change", [{"target_rotation_radians": 0.1}, {"scale_y": 2.0}], ids=str)
def test_a_region_that_no_net_has_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="not converted"):
        attention.region_transform(Builder(), "mesh", {**OPTIONS, **change})


def test_samples_beyond_the_features_are_zero_not_faded(run: Run) -> None:
    features = np.random.default_rng(5).uniform(1, 2, (4, 3, 40, 48))
    landmarks = faces()
    landmarks[1] += 20  # half of it lies outside
    expected = np.stack(
        [sampled(one, region_matrix(face)) for one, face in zip(features, landmarks, strict=True)]
    )
    assert (expected[1] == 0).any()
    assert (expected[1] != 0).any()
    got = run(
        lambda b: attention.sample(b, "features", (40, 48), "transform", OPTIONS),
        {"features": features, "transform": transforms(landmarks)},
        (3, 12, 16),
    )
    assert np.abs(got - expected).max() < 1e-3


def test_points_come_back_where_the_region_lies(run: Run) -> None:
    landmarks, points = faces(), np.random.default_rng(6).uniform(0, 16, (4, 9, 2))
    ones = np.concatenate([points, np.zeros((4, 9, 1)), np.ones((4, 9, 1))], axis=2)
    expected = np.stack(
        [(region_matrix(face) @ one.T).T[:, :2] for face, one in zip(landmarks, ones, strict=True)]
    )
    feeds = {"points": points, "transform": transforms(landmarks)}
    got = run(lambda b: attention.transform_points(b, "points", "transform"), feeds, (9, 2))
    assert np.allclose(got, expected, atol=1e-4)


def net(kind: str, constants: dict[int, Array], shape: tuple[int, ...] = (1, 4, 5, 3)) -> Net:
    """A net of one operator: tensor 0 goes in, tensor 9 comes out."""
    operator = Operator(kind, (0, *constants), (9,), {"activation": "NONE"})
    shapes = {0: shape, 9: shape, **{i: value.shape for i, value in constants.items()}}
    return Net((operator,), shapes, {i: f"t{i}" for i in shapes}, constants, (0,), (9,))


def test_a_slope_is_applied_below_zero_only(run: Run) -> None:
    slopes = np.array([[[0.25, -0.5, 1.7]]], np.float16)
    values = np.random.default_rng(8).normal(0, 3, (2, 3, 4, 5))
    got = run(lambda b: lower(net("PRELU", {1: slopes}), b, "x")["t9"], {"x": values}, (3, 4, 5))
    assert np.allclose(got, np.where(values > 0, values, values * slopes.reshape(3, 1, 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "constants"),
    [
        ("PRELU", {1: np.zeros((4, 5, 3), np.float16)}),
        ("MUL", {1: np.ones(3, np.float16)}),
        ("TransformTensorBilinear.v2", {1: np.zeros((1, 4, 4), np.float16)}),
        ("TransformTensorBilinear.v1", {1: np.zeros((1, 4, 4), np.float16)}),
        ("STRIDED_SLICE", {1: np.array([0, 1, 0, 0]), 2: np.array([1, 4, 5, 3]), 3: np.ones(4, int)}),
    ],
    ids=["slopes in space", "factor per channel", "no transform", "other version", "partial slice"],
)
def test_what_would_be_converted_wrongly_is_refused(kind: str, constants: dict[int, Array]) -> None:
    with pytest.raises(ModelError, match=r"not converted|is none"):
        lower(net(kind, constants), Builder(), "x")


def test_a_transform_is_not_taken_for_numbers() -> None:
    operators = (
        Operator("Landmarks2TransformMatrix.v2", (0,), (1,), OPTIONS),
        Operator("RELU", (1,), (2,)),
    )
    shapes: dict[int, tuple[int, ...]] = {0: (1, 12, 3), 1: (1, 4, 4), 2: (1, 4, 4)}
    whole = Net(operators, shapes, {0: "a", 1: "matrix", 2: "c"}, {}, (0,), (2,))
    with pytest.raises(ModelError, match="'matrix' is a transform"):
        lower(whole, Builder(), "x")
