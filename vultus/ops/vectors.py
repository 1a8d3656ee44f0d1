"""Vectors: unit length, cosine, fusion, best k, one byte per number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, U8, checked

__all__ = ["ByteCode", "cosine", "fuse", "top_k", "unit"]

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


@dataclass(frozen=True, slots=True, eq=False)
class ByteCode:
    """One byte per number of a unit vector, on a scale of its own for every dimension.

    Attributes:
        low: (D,) what byte 0 stands for; smaller numbers are cut off.
        high: (D,) what byte 255 stands for; larger numbers are cut off.
    """

    low: F32
    high: F32

    def __post_init__(self) -> None:
        low = checked("low", self.low, (None,))
        high = checked("high", self.high, low.shape)
        if not (low < high).all():
            raise InputError("low, high: expected low < high in every dimension")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def plain(cls, dim: int) -> ByteCode:
        """From -1 to 1 in each of `dim` dimensions: needs no data, and wastes most of its steps where dim is large."""
        return cls(np.full(dim, -1, np.float32), np.ones(dim, np.float32))

    @classmethod
    def fit(cls, vecs: ArrayLike, *, room: float = 0.25) -> ByteCode:
        """The scale of vectors: from the smallest to the largest number of each dimension, and room beyond them.

        Args:
            vecs: (N, D) vectors of any people, of the space whose vectors are to be kept; some hundreds.
            room: share of that range added on both sides, for vectors that were not seen.

        Raises:
            InputError: if there are fewer than two vectors, a number is not finite, or the room is negative.
        """
        rows = checked("vecs", vecs, (None, None), np.float64)
        if len(rows) < 2 or not room >= 0:
            raise InputError(f"vecs, room: expected two vectors or more and room >= 0, got {len(rows)} and {room}")
        low, high = rows.min(0), rows.max(0)
        beyond = np.maximum(room * (high - low), 1e-3)  # a dimension that never moves still has a scale
        return cls((low - beyond).astype(np.float32), (high + beyond).astype(np.float32))

    def encode(self, vecs: ArrayLike) -> U8:
        """(N, D) vectors -> (N, D) bytes.

        Raises:
            InputError: if the width is another or a number is not finite.
        """
        rows = checked("vecs", vecs, (None, len(self.low)), np.float64)
        share = (rows - self.low) / (self.high.astype(np.float64) - self.low)
        return np.asarray(np.clip(np.floor(255 * share + 0.5), 0, 255), np.uint8)

    def decode(self, codes: ArrayLike) -> F32:
        """(N, D) bytes -> (N, D) unit vectors.

        Raises:
            InputError: if they are no bytes or of another width.
        """
        bytes_ = np.asarray(codes)
        if bytes_.dtype != np.uint8 or bytes_.ndim != 2 or bytes_.shape[1] != len(self.low):
            raise InputError(f"codes: expected uint8 of shape (N, {len(self.low)}), got {bytes_.dtype} {bytes_.shape}")
        rows = self.low + bytes_ / 255.0 * (self.high.astype(np.float64) - self.low)
        return unit(rows) if len(rows) else rows.astype(np.float32)
