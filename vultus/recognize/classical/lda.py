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

from vultus.recognize.classical._discriminants import Discriminants
from vultus.recognize.classical._pair_scatter import directions, labeled, reduced

__all__ = ["Lda"]

F64 = NDArray[np.float64]


class Lda(Discriminants):
    """Learn discriminant directions of one space from labeled vectors. Keeps the contract of comparators.

    Args:
        dim: axes that are kept by PCA first; None takes the vectors as they are.
        kept: directions that are kept, at most one less than there are people; None keeps all of these.
        ridge: share of the mean variance that is added to the scatter within people.

    Raises:
        InputError: if a setting is out of range.
    """

    def fit(self, vectors: ArrayLike, people: ArrayLike) -> Lda:
        """Learn from (N, D) vectors of (N,) known people.

        Raises:
            InputError: if there are fewer than two people, nobody is there twice, or something is not finite.
        """
        rows, who = labeled(vectors, people)
        self._pca = reduced(rows, self.dim)
        values = self._along(rows)
        mean = values.mean(axis=0)
        counts = np.bincount(who)
        means = np.stack([np.bincount(who, column) for column in values.T], axis=1) / counts[:, None]
        inside, outside = values - means[who], (means - mean) * np.sqrt(counts)[:, None]
        columns, _ = directions(outside.T @ outside / len(rows), inside.T @ inside / len(rows), self.ridge)
        most = min(len(counts) - 1, columns.shape[1])
        self._mean, self._columns = mean, columns[:, : most if self.kept is None else min(self.kept, most)]
        return self
