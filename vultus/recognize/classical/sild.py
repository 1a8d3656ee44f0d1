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

from vultus.recognize.classical._discriminants import Discriminants
from vultus.recognize.classical._pair_scatter import PairScatter, directions, labeled, reduced, seen

__all__ = ["Sild"]

F64 = NDArray[np.float64]


class Sild(Discriminants):
    """Learn discriminant directions of one space from pairs. Keeps the contract of comparators.

    Args:
        dim: axes that are kept by PCA first; None takes the vectors as they are.
        kept: directions that are kept; None keeps all, which whitens and still turns no vector away.
        ridge: share of the mean variance that is added to the scatter of one person.

    Raises:
        InputError: if a setting is out of range.
    """

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

    def _learned(self, mean: F64, scatter: PairScatter) -> Sild:
        columns, _ = directions(scatter.different, scatter.same, self.ridge)
        self._mean, self._columns = mean, columns[:, : self.kept]
        return self
