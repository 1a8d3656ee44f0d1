"""Joint Bayes: how likely two vectors are of one person rather than of two, from how people differ and how one varies.

Chen, Cao, Wang, Wen and Sun, "Bayesian Face Revisited: A Joint Formulation", ECCV 2012,
doi:10.1007/978-3-642-33712-3_41: a vector is x = mu + eps, who it is plus what varies between pictures of one person,
both Gaussian with covariances `between` and `within`; two vectors are compared by the logarithm of the ratio of their
likelihoods as one person and as two (eq. 4). The same model with moments in place of likelihood is the two-covariance
form of PLDA (Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006, doi:10.1007/11744085_41).

Differs: EM keeps the posterior covariances of mu and eps, which the printed M-step leaves out; without them it does not
climb the likelihood and underestimates both covariances (`fit_by="published"` runs it as printed). The ratio keeps its
constant and its factor 1/2, so that 0 means as likely one person as two. It is computed along the axes in which both
covariances are diagonal, so nothing of size 2D is ever built.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pca import Pca
from vultus.recognize.classical._covariances import Model, Seen
from vultus.recognize.classical._pair_scatter import checked_dim, reduced
from vultus.types import checked

__all__ = ["JointBayes"]

F64 = NDArray[np.float64]
FitBy = Literal["em", "published", "moments"]


class JointBayes:
    """Learn from labeled vectors of one space, then compare others of it. Keeps the contract of comparators.

    Args:
        dim: axes that are kept by PCA first; None compares the vectors as they are.
        fit_by: "em", by likelihood; "published", EM without posterior covariances, as printed; "moments", closed form.
        ridge: share of the mean variance that is added to the diagonal of `within`; above 0 it allows fewer pictures
            than dimensions, at a price: what never varied in training is then a weak witness, not a perfect one.
        iterations: of EM, at most.
        tolerance: EM ends when the mean log likelihood of a vector gains less.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self,
        dim: int | None = None,
        fit_by: FitBy = "em",
        *,
        ridge: float = 0.0,
        iterations: int = 100,
        tolerance: float = 1e-6,
    ) -> None:
        checked_dim(dim, ridge)
        if fit_by not in ("em", "published", "moments"):
            raise InputError(f'fit_by: expected "em", "published" or "moments", got {fit_by!r}')
        if iterations < 1 or not tolerance >= 0:
            raise InputError(f"iterations, tolerance: expected at least 1 and 0, got {iterations}, {tolerance}")
        self.dim, self.fit_by, self.ridge = dim, fit_by, ridge
        self.iterations, self.tolerance = iterations, tolerance
        self.likelihoods: tuple[float, ...] = ()
        """Mean log likelihood of a training vector, before each round of EM and after the last."""
        self._pca: Pca | None = None
        self._model: Model | None = None

    def __repr__(self) -> str:
        return (
            f"JointBayes(dim={self.dim}, fit_by={self.fit_by!r}, ridge={self.ridge}, iterations={self.iterations}, "
            f"tolerance={self.tolerance})"
        )

    @property
    def mean(self) -> F64:
        """(D,) of all pictures; of the kept axes where `dim` says so, and so are both covariances."""
        return self._fitted().mean

    @property
    def between(self) -> F64:
        """(D, D) covariance of who people are."""
        return self._fitted().between

    @property
    def within(self) -> F64:
        """(D, D) covariance of what varies between pictures of one person."""
        return self._fitted().within

    @classmethod
    def of(cls, mean: ArrayLike, between: ArrayLike, within: ArrayLike) -> JointBayes:
        """A model of known mean and covariances, such as were learned and kept before.

        Raises:
            InputError: if shapes disagree, or `within` is not positive definite or `between` has a negative variance.
        """
        center = checked("mean", mean, (None,), np.float64)
        size = (len(center), len(center))
        made = cls()
        made._model = Model(
            center, checked("between", between, size, np.float64), checked("within", within, size, np.float64)
        )
        return made

    def fit(self, vectors: ArrayLike, people: ArrayLike) -> JointBayes:
        """Learn both covariances.

        Args:
            vectors: (N, D) of several people, some with several pictures.
            people: (N,) who is on each, numbers or names.

        Returns:
            Itself.

        Raises:
            InputError: if there are fewer than two people, one picture a person, too few pictures for the dimensions,
                or something is not finite.
        """
        rows = checked("vectors", vectors, (None, None), np.float64)
        names = np.asarray(people)
        if names.shape != rows.shape[:1]:
            raise InputError(f"people: expected one for each of {len(rows)} vectors, got shape {names.shape}")
        _, whose = np.unique(names, return_inverse=True)
        self._pca = reduced(rows, self.dim)
        seen = Seen.of(rows if self._pca is None else self._pca.apply(rows), whose.astype(np.int64))
        seen.check(self.ridge)
        mean, between, within = seen.mean, seen.moments(), self._ridged(seen.scatter / (seen.n - len(seen.counts)))
        self.likelihoods = ()
        if self.fit_by != "moments":
            start = np.cov(seen.means.T, ddof=0).reshape(within.shape)  # no direction may start at 0: it would stay
            between = start + 1e-6 * (np.trace(start) / len(start) or 1.0) * np.eye(len(start))
            between, within = self._climbed(seen, between, within)
        self._model = Model(mean, between, within)
        return self

    def scores(self, a: ArrayLike, b: ArrayLike) -> F64:
        """Log likelihood ratio of every row of `a` with every row of `b`.

        Args:
            a: (N, D).
            b: (M, D).

        Returns:
            (N, M) natural logarithms: above 0 where one person is the likelier cause.

        Raises:
            InputError: if nothing was learned, widths disagree or a number is not finite.
        """
        model = self._fitted()
        left, right = self._along("a", a), self._along("b", b)
        own = [np.square(side) @ model.own for side in (left, right)]
        ratio: F64 = (left * model.cross) @ right.T - own[0][:, None] - own[1] + model.constant
        return ratio

    def pairs(self, a: ArrayLike, b: ArrayLike) -> F64:
        """Log likelihood ratio of each row of `a` with the same row of `b`, (N,).

        Raises:
            InputError: as `scores`, or if they are not as many.
        """
        model = self._fitted()
        left, right = self._along("a", a), self._along("b", b)
        if left.shape != right.shape:
            raise InputError(f"a, b: expected as many rows in both, got {len(left)} and {len(right)}")
        ratio: F64 = (left * model.cross * right - (left**2 + right**2) * model.own).sum(axis=1) + model.constant
        return ratio

    def _fitted(self) -> Model:
        if self._model is None:
            raise InputError("fit: expected a model that has learned, got one that has not; call fit first")
        return self._model

    def _along(self, name: str, rows: ArrayLike) -> F64:
        """Coordinates in which `within` is 1 and `between` diagonal."""
        model = self._fitted()
        width = len(model.mean) if self._pca is None else len(self._pca.mean)
        values = checked(name, rows, (None, width), np.float64)
        along: F64 = ((values if self._pca is None else self._pca.apply(values)) - model.mean) @ model.axes
        return along

    def _ridged(self, within: F64) -> F64:
        ridged: F64 = within + self.ridge * np.trace(within) / len(within) * np.eye(len(within))
        return ridged

    def _climbed(self, seen: Seen, between: F64, within: F64) -> tuple[F64, F64]:
        found = []
        for _ in range(self.iterations):
            model = Model(seen.mean, between, within)
            found.append(seen.likelihood(model))
            if len(found) > 1 and abs(found[-1] - found[-2]) < self.tolerance:
                break
            between, within = seen.updated(model, posterior=self.fit_by == "em")
            within = self._ridged(within)
        else:
            found.append(seen.likelihood(Model(seen.mean, between, within)))
        self.likelihoods = tuple(found)
        return between, within
