"""SILD, discriminants from side information: pairs that show one person or two, and nobody's name.

Kan, Shan, Xu and Chen, "Side-Information based Linear Discriminant Analysis for Face Recognition", BMVC 2011,
doi:10.5244/C.25.125: the scatter within is that of the differences of pairs of one person, the scatter between that of
pairs of two; the directions are the generalized eigenvectors, and two projected vectors are compared by their cosine.
Where everybody has as many pictures and all pairs are listed the directions are those of Fisher.

Differs: vectors are centered on the mean of training before the cosine; a ridge takes the place of the null space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pca import Pca
from vultus.recognize.classical._pair_scatter import PairScatter, checked_dim, directions, labeled, reduced, seen
from vultus.types import checked

__all__ = ["Sild"]

F64 = NDArray[np.float64]


class Sild:
    """Learn discriminant directions of one space from pairs. Keeps the contract of comparators.

    Args:
        dim: axes that are kept by PCA first; None takes the vectors as they are.
        kept: directions that are kept; None keeps all, which whitens and still turns no vector away.
        ridge: share of the mean variance that is added to the scatter of one person.

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
        return f"Sild(dim={self.dim}, kept={self.kept}, ridge={self.ridge})"

    @property
    def columns(self) -> F64:
        """(K, kept) directions, best first, in which differences of one person spread alike.

        Raises:
            InputError: if nothing was learned.
        """
        return self._fitted()[1]

    def fit(self, vectors: ArrayLike, people: ArrayLike) -> Sild:
        """Learn from every pair of (N, D) vectors of (N,) known people.

        Raises:
            InputError: if there are fewer than two people, nobody is there twice, or something is not finite.
        """
        rows, who = labeled(vectors, people)
        self._pca = reduced(rows, self.dim)
        values = self._along(rows)
        return self._learned(values.mean(axis=0), PairScatter.of_people(values, who))

    def fit_pairs(self, left: ArrayLike, right: ArrayLike, same: ArrayLike) -> Sild:
        """Learn from pairs of vectors, twice (P, D), of which (P,) show one person; nobody is known.

        Raises:
            InputError: if sizes disagree, one kind is missing, or something is not finite.
        """
        first, second, truth = seen(left, right, same)
        both = np.concatenate([first, second])
        self._pca = reduced(both, self.dim)
        scatter = PairScatter.of_pairs(self._along(first), self._along(second), truth)
        return self._learned(self._along(both).mean(axis=0), scatter)

    def scores(self, a: ArrayLike, b: ArrayLike) -> F64:
        """Cosine of the projections of (N, D) and (M, D) vectors, (N, M); 0 for one without any.

        Raises:
            InputError: if nothing was learned, widths disagree or a number is not finite.
        """
        mean, columns = self._fitted()
        width = len(mean) if self._pca is None else len(self._pca.mean)
        sides = []
        for name, rows in (("a", a), ("b", b)):
            along = (self._along(checked(name, rows, (None, width), np.float64)) - mean) @ columns
            size = np.linalg.norm(along, axis=1, keepdims=True)
            sides.append(along / np.where(size > 0, size, 1.0))
        found: F64 = sides[0] @ sides[1].T
        return found

    def _learned(self, mean: F64, scatter: PairScatter) -> Sild:
        columns, _ = directions(scatter.different, scatter.same, self.ridge)
        self._mean, self._columns = mean, columns[:, : self.kept]
        return self

    def _fitted(self) -> tuple[F64, F64]:
        if self._mean is None or self._columns is None:
            raise InputError("fit: expected directions that were learned, got none; call fit first")
        return self._mean, self._columns

    def _along(self, rows: F64) -> F64:
        return rows if self._pca is None else self._pca.apply(rows)
