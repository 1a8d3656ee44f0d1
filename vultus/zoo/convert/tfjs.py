"""TensorFlow.js graph models (.json with .bin beside it) -> ONNX of any batch.

The JSON lists TensorFlow nodes and, in order, the name, shape and type of every weight; the .bin holds their values one
after another, float32 possibly stored as float16. Only the operators of Face Mesh are known; another one is refused by
name. Pictures are N x C x H x W here and N x H x W x C there: kernels and paddings are turned, and a tensor is turned
back before it is flattened. PRelu is rewritten by `graph.split_prelu`.
Sources: TensorFlow.js 4.22 (weight manifest), TensorFlow 2 (meaning of the operators, SAME padding).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.zoo.cards import Card
from vultus.zoo.convert._build import Net

__all__ = ["facemesh", "read_model"]

_FORMAT = "graph-model"
_MESH_SIZE = 192
_DAMAGE = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Node:
    """One TensorFlow node: its operator, the names it reads, its attributes as JSON."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def word(self, key: str, default: str = "") -> str:
        """A text attribute (stored as base64)."""
        value = self.attributes.get(key, {}).get("s")
        return default if value is None else base64.b64decode(value).decode("ascii")

    def words(self, key: str) -> list[str]:
        """A list of texts."""
        return [base64.b64decode(item).decode("ascii") for item in self.attributes.get(key, {})["list"].get("s", [])]

    def numbers(self, key: str) -> list[int]:
        """A list of whole numbers (stored as texts)."""
        return [int(item) for item in self.attributes.get(key, {})["list"].get("i", [])]


@dataclass(frozen=True)
class Model:
    """A graph model: nodes by name, weights by name, and the signature (public name -> node name)."""

    nodes: Mapping[str, Node]
    weights: Mapping[str, NDArray[Any]]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def facemesh(src: Path, card: Card) -> bytes:
    """MediaPipe Face Mesh (Kartynnik et al. 2019, arXiv:1907.06724): facemesh.json, facemesh.bin beside it -> ONNX.

    Input: (N, 3, 192, 192) RGB in 0..1. Outputs: mesh (N, 1404), x y z of 468 points in pixels of the crop; score
    (N, 1), the probability that the crop shows a face. The contours, which nothing here uses, are left out.

    Raises:
        InputError: if the files are damaged or of another network.
    """
    model = read_model(src)
    try:
        wanted = {"mesh": model.outputs["output_mesh"], "score": model.outputs["output_faceflag"]}
        net = Net({}, card.id)
        _write(net, model, wanted)
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{src.name}: expected a Face Mesh graph, got a damaged or another one ({error!r})") from error
    shapes = {"mesh": ("batch", 3 * 468), "score": ("batch", 1)}
    return net.finish({"input": ("batch", 3, _MESH_SIZE, _MESH_SIZE)}, shapes)


def read_model(src: Path) -> Model:
    """Read the JSON and the files that its manifest names, which must lie beside it; InputError when damaged."""
    try:
        whole = json.loads(src.read_text(encoding="utf-8"))
        if whole.get("format") != _FORMAT:
            raise InputError(f"{src.name}: expected a TensorFlow.js graph model, got format {whole.get('format')!r}")
        weights: dict[str, NDArray[Any]] = {}
        for group in whole["weightsManifest"]:
            data = b"".join(_beside(src, name).read_bytes() for name in group["paths"])
            weights |= _weights(src.name, group["weights"], data)
        nodes = {
            item["name"]: Node(
                item["name"], item["op"], tuple(map(_plain, item.get("input", []))), item.get("attr", {})
            )
            for item in whole["modelTopology"]["node"]
        }
        sides = [{key: _plain(value["name"]) for key, value in whole["signature"][s].items()} for s in _SIDES]
        return Model(nodes, weights, *sides)
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{src.name}: expected a TensorFlow.js graph model, got a damaged one ({error!r})") from error


_SIDES = ("inputs", "outputs")


def _plain(name: str) -> str:
    return name.split(":")[0]


def _beside(src: Path, name: str) -> Path:
    path = src.parent / name
    if path.name != name or not path.is_file():
        raise InputError(f"{src.name}: expected the weight file {name!r} beside it, got none there")
    return path


