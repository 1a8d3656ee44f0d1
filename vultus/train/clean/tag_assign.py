"""Which face of a page each of its names belongs to: one to one, by likeness, or to none.

Yi, Lei, Liao and Li, "Learning Face Representation from Scratch", 2014, arXiv:1411.7923, section 3.

Differs: a name without a face that is alike enough gets none, and likeness below the bar does not weigh in the choice
of the others (there, low likeness is rejected after all names are given out).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.assignment import assign
from vultus.types import checked

__all__ = ["tag_faces"]


def tag_faces(likeness: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Give every name a face of its own, such that together they exceed the threshold by most.

    Args:
        likeness: (T, K) of each name's person to each face.
        threshold: a face below it is nobody's; at it, too.

    Returns:
        (T,) face of each name, -1 where it has none.

    Raises:
        InputError: if it is no table, or a number is not finite.
    """
    table = checked("likeness", likeness, (None, None), np.float64)
    if not np.isfinite(threshold):
        raise InputError(f"threshold: expected a finite number, got {threshold}")
    over = np.maximum(table - threshold, 0.0)
    found = assign(over)
    made = np.flatnonzero(found >= 0)
    found[made[over[made, found[made]] <= 0]] = -1
    return found
