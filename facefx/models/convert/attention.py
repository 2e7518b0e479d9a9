"""MediaPipe's custom operators of the attention mesh, in plain ONNX.

They look again, closer, at the lips and the eyes: a transform is laid through the landmarks of a region,
features are sampled under it, and what is found there is carried back. A transform maps the points of
the region's own square to the face. It is kept as (N, 3, 2): points as rows times it, a 1 appended, are
points of the face. The other entries of TFLite's 4×4 matrix never change.

Source: mediapipe/util/tflite/operations/{landmarks_to_transform_matrix,transform_tensor_bilinear,
transform_landmarks}.cc, version 2 of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ModelError
from facefx.models.convert.builder import Builder

__all__ = ["kept_entries", "region_transform", "sample", "transform_points"]

# Landmarks that coincide give no direction; the turn is then zero rather than not a number.
_SHORTEST = 1e-9
# A grid coordinate from which GridSample sees nothing of the picture.
_FAR_OUTSIDE = 4.0
# Coordinates of two points (x0, y0, z0, x1, y1, z1) times this are (dx, -dy, dy, dx, 0, 0), d from the first
# to the second: |d| times the matrix (3, 2) that turns points so that d is level, and drops z.
_LEVEL = np.array(
    [[-1, 0, 0, -1, 0, 0], [0, 1, -1, 0, 0, 0], [0] * 6, [1, 0, 0, 1, 0, 0], [0, -1, 1, 0, 0, 0], [0] * 6]
)


def kept_entries(matrix: NDArray[Any]) -> NDArray[Any]:
    """The (3, 2) entries of a (1, 4, 4) matrix that a transform is kept as."""
    return np.ascontiguousarray(matrix[0, :2][:, [0, 1, 3]].T)


def region_transform(b: Builder, mesh: str, options: Mapping[str, Any]) -> str:
    """Landmarks2TransformMatrix: the transform of the turned box about some landmarks of (N, P, 3).

    options: the operator's own. The box is turned so that the line between the two rotation landmarks
    is level, and `scale_x` and `scale_y` times as large as the landmarks need.

    Raises ModelError for a box that is turned further or scaled unevenly: no net has one.
    """
    scale = options["scale_x"]
    if options["target_rotation_radians"] != 0 or options["scale_y"] != scale:
        raise ModelError("a region that is not level, or not scaled evenly, is not converted")
    ends = [options["left_rotation_idx"], options["right_rotation_idx"]]
    turn = _level_turn(b, b.node("Gather", [mesh, b.constant(ends, np.int64)], axis=1))
    points = b.node("Gather", [mesh, b.constant(options["subset_idxs"], np.int64)], axis=1)
    level = b.node("MatMul", [points, turn])
    corners = [b.node(kind, [level], axes=[1], keepdims=1) for kind in ("ReduceMin", "ReduceMax")]
    step_x, step_y = scale / options["output_width"], scale / options["output_height"]
    # Of both corners: width and height of one sample, and the upper left corner of the scaled box.
    parts = b.constant([[-step_x, step_x], [-step_y, step_y], [(1 + scale) / 2, (1 - scale) / 2]])
    parts = b.node("MatMul", [parts, b.node("Concat", corners, axis=1)])
    parts = b.node("Mul", [parts, b.constant([[1, 0], [0, 1], [1, 1]])])
    flat, _ = b.nodes("Split", [turn, b.constant([2, 1], np.int64)], 2, axis=1)
    return b.node("MatMul", [parts, b.node("Transpose", [flat], perm=[0, 2, 1])])


def _level_turn(b: Builder, ends: str) -> str:
    """(N, 3, 2) that turns points so that the line between two (N, 2, 3) is level, and drops z."""
    row = b.node("Reshape", [ends, b.constant([0, 6], np.int64)])
    turn = b.node("MatMul", [row, b.constant(_LEVEL)])
    length = b.node("ReduceL2", [turn], axes=[1], keepdims=1)  # of d, √2 times
    length = b.node("Max", [b.node("Mul", [length, b.constant(np.sqrt(0.5))]), b.constant(_SHORTEST)])
    turn = b.node("Div", [turn, length])
    return b.node("Reshape", [turn, b.constant([0, 3, 2], np.int64)])


def sample(
    b: Builder, features: str, size: tuple[int, int], transform: str, options: Mapping[str, Any]
) -> str:
    """TransformTensorBilinear: features (N, C, H, W) at the places where a transform puts a grid.

    size: H and W. Bilinear between the centres of the samples, and nothing beyond the outermost ones:
    zero there, not faded out as GridSample would.
    """
    rows, columns = options["output_height"], options["output_width"]
    y, x = np.mgrid[:rows, :columns] + 0.5
    grid = b.constant(np.stack([x.ravel(), y.ravel(), np.ones(rows * columns)], axis=1))
    extent = np.array(size[::-1])
    grid = b.node("Mul", [b.node("MatMul", [grid, transform]), b.constant(2 / extent)])
    grid = b.node("Sub", [grid, b.constant(1)])  # -1 and 1: the outer edges of the outermost samples
    inside = b.node("LessOrEqual", [b.node("Abs", [grid]), b.constant(1 - 1 / extent)])
    grid = b.node("Where", [inside, grid, b.constant(_FAR_OUTSIDE)])
    grid = b.node("Reshape", [grid, b.constant([0, rows, columns, 2], np.int64)])
    return b.node("GridSample", [features, grid], mode="bilinear", padding_mode="zeros", align_corners=0)


def transform_points(b: Builder, points: str, transform: str) -> str:
    """TransformLandmarks: (N, P, 2) points under a transform."""
    turn, shift = b.nodes("Split", [transform, b.constant([2, 1], np.int64)], 2, axis=1)
    return b.node("Add", [b.node("MatMul", [points, turn]), shift])
