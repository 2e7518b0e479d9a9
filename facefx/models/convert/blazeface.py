"""BlazeFace with everything around the net inside the graph: bytes in, faces out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from facefx.models.convert.builder import Builder
from facefx.models.convert.lower import lower
from facefx.models.convert.tflite_reader import read

__all__ = ["FULL", "SHORT", "BlazeFaceRecipe", "anchors", "convert_blazeface"]

KEYPOINTS = 6
# Candidates that enter the suppression, and faces that leave it, at most.
CANDIDATES = 512
FACES = 64
IOU_THRESHOLD = 0.3
_LOGIT_LIMIT = 100.0


@dataclass(frozen=True, slots=True)
class BlazeFaceRecipe:
    """What the two variants differ in.

    grids: (cells a side, anchors a cell) of each level, in the order of the net's rows.

    Source: mediapipe/modules/face_detection/face_detection_{short,full}_range.pbtxt.
    """

    size: int
    grids: tuple[tuple[int, int], ...]
    regressors: str
    scores: str


SHORT = BlazeFaceRecipe(128, ((16, 2), (8, 6)), "regressors", "classificators")
FULL = BlazeFaceRecipe(192, ((48, 1),), "Identity", "Identity_1")


def anchors(recipe: BlazeFaceRecipe) -> NDArray[np.float32]:
    """(A, 2) anchor centres as fractions of the square, row by row, x first."""
    parts = []
    for cells, each in recipe.grids:
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(centres, each, axis=0))
    return np.concatenate(parts).astype(np.float32)


def convert_blazeface(data: bytes, recipe: BlazeFaceRecipe, name: str) -> bytes:
    """Convert a BlazeFace TFLite file.

    The result takes `image` (N, S, S, 3 uint8 RGB) and `threshold` (1 float32, the lowest score
    that takes part), and gives `boxes` (N, 64, 4 xyxy), `keypoints` (N, 64, 6, 2), both as fractions
    of the square, and `scores` (N, 64), most confident first and zero where there is no face.

    Raises ModelError.
    """
    b = Builder()
    image = b.node("Cast", [b.node("Transpose", ["image"], perm=[0, 3, 1, 2])], to=TensorProto.FLOAT)
    image = b.node("Sub", [b.node("Mul", [image, b.constant(2 / 255)]), b.constant(1)])
    raw = lower(read(data), b, image)
    scores, boxes = _candidates(b, raw[recipe.scores], raw[recipe.regressors], recipe)
    best_scores, merged = _suppress(b, scores, boxes)
    _give_out(b, best_scores, merged)
    size = recipe.size
    return b.finish(
        name,
        [("image", TensorProto.UINT8, ["N", size, size, 3]), ("threshold", TensorProto.FLOAT, [1])],
        [
            ("boxes", TensorProto.FLOAT, ["N", FACES, 4]),
            ("keypoints", TensorProto.FLOAT, ["N", FACES, KEYPOINTS, 2]),
            ("scores", TensorProto.FLOAT, ["N", FACES]),
        ],
        doc="Converted from MediaPipe 0.10.21, Copyright The MediaPipe Authors, Apache-2.0; see NOTICE.txt.",
    )


def _candidates(b: Builder, logits: str, regressors: str, recipe: BlazeFaceRecipe) -> tuple[str, str]:
    """The best anchors, decoded: scores (N, C), 0 below the threshold; rows (N, C, 16), box and keypoints."""
    logits = b.node("Squeeze", [logits, b.constant([2], np.int64)])
    limited = b.node("Clip", [logits, b.constant(-_LOGIT_LIMIT), b.constant(_LOGIT_LIMIT)])
    scores, index = b.nodes(
        "TopK", [b.node("Sigmoid", [limited]), b.constant([CANDIDATES], np.int64)], 2, axis=1
    )
    enough = b.node("Cast", [b.node("GreaterOrEqual", [scores, "threshold"])], to=TensorProto.FLOAT)
    scores = b.node("Mul", [scores, enough])
    anchor = b.node(
        "Unsqueeze", [b.node("Gather", [b.constant(anchors(recipe)), index], axis=0), _axes(b, 2)]
    )
    index = b.node("Unsqueeze", [index, _axes(b, 2)])
    rows = b.node("GatherND", [regressors, index], batch_dims=1)
    pairs = b.node("Reshape", [rows, b.constant([0, CANDIDATES, 2 + KEYPOINTS, 2], np.int64)])
    pairs = b.node("Div", [pairs, b.constant(recipe.size)])
    centre, size, points = b.nodes("Split", [pairs, b.constant([1, 1, KEYPOINTS], np.int64)], 3, axis=2)
    centre, points = b.node("Add", [centre, anchor]), b.node("Add", [points, anchor])
    half = b.node("Mul", [size, b.constant(0.5)])
    corners = [b.node("Sub", [centre, half]), b.node("Add", [centre, half]), points]
    decoded = b.node("Concat", corners, axis=2)
    return scores, b.node("Reshape", [decoded, b.constant([0, CANDIDATES, 4 + 2 * KEYPOINTS], np.int64)])


def _suppress(b: Builder, scores: str, rows: str) -> tuple[str, str]:
    """MediaPipe's weighted suppression: scores (N, F), rows (N, F, 16).

    Greedy by score; a candidate belongs to the first kept box that it overlaps; the members of each
    are averaged, weighted by score; the kept box's score stays.

    Source: mediapipe/calculators/util/non_max_suppression_calculator.cc, WeightedNonMaxSuppression.
    """
    boxes = b.node(
        "Slice", [rows, b.constant([0], np.int64), b.constant([4], np.int64), b.constant([2], np.int64)]
    )
    picked = b.node(
        "NonMaxSuppression",
        [
            boxes,
            b.node("Unsqueeze", [scores, _axes(b, 1)]),
            b.constant([FACES], np.int64),
            b.constant([IOU_THRESHOLD]),
            b.constant([0]),
        ],
    )
    where = b.node("Gather", [picked, b.constant([0, 2], np.int64)], axis=1)  # (batch, candidate)
    ones = b.node("Expand", [b.constant(1), b.node("Shape", [where], start=0, end=1)])
    nothing = b.node("Mul", [scores, b.constant(0)])
    kept = b.node("Mul", [b.node("ScatterND", [nothing, where, ones]), scores])
    best, top = b.nodes("TopK", [kept, b.constant([FACES], np.int64)], 2, axis=1)
    top_boxes = b.node("GatherND", [boxes, b.node("Unsqueeze", [top, _axes(b, 2)])], batch_dims=1)
    real = b.node("Unsqueeze", [b.node("Greater", [best, b.constant(0)]), _axes(b, 2)])
    overlaps = b.node("Greater", [_iou(b, top_boxes, boxes), b.constant(IOU_THRESHOLD)])
    claims = b.node("Cast", [b.node("And", [overlaps, real])], to=TensorProto.FLOAT)
    order = b.node("CumSum", [claims, b.constant(1, np.int64)])
    first = b.node("Cast", [b.node("Equal", [order, b.constant(1)])], to=TensorProto.FLOAT)
    claims = b.node("Mul", [claims, first])
    weights = b.node("Mul", [claims, b.node("Unsqueeze", [scores, _axes(b, 1)])])
    total = b.node("ReduceSum", [weights, _axes(b, 2)], keepdims=1)
    summed = b.node("MatMul", [weights, rows])
    return best, b.node("Div", [summed, b.node("Max", [total, b.constant(1e-9)])])


def _iou(b: Builder, one: str, other: str) -> str:
    """(N, F, C) intersection over union of (N, F, 4) and (N, C, 4)."""
    a = [b.node("Unsqueeze", [part, _axes(b, 2)]) for part in _columns(b, one)]
    c = [b.node("Unsqueeze", [part, _axes(b, 1)]) for part in _columns(b, other)]
    zero = b.constant(0)
    sides = []
    for low, high in ((0, 2), (1, 3)):
        inner = b.node("Sub", [b.node("Min", [a[high], c[high]]), b.node("Max", [a[low], c[low]])])
        sides.append(b.node("Max", [inner, zero]))
    inner = b.node("Mul", sides)
    areas = [
        b.node("Mul", [b.node("Sub", [box[2], box[0]]), b.node("Sub", [box[3], box[1]])]) for box in (a, c)
    ]
    union = b.node("Sub", [b.node("Add", areas), inner])
    return b.node("Div", [inner, b.node("Max", [union, b.constant(1e-12)])])


def _columns(b: Builder, boxes: str) -> list[str]:
    """The four coordinates of (N, M, 4) as (N, M) each."""
    return [b.node("Gather", [boxes, b.constant(i, np.int64)], axis=2) for i in range(4)]


def _give_out(b: Builder, scores: str, rows: str) -> None:
    boxes, points = b.nodes("Split", [rows, b.constant([4, 2 * KEYPOINTS], np.int64)], 2, axis=2)
    b.alias(boxes, "boxes")
    b.alias(b.node("Reshape", [points, b.constant([0, FACES, KEYPOINTS, 2], np.int64)]), "keypoints")
    b.alias(scores, "scores")


def _axes(b: Builder, axis: int) -> str:
    return b.constant([axis], np.int64)
