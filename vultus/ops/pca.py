"""Principal components: the few directions along which vectors differ most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import checked

__all__ = ["Pca", "pca"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pca:
    """A mean and orthonormal axes through it.

    Attributes:
        mean: (D,).
        axes: (K, D) orthonormal rows, the axis of most variance first; the largest component of each is positive.
        variances: (K,) of the vectors it was made of, along each axis (divided by N - 1).
        explained: share of all variance that the K axes hold.
    """

    mean: F64
    axes: F64
    variances: F64
    explained: float

    def apply(self, rows: ArrayLike) -> F64:
        """(N, D) vectors -> (N, K) coordinates along the axes.

        Raises:
            InputError: if they have another width or a number is not finite.
        """
        found: F64 = (checked("rows", rows, (None, len(self.mean)), np.float64) - self.mean) @ self.axes.T
        return found

    def invert(self, coordinates: ArrayLike) -> F64:
        """(N, K) coordinates -> (N, D) vectors, without what lies across the axes.

        Raises:
            InputError: if they have another width or a number is not finite.
        """
        found: F64 = checked("coordinates", coordinates, (None, len(self.axes)), np.float64) @ self.axes + self.mean
        return found


def pca(rows: ArrayLike, dim: int | None = None) -> Pca:
    """Principal components of vectors.

    Args:
        rows: (N, D), at least two.
        dim: K, how many axes; None keeps every one along which the vectors differ.

    Raises:
        InputError: if there are fewer than two vectors, all are equal, a number is not finite, or they do not differ in
            `dim` directions.
    """
    values = checked("rows", rows, (None, None), np.float64)
    if len(values) < 2:
        raise InputError(f"rows: expected at least two vectors to find axes in, got {len(values)}")
    mean: F64 = values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(values - mean, full_matrices=False)
    rounding = np.abs(values).max(initial=0.0) * max(values.shape) * np.finfo(np.float64).eps
    found = int((sizes > max(float(sizes.max(initial=0.0)) * 1e-12, rounding)).sum())
    if not found:
        raise InputError(f"rows: expected vectors that differ, got {len(values)} equal ones")
    keep = found if dim is None else dim
    if not 1 <= keep <= found:
        raise InputError(
            f"dim: expected 1 to {found} axes, as many as {len(values)} vectors of width {values.shape[1]} differ in, "
            f"got {keep}"
        )
    variances: F64 = np.square(sizes) / (len(values) - 1)
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    return Pca(mean, axes[:keep], variances[:keep], float(variances[:keep].sum() / variances.sum()))
