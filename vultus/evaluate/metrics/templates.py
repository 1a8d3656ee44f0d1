"""Templates: one vector from all pictures of a person that a protocol gives together, by the rule of the IJB sets.

The frames of a video say nearly the same thing and must not outvote the photographs: the vectors of each medium are
averaged first, then the media are added, and the sum is scaled to length 1 (Crosswhite et al. 2018, "Template
adaptation for face verification and identification", and the released evaluations of IJB-B and IJB-C).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import checked

__all__ = ["pooled"]


def pooled(
    vectors: ArrayLike,
    template: ArrayLike,
    media: ArrayLike,
    n_templates: int,
    *,
    weights: ArrayLike | None = None,
) -> NDArray[np.float32]:
    """Templates of many pictures.

    Args:
        vectors: (N, D) one row per picture.
        template: (N,) index of the template each belongs to, 0 to n_templates - 1.
        media: (N,) label of the photograph or video each is from; the same label in two templates is not the same.
        n_templates: T.
        weights: (N,) factor on each row, not negative, such as detection scores; None weighs all alike.

    Returns:
        (T, D) float32 of length 1; a row of zeros where a template has no picture, or its pictures cancel out.

    Raises:
        InputError: if shapes disagree, an index is out of range, or a weight is negative.
    """
    rows = checked("vectors", vectors, (None, None), np.float32)
    owner = checked("template", template, (len(rows),), np.int64)
    source = checked("media", media, (len(rows),), np.int64)
    factor = np.ones(len(rows)) if weights is None else checked("weights", weights, (len(rows),), np.float64)
    if len(rows) and (owner.min() < 0 or owner.max() >= n_templates or factor.min() < 0):
        raise InputError(
            f"template, weights: expected indices from 0 below {n_templates} and weights from 0, "
            f"got {owner.min()} to {owner.max()} and {factor.min():g} to {factor.max():g}"
        )
    result = np.zeros((n_templates, rows.shape[1]))
    order = np.lexsort((source, owner))
    new = np.ones(len(rows), bool)
    new[1:] = (owner[order][1:] != owner[order][:-1]) | (source[order][1:] != source[order][:-1])
    starts = np.flatnonzero(new)
    for first in range(0, len(starts), 4096):  # in parts, so that float64 copies stay small
        part = starts[first : first + 4096]
        stop = int(starts[first + 4096]) if first + 4096 < len(starts) else len(rows)
        taken = order[part[0] : stop]
        sums = np.add.reduceat(rows[taken].astype(np.float64) * factor[taken, None], part - part[0])
        sizes = np.diff(np.append(part, stop))
        np.add.at(result, owner[order[part]], sums / sizes[:, None])
    length = np.linalg.norm(result, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (result / np.where(length > 1e-12, length, np.inf)).astype(np.float32)
    return scaled
