"""Directions that were learned, and the comparison of what lies along them: what Fisher's and SILD's share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pca import Pca
from vultus.recognize.classical._pair_scatter import checked_dim
from vultus.types import checked

__all__ = ["Discriminants"]

F64 = NDArray[np.float64]


class Discriminants:
    """Compares vectors of one space by the cosine of their projections around the mean of training.

    Args:
        dim: axes that are kept by PCA first; None takes the vectors as they are.
        kept: directions that are kept; None keeps all.
        ridge: share of the mean variance that is added to the scatter within.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(self, dim: int | None = None, kept: int | None = None, *, ridge: float = 1e-6) -> None:
        checked_dim(dim, ridge)
        if kept is not None and kept < 1:
            raise InputError(f"kept: expected at least 1 direction or None, got {kept}")
        self.dim, self.kept, self.ridge = dim, kept, ridge
        self._pca: Pca | None = None
        self._mean: F64 | None = None
        self._columns: F64 | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim}, kept={self.kept}, ridge={self.ridge})"

    @property
    def columns(self) -> F64:
        """(K, kept) directions, best first, in which the differences of one person spread alike.

        Raises:
            InputError: if nothing was learned.
        """
        return self._fitted()[1]

    def project(self, vectors: ArrayLike) -> F64:
        """(N, D) vectors -> (N, kept) coordinates along the directions, from the mean of training.

        Raises:
            InputError: if nothing was learned, the width is another or a number is not finite.
        """
        return self._projected("vectors", vectors)

    def scores(self, a: ArrayLike, b: ArrayLike) -> F64:
        """Cosine of the projections of (N, D) and (M, D) vectors, (N, M); 0 for one without any.

        Raises:
            InputError: if nothing was learned, widths disagree or a number is not finite.
        """
        left, right = (_unit(self._projected(name, rows)) for name, rows in (("a", a), ("b", b)))
        found: F64 = left @ right.T
        return found

    def _along(self, rows: F64) -> F64:
        return rows if self._pca is None else self._pca.apply(rows)

    def _fitted(self) -> tuple[F64, F64]:
        if self._mean is None or self._columns is None:
            raise InputError("fit: expected directions that were learned, got none; call fit first")
        return self._mean, self._columns

    def _projected(self, name: str, rows: ArrayLike) -> F64:
        mean, columns = self._fitted()
        width = len(mean) if self._pca is None else len(self._pca.mean)
        found: F64 = (self._along(checked(name, rows, (None, width), np.float64)) - mean) @ columns
        return found


def _unit(rows: F64) -> F64:
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    found: F64 = rows / np.where(size > 0, size, 1.0)
    return found
