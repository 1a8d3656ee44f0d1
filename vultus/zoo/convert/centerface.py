"""CenterFace as shipped -> any batch, any height and width.

The published graph declares a fixed 10x3x32x32 input although it is fully convolutional, and lists its 194
initializers as inputs, which keeps ONNX Runtime from folding the batch normalizations. Its four heads are 1x1
convolutions of one map with 1, 2, 2 and 10 outputs, each padded to a block of channels when it runs: here they are one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from vultus.errors import InputError
from vultus.zoo.cards import Card
from vultus.zoo.convert import graph

__all__ = ["convert"]

_OUTPUTS = ("heat", "scale", "offset", "points")  # (N,1|2|2|10,H/4,W/4), in the order in which the graph lists them


def convert(src: Path, card: Card) -> bytes:
    """Free the sizes, strip the initializers, name the outputs heat, scale, offset and points."""
    model = graph.load(src)
    graph.strip_initializers(model)
    if len(model.graph.input) != 1 or len(model.graph.output) != len(_OUTPUTS):
        raise InputError(f"{src.name}: expected 1 input and 4 outputs, got another graph than {card.id}")
    names = {model.graph.input[0].name: "input"}
    names |= {old.name: new for old, new in zip(model.graph.output, _OUTPUTS, strict=True)}
    graph.rename(model, names)
    _join_heads(model)
    graph.free_dims(
        model,
        {"input": ("batch", 3, "height", "width")} | {name: ("batch", None, "rows", "cols") for name in _OUTPUTS},
    )
    return graph.finish(model)


def _join_heads(model: onnx.ModelProto) -> None:
    """The convolutions behind the outputs become one, split afterwards; the sigmoid of heat comes after the split."""
    made = {name: node for node in model.graph.node for name in node.output}
    values = graph.constants(model)
    heads = [made[made["heat"].input[0]], *(made[name] for name in _OUTPUTS[1:])]
    sizes = [values[head.input[1]].shape[0] for head in heads if head.op_type == "Conv"]
    if made["heat"].op_type != "Sigmoid" or len(sizes) != len(heads) or len({head.input[0] for head in heads}) != 1:
        raise InputError("centerface: expected four convolutions of one map and a sigmoid behind the first, got others")
    for at, name in ((1, "heads__weight"), (2, "heads__bias")):
        joined = np.concatenate([values[head.input[at]] for head in heads])
        model.graph.initializer.append(numpy_helper.from_array(joined, name))
    kept = [node for node in model.graph.node if node not in heads and node is not made["heat"]]
    kept += [
        helper.make_node("Conv", [heads[0].input[0], "heads__weight", "heads__bias"], ["heads"], kernel_shape=[1, 1]),
        helper.make_node("Split", ["heads"], ["heat__raw", *_OUTPUTS[1:]], axis=1, split=sizes),
        helper.make_node("Sigmoid", ["heat__raw"], ["heat"]),
    ]
    del model.graph.node[:]
    model.graph.node.extend(kept)
