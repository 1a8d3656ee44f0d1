"""Two covariances, between people and within one: the model, and what it needs of the vectors it is learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError

__all__ = ["Model", "Seen"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Model:
    """Both covariances, and the axes in which `within` is the identity and `between` is diag(psi).

    Attributes:
        mean, between, within: (D,), (D, D), (D, D).
        axes: (D, D) columns; (x - mean) @ axes are the coordinates.
        back: (D, D) the inverse of `axes`, transposed: back @ diag(psi) @ back.T is `between`.
        psi: (D,) variances between people where those within one are 1.
        cross, own: (D,) of the ratio: it is the sum of cross * x * y - own * (x^2 + y^2), plus `constant`.
        log_det: logarithm of the determinant of `within`.
    """

    def __init__(self, mean: F64, between: F64, within: F64) -> None:
        try:
            lower = np.linalg.cholesky(within)
        except np.linalg.LinAlgError as error:
            raise InputError(
                "within: expected a covariance of full rank, got one that is singular: a person's pictures vary in "
                "too few directions; keep fewer axes with dim=, or give a ridge= above 0"
            ) from error
        half = np.linalg.solve(lower, between)
        psi, turn = np.linalg.eigh(np.linalg.solve(lower, half.T))
        if psi.min(initial=0.0) < -1e-8 * max(1.0, psi.max(initial=0.0)):
            raise InputError(f"between: expected a covariance, got one with a negative variance ({psi.min():.3g})")
        self.mean, self.between, self.within = mean, between, within
        self.axes: F64 = np.linalg.solve(lower.T, turn)
        self.back: F64 = lower @ turn
        self.psi: F64 = np.maximum(psi, 0.0)
        self.cross: F64 = self.psi / (1 + 2 * self.psi)
        self.own: F64 = self.psi**2 / (2 * (1 + self.psi) * (1 + 2 * self.psi))
        self.constant = float((np.log1p(self.psi) - np.log1p(2 * self.psi) / 2).sum())
        self.log_det = float(2 * np.log(np.diag(lower)).sum())


@dataclass(frozen=True, eq=False)
class Seen:
    """What likelihood and moments need of the training vectors: the rest of them does not matter.

    Attributes:
        mean: (D,) of all vectors.
        means: (K, D) of each person, less `mean`.
        counts: (K,) vectors of each person.
        scatter: (D, D) sum over vectors of the outer product of their difference from their person's mean.
    """

    mean: F64
    means: F64
    counts: I64
    scatter: F64

    @classmethod
    def of(cls, rows: F64, whose: I64) -> Seen:
        counts = np.bincount(whose)
        mean: F64 = rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1])
        means = np.zeros((len(counts), rows.shape[1]))
        np.add.at(means, whose, rows - mean)
        means /= counts[:, None]
        apart = rows - mean - means[whose]
        return cls(mean, means, counts, apart.T @ apart)

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def check(self, ridge: float) -> None:
        """Refuse, in words, what no covariance can be learned from."""
        people, width = self.means.shape
        if people < 2:
            raise InputError(f"people: expected at least two people, got {people}")
        if self.counts.max() < 2:
            raise InputError(
                f"people: expected several pictures of some people, got one of each of {people}: how a person varies "
                "cannot be seen"
            )
        if not ridge and self.n - people < width:
            raise InputError(
                f"vectors: expected at least {width} pictures beyond the first of each person for {width} dimensions, "
                f"got {self.n - people} ({self.n} of {people} people): keep fewer axes with dim=, or give a ridge= "
                "above 0"
            )

    def moments(self) -> F64:
        """`between` from the scatter of the means, less what `within` puts into it; negative variances become 0."""
        people, n = len(self.counts), self.n
        within = self.scatter / (n - people)
        spread = (self.means * self.counts[:, None]).T @ self.means / (people - 1)
        size = (n - np.square(self.counts).sum() / n) / (people - 1)  # pictures a person, as this estimate sees it
        values, axes = np.linalg.eigh((spread - within) / size)
        positive: F64 = (axes * np.maximum(values, 0.0)) @ axes.T
        return positive

    def likelihood(self, model: Model) -> float:
        """Mean log likelihood of a vector."""
        along = np.square(self.means @ model.axes)
        more = self.counts[:, None] * model.psi
        varied = np.einsum("ij,ik,kj->", model.axes, self.scatter, model.axes)
        people = (np.log1p(more) + self.counts[:, None] * along / (1 + more)).sum()
        each = self.n * (model.log_det + len(self.mean) * np.log(2 * np.pi))
        return float(-(each + people + varied) / (2 * self.n))

    def updated(self, model: Model, *, posterior: bool) -> tuple[F64, F64]:
        """One round of EM: both covariances of what the model expects mu and eps to be, given the vectors."""
        along, counts = self.means @ model.axes, self.counts[:, None]
        shrink = counts * model.psi / (1 + counts * model.psi)
        left = along * (1 - shrink)  # of a person's mean, what is taken for chance
        unsure = model.psi / (1 + counts * model.psi) if posterior else np.zeros_like(along)
        who = ((along * shrink).T @ (along * shrink) + np.diag(unsure.sum(axis=0))) / len(counts)
        varied = model.axes.T @ self.scatter @ model.axes + (left * counts).T @ left
        varied = (varied + np.diag((unsure * counts).sum(axis=0))) / self.n
        return model.back @ who @ model.back.T, model.back @ varied @ model.back.T
