"""Pictures whose five points are known, so that nothing is detected: read, cut, embedded by the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Aligner, Embedder
from vultus.errors import InputError
from vultus.types import F32, U8, Embedded

__all__ = ["embedded_crops"]

Item = TypeVar("Item")


def embedded_crops(
    items: Iterable[Item],
    read: Callable[[Item], U8],
    points: Callable[[Item, U8], F32],
    embedder: Embedder,
    aligner: Aligner,
    batch: int,
) -> tuple[Embedded, NDArray[np.bool_]]:
    """Vectors of the pictures that can be decoded, in order, and True for each of them.

    Args:
        items: N pictures, by whatever `read` knows them.
        read: the pixels of one; one that it refuses counts as one without a face.
        points: (5, 2) of one, given its pixels.
        embedder: of crops.
        aligner: cuts the embedder's crop.
        batch: crops in one call.
    """
    found: list[bool] = []
    crops: list[U8] = []
    parts: list[Embedded] = []
    for item in items:
        try:
            pixels = read(item)
        except InputError:
            found.append(False)
            continue
        crops.append(aligner.align(pixels, points(item, pixels)[None], embedder.crop)[0])
        found.append(True)
        if len(crops) == batch:
            parts.append(embedder.embed(np.concatenate(crops)))
            crops.clear()
    if crops:
        parts.append(embedder.embed(np.concatenate(crops)))
    rows = np.concatenate([part.vec for part in parts]) if parts else np.zeros((0, embedder.dim), np.float32)
    lengths = [part.norm for part in parts if part.norm is not None]
    told = bool(parts) and len(lengths) == len(parts)
    return Embedded(rows, embedder.space, np.concatenate(lengths) if told else None), np.array(found, bool)
