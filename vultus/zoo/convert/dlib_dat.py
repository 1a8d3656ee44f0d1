"""dlib's face recognition network (.dat) -> ONNX, without dlib.

The file is dlib's own serialization of a network, from the input layer to the last. Whole numbers are one control byte
(low four bits: how many bytes follow; top bit: negative) and that many little-endian bytes; a tensor is the version 2,
four sizes and little-endian float32 values; each layer begins with its name. Between layers stand training leftovers,
which are skipped by looking for the next layer name.

What the ONNX graph does differently, and exactly: input mean, the division by 256 and every affine layer are folded
into the convolution beside them; the 2x2 average pool with zero channels appended is one 2x2 convolution; on the last
1x1 map only the center of a 3x3 kernel can see anything, so only the center is kept.
Source: D. King, dlib 19.3 (2017), face recognition network; weights https://github.com/davisking/dlib-models (CC0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vultus.errors import InputError
from vultus.zoo.cards import Card
from vultus.zoo.convert import graph

__all__ = ["convert", "read_layers"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_NAMES = (b"con_4", b"affine_", b"relu_", b"add_prev_", b"avg_pool_2", b"max_pool_2", b"fc_2")
_INPUT = b"input_rgb_image_sized"
_MARK = re.compile(rb"\x01(?:%s)" % b"|".join(bytes([len(n)]) + re.escape(n) for n in (*_NAMES, _INPUT)), re.DOTALL)


@dataclass(frozen=True)
class Layer:
    """One layer as stored: name, whole numbers (for `con_4` those after the tensor), flat parameters (may be empty)."""

    name: str
    ints: tuple[int, ...]
    values: F32


@dataclass
class _Reader:
    data: bytes
    at: int = 0

    def whole(self) -> int:
        size = self.data[self.at] & 0x0F
        value = int.from_bytes(self.data[self.at + 1 : self.at + 1 + size], "little")
        value = -value if self.data[self.at] & 0x80 else value
        self.at += 1 + size
        return value

    def wholes(self, count: int) -> tuple[int, ...]:
        return tuple(self.whole() for _ in range(count))

    def tensor(self) -> F32:
        version, *dims = self.wholes(5)
        count = int(np.prod(dims, dtype=np.int64))
        if version != 2 or min(dims) < 0 or self.at + 4 * count > len(self.data):
            raise InputError(
                f"dlib .dat: expected a tensor of version 2 at byte {self.at}, got version {version}, {dims}"
            )
        values = np.frombuffer(self.data, "<f4", count, self.at).astype(np.float32)
        self.at += 4 * count
        return values


def read_layers(data: bytes) -> list[Layer]:
    """The layers of a serialized dlib network in the order of the file: input first.

    Raises InputError when `data` holds no such network or ends early.
    """
    reader, layers = _Reader(data), []
    none = np.zeros(0, np.float32)
    try:
        while (found := _MARK.search(data, reader.at)) is not None:
            reader.at = found.end()
            name = found.group()[2:].decode()
            if name in ("con_4", "affine_"):
                values = reader.tensor()  # then, for con_4: filters, rows, columns, stride y x, padding y x
                layers.append(Layer(name, reader.wholes(7) if name == "con_4" else (), values))
            elif name == "fc_2":
                ints = reader.wholes(2)  # outputs, inputs
                layers.append(Layer(name, ints, reader.tensor()))
            elif name == _INPUT.decode():
                layers.append(
                    Layer(name, reader.wholes(8), none)
                )  # three means as mantissa and exponent, rows, columns
            else:
                layers.append(Layer(name, reader.wholes(4) if "pool" in name else (), none))
    except IndexError:
        raise InputError(
            f"dlib .dat: expected a whole network, got a file that ends inside layer {len(layers)}"
        ) from None
    if not layers or layers[0].name != _INPUT.decode() or layers[-1].name != "fc_2":
        raise InputError(
            "dlib .dat: expected a face recognition network (input_rgb_image_sized ... fc_2), got another file"
        )
    return layers


@dataclass
class _Net:
    """The graph as it grows: `x` is the current tensor, `shape` its channels and size."""

    channels: int
    size: int
    x: str = "input"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: F64 | NDArray[np.int64]) -> str:
        name = f"w{len(self.weights)}"
        kept = array if array.dtype == np.int64 else array.astype(np.float32)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        self.x = name
        return name

    def conv(self, weight: F64, bias: F64 | None, stride: int, pad: int) -> None:
        if self.size == 1 and stride == 1 and pad == 1:
            weight, pad = weight[:, :, 1:2, 1:2], 0  # the other taps see only padding
        inputs = [self.x, self.constant(weight)] + ([] if bias is None else [self.constant(bias)])
        self.node("Conv", inputs, strides=[stride] * 2, pads=[pad] * 4)
        self.channels, self.size = weight.shape[0], (self.size + 2 * pad - weight.shape[2]) // stride + 1

    def pooled(self, channels: int) -> str:
        """2x2 mean at stride 2, then zero channels up to `channels`: one convolution."""
        weight = np.zeros((channels, self.channels, 2, 2))
        weight[np.arange(self.channels), np.arange(self.channels)] = 0.25
        self.conv(weight, None, 2, 0)
        return self.x

    def grow(self, size: int) -> str:
        """Zero rows and columns appended: dlib adds maps of unequal size as if the smaller one went on as zeros."""
        if self.size < size:
            more = np.array([0, 0, 0, 0, 0, 0, size - self.size, size - self.size], np.int64)
            self.node("Pad", [self.x, self.constant(more)])
            self.size = size
        return self.x


def _fold(con: Layer, affine: Layer, channels: int) -> tuple[F64, F64, int, int]:
    """Convolution followed by the affine layer: weight (O, I, h, w), bias (O,), stride, padding."""
    out, rows, cols, stride, stride_x, pad, pad_x = con.ints
    count = out * channels * rows * cols
    if (stride, pad) != (stride_x, pad_x) or con.values.size != count + out or affine.values.size != 2 * out:
        raise InputError(f"dlib .dat: expected a square convolution of {channels} channels with a bias, got {con.ints}")
    gamma, beta = affine.values.astype(np.float64).reshape(2, out)
    weight = con.values[:count].astype(np.float64).reshape(out, channels, rows, cols) * gamma[:, None, None, None]
    return weight, con.values[count:].astype(np.float64) * gamma + beta, stride, pad


def _block(net: _Net, layers: list[Layer]) -> None:
    """A residual block: con affine relu con affine [avg_pool] add_prev relu."""
    start, channels, size = net.x, net.channels, net.size
    net.conv(*_fold(layers[0], layers[1], net.channels))
    net.node("Relu", [net.x])
    net.conv(*_fold(layers[3], layers[4], net.channels))
    if layers[5].name == "avg_pool_2":
        branch = _Net(channels, size, start, net.nodes, net.weights)
        branch.pooled(net.channels)
        net.grow(branch.size)
        start = branch.grow(net.size)
    net.node("Add", [net.x, start])
    net.node("Relu", [net.x])


def convert(src: Path, card: Card) -> bytes:
    """RGB 0..255 float32 "input" (batch, 3, 150, 150) -> "descriptor" (batch, 128), not normalized, as dlib gives it.

    Raises InputError when the file is not dlib's face recognition network.
    """
    first, *layers = read_layers(src.read_bytes())
    means = np.array([first.ints[2 * c] * 2.0 ** first.ints[2 * c + 1] for c in range(3)])
    net = _Net(channels=3, size=first.ints[6])
    weight, bias, stride, pad = _fold(layers[0], layers[1], 3)
    if pad:
        raise InputError("dlib .dat: expected a first convolution without padding, got one whose mean cannot be folded")
    net.conv(weight / 256.0, bias - np.einsum("oihw,i->o", weight, means / 256.0), stride, pad)
    net.node("Relu", [net.x])
    rows, cols, step, step_x = layers[3].ints
    net.node("MaxPool", [net.x], kernel_shape=[rows, cols], strides=[step, step_x])
    net.size = (net.size - rows) // step + 1
    rest = layers[4:-2]
    while rest:
        length = 8 if rest[5].name == "avg_pool_2" else 7
        _block(net, rest[:length])
        rest = rest[length:]
    net.node("GlobalAveragePool", [net.x])
    net.node("Flatten", [net.x])
    outputs, inputs = layers[-1].ints
    net.node("MatMul", [net.x, net.constant(layers[-1].values.astype(np.float64).reshape(inputs, outputs))])
    net.nodes[-1].output[0] = "descriptor"
    size = first.ints[6]
    made = helper.make_graph(
        net.nodes,
        "dlib_resnet29",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, size, size])],
        [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, ["batch", outputs])],
        net.weights,
    )
    return graph.finish(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
