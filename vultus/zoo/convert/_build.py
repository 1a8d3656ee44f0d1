"""Write a convolutional network as an ONNX graph, layer by layer, from the tensors of a checkpoint.

Batch normalization is folded into the convolution before it, in double precision: w' = w g / sqrt(v + eps) and
b' = (b - m) g / sqrt(v + eps) + beta. A PReLU with one slope is a LeakyRelu; with one slope per channel it is
Relu(x) - a Relu(-x), exact and faster than the operator of that name on CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vultus.errors import InputError
from vultus.zoo.convert import graph

__all__ = ["OPSET", "Net"]

OPSET = 17
_IR_VERSION = 8
_EPS = 1e-5
_COUNTER = "num_batches_tracked"


class Net:
    """A graph under construction over a state of named tensors.

    Every method takes names of graph tensors and returns the name of the result. `finish` refuses a state of which a
    tensor was left over, so a checkpoint of another architecture is not converted into a wrong graph.

    Args:
        state: tensors by name.
        name: the graph's name, also used in errors.
    """

    def __init__(self, state: Mapping[str, NDArray[Any]], name: str) -> None:
        self._state = state
        self._left = {key for key in state if not key.endswith(_COUNTER)}
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._values: list[onnx.TensorProto] = []
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def node(self, op: str, inputs: Sequence[str], *, to: str | None = None, **attributes: Any) -> str:
        """Append a node with one output, named `to` or by its place in the graph."""
        out = to or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def constant(self, value: NDArray[Any]) -> str:
        """A constant of the graph; equal values are stored once, so weights used again cost nothing."""
        value = np.asarray(value, order="C")
        content = (value.dtype.str, value.shape, value.tobytes())
        if content not in self._names:
            self._names[content] = f"constant_{len(self._names)}"
            self._values.append(numpy_helper.from_array(value, self._names[content]))
        return self._names[content]

    def has(self, key: str) -> bool:
        """Whether the checkpoint holds `key`."""
        return key in self._state

    def tensor(self, key: str) -> NDArray[np.float64]:
        """The tensor `key` of the checkpoint in double precision; InputError when it is missing or not finite."""
        if key not in self._state:
            raise InputError(f"{self._name}: expected tensor {key!r} in the checkpoint, got none")
        self._left.discard(key)
        value: NDArray[np.float64] = np.asarray(self._state[key], np.float64)
        if not np.isfinite(value).all():
            raise InputError(f"{self._name}: expected finite numbers in {key!r}, got NaN or infinity")
        return value

    def conv(self, x: str, key: str, *, norm: str = "", stride: int = 1, pad: int | None = None) -> str:
        """Convolution with the weights `key`, the batch normalization `norm` folded in.

        Weights of one input channel and several output channels are depthwise. `pad` None keeps the size (stride 1).
        """
        weight = self.tensor(f"{key}.weight")
        if weight.ndim != 4:
            raise InputError(f"{self._name}: expected four axes in {key}.weight, got {weight.ndim}")
        bias = self.tensor(f"{key}.bias") if self.has(f"{key}.bias") else np.zeros(len(weight))
        if norm:
            gain = self.tensor(f"{norm}.weight") / np.sqrt(self.tensor(f"{norm}.running_var") + _EPS)
            weight = weight * gain[:, None, None, None]
            bias = (bias - self.tensor(f"{norm}.running_mean")) * gain + self.tensor(f"{norm}.bias")
        kernel = weight.shape[2:]
        edge = [kernel[0] // 2, kernel[1] // 2] if pad is None else [pad, pad]
        inputs = [x, self.constant(weight.astype(np.float32)), self.constant(bias.astype(np.float32))]
        group = len(weight) if weight.shape[1] == 1 else 1
        return self.node("Conv", inputs, kernel_shape=kernel, strides=[stride] * 2, pads=edge * 2, group=group)

    def prelu(self, x: str, key: str) -> str:
        """PReLU with the slopes `key`: one, or one per channel."""
        slope = self.tensor(f"{key}.weight").astype(np.float32)
        if slope.size == 1:
            return self.leaky(x, float(slope.item()))
        return self.node("PRelu", [x, self.constant(slope.reshape(-1, 1, 1))])  # finish rewrites it

    def leaky(self, x: str, slope: float) -> str:
        """Keep what is positive, multiply the rest by `slope`."""
        return self.node("LeakyRelu", [x], alpha=slope)

    def resize_like(self, x: str, other: str, mode: str) -> str:
        """`x` at the height and width of `other`, which has as many channels; mode "nearest" or "linear".

        Nearest takes the source pixel below (floor); linear is half-pixel centered. Both as PyTorch does by default.
        """
        how = (
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            if mode == "nearest"
            else {"coordinate_transformation_mode": "pytorch_half_pixel"}
        )
        return self.node("Resize", [x, "", "", self.node("Shape", [other])], mode=mode, **how)

    def rows(self, x: str, width: int) -> str:
        """(N, a * width, H, W) -> (N, H * W * a, width): one row per anchor, in reading order."""
        last = self.node("Transpose", [x], perm=[0, 2, 3, 1])
        return self.node("Reshape", [last, self.constant(np.array([0, -1, width], np.int64))])

    def finish(self, inputs: Mapping[str, Sequence[int | str]], outputs: Mapping[str, Sequence[int | str]]) -> bytes:
        """Declare inputs and outputs by name and shape (a string is a free size) and serialize, always alike."""
        if self._left:
            extra = ", ".join(sorted(self._left)[:3])
            raise InputError(f"{self._name}: expected a checkpoint of this architecture, got unused tensors: {extra}")
        whole = helper.make_graph(self._nodes, self._name, _declared(inputs), _declared(outputs), self._values)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(whole, producer_name="vultus", ir_version=_IR_VERSION, opset_imports=opsets)
        graph.split_prelu(model)
        try:
            return graph.finish(model)
        except onnx.checker.ValidationError as error:
            why = str(error).splitlines()[0]
            raise InputError(f"{self._name}: expected weights that make a whole graph, got another ({why})") from error


def _declared(shapes: Mapping[str, Sequence[int | str]]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in shapes.items()]
