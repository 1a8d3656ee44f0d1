"""A small network as published weights, and converters; also for the processes that tests start."""

import os
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def tiny_model(seed: int = 0, padding: int = 0) -> bytes:
    """One convolution whose weights are also graph inputs, with PRelu and a fixed batch: what converters must mend."""
    rng = np.random.default_rng(seed)
    weight, slope = rng.normal(size=(4, 3, 3, 3)), rng.uniform(0, 1, size=(4, 1, 1))
    constants = [
        numpy_helper.from_array(weight.astype(np.float32), "weight"),
        numpy_helper.from_array(slope.astype(np.float32), "slope"),
        numpy_helper.from_array(np.array([1, -1], np.int64), "flat"),
        numpy_helper.from_array(np.zeros(padding, np.float32), "unused"),
    ]
    nodes = [
        helper.make_node("Conv", ["picture", "weight"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Reshape", ["b", "flat"], ["vector"]),
    ]
    given = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 4, 4])]
    given += [helper.make_tensor_value_info(c.name, c.data_type, list(c.dims)) for c in constants]
    made = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 64])]
    graph = helper.make_graph(nodes, "tiny", given, made, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def keep_all(src: Path, card) -> bytes:
    return src.read_bytes()


def wait_forever(src: Path, card) -> bytes:
    Path(os.environ["VULTUS_HOME"], "converting").touch()
    time.sleep(120)
    return b""
