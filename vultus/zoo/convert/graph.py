"""Small surgery on ONNX graphs, each step exact.

Why (ONNX Runtime on CPUs): an initializer that is also a graph input counts as overridable, so nothing is folded into
the convolutions; fixed sizes forbid batches and other resolutions; PRelu leaves the blocked channel layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from vultus.errors import InputError

__all__ = [
    "constants",
    "finish",
    "free_batch",
    "free_dims",
    "free_size",
    "join_convolutions",
    "load",
    "rename",
    "split_prelu",
    "strip_initializers",
]

_BLOCK = 16  # output channels that ONNX Runtime computes together where the processor has AVX-512; 8 elsewhere


def load(src: Path) -> onnx.ModelProto:
    """Read an ONNX file; InputError when it is something else."""
    try:
        model = onnx.load_model_from_string(src.read_bytes())
    except Exception as error:  # protobuf raises its own DecodeError, which is private to its backend
        raise InputError(f"{src.name}: expected an ONNX model, got bytes that do not parse as one ({error})") from error
    if not model.graph.node or not model.graph.output:
        raise InputError(f"{src.name}: expected an ONNX model, got one without nodes or outputs")
    return model


def strip_initializers(model: onnx.ModelProto) -> None:
    """Make every initializer a constant: take it out of the graph inputs."""
    constant = {item.name for item in model.graph.initializer}
    kept = [item for item in model.graph.input if item.name not in constant]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # from version 4 on an initializer need not be an input


def free_dims(model: onnx.ModelProto, dims: Mapping[str, tuple[int | str | None, ...]]) -> None:
    """Declare other shapes of graph inputs and outputs: a number is fixed, a string is a free size, None keeps."""
    for item in [*model.graph.input, *model.graph.output]:
        for axis, want in zip(item.type.tensor_type.shape.dim, dims.get(item.name, ()), strict=False):
            if isinstance(want, str):
                axis.dim_param = want
            elif want is not None:
                axis.dim_value = want
    del model.graph.value_info[:]  # inferred for the old sizes


def free_batch(model: onnx.ModelProto) -> None:
    """Let any number of pictures through: symbolic first axis, and no reshape that spells out a batch of one.

    Reshape to [1, -1] would merge a batch into one row; it becomes [0, -1], where 0 keeps the incoming first axis.
    """
    values = constants(model)
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.input[1] not in values:
            continue
        shape = values[node.input[1]].copy()
        if shape.size and shape[0] == 1:
            shape[0] = 0
            name = f"{node.output[0]}__shape"
            model.graph.initializer.append(numpy_helper.from_array(shape.astype(np.int64), name))
            node.input[1] = name
    both = [*model.graph.input, *model.graph.output]
    free_dims(model, {item.name: ("batch",) for item in both})


def free_size(model: onnx.ModelProto) -> None:
    """Let any picture size through: NCHW inputs get a free height and width, outputs free inner axes."""
    dims: dict[str, tuple[int | str | None, ...]] = {}
    for item in model.graph.input:
        if len(item.type.tensor_type.shape.dim) == 4:
            dims[item.name] = (None, None, "height", "width")
    for item in model.graph.output:
        rank = len(item.type.tensor_type.shape.dim)
        dims[item.name] = (None, f"{item.name}_rows", None) if rank == 3 else (None, None, "rows", "cols")[:rank]
    free_dims(model, dims)


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors throughout the graph."""
    for node in model.graph.node:
        for many in (node.input, node.output):
            for at, name in enumerate(many):
                many[at] = names.get(name, name)
    for item in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        item.name = names.get(item.name, item.name)


