"""Vectors: unit length, cosine, fusion, best k."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, checked

__all__ = ["cosine", "fuse", "top_k", "unit"]

F64 = NDArray[np.float64]


def unit(x: ArrayLike, axis: int = -1) -> F32:
    """Scale vectors to length 1.

    Args:
        x: any shape with vectors along `axis`.
        axis: where the components lie.

    Returns:
        Same shape, float32.

    Raises:
        InputError: if a vector has length zero or holds NaN or infinity: it has no direction.
    """
    values: F64 = np.asarray(x, np.float64)
    if values.ndim == 0:
        raise InputError("x: expected vectors, got a single number")
    if not np.isfinite(values).all():
        raise InputError("x: expected finite numbers, got NaN or infinity")
    largest = np.abs(values).max(axis=axis, keepdims=True, initial=0.0)
    if (largest == 0).any():
        raise InputError(f"x: expected vectors with a direction, got {int((largest == 0).sum())} of length zero")
    values = values / largest  # neither overflow nor underflow when squared
    rows: F64 = values / np.linalg.norm(values, axis=axis, keepdims=True)
    return rows.astype(np.float32)


def cosine(a: ArrayLike, b: ArrayLike) -> F32:
    """Cosine of every row of `a` with every row of `b`; rows need not be of unit length.

    Args:
        a: (N, D).
        b: (M, D).

    Returns:
        (N, M) in [-1, 1].

    Raises:
        InputError: if the widths differ, a row has no direction or a number is not finite.
    """
    left = checked("a", a, (None, None))
    right = checked("b", b, (None, left.shape[1]))
    if len(left) == 0 or len(right) == 0:
        return np.zeros((len(left), len(right)), np.float32)
    likeness: F32 = np.clip(unit(left) @ unit(right).T, -1.0, 1.0)
    return likeness


def fuse(vecs: ArrayLike, weights: ArrayLike | None = None) -> F32:
    """One template from several: the weighted mean, scaled to unit length.

    Args:
        vecs: (N, D), N at least 1.
        weights: (N,) not negative, such as qualities; None weighs all alike.

    Returns:
        (D,) unit length.

    Raises:
        InputError: if there is no vector, a weight is negative, all weights are zero or the vectors cancel out.
    """
    rows = checked("vecs", vecs, (None, None), np.float64)
    if len(rows) == 0:
        raise InputError("vecs: expected at least one vector to fuse, got none")
    share = np.ones(len(rows)) if weights is None else checked("weights", weights, (len(rows),), np.float64)
    if (share < 0).any() or share.sum() == 0:
        raise InputError(f"weights: expected numbers >= 0 and at least one above 0, got {share.tolist()}")
    mean = (share / share.sum()) @ rows
    if np.linalg.norm(mean) <= 1e-12 * np.linalg.norm(rows, axis=1).max():
        raise InputError("vecs: expected vectors that agree on a direction, got vectors that cancel out")
    return unit(mean)


def top_k(scores: ArrayLike, k: int) -> NDArray[np.int64]:
    """Indices of the k best scores of each row.

    Args:
        scores: (Q, N) higher is better.
        k: how many, at least 1; with fewer than k columns all are returned.

    Returns:
        (Q, min(k, N)) column indices, best first; equal scores rank by index.

    Raises:
        InputError: if k is below 1 or a score is not finite.
    """
    dtype = np.asarray(scores).dtype
    rows = checked("scores", scores, (None, None), dtype if dtype.kind == "f" else np.float64)
    if k < 1:
        raise InputError(f"k: expected at least 1, got {k}")
    k = min(k, rows.shape[1])
    best = np.empty((len(rows), k), np.int64)
    for row, out in zip(rows, best, strict=True):
        if k:
            bar = np.partition(row, len(row) - k)[len(row) - k]
            above = np.flatnonzero(row > bar)
            above = above[np.argsort(-row[above], kind="stable")]
            out[:] = np.concatenate([above, np.flatnonzero(row == bar)[: k - len(above)]])
    return best
