"""One reference from the photos of one person, and which photos do not belong in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops import vectors as ops_vectors
from vultus.types import F32, Template, checked, is_number

__all__ = ["fuse_photos", "misfits"]


def fuse_photos(
    vectors: F32, media: Sequence[str], space: str, qualities: Sequence[float | None] | None = None
) -> Template:
    """Fuse the photos of one person: quality-weighted mean, unit length. The order of the photos does not matter.

    Args:
        vectors: (N, D) unit rows, N at least 1.
        media: N different keys of the pictures.
        space: embedding space of the vectors.
        qualities: N numbers in [0, 1]; photos without one (None) weigh as much as the mean of the others.

    Returns:
        The reference; its quality is the best of its photos, or None when none was assessed.

    Raises:
        InputError: if lengths differ, media repeat, a quality is outside [0, 1], or the vectors cancel out.
    """
    rows = checked("vectors", vectors, (None, None))
    if isinstance(media, str) or not all(isinstance(medium, str) for medium in media):
        raise InputError(f"media: expected a list of texts, one per vector, got {media!r}")
    if not len(rows) or len(media) != len(rows) or len(set(media)) != len(media):
        raise InputError(f"media: expected a different one per vector ({len(rows)}, at least 1), got {list(media)}")
    known, weights = _weights(qualities, len(rows))
    order = np.argsort(np.array(media), kind="stable")  # the rounding of a sum depends on its order: fix it
    vector = ops_vectors.fuse(rows[order], weights[order] if weights.any() else None)
    return Template(vector, space, max(known) if known else None, len(rows), tuple(media))


def misfits(vectors: F32, threshold: float) -> NDArray[np.bool_]:
    """Which photos of one enrollment look like another person than the rest.

    A photo is held against the mean of the others; it is a misfit below `threshold`. With two photos that disagree
    nobody can say which one is wrong, so both are marked; a single photo never is.

    Args:
        vectors: (N, D) unit rows that are said to show one person.
        threshold: cosine at a tolerable false match rate, such as that of 1 in 100.

    Returns:
        (N,) True where a photo does not fit.
    """
    rows = checked("vectors", vectors, (None, None), np.float64)
    marked = np.zeros(len(rows), np.bool_)
    if len(rows) < 2:
        return marked
    likeness = rows @ rows.T
    keep = np.arange(len(rows))
    while len(keep) >= 2:  # the worst one leaves first, so that it cannot drag good photos below the bar
        others = rows[keep].sum(0) - rows[keep]
        length = np.linalg.norm(others, axis=1)
        fit = (rows[keep] * others).sum(1) / np.where(length > 0, length, 1.0)
        if fit.min() >= threshold:
            break
        if len(keep) == 2:
            marked[keep] = likeness[keep[0], keep[1]] < threshold
            break
        worst = int(np.argmin(fit))
        marked[keep[worst]] = True
        keep = np.delete(keep, worst)
    return marked


def _weights(qualities: Sequence[float | None] | None, n: int) -> tuple[list[float], NDArray[np.float64]]:
    """The known qualities, and a weight for every photo."""
    given = [None] * n if qualities is None else list(qualities)
    if len(given) != n:
        raise InputError(f"qualities: expected one per vector ({n}), got {len(given)}")
    if not all(q is None or is_number(q) for q in given):
        raise InputError(f"qualities: expected numbers in [0, 1] or None, got {given}")
    known = [float(q) for q in given if q is not None]
    if any(not 0.0 <= q <= 1.0 for q in known):
        raise InputError(f"qualities: expected numbers in [0, 1], got {known}")
    usual = float(np.mean(known)) if known else 1.0
    return known, np.array([usual if q is None else float(q) for q in given])
