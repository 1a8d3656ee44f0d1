"""The first picture of a person that is believed: the portrait, or what most of the pictures that name it agree on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.types import checked

__all__ = ["agreed_face", "main_face"]


def main_face(boxes: ArrayLike) -> int:
    """Index of the largest of (K, 4) boxes, whom a portrait with several faces is of; -1 where there is none.

    Raises:
        InputError: if they are no boxes.
    """
    edges = checked("boxes", boxes, (None, 4), np.float64)
    if not len(edges):
        return -1
    left, top, right, bottom = edges.T
    return int(np.argmax((right - left) * (bottom - top)))


def agreed_face(vectors: ArrayLike, threshold: float, at_least: int = 2) -> int:
    """The face that most others are like: of the person, where more pictures show the person than any one other.

    Args:
        vectors: (N, D) unit rows, faces that pictures with no other name and no other face show.
        threshold: cosine above which two are alike.
        at_least: how many must be alike to it.

    Returns:
        Its index, of equals the one that is most like them; -1 where no face has so many.

    Raises:
        InputError: if they are no vectors.
    """
    rows: NDArray[np.float32] = checked("vectors", vectors, (None, None))
    if len(rows) <= at_least:
        return -1
    table = rows @ rows.T
    np.fill_diagonal(table, -np.inf)
    alike = table > threshold
    count = alike.sum(axis=1)
    if count.max() < at_least:
        return -1
    most = np.flatnonzero(count == count.max())
    return int(most[np.where(alike, table, 0.0).sum(axis=1)[most].argmax()])