def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Every initializer and Constant node by name."""
    found = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found


def split_prelu(model: onnx.ModelProto) -> None:
    """Rewrite PRelu, which ONNX Runtime computes outside the blocked layout of its convolutions, by what stays inside.

    One slope a per channel: PRelu(x) = x + (1 - a) Relu(-x), where the factors are depthwise 1x1 convolutions; they
    take the Relu and the sum along, so two passes over memory remain. One slope for all: LeakyRelu. Both equal PRelu
    up to the last rounding (about 1e-7 of |x|). Slopes of another shape and computed ones stay PRelu.
    """
    values, nodes = constants(model), []
    for node in model.graph.node:
        slope = values.get(node.input[1]) if node.op_type == "PRelu" else None
        if slope is not None and slope.size == 1:
            nodes.append(helper.make_node("LeakyRelu", [node.input[0]], [node.output[0]], alpha=float(slope.item())))
        elif slope is not None and slope.shape[-3:] == (slope.size, 1, 1):
            nodes += _depthwise(model, node, slope.reshape(-1, 1, 1, 1).astype(np.float32))
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _depthwise(model: onnx.ModelProto, node: onnx.NodeProto, slope: NDArray[np.float32]) -> list[onnx.NodeProto]:
    x, y = node.input[0], node.output[0]
    for name, value in ((f"{y}__minus", -np.ones_like(slope)), (f"{y}__rest", 1.0 - slope)):
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    each: dict[str, Any] = {"group": len(slope), "kernel_shape": [1, 1]}
    return [
        helper.make_node("Conv", [x, f"{y}__minus"], [f"{y}__negated"], **each),
        helper.make_node("Relu", [f"{y}__negated"], [f"{y}__below"]),
        helper.make_node("Conv", [f"{y}__below", f"{y}__rest"], [f"{y}__lifted"], **each),
        helper.make_node("Add", [f"{y}__lifted", x], [y]),
    ]


def join_convolutions(model: onnx.ModelProto) -> None:
    """Make one of the convolutions that read one map in one way (the heads of a detector), split afterwards; exact.

    ONNX Runtime computes output channels in blocks of 8 or 16, so heads with 2, 8 and 20 of them pay for up to 64.
    Only thin ones are joined: a wide map that is split again leaves the blocked layout, which costs more than it saves.
    """
    values, groups = constants(model), dict[str, list[onnx.NodeProto]]()
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] in values and not _attribute(node, "group", 1) > 1:
            same = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
            groups.setdefault(f"{node.input[0]} {len(node.input)} {same}", []).append(node)
    for heads in groups.values():
        sizes = [values[head.input[1]].shape[0] for head in heads]
        if len(heads) > 1 and max(sizes) < 2 * _BLOCK and any(size % _BLOCK for size in sizes):
            _join(model, heads, sizes, values)


def _join(
    model: onnx.ModelProto, heads: list[onnx.NodeProto], sizes: list[int], values: Mapping[str, NDArray[np.generic]]
) -> None:
    whole = f"{heads[0].output[0]}__joined"
    inputs = [heads[0].input[0]]
    for at in range(1, len(heads[0].input)):
        inputs.append(f"{whole}__{at}")
        joined = np.concatenate([values[head.input[at]] for head in heads])
        model.graph.initializer.append(numpy_helper.from_array(joined, inputs[-1]))
    first = helper.make_node("Conv", inputs, [whole])
    first.attribute.extend(heads[0].attribute)
    outputs = [head.output[0] for head in heads]
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if opset < 13:
        parts = helper.make_node("Split", [whole], outputs, axis=1, split=sizes)
    else:  # from opset 13 on the sizes are an input
        model.graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), f"{whole}__sizes"))
        parts = helper.make_node("Split", [whole, f"{whole}__sizes"], outputs, axis=1)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node is heads[0] or node.output[0] == outputs[0]:
            nodes += [first, parts]
        elif node.output[0] not in outputs:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def finish(model: onnx.ModelProto) -> bytes:
    """Drop what nothing uses, check the model, and serialize it the same way every time."""
    _prune(model.graph.initializer, {name for node in model.graph.node for name in node.input})
    model.doc_string = ""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _prune(items: Iterable[onnx.TensorProto], used: set[str]) -> None:
    kept = [item for item in items if item.name in used]
    del items[:]  # type: ignore[attr-defined]
    items.extend(kept)  # type: ignore[attr-defined]
