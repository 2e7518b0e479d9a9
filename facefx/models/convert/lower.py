"""TFLite operators as ONNX nodes: NHWC becomes NCHW, batch 1 becomes N."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefx.errors import ModelError
from facefx.models.convert import attention
from facefx.models.convert.builder import Builder
from facefx.models.convert.tflite_reader import Net, Operator

__all__ = ["lower"]

Pads = tuple[int, int, int, int]  # top, left, bottom, right, as ONNX orders them


class _Lowering:
    """What is known while one net is converted: the ONNX name of each TFLite tensor."""

    def __init__(self, net: Net, builder: Builder, values: dict[int, str]) -> None:
        self.net = net
        self.builder = builder
        self.values = values
        # Spatial zero padding is not done by itself: the convolution that follows takes it in.
        self.padded: dict[int, tuple[int, Pads]] = {}
        # Transforms are kept in the form of attention.py, so only its operators may use them.
        self.transforms: dict[int, str] = {}

    def name(self, tensor: int) -> str:
        """The ONNX value of a tensor; constants are made where they are first used."""
        if tensor in self.padded:
            raise ModelError(
                f"tensor {self.net.names[tensor]!r} is padded and then not used by a convolution"
            )
        if tensor in self.transforms:
            raise ModelError(f"tensor {self.net.names[tensor]!r} is a transform, used as something else")
        if tensor not in self.values:
            if tensor not in self.net.constants:
                raise ModelError(f"tensor {self.net.names[tensor]!r} is used before it is computed")
            self.values[tensor] = self.builder.weight(self.net.constants[tensor])
        return self.values[tensor]

    def activate(self, value: str, options: dict[str, Any]) -> str:
        """Apply an operator's fused activation."""
        kind = options.get("activation", "NONE")
        if kind not in ("NONE", "RELU"):
            raise ModelError(f"fused activation {kind} is not converted")
        return self.builder.node("Relu", [value]) if kind == "RELU" else value


def lower(net: Net, builder: Builder, image: str) -> dict[str, str]:
    """Add the whole net to the builder, fed by `image` (N, C, H, W float32).

    Returns the ONNX value of each output by its TFLite name, in TFLite's own shape with batch N.

    Raises ModelError for an operator that is not converted, by name.
    """
    state = _Lowering(net, builder, {net.inputs[0]: image})
    for operator in net.operators:
        rule = _RULES.get(operator.kind)
        if rule is None:
            raise ModelError(
                f"TFLite operator {operator.kind} is not converted; known: {', '.join(sorted(_RULES))}"
            )
        rule(state, operator)
    return {net.names[tensor]: state.name(tensor) for tensor in net.outputs}


def _convolution(state: _Lowering, op: Operator) -> None:
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    source, (top, left, bottom, right) = state.padded.get(op.inputs[0], (op.inputs[0], (0, 0, 0, 0)))
    weight = state.net.constants[op.inputs[1]]
    kernel = weight.shape[1:3]
    if op.options["dilation_h_factor"] != 1 or op.options["dilation_w_factor"] != 1:
        raise ModelError("dilated convolutions are not converted")
    strides = (op.options["stride_h"], op.options["stride_w"])
    if op.options["padding"] == "SAME":
        same = _same_pads(state.net.shapes[op.inputs[0]], kernel, strides)
        top, left, bottom, right = top + same[0], left + same[1], bottom + same[2], right + same[3]
    # OHWI → OIHW; depthwise 1HWO → O1HW.
    weight = weight.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    inputs = [
        state.name(source),
        state.builder.weight(np.ascontiguousarray(weight)),
        state.name(op.inputs[2]),
    ]
    value = state.builder.node(
        "Conv",
        inputs,
        kernel_shape=list(kernel),
        strides=list(strides),
        pads=[top, left, bottom, right],
        group=state.net.shapes[source][3] if depthwise else 1,
    )
    state.values[op.outputs[0]] = state.activate(value, op.options)


