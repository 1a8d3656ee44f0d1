"""How vectors differ in pairs of one person and of two, and the directions in which the second outweighs the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pca import Pca, pca
from vultus.types import checked

__all__ = ["PairScatter", "checked_dim", "directions", "labeled", "reduced", "ridged", "seen"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PairScatter:
    """Mean outer products of differences.

    Attributes:
        same: (D, D) over pairs of one person.
        different: (D, D) over pairs of two people.
    """

    same: F64
    different: F64

    @classmethod
    def of_people(cls, rows: F64, people: I64) -> PairScatter:
        """Every two of (N, D) rows, by (N,) who is on them; in closed form, no pair is listed.

        The outer products of all differences within a group of n sum up to n times its scatter around its mean.
        """
        counts = np.bincount(people)
        means = np.stack([np.bincount(people, column) for column in rows.T], axis=1) / counts[:, None]
        inside = rows - means[people]
        same = (inside * counts[people, None]).T @ inside
        centered = rows - rows.mean(axis=0)
        every = len(rows) * centered.T @ centered
        n_same = float((counts * (counts - 1)).sum()) / 2
        n_every = len(rows) * (len(rows) - 1) / 2
        return cls(same / n_same, (every - same) / (n_every - n_same))

    @classmethod
    def of_pairs(cls, left: F64, right: F64, same: NDArray[np.bool_]) -> PairScatter:
        """The listed pairs alone."""
        apart = left - right
        parts = [apart[same], apart[~same]]
        return cls(*(part.T @ part / len(part) for part in parts))


def labeled(vectors: ArrayLike, people: ArrayLike) -> tuple[F64, I64]:
    """Vectors, (N, D), and who is on each from 0.

    Raises:
        InputError: if there are fewer than two people, nobody is there twice, or something is not finite.
    """
    rows = checked("vectors", vectors, (None, None), np.float64)
    names = np.asarray(people)
    if names.shape != rows.shape[:1]:
        raise InputError(f"people: expected one for each of {len(rows)} vectors, got shape {names.shape}")
    found, who = np.unique(names, return_inverse=True)
    if len(found) < 2 or len(found) == len(rows):
        raise InputError(
            f"people: expected at least two, and one with two vectors, got {len(found)} people and {len(rows)} vectors"
        )
    return rows, who.astype(np.int64)


def seen(left: ArrayLike, right: ArrayLike, same: ArrayLike) -> tuple[F64, F64, NDArray[np.bool_]]:
    """Pairs of vectors, twice (P, D), and (P,) whether they show one person.

    Raises:
        InputError: if sizes disagree, one kind is missing, or something is not finite.
    """
    first = checked("left", left, (None, None), np.float64)
    second = checked("right", right, (len(first), first.shape[1]), np.float64)
    truth = checked("same", same, (len(first),), np.bool_)
    if not truth.any() or truth.all():
        raise InputError(f"same: expected pairs of one person and of two, got {int(truth.sum())} of {len(truth)} same")
    return first, second, truth


def checked_dim(dim: int | None, ridge: float) -> None:
    """The two settings that all have.

    Raises:
        InputError: if one is out of range.
    """
    if dim is not None and dim < 1:
        raise InputError(f"dim: expected at least 1 axis or None, got {dim}")
    if not 0 <= ridge < np.inf:
        raise InputError(f"ridge: expected a share of at least 0, got {ridge}")


def reduced(rows: F64, dim: int | None) -> Pca | None:
    """Principal axes to compare along, or None for the vectors as they are."""
    return None if dim is None else pca(rows, dim)


def ridged(scatter: F64, ridge: float) -> F64:
    """`ridge` of the mean variance is added to each.

    Raises:
        InputError: if the sum is singular, but for rounding.
    """
    added: F64 = scatter + ridge * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    values = np.linalg.eigvalsh(added)
    if values[0] <= values[-1] * len(values) * np.finfo(np.float64).eps:
        raise InputError(
            "vectors: expected differences in every direction, got a scatter that is singular; keep fewer axes with "
            "dim=, or give a ridge= above 0"
        )
    return added


def directions(over: F64, under: F64, ridge: float) -> tuple[F64, F64]:
    """Directions w that maximize w' over w / w' under w, best first, with w' under w = 1; and those ratios.

    Args:
        over: (D, D).
        under: (D, D).
        ridge: share of the mean variance that is added to the diagonal of `under`.

    Returns:
        (D, D) columns and (D,) falling.

    Raises:
        InputError: if `under` is singular.
    """
    lower = np.linalg.cholesky(ridged(under, ridge))
    half = np.linalg.solve(lower, over)
    ratios, turn = np.linalg.eigh(np.linalg.solve(lower, half.T))
    columns = np.linalg.solve(lower.T, turn)[:, ::-1]
    largest = np.abs(columns).argmax(axis=0)
    return columns * np.sign(columns[largest, np.arange(columns.shape[1])]), ratios[::-1]
