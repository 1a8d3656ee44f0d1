"""ArcFace- and SCRFD-style ONNX exports -> graphs that batch and that ONNX Runtime can fuse."""

from __future__ import annotations

from pathlib import Path

from vultus.zoo.cards import Card
from vultus.zoo.convert import graph

__all__ = ["clean", "convert"]


def clean(src: Path, card: Card) -> bytes:
    """Only make the initializers constants; sizes stay as published."""
    model = graph.load(src)
    graph.strip_initializers(model)
    return graph.finish(model)


def convert(src: Path, card: Card) -> bytes:
    """Constants, free batch (and free height and width where the card fixes none), PRelu rewritten, heads joined."""
    model = graph.load(src)
    graph.strip_initializers(model)
    graph.free_batch(model)
    if card.input_hw is None:
        graph.free_size(model)
    graph.split_prelu(model)
    graph.join_convolutions(model)
    return graph.finish(model)
