"""Networks small enough to compute by hand: block means of the input, written as ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, save


def block_means(path: Path, *, blocks: int = 4, batch: int | str = "N", size: int = 112, shift: float = 0.0) -> Path:
    """(N, 3, size, size) -> (N, 3 * blocks ** 2): the mean of each block of each channel, plus `shift`."""
    step, dim = size // blocks, 3 * blocks**2
    nodes = [
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[step, step], strides=[step, step]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Add", ["flat", "shift"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, size, size])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, dim])
    added = helper.make_tensor("shift", TensorProto.FLOAT, [1], [shift])
    graph = helper.make_graph(nodes, "block_means", [given], [made], [added])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def by_hand(crops: np.ndarray, *, blocks: int = 4, shift: float = 0.0) -> np.ndarray:
    """What `block_means` gives for uint8 crops under the ArcFace input convention, unit rows."""
    n, size = len(crops), crops.shape[1]
    x = (crops.astype(np.float64) - 127.5) / 127.5
    step = size // blocks
    means = x.reshape(n, blocks, step, blocks, step, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(n, -1) + shift
    return means / np.linalg.norm(means, axis=1, keepdims=True)