def _weights(where: str, items: Sequence[Mapping[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for item in items:
        shape = [int(size) for size in item["shape"]]
        stored = item.get("quantization", {"dtype": item["dtype"]})["dtype"]
        if item["dtype"] not in ("float32", "int32") or stored not in ("float32", "int32", "float16") or min(shape) < 0:
            raise InputError(f"{where}: expected float32, float16 or int32 weights, got {item['dtype']} as {stored}")
        kind = np.dtype(stored).newbyteorder("<")
        count = math.prod(shape)
        if at + count * kind.itemsize > len(data):
            raise InputError(f"{where}: expected the values of {item['name']!r}, got the end of the weight file")
        values = np.frombuffer(data, kind, count, at)
        found[item["name"]] = values.reshape(shape).astype(item["dtype"])
        at += count * kind.itemsize
    if at != len(data):
        raise InputError(f"{where}: expected {at} bytes of weights, got {len(data)}")
    return found


def _write(net: Net, model: Model, wanted: Mapping[str, str]) -> None:
    """Translate every node that the wanted outputs need, each after what it reads."""
    done = {name: "input" for name in model.inputs.values()}
    if len(done) != 1:
        raise InputError(f"graph: expected one input, got {len(done)}")
    for name in _order(model.nodes, wanted.values()):
        node = model.nodes[name]
        if name in done or node.op == "Const":
            continue
        if node.op not in _RULES:
            raise InputError(f"graph: expected the operators {', '.join(sorted(_RULES))}; got {node.op} ({name!r})")
        constants = [model.weights[item] for item in node.inputs if model.nodes[item].op == "Const"]
        tensors = [done[item] for item in node.inputs if model.nodes[item].op != "Const"]
        done[name] = _RULES[node.op](net, node, tensors, constants)
    for public, name in wanted.items():
        net.node("Identity", [done[name]], to=public)


def _order(nodes: Mapping[str, Node], wanted: Sequence[str] | Any) -> list[str]:
    """Names of the needed nodes, sources first; a cycle is an InputError."""
    order: dict[str, None] = {}
    opened: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending[-1]
        missing = [item for item in nodes[name].inputs if item not in order]
        if name in order or not missing:
            order.setdefault(pending.pop())
            continue
        if name in opened:
            raise InputError(f"graph: expected no cycle, got one through {name!r}")
        opened.add(name)
        pending += missing
    return list(order)


_Rule = Callable[[Net, Node, list[str], list[NDArray[Any]]], str]


def _conv(net: Net, node: Node, tensors: list[str], constants: list[NDArray[Any]]) -> str:
    """Convolution (H, W, in, out) with bias and perhaps PRelu or Relu behind it."""
    kernel, bias, *slope = constants
    steps = node.words("fused_ops")
    if steps[:1] != ["BiasAdd"] or steps[1:] not in ([], ["Prelu"], ["Relu"]):
        raise InputError(f"graph: expected a convolution with bias and PRelu or Relu, got {steps} ({node.name!r})")
    weight = np.transpose(kernel, (3, 2, 0, 1))
    inputs = [tensors[0], net.constant(weight), net.constant(bias)]
    out = net.node("Conv", inputs, kernel_shape=list(weight.shape[2:]), **_placed(node))
    if steps[1:] == ["Prelu"]:
        return _prelu(net, node, [out], slope)
    return net.node("Relu", [out]) if steps[1:] else out


def _depthwise(net: Net, node: Node, tensors: list[str], constants: list[NDArray[Any]]) -> str:
    """Depthwise convolution (H, W, channels, multiplier)."""
    height, width, channels, many = constants[0].shape
    weight = np.transpose(constants[0], (2, 3, 0, 1)).reshape(channels * many, 1, height, width)
    inputs = [tensors[0], net.constant(weight)]
    return net.node("Conv", inputs, kernel_shape=[height, width], group=channels, **_placed(node))


def _placed(node: Node) -> dict[str, Any]:
    """Strides and padding; TensorFlow's SAME puts the odd pixel behind."""
    steps, padding = node.numbers("strides"), node.word("padding")
    dilated = "dilations" in node.attributes and node.numbers("dilations") != [1, 1, 1, 1]
    if node.word("data_format", "NHWC") != "NHWC" or padding not in ("SAME", "VALID") or len(steps) != 4 or dilated:
        raise InputError(f"graph: expected NHWC, SAME or VALID and no dilation, got another in {node.name!r}")
    return {"strides": steps[1:3], "auto_pad": "SAME_UPPER" if padding == "SAME" else "VALID"}


def _pool(net: Net, node: Node, tensors: list[str], constants: list[NDArray[Any]]) -> str:
    return net.node("MaxPool", tensors, kernel_shape=node.numbers("ksize")[1:3], **_placed(node))


def _prelu(net: Net, node: Node, tensors: list[str], constants: list[NDArray[Any]]) -> str:
    return net.node("PRelu", [*tensors, net.constant(constants[0].reshape(-1, 1, 1))])  # finish rewrites it


def _pad(net: Net, node: Node, tensors: list[str], constants: list[NDArray[Any]]) -> str:
    turned = constants[0].astype(np.int64)[[0, 3, 1, 2]]  # (axis, before | after)
    return net.node("Pad", [tensors[0], net.constant(turned.T.reshape(-1))])


def _reshape(net: Net, node: Node, tensors: list[str], constants: list[NDArray[Any]]) -> str:
    """(N, H, W, C) -> (N, values): the only reshape that any batch survives."""
    if constants[0].shape != (2,) or constants[0][0] != -1:
        raise InputError(f"graph: expected a reshape to rows, got one to {constants[0].tolist()} ({node.name!r})")
    last = net.node("Transpose", tensors, perm=[0, 2, 3, 1])
    return net.node("Reshape", [last, net.constant(np.array([0, constants[0][1]], np.int64))])


def _same(op: str) -> _Rule:
    return lambda net, node, tensors, constants: net.node(op, tensors)


_RULES: dict[str, _Rule] = {
    "_FusedConv2D": _conv,
    "DepthwiseConv2dNative": _depthwise,
    "MaxPool": _pool,
    "Prelu": _prelu,
    "Pad": _pad,
    "Reshape": _reshape,
    "AddV2": _same("Add"),
    "Sigmoid": _same("Sigmoid"),
    "Identity": _same("Identity"),
}
