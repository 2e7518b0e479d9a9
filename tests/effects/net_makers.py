"""Small nets, their cards, and a face for the tests of nets."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import onnx
import yaml
from effect_makers import mesh_face, painted
from onnx import TensorProto, helper

from facefx.effects.effect import EffectSpec
from facefx.effects.masks import Mesh
from facefx.faces.anchors import anchors
from facefx.pipeline.nets import Nets, make_chain
from facefx.values import Face, Planes, StreamFormat

SIZE = 64


def write_net(
    path: Path, *, scale: float = 1.0, shift: float = 0.0, shape: Any = None, grow: bool = False
) -> str:
    """A net that gives scale · x + shift; grow: as a crop twice as high. Returns its sha256."""
    shape = shape or (1, 3, SIZE, SIZE)
    nodes = [
        helper.make_node("Mul", ["crop", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["sum"]),
        helper.make_node("Concat", ["sum", "sum"], ["made"], axis=2)
        if grow
        else helper.make_node("Identity", ["sum"], ["made"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("crop", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
            helper.make_tensor("shift", TensorProto.FLOAT, [], [shift]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_card(folder: Path, sha256: str, more: dict[str, Any] | None = None) -> str:
    """A card of that net; more: what is otherwise, None for what is left out."""
    card: dict[str, Any] = {
        "file": "net.onnx",
        "sha256": sha256,
        "licence": "CC0-1.0",
        "source": "made by a test",
        "size": SIZE,
        "template": "ffhq",
        **(more or {}),
    }
    path = folder / "net.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in card.items() if value is not None}))
    return str(path)


def spec(
    folder: Path, card: dict[str, Any] | None = None, params: dict[str, Any] | None = None, **net: Any
) -> EffectSpec:
    sha256 = write_net(folder / "net.onnx", **net)
    return EffectSpec.checked("net", {"path": write_card(folder, sha256, card), **(params or {})})


def changed(chosen: EffectSpec, format: StreamFormat, planes: Planes, *faces: Face) -> Planes:
    with Nets() as nets:
        chain = make_chain([chosen], format, b"", nets, "cpu")
        after, _ = painted(chain, planes, faces)
    assert not chain.stats.skipped, chain.stats.first
    return after


def someone(turned: float = 0.0, centre: tuple[float, float] = (80, 60), size: float = 80) -> Face:
    """A mesh with the five points where a face has them."""
    made = mesh_face(centre, size, turned)
    points = made.landmarks
    assert points is not None
    mesh = Mesh(made)
    right, left = (mesh.outline(f"{side}_eye").mean(axis=0) for side in ("right", "left"))
    lips = mesh.outline("lips_outer").mean(axis=0)
    across = (left - right) / 2
    named = anchors("mediapipe-468")
    points[named["nose_tip"], :2] = (left + right) / 2 * 0.45 + lips * 0.55
    points[named["right_mouth_corner"], :2] = lips - across * 0.8
    points[named["left_mouth_corner"], :2] = lips + across * 0.8
    return made
