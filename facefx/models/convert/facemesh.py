"""Face Mesh with everything around the net inside the graph: bytes in, landmarks out."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from facefx.errors import ModelError
from facefx.models.convert.builder import Builder
from facefx.models.convert.lower import lower
from facefx.models.convert.tflite_reader import Net, read

__all__ = ["convert_facemesh"]

SIZE = 192
MESH = 468
IRIS = 5
# The eye's own outline stands first among the landmarks of its region.
_OUTLINE = 16


def convert_facemesh(data: bytes, name: str) -> bytes:
    """Convert a Face Mesh TFLite file, plain (468 points) or with attention (478).

    The result takes `image` (N, 192, 192, 3 uint8 RGB), a face cropped and turned upright, and gives
    `landmarks` (N, P, 3) in pixels of the crop, z in the same scale, and `score` (N), the confidence
    that the crop shows a face.

    Raises ModelError.
    """
    net = read(data)
    b = Builder()
    image = b.node("Cast", [b.node("Transpose", ["image"], perm=[0, 3, 1, 2])], to=TensorProto.FLOAT)
    raw = lower(net, b, b.node("Mul", [image, b.constant(1 / 255)]))
    if "output_lips" in raw:
        landmarks, logit, points = _refine(b, net, raw), raw["conv_faceflag"], MESH + 2 * IRIS
    else:
        landmarks, logit, points = _points(b, raw["conv2d_21"], 3), raw["conv2d_31"], MESH
    b.alias(landmarks, "landmarks")
    b.alias(b.node("Sigmoid", [b.node("Reshape", [logit, b.constant([-1], np.int64)])]), "score")
    return b.finish(
        name,
        [("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [("landmarks", TensorProto.FLOAT, ["N", points, 3]), ("score", TensorProto.FLOAT, ["N"])],
        doc="Converted from MediaPipe 0.10.21, Copyright The MediaPipe Authors, Apache-2.0; see NOTICE.txt.",
    )


def _points(b: Builder, values: str, dimensions: int) -> str:
    return b.node("Reshape", [values, b.constant([0, -1, dimensions], np.int64)])


def _refine(b: Builder, net: Net, raw: dict[str, str]) -> str:
    """(N, 478, 3): the mesh, with x and y of lips and eyes from their own look, and the irises.

    An iris gets the mean z of its eye's outline; every other z stays the mesh's.

    Source: mediapipe/modules/face_landmark/tensors_to_face_landmarks_with_attention.pbtxt; the tables
    are those of the net's own regions, which are the same.
    """
    lips, left_eye, right_eye = _regions(net)
    flat, depth = b.nodes(
        "Split", [_points(b, raw["output_mesh_identity"], 3), b.constant([2, 1], np.int64)], 2, axis=2
    )
    kinds = ("lips", "left_eye", "right_eye", "left_iris", "right_iris")
    looks = [_points(b, raw[f"output_{kind}"], 2) for kind in kinds]
    source = np.arange(MESH + 2 * IRIS)
    refined = np.concatenate([lips, left_eye, right_eye, source[MESH:]])
    source[refined] = MESH + np.arange(len(refined))
    flat = b.node("Gather", [b.node("Concat", [flat, *looks], axis=1), b.constant(source, np.int64)], axis=1)
    outlines = b.constant([left_eye[:_OUTLINE], right_eye[:_OUTLINE]], np.int64)
    irises = b.node("ReduceMean", [b.node("Gather", [depth, outlines], axis=1)], axes=[2], keepdims=0)
    source = np.concatenate([np.arange(MESH), np.repeat([MESH, MESH + 1], IRIS)])
    depth = b.node(
        "Gather", [b.node("Concat", [depth, irises], axis=1), b.constant(source, np.int64)], axis=1
    )
    return b.node("Concat", [flat, depth], axis=2)


def _regions(net: Net) -> list[list[int]]:
    """Landmarks of the lips, the left and the right eye, in the order of the net's outputs."""
    found = [op.options["subset_idxs"] for op in net.operators if op.kind == "Landmarks2TransformMatrix.v2"]
    if [len(region) for region in found] != [80, 71, 71]:
        raise ModelError(f"expected a net that looks at lips and eyes, got regions {found}")
    return found
