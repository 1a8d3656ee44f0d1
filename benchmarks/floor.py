"""How many multiplications a network needs: counted on the graph and the shapes that were actually run.

Used inside the measured interpreters, so it needs onnx, onnxruntime and numpy only. Counted are convolutions,
transposed convolutions and matrix products, as direct sums (a Winograd kernel may use fewer); the rest is ignored.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["Recorder", "macs"]

_COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class Recorder:
    """Notes which graphs onnxruntime runs and on which shapes; `install` before any session is made."""

    def __init__(self) -> None:
        self.on = False
        self.runs: Counter[tuple[int, tuple[tuple[str, tuple[int, ...]], ...]]] = Counter()
        self.models: dict[int, Any] = {}

    def install(self) -> None:
        """Wrap onnxruntime's run."""
        import onnxruntime

        plain = onnxruntime.InferenceSession.run
        recorder = self

        def run(session: Any, names: Any, feeds: dict[str, Any], *more: Any, **options: Any) -> Any:
            if recorder.on:
                shapes = tuple(sorted((name, tuple(value.shape)) for name, value in feeds.items()))
                recorder.models.setdefault(id(session), session)
                recorder.runs[id(session), shapes] += 1
            return plain(session, names, feeds, *more, **options)

        onnxruntime.InferenceSession.run = run

    def total(self) -> float:
        """Multiply-adds of all noted runs."""
        self.on = False
        return float(
            sum(count * macs(_model(self.models[key]), dict(shapes)) for (key, shapes), count in self.runs.items())
        )


def _model(session: Any) -> bytes:
    held = getattr(session, "_model_bytes", None)
    if held:
        return bytes(held)
    with open(session._model_path, "rb") as file:
        return file.read()


def macs(model: bytes, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiply-adds of one run of a serialized ONNX graph on float32 inputs of these shapes."""
    import numpy as np
    import onnx
    import onnxruntime

    graph_model = onnx.load_from_string(model)
    graph = graph_model.graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in _COUNTED]
    wanted = dict.fromkeys(name for node in nodes for name in (node.input[0], node.output[0]))
    known = {item.name for item in graph.output}
    inputs = set(shapes)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known | inputs | set(weights))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    values = session.run(names, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    seen = {**weights, **shapes, **{name: tuple(value.shape) for name, value in zip(names, values, strict=True)}}
    return sum(_of(node, seen) for node in nodes)


def _of(node: Any, seen: dict[str, tuple[int, ...]]) -> int:
    def size(shape: tuple[int, ...]) -> int:
        product = 1
        for length in shape:
            product *= length
        return product

    first, second, out = seen[node.input[0]], seen.get(node.input[1], ()), seen[node.output[0]]
    if node.op_type == "Conv":
        return size(out) * size(second[1:])
    if node.op_type == "ConvTranspose":
        return size(first) * size(second[1:])
    if node.op_type == "Gemm":
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return size(out) * first[0 if turned else 1]
    return size(out) * first[-1]
