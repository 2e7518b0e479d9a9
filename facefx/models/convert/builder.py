"""An ONNX graph under construction: nodes, weights, names; written the same way every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

from facefx.errors import ModelError

__all__ = ["IR_VERSION", "OPSET", "Builder"]

OPSET = 17
IR_VERSION = 9

Array = NDArray[Any]


class Builder:
    """Collects a graph; every method returns the name of the value that it made.

    Names are counted up in the order of the calls, so the same calls give the same bytes.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._by_value: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output."""
        return self.nodes(kind, inputs, 1, **attributes)[0]

    def nodes(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        names = [self._name(kind) for _ in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names

    def alias(self, value: str, name: str) -> None:
        """Give a value the name under which the graph gives it out."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """A constant; equal ones are stored once."""
        array = np.array(values, dtype, order="C")  # a scalar stays one
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._by_value:
            name = self._name("const")
            self._by_value[key] = name
            self._initializers[name] = numpy_helper.from_array(array, name)
        return self._by_value[key]

    def weight(self, values: Array) -> str:
        """A weight as float32; float16 is stored as it is and cast, which a runtime folds at load."""
        name = self.constant(values, values.dtype)
        return self.node("Cast", [name], to=TensorProto.FLOAT) if values.dtype == np.float16 else name

    def finish(
        self,
        name: str,
        inputs: Sequence[tuple[str, int, Sequence[int | str]]],
        outputs: Sequence[tuple[str, int, Sequence[int | str]]],
        doc: str = "",
    ) -> bytes:
        """Check the graph and serialise it.

        Raises ModelError where the result is not valid ONNX.
        """
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(*item) for item in inputs],
            [helper.make_tensor_value_info(*item) for item in outputs],
            initializer=list(self._initializers.values()),
        )
        # Fixed by hand: a newer onnx package must not change a byte.
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="facefx"
        )
        model.ir_version = IR_VERSION
        model.doc_string = doc
        try:
            checker.check_model(model, full_check=True)
        except (checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelError(f"net {name!r} was converted to invalid ONNX: {error}") from error
        return bytes(model.SerializeToString(deterministic=True))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"
