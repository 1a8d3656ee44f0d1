"""CenterFace as shipped -> any batch, any height and width.

The published graph declares a fixed 10x3x32x32 input although it is fully convolutional, and lists its 194
initializers as inputs, which keeps ONNX Runtime from folding the batch normalizations. Its four heads are 1x1
convolutions of one map with 1, 2, 2 and 10 outputs, each padded to a block of channels when it runs: here they are one.
"""

from __future__ import annotations

from pathlib import Path

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
    graph.join_convolutions(model)
    graph.free_dims(
        model,
        {"input": ("batch", 3, "height", "width")} | {name: ("batch", None, "rows", "cols") for name in _OUTPUTS},
    )
    return graph.finish(model)