def _same_pads(shape: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, int]) -> Pads:
    """TensorFlow's SAME: the smaller half of the padding goes before.

    Source: tensorflow/lite/kernels/padding.h, ComputePaddingWithOffset.
    """
    pads = []
    for size, length, stride in zip(shape[1:3], kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + length - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads[0][0], pads[1][0], pads[0][1], pads[1][1]


def _max_pool(state: _Lowering, op: Operator) -> None:
    kernel = (op.options["filter_height"], op.options["filter_width"])
    strides = (op.options["stride_h"], op.options["stride_w"])
    pads: Pads = (0, 0, 0, 0)
    if op.options["padding"] == "SAME":
        pads = _same_pads(state.net.shapes[op.inputs[0]], kernel, strides)
    value = state.builder.node(
        "MaxPool",
        [state.name(op.inputs[0])],
        kernel_shape=list(kernel),
        strides=list(strides),
        pads=list(pads),
    )
    state.values[op.outputs[0]] = state.activate(value, op.options)


def _add(state: _Lowering, op: Operator) -> None:
    value = state.builder.node("Add", [state.name(tensor) for tensor in op.inputs])
    state.values[op.outputs[0]] = state.activate(value, op.options)


def _multiply(state: _Lowering, op: Operator) -> None:
    """Multiply by a constant: one number, or of a transform entry by entry."""
    one, other = op.inputs
    factor = state.net.constants.get(other)
    if factor is not None and one in state.transforms:
        kept = state.builder.weight(attention.kept_entries(factor))
        state.transforms[op.outputs[0]] = state.builder.node("Mul", [state.transforms[one], kept])
    elif factor is not None and factor.size == 1:
        value = state.builder.node("Mul", [state.name(one), state.name(other)])
        state.values[op.outputs[0]] = state.activate(value, op.options)
    else:
        raise ModelError("a product with anything but one constant number is not converted")


def _prelu(state: _Lowering, op: Operator) -> None:
    """PReLU as a·x + (1 - a)·relu(x): the runtime's own PRelu kernel leaves the blocked layout.

    1 - a is left to the runtime to fold: in float16 it would be rounded.
    """
    alpha = state.net.constants[op.inputs[1]]
    if alpha.shape[:-1] != (1,) * (alpha.ndim - 1):
        raise ModelError(f"a PReLU whose slopes differ in space, {alpha.shape}, is not converted")
    b, value = state.builder, state.name(op.inputs[0])
    slope = b.weight(np.ascontiguousarray(alpha.reshape(-1, 1, 1)))
    rest = b.node("Mul", [b.node("Relu", [value]), b.node("Sub", [b.constant(1), slope])])
    state.values[op.outputs[0]] = b.node("Add", [b.node("Mul", [value, slope]), rest])


def _relu(state: _Lowering, op: Operator) -> None:
    state.values[op.outputs[0]] = state.builder.node("Relu", [state.name(op.inputs[0])])


def _pad(state: _Lowering, op: Operator) -> None:
    """Padding in space waits for its convolution; padding of channels becomes an identity 1×1 convolution.

    A Pad node would make the runtime leave its blocked layout and come back.
    """
    (n0, n1), (top, bottom), (left, right), (c0, c1) = (
        state.net.constants[op.inputs[1]].reshape(4, 2).tolist()
    )
    source, target = op.inputs[0], op.outputs[0]
    if (n0, n1, c0, c1) == (0, 0, 0, 0):
        state.padded[target] = (source, (top, left, bottom, right))
        return
    if (n0, n1, top, bottom, left, right, c0) != (0,) * 7:
        raise ModelError(f"padding {op.kind} of both space and channels is not converted")
    channels = state.net.shapes[source][3]
    identity: NDArray[np.float16] = np.eye(channels + c1, channels, dtype=np.float16)[:, :, None, None]
    weight = state.builder.weight(identity)
    state.values[target] = state.builder.node("Conv", [state.name(source), weight], kernel_shape=[1, 1])


def _to_nhwc(state: _Lowering, tensor: int) -> str:
    value, shape = state.name(tensor), state.net.shapes[tensor]
    flat = len(shape) != 4 or shape[1:3] == (1, 1)
    return value if flat else state.builder.node("Transpose", [value], perm=[0, 2, 3, 1])


def _reshape(state: _Lowering, op: Operator) -> None:
    shape = state.net.shapes[op.outputs[0]]
    if len(shape) == 4:
        if shape[1:3] != (1, 1):
            raise ModelError("a reshape to four dimensions is not converted")
        shape = (shape[0], shape[3], 1, 1)
    target = state.builder.constant([0, *shape[1:]], np.int64)  # 0: the batch as it comes
    state.values[op.outputs[0]] = state.builder.node("Reshape", [_to_nhwc(state, op.inputs[0]), target])


def _whole_slice(state: _Lowering, op: Operator) -> None:
    """A slice that takes everything, which is how one net names its output."""
    begin, end, strides = (tuple(state.net.constants[tensor].tolist()) for tensor in op.inputs[1:])
    shape = state.net.shapes[op.inputs[0]]
    if (begin, end, strides) != ((0,) * len(shape), shape, (1,) * len(shape)):
        raise ModelError("a slice that leaves something out is not converted")
    state.values[op.outputs[0]] = state.name(op.inputs[0])


def _concatenate(state: _Lowering, op: Operator) -> None:
    axis = op.options["axis"]
    if len(state.net.shapes[op.outputs[0]]) == 4:
        axis = (0, 2, 3, 1)[axis]
    value = state.builder.node("Concat", [state.name(tensor) for tensor in op.inputs], axis=axis)
    state.values[op.outputs[0]] = state.activate(value, op.options)


def _resize(state: _Lowering, op: Operator) -> None:
    if op.options["align_corners"] or not op.options["half_pixel_centers"]:
        raise ModelError("only bilinear resizing with half-pixel centres is converted")
    before, after = state.net.shapes[op.inputs[0]], state.net.shapes[op.outputs[0]]
    scales = state.builder.constant([1, 1, after[1] / before[1], after[2] / before[2]])
    state.values[op.outputs[0]] = state.builder.node(
        "Resize",
        [state.name(op.inputs[0]), "", scales],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def _depth_to_space(state: _Lowering, op: Operator) -> None:
    state.values[op.outputs[0]] = state.builder.node(
        "DepthToSpace", [state.name(op.inputs[0])], blocksize=op.options["block_size"], mode="DCR"
    )


def _region_transform(state: _Lowering, op: Operator) -> None:
    mesh = state.name(op.inputs[0])
    state.transforms[op.outputs[0]] = attention.region_transform(state.builder, mesh, op.options)


def _transform(state: _Lowering, tensor: int) -> str:
    if tensor not in state.transforms:
        raise ModelError(f"tensor {state.net.names[tensor]!r} is used as a transform and is none")
    return state.transforms[tensor]


def _sample(state: _Lowering, op: Operator) -> None:
    features, transform = op.inputs
    _, height, width, _ = state.net.shapes[features]
    state.values[op.outputs[0]] = attention.sample(
        state.builder, state.name(features), (height, width), _transform(state, transform), op.options
    )


def _transform_points(state: _Lowering, op: Operator) -> None:
    points, transform = op.inputs
    if state.net.shapes[points][2] != 2:
        raise ModelError("only points of two dimensions are transformed")
    state.values[op.outputs[0]] = attention.transform_points(
        state.builder, state.name(points), _transform(state, transform)
    )


_RULES: dict[str, Callable[[_Lowering, Operator], None]] = {
    "ADD": _add,
    "CONCATENATION": _concatenate,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DEPTH_TO_SPACE": _depth_to_space,
    "Landmarks2TransformMatrix.v2": _region_transform,
    "MAX_POOL_2D": _max_pool,
    "MUL": _multiply,
    "PAD": _pad,
    "PRELU": _prelu,
    "RELU": _relu,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "STRIDED_SLICE": _whole_slice,
    "TransformLandmarks.v2": _transform_points,
    "TransformTensorBilinear.v2": _sample,
}
