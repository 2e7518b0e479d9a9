"""A TFLite file as plain values: operators with their options, constants as arrays."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tflite
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from facefx.errors import ModelError

__all__ = ["Net", "Operator", "read"]

Array = NDArray[Any]

_DTYPES: dict[int, np.dtype[Any]] = {
    tflite.TensorType.FLOAT32: np.dtype("<f4"),
    tflite.TensorType.FLOAT16: np.dtype("<f2"),
    tflite.TensorType.INT32: np.dtype("<i4"),
}
_OPERATORS: dict[int, str] = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)
}
_ACTIVATIONS: dict[int, str] = {
    code: name for name, code in vars(tflite.ActivationFunctionType).items() if isinstance(code, int)
}
_PADDINGS: dict[int, str] = {
    code: name for name, code in vars(tflite.Padding).items() if isinstance(code, int)
}
_SPARSE_CSR = 1


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: its name, tensor numbers, and its options in snake case.

    kind: TFLite's name, or for a custom operator its own name and version, as "TransformLandmarks.v2".
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Net:
    """A whole file. Shapes are NHWC with batch 1; constants are as stored (float16 stays float16)."""

    operators: tuple[Operator, ...]
    shapes: dict[int, tuple[int, ...]]
    names: dict[int, str]
    constants: dict[int, Array]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(data: bytes) -> Net:
    """Parse a TFLite file; constant DEQUANTIZE and DENSIFY operators are resolved on the way.

    Raises ModelError where the bytes are not a TFLite file or hold what we do not read.
    """
    if data[4:8] != b"TFL3":
        raise ModelError(f"not a TFLite file: expected the mark TFL3, got {data[4:8]!r}")
    try:
        model = tflite.Model.GetRootAs(data, 0)
        graph = model.Subgraphs(0)
        constants = _constants(model, graph)
        operators = tuple(_operators(model, graph, constants))
        shapes = {i: _shape(graph.Tensors(i)) for i in range(graph.TensorsLength())}
        names = {i: graph.Tensors(i).Name().decode() for i in range(graph.TensorsLength())}
        inputs = tuple(graph.Inputs(i) for i in range(graph.InputsLength()))
        outputs = tuple(graph.Outputs(i) for i in range(graph.OutputsLength()))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"TFLite file is damaged: {error}") from error
    return Net(operators, shapes, names, constants, inputs, outputs)


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))


def _constants(model: Any, graph: Any) -> dict[int, Array]:
    """Every tensor that has bytes in the file, sparse ones expanded."""
    constants: dict[int, Array] = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        buffer = model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            continue
        if tensor.Type() not in _DTYPES:
            raise ModelError(
                f"TFLite tensor {tensor.Name().decode()!r} has type {tensor.Type()}, which is not read"
            )
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()])
        sparsity = tensor.Sparsity()
        constants[i] = (
            values.reshape(_shape(tensor)) if sparsity is None else _densify(tensor, sparsity, values)
        )
    return constants


def _densify(tensor: Any, sparsity: Any, values: Array) -> Array:
    """Expand a tensor whose last dimension is stored as compressed rows."""
    shape = _shape(tensor)
    last = sparsity.DimMetadata(sparsity.DimMetadataLength() - 1)
    order = tuple(sparsity.TraversalOrder(i) for i in range(sparsity.TraversalOrderLength()))
    dense_before = all(
        sparsity.DimMetadata(i).Format() != _SPARSE_CSR for i in range(sparsity.DimMetadataLength() - 1)
    )
    if order != tuple(range(len(shape))) or not dense_before or last.Format() != _SPARSE_CSR:
        raise ModelError(
            f"sparse tensor {tensor.Name().decode()!r} is stored in another way than as rows of its "
            "last dimension"
        )
    segments = _index_vector(last.ArraySegmentsType(), last.ArraySegments())
    columns = _index_vector(last.ArrayIndicesType(), last.ArrayIndices())
    dense = np.zeros((int(np.prod(shape[:-1])), shape[-1]), values.dtype)
    rows = np.repeat(np.arange(len(segments) - 1), np.diff(segments))
    dense[rows, columns] = values
    return dense.reshape(shape)


def _index_vector(kind: int, table: Any) -> NDArray[np.int64]:
    vectors: dict[int, Callable[[], Any]] = {
        tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
        tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
        tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
    }
    vector = vectors[kind]()
    vector.Init(table.Bytes, table.Pos)
    return np.asarray(vector.ValuesAsNumpy(), np.int64)


def _operators(model: Any, graph: Any, constants: dict[int, Array]) -> list[Operator]:
    """The operators that compute something; those that only unpack a constant are done here."""
    found = []
    for i in range(graph.OperatorsLength()):
        raw = graph.Operators(i)
        code = model.OperatorCodes(raw.OpcodeIndex())
        kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind == "CUSTOM":
            kind = f"{code.CustomCode().decode()}.v{code.Version()}"
        inputs = tuple(raw.Inputs(k) for k in range(raw.InputsLength()))
        outputs = tuple(raw.Outputs(k) for k in range(raw.OutputsLength()))
        if kind in ("DEQUANTIZE", "DENSIFY") and inputs[0] in constants:
            constants[outputs[0]] = constants[inputs[0]]
            continue
        options = _custom_options(raw) or _options(kind, raw.BuiltinOptions())
        found.append(Operator(kind, inputs, outputs, options))
    return found


def _custom_options(raw: Any) -> dict[str, Any]:
    """The options of a custom operator, a FlexBuffers map; empty where it has none."""
    if not raw.CustomOptionsLength():
        return {}
    options = flexbuffers.Loads(raw.CustomOptionsAsNumpy().tobytes())
    return dict(options) if isinstance(options, dict) else {}


def _options(kind: str, table: Any) -> dict[str, Any]:
    """The options of an operator, by name; empty for kinds that have none that matter."""
    if kind not in _READ_OPTIONS:
        return {}
    cls, names = _READ_OPTIONS[kind]
    options = cls()
    options.Init(table.Bytes, table.Pos)
    values = {_snake(name): getattr(options, name)() for name in names}
    if "padding" in values:
        values["padding"] = _PADDINGS[values["padding"]]
    if "fused_activation_function" in values:
        values["activation"] = _ACTIVATIONS[values.pop("fused_activation_function")]
    return values


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


_CONV = ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction")
_READ_OPTIONS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "CONV_2D": (tflite.Conv2DOptions, _CONV),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, _CONV),
    "ADD": (tflite.AddOptions, ("FusedActivationFunction",)),
    "MUL": (tflite.MulOptions, ("FusedActivationFunction",)),
    "MAX_POOL_2D": (
        tflite.Pool2DOptions,
        ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    ),
    "CONCATENATION": (tflite.ConcatenationOptions, ("Axis", "FusedActivationFunction")),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, ("AlignCorners", "HalfPixelCenters")),
    "DEPTH_TO_SPACE": (tflite.DepthToSpaceOptions, ("BlockSize",)),
}
