"""Fisher's linear discriminants: the directions in which people differ most, in units of how one person varies.

Fisher 1936, in the form of Belhumeur, Hespanha and Kriegman, "Eigenfaces vs. Fisherfaces: Recognition Using Class
Specific Linear Projection", IEEE TPAMI 19(7), 1997, doi:10.1109/34.598228: principal axes first, so that the scatter
within people has full rank, then the generalized eigenvectors of the scatter between against that within (eq. 4).

Differs: two projected vectors are compared by their cosine around the mean of training, which knows no length of a
vector; the paper takes the Euclidean neighbor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pca import Pca
from vultus.recognize.classical._pair_scatter import checked_dim, directions, labeled, reduced
from vultus.types import checked

__all__ = ["Lda"]

F64 = NDArray[np.float64]


class Lda:
    """Learn discriminant directions of one space from labeled vectors. Keeps the contract of comparators.

    Args:
        dim: axes that are kept by PCA first; None takes the vectors as they are.
        kept: directions that are kept, at most one less than there are people; None keeps all of these.
        ridge: share of the mean variance that is added to the scatter within people.

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
        return f"Lda(dim={self.dim}, kept={self.kept}, ridge={self.ridge})"

    @property
    def columns(self) -> F64:
        """(K, kept) directions, best first, in which the scatter within people is the identity.

        Raises:
            InputError: if nothing was learned.
        """
        return self._fitted()[1]

    def fit(self, vectors: ArrayLike, people: ArrayLike) -> Lda:
        """Learn from (N, D) vectors of (N,) known people.

        Raises:
            InputError: if there are fewer than two people, nobody is there twice, or something is not finite.
        """
        rows, who = labeled(vectors, people)
        self._pca = reduced(rows, self.dim)
        values = rows if self._pca is None else self._pca.apply(rows)
        mean = values.mean(axis=0)
        counts = np.bincount(who)
        means = np.stack([np.bincount(who, column) for column in values.T], axis=1) / counts[:, None]
        inside, outside = values - means[who], (means - mean) * np.sqrt(counts)[:, None]
        columns, _ = directions(outside.T @ outside / len(rows), inside.T @ inside / len(rows), self.ridge)
        most = min(len(counts) - 1, columns.shape[1])
        self._mean, self._columns = mean, columns[:, : most if self.kept is None else min(self.kept, most)]
        return self

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
        left, right = self._projected("a", a), self._projected("b", b)
        lengths = [np.linalg.norm(side, axis=1, keepdims=True) for side in (left, right)]
        sides = [side / np.where(size > 0, size, 1.0) for side, size in zip((left, right), lengths, strict=True)]
        found: F64 = sides[0] @ sides[1].T
        return found

    def _fitted(self) -> tuple[F64, F64]:
        if self._mean is None or self._columns is None:
            raise InputError("fit: expected directions that were learned, got none; call fit first")
        return self._mean, self._columns

    def _projected(self, name: str, rows: ArrayLike) -> F64:
        mean, columns = self._fitted()
        width = len(mean) if self._pca is None else len(self._pca.mean)
        values = checked(name, rows, (None, width), np.float64)
        found: F64 = ((values if self._pca is None else self._pca.apply(values)) - mean) @ columns
        return found
