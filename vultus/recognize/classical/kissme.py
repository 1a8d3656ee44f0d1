"""KISSME, keep it simple and straightforward metric: how differences of one person spread, against those of two.

Köstinger, Hirzer, Wohlhart, Roth and Bischof, "Large Scale Metric Learning from Equivalence Constraints", CVPR 2012,
doi:10.1109/CVPR.2012.6247939: both kinds of differences are Gaussian around 0, and the logarithm of the ratio of their
likelihoods is, up to a constant, the distance d' M d with M = inverse(S of one person) - inverse(S of two) (eq. 15),
brought to the nearest matrix without negative eigenvalues.

Differs: where people are known, every pair counts and none is drawn; the sums have a closed form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pca import Pca
from vultus.recognize.classical._pair_scatter import PairScatter, checked_dim, labeled, reduced, ridged, seen
from vultus.types import checked

__all__ = ["KissMe"]

F64 = NDArray[np.float64]


class KissMe:
    """Learn a distance of one space from pairs. Keeps the contract of comparators.

    Args:
        dim: axes that are kept by PCA first; None compares the vectors as they are.
        ridge: share of the mean variance that is added to both scatters.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(self, dim: int | None = None, *, ridge: float = 1e-6) -> None:
        checked_dim(dim, ridge)
        self.dim, self.ridge = dim, ridge
        self._pca: Pca | None = None
        self._metric: F64 | None = None
        self._root: F64 | None = None

    def __repr__(self) -> str:
        return f"KissMe(dim={self.dim}, ridge={self.ridge})"

    @property
    def metric(self) -> F64:
        """(K, K) the matrix M; of the kept axes where `dim` says so.

        Raises:
            InputError: if nothing was learned.
        """
        return self._fitted()[0]

    def fit(self, vectors: ArrayLike, people: ArrayLike) -> KissMe:
        """Learn from every pair of (N, D) vectors of (N,) known people.

        Raises:
            InputError: if there are fewer than two people, nobody is there twice, or something is not finite.
        """
        rows, who = labeled(vectors, people)
        self._pca = reduced(rows, self.dim)
        return self._learned(PairScatter.of_people(self._along(rows), who))

    def fit_pairs(self, left: ArrayLike, right: ArrayLike, same: ArrayLike) -> KissMe:
        """Learn from pairs of vectors, twice (P, D), of which (P,) show one person; nobody is known.

        Raises:
            InputError: if sizes disagree, one kind is missing, or something is not finite.
        """
        first, second, truth = seen(left, right, same)
        self._pca = reduced(np.concatenate([first, second]), self.dim)
        return self._learned(PairScatter.of_pairs(self._along(first), self._along(second), truth))

    def scores(self, a: ArrayLike, b: ArrayLike) -> F64:
        """Minus the learned squared distance of (N, D) from (M, D) vectors, (N, M).

        Raises:
            InputError: if nothing was learned, widths disagree or a number is not finite.
        """
        metric, root = self._fitted()
        width = len(metric) if self._pca is None else len(self._pca.mean)
        left, right = (
            self._along(checked(name, rows, (None, width), np.float64)) @ root for name, rows in (("a", a), ("b", b))
        )
        apart = np.square(left).sum(1)[:, None] + np.square(right).sum(1) - 2 * left @ right.T
        found: F64 = -np.maximum(apart, 0.0)
        return found

    def _learned(self, scatter: PairScatter) -> KissMe:
        one, two = (np.linalg.inv(ridged(part, self.ridge)) for part in (scatter.same, scatter.different))
        values, turn = np.linalg.eigh((one - two + (one - two).T) / 2)  # eq. 15
        root = turn * np.sqrt(np.maximum(values, 0.0))
        self._metric, self._root = root @ root.T, root
        return self

    def _fitted(self) -> tuple[F64, F64]:
        if self._metric is None or self._root is None:
            raise InputError("fit: expected a metric that has learned, got one that has not; call fit first")
        return self._metric, self._root

    def _along(self, rows: F64) -> F64:
        return rows if self._pca is None else self._pca.apply(rows)
